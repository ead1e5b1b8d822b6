"""What all tests share: clips made on the spot, and a private cache, so that no test reads or fills the user's."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

CLIPS_MODULE = "vidchatbench_test_clips"


@pytest.fixture(scope="session")
def clips() -> ModuleType:
    """The module ``tests/support/clips.py``; loaded by its path, because the folder is not a package."""
    if CLIPS_MODULE not in sys.modules:
        spec = importlib.util.spec_from_file_location(CLIPS_MODULE, Path(__file__).parent / "support" / "clips.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[CLIPS_MODULE] = module
        spec.loader.exec_module(module)
    return sys.modules[CLIPS_MODULE]


@pytest.fixture(scope="session")
def make_clip(clips: ModuleType) -> Callable[..., Path]:
    """``make_clip(path, *, seconds, fps, size, audio, ...)`` of ``tests/support/clips.py``."""
    made: Callable[..., Path] = clips.make_clip
    return made


@pytest.fixture(scope="session")
def make_frames_clip(clips: ModuleType) -> Callable[..., Path]:
    """``make_frames_clip(path, frames, fps, samples, sample_rate)`` of ``tests/support/clips.py``."""
    made: Callable[..., Path] = clips.make_frames_clip
    return made


@pytest.fixture
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the test's own, and no weights mirror."""
    folder = tmp_path / "private-cache"
    monkeypatch.setenv("VIDCHATBENCH_CACHE", str(folder))
    monkeypatch.delenv("VIDCHATBENCH_WEIGHTS_DIR", raising=False)
    return folder
