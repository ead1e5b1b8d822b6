"""The metrics' side of the contract: a pure function of features, with its card."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from vidchatbench.contract.cards import MetricCard
from vidchatbench.contract.features import Feature, Need, Param, number
from vidchatbench.contract.samples import Sample
from vidchatbench.contract.scores import Score


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
