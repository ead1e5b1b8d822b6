"""Speed and exactness of cutting clips out of a long video, beside the ffmpeg command that the dataset's authors show.

Run it as `python benchmarks/cut_speed.py [--clips N]`. A video of five minutes at 29.97 frames a second is made first,
with the number of every frame in stripes, so that it can be counted how many frames of a clip are the nearest ones to
the points asked for. Both sides write H.264 (crf 14, veryfast, one thread), AAC and a 16 kHz WAV. Needs `ffmpeg`.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vidchatbench.media.cut import ENCODING, Cut, Source, cut_clip
from vidchatbench.media.encode import ClipWriter, Encoding

BITS, STRIPE = 16, 40
WIDTH, HEIGHT = 1280, 720
FPS = Fraction(30_000, 1001)
SECONDS = 300
CLIP_SECONDS = 6


def make_video(path: Path) -> None:
    """Blocks that move, and below them the number of the frame."""
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 255, (90, 320, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    count = int(SECONDS * FPS)
    with ClipWriter(path, Encoding(crf=23, audio_bits=128_000, preset="ultrafast"), fps=FPS) as writer:
        for index in range(count):
            left = (index * 3) % (tile.shape[1] - WIDTH)
            picture = tile[:HEIGHT, left : left + WIDTH].copy()
            stripes = np.asarray([255 * (index >> bit & 1) for bit in range(BITS)], np.uint8).repeat(STRIPE)
            picture[-60:, : BITS * STRIPE] = stripes[None, :, None]
            writer.picture(picture)
        writer.sound(rng.uniform(-0.2, 0.2, round(count / FPS * 16_000)).astype(np.float32))


def numbers_on(path: Path) -> list[int]:
    """Returns the frame number that each picture of a clip shows."""
    with av.open(str(path)) as container:
        rows = [frame.to_ndarray(format="gray")[-30] for frame in container.decode(video=0)]
    return [sum(int(row[STRIPE * bit + STRIPE // 2] > 127) << bit for bit in range(BITS)) for row in rows]


def ours(video: Path, start: str, folder: Path) -> None:
    """Cuts a clip with this library."""
    what = Cut(Fraction(start), Fraction(CLIP_SECONDS), (0.0, 0.0, 0.75, 1.0))
    cut_clip(Source(video, video), what, folder / "clip.mp4", folder / "clip.wav")


def theirs(video: Path, start: str, folder: Path) -> None:
    """Cuts a clip with the published commands, in our encoding, and with sound beside the picture."""
    base, length = ["ffmpeg", "-v", "error", "-y"], ["-t", str(CLIP_SECONDS)]
    crop = ["-vf", f"crop={WIDTH * 3 // 4}:{HEIGHT}:0:0", "-r", "25"]
    coding = ["-c:v", "libx264", "-crf", str(ENCODING.crf), "-preset", ENCODING.preset, "-threads", "1", "-c:a", "aac"]
    picture = ["-ss", start, "-i", str(video), *length, *crop, *coding, str(folder / "clip.mp4")]
    subprocess.run([*base, *picture], check=True)
    sound = ["-i", str(video), "-ss", start, *length, "-vn", "-acodec", "pcm_s16le", "-ar", "16000", "-ac", "1"]
    subprocess.run([*base, *sound, str(folder / "clip.wav")], check=True)


def measure(cut: Callable[[Path, str, Path], None], video: Path, starts: Sequence[str]) -> float:
    """Prints the time of a cut and how many frames are those asked for; returns seconds a clip."""
    spent, right, total = 0.0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        for start in starts:
            clock = time.perf_counter()
            cut(video, start, Path(name))
            spent += time.perf_counter() - clock
            points = [Fraction(start) + Fraction(k, 25) for k in range(CLIP_SECONDS * 25)]
            wanted = [min((int(p * FPS), int(p * FPS) + 1), key=lambda n, p=p: (abs(n / FPS - p), n)) for p in points]
            right += sum(a == b for a, b in zip(wanted, numbers_on(Path(name) / "clip.mp4"), strict=False))
            total += len(wanted)
    print(f"{cut.__name__:7s} {spent / len(starts):6.2f} s a clip; {right} of {total} frames are those asked for")
    return spent / len(starts)


def main() -> None:
    """Measures both on the same clips."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=6)
    clips = parser.parse_args().clips
    starts = [f"{11.0137 + number * (SECONDS - 30) / clips:.4f}" for number in range(clips)]
    with tempfile.TemporaryDirectory() as name:
        video = Path(name) / "video.mp4"
        make_video(video)
        print(f"{clips} clips of {CLIP_SECONDS} s out of {SECONDS} s at {WIDTH} x {HEIGHT}, 29.97 frames a second")
        own, published = measure(ours, video, starts), measure(theirs, video, starts)
    print(f"ratio of times: {published / own:.2f}")


if __name__ == "__main__":
    main()
