"""What the tests of whole runs share: the demonstration benchmark, and an excerpt of a reply to make bad outputs of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from integration_support import Excerpt

from vidchatbench.demo import DemoPaths, DemoSize, build_demo
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoPaths:
    """Four samples of generated people, and three systems: the real replies, slipped ones and poor ones."""
    size = DemoSize(dyads=2, systems=("oracle", "shifted", "degraded"))
    return build_demo(tmp_path_factory.mktemp("demo"), size=size)


@pytest.fixture(scope="session")
def excerpt(demo: DemoPaths) -> Excerpt:
    """Three seconds of one person, out of two clips."""
    frames, sounds = [], []
    for clip in sorted((demo.benchmark / "media").glob("*.mp4"))[:2]:
        reader = ClipReader(clip, probe(clip), video=True, audio=True)
        frames += [np.array(picture.rgb()) for picture, _ in reader]
        sounds.append(reader.audio.samples)
    return Excerpt(frames[:75], np.concatenate(sounds)[: 3 * 16_000])


@pytest.fixture(scope="session")
def shared_mini() -> Path:
    folder = SHARED / "mini"
    if not folder.is_dir():
        pytest.skip("the shared folder of real clips is not beside this checkout")
    return folder
