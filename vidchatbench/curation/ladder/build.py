"""``ladder build``: five graded replies for every sample, by a language model that is held to one length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidchatbench.api.samples import LadderStep, Sample
from vidchatbench.curation.ladder.answers import read_object
from vidchatbench.curation.ladder.chat import Answer, Models, Question, Unanswered
from vidchatbench.curation.ladder.file import Ladder, Writer, line_of, problems_of, read_begun
from vidchatbench.curation.ladder.lengths import length_of, slack, target_for, unit_of
from vidchatbench.curation.ladder.prompts import (
    BUILD_REPAIR,
    BUILD_SHA256,
    BUILD_VERSION,
    GRADES,
    build_messages,
    build_schema,
    messages_sha256,
)
from vidchatbench.errors import InputError
from vidchatbench.judge.llm.answers import UnusableAnswerError
from vidchatbench.judge.llm.cache import write_file
from vidchatbench.judge.llm.messages import Message

ATTEMPTS = 4
"""How often a model is asked for one ladder: once, and with what was wrong for each further time."""

_MAX_QUOTE_LENGTH = 4000
_FIELDS = tuple(f"reply_{round(grade * 100)}" for grade in GRADES)


@dataclass(frozen=True)
class BuildResult:
    """What a build has written.

    Attributes:
        written: Ladders that were written now.
        kept: Ladders that an earlier build had written.
        without_words: Samples whose initiator has no transcript, so that nothing can be answered.
        failed: Why there is no ladder, by sample.
    """

    written: tuple[Ladder, ...]
    kept: tuple[Ladder, ...]
    without_words: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Task:
    sample: Sample
    messages: list[Message]
    unit: str
    target: int
    problem: str = ""
    attempts: int = 0


def build_ladders(
    samples: Sequence[Sample], models: Models, out: Path, *, report: Callable[[int, int], None] | None = None
) -> BuildResult:
    """Writes a ladder for every sample whose initiator's words are known.

    Each is written as soon as it is complete, so that a build that is interrupted continues where it stopped; at the
    end the file has the manifest's order.

    Args:
        samples: The samples.
        models: The model that writes; exactly one.
        out: The file.
        report: Called with the number of ladders that are written and of those wanted.

    Raises:
        InputError: If the file was begun by another model or after another prompt, or is damaged, or no sample can be
            answered.
    """
    tasks, without_words = _tasks(samples)
    if not tasks:
        raise InputError("the benchmark", ["no sample has a transcript of its initiator"], "A ladder answers words.")
    kept = _still_valid(read_begun(out), tasks, models.names[0], out)
    ladders = {ladder.id: ladder for ladder in kept}
    _write_all(out, samples, ladders)
    open_tasks = [task for task in tasks if task.sample.id not in ladders]
    failed: dict[str, str] = {}
    with out.open("a", encoding="utf-8") as file:

        def keep(ladder: Ladder) -> None:
            ladders[ladder.id] = ladder
            file.write(line_of(ladder))
            file.flush()
            if report is not None:
                report(len(ladders), len(tasks))

        for attempt in range(1, ATTEMPTS + 1):
            open_tasks = _round(open_tasks, models, attempt, keep, failed) if open_tasks else []
    _write_all(out, samples, ladders)
    failed.update({task.sample.id: f"asked {ATTEMPTS} times: {task.problem}" for task in open_tasks})
    written = tuple(ladder for name, ladder in ladders.items() if name not in {one.id for one in kept})
    return BuildResult(written, tuple(kept), without_words, failed)


def _round(
    tasks: Sequence[_Task], models: Models, attempt: int, keep: Callable[[Ladder], None], failed: dict[str, str]
) -> list[_Task]:
    """Asks for all ladders that are missing, and returns the tasks whose answer could not be used."""
    again = set()
    for position, answer in models.ask([_question(task, attempt) for task in tasks]):
        if isinstance(answer, Unanswered):
            failed[tasks[position].sample.id] = answer.reason
        elif (ladder := _read(tasks[position], answer, models.names[0], attempt)) is None:
            again.add(position)
        else:
            keep(ladder)
    return [tasks[position] for position in sorted(again)]


def _tasks(samples: Sequence[Sample]) -> tuple[list[_Task], tuple[str, ...]]:
    tasks, without = [], []
    for sample in samples:
        if not (sample.initiator.transcript or "").strip():
            without.append(sample.id)
            continue
        unit = unit_of(sample.language)
        target = target_for(sample.responder.transcript if sample.responder else None, unit)
        tasks.append(_Task(sample, build_messages(sample, target, unit), unit, target))
    return tasks, tuple(without)


def _still_valid(begun: Sequence[Ladder], tasks: Sequence[_Task], model: str, out: Path) -> list[Ladder]:
    asked = {task.sample.id: messages_sha256(task.messages) for task in tasks}
    kept = []
    for ladder in begun:
        writer = ladder.generator
        if writer is None or (writer.model, writer.prompt_sha256) != (model, BUILD_SHA256):
            raise InputError(
                str(out),
                [f"{ladder.id}: written by {writer.model if writer else 'hand'}, or after another prompt"],
                "One file has one writer: name another file, or remove this one.",
            )
        # A sample that has changed, or gone, has no ladder yet.
        if asked.get(ladder.id) == writer.asked_sha256:
            kept.append(ladder)
    return kept


def _question(task: _Task, attempt: int) -> Question:
    return Question(0, task.messages, build_schema(), attempt - 1, lambda text: not _problems(task, text))


def _read(task: _Task, answer: Answer, model: str, attempt: int) -> Ladder | None:
    if problem := _problems(task, answer.text):
        task.problem = problem
        # The conversation goes on from the first question, so that it does not grow with every attempt.
        task.messages = [
            *task.messages[:2],
            {"role": "assistant", "content": answer.text[:_MAX_QUOTE_LENGTH]},
            {"role": "user", "content": BUILD_REPAIR.format(problem=problem)},
        ]
        return None
    steps = _steps(answer.text)
    writer = Writer(
        model=model,
        answered_by=answer.answered_by,
        prompt=BUILD_VERSION,
        prompt_sha256=BUILD_SHA256,
        asked_sha256=messages_sha256(task.messages[:2]),
        unit=task.unit,
        target=task.target,
        lengths=tuple(length_of(step.text, task.unit) for step in steps),
        attempts=attempt,
    )
    return Ladder(id=task.sample.id, ladder=steps, generator=writer)


def _problems(task: _Task, text: str) -> str:
    try:
        steps = _steps(text)
    except UnusableAnswerError as error:
        return str(error)
    problems = problems_of(steps)
    for name, step in zip(_FIELDS, steps, strict=True):
        length = length_of(step.text, task.unit)
        if abs(length - task.target) > slack(task.target):
            problems.append(f"{name} has {length} {task.unit} and not {task.target}")
    return "; ".join(problems)


def _steps(text: str) -> tuple[LadderStep, ...]:
    answer = read_object(text, _FIELDS)
    texts = [answer[name] for name in _FIELDS]
    if not all(isinstance(one, str) for one in texts):
        raise UnusableAnswerError("a reply is no text")
    return tuple(
        LadderStep(text=" ".join(str(one).split()), score=grade) for one, grade in zip(texts, GRADES, strict=True)
    )


def _write_all(out: Path, samples: Sequence[Sample], ladders: Mapping[str, Ladder]) -> None:
    lines = [line_of(ladders[sample.id]) for sample in samples if sample.id in ladders]
    write_file(out, "".join(lines).encode())
