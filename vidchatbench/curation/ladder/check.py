"""``ladder check``: whether a panel that sees neither grades nor origin ranks the replies as their grades do."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidchatbench.api.samples import LadderStep, Sample
from vidchatbench.curation.ladder.answers import read_object
from vidchatbench.curation.ladder.chat import Models, Question, Unanswered
from vidchatbench.curation.ladder.lengths import length_of, unit_of
from vidchatbench.curation.ladder.prompts import LABELS, MAX_POINTS, check_messages, check_schema
from vidchatbench.errors import InputError
from vidchatbench.judge.llm.answers import UnusableAnswerError
from vidchatbench.results.statistics.intervals import Interval, cluster_mean_interval

MIN_TAU = 0.6
"""A sample below is to be written anew or left out (protocols: drop items with tau < 0.6)."""

MIN_HUMAN = 0.8
MAX_FOREIGN = 0.4
"""Where the real reply, and one to somebody else, must stand on the ladder in the mean."""

MAX_LENGTH_CORRELATION = 0.3
ORDERS = 2
"""Each panel member sees the candidates in a shuffled order and in its reverse."""

_SEED = 0


@dataclass(frozen=True)
class Mean:
    """A mean over samples with its 95 % interval (resampled by speaker) and their number."""

    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class CheckedSample:
    """The panel's ratings of one ladder.

    Attributes:
        id: The sample.
        tau: Kendall's tau-b of grades and points, in -1..1; 0 where all get the same points.
        monotone: Whether every grade gets more points than the one below.
        points: Mean points of each grade, 0..10, from the lowest grade to the highest.
        human: Grade of the step whose points are nearest to the real reply's; ``None`` without its words.
        foreign: The same of another sample's real reply.
    """

    id: str
    tau: float
    monotone: bool
    points: tuple[float, ...]
    human: float | None
    foreign: float | None


@dataclass(frozen=True)
class LadderReport:
    """The result of a check.

    Attributes:
        judges: The panel.
        samples: The samples that were checked, in the manifest's order.
        missing: Samples of the benchmark that have no ladder.
        unanswered: Why a sample could not be checked.
        tau: Mean of the samples' tau.
        human: Mean grade of the real replies, ``None`` where none is known.
        foreign: Mean grade of real replies to somebody else, likewise.
        length_correlation: Pearson's r of grade and length over the sample's mean length; ``None`` if all are as long.
        same_model: Panel members that wrote the ladders: they may prefer what they wrote.
    """

    judges: tuple[str, ...]
    samples: tuple[CheckedSample, ...]
    missing: tuple[str, ...]
    unanswered: Mapping[str, str]
    tau: Mean | None
    human: Mean | None
    foreign: Mean | None
    length_correlation: float | None
    same_model: tuple[str, ...] = ()

    @property
    def low(self) -> tuple[CheckedSample, ...]:
        """Samples whose grades the panel does not confirm."""
        return tuple(sample for sample in self.samples if sample.tau < MIN_TAU)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why the ladder should not be used as it is; none if it may."""
        problems = []
        if self.low:
            problems.append(f"{len(self.low)} of {len(self.samples)} samples have a Kendall tau under {MIN_TAU:g}")
        if self.human is not None and self.human.value < MIN_HUMAN:
            problems.append(f"the real replies stand at {self.human.value:.2f}, not near 1 (least {MIN_HUMAN:g})")
        if self.foreign is not None and self.foreign.value > MAX_FOREIGN:
            problems.append(f"replies to others stand at {self.foreign.value:.2f}, not near 0.2 (most {MAX_FOREIGN:g})")
        r = self.length_correlation
        if r is not None and abs(r) > MAX_LENGTH_CORRELATION:
            problems.append(f"grade and length correlate (r = {r:.2f}, most {MAX_LENGTH_CORRELATION:g})")
        if self.missing:
            problems.append(f"samples without a ladder: {len(self.missing)}")
        return tuple(problems)


@dataclass(frozen=True)
class _Case:
    sample: Sample
    steps: tuple[LadderStep, ...]
    human: str | None
    foreign: str | None

    @property
    def candidates(self) -> list[str]:
        return [*(step.text for step in self.steps), *(text for text in (self.human, self.foreign) if text)]


def check_ladders(
    samples: Sequence[Sample],
    ladders: Mapping[str, tuple[LadderStep, ...]],
    models: Models,
    writers: frozenset[str] = frozenset(),
) -> LadderReport:
    """Has a panel rate all steps, the real reply and one to somebody else, in shuffled order.

    Args:
        samples: The samples of the benchmark.
        ladders: Steps by sample id.
        models: The panel.
        writers: Models that wrote the ladders.

    Raises:
        InputError: If a ladder is of no sample, or no sample can be rated; all problems are listed.
    """
    unknown = sorted(set(ladders) - {sample.id for sample in samples})
    if unknown:
        raise InputError("the ladder", [f"{name}: the benchmark has no such sample" for name in unknown])
    cases = _cases(samples, ladders)
    if not cases:
        raise InputError("the ladder", ["no sample with a ladder has a transcript of its initiator"])
    points, unanswered = _ask(cases, models)
    unanswered.update(
        {
            sample.id: "its initiator has no transcript"
            for sample in samples
            if sample.id in ladders and not (sample.initiator.transcript or "").strip()
        }
    )
    checked = [(case, _checked(case, points[case.sample.id])) for case in cases if case.sample.id in points]
    return LadderReport(
        judges=models.names,
        samples=tuple(one for _, one in checked),
        missing=tuple(sample.id for sample in samples if sample.id not in ladders),
        unanswered=unanswered,
        tau=_mean([(one.tau, case) for case, one in checked]),
        human=_mean([(one.human, case) for case, one in checked]),
        foreign=_mean([(one.foreign, case) for case, one in checked]),
        length_correlation=_length_correlation(cases),
        same_model=tuple(name for name in models.names if name in writers),
    )


