"""Speed of lip sync by SyncNet: frames in memory against syncnet-python's own pipeline of files.

Run it as `python benchmarks/sync_speed.py CLIP [--weights syncnet_v2.model] [--repeat N] [--threads N] [--json]` with a
clip of 25 frames a second. Both ways get the same weights (seeded ones where none are given) and the same face track,
found beforehand and counted for neither; where no face is found, a box in the middle of the picture. The pipeline of
files is `SyncNetPipeline.inference` with its detector replaced by that track: conversion and pictures by ffmpeg, scene
detection, cropping, the video of the crop, its pictures and `SyncNetInstance.evaluate`, with batches of 1, 8 and 32.
The way in memory is decoding, `av_sync/syncnet_picture`, `av_sync/syncnet_sound` and `av_sync/lse_c`; it has blocks of
a size of their own, so that the batch size changes neither its numbers nor its speed. Loading libraries and weights is
left out of both. Every measurement has a process of its own; the best of the repetitions counts.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from vidchatbench.api import Audio, ClipInfo, ExtractorContext, Feature, Sample, Side
from vidchatbench.media.frames import Picture
from vidchatbench_metrics.av_sync.lse import Confidence
from vidchatbench_metrics.av_sync.network import backend_network
from vidchatbench_metrics.av_sync.picture import SyncNetPicture
from vidchatbench_metrics.av_sync.sound import SyncNetSound
from vidchatbench_metrics.faces.timeline import FaceTimeline, faces_at, responder_tracklets
from vidchatbench_metrics.faces.tracks import KEY_FPS, FaceTracks

FPS = 25
BATCHES = (1, 8, 32)


@dataclass(frozen=True)
class Still:
    """A frame as the engine would push it."""

    index: int
    time: float
    pixels: NDArray[np.uint8]

    def rgb(self) -> NDArray[np.uint8]:
        """The picture."""
        return self.pixels

    def cover(self, height: int, width: int) -> NDArray[np.uint8]:
        """The picture scaled and cropped."""
        return Picture(self.pixels).cover(height, width)

    def fit(self, longest: int) -> tuple[NDArray[np.uint8], float]:
        """The picture scaled down."""
        return Picture(self.pixels).fit(longest)


def cpu_seconds() -> float:
    """Computing time of this process and of the ffmpeg that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def pictures(clip: Path) -> Iterator[Still]:
    with av.open(str(clip)) as container:
        if container.streams.video[0].average_rate != FPS:
            raise SystemExit(f"{clip} must have {FPS} frames a second")
        for index, frame in enumerate(container.decode(video=0)):
            yield Still(index, index / FPS, frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))


def sound(clip: Path) -> NDArray[np.float32]:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=16_000)
    with av.open(str(clip)) as container:
        decoded = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate([piece.to_ndarray()[0] for piece in (*decoded, *resampler.resample(None))])


