"""Stores of earlier releases stay hits: neither the key of a feature nor its file changes when code moves.

``historic_feature_keys.json`` holds the keys that 0.1.0 gave to every extractor of the suites, under a decode profile
named ``frozen``; ``historic_store`` holds a file that it wrote. A key may leave the list when its extractor or one of
its parameters is withdrawn, when it begins to be guided, or when the version of the extractor, or of one that it builds
on, is raised: what it was the key of is then no longer what the extractor makes. It may never change.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vidchatbench.api import ExtractorSpec, PairExtractor, SampleExtractor
from vidchatbench.engine.features import keys
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.plugins.catalogue import load_catalogue

SUPPORT = Path(__file__).resolve().parents[2] / "support"
KEYS = json.loads((SUPPORT / "historic_feature_keys.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", KEYS)
def test_an_extractor_keeps_the_key_of_its_feature(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "decode_profile", lambda: "frozen")
    catalogue = load_catalogue()
    extractor_id, _, params = name.partition(" ")
    extractor = catalogue.extractor(ExtractorSpec.of(extractor_id, **json.loads(params)))
    assert not extractor.guides, "the key of what is guided holds the keys of its guides"
    description = keys.describe_extractor(extractor, catalogue)
    if isinstance(extractor, SampleExtractor):
        key = keys.sample_key(description, {"text": "hello"}, {"heard": "a" * 64})
    else:
        media = ["a" * 64, "b" * 64] if isinstance(extractor, PairExtractor) else ["a" * 64]
        key = keys.feature_key(description, media)
    assert key == KEYS[name]


def test_a_file_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(SUPPORT / "historic_store", root)  # the store may remove what it cannot read
    store = FeatureStore(root)
    key = KEYS["video_quality/length {}"]
    assert key in store
    feature = store.load(key)
    assert feature is not None
    assert dict(feature.meta) == {"fps": 25.0, "name": "clip", "ok": True, "n": 3}
    np.testing.assert_array_equal(feature.arrays["seconds"], np.array([2.0, 4.5], np.float32), strict=True)
    np.testing.assert_array_equal(feature.arrays["frames"], np.arange(6, dtype=np.int64).reshape(2, 3), strict=True)
