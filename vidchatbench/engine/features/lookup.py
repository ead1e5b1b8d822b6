"""The features of one run by key, wherever they are: in the store, kept in memory, or failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from vidchatbench.api.features import Feature
from vidchatbench.core.isolation import Blame, Failure


class Store(Protocol):
    """Where features are kept between runs."""

    def __contains__(self, key: object) -> bool:
        """Whether a feature is kept."""
        ...

    def load(self, key: str) -> Feature | None:
        """Returns a kept feature, or ``None`` if it is not kept or damaged."""
        ...

    def save(self, key: str, feature: Feature, provenance: Mapping[str, object]) -> None:
        """Keeps a feature."""
        ...


class FeatureLookup:
    """Returns each feature of a run, or why there is none.

    Successes go to the store and are read from there. A failure is never stored, and a full disk stores nothing: both
    are kept here, for this run alone.

    Args:
        store: Where features are kept between runs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._at_hand: dict[str, Feature | Failure] = {}

    def get(self, key: str) -> Feature | Failure:
        """Returns the feature of a key, read from the store once, or the failure in its place."""
        if key not in self._at_hand:
            lost = Failure(Blame.OURS, "a stored feature is damaged or was removed; run again", lost=True)
            self._at_hand[key] = self._store.load(key) or lost
        return self._at_hand[key]

    def take_lost(self, keys: Iterable[str]) -> set[str]:
        """Reads features, and forgets and returns those that the store has lost, so that they can be computed again."""
        lost = {key for key in keys if isinstance(outcome := self.get(key), Failure) and outcome.lost}
        for key in lost:
            del self._at_hand[key]
        return lost

    def settled(self, key: str) -> bool:
        """Whether this run already has the feature or the failure of a key at hand."""
        return key in self._at_hand

    def put(self, outcomes: Mapping[str, Feature | Failure]) -> None:
        """Takes features that could not be stored, and failures."""
        self._at_hand.update(outcomes)

    def save(self, key: str, feature: Feature, provenance: Mapping[str, object]) -> None:
        """Keeps a feature for this run and the next.

        Raises:
            OSError: If the store cannot be written; the feature is at hand all the same.
        """
        self._at_hand[key] = feature
        self._store.save(key, feature, provenance)
