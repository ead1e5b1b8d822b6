"""Choosing a new test set: unseen speakers of high quality, in proportion, the same whatever the order of the input."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from vidchatbench.curation.selection.exclusions import Exclusions
from vidchatbench.curation.selection.strata import OTHER_TOPIC, Stratum, kept_topics, quotas, stratum_of
from vidchatbench.curation.speakervid.branches import Branch, BranchItem, Tier, branch_items, check_choice
from vidchatbench.curation.speakervid.index import VideoClips
from vidchatbench.curation.speakervid.pairing import GAP_S, HISTORY_S
from vidchatbench.curation.speakervid.quality import BASE, HQ, MAX_SECONDS, MIN_SECONDS, Threshold, has_length
from vidchatbench.curation.speakervid.records import ClipRecord
from vidchatbench.errors import InputError, UsageError

_Test = Callable[[BranchItem], bool]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is wanted.

    Attributes:
        n: Samples.
        branch: The branch of the dataset.
        tier: ``hq`` for the paper's thresholds, ``all`` for the dataset's own filter.
        seed: Another seed chooses other samples.
        per_speaker: Most samples in which one person is the responder. Who a silent person is, is unknown; all of one
            video count as one.
        history_s: How far before an answer its history may begin, in seconds.
        gap_s: Longest silence between turn and answer, in seconds.
    """

    n: int
    branch: Branch = "dialogue"
    tier: Tier = "hq"
    seed: int = 0
    per_speaker: int = 1
    history_s: float = HISTORY_S
    gap_s: float = GAP_S

    def __post_init__(self) -> None:
        check_choice(self.branch, self.tier, self.history_s, self.gap_s)
        if self.n < 1 or self.per_speaker < 1:
            raise UsageError("the number of samples, and of samples a speaker, is at least 1")

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """The thresholds that both sides must reach."""
        return HQ if self.tier == "hq" else BASE


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """How many remain after a rule."""

    rule: str
    left: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """One sample of the new set, by the names of its clips.

    Attributes:
        responder: The clip to be generated.
        initiator: The turn that it answers, or the one it listens to.
        history: Turns before that.
        speaker_ids: Of initiator and responder, or of the responder alone.
        stratum: The cell of the responder's clip.
    """

    responder: str
    initiator: str | None
    history: tuple[str, ...]
    speaker_ids: tuple[str, ...]
    stratum: Stratum


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen test set.

    Attributes:
        rules: What was wanted.
        samples: The samples, by name of the responder's clip.
        funnel: How many remained after each rule.
        eligible: How many each cell had.
        given: How many each cell gave.
        unreadable: Annotations that could not be read.
    """

    rules: Rules
    samples: tuple[Chosen, ...]
    funnel: tuple[FunnelRow, ...]
    eligible: dict[Stratum, int]
    given: dict[Stratum, int]
    unreadable: int


@dataclass(frozen=True, slots=True)
class _Step:
    """A rule of the funnel: its words, and the test that a sample must pass."""

    rule: str
    passes: _Test


@dataclass(slots=True)
class _Pool:
    """What is eligible, with the counts on the way there."""

    passed: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[str, Chosen]] = field(default_factory=list)
    unreadable: int = 0


def choose(videos: Iterable[VideoClips], rules: Rules, exclusions: Exclusions) -> Choice:
    """Chooses a test set; holds one video's clips and the eligible samples' names.

    Every rule looks at the whole sample: both sides must be unseen and reach the thresholds. Of each speaker's eligible
    samples, and within each stratum, the seeded hash of the names decides.

    Args:
        videos: The dataset, one source video at a time; their order does not matter.
        rules: What is wanted.
        exclusions: Whom the set must not show.

    Raises:
        InputError: If fewer are eligible than wanted; says how many remain after each rule.
    """
    steps = _steps(rules, exclusions)
    pool = _Pool()
    for video in videos:
        pool.unreadable += len(video.unreadable)
        listed = {clip.record.name.text for clip in video.clips if clip.in_test}
        items = branch_items(
            [clip.record for clip in video.clips], rules.branch, history_s=rules.history_s, gap_s=rules.gap_s
        )
        _gather(pool, items, listed, steps, rules)
    funnel = _funnel(pool, steps, rules)
    if len(pool.samples) < rules.n:
        raise InputError(f"{rules.n} samples", [_too_few(funnel, rules)], _way_out(len(pool.samples), rules))
    return _draw(pool, rules, funnel)


_IN_TEST = "not in the published test list"


def _steps(rules: Rules, exclusions: Exclusions) -> list[_Step]:
    def everyone(test: Callable[[ClipRecord], bool]) -> _Test:
        return lambda item: all(test(side) for side in item.sides)

    steps: list[_Step] = []
    if exclusions.lists:
        speakers, videos = exclusions.speakers, exclusions.videos
        steps += [
            _Step("speakers not in a training list", everyone(lambda clip: clip.speaker_id not in speakers)),
            _Step("source video not in a training list", everyone(lambda clip: clip.name.video_id not in videos)),
        ]
    length = f"both sides {MIN_SECONDS:g} to {MAX_SECONDS:g} s long"
    steps.append(_Step(length if rules.branch != "single" else length.replace("both sides ", ""), everyone(has_length)))
    steps += [_Step(str(threshold), everyone(threshold.passes)) for threshold in rules.thresholds]
    return steps


def _gather(pool: _Pool, items: Iterable[BranchItem], listed: set[str], steps: list[_Step], rules: Rules) -> None:
    by_person: dict[str, list[tuple[str, Chosen]]] = defaultdict(list)
    for item in items:
        pool.passed[""] += 1
        if any(clip.name.text in listed for clip in item.clips):
            continue
        pool.passed[_IN_TEST] += 1
        if _passes(pool, item, steps):
            sample = _sample(item)
            by_person[_person(item.responder)].append((_lot(rules, sample), sample))
    # A person is of one video, so that this can be settled video by video.
    for samples in by_person.values():
        pool.samples += heapq.nsmallest(rules.per_speaker, samples)


def _passes(pool: _Pool, item: BranchItem, steps: list[_Step]) -> bool:
    for step in steps:
        if not step.passes(item):
            return False
        pool.passed[step.rule] += 1
    return True


def _person(clip: ClipRecord) -> str:
    return clip.speaker_id if clip.heard else clip.name.video_id


def _sample(item: BranchItem) -> Chosen:
    return Chosen(
        responder=item.responder.name.text,
        initiator=None if item.initiator is None else item.initiator.name.text,
        history=tuple(clip.name.text for clip in item.history),
        speaker_ids=tuple(side.speaker_id for side in item.sides),
        stratum=stratum_of(item.responder),
    )


def _lot(rules: Rules, sample: Chosen) -> str:
    drawn = f"{rules.seed}\n{sample.initiator or ''}\n{sample.responder}"
    return hashlib.sha256(drawn.encode()).hexdigest()


def _draw(pool: _Pool, rules: Rules, funnel: tuple[FunnelRow, ...]) -> Choice:
    topics = kept_topics(sample.stratum.topic for _, sample in pool.samples)
    cells: dict[Stratum, list[tuple[str, Chosen]]] = defaultdict(list)
    for lot, sample in pool.samples:
        topic = sample.stratum.topic if sample.stratum.topic in topics else OTHER_TOPIC
        cells[sample.stratum._replace(topic=topic)].append((lot, sample))
    eligible = {cell: len(cells[cell]) for cell in sorted(cells)}
    given = quotas(eligible, rules.n)
    drawn = [
        Chosen(one.responder, one.initiator, one.history, one.speaker_ids, cell)
        for cell, quota in given.items()
        for _, one in heapq.nsmallest(quota, cells[cell])
    ]
    drawn.sort(key=lambda sample: sample.responder)
    return Choice(rules, tuple(drawn), funnel, eligible, given, pool.unreadable)


# --- the funnel -----------------------------------------------------------------------------------------------------


def _funnel(pool: _Pool, steps: list[_Step], rules: Rules) -> tuple[FunnelRow, ...]:
    names = {"": f"samples of the branch {rules.branch.replace('_', ' ')}"}
    rows = [
        FunnelRow(names.get(name, name), pool.passed[name]) for name in ("", _IN_TEST, *(step.rule for step in steps))
    ]
    most = f"at most {rules.per_speaker} sample{'s' if rules.per_speaker > 1 else ''} a responder"
    return (*rows, FunnelRow(most, len(pool.samples)))


def _too_few(funnel: tuple[FunnelRow, ...], rules: Rules) -> str:
    width = max(len(str(row.left)) for row in funnel)
    rows = [f"      {row.left:>{width}}  {row.rule}" for row in funnel]
    return "\n".join([f"{funnel[-1].left} are eligible and {rules.n} are wanted; after each rule remain:", *rows])


def _way_out(left: int, rules: Rules) -> str:
    ways = [f"--n {left}"] if left else []
    ways += ["--tier all"] if rules.tier == "hq" else []
    ways += [f"--per-speaker {rules.per_speaker + 1}", "a shorter training list", "more annotations"]
    return f"Ways out: {', '.join(ways)}."