def find_faces(clip: Path, folder: Path) -> int:
    """Writes the clip's face tracks; returns its number of frames."""
    extractor = FaceTracks()
    extractor.setup(ExtractorContext("cpu", 1, {}))
    session = extractor.begin(ClipInfo(1, 1, 0.0), {})
    last = Still(0, 0.0, np.zeros((1, 1, 3), np.uint8))
    for last in pictures(clip):
        if last.index % (FPS // KEY_FPS) == 0:
            session.push(last)
    feature = session.finish()
    count = last.index + 1
    if feature.meta["primary"] is None or np.count_nonzero(feature["track"] == feature.meta["primary"]) < count / FPS:
        height, width = last.pixels.shape[:2]
        faces = FaceTimeline(KEY_FPS)
        for _ in range(count // (FPS // KEY_FPS) + 1):
            box = np.array([[0.35 * width, 0.15 * height, 0.65 * width, 0.6 * height]])
            faces.add_key(box, np.zeros((1, 5, 2)), np.ones(1))
        feature = faces.to_feature()
    arrays: dict[str, Any] = dict(feature.arrays)
    np.savez(folder / "faces.npz", **arrays)
    (folder / "faces.json").write_text(json.dumps(dict(feature.meta)))
    return count


def faces_of(folder: Path) -> FaceTimeline:
    with np.load(folder / "faces.npz") as arrays:
        return FaceTimeline.from_feature(Feature(dict(arrays), json.loads((folder / "faces.json").read_text())))


def through_files(clip: Path, weights: Path, folder: Path, batch: int) -> dict[str, float]:
    """Times syncnet-python's pipeline without its detector."""
    package: Any = importlib.import_module("syncnet_python.syncnet_pipeline")
    faces = faces_of(folder)
    responder = responder_tracklets(faces)

    class Given:
        """Stands where the detector was."""

        index = -1

        def detect_faces(self, image: Any, **unused: Any) -> NDArray[np.float64]:
            del image, unused
            self.index += 1
            boxes = [[*face.box, 1.0] for face in faces_at(faces, self.index / FPS) if face.tracklet in responder]
            return np.array(boxes).reshape(-1, 5)

    package.SyncNetPipeline._load_s3fd = lambda self, path: Given()
    settings = {"syncnet_weights": str(weights), "batch_size": batch, "min_track": 24, "min_face_size": 0}
    pipeline = package.SyncNetPipeline(settings, device="cpu")
    started = time.perf_counter()
    cpu = cpu_seconds()
    found = pipeline.inference(str(clip))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu": cpu_seconds() - cpu, "lse_c": found[1][0], "lse_d": found[2][0]}


def in_memory(clip: Path, weights: Path, folder: Path) -> dict[str, float]:
    """Times the two extractors and the metric, decoding included."""
    context = ExtractorContext("cpu", 1, {"syncnet_v2": weights})
    watcher, listener = SyncNetPicture(), SyncNetSound()
    watcher.setup(context)
    listener.setup(context)
    faces = faces_of(folder)
    side = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
    started = time.perf_counter()
    cpu = cpu_seconds()
    session = watcher.begin(ClipInfo(1, 1, 0.0), {"faces": faces})
    for frame in pictures(clip):
        session.push(frame)
    seen = session.finish()
    watched = time.perf_counter()
    heard = listener.extract(Audio(sound(clip)), {})
    listened = time.perf_counter()
    sample = Sample(id="x", task="single", language="en", initiator=side)
    score = Confidence().score(sample, {"picture": seen, "sound": heard})
    ended = time.perf_counter()
    return {
        "seconds": ended - started,
        "cpu": cpu_seconds() - cpu,
        "picture": watched - started,
        "sound": listened - watched,
        "score": ended - listened,
        "lse_c": score.value if score.value is not None else -1.0,
        "lse_d": float(score.details.get("distance", -1.0)),
    }


def one(chosen: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Takes one measurement in this process."""
    torch.set_num_threads(chosen.threads)
    weights = chosen.weights or folder / "seeded.model"
    with contextlib.redirect_stdout(io.StringIO()):
        if chosen.one:
            found = through_files(chosen.clip, weights, folder, chosen.one)
        else:
            found = in_memory(chosen.clip, weights, folder)
    return {**found, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measured(chosen: argparse.Namespace, folder: Path, batch: int) -> dict[str, float]:
    """Takes the best of several measurements, each in a process of its own; batch 0 is the way in memory."""
    command = [sys.executable, __file__, str(chosen.clip), "--one", str(batch), "--folder", str(folder)]
    command += ["--threads", str(chosen.threads)]
    if chosen.weights:
        command += ["--weights", str(chosen.weights)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(chosen.threads)}
    runs = []
    for _ in range(chosen.repeat):
        done = subprocess.run(command, env=environment, check=True, capture_output=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["seconds"])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        sys.stdout.write(json.dumps(one(chosen, chosen.folder)) + "\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        frames = find_faces(chosen.clip, folder)
        if chosen.weights is None:
            torch.manual_seed(0)
            torch.save(backend_network().state_dict(), folder / "seeded.model")
        ours = measured(chosen, folder, 0)
        files = {batch: measured(chosen, folder, batch) for batch in BATCHES}
    ratios = {kind: min(run[kind] for run in files.values()) / ours[kind] for kind in ("seconds", "cpu")}
    report = {"frames": frames, "in_memory": ours, "files": files, "ratios": ratios}
    if chosen.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    rows = [("frames", f"{frames}"), ("threads", f"{chosen.threads}")]
    for name, run in (("in memory", ours), *((f"files, batch {batch}", run) for batch, run in files.items())):
        rows.append((f"{name}: ms per frame", f"{1000 * run['seconds'] / frames:.1f}"))
        rows.append((f"{name}: ms of CPU per frame", f"{1000 * run['cpu'] / frames:.1f}"))
        rows.append((f"{name}: peak memory, MB", f"{run['peak_mb']:.0f}"))
        rows.append((f"{name}: LSE-C and LSE-D", f"{run['lse_c']:.4f} {run['lse_d']:.4f}"))
    rows.append(("in memory, picture: ms per frame", f"{1000 * ours['picture'] / frames:.1f}"))
    rows.append(("in memory, sound: ms per second of sound", f"{1000 * ours['sound'] / frames * FPS:.1f}"))
    rows.append(("in memory, scoring: ms", f"{1000 * ours['score']:.1f}"))
    rows.append(("files at the best batch size / in memory", f"{ratios['seconds']:.2f}"))
    rows.append(("the same in CPU time", f"{ratios['cpu']:.2f}"))
    for name, value in rows:
        sys.stdout.write(f"{name:<50} {value}\n")


if __name__ == "__main__":
    main()
