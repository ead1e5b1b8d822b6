"""What the tests of whole runs share: the demonstration benchmark, and an excerpt of a reply to make bad outputs of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from integration_support import Excerpt

from vidchatbench.demo import DemoPaths, build_demo
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoPaths:
    return build_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def excerpt(demo: DemoPaths) -> Excerpt:
    clip = sorted((demo.benchmark / "media").glob("*.mp4"))[0]
    reader = ClipReader(clip, probe(clip), video=True, audio=True)
    frames = [np.array(picture.rgb()) for picture, _ in reader]
    return Excerpt(frames[:75], reader.audio.samples[: 3 * 16_000])


@pytest.fixture(scope="session")
def shared_mini() -> Path:
    folder = SHARED / "mini"
    if not folder.is_dir():
        pytest.skip("the shared folder of real clips is not beside this checkout")
    return folder
