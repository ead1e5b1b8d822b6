"""Every kind of bad or odd output in one submission: each gets its status and reason, and the run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import Sound, make_clip, make_frames_clip
from integration_support import Excerpt, manifest_line, write_benchmark
from PIL import Image

import vidchatbench as vcb
from vidchatbench.submission.check import check_submission

METRICS = [
    "video_quality/psnr",
    "video_quality/steadiness",
    "video_quality/sharpness",
    "video_quality/face_presence",
    "voice/resemblyzer",
]
PICTURE, FACE, VOICE = METRICS[:2], METRICS[2:4], METRICS[4:]
# All of it is one run in a fixture, which on a busy machine takes longer than a test may.
pytestmark = pytest.mark.timeout(900)

Row = dict[str, object]
Run = tuple[vcb.Results, dict[tuple[str, str], Row]]
Make = Callable[[Path, Excerpt], None]


def _whole(path: Path, excerpt: Excerpt, frames: list[np.ndarray] | None = None, fps: float = 25) -> None:
    make_frames_clip(path, frames or excerpt.frames, fps, excerpt.samples, lossless=False)


def _scaled(excerpt: Excerpt, width: int, height: int, frames: int = 75) -> list[np.ndarray]:
    chosen = excerpt.frames[:frames]
    return [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC)) for f in chosen]


def empty(path: Path, excerpt: Excerpt) -> None:
    path.touch()


def text(path: Path, excerpt: Excerpt) -> None:
    path.write_text("this is not a video\n" * 50)


def no_index(path: Path, excerpt: Excerpt) -> None:
    _whole(path, excerpt)
    path.write_bytes(path.read_bytes()[:-4000])


def cut_off(path: Path, excerpt: Excerpt) -> None:
    make_clip(path, seconds=3.0, size=(320, 240), front=True)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.5)])


def no_sound(path: Path, excerpt: Excerpt) -> None:
    make_frames_clip(path, excerpt.frames, 25, lossless=False)


def no_picture(path: Path, excerpt: Excerpt) -> None:
    make_clip(path, seconds=3.0, video=False, audio=Sound(samples=excerpt.samples))


def zero_frames(path: Path, excerpt: Excerpt) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def one_frame(path: Path, excerpt: Excerpt) -> None:
    _whole(path, excerpt, excerpt.frames[:1])


def one_second(path: Path, excerpt: Excerpt) -> None:
    make_frames_clip(path, excerpt.frames[:25], 25, excerpt.samples[:16_000], lossless=False)


def four_minutes(path: Path, excerpt: Excerpt) -> None:
    frames = _scaled(excerpt, 160, 120, 40) * 60
    make_frames_clip(path, frames, 10, np.tile(excerpt.samples, 80), lossless=False)


def eight_fps(path: Path, excerpt: Excerpt) -> None:
    _whole(path, excerpt, [excerpt.frames[round(k * 25 / 8)] for k in range(24)], 8)


def sixty_fps(path: Path, excerpt: Excerpt) -> None:
    _whole(path, excerpt, [excerpt.frames[min(74, round(k * 25 / 60))] for k in range(180)], 60)


def variable_rate(path: Path, excerpt: Excerpt) -> None:
    times = [t for k in range(75) if k % 7 != 3 for t in [k / 25 + (0.011 if k % 2 else 0.0)]]
    shown = [excerpt.frames[k] for k in range(75) if k % 7 != 3]
    height, width = shown[0].shape[:2]
    sound = Sound(samples=excerpt.samples)
    make_clip(path, seconds=3.0, size=(width, height), times=times, audio=sound, paint=lambda i, t, w, h: shown[i])


def rotated(path: Path, excerpt: Excerpt) -> None:
    shown = [np.ascontiguousarray(np.rot90(frame, -1)) for frame in excerpt.frames]
    height, width = shown[0].shape[:2]
    sound = Sound(samples=excerpt.samples)
    make_clip(path, seconds=3.0, size=(width, height), rotation=90, audio=sound, paint=lambda i, t, w, h: shown[i])


def tiny(path: Path, excerpt: Excerpt) -> None:
    _whole(path, excerpt, _scaled(excerpt, 16, 16))


def uhd(path: Path, excerpt: Excerpt) -> None:
    make_frames_clip(path, _scaled(excerpt, 3840, 2160, 30), 25, excerpt.samples[:19_200], lossless=False)


def odd_size(path: Path, excerpt: Excerpt) -> None:
    shown = _scaled(excerpt, 333, 251)
    sound = Sound(samples=excerpt.samples)
    make_clip(
        path, seconds=3.0, size=(333, 251), pixel_format="yuv444p", audio=sound, paint=lambda i, t, w, h: shown[i]
    )


def mono_8k(path: Path, excerpt: Excerpt) -> None:
    samples = excerpt.samples.reshape(-1, 2).mean(axis=1)
    make_frames_clip(path, excerpt.frames, 25, samples, 8_000, lossless=False)


def stereo_48k(path: Path, excerpt: Excerpt) -> None:
    high = np.interp(np.arange(3 * 48_000) / 3, np.arange(len(excerpt.samples)), excerpt.samples).astype(np.float32)
    make_frames_clip(path, excerpt.frames, 25, np.stack([high, high]), 48_000, lossless=False)


def silent(path: Path, excerpt: Excerpt) -> None:
    make_frames_clip(path, excerpt.frames, 25, np.zeros_like(excerpt.samples), lossless=False)


def no_face(path: Path, excerpt: Excerpt) -> None:
    make_clip(path, seconds=3.0, size=(320, 240), audio=Sound(samples=excerpt.samples))


def two_faces(path: Path, excerpt: Excerpt) -> None:
    _whole(path, excerpt, [np.concatenate([f, f[:, ::-1]], axis=1) for f in excerpt.frames])


def face_leaves(path: Path, excerpt: Excerpt) -> None:
    gone = np.full_like(excerpt.frames[0], 90)
    _whole(path, excerpt, [*excerpt.frames[:30], *([gone] * 45)])


def good(path: Path, excerpt: Excerpt) -> None:
    _whole(path, excerpt)


CASES: dict[str, Make] = {
    make.__name__: make
    for make in (
        *(empty, text, no_index, cut_off, no_sound, no_picture, zero_frames, one_frame, one_second, four_minutes),
        *(eight_fps, sixty_fps, variable_rate, rotated, tiny, uhd, odd_size, mono_8k, stereo_48k, silent, no_face),
        *(two_faces, face_leaves),
    )
}
UNICODE_ID = "réponse à l'écran 漢字"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, excerpt: Excerpt) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("bad")
    benchmark, outputs = root / "benchmark", root / "outputs"
    (benchmark / "media").mkdir(parents=True)
    outputs.mkdir()
    reference = benchmark / "media" / "reference.mp4"
    _whole(reference, excerpt)
    ids = [*CASES, "missing", UNICODE_ID, "good"]
    write_benchmark(benchmark, [manifest_line(name, reference, benchmark, f"spk-{name}") for name in ids])
    for name, make in CASES.items():
        make(outputs / f"{name}.mp4", excerpt)
    shutil.copy(reference, outputs / f"{UNICODE_ID}.mp4")
    good(outputs / "good.mp4", excerpt)
    return benchmark, outputs


@pytest.fixture(scope="module")
def run(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    benchmark, outputs = made
    out = tmp_path_factory.mktemp("bad_run")
    config = vcb.RunConfig(workers=1, store=out / "store")
    results = vcb.evaluate(outputs, benchmark=benchmark, metrics=METRICS, out=out, config=config)
    rows = pq.read_table(out / "samples.parquet").to_pylist()
    return results, {(row["sample_id"], row["metric"]): row for row in rows}


def statuses(run: Run, name: str) -> dict[str, object]:
    return {metric: run[1][name, metric]["status"] for metric in METRICS}


def reason(run: Run, name: str, metric: str) -> str:
    return str(run[1][name, metric]["reason"])


def value(run: Run, name: str, metric: str) -> float:
    found = run[1][name, metric]["value"]
    assert isinstance(found, float), (name, metric, run[1][name, metric])
    return found


def detail(run: Run, name: str, metric: str, key: str) -> float:
    return float(json.loads(str(run[1][name, metric]["details"]))[key])


def test_no_sample_is_lost_and_none_is_our_error(run: Run) -> None:
    results, rows = run
    assert len(rows) == len(METRICS) * (len(CASES) + 3)
    for metric in results.metrics:
        assert metric.n_expected == len(CASES) + 3
        assert metric.n_ok + metric.n_failed + metric.n_not_applicable + metric.n_error == metric.n_expected
        assert metric.n_error == 0, [row["reason"] for row in rows.values() if row["status"] == "error"]
    assert results.complete


def test_the_good_output_is_scored_everywhere(run: Run) -> None:
    assert set(statuses(run, "good").values()) == {"ok"}
    assert value(run, "good", "video_quality/psnr") > 30
    assert value(run, "good", "video_quality/face_presence") == 1.0


def test_missing_output_is_charged(run: Run) -> None:
    assert set(statuses(run, "missing").values()) == {"output_missing"}
    assert run[1]["missing", "video_quality/psnr"]["counted"] == 0.0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty", "the file is empty"),
        ("text", "not readable as media"),
        ("no_index", "not readable as media"),
        ("cut_off", "s"),
        ("zero_frames", ""),
    ],
)
def test_unreadable_outputs_are_invalid_everywhere(run: Run, name: str, said: str) -> None:
    assert set(statuses(run, name).values()) == {"output_invalid"}
    for metric in METRICS:
        assert f"{name}.mp4" in reason(run, name, metric)
        assert said in reason(run, name, metric)


def test_cut_off_clip_says_how_far_it_could_be_read(run: Run) -> None:
    text = reason(run, "cut_off", "video_quality/psnr")
    assert "truncated" in text or "after" in text


def test_video_without_sound_loses_only_the_voice(run: Run) -> None:
    found = statuses(run, "no_sound")
    assert {found[m] for m in PICTURE + FACE} == {"ok"}
    assert {found[m] for m in VOICE} == {"output_invalid"}
    assert "no sound stream" in reason(run, "no_sound", "voice/resemblyzer")


def test_sound_without_video_loses_only_the_picture(run: Run) -> None:
    found = statuses(run, "no_picture")
    assert {found[m] for m in PICTURE + FACE} == {"output_invalid"}
    assert {found[m] for m in VOICE} == {"ok"}


def test_one_frame_is_too_little_to_compare_but_shows_a_face(run: Run) -> None:
    assert statuses(run, "one_frame")["video_quality/psnr"] == "output_invalid"
    assert "in common with the reference" in reason(run, "one_frame", "video_quality/psnr")
    assert statuses(run, "one_frame")["video_quality/steadiness"] == "output_invalid"
    assert value(run, "one_frame", "video_quality/face_presence") == 1.0


def test_one_second_is_enough(run: Run) -> None:
    assert {statuses(run, "one_second")[m] for m in PICTURE + FACE} == {"ok"}
    assert detail(run, "one_second", "video_quality/psnr", "seconds") == pytest.approx(1.0)


def test_four_minutes_are_scored_on_the_common_part(run: Run) -> None:
    assert set(statuses(run, "four_minutes").values()) == {"ok"}
    assert detail(run, "four_minutes", "video_quality/psnr", "seconds") == pytest.approx(3.0)
    assert detail(run, "four_minutes", "video_quality/face_presence", "key_frames") == 1200


@pytest.mark.parametrize("name", ["eight_fps", "sixty_fps", "variable_rate"])
def test_other_frame_rates_are_resampled_by_timestamp(run: Run, name: str) -> None:
    assert set(statuses(run, name).values()) == {"ok"}
    # Pairing by number instead of by time would compare other moments and fall far below.
    assert value(run, name, "video_quality/psnr") > 26
    assert detail(run, name, "video_quality/psnr", "seconds") == pytest.approx(3.0, abs=0.21)


def test_rotation_metadata_is_applied(run: Run) -> None:
    assert value(run, "rotated", "video_quality/psnr") > 30
    assert value(run, "rotated", "video_quality/face_presence") == 1.0


def test_sixteen_pixels_have_no_face_but_a_picture(run: Run) -> None:
    assert statuses(run, "tiny")["video_quality/psnr"] == "ok"
    assert value(run, "tiny", "video_quality/face_presence") == 0.0
    assert statuses(run, "tiny")["video_quality/sharpness"] == "output_invalid"


@pytest.mark.parametrize("name", ["uhd", "odd_size"])
def test_any_size_is_scored(run: Run, name: str) -> None:
    assert {statuses(run, name)[m] for m in PICTURE + FACE} == {"ok"}


@pytest.mark.parametrize("name", ["mono_8k", "stereo_48k"])
def test_any_sound_format_is_scored(run: Run, name: str) -> None:
    assert {statuses(run, name)[m] for m in VOICE} == {"ok"}


def test_stereo_is_the_same_voice(run: Run) -> None:
    assert value(run, "stereo_48k", "voice/resemblyzer") > 0.85


def test_silence_is_no_voice(run: Run) -> None:
    assert {statuses(run, "silent")[m] for m in VOICE} == {"output_invalid"}
    assert "no speech" in reason(run, "silent", "voice/resemblyzer")


def test_no_face_is_said_so(run: Run) -> None:
    assert value(run, "no_face", "video_quality/face_presence") == 0.0
    assert "face in 0 of" in reason(run, "no_face", "video_quality/sharpness")


def test_two_faces_are_two_tracks_and_one_responder(run: Run) -> None:
    assert detail(run, "two_faces", "video_quality/face_presence", "tracks") >= 2
    assert value(run, "two_faces", "video_quality/face_presence") == 1.0


def test_face_that_leaves_is_present_as_long_as_it_was(run: Run) -> None:
    assert value(run, "face_leaves", "video_quality/face_presence") == pytest.approx(30 / 75, abs=0.07)


def test_spaces_and_letters_of_any_script_are_names_like_others(run: Run) -> None:
    assert set(statuses(run, UNICODE_ID).values()) == {"ok"}
    assert value(run, UNICODE_ID, "video_quality/psnr") == 100.0


def test_the_check_lists_all_of_it_at_once(made: tuple[Path, Path]) -> None:
    benchmark, outputs = made
    checked = check_submission(outputs, vcb.load_benchmark(benchmark))
    found = {(problem.sample, problem.code) for problem in checked.errors}
    expected = {
        ("missing", "missing"),
        ("empty", "unreadable"),
        ("text", "unreadable"),
        ("no_index", "unreadable"),
        ("no_sound", "no_audio"),
        ("no_picture", "no_video"),
        ("zero_frames", "unreadable"),
        ("one_frame", "too_short"),
    }
    assert expected <= found
    warned = {(problem.sample, problem.message.split(";")[0]) for problem in checked.problems}
    assert ("rotated", "rotation metadata of 90 degrees was applied") in warned
    assert any(name == "four_minutes" and text.startswith("unusually long") for name, text in warned)
    assert any(name == "mono_8k" and "8000 Hz" in text for name, text in warned)


def test_outputs_of_the_references_shape_are_read_once_even_where_all_share_one_reference(run: Run) -> None:
    passes = run[0].run.decode_passes
    # Where the picture breaks off, the sound is heard once more by itself; that clip alone is read twice.
    assert passes["outputs/cut_off.mp4"] == 2
    whole = [name for name in passes if name.startswith("outputs/") and name != "outputs/cut_off.mp4"]
    # Others are read for the window of their own face first.
    others = {f"outputs/{name}.mp4" for name in ("four_minutes", "uhd", "odd_size", "no_face", "two_faces")}
    assert {name: passes[name] for name in whole} == {name: 1 + (name in others) for name in whole}
    # Eight clips are decoded in step at most, so the shared reference is read once for every seven outputs, and before
    # that for its window.
    assert passes["test/media/reference.mp4"] <= 5
