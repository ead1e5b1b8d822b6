"""Benchmarks, runs and bundles without media: real cards and real aggregation over made-up scores.

They hold exactly what `evaluate` writes, so that a test can change one byte of it and see that the change is found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Role, Sample, benchmark_media
from vidchatbench.api.scores import Score, Status
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.leaderboard.verification.bundle import BUNDLE_FILE, FILES, bundle_hashes, bundle_path
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.aggregate import Record, aggregate
from vidchatbench.results.files import write_run
from vidchatbench.results.schema import (
    Anchors,
    BenchmarkRef,
    Environment,
    MetricResult,
    Policy,
    Results,
    RunInfo,
    SuiteRef,
    WeightUse,
    load_results,
)
from vidchatbench.submission.system import SystemDescription
from vidchatbench.weights.lock import Pin

SUITE = "lite"
WHEN = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def sha(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class Recorded(Metric):
    """A metric whose scores are made up; its weights are left to the caller."""

    def __init__(self, card: MetricCard) -> None:
        self.params = {}
        self.card = card.model_copy(update={"weights": (), "weights_license": None})

    def needs(self):
        return ()

    def score(self, sample, features):
        raise AssertionError


def cards(suite: str = SUITE) -> dict[str, MetricCard]:
    catalogue = load_catalogue()
    return {e.metric: catalogue.metric(e.metric, **e.params).card for e in catalogue.suite(suite).metrics}


def params(suite: str = SUITE) -> dict[str, dict[str, Any]]:
    catalogue = load_catalogue()
    return {e.metric: dict(catalogue.metric(e.metric, **e.params).params) for e in catalogue.suite(suite).metrics}


def make_benchmark(
    folder: Path, *, n: int = 12, speakers: int = 6, name: str = "tiny", anchors: bool = True
) -> Benchmark:
    """Writes a benchmark without media; the last sample has no real reply."""
    folder.mkdir(parents=True)
    lines = []
    for k in range(n):
        speaker = f"speaker {k % speakers}"
        sides: dict[str, Any] = {
            "initiator": {"media": f"media/{k}_i.mp4", "sha256": sha("initiator", k), "speaker_id": f"other {k}"},
            "responder": {"media": f"media/{k}_r.mp4", "sha256": sha("responder", k), "speaker_id": speaker},
        }
        if k == n - 1:
            sides = {"initiator": {**sides["initiator"], "speaker_id": speaker}, "responder": None}
        lines.append({"id": f"sample {k:02d}", "task": "dialogue", "language": "en", **sides})
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / "manifest.jsonl").write_bytes(text)
    header = {
        "schema_version": 1, "name": name, "version": "1.0.0", "description": "made up", "n_samples": n,
        "manifest_sha256": hashlib.sha256(text).hexdigest(), "license": "CC0-1.0",
    }  # fmt: skip
    (folder / "benchmark.json").write_text(json.dumps(header))
    if anchors:
        write_anchors(folder, header["manifest_sha256"], n - 1)
    return load_benchmark(folder)


def write_anchors(folder: Path, manifest: object, n: int) -> None:
    entries = []
    for card in cards().values():
        if card.aggregation == "mean" and card.null is not None:
            worst, best = limits(card)
            entries.append({
                "metric": card.id, "version": card.version, "protocol": card.protocol, "n": n,
                "weights": sorted(use.sha256 for use in weights_of(card)),
                "oracle": best, "nulls": {card.null: worst},
            })  # fmt: skip
    (folder / "anchors.json").write_text(
        json.dumps({"schema_version": 1, "manifest_sha256": manifest, "anchors": entries})
    )


def limits(card: MetricCard) -> tuple[float, float]:
    """A bad and a good value within the card's range."""
    low = 0.0 if card.minimum is None else card.minimum
    high = low + 100.0 if card.maximum is None else card.maximum
    if card.id.endswith("/psnr"):
        high = 40.0  # beyond, replies look like copies of the real ones
    low, high = low + 0.1 * (high - low), high - 0.1 * (high - low)
    return (low, high) if card.direction == "higher" else (high, low)


def weights_of(card: MetricCard, pin: Pin = Pin.PUBLISHED) -> tuple[WeightUse, ...]:
    table = load_catalogue().weights
    return tuple(
        WeightUse(name=name, sha256=table[name].sha256 or sha(name), license=table[name].license, pin=pin)
        for name in card.weights
    )


@dataclass
class Plan:
    """What a made-up run is like; ``missing`` and ``invalid`` are places of samples."""

    name: str = "Ours"
    revision: str | None = "v1"
    quality: float = 0.6
    noise: float = 0.05
    seed: int = 0
    missing: Sequence[int] = ()
    invalid: Sequence[int] = ()
    errors: Mapping[str, Sequence[int]] = field(default_factory=dict)
    pin: Pin = Pin.PUBLISHED
    content: str | None = None
    system: Mapping[str, object] = field(default_factory=dict)


