"""Decoding comes before every number: a picture at the wrong time, a sound out of place, would show nowhere else."""

from __future__ import annotations

import math
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.errors import MediaError
from vidchatbench.media.frames import GridFrame, GridSampler, Picture, cover
from vidchatbench.media.orientation import Orientation
from vidchatbench.media.probe import MediaInfo, probe
from vidchatbench.media.reader import ClipReader

MakeClip = Callable[..., Path]
Pixels = NDArray[np.uint8]
RATE = 16_000

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg tool is the reference here")


class Read:
    """A clip, read to its end."""

    def __init__(self, path: Path, *, video: bool = True, audio: bool = True) -> None:
        self.info: MediaInfo = probe(path)
        self.reader = ClipReader(path, self.info, video=video, audio=audio)
        self.pictures: list[Pixels] = []
        self.times: list[Fraction] = []
        for picture, time in self.reader:
            self.pictures.append(picture.rgb())
            self.times.append(time)
        self.sound = self.reader.audio.samples

    def onset(self) -> float:
        """Second at which the sound first reaches half of its peak."""
        loud = np.abs(self.sound)
        return float(np.argmax(loud >= loud.max() / 2)) / RATE


def rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


# --- probing --------------------------------------------------------------------------------------------------------


def test_probe_tells_what_a_clip_is(tmp_path: Path, make_clip: MakeClip, clips: ModuleType) -> None:
    path = make_clip(
        tmp_path / "a b ü.mp4", seconds=2, fps=30, size=(80, 60), audio=clips.Sound(sample_rate=48_000, channels=2)
    )
    info = probe(path)
    assert info.bytes == path.stat().st_size
    assert len(info.sha256) == 64
    assert not info.is_image
    assert info.video is not None
    assert (info.video.codec, info.video.width, info.video.height) == ("h264", 80, 60)
    assert (info.video.fps, info.video.frames, info.video.rotation) == (30.0, 60, 0)
    assert info.video.duration == pytest.approx(2.0, abs=1e-3)
    assert info.audio is not None
    assert (info.audio.codec, info.audio.sample_rate, info.audio.channels) == ("aac", 48_000, 2)
    assert info.audio.duration == pytest.approx(2.0, abs=0.05)
    assert any("2 channels" in warning for warning in info.warnings)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
