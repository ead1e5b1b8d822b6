"""The metric card: everything that is frozen about a metric, validated, beside its code."""

from __future__ import annotations

import importlib.resources
import math
import sys
from collections.abc import Container
from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vidchatbench.api.samples import Role, Sample, Task

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALL_TASKS: tuple[Task, ...] = ("dialogue", "listening", "multi_turn", "single", "multi_person")
NAME_PATTERN = r"^[a-z0-9_]+/[a-z0-9_]+$"
NullAnchor = Literal["shuffled_replies", "shuffled_audio"]
PROTOCOL_PATTERN = r"^[a-z0-9_]+/[a-z0-9_.+-]+$"


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


class MetricCard(BaseModel):
    """The frozen description of a metric.

    Two numbers may be compared only if their protocol ids are equal: ``protocol`` names everything that can change
    the number (decoding, geometry, frame rate, crop, weights, aggregation within the sample). Another choice is
    another protocol id, never an edit.

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

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
    tasks: tuple[Task, ...] = ALL_TASKS
    aggregation: Literal["mean", "set"]
    null: NullAnchor | None = None
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
        """Returns a validated copy with some fields changed; a changed protocol text needs a changed protocol id.

        Raises:
            ValueError: If the variation changes what is computed but keeps the protocol id.
        """
        changed = MetricCard.model_validate({**self.model_dump(), **changes})
        if changed != self and changed.protocol == self.protocol:
            raise ValueError(f"{self.id}: a variation must carry a protocol id of its own, not {self.protocol!r}")
        return changed


def load_card(package: str | None, name: str) -> MetricCard:
    """Loads ``name`` (a TOML file) that lies in ``package`` beside the metric's code.

    Args:
        package: Import name of the package, usually ``__package__``.
        name: File name of the card, such as ``"psnr.toml"``.

    Raises:
        ValueError: If there is no package, as in a script that is run by its path.
        pydantic.ValidationError: If the card lacks a field, has an unknown one or contradicts itself.
    """
    if package is None:
        raise ValueError(f"{name!r} cannot be found: a metric's module must be part of a package")
    text = importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return MetricCard.model_validate(tomllib.loads(text))
