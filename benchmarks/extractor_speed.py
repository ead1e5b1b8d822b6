"""Speed and memory of every extractor: milliseconds per frame, or per second of sound, and the most memory it took.

Run it as `python benchmarks/extractor_speed.py [--frames N] [--sound S] [--batches N ...] [--repeat N]
[--only TEXT ...] [--json]`. Each measurement is taken in a process of its own with one thread, as a worker has; the
best of `--repeat` is printed. Loading the network and a warm-up are not counted. The demonstration's face is shown and
its voice is heard; a pair extractor gets the frame after as well. Frames are already decoded; finding faces, which
several extractors rest on, is counted for `faces/mtcnn` alone.

On the CPU an extractor computes its features one at a time, or in blocks of a size of its own, so that they are equal
to the last bit whatever else runs: the batch size does not matter there, and the columns differ by noise. On a GPU,
where torch finds one, it does.

Weights are the real ones where `VIDCHATBENCH_WEIGHTS_DIR` or the cache has them, and else seeded ones of the same size;
`stand-in` marks networks that are only of the same interface, and whose speed says nothing about the real one's.
Memory is that of the whole process, libraries included; on a GPU that of torch's tensors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidchatbench.api import Audio, AudioExtractor, ClipInfo, ExtractorContext, ExtractorSpec, Feature, Window
from vidchatbench.api.extractors import Extractor, FrameExtractor, PairExtractor, Timeline
from vidchatbench.demo.people import make_turns
from vidchatbench.engine.extraction.lanes import Whole
from vidchatbench.engine.extraction.worker import guarded_torch, peak_memory
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.plugins.catalogue import Catalogue, load_catalogue
from vidchatbench.weights.resolver import WeightResolver
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH
from vidchatbench_metrics.faces.timeline import responder_boxes

BATCHES = (1, 8, 32)
SOUND = 10.0
FRAMES = 32
FACES = ExtractorSpec.of("faces/mtcnn")
STAND_INS = {"i3d", "arcface"}
"""Of the seeded networks, those that are not of the real one's size."""

TESTS = Path(__file__).resolve().parents[1] / "tests" / "support"


@dataclass(frozen=True)
class Subject:
    """An extractor that can be measured here.

    Attributes:
        id: Its id.
        network: Its parameter ``network``, if it has one.
        weights: Real, seeded, or a stand-in.
        files: Its weights by name.
    """

    id: str
    network: str | None
    weights: str
    files: Mapping[str, str]

    @property
    def spec(self) -> ExtractorSpec:
        """The extractor with its network."""
        return ExtractorSpec.of(self.id) if self.network is None else ExtractorSpec.of(self.id, network=self.network)


def found_files(extractor: Extractor, resolver: WeightResolver) -> dict[str, str] | None:
    """Returns the files of an extractor's weights, ``None`` if one is missing."""
    files = {name: resolver.find(name) for name in extractor.weights}
    return {name: str(file.path) for name, file in files.items() if file} if all(files.values()) else None


def subjects(catalogue: Catalogue, folder: Path) -> list[Subject]:
    """Returns what can be measured; what lacks a package or a file is left out and named on stderr."""
    sys.path.insert(0, str(TESTS))
    from seeded_weights import (  # pyright: ignore[reportMissingImports] - found by its path
        NETWORK_OF_EXTRACTOR,
        TRUE_SIZE,
        SeededWeights,
    )

    seeded, resolver, found = SeededWeights(folder / "weights"), WeightResolver(catalogue.weights), []
    for name in sorted(catalogue.extractors):
        real = catalogue.extractor(ExtractorSpec.of(name))
        if not isinstance(real, (FrameExtractor, PairExtractor, AudioExtractor)):
            sys.stderr.write(f"left out, it reads neither pictures nor sound: {name}\n")
            continue
        files = found_files(real, resolver)
        network = NETWORK_OF_EXTRACTOR.get(name)
        if files is not None:
            found.append(Subject(name, None, "real" if files else "none", files))
        elif "arcface" in name and resolver.find("arcface_mobilefacenet"):
            small = catalogue.extractor(ExtractorSpec.of(name, network="mobilefacenet"))
            found.append(Subject(name, "mobilefacenet", "mobilefacenet", found_files(small, resolver) or {}))
        elif network is not None:
            file = TRUE_SIZE.get(network, network)
            by_hash = seeded.name(file)
            extractor = catalogue.extractor(ExtractorSpec.of(name, network=by_hash))
            rest = {other: str(resolver.path(other)) for other in extractor.weights if other != by_hash}
            kind = "stand-in" if network in STAND_INS else "seeded"
            found.append(Subject(name, by_hash, kind, {**rest, by_hash: str(seeded.file(file))}))
        else:
            sys.stderr.write(f"left out, its weights are not here: {name}\n")
    return found