def test_every_container_is_probed_and_read(tmp_path: Path, make_clip: MakeClip, suffix: str) -> None:
    read = Read(make_clip(tmp_path / f"clip{suffix}", seconds=1.2))
    assert len(read.pictures) == 30
    assert [float(time) for time in read.times] == pytest.approx([k / 25 for k in range(30)], abs=0.0011)
    assert float(read.reader.end) == pytest.approx(1.2, abs=0.0011)
    assert len(read.sound) / RATE == pytest.approx(1.2, abs=0.07)
    assert rms(read.sound) == pytest.approx(0.25 / math.sqrt(2), rel=0.05)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file") as raised:
        probe(tmp_path / "gone.mp4")
    assert raised.value.path == str(tmp_path / "gone.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(MediaError, match="no such file"):
        probe(tmp_path / "folder.mp4")


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.mkv", "a"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(MediaError, match="empty"):
        probe(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        b"hello world\n" * 50,
        b"<html><body>404 not found</body></html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
        b'{"error": "not ready"}',
        b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n",
        b"WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n",
        b"\x00" * 4096,
        b"\xff" * 4096,
        b"\x1b[31mhello\x1b[0m\n" * 80,
        b"PK\x03\x04" + b"\x00" * 400,
        bytes(range(256)) * 16,
        b"ftyp",
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom",
        b"RIFF\x00\x00\x00\x00AVI LIST",
        b"\x1aE\xdf\xa3",
    ],
    ids=lambda content: ascii(content[:12]),
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(content)
    with pytest.raises(MediaError):
        probe(path)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile 'other.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n",
    ],
    ids=["concat", "playlist", "playlist of streams"],
)
def test_a_list_that_points_at_another_file_is_no_clip(tmp_path: Path, make_clip: MakeClip, text: str) -> None:
    # It would be scored as the clip it points at, the reference for instance, while its hash is that of the list.
    make_clip(tmp_path / "other.mp4")
    make_clip(tmp_path / "other.mkv").rename(tmp_path / "other.ts")
    path = tmp_path / "clip.mp4"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MediaError):
        probe(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_an_mp4_cut_off_before_its_index_is_refused(tmp_path: Path, make_clip: MakeClip, share: float) -> None:
    content = make_clip(tmp_path / "whole.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(MediaError, match="truncated"):
        probe(path)


def test_a_clip_with_one_stream_is_a_clip(tmp_path: Path, make_clip: MakeClip) -> None:
    sound = probe(make_clip(tmp_path / "sound.mp4", video=False))
    assert sound.video is None
    assert sound.audio is not None
    picture = probe(make_clip(tmp_path / "picture.mp4", audio=None))
    assert picture.audio is None
    assert picture.video is not None


def test_cover_art_is_no_picture_stream(tmp_path: Path, clips: ModuleType) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        art = container.add_stream("mjpeg", rate=1)
        art.width, art.height, art.pix_fmt = 32, 32, "yuvj420p"
        art.disposition = av.stream.Disposition.attached_pic
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24").reformat(format="yuvj420p")
        frame.pts = 0
        container.mux([*art.encode(frame), *art.encode(None)])
        clips.encode_sound(container, sound, clips.Sound(), 1.0)
        container.mux(sound.encode(None))
    info = probe(path)
    assert info.video is None
    assert info.audio is not None


# --- still images ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_an_image_is_one_picture_at_time_0(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"face{suffix}"
    Image.new("RGB", (31, 17), (200, 100, 50)).save(path)
    read = Read(path)
    assert read.info.is_image
    assert read.info.audio is None
    assert read.times == [0]
    assert read.pictures[0].shape == (17, 31, 3)
    assert np.abs(read.pictures[0].astype(int) - (200, 100, 50)).max() <= 8
    assert read.reader.clip.is_image
    assert (read.reader.clip.width, read.reader.clip.height) == (31, 17)
    sampler = GridSampler(25.0)
    assert sampler.push(Picture(read.pictures[0]), Fraction(0)) == []
    assert [frame.index for frame in sampler.close(read.reader.end)] == [0]


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "P", "CMYK", "1"])
def test_images_of_every_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("face.jpg" if mode == "CMYK" else "face.png")
    Image.new("L", (8, 8), 255).convert("RGB").convert(mode).save(path)
    read = Read(path)
    assert read.pictures[0].shape == (8, 8, 3)
    assert read.pictures[0].dtype == np.uint8
    assert read.pictures[0].min() > 250


def test_an_image_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"
    image = Image.new("RGB", (40, 20), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned 90 degrees clockwise
    image.save(path, exif=exif, quality=95)
    read = Read(path)
    assert read.pictures[0].shape == (40, 20, 3)
    assert read.pictures[0][:20].mean() > 240
    assert read.pictures[0][20:].mean() < 15
    assert (read.reader.clip.width, read.reader.clip.height) == (20, 40), "what an extractor is told of the size"


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" + b"\x00" * 100, _png(16, 16), _png(90_000, 90_000)],
    ids=["text", "signature only", "header only", "no pixels", "absurd size"],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_corrupt_image_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"face{suffix}"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="not readable as an image"):
        probe(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_image_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"face{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match="not readable as an image"):
        probe(path)


# --- times of pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rate", [Fraction(8), Fraction(25), Fraction(30), Fraction(60), Fraction(30_000, 1001)], ids=str
)
def test_times_are_exact_and_pictures_complete(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, rate: Fraction
) -> None:
    path = make_clip(tmp_path / "clip.mp4", seconds=2, fps=float(rate), paint=clips.numbered, lossless=True)
    read = Read(path)
    assert read.times == [k / rate for k in range(round(2 * rate))]
    assert [int(picture[0, 0, 0]) for picture in read.pictures] == list(range(len(read.times)))
    assert read.reader.end == len(read.times) / rate
    assert all((picture == picture[0, 0]).all() for picture in read.pictures)


def test_pixels_survive_to_the_last_bit(tmp_path: Path, make_frames_clip: MakeClip) -> None:
    generator = np.random.default_rng(1)
    frames = [generator.integers(0, 256, (49, 65, 3), dtype=np.uint8) for _ in range(7)]
    samples = (0.2 * np.sin(np.arange(RATE) / 10)).astype(np.float32)
    read = Read(make_frames_clip(tmp_path / "clip.mov", frames, 10, samples, RATE))
    assert len(read.pictures) == 7
    for decoded, frame in zip(read.pictures, frames, strict=True):
        np.testing.assert_array_equal(decoded, frame)
    np.testing.assert_allclose(read.sound, samples, atol=2**-15)


