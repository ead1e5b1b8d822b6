"""Scoring: every planned cell becomes a record, from features alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidchatbench.api.features import Feature
from vidchatbench.api.metrics import JointItem, JointMetric, JointScores, Metric, SetItem, SetMetric
from vidchatbench.api.samples import Role
from vidchatbench.api.scores import Score, Status
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.plan import Cell
from vidchatbench.results.aggregate import Record
from vidchatbench.submission.check import Output


@dataclass(frozen=True)
class ScoredCells:
    """What the scoring of a plan gives.

    Attributes:
        records: One record per cell, in their order.
        summaries: What metrics that see all samples say besides, by metric id.
    """

    records: list[Record]
    summaries: Mapping[str, Mapping[str, float]]


def score_cells(
    cells: Sequence[Cell],
    outputs: Mapping[str, Output],
    features: FeatureLookup,
    seconds: Mapping[tuple[str, Role], float] | None = None,
) -> ScoredCells:
    """Scores the cells of a plan.

    Args:
        cells: The cells.
        outputs: The output of each sample, to know whether a broken clip is the submission's.
        features: The features of the run.
        seconds: Length of the clip of each sample and role, where it is known.
    """
    records: dict[int, Record] = {}
    summaries: dict[str, Mapping[str, float]] = {}
    joint: dict[int, list[int]] = {}
    for place, cell in enumerate(cells):
        if isinstance(cell.metric, JointMetric):
            joint.setdefault(id(cell.metric), []).append(place)
        else:
            records[place] = _score_alone(cell, outputs, features)
    for places in joint.values():
        members = [cells[place] for place in places]
        scores, summary = _score_jointly(members, outputs, features, seconds or {})
        summaries[members[0].metric.card.id] = summary
        for place, cell, score in zip(places, members, scores, strict=True):
            records[place] = Record.of(cell.sample, cell.metric, _within_range(cell.metric, score))
    return ScoredCells([records[place] for place in range(len(cells))], summaries)


def _score_alone(cell: Cell, outputs: Mapping[str, Output], features: FeatureLookup) -> Record:
    if cell.settled is not None:
        return Record.of(cell.sample, cell.metric, cell.settled)
    needed, failure = _read(cell, features)
    if failure is not None:
        return Record.of(cell.sample, cell.metric, _blame(failure, cell, outputs))
    return _score_features(cell, needed)


def _read(cell: Cell, features: FeatureLookup) -> tuple[dict[str, Feature], Failure | None]:
    """Returns the features of a cell that are there, and the first failure among the others."""
    needed: dict[str, Feature] = {}
    failed: Failure | None = None
    for name, key in cell.keys.items():
        feature = features.get(key)
        if isinstance(feature, Failure):
            failed = failed or feature
        else:
            needed[name] = feature
    return needed, failed


def _score_jointly(
    cells: Sequence[Cell],
    outputs: Mapping[str, Output],
    features: FeatureLookup,
    seconds: Mapping[tuple[str, Role], float],
) -> tuple[Sequence[Score], Mapping[str, float]]:
    metric = cells[0].metric
    items = []
    for cell in cells:
        needed, failure = _read(cell, features)
        settled = cell.settled
        if settled is None and failure is not None:
            settled = _blame(failure, cell, outputs)
        lengths = {role: seconds[cell.sample.id, role] for role in Role if (cell.sample.id, role) in seconds}
        items.append(JointItem(cell.sample, needed, settled, lengths))
    answer = attempt(lambda: _checked_together(metric, items))
    if isinstance(answer, Failure):
        fault = Score(Status.ERROR, None, f"{metric.card.id}: {answer.reason}")
        return [item.settled or fault for item in items], {}
    return [item.settled or score for item, score in zip(items, answer.scores, strict=True)], answer.summary


def _checked_together(metric: Metric, items: Sequence[JointItem]) -> JointScores:
    if not isinstance(metric, JointMetric):
        raise TypeError(f"{metric.card.id} is no metric of all samples at once")
    answer = metric.score_all(items)
    if not isinstance(answer, JointScores) or len(answer.scores) != len(items):
        raise TypeError(f"score_all() must return JointScores with one score for each of {len(items)} items")
    for score in answer.scores:
        _checked(score)
    if not all(math.isfinite(value) for value in answer.summary.values()):
        raise ValueError(f"the summary {dict(answer.summary)!r} must hold finite numbers")
    return answer


def _score_features(cell: Cell, features: Mapping[str, Feature]) -> Record:
    metric = cell.metric
    if isinstance(metric, SetMetric):
        result = attempt(lambda: _checked_item(metric.item(features)))
        if isinstance(result, SetItem):
            return Record.of_item(cell.sample, metric, result, cell.keys)
    else:
        result = attempt(lambda: _checked(metric.score(cell.sample, features)))
    if isinstance(result, Failure):
        return Record.of(cell.sample, metric, Score(Status.ERROR, None, f"{metric.card.id}: {result.reason}"))
    return Record.of(cell.sample, metric, _within_range(metric, result))


def _checked_item(answer: object) -> SetItem | Score:
    if isinstance(answer, Score) and answer.status is not Status.OK:
        return answer
    if not isinstance(answer, SetItem):
        raise TypeError(f"item() returned {answer!r}, not a SetItem or the Score of a failure")
    for rows in (answer.candidate, answer.reference):
        if rows.ndim != 2 or len(rows) == 0 or not np.isfinite(rows).all():  # noqa: PLR2004
            raise ValueError(f"item() returned rows of shape {rows.shape}; finite rows of shape (n, d) are needed")
    return answer


def _checked(answer: object) -> Score:
    if not isinstance(answer, Score):
        raise TypeError(f"score() returned {answer!r}, not a Score")
    return answer


def _blame(failure: Failure, cell: Cell, outputs: Mapping[str, Output]) -> Score:
    output = outputs[cell.sample.id]
    is_candidate = output.info is not None and failure.media == output.info.sha256
    if failure.blame is Blame.MEDIA and is_candidate and output.path is not None:
        return Score.invalid(f"{output.path.name}: {failure.reason}")
    return Score(Status.JUDGE_FAILED if failure.blame is Blame.JUDGE else Status.ERROR, None, failure.reason)


def _within_range(metric: Metric, score: Score) -> Score:
    card = metric.card
    if score.value is None:
        return score
    if (card.minimum is not None and score.value < card.minimum) or (
        card.maximum is not None and score.value > card.maximum
    ):
        reason = f"{card.id} gave {score.value!r}, outside its range [{card.minimum}, {card.maximum}]"
        return Score(Status.ERROR, None, reason)
    return score
