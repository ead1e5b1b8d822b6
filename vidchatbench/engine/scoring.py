"""Scoring: every planned cell becomes a record, from features alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vidchatbench.contract.features import Feature
from vidchatbench.contract.metrics import Metric
from vidchatbench.contract.scores import Score, Status
from vidchatbench.engine.isolation import Blame, Failure, attempt
from vidchatbench.engine.plan import Cell
from vidchatbench.results.aggregate import Record
from vidchatbench.submission.check import Output


def score_cells(
    cells: Sequence[Cell],
    outputs: Mapping[str, Output],
    known: dict[str, Feature | Failure],
    load: Callable[[str], Feature | None],
) -> list[Record]:
    """Scores the cells of a plan.

    Args:
        cells: The cells.
        outputs: The output of each sample, to know whether a broken clip is the submission's.
        known: Features and failures that are at hand, by key; loaded ones are added.
        load: Reads a stored feature by key.

    Returns:
        One record per cell, in their order.
    """

    def score(cell: Cell) -> Score:
        if cell.settled is not None:
            return cell.settled
        features: dict[str, Feature] = {}
        for name, key in cell.keys.items():
            if key not in known:
                lost = Failure(Blame.OURS, "a stored feature is damaged or was removed; run again")
                known[key] = load(key) or lost
            found = known[key]
            if isinstance(found, Failure):
                return _blame(found, cell, outputs)
            features[name] = found
        result = attempt(lambda: _checked(cell.metric.score(cell.sample, features)))
        if isinstance(result, Failure):
            return Score(Status.ERROR, None, f"{cell.metric.card.id}: {result.reason}")
        return _within_range(cell.metric, result)

    return [Record.of(cell.sample, cell.metric, score(cell)) for cell in cells]


def _checked(answer: object) -> Score:
    if not isinstance(answer, Score):
        raise TypeError(f"score() returned {answer!r}, not a Score")
    return answer


def _blame(failure: Failure, cell: Cell, outputs: Mapping[str, Output]) -> Score:
    output = outputs[cell.sample.id]
    is_candidate = output.info is not None and failure.media == output.info.sha256
    if failure.blame is Blame.MEDIA and is_candidate and output.path is not None:
        return Score.invalid(f"{output.path.name}: {failure.reason}")
    return Score(Status.ERROR, None, failure.reason)


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
