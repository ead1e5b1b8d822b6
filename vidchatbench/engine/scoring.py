"""Scoring: every planned cell becomes a record, from features alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vidchatbench.api.features import Feature
from vidchatbench.api.metrics import Metric, SetItem, SetMetric
from vidchatbench.api.scores import Score, Status
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.plan import Cell
from vidchatbench.results.aggregate import Record
from vidchatbench.submission.check import Output


def score_cells(
    cells: Sequence[Cell],
    outputs: Mapping[str, Output],
    features: FeatureLookup,
) -> list[Record]:
    """Scores the cells of a plan.

    Args:
        cells: The cells.
        outputs: The output of each sample, to know whether a broken clip is the submission's.
        features: The features of the run.

    Returns:
        One record per cell, in their order.
    """

    def score(cell: Cell) -> Record:
        if cell.settled is not None:
            return Record.of(cell.sample, cell.metric, cell.settled)
        needed: dict[str, Feature] = {}
        for name, key in cell.keys.items():
            feature = features.get(key)
            if isinstance(feature, Failure):
                return Record.of(cell.sample, cell.metric, _blame(feature, cell, outputs))
            needed[name] = feature
        return _score_features(cell, needed)

    return [score(cell) for cell in cells]


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
