"""Cutting clips out of longer videos: every frame and every click must be where it was asked for."""

from __future__ import annotations

import itertools
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Paint, Pixels, Sound, make_clip, quadrants
from numpy.typing import NDArray

from vidchatbench.errors import MediaError
from vidchatbench.media.cut import SHORTFALL, Cut, CutReport, Source, cut_clip
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

BITS = 12
CLICKS = (0.21, 1.13, 2.71, 4.047, 5.5)


def coded(index: int, time: float, width: int, height: int) -> Pixels:
    """The index in black and white stripes, which survive any codec."""
    del time
    bits = [255 * (index >> bit & 1) for bit in range(BITS)]
    columns = np.minimum(np.arange(width) * BITS // width, BITS - 1)
    return np.repeat(np.repeat(np.asarray(bits, np.uint8)[columns][None], height, axis=0)[..., None], 3, axis=2)


def number_on(pixels: Pixels) -> int:
    height, width = pixels.shape[:2]
    centers = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(int(pixels[height // 2, x, 1] > 127) << bit for bit, x in enumerate(centers))


def clicks(seconds: float, rate: int, channels: int = 1) -> NDArray[np.float32]:
    """Single-period clicks at known times, different in height so that none is taken for another."""
    samples = np.zeros((channels, round(seconds * rate)), np.float32)
    period = np.sin(2 * np.pi * np.arange(rate // 1000) / (rate // 1000))
    for number, at in enumerate(CLICKS):
        place = round(at * rate)
        if place + len(period) < samples.shape[1]:
            samples[:, place : place + len(period)] = (0.4 + 0.1 * number) * period
    return samples


def make_source(
    path: Path,
    *,
    seconds: float = 6.0,
    fps: float = 25.0,
    rate: int = 48_000,
    channels: int = 1,
    start: float = 0.0,
    paint: Paint = coded,
    codec: str | None = None,
) -> Source:
    sound = Sound(sample_rate=rate, channels=channels, samples=clicks(seconds, rate, channels), start=start)
    make_clip(path, seconds=seconds, fps=fps, size=(192, 96), audio=sound, paint=paint, video_start=start, codec=codec)
    return Source(path, path)


def cut(source: Source, folder: Path, start: str | float, seconds: str | float, **more: object) -> CutReport:
    folder.mkdir(exist_ok=True)
    what = Cut(Fraction(start), Fraction(seconds), **more)  # type: ignore[arg-type]
    return cut_clip(source, what, folder / "clip.mp4", folder / "clip.wav")


def pictures(path: Path) -> list[Pixels]:
    return [picture.rgb() for picture, _ in ClipReader(path, probe(path), video=True, audio=False)]


def sound_of(path: Path) -> NDArray[np.float32]:
    reader = ClipReader(path, probe(path), video=True, audio=True)
    for _ in reader:
        pass
    return reader.audio.samples


def wav_of(path: Path) -> NDArray[np.float32]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def onsets(samples: NDArray[np.float32], rate: int = 16_000) -> list[float]:
    """Where clicks are, by their greatest value: a quarter of a millisecond after they begin."""
    loud = np.flatnonzero(np.abs(samples) > 0.12)
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > rate // 20) + 1) if len(loud) else []
    return [float(group[np.argmax(samples[group])]) / rate - 0.00025 for group in groups]


def nearest(start: Fraction, frames: int, fps: Fraction, count: int) -> list[int]:
    """The definition, by brute force: of all frames the nearest to each point, the earlier of two."""
    times = [number / fps for number in range(count)]
    return [
        min(range(count), key=lambda number, at=start + Fraction(k, 25): (abs(times[number] - at), number))
        for k in range(frames)
    ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (Fraction(25), 48_000),
        (Fraction(30_000, 1001), 44_100),
        (Fraction(24), 16_000),
        (Fraction(60), 48_000),
        (Fraction(12), 24_000),
    ],
    ids=str,
)
def test_the_cut_returns_the_frames_and_the_sound_that_were_asked_for(
    tmp_path: Path, suffix: str, fps: Fraction, rate: int
) -> None:
    rate = 48_000 if suffix == ".webm" else rate
    source = make_source(tmp_path / f"source{suffix}", fps=float(fps), rate=rate)
    for number, (start, seconds) in enumerate([("0", "1.5"), ("1.0137", "2"), ("2.6333", "1.48"), ("3.3", "2.52")]):
        folder = tmp_path / str(number)
        report = cut(source, folder, start, seconds)
        wanted = nearest(Fraction(start), report.frames, fps, round(6 * fps))
        shown = [number_on(pixels) for pixels in pictures(folder / "clip.mp4")]
        assert shown == wanted
        assert report.frames == round(float(seconds) * 25)
        expected = [at - float(start) for at in CLICKS if 0.002 < at - float(start) < report.frames / 25 - 0.005]
        assert expected or number == 3
        for samples in (wav_of(folder / "clip.wav"), sound_of(folder / "clip.mp4")):
            assert onsets(samples) == pytest.approx(expected, abs=0.001)
        assert len(wav_of(folder / "clip.wav")) == round(report.frames / 25 * 16_000)


def test_every_start_within_a_group_of_pictures_is_exact(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mp4", seconds=4.0)
    for number in range(0, 60, 7):
        start = Fraction(number, 25)
        cut(source, tmp_path / "out", start, "0.2")
        assert [number_on(p) for p in pictures(tmp_path / "out" / "clip.mp4")] == list(range(number, number + 5))


def test_time_counts_from_the_start_of_the_file_as_tools_count_it(tmp_path: Path) -> None:
    source = make_source(tmp_path / "late.mkv", seconds=4.0, start=1.4)
    with av.open(str(source.picture)) as container:
        assert container.start_time == pytest.approx(1.4e6, abs=3e4)
        first = Fraction(container.start_time, av.time_base)
    cut(source, tmp_path / "out", "1", "1")
    shown = [number_on(pixels) for pixels in pictures(tmp_path / "out" / "clip.mp4")]
    assert shown == list(range(25, 50))
    late = 1.4 - float(first)
    assert onsets(wav_of(tmp_path / "out" / "clip.wav")) == pytest.approx([1.13 - 1 + late], abs=0.001)


def test_picture_and_sound_may_lie_apart(tmp_path: Path) -> None:
    both = make_source(tmp_path / "both.mp4")
    make_clip(tmp_path / "picture.mp4", seconds=6, size=(192, 96), audio=None, paint=coded)
    sound = Sound(sample_rate=48_000, samples=clicks(6, 48_000))
    make_clip(tmp_path / "sound.m4v", seconds=6, video=False, audio=sound)
    apart = Source(tmp_path / "picture.mp4", tmp_path / "sound.m4v")
    cut(both, tmp_path / "a", "1", "2")
    cut(apart, tmp_path / "b", "1", "2")
    first, second = (pictures(tmp_path / name / "clip.mp4") for name in "ab")
    assert [number_on(p) for p in first] == [number_on(p) for p in second] == list(range(25, 75))
    np.testing.assert_allclose(wav_of(tmp_path / "a" / "clip.wav"), wav_of(tmp_path / "b" / "clip.wav"), atol=0.02)


def test_the_box_is_cut_in_fractions_of_the_upright_picture(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mp4", seconds=1.0, paint=quadrants)
    report = cut(source, tmp_path / "out", "0", "0.4", box=(0.5, 0.0, 1.0, 0.5))
    assert (report.width, report.height) == (96, 48)
    assert (report.source_width, report.source_height) == (192, 96)
    red, green, blue = pictures(tmp_path / "out" / "clip.mp4")[3][10:-10, 10:-10].reshape(-1, 3).mean(axis=0)
    assert (green > 180, red < 70, blue < 70) == (True, True, True)


@pytest.mark.parametrize("box", [(0.013, 0.021, 0.777, 0.999), (0.0, 0.0, 1.0, 1.0), (0.49, 0.49, 0.5, 0.5)])
def test_sides_are_even_and_inside_the_picture(tmp_path: Path, box: tuple[float, float, float, float]) -> None:
    source = make_source(tmp_path / "source.mp4", seconds=1.0)
    report = cut(source, tmp_path / "out", "0", "0.2", box=box)
    assert (report.width % 2, report.height % 2) == (0, 0)
    assert abs(report.width - (box[2] - box[0]) * 192) <= 3
    assert abs(report.height - (box[3] - box[1]) * 96) <= 3
    assert pictures(tmp_path / "out" / "clip.mp4")[0].shape == (report.height, report.width, 3)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_video_is_upright_before_it_is_cut(tmp_path: Path, turn: int) -> None:
    stored = quadrants(0, 0, 192, 96)
    make_clip(tmp_path / "turned.mp4", seconds=1, size=(192, 96), paint=quadrants, rotation=turn)
    source = Source(tmp_path / "turned.mp4", tmp_path / "turned.mp4")
    report = cut(source, tmp_path / "out", "0", "0.2", box=(0.0, 0.0, 0.5, 0.5))
    upright = pictures(tmp_path / "turned.mp4")[0]
    assert upright.shape[:2] == (stored.shape[:2] if turn == 180 else stored.shape[1::-1])
    shown = pictures(tmp_path / "out" / "clip.mp4")[0]
    assert shown.shape[:2] == (report.height, report.width) == (upright.shape[0] // 2, upright.shape[1] // 2)
    middle = shown[shown.shape[0] // 2, shown.shape[1] // 2].astype(int)
    np.testing.assert_allclose(middle, upright[upright.shape[0] // 4, upright.shape[1] // 4].astype(int), atol=12)


def test_ten_bits_and_stereo(tmp_path: Path) -> None:
    sound = Sound(sample_rate=48_000, channels=2, samples=clicks(2, 48_000, 2))
    path = make_clip(
        tmp_path / "deep.mkv", seconds=2, size=(192, 96), audio=sound, paint=coded, pixel_format="yuv420p10le"
    )
    cut(Source(path, path), tmp_path / "out", "0.4", "1")
    info = probe(tmp_path / "out" / "clip.mp4")
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.pixel_format, info.audio.channels, info.audio.sample_rate) == ("yuv420p", 2, 48_000)
    assert [number_on(p) for p in pictures(tmp_path / "out" / "clip.mp4")] == list(range(10, 35))
    assert onsets(wav_of(tmp_path / "out" / "clip.wav")) == pytest.approx([1.13 - 0.4], abs=0.001)


def test_a_rate_that_aac_does_not_know_is_changed_without_a_shift(tmp_path: Path) -> None:
    sound = Sound(sample_rate=96_000, samples=clicks(6, 96_000), codec="pcm_s16le")
    path = make_clip(tmp_path / "fine.mkv", seconds=6, size=(192, 96), audio=sound, paint=coded)
    cut(Source(path, path), tmp_path / "out", "1", "4")
    for samples in (wav_of(tmp_path / "out" / "clip.wav"), sound_of(tmp_path / "out" / "clip.mp4")):
        assert onsets(samples) == pytest.approx([at - 1 for at in CLICKS[1:4]], abs=0.0003)


def test_a_hole_in_the_sound_stays_a_hole(tmp_path: Path) -> None:
    sound = Sound(sample_rate=48_000, seconds=5, samples=clicks(5, 48_000), gap=(2.0, 0.8), codec="pcm_s16le")
    path = make_clip(tmp_path / "hole.mkv", seconds=6, size=(192, 96), audio=sound, paint=coded)
    cut(Source(path, path), tmp_path / "out", "1", "4")
    assert onsets(wav_of(tmp_path / "out" / "clip.wav")) == pytest.approx([0.13, 2.51, 3.847], abs=0.001)


def test_sound_that_changes_its_kind_is_one_sound(tmp_path: Path) -> None:
    parts = []
    for number, (channels, rate) in enumerate([(1, 48_000), (2, 44_100)]):
        sound = Sound(sample_rate=rate, channels=channels, samples=clicks(2, rate, channels), start=2.0 * number)
        sound = replace(sound, codec="aac")
        name = tmp_path / f"{number}.ts"
        more = {"video_start": 2.0 * number, "codec": "libx264"}
        parts.append(make_clip(name, seconds=2, size=(192, 96), audio=sound, paint=coded, **more))  # type: ignore[arg-type]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    cut(Source(source, source), tmp_path / "out", "0", "3.6")
    begins: dict[int, float] = {}
    with av.open(str(source)) as container:
        for frame in container.decode(audio=0):
            begins.setdefault(frame.sample_rate, float(frame.time))
    apart = begins[44_100] - begins[48_000]
    found = onsets(wav_of(tmp_path / "out" / "clip.wav"))
    # An encoder begins with 1024 samples of its own.
    more = 1024 / 44_100 - 1024 / 48_000
    assert [at - found[0] for at in found] == pytest.approx([0, 0.92, apart + more, apart + 0.92 + more], abs=0.001)


def test_a_file_that_cannot_be_sought_in_is_read_from_its_beginning(tmp_path: Path) -> None:
    sound = Sound(sample_rate=48_000, samples=clicks(6, 48_000), codec="mp2")
    path = make_clip(tmp_path / "old.mpg", seconds=6, size=(192, 96), audio=sound, paint=coded, codec="mpeg2video")
    with av.open(str(path)) as container:
        origin = Fraction(container.start_time, av.time_base)
        times = [
            (Fraction(frame.pts * frame.time_base) - origin, number_on(frame.to_ndarray(format="rgb24")))
            for frame in container.decode(video=0)
            if frame.pts is not None
        ]
    for start in ("0.5", "1.434", "2.722", "4.1"):
        cut(Source(path, path), tmp_path / "out", start, "1")
        points = [Fraction(start) + Fraction(k, 25) for k in range(25)]
        wanted = [min(times, key=lambda item, at=at: (abs(item[0] - at), item[0]))[1] for at in points]
        assert [number_on(p) for p in pictures(tmp_path / "out" / "clip.mp4")] == wanted


def test_pictures_without_an_order_in_time_are_refused(tmp_path: Path) -> None:
    sound = Sound(sample_rate=48_000, samples=clicks(3, 48_000))
    path = make_clip(tmp_path / "odd.avi", seconds=3, size=(192, 96), audio=sound, paint=coded, codec="libx264")
    with pytest.raises(MediaError, match="times go back"):
        cut(Source(path, path), tmp_path / "out", "0.5", "1")


def test_a_strip_keeps_two_lines_where_it_is_shrunk(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "wide.mp4", seconds=1, size=(3840, 64), audio=Sound())
    report = cut(Source(path, path), tmp_path / "out", "0", "0.2", box=(0.0, 0.0, 1.0, 0.04))
    assert (report.width, report.height) == (1920, 2)
    assert pictures(tmp_path / "out" / "clip.mp4")[0].shape == (2, 1920, 3)


@pytest.mark.parametrize("space", [1, 5])
def test_the_colour_space_of_the_source_is_kept(tmp_path: Path, space: int) -> None:
    path = make_clip(tmp_path / "tagged.mp4", seconds=1, size=(192, 96), paint=quadrants, color_space=space)
    cut(Source(path, path), tmp_path / "out", "0", "0.4")
    before, after = (probe(p).video for p in (path, tmp_path / "out" / "clip.mp4"))
    assert before is not None
    assert after is not None
    assert after.color_space == before.color_space
    for one, other in zip(pictures(path), pictures(tmp_path / "out" / "clip.mp4"), strict=False):
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 3


def test_equal_cuts_have_equal_bytes(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mp4")
    for name in "ab":
        cut(source, tmp_path / name, "1.21", "2.2", box=(0.1, 0.1, 0.9, 0.9))
    for file in ("clip.mp4", "clip.wav"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_video_that_ends_a_little_early_gives_a_shorter_clip(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mp4", seconds=3.0)
    report = cut(source, tmp_path / "out", "2", Fraction(1) + SHORTFALL)
    assert (report.frames, report.missing) == (25, 5)
    assert len(pictures(tmp_path / "out" / "clip.mp4")) == 25
    assert len(wav_of(tmp_path / "out" / "clip.wav")) == 16_000


@pytest.mark.parametrize(("start", "seconds"), [("2", "1.3"), ("3.5", "1"), ("100", "1")])
def test_a_video_that_ends_too_early_is_told(tmp_path: Path, start: str, seconds: str) -> None:
    source = make_source(tmp_path / "source.mp4", seconds=3.0)
    with pytest.raises(MediaError, match=r"ends at 3\.00 s|no picture at or after|no sound") as raised:
        cut(source, tmp_path / "out", start, seconds)
    assert raised.value.path.endswith("source.mp4")


def test_what_lacks_a_stream_or_is_no_video_is_told(tmp_path: Path) -> None:
    silent = make_clip(tmp_path / "silent.mp4", seconds=2, audio=None)
    with pytest.raises(MediaError, match=r"silent.mp4: there is no sound stream"):
        cut(Source(silent, silent), tmp_path / "out", "0", "1")
    blind = make_clip(tmp_path / "blind.mkv", seconds=2, video=False)
    with pytest.raises(MediaError, match=r"blind.mkv: there is no picture stream"):
        cut(Source(blind, blind), tmp_path / "out", "0", "1")
    (tmp_path / "page.mp4").write_text("<html>Sign in to confirm</html>")
    with pytest.raises(MediaError, match="not readable as media"):
        cut(Source(tmp_path / "page.mp4", tmp_path / "page.mp4"), tmp_path / "out", "0", "1")


def test_a_video_cut_off_in_the_middle_is_told(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.mkv", seconds=6.0)
    content = source.picture.read_bytes()
    source.picture.write_bytes(content[: len(content) // 2])
    with pytest.raises(MediaError, match=r"source.mkv"):
        cut(source, tmp_path / "out", "4.5", "1.4")


def test_lengths_are_rounded_to_whole_frames() -> None:
    lengths = [Fraction("0.001"), Fraction("0.06"), Fraction("0.0599"), Fraction(4), Fraction("4.2345")]
    assert [Cut(Fraction(0), seconds).frames for seconds in lengths] == [1, 2, 1, 100, 106]
    for first, second in itertools.pairwise(sorted(lengths)):
        assert Cut(Fraction(0), first).frames <= Cut(Fraction(0), second).frames