def make_run(folder: Path, benchmark: Benchmark, plan: Plan) -> Path:
    """Writes a run folder."""
    records, results = [], []
    shared = np.random.Generator(np.random.PCG64(7))
    own = np.random.Generator(np.random.PCG64([plan.seed, sum(plan.name.encode())]))
    for card in cards().values():
        metric = Recorded(card)
        hard, luck = shared.normal(0, 0.1, len(benchmark)), own.normal(0, plan.noise, len(benchmark))
        mine = [
            Record.of(
                sample, metric, _score(card, sample, k, plan, float(np.clip(plan.quality + hard[k] + luck[k], 0, 1)))
            )
            for k, sample in enumerate(benchmark)
        ]
        records += mine
        results.append(_result(metric, mine, benchmark, plan))
    system = SystemDescription.model_validate({
        "name": plan.name, "revision": plan.revision, "open_weights": True, "license": "MIT",
        "training_data": "SpeakerVid-5M, training part", "training_overlap": "none", **plan.system,
    })  # fmt: skip
    header = benchmark.header
    run = Results(
        benchmark=BenchmarkRef(
            name=header.name, version=header.version, manifest_sha256=header.manifest_sha256, n_samples=len(benchmark)
        ),
        vidchatbench_version="0.1.0",
        suite=SuiteRef(name=SUITE, version=load_catalogue().suite(SUITE).version),
        system=system,
        metrics=tuple(results),
        unavailable=(),
        environment=Environment(
            python="3.11.0", platform="Linux x86_64", device="cpu", packages={}, plugins={}, decode_profile="made up"
        ),
        run=RunInfo(
            started=WHEN, finished=WHEN, seed=0, permissive=False, policy=Policy(), workers=1, batch_size=1,
            engine="local", seconds={}, media_seconds=0.0, features_reused=0, features_extracted=0, decode_passes={},
            peak_memory_bytes=0,
        ),
        complete=not plan.errors,
    )  # fmt: skip
    write_run(folder, run, records, list(_media(benchmark, plan)))
    return folder


def _score(card: MetricCard, sample: Sample, k: int, plan: Plan, quality: float) -> Score:
    offered = benchmark_media(sample)
    if any(role is not Role.CANDIDATE and role not in offered for role in card.roles):
        return Score.not_applicable("the sample has no reference")
    if k in plan.missing:
        return Score(Status.OUTPUT_MISSING, None, "there is no output for this sample")
    if k in plan.errors.get(card.id, ()):
        return Score(Status.ERROR, None, "our own fault")
    if k in plan.invalid:
        return Score.invalid(f"{sample.id}.mp4: no face was found")
    bad, good = limits(card)
    return Score.ok(bad + quality * (good - bad), seconds=2.5)


def _result(metric: Recorded, records: Sequence[Record], benchmark: Benchmark, plan: Plan) -> MetricResult:
    original = cards()[metric.card.id]
    anchors = Anchors()
    if original.null is not None and original.aggregation == "mean" and (benchmark.root / "anchors.json").is_file():
        worst, best = limits(original)
        anchors = Anchors(oracle=best, nulls={original.null: worst})
    result = aggregate(metric, records, {}, seed=0, anchors=anchors)
    changes: dict[str, object] = {"weights": weights_of(original, plan.pin), "params": params()[metric.card.id]}
    if original.weights and not plan.pin.is_official:
        changes["unranked"] = f"the weights {', '.join(original.weights)} are not the pinned ones"
    if original.aggregation == "set":
        value = float(np.mean([r.score.value for r in records if r.score.value is not None]))
        changes |= {"value": value, "ci95": (value * 0.9, value * 1.1), "interval_method": "delete_group_jackknife"}
    return result.model_copy(update=changes)


def _media(benchmark: Benchmark, plan: Plan):
    for k, sample in enumerate(benchmark):
        clip = {"bytes": 1000 + k, "container": "mp4", "video": None, "audio": None, "is_image": False, "warnings": []}
        if k not in plan.missing:
            digest = sha("candidate", plan.content or plan.name, plan.revision if plan.content is None else "", k)
            line = {"sample_id": sample.id, "role": "candidate", "file": f"{sample.id}.mp4", "sha256": digest}
            yield {**line, **clip}
        for role, path in benchmark_media(sample).items():
            side = sample.initiator if role is Role.INITIATOR else sample.responder
            assert side is not None
            yield {"sample_id": sample.id, "role": role.value, "file": path, "sha256": side.sha256, **clip}


def make_bundle(root: Path, run: Path) -> Path:
    """Copies a run's files into ``submissions/<system>/<revision>`` below ``root``, with their hashes."""
    folder = root / "submissions" / bundle_path(load_results(run).system)
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes((run / name).read_bytes())
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """Writes ``bundle.sha256`` for the files as they are now, as a forger would."""
    (folder / BUNDLE_FILE).write_text(bundle_hashes({name: (folder / name).read_bytes() for name in FILES}))
