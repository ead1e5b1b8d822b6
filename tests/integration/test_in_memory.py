"""Clips in memory give the numbers of the same clips in files, and leave a training run as it was."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from clips import Sound, make_clip
from integration_support import Excerpt, manifest_line, write_benchmark

import vidchatbench as vcb
from vidchatbench.api.scores import Status

METRICS = ["video_quality/psnr", "video_quality/ssim", "video_quality/face_presence", "voice/resemblyzer"]


@pytest.fixture(scope="module")
def candidate(excerpt: Excerpt) -> vcb.MemoryClip:
    """The reply, darker and hissing, at another frame rate than the reference."""
    darker = [(frame * 0.8).astype(np.uint8) for frame in excerpt.frames[::2]]
    hiss = np.random.default_rng(0).normal(0, 0.01, len(excerpt.samples)).astype(np.float32)
    return vcb.MemoryClip.of(np.stack(darker), 12.5, excerpt.samples + hiss)


@pytest.fixture(scope="module")
def reference(excerpt: Excerpt) -> vcb.MemoryClip:
    return vcb.MemoryClip.of(np.stack(excerpt.frames), 25, excerpt.samples)


@pytest.fixture(scope="module")
def scorer() -> vcb.ClipScorer:
    return vcb.ClipScorer(metrics=METRICS)


def _lossless(path: Path, clip: vcb.MemoryClip) -> Path:
    height, width = clip.frames.shape[1:3]
    sound = Sound(samples=clip.sound, codec="pcm_f32le")
    return make_clip(
        path,
        seconds=len(clip.frames) / clip.fps,
        fps=clip.fps,
        size=(width, height),
        audio=sound,
        lossless=True,
        paint=lambda index, time, w, h: clip.frames[index],
    )


def test_the_same_numbers_as_from_files(
    scorer: vcb.ClipScorer, candidate: vcb.MemoryClip, reference: vcb.MemoryClip, tmp_path: Path
) -> None:
    benchmark, outputs = tmp_path / "benchmark", tmp_path / "outputs"
    benchmark.mkdir()
    outputs.mkdir()
    real = _lossless(benchmark / "real.mkv", reference)
    _lossless(outputs / "clip.mkv", candidate)
    write_benchmark(benchmark, [manifest_line("clip", real, benchmark)])
    config = vcb.RunConfig(workers=1, store=tmp_path / "store")
    from_files = vcb.evaluate(outputs, benchmark=benchmark, metrics=METRICS, out=tmp_path / "run", config=config)
    in_memory = scorer.score({"clip": candidate}, references={"clip": reference})
    for ours, theirs in zip(in_memory.metrics, from_files.metrics, strict=True):
        assert ours.n_ok == theirs.n_ok == 1, ours.id
        assert ours.value == pytest.approx(theirs.value, abs=1e-6), ours.id
        assert ours.protocol == theirs.protocol


def test_nothing_is_written(
    scorer: vcb.ClipScorer,
    candidate: vcb.MemoryClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDCHATBENCH_CACHE", str(tmp_path / "cache"))
    scores = scorer.score({"clip": candidate}).scores
    assert scores["video_quality/face_presence"]["clip"].value == 1.0
    assert list(tmp_path.iterdir()) == []


def test_without_a_reference_what_needs_one_does_not_apply(scorer: vcb.ClipScorer, candidate: vcb.MemoryClip) -> None:
    found = scorer.score({"clip": candidate})
    by_id = {metric.id: metric for metric in found.metrics}
    assert by_id["video_quality/psnr"].n_not_applicable == 1
    assert by_id["video_quality/psnr"].value is None
    assert found.scores["voice/resemblyzer"]["clip"].status is Status.NOT_APPLICABLE


def test_a_silent_clip_fails_the_voice_and_counts(scorer: vcb.ClipScorer, reference: vcb.MemoryClip) -> None:
    mute = vcb.MemoryClip.of(reference.frames, 25)
    found = scorer.score({"clip": mute}, references={"clip": reference})
    voice = next(metric for metric in found.metrics if metric.id == "voice/resemblyzer")
    assert (voice.n_failed, voice.value) == (1, 0.0)


def test_training_goes_on_as_if_nothing_had_been_scored(candidate: vcb.MemoryClip) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    threads = torch.get_num_threads()
    before = (torch.get_rng_state().clone(), np.random.get_state()[1].copy(), random.getstate())
    fresh = vcb.ClipScorer(metrics=["video_quality/face_presence", "voice/resemblyzer"])
    fresh.score({"clip": candidate}, references={"clip": candidate})
    fresh.close()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


def test_tensors_with_channels_first_are_the_same_clip(reference: vcb.MemoryClip) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(reference.frames.copy()).permute(0, 3, 1, 2)
    again = vcb.MemoryClip.of(tensor, 25, torch.from_numpy(reference.sound.copy()[None].repeat(2, axis=0)))
    assert again.describe().sha256 == reference.describe().sha256


@pytest.mark.parametrize(
    ("frames", "fps", "sound", "said"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), 25, None, "must be uint8"),
        (np.zeros((2, 4, 4), np.uint8), 25, None, "must have shape"),
        (np.zeros((0, 4, 4, 3), np.uint8), 25, None, "at least one frame"),
        (np.zeros((2, 4, 4, 3), np.uint8), 0, None, "fps must be"),
        (np.zeros((2, 4, 4, 3), np.uint8), 25, np.zeros(9, np.int16), "must be floats"),
        (np.zeros((2, 4, 4, 3), np.uint8), 25, np.zeros((9, 9, 9)), "sound must have shape"),
    ],
)
def test_what_cannot_be_meant_is_refused(frames: np.ndarray, fps: float, sound: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        vcb.MemoryClip.of(frames, fps, sound)


def test_a_reference_without_a_candidate_is_refused(scorer: vcb.ClipScorer, reference: vcb.MemoryClip) -> None:
    with pytest.raises(vcb.UsageError, match="without a candidate: b"):
        scorer.score({"a": reference}, references={"b": reference})
    with pytest.raises(vcb.UsageError, match="no candidate"):
        scorer.score({})
