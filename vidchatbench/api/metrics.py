"""The metrics' side of the contract: pure functions of features, with their card."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Array, Feature, Need, Param, number
from vidchatbench.api.samples import Role, Sample
from vidchatbench.api.scores import Detail, Score


class Metric(ABC):
    """A metric: scores one sample from its features and never decodes, loads a model or sees a path.

    Subclasses set :attr:`default_card`, :attr:`defaults` and implement :meth:`needs` and :meth:`score`; a metric
    whose parameters change the number also overrides :meth:`make_card`, so that they change the protocol id too.

    Class attributes:
        default_card: The card for the default parameters.
        defaults: Every parameter with its default; others are refused.
    """

    default_card: ClassVar[MetricCard]
    defaults: ClassVar[Mapping[str, Param]] = {}

    def __init__(self, **params: Param) -> None:
        unknown = sorted(set(params) - set(self.defaults))
        if unknown:
            known = ", ".join(sorted(self.defaults)) or "none"
            raise ValueError(f"metric {self.default_card.id!r} has no parameter {', '.join(unknown)} (it has: {known})")
        self.params: Mapping[str, Param] = {**self.defaults, **params}
        self.card: MetricCard = self.make_card()

    def number(self, name: str) -> float:
        """Returns a numeric parameter.

        Raises:
            TypeError: If it is not a number.
        """
        return number(self.params, name)

    def make_card(self) -> MetricCard:
        """Returns the card for :attr:`params`."""
        return self.default_card

    @abstractmethod
    def needs(self) -> tuple[Need, ...]:
        """The features that :meth:`score` reads."""

    @abstractmethod
    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Scores one sample.

        Args:
            sample: The benchmark's sample.
            features: One feature per name in :meth:`needs`; the harness has already dealt with missing ones.

        Returns:
            A score within the card's range, or ``Score.invalid`` / ``Score.not_applicable`` with the reason.
        """


@dataclass(frozen=True)
class JointItem:
    """One sample as a :class:`JointMetric` gets it, among all others.

    Attributes:
        sample: The sample.
        features: One feature per name in :meth:`Metric.needs`; of a settled sample those of the background alone, as
            far as they could be had.
        settled: The score, where it follows from what is missing; it stands.
        seconds: Length of the sample's clips by role, as their headers say, where they do.
    """

    sample: Sample
    features: Mapping[str, Feature]
    settled: Score | None = None
    seconds: Mapping[Role, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JointScores:
    """What a :class:`JointMetric` says of all samples.

    Attributes:
        scores: One score per item, in their order.
        summary: Further numbers over all samples, which results show beside the value.
    """

    scores: Sequence[Score]
    summary: Mapping[str, float] = field(default_factory=dict)


class JointMetric(Metric):
    """A metric that sees all samples of a run at once, such as one that asks whose question a reply answers.

    A sample's score may depend on its own reply and on the background of the others, never on the others' replies: a
    reply that is lost must not move the score of another.

    Class attributes:
        background: Names of the needs that are read of every sample, whatever became of its output.
    """

    background: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def score_all(self, items: Sequence[JointItem]) -> JointScores:
        """Scores all samples that the metric applies to, and those that are settled."""

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Scores one sample as if there were no others."""
        return self.score_all([JointItem(sample, features)]).scores[0]


@dataclass(frozen=True)
class SetItem:
    """What one sample contributes to the two sets that a :class:`SetMetric` compares.

    Attributes:
        candidate: Rows of the candidate, of shape (n, d), n >= 1.
        reference: Rows of the reference, of shape (m, d), m >= 1.
        details: Further numbers worth keeping per sample.
    """

    candidate: Array
    reference: Array
    details: Mapping[str, Detail] = field(default_factory=dict)


class SetDistance(Protocol):
    """A distance between sets of rows, ready to be asked for many selections of the same identities.

    Intervals, floors and tests leave identities out, split them or exchange them between systems, so an implementation
    does once what all selections share.
    """

    def between(self, candidates: NDArray[np.intp], references: NDArray[np.intp]) -> float:
        """Returns the distance between the candidate rows and the reference rows of the selected identities.

        Args:
            candidates: Positions of the selected candidates, none twice.
            references: Positions of the selected references, none twice.
        """
        ...


class SetMetric(Metric):
    """A metric that compares the set of all candidates with the set of all references, such as FID.

    Subclasses implement :meth:`needs`, :meth:`item` and :meth:`distance`; the harness computes the number, its
    jackknife interval and its real-versus-real floor from the distance.
    """

    @abstractmethod
    def item(self, features: Mapping[str, Feature]) -> SetItem | Score:
        """Returns what one sample contributes, or why it cannot: ``Score.invalid`` or ``Score.not_applicable``."""

    @abstractmethod
    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> SetDistance:
        """Prepares the distance for selections of the given identities.

        Args:
            candidates: Rows of each identity's candidates, of all its samples, each of shape (n, d). Where two systems
                are compared, those of the second follow those of the first: candidate ``i`` belongs to reference
                ``i % len(references)``.
            references: Rows of each identity's references, each of shape (m, d).
        """

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Returns how far the sample's candidate lies from its own reference.

        The value is the Euclidean distance between the means of the two sides' rows. It is not averaged to anything;
        it shows which samples are far off.
        """
        del sample
        item = self.item(features)
        return item if isinstance(item, Score) else distance_of_means(item)


def distance_of_means(item: SetItem) -> Score:
    """Returns the Euclidean distance between the mean rows of the two sides of a sample, with its details."""
    apart = item.candidate.mean(axis=0, dtype=np.float64) - item.reference.mean(axis=0, dtype=np.float64)
    return Score.ok(float(np.linalg.norm(apart)), **item.details)
