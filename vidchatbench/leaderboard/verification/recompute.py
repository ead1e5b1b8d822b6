"""Recomputing what a bundle claims: its rows go through the library's own aggregation once more.

Means, intervals, counts and coverage follow from the rows; a mean is exactly rounded, so it must agree to the last bit.
The limits of an interval pass through the processor's mathematics, which differs in the last digits between computers.
A distance between sets does not follow from rows: of it, only what surrounds it can be checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.features import Feature, Need
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.leaderboard.verification.context import Context
from vidchatbench.leaderboard.verification.findings import Finding, error, note
from vidchatbench.results.aggregate import Record, aggregate
from vidchatbench.results.sample_rows import SampleRow
from vidchatbench.results.schema import RESULTS_FILE, MetricResult

TOLERANCE = 1e-9
"""Largest difference of a recomputed limit, as a share of the interval's width and the value's size."""

_NOBODY = "0" * 64


class _Recorded(Metric):
    """A metric whose scores come from a bundle; the aggregation only needs its card."""

    def __init__(self, card: MetricCard) -> None:
        self.params = {}
        self.card = card

    def needs(self) -> tuple[Need, ...]:
        return ()

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        raise NotImplementedError("the scores were read from a bundle")


def recompute(context: Context) -> list[Finding]:
    """Returns where a number of the results does not follow from the rows.

    The rows must have passed their own checks.
    """
    samples: dict[tuple[str, str], Sample] = {}
    findings: list[Finding] = []
    for result in context.bundle.results.metrics:
        again = _aggregate_again(context, result, samples)
        findings += _compare(result, again, context.cards.get(result.id), _ceilings(context, result))
    sets = [metric.id for metric in context.bundle.results.metrics if metric.aggregation == "set"]
    if sets:
        message = f"{', '.join(sets)}: not recomputed (a distance of sets): needs the media"
        findings.append(note("not_recomputed", RESULTS_FILE, message))
    return findings


def _aggregate_again(context: Context, result: MetricResult, samples: dict[tuple[str, str], Sample]) -> MetricResult:
    metric = _Recorded(_card(context.cards.get(result.id), result))
    records = []
    for row in context.rows.get(result.id, ()):
        sample = samples.setdefault((row.sample_id, row.cluster), _sample(row))
        records.append(Record(sample, metric, _score(row), row.counted))
    return aggregate(
        metric,
        records,
        {},
        seed=context.bundle.results.run.seed,
        anchors=result.anchors,
        ceilings=_ceilings(context, result),
    )


def _ceilings(context: Context, result: MetricResult) -> Mapping[str, float]:
    wanted = result.anchors.samples_sha256
    entries = (context.anchors or {}).get(result.id, ())
    return next((entry.samples for entry in entries if wanted and entry.samples_sha256 == wanted), {})


def _card(installed: MetricCard | None, result: MetricResult) -> MetricCard:
    if installed is not None:
        # The weights are checked elsewhere; here they would have to be on this computer.
        return installed.model_copy(update={"weights": (), "weights_license": None})
    null = next(iter(result.anchors.nulls), None) if len(result.anchors.nulls) == 1 else None
    return MetricCard.model_construct(
        id=result.id,
        version=result.version,
        title=result.title,
        protocol=result.protocol,
        dimension=result.dimension,
        direction=result.direction,
        unit=result.unit,
        aggregation=result.aggregation,
        weights=(),
        minimum=None,
        worst=result.worst,
        null=null,
    )


def _sample(row: SampleRow) -> Sample:
    side = Side.model_construct(media="", sha256=_NOBODY, speaker_id=row.cluster)
    return Sample.model_construct(id=row.sample_id, task="dialogue", language="", initiator=side, responder=None)


def _score(row: SampleRow) -> Score:
    details = json.loads(row.details)
    return Score(Status(row.status), row.value, row.reason, details)


def _compare(
    result: MetricResult, again: MetricResult, card: MetricCard | None, ceilings: Mapping[str, float]
) -> Iterator[Finding]:
    where = f"{RESULTS_FILE}: {result.id}"
    for name in ("n_expected", "n_ok", "n_failed", "n_not_applicable", "n_error", "coverage"):
        claimed, actual = getattr(result, name), getattr(again, name)
        if claimed != actual:
            message = f"{name} is {claimed!r}, the rows give {actual!r}; {_WAY_OUT}"
            yield error("counts_differ", f"{where}: {name}", message)
    if again.unranked is not None and result.unranked is None:
        message = f"the metric is not marked as unranked, but {again.unranked}"
        yield error("ranking_claimed", where, message)
    if result.aggregation == "set":
        yield from _check_set(result, card, where)
        return
    if result.value != again.value:
        message = f"the value is {result.value!r}, the rows give {again.value!r}; {_WAY_OUT}"
        yield error("value_differs", f"{where}: value", message)
        return
    if result.interval_method != again.interval_method or not _close(result.ci95, again.ci95):
        message = f"the 95 % interval is {_shown(result.ci95)}, the rows give {_shown(again.ci95)}; {_WAY_OUT}"
        yield error("interval_differs", f"{where}: ci95", message)
    if result.floor is not None:
        yield error("floor_of_mean", f"{where}: floor", "only a distance of sets has a floor")
    # Which null an anchored value is read against stands on the card alone, and what was cut in the file of anchors.
    known = result.anchors.samples_sha256 is None or bool(ceilings)
    if known and result.anchored is not None and again.anchored is not None:
        scale = max(abs(result.anchored), abs(again.anchored), 1.0)
        if abs(result.anchored - again.anchored) > TOLERANCE * scale:
            message = f"anchored is {result.anchored!r}, value and anchors give {again.anchored!r}; {_WAY_OUT}"
            yield error("value_differs", f"{where}: anchored", message)


_WAY_OUT = "submit the run as it was written"


def _check_set(result: MetricResult, card: MetricCard | None, where: str) -> Iterator[Finding]:
    floor_values = () if result.floor is None else (("floor", result.floor.value), ("floor", result.floor.candidate))
    limits = () if result.ci95 is None else (("ci95", result.ci95[0]), ("ci95", result.ci95[1]))
    for name, number in (("value", result.value), *limits, *floor_values):
        if card is not None and number is not None and not _within(number, card):
            message = f"{number!r} lies outside the metric's range [{card.minimum}, {card.maximum}]"
            yield error("out_of_range", f"{where}: {name}", message)
    if result.ci95 is not None and result.value is not None and not result.ci95[0] <= result.value <= result.ci95[1]:
        yield error("interval_differs", f"{where}: ci95", "the interval does not hold the value")
    if result.value is not None and result.n_ok == 0:
        yield error("value_differs", f"{where}: value", "there is a value, but no sample that it could rest on")
    if result.value is None and result.n_ok and result.unranked is None:
        yield error("value_differs", f"{where}: value", "there is no value and no word on why")
    if result.ci95 is not None and (result.value is None or result.ci95[0] > result.ci95[1]):
        yield error("interval_differs", f"{where}: ci95", f"{_shown(result.ci95)} is no interval of a value")
    if result.interval_method not in {None, "delete_group_jackknife"}:
        yield error("interval_differs", f"{where}: ci95", "a distance of sets has no bootstrap interval")
    floor = result.floor
    if floor is None:
        return
    if not 0 < floor.n <= result.n_ok // 2:
        message = f"the floor says {floor.n} samples on each side, half of {result.n_ok} scored ones is the most"
        yield error("bad_floor", f"{where}: floor", message)
    if result.value is None:
        yield error("bad_floor", f"{where}: floor", "there is a floor, but no value")


def _within(number: float, card: MetricCard) -> bool:
    least = -math.inf if card.minimum is None else card.minimum - TOLERANCE
    most = math.inf if card.maximum is None else card.maximum + TOLERANCE
    return least <= number <= most


def _close(claimed: Sequence[float] | None, actual: Sequence[float] | None) -> bool:
    if claimed is None or actual is None:
        return claimed is None and actual is None
    scale = max(map(abs, (*claimed, *actual)))
    return all(abs(a - b) <= TOLERANCE * scale for a, b in zip(claimed, actual, strict=True))


def _shown(interval: Sequence[float] | None) -> str:
    return "none" if interval is None else f"[{interval[0]!r}, {interval[1]!r}]"