def test_a_variable_rate_keeps_every_time(tmp_path: Path, make_clip: MakeClip, clips: ModuleType) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.55, 0.9]
    path = make_clip(tmp_path / "clip.mp4", seconds=1.5, times=times, paint=clips.numbered, lossless=True)
    read = Read(path)
    assert [float(time) for time in read.times] == pytest.approx(times, abs=1e-4)
    assert float(read.reader.end) == pytest.approx(1.5, abs=1e-3)
    assert any("variable frame rate" in warning or "unusual frame rate" in warning for warning in read.info.warnings)


@pytest.mark.parametrize(("fps", "unusual"), [(8, True), (25, False), (60, False), (100, True)])
def test_unusual_rates_are_told(tmp_path: Path, make_clip: MakeClip, fps: float, unusual: bool) -> None:
    warnings = probe(make_clip(tmp_path / "clip.mp4", fps=fps, seconds=0.5)).warnings
    assert any("unusual frame rate" in warning for warning in warnings) is unusual


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("start", [0.2, 1.0])
def test_time_0_is_the_first_picture(tmp_path: Path, make_clip: MakeClip, suffix: str, start: float) -> None:
    read = Read(make_clip(tmp_path / f"clip{suffix}", seconds=1, video_start=start, audio=None))
    assert [float(time) for time in read.times] == pytest.approx([k / 25 for k in range(25)], abs=0.0011)
    assert float(read.reader.end) == pytest.approx(1.0, abs=0.0011)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
def test_a_sound_longer_than_the_picture_does_not_make_the_picture_truncated(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, suffix: str
) -> None:
    # Matroska and WebM announce one length for the whole file, which is that of the longest stream.
    read = Read(make_clip(tmp_path / f"clip{suffix}", seconds=1, audio=clips.Sound(seconds=3)))
    assert len(read.pictures) == 25
    assert len(read.sound) / RATE == pytest.approx(3.0, abs=0.07)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_picture_longer_than_the_sound_is_whole(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, suffix: str
) -> None:
    read = Read(make_clip(tmp_path / f"clip{suffix}", seconds=3, audio=clips.Sound(seconds=1)))
    assert len(read.pictures) == 75


# --- sound ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "codec", "tolerance"),
    [(".mkv", "pcm_s16le", 0.001), (".mov", "pcm_s16le", 0.001), (".mp4", "aac", 0.01), (".webm", "libopus", 0.01)],
)
@pytest.mark.parametrize(("sound_start", "picture_start"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.2), (0.3, 0.3), (0.5, 0.2)])
def test_sound_stays_where_it_is_against_the_picture(
    tmp_path: Path,
    make_clip: MakeClip,
    clips: ModuleType,
    suffix: str,
    codec: str,
    tolerance: float,
    sound_start: float,
    picture_start: float,
) -> None:
    sound = clips.Sound("click", click_at=0.5, start=sound_start, codec=codec, amplitude=0.8)
    path = make_clip(tmp_path / f"clip{suffix}", seconds=1.4, audio=sound, video_start=picture_start)
    assert Read(path).onset() == pytest.approx(0.5 + sound_start - picture_start, abs=tolerance)


@pytest.mark.parametrize(("sound_start", "picture_start"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3)])
def test_the_sound_is_the_same_whether_or_not_pictures_are_wanted(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, sound_start: float, picture_start: float
) -> None:
    # One feature has one key: which other metrics take part in the pass must not change it.
    sound = clips.Sound("noise", start=sound_start, codec="pcm_s16le")
    path = make_clip(tmp_path / "clip.mov", audio=sound, video_start=picture_start)
    np.testing.assert_array_equal(Read(path, video=False).sound, Read(path).sound)