def context(subject: Subject, device: str, batch: int) -> ExtractorContext:
    return ExtractorContext(device, batch, {name: Path(file) for name, file in subject.files.items()})


def write_material(folder: Path, frames: int, seconds: float) -> None:
    """Writes frames, their faces and sound for all measurements."""
    take = next(make_turns(1, 448, 10.0, 0)).take
    chosen = [take.frames[index % len(take.frames)] for index in range(frames + 1)]
    np.save(folder / "frames.npy", np.stack(chosen))
    np.save(folder / "sound.npy", np.resize(take.wave, round(seconds * 16_000)).astype(np.float32))
    extractor: Any = load_catalogue().extractor(FACES)
    with guarded_torch("cpu"):
        extractor.setup(ExtractorContext("cpu", 1, {}))
        session = extractor.begin(ClipInfo(1, 1, 0.0), {})
        for index, frame in enumerate(chosen[::5]):
            session.push(GridFrame(Picture(frame), index, Fraction(index, 5)))
        feature = session.finish()
    np.savez(folder / "faces.npz", **dict(feature.arrays))
    (folder / "faces.json").write_text(json.dumps(dict(feature.meta)))


def faces(folder: Path) -> Timeline:
    extractor: Any = load_catalogue().extractor(FACES)
    with np.load(folder / "faces.npz") as arrays:
        timeline: Timeline = extractor.replay(Feature(dict(arrays), json.loads((folder / "faces.json").read_text())))
    return timeline


def watch(extractor: FrameExtractor | PairExtractor, folder: Path, count: int) -> int:
    """Shows an extractor some frames as fast as it takes them; returns how many it looked at."""
    pixels = np.load(folder / "frames.npy", mmap_mode="r")
    upstream = {name: faces(folder) for name in extractor.requires}
    clip = ClipInfo(pixels.shape[2], pixels.shape[1], 0.0)
    window = Window.around(responder_boxes(faces(folder)), (clip.height, clip.width), WIDTH / HEIGHT)
    upstream |= {name: Whole(window.feature()) for name in extractor.guides}
    rate = Fraction(extractor.fps).limit_denominator(1001)
    # Pictures are made anew for each pass: what a picture keeps of earlier scaling would make the next look faster.
    shown = [GridFrame(Picture(np.array(pixels[index])), index, index / rate) for index in range(count + 1)]
    pushed = 0
    if isinstance(extractor, PairExtractor):
        pairs = extractor.begin(clip, clip, (upstream, upstream))
        while pushed < count and not pairs.done:
            pairs.push(shown[pushed], shown[pushed + 1])
            pushed += 1
        pairs.finish()
        return pushed
    session = extractor.begin(clip, upstream)
    while pushed < count and not session.done:
        session.push(shown[pushed])
        pushed += 1
    return int(str(session.finish().meta.get("chosen", pushed)))


def listen(extractor: AudioExtractor, folder: Path, seconds: float) -> float:
    """Lets an extractor hear some sound; returns how many seconds."""
    samples = np.load(folder / "sound.npy")[: round(seconds * 16_000)]
    extractor.extract(Audio(samples), {})
    return len(samples) / 16_000


