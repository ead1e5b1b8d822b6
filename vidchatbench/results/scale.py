"""The anchored scale: 0 is what wrong replies score, 100 what the real ones do, and nothing counts above those.

Per sample, what exceeds the ceiling (the real reply's own value, or what the real reply reaches after an ordinary
encoding) is cut there before it enters the scale: a still picture is nearer to the reference image than any living
face, and must gain nothing by it. The other side is not cut, so that the null stays at 0 on average.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vidchatbench.api.cards import Dimension
from vidchatbench.core.models import FrozenModel

PAPER_DIMENSIONS = tuple(Dimension)[:6]
"""The dimensions that the overall score names, whether a suite has them or not."""

POINT = 1.0
"""The least that a dimension counts in the overall score."""

_FULL = 100.0


@dataclass(frozen=True)
class Scale:
    """The anchored scale of one metric.

    Attributes:
        direction: Which way is better.
        oracle: What the real replies score: the mean of the ceilings.
        null: What wrong replies score, cut at the ceilings.
        ceilings: The value of each sample above which (below which, where lower is better) nothing counts; without one
            a sample is not cut.
    """

    direction: Literal["higher", "lower"]
    oracle: float | None
    null: float | None
    ceilings: Mapping[str, float] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """True where the oracle is better than the null; a scale that runs backwards is none."""
        if self.oracle is None or self.null is None:
            return False
        return self.oracle > self.null if self.direction == "higher" else self.oracle < self.null

    def cut(self, sample: str, value: float) -> float:
        """Returns what a sample's value counts on the scale, in the metric's unit."""
        ceiling = self.ceilings.get(sample)
        if ceiling is None:
            return value
        return min(value, ceiling) if self.direction == "higher" else max(value, ceiling)

    def place(self, value: float) -> float | None:
        """Returns where a mean of cut values lies on the scale; ``None`` where there is none."""
        if not self.exists or self.oracle is None or self.null is None:
            return None
        return _FULL * (value - self.null) / (self.oracle - self.null)


def hash_ceilings(ceilings: Mapping[str, float]) -> str:
    """Returns the sha256 of the ceilings: of their JSON with sorted keys and no spaces."""
    text = json.dumps(dict(ceilings), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def overall_of(dimensions: Sequence[float]) -> float | None:
    """Returns the overall score: the geometric mean of the dimensions' scores, each taken as at least one point.

    A mean lets a hole in one dimension be bought back by the others; a still picture with a real voice does that.

    Args:
        dimensions: The dimensions' scores; without one there is no overall score.
    """
    if not dimensions:
        return None
    return math.exp(math.fsum(math.log(max(score, POINT)) for score in dimensions) / len(dimensions))


class DimensionMembers(FrozenModel):
    """What enters one dimension of the overall score; of the paper's six, also one that the suite has nothing of.

    Attributes:
        dimension: The dimension.
        metrics: Ids of the metrics on the anchored scale, whose mean the dimension is.
        without_anchors: Ids of those that fell out, because there is no scale for them.
    """

    dimension: Dimension
    metrics: tuple[str, ...]
    without_anchors: tuple[str, ...]


def members_of(metrics: Iterable[tuple[str, Dimension, bool]]) -> tuple[DimensionMembers, ...]:
    """Returns the members of every dimension, the paper's six first.

    Args:
        metrics: Of every metric its id, its dimension, and whether it is on the anchored scale.
    """
    known = list(metrics)
    others = [dimension for _, dimension, _ in known if dimension not in PAPER_DIMENSIONS]
    return tuple(
        DimensionMembers(
            dimension=dimension,
            metrics=tuple(name for name, own, anchored in known if own is dimension and anchored),
            without_anchors=tuple(name for name, own, anchored in known if own is dimension and not anchored),
        )
        for dimension in dict.fromkeys((*PAPER_DIMENSIONS, *others))
    )


def describe_overall(members: Sequence[DimensionMembers]) -> str:
    """Returns in words what the overall score is made of and which of the paper's dimensions it lacks."""
    entering = [_in_a_sentence(one.dimension) for one in members if one.metrics]
    lacking = [one.dimension for one in members if not one.metrics and one.dimension in PAPER_DIMENSIONS]
    if not entering:
        return "no overall score: no metric is on the anchored scale"
    text = f"geometric mean of {', '.join(entering)}, each at least {POINT:g}"
    if not lacking:
        return text
    return f"{text}; nothing on the anchored scale for {', '.join(map(_in_a_sentence, lacking))}"


def _in_a_sentence(dimension: Dimension) -> str:
    label = dimension.label
    return label if label[:2].isupper() else label.lower()
