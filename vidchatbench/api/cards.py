"""The metric card: everything that is frozen about a metric, validated, beside its code."""

from __future__ import annotations

import importlib.resources
import math
import string
import sys
from collections.abc import Container, Mapping
from enum import Enum
from typing import Literal, TypeGuard

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, ValidationInfo, model_validator

from vidchatbench.api.samples import TASKS, Role, Sample, Task
from vidchatbench.core.models import FrozenModel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME_PATTERN = r"^[a-z0-9_]+/[a-z0-9_]+$"
NullAnchor = Literal["shuffled_replies", "shuffled_audio"]
Ceiling = Literal["reply", "reencoded_reply"]
PROTOCOL_PATTERN = r"^[a-z0-9_]+/[a-z0-9_.+-]+$"
TEMPLATES = ("protocol", "protocol_text")
"""The texts of a card that may hold fields."""


class Dimension(str, Enum):
    """The dimensions a metric can belong to; the first six are the paper's."""

    VIDEO_QUALITY = "video_quality"
    IDENTITY = "identity"
    DIALOGUE = "dialogue"
    AV_SYNC = "av_sync"
    EMOTION = "emotion"
    VOICE = "voice"
    INTERACTION = "interaction"
    MULTI_PERSON = "multi_person"

    @property
    def label(self) -> str:
        """The name as a heading."""
        return _LABELS.get(self, self.value.replace("_", " ").capitalize())

    @property
    def column_label(self) -> str:
        """The name as the heading of a column of the leaderboard."""
        return _COLUMN_LABELS.get(self, self.label)


# Where a label is more than the identifier in words.
_LABELS = {Dimension.AV_SYNC: "AV sync"}
_COLUMN_LABELS = {Dimension.AV_SYNC: "A/V sync", Dimension.MULTI_PERSON: "Multi-person"}


class MetricCard(FrozenModel):
    """The frozen description of a metric.

    Two numbers may be compared only if their protocol ids are equal: ``protocol`` names everything that can change
    the number (decoding, geometry, frame rate, crop, weights, aggregation within the sample). Another choice is
    another protocol id, never an edit.

    A card whose metric has parameters writes them as fields into ``protocol`` and ``protocol_text``, and gives their
    defaults in a table ``fields`` at the end of its file::

        protocol = "psnr/cover480x768-{fps}fps-v1"
        protocol_text = "{fps} frame pairs a second from t = 0, ..."

        [fields]
        fps = "25"

    Both texts are then read filled, and :meth:`vary` fills them anew. A field is a plain name in braces; a brace that
    is meant as such is doubled, ``{{`` or ``}}``. A field without a default, a default that neither text uses, and a
    stray brace are errors that name the card's file. Without ``fields`` (:func:`load_card` always reads a table,
    if an empty one) the texts are taken as they are.

    Attributes:
        id: ``family/name``.
        version: Raised whenever the code of the same protocol could give another number (a bug fix).
        title: The name to print in tables.
        dimension: Where the metric stands in the report.
        direction: Whether ``higher`` or ``lower`` is better.
        unit: The unit of the value; ``""`` for pure numbers.
        minimum: Least possible value, ``None`` if unbounded.
        maximum: Greatest possible value, ``None`` if unbounded.
        worst: What a missing or invalid output is charged; finite and within the range. ``None`` for metrics of sets,
            where a failed sample leaves the set.
        ideal: What a perfect reply scores where that is known (identical pixels, identical voice), else ``None``.
        roles: The roles a sample must offer; a sample without them is ``not_applicable``.
        tasks: The tasks the metric is meaningful for.
        aggregation: How samples become one number: their ``mean``, or a distance between the ``set`` of candidates and
            the set of references.
        null: The floor that the score is read against: the oracle's score with another sample's reply
            (``shuffled_replies``) or with another sample's sound (``shuffled_audio``) in its place; ``None`` where
            neither says anything.
        ceiling: What a sample's score is cut at on the anchored scale: the real reply's own value (``reply``), or,
            where identical pixels are no practical aim, what the real reply reaches after an ordinary encoding
            (``reencoded_reply``).
        protocol: The protocol id.
        protocol_text: The protocol in words: every constant that is frozen.
        description: What the metric measures and what it does not.
        formula: How the number comes about, in a line of mathematics or words.
        reading: How to read a value: what is good, what it must be read beside, what it must not be compared with.
        failure_modes: When the number misleads, and how it can be fooled.
        weights: Names in the weights table.
        code_license: SPDX id of the code that computes it.
        weights_license: Licence of the weights in words; ``None`` without weights.
        commercial_use: Whether the weights' licence permits commercial use.
        citation: BibTeX of the work to cite.
        source: Where the formula and the constants come from.
    """

    id: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1)
    title: str
    dimension: Dimension
    direction: Literal["higher", "lower"]
    unit: str
    minimum: float | None = None
    maximum: float | None = None
    worst: float | None = None
    ideal: float | None = None
    roles: tuple[Role, ...]
    tasks: tuple[Task, ...] = TASKS
    aggregation: Literal["mean", "set"]
    null: NullAnchor | None = None
    ceiling: Ceiling = "reply"
    protocol: str = Field(pattern=PROTOCOL_PATTERN)
    protocol_text: str
    description: str
    formula: str = ""
    reading: str = ""
    failure_modes: str = ""
    weights: tuple[str, ...] = ()
    code_license: str
    weights_license: str | None = None
    commercial_use: bool
    citation: str
    source: str

    _templates: dict[str, str] = PrivateAttr(default_factory=dict)
    _fields: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _fill_fields(
        cls, data: object, handler: ModelWrapValidatorHandler[MetricCard], info: ValidationInfo
    ) -> MetricCard:
        if not isinstance(data, Mapping) or "fields" not in data:
            return handler(data)
        content = {name: value for name, value in data.items() if name != "fields"}
        templates = {name: content[name] for name in TEMPLATES if isinstance(content.get(name), str)}
        file = (info.context or {}).get("file") or f"card {data.get('id')}"
        fields = _checked_fields(file, templates, data["fields"])
        card = handler({**content, **{name: text.format_map(fields) for name, text in templates.items()}})
        if fields:
            card._templates, card._fields = templates, fields
        return card

    @model_validator(mode="after")
    def _check_range(self) -> MetricCard:
        for name in ("worst", "ideal"):
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value):
                raise ValueError(f"{name} must be finite")
            if (self.minimum is not None and value < self.minimum) or (
                self.maximum is not None and value > self.maximum
            ):
                raise ValueError(f"{name} {value} lies outside [{self.minimum}, {self.maximum}]")
        if (self.worst is None) != (self.aggregation == "set"):
            raise ValueError("worst is given exactly where the samples are averaged; a set has no worst sample")
        if bool(self.weights) != (self.weights_license is not None):
            raise ValueError("weights_license is given exactly where there are weights")
        return self

    @property
    def fields(self) -> Mapping[str, str]:
        """What the fields of ``protocol`` and ``protocol_text`` are filled with."""
        return dict(self._fields)

    def missing_of(self, sample: Sample, offered: Container[Role]) -> str | None:
        """Returns why the metric does not apply to a sample; ``None`` if it does.

        Args:
            sample: The sample.
            offered: The roles that there is a clip for; whether the candidate is there does not matter.
        """
        if sample.task not in self.tasks:
            return f"the metric does not apply to task {sample.task!r}"
        missing = next((role for role in self.roles if role is not Role.CANDIDATE and role not in offered), None)
        return None if missing is None else f"the sample has no {missing.value.replace('_', ' ')}"

    def vary(self, **changes: object) -> MetricCard:
        """Returns a validated copy with some attributes changed, or the card itself where nothing changes.

        Args:
            changes: New values of attributes. ``fields`` gives new values of fields, with which ``protocol`` and
                ``protocol_text`` are filled anew; a text that is given itself is taken as it is and has none.

        Raises:
            ValueError: If something changes but the protocol id does not, or if the card has no such field.
        """
        fields = changes.pop("fields", {})
        if not _is_table(fields):
            raise ValueError(f"the card of {self.id}: fields must be a table of names and texts")
        values = {**self._fields, **fields}
        if unknown := sorted(values.keys() - self._fields.keys()):
            known = ", ".join(sorted(self._fields)) or "none"
            raise ValueError(f"the card of {self.id} has no field {', '.join(unknown)} (it has: {known})")
        templates = {name: text for name, text in self._templates.items() if name not in changes}
        filled = {name: text.format_map(values) for name, text in templates.items()}
        changed = MetricCard.model_validate({**self.model_dump(), **filled, **changes})
        changed._templates, changed._fields = templates, values
        if changed.model_dump() == self.model_dump():
            return self
        if changed.protocol == self.protocol:
            raise ValueError(f"{self.id}: a variation must carry a protocol id of its own, not {self.protocol!r}")
        return changed