def own_peak() -> int:
    """Returns the largest resident set of this process alone, in bytes.

    What getrusage tells is no less than the parent had when it started this process.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return peak_memory()
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def measure(subject: Subject, folder: Path, device: str, batch: int) -> dict[str, float]:
    """Takes one measurement in this process."""
    extractor = load_catalogue().extractor(subject.spec)
    whole = len(np.load(folder / "frames.npy", mmap_mode="r")) - 1
    heard = len(np.load(folder / "sound.npy", mmap_mode="r")) / 16_000
    with guarded_torch(device):
        import torch  # the parent of the measurements stays small

        extractor.setup(context(subject, device, batch))

        def run(*, warm_up: bool) -> float:
            if isinstance(extractor, AudioExtractor):
                return listen(extractor, folder, min(heard, 2.0) if warm_up else heard)
            if isinstance(extractor, (FrameExtractor, PairExtractor)):
                return watch(extractor, folder, 2 if warm_up else whole)
            raise TypeError(f"{subject.id} reads neither pictures nor sound")

        run(warm_up=True)
        if device != "cpu":
            torch.cuda.synchronize()
        started = time.perf_counter()
        units = run(warm_up=False)
        if device != "cpu":
            torch.cuda.synchronize()
        spent = time.perf_counter() - started
        memory = own_peak() if device == "cpu" else torch.cuda.max_memory_allocated()
    return {"ms": 1000 * spent / max(units, 1e-9), "memory_mb": memory / 1e6, "load": os.getloadavg()[0]}


def best(subject: Subject, folder: Path, device: str, batch: int, repeat: int) -> dict[str, float]:
    """Takes the best of several measurements, each in a process of its own."""
    task = json.dumps({"subject": asdict(subject), "folder": str(folder), "device": device, "batch": batch})
    runs = []
    for _ in range(repeat):
        command = [sys.executable, "-W", "ignore", __file__, "--one", task]
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["ms"])


def gpus() -> list[str]:
    import torch  # likewise

    return ["cuda"] if torch.cuda.is_available() else []


def write_table(rows: list[dict[str, Any]], batches: list[int]) -> None:
    heads = "".join(f"{f'batch {batch}':>11}" for batch in batches)
    sys.stdout.write(f"{'extractor':<32}{'device':<7}{'weights':<14}{'ms per':<8}{heads}{'memory, MB':>12}\n")
    for row in rows:
        times = "".join(f"{row['batches'][batch]['ms']:>11.1f}" for batch in batches)
        memory = max(run["memory_mb"] for run in row["batches"].values())
        start = f"{row['extractor']:<32}{row['device']:<7}{row['weights']:<14}{row['unit']:<8}"
        sys.stdout.write(f"{start}{times}{memory:>12.0f}\n")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=FRAMES, help="at least 25, for lip sync")
    parser.add_argument("--sound", type=float, default=SOUND, help="seconds")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of extractor ids")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        task = json.loads(chosen.one)
        found = measure(Subject(**task["subject"]), Path(task["folder"]), task["device"], task["batch"])
        sys.stdout.write(json.dumps(found) + "\n")
        return
    catalogue = load_catalogue()
    started = os.getloadavg()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_material(folder, chosen.frames, chosen.sound)
        for subject in subjects(catalogue, folder):
            if not any(part in subject.id for part in chosen.only):
                continue
            unit = "s" if isinstance(catalogue.extractor(subject.spec), AudioExtractor) else "frame"
            for device in ("cpu", *gpus()):
                runs = {batch: best(subject, folder, device, batch, chosen.repeat) for batch in chosen.batches}
                row = {"extractor": subject.id, "device": device, "weights": subject.weights, "unit": unit}
                rows.append({**row, "batches": runs})
                times = ", ".join(f"{run['ms']:.1f}" for run in runs.values())
                sys.stderr.write(f"{subject.id} on {device}: {times} ms per {unit}\n")
    loads = {"cores": os.cpu_count(), "at_start": started, "at_end": os.getloadavg()}
    if chosen.json:
        sys.stdout.write(json.dumps({"load": loads, "rows": rows}, indent=2) + "\n")
        return
    write_table(rows, chosen.batches)
    sys.stdout.write(f"load of the machine (1, 5, 15 minutes; {loads['cores']} cores): at the start {started}, ")
    sys.stdout.write(f"at the end {loads['at_end']}\n")


if __name__ == "__main__":
    main()