def test_a_hole_in_the_sound_stays_a_hole(tmp_path: Path, make_clip: MakeClip, clips: ModuleType) -> None:
    # Closed up, everything after it would come too early against the lips.
    sound = clips.Sound("click", click_at=0.8, gap=(0.4, 0.5), codec="pcm_s16le", amplitude=0.8)
    read = Read(make_clip(tmp_path / "clip.mkv", seconds=1.5, audio=sound))
    assert read.onset() == pytest.approx(0.8 + 0.5, abs=0.002)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        (".mp4", "aac", 48_000),
        (".mp4", "aac", 44_100),
        (".mp4", "aac", 16_000),
        (".mp4", "aac", 8_000),
        (".mkv", "pcm_s16le", 48_000),
        (".mkv", "pcm_s16le", 8_000),
        (".avi", "pcm_u8", 8_000),
        (".avi", "pcm_u8", 16_000),
        (".webm", "libopus", 48_000),
    ],
)
def test_sound_of_every_kind_becomes_mono_at_16_khz(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, suffix: str, codec: str, rate: int, channels: int
) -> None:
    sound = clips.Sound(sample_rate=rate, channels=channels, codec=codec, frequency=500.0)
    read = Read(make_clip(tmp_path / f"clip{suffix}", audio=sound))
    assert read.sound.dtype == np.float32
    assert read.sound.ndim == 1
    assert read.sound.flags.c_contiguous
    assert len(read.sound) / RATE == pytest.approx(1.0, abs=0.07)
    middle = read.sound[2000:14_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(500, abs=2)
    assert rms(middle) == pytest.approx(0.25 / math.sqrt(2), rel=0.03), "as loud as it was, however many channels"
    assert abs(float(middle.mean())) < 0.003
    assert any("8000 Hz" in warning for warning in read.info.warnings) is (rate < RATE)
    assert any("channels" in warning for warning in read.info.warnings) is (channels > 1)


@pytest.mark.parametrize(
    ("left", "right", "mono"), [(0.9, 0.9, 0.9), (0.8, 0.0, 0.4), (0.0, 0.8, 0.4), (0.8, -0.8, 0.0)]
)
def test_two_channels_are_averaged(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, left: float, right: float, mono: float
) -> None:
    wave = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE).astype(np.float32)
    sound = clips.Sound(channels=2, codec="pcm_s16le", samples=np.stack([left * wave, right * wave]))
    read = Read(make_clip(tmp_path / "clip.mkv", audio=sound))
    assert rms(read.sound) == pytest.approx(mono / math.sqrt(2), abs=0.002)
    assert np.abs(read.sound).max() <= 1.0, "the contract promises -1..1"


def test_silence_is_silence(tmp_path: Path, make_clip: MakeClip, clips: ModuleType) -> None:
    read = Read(make_clip(tmp_path / "clip.avi", audio=clips.silent(clips.Sound(codec="pcm_u8"))))
    assert np.abs(read.sound).max() < 1e-6
    assert len(read.sound) == RATE


def test_a_clip_without_sound_has_an_empty_sound(tmp_path: Path, make_clip: MakeClip) -> None:
    read = Read(make_clip(tmp_path / "clip.mp4", audio=None))
    assert read.reader.audio.duration == 0.0
    assert read.sound.dtype == np.float32


# --- reading less than everything -----------------------------------------------------------------------------------


def test_pictures_can_be_stopped_while_the_sound_goes_on(tmp_path: Path, make_clip: MakeClip) -> None:
    path = make_clip(tmp_path / "clip.mp4", seconds=3)
    reader = ClipReader(path, probe(path), video=True, audio=True)
    times = []
    for _, time in reader:
        times.append(time)
        if len(times) == 5:
            reader.stop_video()
    assert len(times) == 5
    assert reader.audio.duration == pytest.approx(3.0, abs=0.07)
    np.testing.assert_array_equal(reader.audio.samples, Read(path).sound)


def test_what_is_not_wanted_is_not_read(tmp_path: Path, make_clip: MakeClip) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    assert Read(path, video=False).pictures == []
    assert Read(path, audio=False).sound.size == 0
    nothing = Read(path, video=False, audio=False)
    assert (nothing.pictures, nothing.sound.size) == ([], 0)
    lacking = Read(make_clip(tmp_path / "silent.mp4", audio=None), video=False, audio=True)
    assert lacking.sound.size == 0


# --- damaged clips --------------------------------------------------------------------------------------------------


def _cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    cut = path.with_name(f"cut{path.suffix}")
    cut.write_bytes(content[: int(len(content) * share)])
    return cut


