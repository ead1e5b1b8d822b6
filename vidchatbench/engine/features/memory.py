"""A feature store that lives in memory and forgets the oldest, for scoring without a disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from vidchatbench.api.features import Feature

MAX_FEATURES = 4096


class MemoryStore:
    """Features by key, the least recently used forgotten first; has the interface of the store on disk."""

    def __init__(self, most: int = MAX_FEATURES) -> None:
        self._most = most
        self._features: OrderedDict[str, Feature] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._features

    def load(self, key: str) -> Feature | None:
        """Returns a feature, or ``None`` if it is not kept."""
        if key in self._features:
            self._features.move_to_end(key)
        return self._features.get(key)

    def save(self, key: str, feature: Feature, provenance: Mapping[str, object]) -> None:
        """Keeps a feature."""
        del provenance  # of use to people who find a file, and there is none
        self._features[key] = feature
        while len(self._features) > self._most:
            self._features.popitem(last=False)
