"""Run folders for the tests of the report, made of numbers, so that no clip has to be scored; and reading a page."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Feature, Need, Param
from vidchatbench.api.metrics import Metric, SetDistance, SetItem, SetMetric
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.samples import Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.report.write import write_report
from vidchatbench.results.aggregate import Record, aggregate_all
from vidchatbench.results.files import write_run
from vidchatbench.results.schema import (
    Anchors,
    BenchmarkRef,
    Environment,
    Policy,
    Results,
    RunInfo,
    SuiteRef,
    UnavailableMetric,
)
from vidchatbench.submission.system import SystemDescription

MANIFEST = "ab" * 32
DIMENSIONS = ("video_quality", "identity", "emotion", "voice", "av_sync")
WEIGHT = WeightSpec(
    name="net", file_name="net", sha256="c" * 64, size=1, license="CC0-1.0", commercial_use=True, origin="us"
)
MISSING = Score(Status.OUTPUT_MISSING, None, "there is no output for this sample")


def make_card(place: int, **changes: object) -> MetricCard:
    """The card of the metric at ``place``; every second one is better when lower."""
    down = place % 2 == 1
    content: dict[str, object] = {
        "id": f"{DIMENSIONS[place % len(DIMENSIONS)]}/m{place:02d}", "version": 1, "title": f"Metric {place}",
        "dimension": DIMENSIONS[place % len(DIMENSIONS)], "direction": "lower" if down else "higher", "unit": "dB",
        "minimum": 0.0, "maximum": 100.0, "worst": 100.0 if down else 0.0, "roles": ("candidate",),
        "aggregation": "mean", "null": "shuffled_replies", "protocol": f"m{place}/fixed-v1",
        "protocol_text": "All is fixed.", "description": "d", "code_license": "MIT", "commercial_use": True,
        "citation": "@misc{key, title = {T}}", "source": "s", "weights": ("net",), "weights_license": "CC0-1.0",
    }  # fmt: skip
    return MetricCard.model_validate({**content, **changes})


class _Numbers(Metric):
    defaults: ClassVar[Mapping[str, Param]] = {}

    def needs(self) -> tuple[Need, ...]:
        return ()

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        raise AssertionError


class _Distance:
    def __init__(self, candidates: Any, references: Any) -> None:
        self._sides = [np.concatenate(side) for side in (candidates, references)]

    def between(self, candidates: Any, references: Any) -> float:
        means = [side[kept].mean(axis=0) for side, kept in zip(self._sides, (candidates, references), strict=True)]
        return float(np.linalg.norm(means[0] - means[1]))


class _Sets(SetMetric):
    defaults: ClassVar[Mapping[str, Param]] = {}

    def needs(self) -> tuple[Need, ...]:
        return ()

    def item(self, sample: Sample, features: Mapping[str, Feature]) -> SetItem:
        raise AssertionError

    def distance(self, candidates: Any, references: Any) -> SetDistance:
        return _Distance(candidates, references)


def make_metric(card: MetricCard) -> Metric:
    """A metric with the given card, which scores nothing itself."""
    base = _Sets if card.aggregation == "set" else _Numbers
    return type("Made", (base,), {"default_card": card})()


def make_sample(name: str, speaker: str) -> Sample:
    return Sample(
        id=name, task="dialogue", language="en", initiator=Side(media="i.mp4", sha256="0" * 64, speaker_id=speaker)
    )


Scorer = Callable[[int, int], Score]


def uneven(place: int, number: int) -> Score:
    """Scores as a real run has them: most are there, some failed, some do not apply, one is our error."""
    chance = random.Random(1000 * place + number)
    kind = chance.random()
    if number % 17 == 3:
        return MISSING
    if kind < 0.03:
        return Score.invalid(f"no face in {chance.randint(51, 99)} % of the frames")
    if kind < 0.06:
        return Score.not_applicable("the sample has no reference")
    return Score.ok(round(min(100.0, max(0.0, chance.gauss(55 + place, 12))), 6), frames=chance.randint(20, 90))


def make_run(
    folder: Path,
    *,
    samples: int = 12,
    cards: list[MetricCard] | None = None,
    score: Scorer = uneven,
    system: Mapping[str, object] | None = None,
    names: list[str] | None = None,
    **changes: object,
) -> Results:
    """Writes a run folder of made-up scores; ``changes`` go into the results."""
    metrics = [make_metric(card) for card in (cards if cards is not None else [make_card(k) for k in range(6)])]
    members = [
        make_sample(names[k] if names else f"s{k:03d}", f"speaker-{k % max(3, samples // 3)}") for k in range(samples)
    ]
    records = [_record(metric, place, sample, k, score) for place, metric in enumerate(metrics)
               for k, sample in enumerate(members)]  # fmt: skip
    anchors = {
        m.card.id: Anchors(oracle=0.0 if m.card.direction == "lower" else 95.0, nulls={"shuffled_replies": 48.0})
        for m in metrics
        if m.card.null is not None
    }
    results = Results.model_validate(
        {
            "benchmark": BenchmarkRef(name="toy", version="1.0.0", manifest_sha256=MANIFEST, n_samples=samples),
            "vidchatbench_version": "0.0.0",
            "suite": SuiteRef(name="lite", version=1),
            "system": SystemDescription.model_validate({"name": "Ours", **(system or {})}),
            "metrics": aggregate_all(metrics, records, {"net": WEIGHT}, seed=0, anchors=anchors),
            "unavailable": (),
            "environment": Environment(
                python="3.11", platform="Linux x86_64", device="cpu", packages={"numpy": "2"},
                plugins={"core": "vidchatbench 0.0.0"}, decode_profile="profile-1",
            ),
            "run": RunInfo(
                started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
                finished=datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone.utc), seed=0, permissive=False,
                policy=Policy(), workers=2, batch_size=8, engine="local", seconds={"plan": 0.5, "extract": 61.0},
                media_seconds=120.0, features_reused=1, features_extracted=2, decode_passes={}, peak_memory_bytes=2**30,
            ),
            "complete": True,
            **changes,
        }
    )  # fmt: skip
    media = [
        {"sample_id": record.sample.id, "role": "candidate", "file": f"{record.sample.id}.mp4", "sha256": "0" * 64}
        for record in records[:samples]
        if record.score.status is not Status.OUTPUT_MISSING
    ]
    write_run(folder, results, records, media)
    return results


def unavailable(metric: str) -> UnavailableMetric:
    return UnavailableMetric(id=metric, protocol="p/v1", reason="no weights", fix="weights pull net")


def tampered(folder: Path, **changes: object) -> None:
    """Changes top-level entries of ``results.json`` as somebody with an editor would."""
    path = folder / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def _record(metric: Metric, place: int, sample: Sample, number: int, score: Scorer) -> Record:
    found = score(place, number)
    if not isinstance(metric, SetMetric) or found.status is not Status.OK:
        return Record.of(sample, metric, found)
    generator = np.random.default_rng(number)
    reference = generator.normal(size=(1, 3))
    return Record.of_item(sample, metric, SetItem(reference + (found.value or 0) / 50, reference), {"f": "0" * 64})


class Seen(HTMLParser):
    """What a browser would find in a page: its elements, attributes, and the text of its scripts."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self._open = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in {"script", "style"}:
            (self.scripts if tag == "script" else self.styles).append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"}:
            (self.scripts if self._open == "script" else self.styles)[-1] += data
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [value for _, found in self.tags if (value := found.get(name)) is not None]


def written(run: Path, **options: object) -> str:
    return write_report(run, **options).page.read_text("utf-8")  # type: ignore[arg-type]