@pytest.mark.parametrize(("video", "audio"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_a_clip_that_breaks_off_says_where(
    tmp_path: Path, make_clip: MakeClip, share: float, video: bool, audio: bool
) -> None:
    # The index comes first, so the file opens and announces its full length.
    path = _cut(make_clip(tmp_path / "clip.mp4", seconds=4, front=True), share)
    info = probe(path)
    assert info.video is not None
    assert info.video.duration == pytest.approx(4.0, abs=0.01)
    with pytest.raises(MediaError) as raised:
        Read(path, video=video, audio=audio)
    assert raised.value.path == str(path)
    seconds = [float(number) for number in re.findall(r"(\d+\.\d+) s", raised.value.reason)]
    assert seconds, raised.value.reason
    assert any(abs(second - 4 * share) < 0.8 for second in seconds), raised.value.reason


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".avi"])
def test_other_containers_that_break_off_are_noticed(tmp_path: Path, make_clip: MakeClip, suffix: str) -> None:
    path = _cut(make_clip(tmp_path / f"clip{suffix}", seconds=4, audio=None), 0.5)
    with pytest.raises(MediaError, match=r"truncated|Invalid data"):
        Read(path)


@pytest.mark.parametrize("seed", range(8))
def test_damage_ends_in_a_media_error_or_in_pictures(tmp_path: Path, make_clip: MakeClip, seed: int) -> None:
    generator = np.random.default_rng(seed)
    content = bytearray(make_clip(tmp_path / "clip.mp4", seconds=1, front=seed % 2 == 0).read_bytes())
    for at in generator.integers(0, len(content), 40):
        content[at] = generator.integers(0, 256)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    try:
        times = Read(path).times
    except MediaError:
        return
    assert times == sorted(times)


# --- rotation, colour -----------------------------------------------------------------------------------------------


def _ffmpeg_picture(path: Path, *options: str) -> Pixels:
    command = ["ffmpeg", "-v", "error", *options, "-i", str(path), "-frames:v", "1"]
    command += ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    content = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    shape = re.match(rb"P6\n(\d+) (\d+)\n255\n", content)
    assert shape is not None
    width, height = int(shape[1]), int(shape[2])
    return np.frombuffer(content[shape.end() :], np.uint8).reshape(height, width, 3)


@needs_ffmpeg
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_that_of_ffmpeg(tmp_path: Path, make_clip: MakeClip, clips: ModuleType, degrees: int) -> None:
    path = make_clip(tmp_path / "clip.mp4", size=(64, 48), paint=clips.quadrants, rotation=degrees, seconds=0.2)
    read = Read(path)
    upright = _ffmpeg_picture(path)
    assert read.pictures[0].shape == upright.shape
    assert np.abs(read.pictures[0].astype(int) - upright).mean() < 2
    lying = _ffmpeg_picture(path, "-noautorotate")
    assert lying.shape == (48, 64, 3)
    assert np.abs(np.rot90(read.pictures[0], -degrees // 90).astype(int) - lying).mean() < 2


@pytest.mark.parametrize(("degrees", "size"), [(0, (64, 48)), (90, (48, 64)), (180, (64, 48)), (270, (48, 64))])
def test_width_and_height_are_those_of_the_upright_picture(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, degrees: int, size: tuple[int, int]
) -> None:
    path = make_clip(tmp_path / "clip.mp4", size=(64, 48), paint=clips.quadrants, rotation=degrees, seconds=0.2)
    read = Read(path)
    assert read.info.video is not None
    assert read.info.video.rotation == degrees
    assert (read.info.video.width, read.info.video.height) == size
    assert (read.reader.clip.width, read.reader.clip.height) == size
    assert read.pictures[0].shape == (size[1], size[0], 3)
    assert any("rotation" in warning for warning in read.info.warnings) is (degrees != 0)
    # Counter-clockwise: what was on the right comes to the top.
    corner = {0: "red", 90: "green", 180: "yellow", 270: "blue"}[degrees]
    colors = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220), "yellow": (220, 220, 30)}
    patch = read.pictures[0][4:16, 4:16].reshape(-1, 3).mean(axis=0)
    assert np.abs(patch - colors[corner]).max() < 12


@pytest.mark.parametrize(("space", "name"), [(None, "unspecified"), (1, "bt709"), (6, "smpte170m"), (5, "bt470bg")])
@pytest.mark.parametrize("color_range", [None, 1, 2])
def test_colours_come_out_as_they_were_painted(
    tmp_path: Path, make_clip: MakeClip, clips: ModuleType, space: int | None, name: str, color_range: int | None
) -> None:
    path = make_clip(
        tmp_path / "clip.mp4", paint=clips.quadrants, color_space=space, color_range=color_range, seconds=0.2
    )
    read = Read(path)
    assert read.info.video is not None
    assert read.info.video.color_space == name
    assert any("untagged" in warning for warning in read.info.warnings) is (space is None)
    painted = clips.quadrants(0, 0.0, 64, 48).astype(int)
    inside = np.ones((48, 64), bool)
    inside[20:28], inside[:, 28:36] = False, False
    assert np.abs(read.pictures[0].astype(int) - painted)[inside].max() < 12


