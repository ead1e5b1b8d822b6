"""Features: what an extractor makes of a clip, and how a metric asks for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.samples import Role

Param = str | int | float | bool | None
Array = NDArray[Any]


@dataclass(frozen=True)
class Feature:
    """The output of one extractor on one clip (or pair of clips).

    Attributes:
        arrays: Named numpy arrays; shapes and units are stated in the extractor's docstring.
        meta: Small JSON values that go with them.
    """

    arrays: Mapping[str, Array]
    meta: Mapping[str, Param] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """Returns a numeric meta value.

        Raises:
            TypeError: If it is not a number.
        """
        return number(self.meta, name)

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]


@dataclass(frozen=True)
class ExtractorSpec:
    """An extractor and the parameters it is to run with; hashable, picklable, the same in every process.

    Attributes:
        id: ``family/name`` of the extractor.
        params: The parameters as sorted pairs; build the spec with :meth:`of`.
    """

    id: str
    params: tuple[tuple[str, Param], ...] = ()

    @classmethod
    def of(cls, extractor_id: str, **params: Param) -> ExtractorSpec:
        """Builds a spec from keyword parameters."""
        # 5 and 5.0 are the same rate and must have the same key.
        plain = {name: int(v) if isinstance(v, float) and v.is_integer() else v for name, v in params.items()}
        return cls(extractor_id, tuple(sorted(plain.items())))

    def __str__(self) -> str:
        return f"{self.id}{json.dumps(dict(self.params), sort_keys=True) if self.params else ''}"


@dataclass(frozen=True)
class Need:
    """A feature that a metric asks for.

    Attributes:
        name: The name under which the metric receives the feature.
        extractor: Which extractor, with which parameters.
        roles: One role, or two for an extractor of a pair of clips (order matters).
        language_param: The extractor's parameter that is given the language of the sample, if it has one.
        guide: The role whose clip guides the extractor, see :attr:`vidchatbench.api.Extractor.guides`. Without it, and
            where the sample has no picture of that role, every clip is its own guide.
    """

    name: str
    extractor: ExtractorSpec
    roles: tuple[Role, ...]
    language_param: str | None = None
    guide: Role | None = None

    def __post_init__(self) -> None:
        if len(self.roles) not in {1, 2}:
            raise ValueError(f"need {self.name!r}: an extractor reads one clip or a pair, not {len(self.roles)}")

    def spoken_in(self, language: str) -> Need:
        """Returns the need for a sample of this language."""
        if self.language_param is None:
            return self
        params = {**dict(self.extractor.params), self.language_param: language}
        return replace(self, extractor=ExtractorSpec.of(self.extractor.id, **params))


def number(values: Mapping[str, Param], name: str) -> float:
    """Returns a number out of parameters or of a feature's meta values.

    Raises:
        TypeError: If the value is not a number.
    """
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name!r} must be a number, not {value!r}")
    return float(value)


def as_array(values: object, dtype: str) -> Array:
    """Returns ``values`` as a C-contiguous array of ``dtype``, the form in which features are stored."""
    return np.asarray(values, dtype=dtype, order="C")


@dataclass(frozen=True)
class Refusal:
    """Why an extractor of samples has no feature for one sample, through no fault of the submission.

    The metric is then incomplete for that sample (``error``), and the next run tries again. What the submission is to
    blame for belongs into the feature, where the metric finds it.
    """

    reason: str