def load_card(package: str | None, name: str) -> MetricCard:
    """Loads ``name`` (a TOML file) that lies in ``package`` beside the metric's code.

    Args:
        package: Import name of the package, usually ``__package__``.
        name: Path of the card's file in the package, such as ``"cards/psnr.toml"``.

    Raises:
        ValueError: If there is no package, as in a script that is run by its path.
        pydantic.ValidationError: If the card lacks an attribute, has an unknown one or contradicts itself, or if its
            texts and its fields do not fit.
    """
    if package is None:
        raise ValueError(f"{name!r} cannot be found: a metric's module must be part of a package")
    text = importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return MetricCard.model_validate({"fields": {}, **tomllib.loads(text)}, context={"file": f"{package}/{name}"})


def _is_table(fields: object) -> TypeGuard[Mapping[str, str]]:
    return isinstance(fields, Mapping) and all(isinstance(part, str) for item in fields.items() for part in item)


def _checked_fields(file: str, templates: Mapping[str, str], fields: object) -> dict[str, str]:
    """Returns the values of fields if the texts have exactly these.

    Args:
        file: What an error calls the card.
        templates: Texts with fields, by name.
        fields: Values of the fields by name.

    Raises:
        ValueError: If they do not fit, or a text has a brace that is neither doubled nor around a plain name.
    """
    if not _is_table(fields):
        raise ValueError(f"{file}: fields must be a table of names and texts")
    used: set[str] = set()
    for name, template in templates.items():
        names = _field_names(f"{file}: {name}", template)
        if missing := sorted(names - fields.keys()):
            raise ValueError(f"{file}: {name} has {_listed(missing)}, which the table fields does not fill")
        used |= names
    if unknown := sorted(fields.keys() - used):
        raise ValueError(f"{file}: the table fields has {_listed(unknown)}, which {' and '.join(TEMPLATES)} do not use")
    return dict(fields)


def _field_names(where: str, template: str) -> set[str]:
    try:
        parts = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"{where}: {error}; a brace that is meant as such is written {{{{ or }}}}") from error
    for name, form, conversion in parts:
        if not (name and name.isidentifier()) or form or conversion:
            raise ValueError(
                f"{where}: {{{name}}} is no field: a field is a plain name, and a brace that is meant as such is "
                "written {{ or }}"
            )
    return {name for name, _, _ in parts if name}


def _listed(names: list[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