@needs_ffmpeg
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv422p", "yuv420p10le", "yuvj420p"])
def test_colours_are_those_of_ffmpeg(tmp_path: Path, make_clip: MakeClip, clips: ModuleType, pixel_format: str) -> None:
    path = make_clip(tmp_path / "clip.mp4", pixel_format=pixel_format, size=(128, 96), seconds=0.2)
    difference = np.abs(Read(path).pictures[0].astype(int) - _ffmpeg_picture(path))
    # Chroma is interpolated differently at edges; away from them the pixels agree.
    assert np.median(difference) <= 2
    assert difference.mean() < 4


# --- the time grid --------------------------------------------------------------------------------------------------

DOT = np.zeros((1, 1, 3), np.uint8)


def sample(times: Sequence[Fraction], end: Fraction, fps: float) -> tuple[list[GridFrame], list[int]]:
    """Runs a sampler; returns its frames, and for each the number of the picture that it shows."""
    pictures = [Picture(DOT) for _ in times]
    sampler = GridSampler(fps)
    frames = [frame for picture, time in zip(pictures, times, strict=True) for frame in sampler.push(picture, time)]
    frames += sampler.close(end)
    numbers = {id(picture): number for number, picture in enumerate(pictures)}
    return frames, [numbers[id(frame._picture)] for frame in frames]


def nearest(times: Sequence[Fraction], end: Fraction, step: Fraction) -> list[int]:
    """The definition, by brute force: the nearest picture, the earlier of two; no grid point at or after the end."""
    stamps = list(dict.fromkeys(times))
    found = []
    k = 0
    while k * step < end or k * step <= stamps[-1]:
        found.append(times.index(min(stamps, key=lambda time: (abs(time - k * step), time))))
        k += 1
    return found


def steady(rate: Fraction, seconds: int) -> tuple[list[Fraction], Fraction]:
    return [k / rate for k in range(int(rate * seconds))], Fraction(seconds)


def test_25_to_25_is_the_identity() -> None:
    frames, numbers = sample(*steady(Fraction(25), 4), 25.0)
    assert numbers == list(range(100))
    assert [frame.index for frame in frames] == numbers
    assert [frame.time for frame in frames] == [k / 25 for k in range(100)]


@pytest.mark.parametrize("fps", [25.0, 5.0, 2.0, 1.0, 12.5, 30.0, 29.97])
@pytest.mark.parametrize(
    "rate",
    [Fraction(8), Fraction(24), Fraction(25), Fraction(30), Fraction(50), Fraction(60), Fraction(30_000, 1001)],
    ids=str,
)
def test_steady_rates_against_the_definition(rate: Fraction, fps: float) -> None:
    times, end = steady(rate, 4)
    frames, numbers = sample(times, end, fps)
    assert numbers == nearest(times, end, 1 / Fraction(fps).limit_denominator(100_000))
    assert [frame.index for frame in frames] == list(range(len(frames)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fps", [25.0, 5.0, 60.0])
def test_variable_rates_against_the_definition(seed: int, fps: float) -> None:
    generator = np.random.default_rng(seed)
    ticks = np.concatenate([[0], np.sort(generator.choice(np.arange(1, 2000), 60, replace=False))])
    times = [Fraction(int(tick), 600) for tick in ticks]
    end = times[-1] + Fraction(int(generator.integers(1, 200)), 600)
    assert sample(times, end, fps)[1] == nearest(times, end, 1 / Fraction(fps))


def test_of_two_equally_near_the_earlier_counts() -> None:
    times = [Fraction(0), Fraction(2, 25), Fraction(4, 25)]
    assert sample(times, Fraction(6, 25), 25.0)[1] == [0, 0, 1, 1, 2, 2]


def test_a_single_picture_fills_the_clip() -> None:
    assert sample([Fraction(0)], Fraction(1), 25.0)[1] == [0] * 25
    assert sample([Fraction(0)], Fraction(1, 16_000), 25.0)[1] == [0]
    assert sample([Fraction(0)], Fraction(0), 25.0)[1] == [0]


def test_no_picture_no_frame() -> None:
    assert GridSampler(25.0).close(Fraction(10)) == []


def test_of_repeated_or_reordered_times_the_first_picture_stands() -> None:
    times = [Fraction(k, 25) for k in (0, 1, 1, 1, 2, 1, 3)]
    assert sample(times, Fraction(4, 25), 25.0)[1] == [0, 1, 4, 6]
    times = [Fraction(k, 25) for k in (0, 0, 4, 4, 3, 6)]
    assert sample(times, Fraction(8, 25), 25.0)[1] == [0, 0, 0, 2, 2, 2, 5, 5]


def test_there_is_no_frame_at_or_after_the_end() -> None:
    frames, _ = sample([Fraction(0), Fraction(1, 10)], Fraction(1, 5), 25.0)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]


def test_closing_twice_adds_nothing() -> None:
    sampler = GridSampler(25.0)
    sampler.push(Picture(DOT), Fraction(0))
    assert len(sampler.close(Fraction(1))) == 25
    assert sampler.close(Fraction(2)) == []


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30_000, 1001)], ids=str)
def test_ten_minutes_do_not_drift(rate: Fraction) -> None:
    times = [k / rate for k in range(int(600 * rate))]
    frames, numbers = sample(times, len(times) / rate, float(rate))
    assert numbers == list(range(len(times)))
    assert frames[-1].exact_time == times[-1]