def _cases(samples: Sequence[Sample], ladders: Mapping[str, tuple[LadderStep, ...]]) -> list[_Case]:
    cases = []
    for position, sample in enumerate(samples):
        if sample.id not in ladders or not (sample.initiator.transcript or "").strip():
            continue
        steps = tuple(sorted(ladders[sample.id], key=lambda step: step.score))
        others = [*samples[position + 1 :], *samples[:position]]
        foreign = next((_human(one) for one in others if _is_foreign(one, sample) and _human(one)), None)
        cases.append(_Case(sample, steps, _human(sample), foreign))
    return cases


def _human(sample: Sample) -> str | None:
    return (sample.responder.transcript or "").strip() or None if sample.responder else None


def _is_foreign(one: Sample, sample: Sample) -> bool:
    # What somebody else was told, in the same language.
    return one.language == sample.language and one.initiator.sha256 != sample.initiator.sha256


def _ask(cases: Sequence[_Case], models: Models) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    turns = [(judge, turn) for judge in range(len(models.names)) for turn in range(ORDERS)]
    plan = [(case, judge, _order(case, judge, turn)) for case in cases for judge, turn in turns]
    questions = [_question(case, judge, order) for case, judge, order in plan]
    answers: dict[str, list[np.ndarray]] = {}
    unanswered: dict[str, str] = {}
    for position, answer in models.ask(questions):
        case, _, order = plan[position]
        points = answer.reason if isinstance(answer, Unanswered) else _points(answer.text, len(order))
        if isinstance(points, str):
            unanswered[case.sample.id] = points
            continue
        back = np.empty(len(order))
        back[order] = points
        answers.setdefault(case.sample.id, []).append(back)
    # A panel of which somebody is missing is another panel.
    return {name: np.mean(all_, axis=0) for name, all_ in answers.items() if name not in unanswered}, unanswered


def _question(case: _Case, judge: int, order: Sequence[int]) -> Question:
    count = len(order)
    return Question(
        judge,
        check_messages(case.sample, [case.candidates[k] for k in order]),
        check_schema(count),
        usable=lambda text: not isinstance(_points(text, count), str),
    )


def _order(case: _Case, judge: int, turn: int) -> list[int]:
    order = list(range(len(case.candidates)))
    digest = hashlib.sha256(f"{case.sample.id}|{judge}".encode()).hexdigest()
    random.Random(digest).shuffle(order)  # noqa: S311 - it hides grades from a model, and must come out the same again
    return order[::-1] if turn else order


def _points(text: str, count: int) -> list[int] | str:
    labels = LABELS[:count]
    try:
        answer = read_object(text, labels)
    except UnusableAnswerError as error:
        return str(error)
    points = [answer[label] for label in labels]
    whole = [one for one in points if isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= MAX_POINTS]
    return whole if len(whole) == count else f"points that are no whole numbers from 0 to {MAX_POINTS}"


def _checked(case: _Case, points: np.ndarray) -> CheckedSample:
    from scipy import stats  # heavy, and only the check needs it

    grades = np.array([step.score for step in case.steps])
    steps, rest = points[: len(grades)], list(points[len(grades) :])
    kendall: Any = stats.kendalltau(grades, steps)  # scipy states no type for its result
    tau = float(kendall.statistic) if len(set(steps.tolist())) > 1 else 0.0
    human = rest.pop(0) if case.human else None
    foreign = rest.pop(0) if case.foreign else None
    return CheckedSample(
        id=case.sample.id,
        tau=tau,
        monotone=bool(np.all(np.diff(steps) > 0)),
        points=tuple(float(one) for one in steps),
        human=None if human is None else _place(human, steps, grades),
        foreign=None if foreign is None else _place(foreign, steps, grades),
    )


def _place(points: float, steps: np.ndarray, grades: np.ndarray) -> float:
    """Returns the grade of the step whose points are nearest, the mean of the grades where several are as near."""
    distance = np.abs(steps - points)
    return float(np.mean(grades[distance == distance.min()]))


def _mean(rows: Sequence[tuple[float | None, _Case]]) -> Mean | None:
    known = [(value, case.sample.cluster) for value, case in rows if value is not None]
    if not known:
        return None
    values, clusters = [value for value, _ in known], [cluster for _, cluster in known]
    interval = cluster_mean_interval(values, clusters, seed=_SEED)
    return Mean(float(np.mean(values)), interval, len(values))


def _length_correlation(cases: Sequence[_Case]) -> float | None:
    grades, lengths = [], []
    for case in cases:
        unit = unit_of(case.sample.language)
        own = [length_of(step.text, unit) for step in case.steps]
        if mean := float(np.mean(own)):
            grades += [step.score for step in case.steps]
            lengths += [length / mean for length in own]
    if len(set(lengths)) < 2:  # noqa: PLR2004 - equal lengths correlate with nothing
        return None
    return float(np.corrcoef(grades, lengths)[0, 1])
