"""Media as strangers make them: display matrices, odd layouts, clocks that stumble, several tracks, pauses.

Each kind is made here, with neighbours on either side of its threshold. What is right follows from the definition (of a
display matrix, of a mean, of a timestamp), and where the ffmpeg tool is there, also from its own answer.
"""

from __future__ import annotations

import itertools
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray

from vidchatbench.api.extractors import SAMPLE_RATE
from vidchatbench.errors import MediaError
from vidchatbench.media.frames import GridSampler, Picture
from vidchatbench.media.orientation import UPRIGHT, Orientation, shown_size
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader, grid_frames
from vidchatbench.media.sound import HoleError, SoundTrack

MakeClip = Callable[..., Path]
Pixels = NDArray[np.uint8]
ONE = 1 << 16


def read(path: Path, fps: float = 25.0) -> tuple[list[Pixels], NDArray[np.float32]]:
    """The pictures on a grid, and the sound."""
    reader = ClipReader(path, probe(path), video=True, audio=True)
    pictures = [frame.rgb() for frame in grid_frames(reader, fps)] if probe(path).video else list(reader)
    return pictures, reader.audio.samples


# --- display matrices -----------------------------------------------------------------------------------------------


def with_matrix(path: Path, entries: Sequence[int]) -> Path:
    """Overwrites the display matrix in the header of an MP4's first track; ``entries`` are a, b, c, d in 16.16."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = entries
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def shown(pixels: Pixels, matrix: tuple[int, int, int, int]) -> Pixels:
    """The definition, pixel by pixel: the stored pixel (x, y) is shown at (a x + c y, b x + d y), moved into sight."""
    a, b, c, d = matrix
    height, width = pixels.shape[:2]
    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(width) for y in range(height)}
    left, top = min(x for x, _ in places.values()), min(y for _, y in places.values())
    sides = (width, height) if a else (height, width)
    result = np.zeros((sides[1], sides[0], 3), np.uint8)
    for (x, y), (to_x, to_y) in places.items():
        result[to_y - top, to_x - left] = pixels[y, x]
    return result


QUARTERS = [
    *[(a, 0, 0, d) for a, d in itertools.product((1, -1), repeat=2)],
    *[(0, b, c, 0) for b, c in itertools.product((1, -1), repeat=2)],
]


@pytest.mark.parametrize("matrix", QUARTERS)
def test_every_turn_and_mirror_is_applied(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, matrix: tuple[int, int, int, int]
) -> None:
    path = make_clip(tmp_path / "c.mp4", seconds=0.2, size=(32, 16), paint=clips.quadrants, audio=None, lossless=True)
    stored = read(path)[0][0]
    with_matrix(path, [entry * ONE for entry in matrix])
    info = probe(path).video
    assert info is not None
    assert info.matrix == matrix
    expected = shown(stored, matrix)
    assert (info.height, info.width) == expected.shape[:2]
    np.testing.assert_array_equal(read(path)[0][0], expected)


@pytest.mark.parametrize("matrix", QUARTERS)
def test_turns_and_mirrors_are_those_of_ffmpeg(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, matrix: tuple[int, int, int, int]
) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs the ffmpeg tool")
    path = make_clip(tmp_path / "c.mp4", seconds=0.2, size=(32, 16), paint=clips.quadrants, audio=None, lossless=True)
    with_matrix(path, [entry * ONE for entry in matrix])
    command = [ffmpeg, "-v", "error", "-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    mine = read(path)[0][0]
    np.testing.assert_array_equal(mine, np.frombuffer(raw, np.uint8).reshape(mine.shape))


@pytest.mark.parametrize(
    ("entries", "known"),
    [
        ((ONE, 500, -500, ONE), True),  # 0.8 % off, a writer's rounding
        ((ONE, 1400, -1400, ONE), False),  # 2.1 % off, a slight turn
        ((2 * ONE, 0, 0, 2 * ONE), True),  # shown larger, which the size of a window decides
        ((46_341, 46_341, -46_341, 46_341), False),  # 45 degrees
        ((0, 0, 0, 0), False),
        ((ONE, 0, 0, 0), False),
        ((ONE, ONE, ONE, ONE), False),
    ],
)
def test_what_is_no_quarter_turn_is_warned_of_and_not_applied(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, entries: tuple[int, int, int, int], known: bool
) -> None:
    path = make_clip(tmp_path / "c.mp4", seconds=0.2, size=(32, 16), paint=clips.quadrants, audio=None, lossless=True)
    stored = read(path)[0][0]
    info = probe(with_matrix(path, entries))
    warned = "the display matrix is neither a quarter turn nor a mirror image; it is not applied" in info.warnings
    assert warned is not known
    np.testing.assert_array_equal(read(path)[0][0], stored)


def test_turns_compose_as_their_degrees() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for degrees in (0, 90, 180, 270):
        turned = Orientation.turned(degrees)
        assert (turned.degrees, turned.is_mirror) == (degrees, False)
        np.testing.assert_array_equal(turned.apply(pixels), np.rot90(pixels, degrees // 90))
    mirrors = [matrix for matrix in QUARTERS if Orientation(matrix).is_mirror]
    assert mirrors == [(1, 0, 0, -1), (-1, 0, 0, 1), (0, 1, 1, 0), (0, -1, -1, 0)]


def test_a_matrix_that_stretches_is_the_shape_of_the_pixels(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType
) -> None:
    path = make_clip(tmp_path / "c.mp4", seconds=0.2, size=(32, 16), paint=clips.quadrants, audio=None, lossless=True)
    info = probe(with_matrix(path, (2 * ONE, 0, 0, ONE))).video
    assert info is not None
    assert (info.matrix, info.pixel_aspect, info.width, info.height) == ((1, 0, 0, 1), "2:1", 64, 16)


# --- pixels that are not square -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aspect", "orientation", "size"),
    [
        (Fraction(1), UPRIGHT, (60, 40)),
        (Fraction(4, 3), UPRIGHT, (80, 40)),
        (Fraction(3, 4), UPRIGHT, (60, 53)),
        (Fraction(4, 3), Orientation.turned(90), (40, 80)),
        (Fraction(121, 120), UPRIGHT, (61, 40)),
        (Fraction(241, 240), UPRIGHT, (60, 40)),
    ],
)
def test_the_shown_size(aspect: Fraction, orientation: Orientation, size: tuple[int, int]) -> None:
    assert shown_size(60, 40, orientation, aspect) == size


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 60, 40, "bgr0"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        picture = np.zeros((40, 60, 3), np.uint8)
        picture[:, 30:] = 255
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    info = probe(path)
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.pixel_aspect) == (80, 40, "4:3")
    assert "pixels are not square (4:3); shown at 80 x 40" in info.warnings
    (first, *_), _ = read(path)
    assert first.shape == (40, 80, 3)
    assert (first[:, :38].max(), first[:, 42:].min()) == (0, 255)


# --- channels, rates and clocks of the sound ------------------------------------------------------------------------

LAYOUTS = ["mono", "stereo", "2.1", "3.0", "quad", "4.1", "5.0", "5.1", "6.1", "7.0", "7.1", "7.1(wide)", "octagonal"]
LAYOUTS += ["hexadecagonal"]
READ_SOUND = """
import sys
from pathlib import Path
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader
path = Path(sys.argv[1])
reader = ClipReader(path, probe(path), video=False, audio=True)
list(reader)
print(probe(path).audio.channels, len(reader.audio.samples), float(abs(reader.audio.samples[4000:8000]).max()))
"""


def write_channels(path: Path, codec: str, layout: str, sample_format: str) -> int:
    """Writes a second of sound whose first channel alone carries a tone of amplitude 0.5; returns the channels."""
    channels = av.AudioLayout(layout).nb_channels
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout=layout, format=sample_format)
        wave = np.zeros((channels, 48_000), np.float32)
        wave[0] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)
        to_codec = av.AudioResampler(format=stream.format, layout=layout, rate=48_000)
        packed = av.AudioFrame.from_ndarray(wave.T.reshape(1, -1).copy(), format="flt", layout=layout)
        packed.sample_rate = 48_000
        packed.pts, packed.time_base = 0, Fraction(1, 48_000)
        for frame in [*to_codec.resample(packed), *to_codec.resample(None)]:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return channels


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_the_mean_of_its_channels(tmp_path: Path, layout: str) -> None:
    # In a child process: eight planes once ended the process that read them.
    path = tmp_path / "c.mkv"
    channels = write_channels(path, "pcm_f32le", layout, "flt")
    done = subprocess.run(
        [sys.executable, "-c", READ_SOUND, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told, length, peak = done.stdout.split()
    assert (int(told), int(length)) == (channels, SAMPLE_RATE)
    assert float(peak) == pytest.approx(0.5 / channels, rel=0.01)


@pytest.mark.parametrize(("codec", "layout"), [("aac", "5.1"), ("aac", "7.1"), ("flac", "7.1"), ("flac", "6.1")])
def test_planes_of_lossy_and_lossless_codecs(tmp_path: Path, codec: str, layout: str) -> None:
    path = tmp_path / "c.mkv"
    channels = write_channels(path, codec, layout, "fltp" if codec == "aac" else "s16")
    command = [sys.executable, "-c", READ_SOUND, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[2]) == pytest.approx(0.5 / channels, rel=0.1)


def part(path: Path, rate: int, layout: str, start: float, frequency: float) -> bytes:
    """Two seconds of a tone in a transport stream, stamped from ``start`` on."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mp2", rate=rate, layout=layout)
        channels = 1 if layout == "mono" else 2
        wave = 0.25 * np.sin(2 * np.pi * frequency * np.arange(2 * rate) / rate)
        for at in range(0, 2 * rate, 1152):
            chunk = np.repeat(wave[at : at + 1152, None], channels, axis=1).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray((32_767 * chunk).astype(np.int16), format="s16", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = at + round(start * rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def pitch(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(samples)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((48_000, "mono"), (48_000, "stereo")),
        ((48_000, "stereo"), (44_100, "stereo")),
        ((32_000, "mono"), (48_000, "mono")),
    ],
)
def test_rate_and_layout_may_change_within_a_clip(
    tmp_path: Path, first: tuple[int, str], second: tuple[int, str]
) -> None:
    one = part(tmp_path / "1.ts", *first, 0.0, 440.0)
    two = part(tmp_path / "2.ts", *second, 2.0, 880.0)
    path = tmp_path / "both.ts"
    path.write_bytes(one + two)
    _, samples = read(path)
    assert len(samples) / SAMPLE_RATE == pytest.approx(4.0, abs=0.1)
    assert pitch(samples[SAMPLE_RATE // 2 : 3 * SAMPLE_RATE // 2]) == pytest.approx(440, abs=3)
    assert pitch(samples[5 * SAMPLE_RATE // 2 : 7 * SAMPLE_RATE // 2]) == pytest.approx(880, abs=3)


def ticks(stamps: Sequence[tuple[float, float]], rate: int = 16_000) -> SoundTrack:
    """A track of frames of 0.1 s, each as (timestamp, level)."""
    track = SoundTrack()
    for stamp, level in stamps:
        frame = av.AudioFrame.from_ndarray(np.full((1, rate // 10), level, np.float32), format="flt", layout="mono")
        frame.sample_rate = rate
        track.take(frame, Fraction(round(stamp * 1000), 1000))
    track.close()
    return track


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("back", [0.3, 0.1, 0.05, 0.021])
def test_timestamps_that_step_back_move_nothing_that_follows(back: float, rate: int) -> None:
    # Ten frames up to 1 s, then the clock steps back; the click is stamped 2.0 s.
    stamps = [(k / 10, 0.0) for k in range(10)]
    again = [(1.0 - back + k / 10, 0.0) for k in range(int((1.0 + back) * 10) - 1)]
    track = ticks([*stamps, *again, (2.0, 0.5), (2.1, 0.0)], rate)
    at = int(np.argmax(track.samples > 0.25)) / SAMPLE_RATE
    assert at == pytest.approx(2.0, abs=0.025)
    assert track.seconds == pytest.approx(2.2, abs=0.025)


def test_what_was_there_first_stays_where_timestamps_step_back() -> None:
    track = ticks([(0.0, 0.1), (0.1, 0.2), (0.1, 0.9), (0.15, 0.3)])
    levels = [float(track.samples[round(at * SAMPLE_RATE)]) for at in (0.05, 0.15, 0.19, 0.21, 0.24)]
    assert levels == pytest.approx([0.1, 0.2, 0.2, 0.3, 0.3])
    assert track.seconds == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("off", "honoured"), [(0.019, False), (0.02, False), (0.021, True), (-0.019, False), (-0.02, False), (-0.021, True)]
)
def test_rounding_of_timestamps_is_no_hole_and_no_overlap(off: float, honoured: bool) -> None:
    track = ticks([(0.0, 0.1), (0.1 + off, 0.2)])
    assert track.seconds == pytest.approx(0.2 + (off if honoured else 0.0), abs=1e-3)


def test_a_hole_of_more_than_ten_minutes_is_refused() -> None:
    assert ticks([(0.0, 0.1), (600.0, 0.2)]).seconds == pytest.approx(600.1)
    with pytest.raises(HoleError, match=r"a hole of 600\.1 s"):
        ticks([(0.0, 0.1), (600.2, 0.2)])


@pytest.mark.parametrize("channels", ["mono", "stereo"])
def test_floats_beyond_full_scale_are_clipped_as_players_do(tmp_path: Path, channels: str) -> None:
    wave = 19.0 * np.sin(2 * np.pi * 300 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    wave[100:103] = (np.nan, np.inf, -np.inf)
    expected = np.clip(np.nan_to_num(wave, nan=0.0, posinf=1.0, neginf=-1.0), -1, 1)
    count = 1 if channels == "mono" else 2
    path = tmp_path / "c.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=SAMPLE_RATE, layout=channels)
        packed = np.repeat(wave[:, None], count, axis=1).reshape(1, -1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=channels)
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    np.testing.assert_allclose(read(path)[1], expected, atol=1e-6)
    assert "sound is stored as floats; what is beyond full scale is clipped" in probe(path).warnings


# --- which tracks are read ------------------------------------------------------------------------------------------


def several(path: Path, flags: Sequence[tuple[int, int]]) -> Path:
    """Writes pictures of level 50, 100 ... and tones of 300, 600 ... Hz; ``flags`` says which are the default."""
    with av.open(str(path), "w") as container:
        pictures, sounds = [], []
        for shown_by_default, played_by_default in flags:
            video = container.add_stream("libx264", rate=25, options={"crf": "10"})
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.disposition = Disposition.default if shown_by_default else Disposition(0)
            audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            audio.disposition = Disposition.default if played_by_default else Disposition(0)
            pictures.append(video)
            sounds.append(audio)
        for number, (video, audio) in enumerate(zip(pictures, sounds, strict=True), 1):
            for _ in range(25):
                picture = np.full((48, 64, 3), 50 * number, np.uint8)
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(video.encode(None))
            wave = 0.5 * np.sin(2 * np.pi * 300 * number * np.arange(16_000) / 16_000)
            frame = av.AudioFrame.from_ndarray((32_767 * wave).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux([*audio.encode(frame), *audio.encode(None)])
    return path


@pytest.mark.parametrize(
    ("flags", "picture", "sound"),
    [
        ([(0, 0), (1, 1)], 2, 2),
        ([(1, 0), (0, 1)], 1, 2),
        ([(0, 0), (0, 1), (1, 0)], 3, 2),
        ([(1, 1), (1, 1)], 1, 1),
        ([(0, 0), (0, 0)], 1, 1),
    ],
)
def test_the_default_track_is_read_and_recorded(
    tmp_path: Path, flags: list[tuple[int, int]], picture: int, sound: int
) -> None:
    path = several(tmp_path / "c.mkv", flags)
    info = probe(path)
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.track, info.audio.track) == (2 * (picture - 1), 2 * (sound - 1) + 1)
    assert f"there are {len(flags)} picture streams; stream {info.video.track} is read" in info.warnings
    pictures, samples = read(path)
    assert pictures[0].mean() == pytest.approx(50 * picture, abs=3)
    assert pitch(samples) == pytest.approx(300 * sound, abs=2)


# --- the time grid across pauses ------------------------------------------------------------------------------------


def changes(times: Sequence[Fraction], nominal: Fraction | None, fps: float = 25.0) -> list[Fraction]:
    """The grid times at which another picture appears."""
    sampler = GridSampler(fps)
    pixels = [np.full((1, 1, 3), number, np.uint8) for number in range(len(times))]
    frames = []
    for picture, time in zip(pixels, times, strict=True):
        frames += sampler.push(Picture(picture, frame_seconds=nominal), time)
    frames += sampler.close(times[-1] + Fraction(1))
    levels = [int(frame.rgb()[0, 0, 0]) for frame in frames]
    return [frame.exact_time for frame, (a, b) in zip(frames[1:], itertools.pairwise(levels), strict=True) if a != b]


@pytest.mark.parametrize("nominal", [Fraction(1, 25), Fraction(1, 30), Fraction(1, 5)])
@pytest.mark.parametrize("pause", [Fraction(3), Fraction(1), Fraction(2, 5)])
def test_a_picture_is_held_until_the_next_is_due(pause: Fraction, nominal: Fraction) -> None:
    assert changes([Fraction(0), pause], nominal) == [pause]


@pytest.mark.parametrize(("distance", "expected"), [(Fraction(12, 100), 2), (Fraction(13, 100), 3)])
def test_a_pause_begins_beyond_one_and_a_half_frames(distance: Fraction, expected: int) -> None:
    # At 12.5 frames a second, 0.12 s is one and a half frames: nearest up to 0.06 s, so grid point 2 shows the next.
    assert changes([Fraction(0), distance], Fraction(2, 25)) == [Fraction(expected, 25)]


@pytest.mark.parametrize("jitter", [1, 5, 10, 18])
def test_jitter_repeats_nothing(jitter: int) -> None:
    generator = np.random.default_rng(jitter)
    offsets = [0, *generator.integers(-jitter, jitter + 1, 99).tolist()]
    times = [Fraction(40 * k + int(offset), 1000) for k, offset in enumerate(offsets)]
    assert changes(times, Fraction(1, 25)) == [Fraction(k, 25) for k in range(1, 100)]


def test_after_a_pause_a_picture_may_come_a_little_early() -> None:
    due = Fraction(1)
    assert changes([Fraction(0), due + Fraction(19, 1000)], Fraction(1, 25)) == [due]
    assert changes([Fraction(0), due + Fraction(20, 1000)], Fraction(1, 25)) == [due + Fraction(1, 25)]
    assert changes([Fraction(0), due + Fraction(1, 121)], Fraction(1, 60)) == [due]
    assert changes([Fraction(0), due + Fraction(1, 120)], Fraction(1, 60)) == [due + Fraction(1, 25)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_flash_after_a_pause_comes_when_it_is_stamped(tmp_path: Path, make_clip: MakeClip, suffix: str) -> None:
    def paint(index: int, time: float, width: int, height: int) -> Pixels:
        del index
        return np.full((height, width, 3), 255 if 3.0 <= time < 3.2 else 16, np.uint8)

    steady = make_clip(tmp_path / f"steady{suffix}", seconds=4.0, paint=paint, audio=None)
    dropped = make_clip(tmp_path / f"dropped{suffix}", seconds=4.0, times=[0.0, 3.0, 3.2], paint=paint, audio=None)
    for path in (steady, dropped):
        pictures, _ = read(path)
        white = [k for k, picture in enumerate(pictures) if picture.mean() > 128]
        assert white[0] == 75, path.name


# --- lengths and faults ---------------------------------------------------------------------------------------------


def test_few_pictures_under_a_long_sound_are_no_truncated_clip(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType
) -> None:
    path = make_clip(
        tmp_path / "c.mkv", seconds=1.0, times=[0.0, 0.5, 1.0], audio=clips.Sound(seconds=6.0), size=(160, 120)
    )
    pictures, samples = read(path)
    assert len(pictures) >= 25
    assert len(samples) / SAMPLE_RATE == pytest.approx(6.0, abs=0.05)


def broken_sound(path: Path, broken_from: int) -> Path:
    """Four seconds of picture and AAC; from a packet on, the sound is noise to the decoder."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for level in range(100):
            picture = np.full((48, 64, 3), level, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        wave = 0.25 * np.sin(2 * np.pi * 440 * np.arange(64_000) / 16_000).astype(np.float32)
        packets: list[av.Packet] = []
        for at in range(0, 64_000, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), at
            packets += audio.encode(frame)
        for number, packet in enumerate([*packets, *audio.encode(None)]):
            sent = packet
            if number >= broken_from:
                sent = av.Packet(bytes([0xFF]) + generator.bytes(40))
                sent.pts, sent.dts, sent.time_base, sent.stream = packet.pts, packet.dts, packet.time_base, audio
            container.mux(sent)
    return path


def test_broken_sound_is_the_clips_fault_and_leaves_the_pictures(tmp_path: Path) -> None:
    path = broken_sound(tmp_path / "c.mkv", 30)
    reader = ClipReader(path, probe(path), video=True, audio=True)
    pictures = list(grid_frames(reader, 25.0))
    assert len(pictures) == 100
    with pytest.raises(MediaError, match=r"not readable as media: .*, after 1\.\d\d s"):
        _ = reader.audio


def test_a_size_that_changes_within_a_clip_is_shown_at_one(tmp_path: Path) -> None:
    contents = b""
    for number, (width, height) in enumerate([(64, 48), (128, 96)]):
        path = tmp_path / f"{number}.ts"
        with av.open(str(path), "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            for k in range(25):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 100, np.uint8), format="rgb24")
                frame.pts, frame.time_base = k + 25 * number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        contents += path.read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(contents)
    pictures, _ = read(path)
    assert len(pictures) >= 45
    assert {picture.shape for picture in pictures} == {(48, 64, 3)}