def test_a_frame_settles_as_soon_as_its_picture_is_known() -> None:
    sampler = GridSampler(25.0)
    settled = [[frame.index for frame in sampler.push(Picture(DOT), Fraction(k, 50))] for k in range(5)]
    assert settled == [[], [0], [], [1], []]


# --- geometry -------------------------------------------------------------------------------------------------------


def ramp(height: int, width: int) -> Pixels:
    """Red grows to the right, green downwards."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, width, dtype=np.uint8)[None]
    picture[..., 1] = np.linspace(0, 255, height, dtype=np.uint8)[:, None]
    return picture


def test_the_identity_touches_no_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (480, 768, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Picture(pixels).cover(480, 768), pixels)
    np.testing.assert_array_equal(Picture(pixels).fit(768)[0], pixels)
    assert Picture(pixels).fit(768)[1] == 1.0
    assert Picture(pixels).fit(10_000)[1] == 1.0


@pytest.mark.parametrize(
    "size", [(480, 480), (960, 1536), (720, 1280), (300, 1000), (1000, 300), (120, 192), (481, 769)]
)
def test_cover_crops_the_centre(size: tuple[int, int]) -> None:
    made = cover(ramp(*size), 48, 77)
    height, width = size
    scale = max(48 / height, 77 / width)
    cut = ((width - 77 / scale) / width / 2 * 255, (height - 48 / scale) / height / 2 * 255)
    for channel, (line, margin) in enumerate(((made[24, :, 0], cut[0]), (made[:, 38, 1], cut[1]))):
        step = 255 / (77, 48)[channel]
        assert int(line[0]) == pytest.approx(margin, abs=step + 2)
        assert int(line[-1]) == pytest.approx(255 - margin, abs=step + 2)
        # Symmetric: the picture's middle stays in the middle.
        assert (int(line[0]) + int(line[-1])) / 2 == pytest.approx(127.5, abs=3)


def test_cover_keeps_the_aspect() -> None:
    y, x = np.mgrid[:720, :1280]
    disc = np.where(((x - 640) ** 2 + (y - 360) ** 2) < 200**2, 255, 0).astype(np.uint8)
    made = cover(np.repeat(disc[..., None], 3, axis=2), 480, 768) > 127
    across, down = made[240, :, 0].sum(), made[:, 384, 0].sum()
    assert across == pytest.approx(down, abs=2)
    assert across == pytest.approx(400 * 480 / 720, abs=2)


def test_cover_shrinks_without_aliasing() -> None:
    stripes = np.zeros((960, 1536, 3), np.uint8)
    stripes[:, ::2] = 255
    assert cover(stripes, 96, 154).std() < 8, "a fine pattern becomes gray, not a coarse one"


@pytest.mark.parametrize("target", [(48, 80), (30, 40), (16, 16), (24, 7)])
def test_cover_takes_pictures_of_every_size(target: tuple[int, int]) -> None:
    failed = []
    for height in range(1, 90):
        for width in (1, 2, 3, 16, 17, 47, 49, 57, 64, 83, 85, 92, 200):
            try:
                made = cover(np.full((height, width, 3), 77, np.uint8), *target)
            except ValueError as error:
                failed.append((height, width, str(error)))
                continue
            assert made.shape == (*target, 3)
            assert (made == 77).all()
    assert failed == []


HALF = (0.0, 0.0, 0.5, 1.0)
ROUNDING = [(468, 832), (208, 368), (428, 762), (402, 720), (440, 782), (796, 1416), (804, 1428), (461, 820)]
USUAL = [(480, 854), (720, 1280), (1080, 1920), (832, 480), (512, 512), (240, 426), (854, 480)]
EXTREME = [(1, 1), (2, 3000), (3000, 2)]


@pytest.mark.parametrize("size", [*ROUNDING, *USUAL, *EXTREME], ids=str)
def test_cover_of_the_protocols_takes_the_sizes_that_people_use(size: tuple[int, int]) -> None:
    assert cover(np.zeros((*size, 3), np.uint8), 480, 768).shape == (480, 768, 3)


def test_a_window_is_cut_and_scaled_in_one_step() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    made = Picture(pixels).window((0.25, 0.1, 0.75, 0.9), 36, 40)
    expected = Image.fromarray(pixels).resize((40, 36), Image.Resampling.BICUBIC, box=(40.0, 9.0, 120.0, 81.0))
    np.testing.assert_array_equal(made, np.asarray(expected))
    np.testing.assert_array_equal(Picture(pixels).window((0.0, 0.0, 1.0, 1.0), 90, 160), pixels)


def test_the_window_in_the_centre_is_the_cover() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 300, 3), dtype=np.uint8)
    # 192 of 300 columns have the ratio 1.6.
    made = Picture(pixels).window((0.18, 0.0, 0.82, 1.0), 50, 80)
    assert np.abs(made.astype(int) - cover(pixels, 50, 80).astype(int)).max() <= 1


@pytest.mark.parametrize(("size", "longest"), [((720, 1280), 320), ((1280, 720), 320), ((1, 1000), 10), ((33, 31), 7)])
def test_fit_shrinks_to_the_longest_side(size: tuple[int, int], longest: int) -> None:
    made, scale = Picture(np.zeros((*size, 3), np.uint8)).fit(longest)
    assert max(made.shape[:2]) == longest
    assert min(made.shape[:2]) >= 1
    assert scale == longest / max(size)


def test_nobody_can_write_into_what_is_shared(tmp_path: Path, make_clip: MakeClip) -> None:
    path = make_clip(tmp_path / "clip.mp4", size=(64, 48), seconds=0.2)
    picture, _ = next(iter(ClipReader(path, probe(path), video=True, audio=False)))
    own = np.zeros((48, 64, 3), np.uint8)
    for one in (picture, Picture(own), Picture(own, Orientation.turned(90))):
        for made in (
            one.rgb(),
            one.cover(48, 64),
            one.cover(24, 24),
            one.window(HALF, 9, 9),
            one.fit(1000)[0],
            one.fit(20)[0],
        ):
            assert not made.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                made[0, 0] = 1
    assert own.flags.writeable, "the caller's own array stays the caller's"


def test_each_form_is_made_once() -> None:
    picture = Picture(ramp(90, 160))
    assert picture.rgb() is picture.rgb()
    assert picture.cover(48, 80) is picture.cover(48, 80)
    assert picture.fit(20)[0] is picture.fit(20)[0]
    assert picture.cover(48, 80) is not picture.cover(80, 48)
    assert picture.window(HALF, 48, 80) is picture.window(HALF, 48, 80)
    assert picture.window(HALF, 48, 80) is not picture.window(HALF, 80, 48)
    assert picture.window(HALF, 48, 80) is not picture.window((0.5, 0.0, 1.0, 1.0), 48, 80)


@pytest.mark.parametrize("size", [(65, 49), (63, 47), (33, 130), (17, 16)])
def test_oddly_sized_pictures(tmp_path: Path, make_clip: MakeClip, clips: ModuleType, size: tuple[int, int]) -> None:
    path = make_clip(
        tmp_path / "clip.mkv", size=size, codec="ffv1", pixel_format="yuv420p", paint=clips.quadrants, seconds=0.2
    )
    read = Read(path)
    assert read.info.video is not None
    assert (read.info.video.width, read.info.video.height) == size
    assert read.pictures[0].shape == (size[1], size[0], 3)
    painted = clips.quadrants(0, 0.0, *size).astype(int)
    assert np.abs(read.pictures[0].astype(int) - painted)[:4, :4].max() < 12
    assert np.abs(read.pictures[0].astype(int) - painted)[-4:, -4:].max() < 12
