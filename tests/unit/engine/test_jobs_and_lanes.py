"""One decoding pass feeds every extractor: a frame too many or too few, or one fault too far, is a wrong number."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

from vidchatbench.api.cards import Dimension, MetricCard
from vidchatbench.api.extractors import (
    Audio,
    AudioExtractor,
    ClipInfo,
    Extractor,
    Frame,
    FrameExtractor,
    FrameSession,
    PairExtractor,
    PairSession,
    Timeline,
    TimelineSession,
)
from vidchatbench.api.features import ExtractorSpec, Feature, Need
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Role, Sample, Side
from vidchatbench.api.scores import Score
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.engine.extraction import worker as worker_module
from vidchatbench.engine.extraction.decode_pass import DecodePass, PassReport
from vidchatbench.engine.extraction.jobs import MAX_CLIPS_IN_STEP, ClipSource, Job, Task, group_into_jobs, side_name
from vidchatbench.engine.extraction.lanes import MAX_HELD, ClosableTimeline, FrameLane, PairLane
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.engine.plan import Inputs, Plan, Planner
from vidchatbench.errors import MediaError
from vidchatbench.media.frames import Picture
from vidchatbench.media.probe import MediaInfo, VideoInfo, probe
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.submission.check import Output

MakeClip = Callable[..., Path]
SPEC = ExtractorSpec.of("t/x")


# --- jobs -----------------------------------------------------------------------------------------------------------


def source(name: str, seconds: float = 1.0) -> ClipSource:
    video = VideoInfo(
        codec="h264", width=8, height=8, rotation=0, pixel_format="yuv420p", color_space="bt709", fps=25.0,
        frames=25, duration=seconds,
    )  # fmt: skip
    return ClipSource(f"{name}.mp4", MediaInfo(sha256=name, bytes=1, container="mp4", video=video, audio=None))


def sources(names: Iterable[str]) -> dict[str, ClipSource]:
    return {name: source(name) for name in names}


def single(name: str, extractor: str = "x", **upstream: str) -> Task:
    return Task(f"{extractor}({name})", ExtractorSpec.of(f"t/{extractor}"), (name,), upstream)


def pair(one: str, two: str, extractor: str = "p") -> Task:
    return Task(f"{extractor}({one},{two})", ExtractorSpec.of(f"t/{extractor}"), (one, two))


def check_jobs(jobs: Sequence[Job], tasks: Sequence[Task]) -> None:
    """What every grouping must keep."""
    assert Counter(task.key for job in jobs for task in job.tasks) == Counter(task.key for task in tasks)
    for job in jobs:
        clips = [clip.sha256 for clip in job.clips]
        assert len(set(clips)) == len(clips) <= MAX_CLIPS_IN_STEP
        assert set(clips) == {sha for task in job.tasks for sha in task.media}, "no clip is read for nothing"
        seen: set[str] = set()
        for task in job.tasks:
            assert set(task.upstream.values()) <= seen, f"{task.key} comes before what it reads"
            seen.add(task.key)


def test_tasks_of_one_clip_share_a_job() -> None:
    tasks = [single("a", "track"), single("a", "face", track="track(a)"), single("b", "track"), single("a", "voice")]
    jobs = group_into_jobs(tasks, sources("ab"))
    check_jobs(jobs, tasks)
    assert [[task.key for task in job.tasks] for job in jobs] == [["track(a)", "face(a)", "voice(a)"], ["track(b)"]]


def test_tasks_of_one_pair_share_a_job_with_the_singles_of_both_clips() -> None:
    tasks = [single("a"), pair("a", "b"), pair("a", "b", "q"), single("b"), single("c")]
    jobs = group_into_jobs(tasks, sources("abc"))
    check_jobs(jobs, tasks)
    assert [len(job.tasks) for job in jobs] == [4, 1]
    assert [clip.sha256 for clip in jobs[0].clips] == ["a", "b"]


def test_both_orders_of_a_pair_are_two_tasks_of_one_job() -> None:
    tasks = [pair("a", "b"), pair("b", "a")]
    (job,) = group_into_jobs(tasks, sources("ab"))
    check_jobs([job], tasks)


def test_a_clip_compared_with_itself_is_one_clip() -> None:
    tasks = [pair("a", "a"), single("a")]
    (job,) = group_into_jobs(tasks, sources("a"))
    check_jobs([job], tasks)
    assert [clip.sha256 for clip in job.clips] == ["a"]


def test_no_task_no_job() -> None:
    assert group_into_jobs([], sources("abc")) == []


@pytest.mark.parametrize("order", ["forwards", "backwards", *range(5)])
def test_a_chain_that_fits_is_one_job(order: str | int) -> None:
    names = [f"c{k}" for k in range(MAX_CLIPS_IN_STEP)]
    tasks = [pair(one, two) for one, two in itertools.pairwise(names)]
    if order == "backwards":
        tasks.reverse()
    elif isinstance(order, int):
        random.Random(order).shuffle(tasks)
    (job,) = group_into_jobs(tasks, sources(names))
    check_jobs([job], tasks)


def test_one_reference_for_many_candidates_is_cut() -> None:
    names = [f"c{k:02d}" for k in range(30)]
    tasks = [pair(name, "reference") for name in names] + [single(name) for name in names] + [single("reference")]
    jobs = group_into_jobs(tasks, sources([*names, "reference"]))
    check_jobs(jobs, tasks)


@pytest.mark.parametrize("length", [MAX_CLIPS_IN_STEP + 1, 30, 100])
def test_a_long_chain_is_cut_and_nothing_lost(length: int) -> None:
    names = [f"c{k:03d}" for k in range(length)]
    tasks: list[Task] = []
    for name in names:
        tasks += [single(name, "track"), single(name, "face", track=f"track({name})")]
    for one, two in itertools.pairwise(names):
        tasks += [pair(one, two), pair(one, two, "q")]
    jobs = group_into_jobs(tasks, sources(names))
    check_jobs(jobs, tasks)
    read = Counter(clip.sha256 for job in jobs for clip in job.clips)
    assert max(read.values()) <= 3
    homes = {task.media[0]: number for number, job in enumerate(jobs) for task in job.tasks if len(task.media) == 1}
    for number, job in enumerate(jobs):
        for task in job.tasks:
            if len(task.media) == 1:
                assert homes[task.media[0]] == number, "the singles of a clip stay together"


@pytest.mark.parametrize("seed", range(20))
def test_random_plans_keep_what_every_grouping_must_keep(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"c{k:02d}" for k in range(chance.randint(1, 40))]
    tasks: dict[str, Task] = {}
    for _ in range(chance.randint(1, 80)):
        one, two = chance.choice(names), chance.choice(names)
        for task in chance.choice(
            [
                [single(one)],
                [single(one, "track"), single(one, "face", track=f"track({one})")],
                [pair(one, two)],
                [pair(one, two), pair(one, two, "q"), pair(two, one)],
            ]
        ):
            tasks.setdefault(task.key, task)
    jobs = group_into_jobs(list(tasks.values()), sources(names))
    check_jobs(jobs, list(tasks.values()))
    assert jobs == group_into_jobs(list(tasks.values()), sources(names)), "the same plan gives the same jobs"


def watching(one: str, two: str) -> Task:
    """A pair that reads the track of either clip."""
    upstream = {side_name(0, "track"): f"track({one})", side_name(1, "track"): f"track({two})"}
    return Task(f"w({one},{two})", ExtractorSpec.of("t/w"), (one, two), upstream)


def check_watching(jobs: Sequence[Job], tasks: Sequence[Task]) -> None:
    """What every grouping must keep where pairs read features, which may be extracted in several jobs."""
    assert {task.key for job in jobs for task in job.tasks} == {task.key for task in tasks}
    counted = Counter(task.key for job in jobs for task in job.tasks)
    read = {key for task in tasks for key in task.upstream.values()}
    assert all(count == 1 for key, count in counted.items() if key not in read), "only what is read is made twice"
    for job in jobs:
        assert any(not task.stored for task in job.tasks), "no job without work"
        assert len(job.clips) <= MAX_CLIPS_IN_STEP
        assert {clip.sha256 for clip in job.clips} == {sha for task in job.tasks for sha in task.media}
        seen: set[str] = set()
        for task in job.tasks:
            assert task.key not in seen, "once a job is enough"
            assert task.stored or set(task.upstream.values()) <= seen, f"{task.key} comes before what it reads"
            seen.add(task.key)


def test_a_pair_names_what_it_reads_by_side() -> None:
    task = watching("a", "b")
    assert task.upstream == {"0:track": "track(a)", "1:track": "track(b)"}
    assert (task.upstream_of(0), task.upstream_of(1)) == ({"track": "track(a)"}, {"track": "track(b)"})


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("length", [MAX_CLIPS_IN_STEP, MAX_CLIPS_IN_STEP + 1, 30, 100])
def test_a_cut_chain_has_on_both_sides_what_its_pairs_read(length: int, stored: bool) -> None:
    names = [f"c{k:03d}" for k in range(length)]
    tracks = [replace(single(name, "track"), stored=stored) for name in names]
    tasks = [*tracks, *(watching(one, two) for one, two in itertools.pairwise(names))]
    jobs = group_into_jobs(tasks, sources(names))
    check_watching(jobs, tasks)
    counted = Counter(task.key for job in jobs for task in job.tasks)
    read = Counter(clip.sha256 for job in jobs for clip in job.clips)
    assert all(counted[f"track({name})"] == read[name] for name in names), "a clip is never read for its track alone"
    assert (sum(counted.values()) == len(tasks)) == (length <= MAX_CLIPS_IN_STEP)


@pytest.mark.parametrize("stored", [False, True])
def test_one_reference_watched_with_many_candidates_has_its_track_in_every_job(stored: bool) -> None:
    names = [f"c{k:02d}" for k in range(30)]
    tasks = [replace(single("reference", "track"), stored=stored), *(single(name, "track") for name in names)]
    tasks += [watching(name, "reference") for name in names]
    jobs = group_into_jobs(tasks, sources([*names, "reference"]))
    check_watching(jobs, tasks)
    assert len(jobs) > 3
    assert all("track(reference)" in {task.key for task in job.tasks} for job in jobs)
    assert max(Counter(clip.sha256 for job in jobs for clip in job.clips if clip.sha256 != "reference").values()) == 1


@pytest.mark.parametrize("seed", range(20))
def test_random_plans_have_what_their_pairs_read(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"c{k:02d}" for k in range(chance.randint(1, 40))]
    tasks: dict[str, Task] = {}
    for _ in range(chance.randint(1, 60)):
        one, two = chance.choice(names), chance.choice(names)
        tracks = [replace(single(name, "track"), stored=name.endswith("3")) for name in (one, two)]
        more = chance.choice([[pair(one, two)], [single(one, "face", track=f"track({one})")], [watching(one, two)]])
        for task in [*tracks, watching(one, two), *more]:
            tasks.setdefault(task.key, task)
    jobs = group_into_jobs(list(tasks.values()), sources(names))
    check_watching(jobs, list(tasks.values()))
    homes = {task.media[0]: number for number, job in enumerate(jobs) for task in job.tasks if "face" in task.key}
    for number, job in enumerate(jobs):
        assert all(homes[task.media[0]] == number for task in job.tasks if "face" in task.key)


def test_the_seconds_of_a_job_are_those_that_its_tasks_read() -> None:
    clips = (source("a", 2.5), source("b", 4.0))
    assert Job(clips, (single("a"), single("a", "y"), pair("a", "b"))).seconds == 6.5
    assert Job(clips, (single("b"),)).seconds == 4.0
    assert Job(clips, (single("b"), Task("k", SPEC, ("a",), stored=True))).seconds == 4.0
    assert Job((source("a", 0.0),), (single("a"),)).seconds > 0, "progress never divides by zero"
    assert Job(clips, ()).seconds > 0


# --- tiny extractors ------------------------------------------------------------------------------------------------


@dataclass
class Log:
    """What the sessions of a test were given."""

    pushed: list[int] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    levels: list[tuple[int, ...]] = field(default_factory=list)


class Counting(FrameSession):
    """Counts frames; may want only some, may break at one, may read a timeline."""

    def __init__(
        self,
        log: Log,
        *,
        wants: int | None = None,
        breaks_at: int | None = None,
        error: Exception | None = None,
        upstream: Mapping[str, Timeline] | None = None,
    ) -> None:
        self.log = log
        self.wants = wants
        self.breaks_at = breaks_at
        self.error = error or RuntimeError("broken")
        self.upstream = dict(upstream or {})

    @property
    def done(self) -> bool:
        return self.wants is not None and len(self.log.pushed) >= self.wants

    def push(self, frame: Frame) -> None:
        assert not self.done, "a session that is done gets nothing more"
        if self.breaks_at is not None and frame.index >= self.breaks_at:
            raise self.error
        for timeline in self.upstream.values():
            assert frame.time <= timeline.horizon(), "a frame comes only once the horizon has passed it"
            self.log.told.append(timeline.at(frame.time))
        self.log.pushed.append(frame.index)

    def finish(self) -> Feature:
        if self.breaks_at == -1:
            raise self.error
        return Feature({"n": np.array(self.log.pushed)})


class Delayed(TimelineSession):
    """A timeline that is sure of a time only ``delay`` seconds later."""

    def __init__(self, delay: float, *, breaks_at: int | None = None, at_end: Exception | None = None) -> None:
        self.delay = delay
        self.breaks_at = breaks_at
        self.at_end = at_end
        self.latest = -1.0

    def push(self, frame: Frame) -> None:
        if self.breaks_at is not None and frame.index >= self.breaks_at:
            raise RuntimeError("the track is lost")
        self.latest = frame.time

    def horizon(self) -> float:
        return self.latest - self.delay

    def at(self, time: float) -> object:
        return round(time * 1000)

    def finish(self) -> Feature:
        if self.at_end is not None:
            raise self.at_end
        return Feature({"latest": np.array(self.latest)})

    def result(self) -> Feature:
        return self.finish()


PICTURE = Picture(np.zeros((2, 2, 3), np.uint8))


def feed(lanes: Sequence[FrameLane], n: int, *, rate: int = 25, start: int = 0) -> None:
    for k in range(start, n):
        for lane in lanes:
            lane.push(PICTURE, Fraction(k, rate))


def upstream_lane(session: TimelineSession, fps: float = 25.0) -> tuple[FrameLane, ClosableTimeline]:
    lane = FrameLane("up", "sha", session, fps, {})
    assert lane.timeline is not None
    return lane, lane.timeline


def numbers(lane: FrameLane | PairLane) -> list[int]:
    assert isinstance(lane.outcome, Feature), lane.outcome
    return [int(value) for value in lane.outcome["n"]]


# --- lanes of one clip ----------------------------------------------------------------------------------------------


def test_a_lane_gets_every_frame_of_its_grid() -> None:
    log = Log()
    lane = FrameLane("k", "sha", Counting(log), 5.0, {})
    feed([lane], 50)
    lane.finish(Fraction(2))
    assert numbers(lane) == list(range(10))


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.999, 5.0])
def test_a_frame_waits_for_what_it_reads(delay: float) -> None:
    first, timeline = upstream_lane(Delayed(delay))
    log = Log()
    second = FrameLane("k", "sha", Counting(log, upstream={"track": timeline}), 25.0, {"track": timeline})
    feed([first, second], 50)
    assert len(log.pushed) == max(0, 49 - round(delay * 25))
    first.finish(Fraction(2))
    second.finish(Fraction(2))
    assert numbers(second) == list(range(50))
    assert log.told == [40 * k for k in range(50)]


def test_a_slower_timeline_holds_a_faster_reader_back() -> None:
    first, timeline = upstream_lane(Delayed(0.0), fps=5.0)
    log = Log()
    second = FrameLane("k", "sha", Counting(log, upstream={"track": timeline}), 25.0, {"track": timeline})
    feed([first, second], 23)
    assert log.pushed[-1] <= 20
    first.finish(Fraction(1))
    second.finish(Fraction(1))
    assert numbers(second) == list(range(25))


def test_the_slowest_of_two_timelines_counts() -> None:
    one, fast = upstream_lane(Delayed(0.0))
    two, slow = upstream_lane(Delayed(0.4))
    log = Log()
    both = {"fast": fast, "slow": slow}
    lane = FrameLane("k", "sha", Counting(log, upstream=both), 25.0, both)
    feed([one, two, lane], 25)
    assert len(log.pushed) == 14
    for each in (one, two, lane):
        each.finish(Fraction(1))
    assert numbers(lane) == list(range(25))


def test_a_timeline_that_never_advances_is_our_fault_and_not_endless_memory() -> None:
    first, timeline = upstream_lane(Delayed(1e9))
    lane = FrameLane("k", "sha", Counting(Log()), 25.0, {"track": timeline})
    feed([first, lane], MAX_HELD + 10)
    assert isinstance(lane.outcome, Failure)
    assert lane.outcome.blame is Blame.OURS
    assert "stands still" in lane.outcome.reason
    assert not first.failed


def test_a_fault_in_a_session_ends_its_own_lane() -> None:
    log, other = Log(), Log()
    broken = FrameLane("k", "sha", Counting(log, breaks_at=3), 25.0, {})
    whole = FrameLane("l", "sha", Counting(other), 25.0, {})
    feed([broken, whole], 25)
    for lane in (broken, whole):
        lane.finish(Fraction(1))
    assert isinstance(broken.outcome, Failure)
    assert (broken.outcome.blame, broken.outcome.reason) == (Blame.OURS, "RuntimeError: broken")
    assert broken.outcome.trace is not None
    assert log.pushed == [0, 1, 2], "nothing more after the fault"
    assert numbers(whole) == list(range(25))


@pytest.mark.parametrize("at", [3, -1], ids=["on the way", "at the end"])
def test_a_media_error_of_a_session_is_the_clips_fault(at: int) -> None:
    error = MediaError("clip.mp4", "no face in most frames")
    lane = FrameLane("k", "sha", Counting(Log(), breaks_at=at, error=error), 25.0, {})
    feed([lane], 25)
    lane.finish(Fraction(1))
    assert lane.outcome == Failure(Blame.MEDIA, "no face in most frames", "sha")


@pytest.mark.parametrize("when", ["on the way", "at the end"])
def test_what_reads_from_a_fault_fails_for_the_same_reason(when: str) -> None:
    session = Delayed(0.0, breaks_at=10) if when == "on the way" else Delayed(0.0, at_end=MediaError("c", "no face"))
    first, timeline = upstream_lane(session)
    second_session = Delayed(0.0)
    second = FrameLane("mid", "sha", second_session, 25.0, {"track": timeline})
    assert second.timeline is not None
    third = FrameLane("k", "sha", Counting(Log()), 25.0, {"track": second.timeline})
    bystander = FrameLane("l", "sha", Counting(Log()), 25.0, {})
    lanes = [first, second, third, bystander]
    feed(lanes, 25)
    for lane in lanes:
        lane.finish(Fraction(1))
    assert isinstance(first.outcome, Failure)
    assert second.outcome == first.outcome
    assert third.outcome == first.outcome
    assert numbers(bystander) == list(range(25))


@pytest.mark.parametrize("rate", [5, 25])
def test_a_session_that_is_done_gets_nothing_more(rate: int) -> None:
    log = Log()
    lane = FrameLane("k", "sha", Counting(log, wants=7), 25.0, {})
    feed([lane], 2 * rate, rate=rate)
    lane.finish(Fraction(2))
    assert numbers(lane) == list(range(7))
    assert not lane.wants_more


def test_a_session_that_is_done_outlives_later_damage() -> None:
    lane = FrameLane("k", "sha", Counting(Log(), wants=3), 25.0, {})
    feed([lane], 10)
    assert not lane.wants_more
    lane.finish(Fraction(10, 25))
    assert numbers(lane) == [0, 1, 2]
    lane.fail(Failure(Blame.MEDIA, "truncated"))
    assert numbers(lane) == [0, 1, 2], "an outcome is never taken back"


def test_a_session_that_is_done_outlives_a_long_clip() -> None:
    # Others read on to the end; what is left of the grid must not be held against the one that has enough.
    lane = FrameLane("k", "sha", Counting(Log(), wants=3), 25.0, {})
    feed([lane], 10)
    lane.finish(Fraction(60))
    assert numbers(lane) == [0, 1, 2]


def test_a_session_that_is_done_outlives_a_later_fault_of_what_it_read() -> None:
    first, timeline = upstream_lane(Delayed(0.0, breaks_at=15))
    log = Log()
    second = FrameLane("k", "sha", Counting(log, wants=3, upstream={"track": timeline}), 25.0, {"track": timeline})
    feed([first, second], 25)
    assert first.failed
    first.finish(Fraction(1))
    second.finish(Fraction(1))
    assert numbers(second) == [0, 1, 2]


def test_a_single_picture_is_enough() -> None:
    lane = FrameLane("k", "sha", Counting(Log()), 25.0, {})
    feed([lane], 1)
    lane.finish(Fraction(1, 16_000))
    assert numbers(lane) == [0]


def test_a_clip_without_pictures_still_ends() -> None:
    lane = FrameLane("k", "sha", Counting(Log()), 25.0, {})
    lane.finish(Fraction(0))
    assert numbers(lane) == []


def test_time_is_charged_to_the_lane_that_spent_it() -> None:
    class Slow(Counting):
        def push(self, frame: Frame) -> None:
            time.sleep(0.002)
            super().push(frame)

    slow, fast = FrameLane("k", "sha", Slow(Log()), 25.0, {}), FrameLane("l", "sha", Counting(Log()), 25.0, {})
    feed([slow, fast], 10)
    assert slow.seconds >= 0.002 * 9
    assert fast.seconds > 0


# --- lanes of a pair ------------------------------------------------------------------------------------------------


class Pairs(PairSession):
    """Records the grid points, and the gray levels, of the pairs it gets, and what the timelines say of them."""

    def __init__(self, log: Log, *, wants: int | None = None, breaks_at: int | None = None) -> None:
        self.log = log
        self.wants = wants
        self.breaks_at = breaks_at
        self.upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]] = ({}, {})

    @property
    def done(self) -> bool:
        return self.wants is not None and len(self.log.pairs) >= self.wants

    def push(self, first: Frame, second: Frame) -> None:
        assert not self.done, "a session that is done gets nothing more"
        if self.breaks_at is not None and first.index >= self.breaks_at:
            raise RuntimeError("broken")
        for side, frame in zip(self.upstream, (first, second), strict=True):
            for timeline in side.values():
                assert frame.time <= timeline.horizon(), "a pair comes only once the horizons have passed it"
                self.log.told.append(timeline.at(frame.time))
        self.log.pairs.append((first.index, second.index))
        self.log.levels.append((int(first.rgb()[0, 0, 0]), int(second.rgb()[0, 0, 0])))

    def finish(self) -> Feature:
        return Feature({"n": np.array([first for first, _ in self.log.pairs])})


def gray(level: int) -> Picture:
    return Picture(np.full((2, 2, 3), level, np.uint8))


def push_clip(lane: PairLane, sha: str, n: int, rate: int, base: int = 0) -> None:
    for k in range(n):
        lane.push(sha, gray(base + k), Fraction(k, rate))


@pytest.mark.parametrize("first_ends_first", [True, False])
@pytest.mark.parametrize(("one", "two"), [(50, 50), (50, 30), (30, 50), (1, 50), (50, 1)])
def test_a_pair_goes_as_far_as_both(one: int, two: int, first_ends_first: bool) -> None:
    log = Log()
    lane = PairLane("k", ("a", "b"), Pairs(log), 25.0)
    order = [("a", one), ("b", two)] if first_ends_first else [("b", two), ("a", one)]
    for sha, n in order:
        push_clip(lane, sha, n, 25)
        lane.end_clip(sha, Fraction(n, 25))
    lane.finish()
    assert numbers(lane) == list(range(min(one, two)))
    assert all(first == second for first, second in log.pairs)
    assert all(first == second for first, second in log.levels)


@pytest.mark.parametrize(("one", "two"), [(50, 30), (30, 50), (50, 50)])
def test_a_pair_read_in_step_goes_as_far_as_both(one: int, two: int) -> None:
    log = Log()
    lane = PairLane("k", ("a", "b"), Pairs(log), 25.0)
    for k in range(max(one, two)):
        for sha, n in (("a", one), ("b", two)):
            if k < n:
                lane.push(sha, gray(k), Fraction(k, 25))
            if k == n - 1:
                lane.end_clip(sha, Fraction(n, 25))
    lane.finish()
    assert numbers(lane) == list(range(min(one, two)))
    assert all(first == second for first, second in log.levels)


def test_clips_of_different_rates_meet_on_the_grid() -> None:
    log = Log()
    lane = PairLane("k", ("a", "b"), Pairs(log), 25.0)
    push_clip(lane, "a", 50, 25)
    push_clip(lane, "b", 100, 50)
    for sha in "ab":
        lane.end_clip(sha, Fraction(2))
    lane.finish()
    assert log.levels == [(k, 2 * k) for k in range(50)]


def test_first_and_second_are_never_swapped() -> None:
    log = Log()
    lane = PairLane("k", ("b", "a"), Pairs(log), 25.0)
    push_clip(lane, "a", 10, 25, base=100)
    push_clip(lane, "b", 10, 25)
    for sha in "ab":
        lane.end_clip(sha, Fraction(10, 25))
    lane.finish()
    assert log.levels == [(k, 100 + k) for k in range(10)]


def test_a_clip_paired_with_itself_meets_itself() -> None:
    log = Log()
    lane = PairLane("k", ("a", "a"), Pairs(log), 25.0)
    push_clip(lane, "a", 20, 25)
    lane.end_clip("a", Fraction(20, 25))
    lane.finish()
    assert log.levels == [(k, k) for k in range(20)]


def test_a_pair_wants_no_more_once_the_shorter_clip_is_used_up() -> None:
    lane = PairLane("k", ("a", "b"), Pairs(Log()), 25.0)
    push_clip(lane, "b", 5, 25)
    lane.end_clip("b", Fraction(5, 25))
    assert lane.wants_more
    push_clip(lane, "a", 4, 25)
    assert lane.wants_more
    push_clip(lane, "a", 10, 25)
    assert not lane.wants_more
    lane.end_clip("a", Fraction(10, 25))
    lane.finish()
    assert numbers(lane) == list(range(5))


def test_a_fault_in_a_pair_is_final() -> None:
    log = Log()
    lane = PairLane("k", ("a", "b"), Pairs(log, breaks_at=3), 25.0)
    for sha in "ab":
        push_clip(lane, sha, 10, 25)
        lane.end_clip(sha, Fraction(10, 25))
    lane.finish()
    assert isinstance(lane.outcome, Failure)
    assert lane.outcome.reason == "RuntimeError: broken"
    assert log.pairs == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("rate", [5, 25])
def test_a_pair_that_is_done_gets_nothing_more(rate: int) -> None:
    # At 5 pictures a second each one settles several grid points at once.
    log = Log()
    lane = PairLane("k", ("a", "b"), Pairs(log, wants=7), 25.0)
    for k in range(3 * rate):
        for sha in "ab":
            lane.push(sha, gray(k), Fraction(k, rate))
    for sha in "ab":
        lane.end_clip(sha, Fraction(3))
    lane.finish()
    assert numbers(lane) == list(range(7))


def test_a_pair_that_is_done_gets_no_stale_picture_at_the_end() -> None:
    # Pictures stop coming once it is done, but the clip goes on for others: the last one seen stands for no more.
    log = Log()
    lane = PairLane("k", ("a", "b"), Pairs(log, wants=4), 25.0)
    for k in range(8):
        for sha in "ab":
            lane.push(sha, gray(k), Fraction(k, 25))
    assert not lane.wants_more
    for sha in "ab":
        lane.end_clip(sha, Fraction(10))
    lane.finish()
    assert numbers(lane) == [0, 1, 2, 3]
    assert log.levels == [(k, k) for k in range(4)]


def watched(
    one: ClosableTimeline, two: ClosableTimeline, session: PairSession, media: tuple[str, str] = ("a", "b")
) -> PairLane:
    upstream = ({"track": one}, {"track": two})
    if isinstance(session, Pairs):
        session.upstream = upstream
    return PairLane("k", media, session, 25.0, upstream)


def feed_both(ends: Mapping[str, tuple[FrameLane, int]], lane: PairLane) -> None:
    """Reads two clips side by side, as a pass does: a clip's own lanes first, and its end as soon as it comes."""
    for k in range(max(n for _, n in ends.values())):
        for sha, (own, n) in ends.items():
            if k < n:
                own.push(PICTURE, Fraction(k, 25))
                lane.push(sha, gray(k % 250), Fraction(k, 25))
            if k == n - 1:
                own.finish(Fraction(n, 25))
                lane.end_clip(sha, Fraction(n, 25))


@pytest.mark.parametrize(("one", "two"), [(50, 50), (50, 30), (30, 50)])
@pytest.mark.parametrize(("fast", "slow"), [(0.0, 0.4), (0.4, 0.0), (9.0, 0.0), (0.0, 9.0)])
def test_a_pair_waits_for_the_timelines_of_both_clips(one: int, two: int, fast: float, slow: float) -> None:
    (first, track), (second, other) = upstream_lane(Delayed(fast)), upstream_lane(Delayed(slow))
    log = Log()
    lane = watched(track, other, Pairs(log))
    feed_both({"a": (first, one), "b": (second, two)}, lane)
    lane.finish()
    assert numbers(lane) == list(range(min(one, two)))
    assert log.levels == [(k, k) for k in range(min(one, two))]
    assert log.told == [40 * k for k in range(min(one, two)) for _ in "ab"]


def test_a_pair_comes_as_soon_as_both_timelines_are_sure() -> None:
    (first, track), (second, other) = upstream_lane(Delayed(0.4)), upstream_lane(Delayed(0.2))
    log = Log()
    lane = watched(track, other, Pairs(log))
    for k in range(25):
        for sha, own in (("a", first), ("b", second)):
            own.push(PICTURE, Fraction(k, 25))
            lane.push(sha, gray(k), Fraction(k, 25))
    assert len(log.pairs) == 14


def test_a_clip_paired_with_itself_waits_for_its_one_timeline() -> None:
    own, track = upstream_lane(Delayed(0.3))
    log = Log()
    lane = watched(track, track, Pairs(log), ("a", "a"))
    feed_both({"a": (own, 20)}, lane)
    lane.finish()
    assert log.levels == [(k, k) for k in range(20)]
    assert len(log.told) == 40


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("when", ["on the way", "at the end", "after the last pair"])
def test_a_pair_fails_with_the_timeline_of_either_clip(side: int, when: str) -> None:
    broken = Delayed(0.0, breaks_at=10) if when == "on the way" else Delayed(0.0, at_end=MediaError("c", "no face"))
    sessions = [broken, Delayed(0.0)] if side == 0 else [Delayed(0.0), broken]
    (first, track), (second, other) = (upstream_lane(session) for session in sessions)
    log = Log()
    lane = watched(track, other, Pairs(log))
    lengths = [30, 30]
    if when == "after the last pair":
        lengths[1 - side] = 5
    feed_both({"a": (first, lengths[0]), "b": (second, lengths[1])}, lane)
    lane.finish()
    failed = (first, second)[side]
    assert isinstance(failed.outcome, Failure)
    assert lane.outcome == failed.outcome
    assert isinstance((second, first)[side].outcome, Feature)
    if when == "after the last pair":
        assert len(log.pairs) == 5


def test_a_pair_that_is_done_outlives_a_later_fault_of_what_it_read() -> None:
    (first, track), (second, other) = upstream_lane(Delayed(0.0, breaks_at=15)), upstream_lane(Delayed(0.0))
    lane = watched(track, other, Pairs(Log(), wants=3))
    feed_both({"a": (first, 25), "b": (second, 25)}, lane)
    lane.finish()
    assert first.failed
    assert numbers(lane) == [0, 1, 2]


def test_a_pair_whose_timeline_never_advances_is_our_fault_and_not_endless_memory() -> None:
    (first, track), (second, other) = upstream_lane(Delayed(0.0)), upstream_lane(Delayed(1e9))
    lane = watched(track, other, Pairs(Log()))
    feed_both({"a": (first, MAX_HELD + 10), "b": (second, MAX_HELD + 10)}, lane)
    assert isinstance(lane.outcome, Failure)
    assert lane.outcome.blame is Blame.OURS
    assert "stands still" in lane.outcome.reason
    assert not any(lane._held.values())


def test_a_clip_that_is_far_ahead_is_no_standstill() -> None:
    own, track = upstream_lane(Delayed(0.2))
    other, late = upstream_lane(Delayed(0.2))
    lane = watched(track, late, Pairs(Log()))
    for sha, frames in (("a", own), ("b", other)):
        feed_both({sha: (frames, MAX_HELD + 50)}, lane)
    lane.finish()
    assert numbers(lane) == list(range(MAX_HELD + 50))


# --- the pass -------------------------------------------------------------------------------------------------------


class Frames(FrameExtractor):
    """A frame extractor made of a function that begins sessions."""

    id = "t/frames"

    def __init__(self, begin: Callable[[ClipInfo, Mapping[str, Timeline]], FrameSession], fps: float = 25.0) -> None:
        super().__init__()
        self._begin = begin
        self._fps = fps

    @property
    def fps(self) -> float:
        return self._fps

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        return self._begin(clip, upstream)

    def replay(self, feature: Feature) -> Timeline:
        return Delayed(0.0)


class Paired(PairExtractor):
    id = "t/pairs"

    def __init__(self, session: PairSession, fps: float = 25.0) -> None:
        super().__init__()
        self._session = session
        self._fps = fps

    @property
    def fps(self) -> float:
        return self._fps

    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]
    ) -> PairSession:
        if isinstance(self._session, Pairs):
            self._session.upstream = upstream
        return self._session


class Heard(AudioExtractor):
    id = "t/sound"

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.upstream: dict[str, Feature] = {}

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        if self.error is not None:
            raise self.error
        self.upstream = dict(upstream)
        return Feature({"n": np.array([len(audio.samples)])})


@dataclass
class Bench:
    """Builds a job task by task."""

    clips: dict[str, ClipSource] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    extractors: dict[str, Extractor | Failure] = field(default_factory=dict)
    stored: dict[str, Feature] = field(default_factory=dict)

    def clip(self, path: Path) -> str:
        info = probe(path)
        self.clips[info.sha256] = ClipSource(str(path), info)
        return info.sha256

    def add(self, key: str, extractor: Extractor | Failure, *media: str, stored: bool = False, **upstream: str) -> None:
        self.tasks.append(Task(key, SPEC, media, upstream, stored, isinstance(extractor, AudioExtractor)))
        self.extractors[key] = extractor

    def add_pair(self, key: str, session: PairSession, media: Sequence[str], tracks: Sequence[str]) -> None:
        """Adds a pair that reads a track of either clip."""
        upstream = {side_name(side, "track"): track for side, track in enumerate(tracks)}
        self.tasks.append(Task(key, SPEC, tuple(media), upstream))
        self.extractors[key] = Paired(session)

    @property
    def job(self) -> Job:
        return Job(tuple(self.clips.values()), tuple(self.tasks))

    def run(self, on_progress: Callable[[float], None] | None = None) -> PassReport:
        return DecodePass(self.job, self.extractors, self.stored.get).run(on_progress)


def counting(log: Log, **options: Any) -> Frames:
    return Frames(lambda clip, upstream: Counting(log, upstream=upstream, **options))


def n(report: PassReport, key: str) -> list[int]:
    outcome = report.outcomes[key]
    assert isinstance(outcome, Feature), outcome
    return [int(value) for value in outcome["n"]]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_pass_feeds_everything(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    one = bench.clip(make_clip(tmp_path / "one.mp4", seconds=2))
    two = bench.clip(make_clip(tmp_path / "two.mp4", seconds=1, fps=50, audio=None))
    log = Log()
    bench.add("track", Frames(lambda clip, upstream: Delayed(0.3), fps=5.0), one)
    bench.add("face", counting(log), one, track="track")
    bench.add("pair", Paired(Pairs(Log())), one, two)
    bench.add("other", counting(Log()), two)
    bench.add("voice", Heard(), one)
    progress: list[float] = []
    report = bench.run(progress.append)
    assert n(report, "face") == list(range(50))
    assert n(report, "pair") == list(range(25))
    assert n(report, "other") == list(range(25))
    assert n(report, "voice")[0] / 16_000 == pytest.approx(2.0, abs=0.07)
    assert report.passes == {str(tmp_path / "one.mp4"): 1, str(tmp_path / "two.mp4"): 1}
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(bench.job.seconds, abs=0.07), "progress arrives where it was announced"
    assert set(report.seconds) == {"t/frames", "t/pairs", "t/sound", "decode"}
    assert min(report.seconds.values()) >= 0


def test_a_pair_sees_the_right_pictures(tmp_path: Path, make_clip: MakeClip, clips: ModuleType, bench: Bench) -> None:
    options: dict[str, Any] = {"audio": None, "paint": clips.numbered, "lossless": True}
    one = bench.clip(make_clip(tmp_path / "one.mp4", seconds=2, fps=25, **options))
    two = bench.clip(make_clip(tmp_path / "two.mp4", seconds=1.5, fps=50, **options))
    log = Log()
    bench.add("pair", Paired(Pairs(log)), two, one)
    bench.run()
    assert log.levels == [(2 * k, k) for k in range(37)] + [(74, 37)]


def test_the_pass_stops_when_nobody_wants_more(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4", seconds=10))
    bench.add("few", counting(Log(), wants=3), clip)
    bench.add("fewer", counting(Log(), wants=1), clip)
    progress: list[float] = []
    report = bench.run(progress.append)
    assert n(report, "few") == [0, 1, 2]
    assert n(report, "fewer") == [0]
    assert max(progress) < 1.0


def test_the_sound_is_read_to_its_end_after_the_pictures_were_stopped(
    tmp_path: Path, make_clip: MakeClip, bench: Bench
) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4", seconds=4))
    bench.add("few", counting(Log(), wants=3), clip)
    bench.add("voice", Heard(), clip)
    progress: list[float] = []
    report = bench.run(progress.append)
    assert n(report, "voice")[0] / 16_000 == pytest.approx(4.0, abs=0.07)
    assert len(progress) < 10, "of a hundred pictures only the first few were decoded"


def test_a_pass_that_stops_early_does_not_mind_later_damage(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    whole = make_clip(tmp_path / "whole.mp4", seconds=4, front=True, audio=None)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    clip = bench.clip(path)
    bench.add("few", counting(Log(), wants=3), clip)
    assert n(bench.run(), "few") == [0, 1, 2]


def test_damage_strikes_those_who_wanted_more(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    whole = make_clip(tmp_path / "whole.mp4", seconds=4, front=True)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    clip = bench.clip(path)
    other = bench.clip(make_clip(tmp_path / "other.mp4", seconds=3, fps=50))
    bench.add("track", Frames(lambda info, upstream: Delayed(0.0)), clip)
    bench.add("few", counting(Log(), wants=3), clip)
    bench.add("few tracked", counting(Log(), wants=3), clip, track="track")
    bench.add("all", counting(Log()), clip)
    bench.add("voice", Heard(), clip)
    bench.add("pair", Paired(Pairs(Log())), other, clip)
    bench.add("short pair", Paired(Pairs(Log(), wants=5)), other, clip)
    bench.add("other", counting(Log()), other)
    report = bench.run()
    for key in ("track", "all", "voice", "pair"):
        outcome = report.outcomes[key]
        assert isinstance(outcome, Failure), key
        assert (outcome.blame, outcome.media) == (Blame.MEDIA, clip), "the damaged clip is blamed, not its partner"
        assert " s" in outcome.reason
    assert n(report, "few") == [0, 1, 2]
    assert n(report, "few tracked") == [0, 1, 2]
    assert n(report, "short pair") == list(range(5))
    assert n(report, "other") == list(range(75))


def test_a_fault_in_the_picture_leaves_the_sound_as_it_is_without_pictures(
    tmp_path: Path, make_clip: MakeClip, bench: Bench
) -> None:
    # The score of a voice must not depend on whether a metric of the picture takes part in the same pass.
    path = make_clip(tmp_path / "clip.mp4", seconds=3)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        packet = packets[len(packets) // 2]
        content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(content)
    clip = bench.clip(path)
    bench.add("voice", Heard(), clip)
    alone = n(bench.run(), "voice")
    bench.add("all", counting(Log()), clip)
    report = bench.run()
    assert isinstance(report.outcomes["all"], Failure)
    assert n(report, "voice") == alone


def test_a_clip_that_vanished_is_a_failure_and_no_crash(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    gone = make_clip(tmp_path / "gone.mp4")
    clip = bench.clip(gone)
    other = bench.clip(make_clip(tmp_path / "other.mp4", fps=50))
    gone.unlink()
    bench.add("all", counting(Log()), clip)
    bench.add("other", counting(Log()), other)
    report = bench.run()
    assert isinstance(report.outcomes["all"], Failure)
    assert n(report, "other") == list(range(25))


def test_a_fault_in_one_extractor_leaves_the_others(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4"))

    def refuse(info: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        raise ValueError("this clip is too small")

    bench.add("begin", Frames(refuse), clip)
    bench.add("push", counting(Log(), breaks_at=5), clip)
    bench.add("finish", counting(Log(), breaks_at=-1), clip)
    bench.add("setup", Failure(Blame.OURS, "no weights"), clip)
    bench.add("sound", Heard(RuntimeError("broken ear")), clip)
    bench.add("mute", Heard(MediaError("clip.mp4", "no speech")), clip)
    bench.add("frames", counting(Log()), clip)
    bench.add("voice", Heard(), clip)
    report = bench.run()
    reasons = {key: outcome.reason for key, outcome in report.outcomes.items() if isinstance(outcome, Failure)}
    assert reasons == {
        "begin": "ValueError: this clip is too small",
        "push": "RuntimeError: broken",
        "finish": "RuntimeError: broken",
        "setup": "no weights",
        "sound": "RuntimeError: broken ear",
        "mute": "no speech",
    }
    assert n(report, "frames") == list(range(25))
    assert len(n(report, "voice")) == 1


def test_what_depends_on_a_failure_fails_for_the_same_reason(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4"))
    bench.add("setup", Failure(Blame.OURS, "no weights"), clip)
    bench.add("after setup", counting(Log()), clip, track="setup")
    bench.add("after that", Heard(), clip, face="after setup")
    bench.add("track", Frames(lambda info, upstream: Delayed(0.0, at_end=MediaError("c", "no face"))), clip)
    bench.add("after track", counting(Log()), clip, track="track")
    bench.add("heard", Heard(), clip, track="track")
    report = bench.run()
    for key in ("setup", "after setup", "after that"):
        assert report.outcomes[key] == Failure(Blame.OURS, "no weights")
    for key in ("track", "after track", "heard"):
        assert report.outcomes[key] == Failure(Blame.MEDIA, "no face", clip)


def test_sound_can_read_features_of_pictures_and_of_sound(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4"))
    last = Heard()
    bench.add("frames", counting(Log()), clip)
    bench.add("speech", Heard(), clip)
    bench.add("voice", last, clip, frames="frames", speech="speech")
    report = bench.run()
    assert isinstance(report.outcomes["voice"], Feature)
    assert set(last.upstream) == {"frames", "speech"}
    assert len(last.upstream["frames"]["n"]) == 25


def test_a_stored_feature_is_read_and_not_made_again(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4"))
    stored = Feature({"latest": np.array(1.0)})
    bench.stored["track"] = stored

    def refuse(info: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        raise AssertionError("it was stored")

    log = Log()
    bench.add("track", Frames(refuse), clip, stored=True)
    bench.add("face", counting(log), clip, track="track")
    report = bench.run()
    assert report.outcomes["track"] is stored
    assert n(report, "face") == list(range(25))
    assert log.told == [40 * k for k in range(25)]


def test_a_stored_feature_that_was_removed_is_our_fault(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4"))
    bench.add("track", Frames(lambda info, upstream: Delayed(0.0)), clip, stored=True)
    bench.add("face", counting(Log()), clip, track="track")
    bench.add("plain", counting(Log()), clip)
    report = bench.run()
    for key in ("track", "face"):
        outcome = report.outcomes[key]
        assert isinstance(outcome, Failure)
        assert outcome.blame is Blame.OURS
        assert "removed" in outcome.reason
    assert n(report, "plain") == list(range(25))


def test_every_task_has_an_outcome_whatever_happens(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4"))
    silent = bench.clip(make_clip(tmp_path / "silent.mp4", audio=None, fps=30))
    voice = bench.clip(make_clip(tmp_path / "voice.mp4", video=False))
    for key, extractor in (("frames", counting(Log())), ("sound", Heard())):
        for name, sha in (("clip", clip), ("silent", silent), ("voice", voice)):
            bench.add(f"{key} of {name}", extractor, sha)
    bench.add("pair with nothing", Paired(Pairs(Log())), clip, voice)
    bench.add("needs a timeline that is none", counting(Log()), clip, track="frames of clip")
    bench.add("an extractor of no kind", Extractor(), clip)
    report = bench.run()
    assert set(report.outcomes) == {task.key for task in bench.tasks}
    assert isinstance(report.outcomes["needs a timeline that is none"], Failure)
    assert isinstance(report.outcomes["an extractor of no kind"], Failure)


def test_an_image_is_a_clip_of_one_frame(tmp_path: Path, bench: Bench) -> None:
    from PIL import Image

    path = tmp_path / "face.png"
    Image.new("RGB", (8, 8)).save(path)
    clip = bench.clip(path)
    seen: list[ClipInfo] = []

    def begin(info: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        seen.append(info)
        return Counting(Log())

    bench.add("face", Frames(begin), clip)
    assert n(bench.run(), "face") == [0]
    assert seen == [ClipInfo(8, 8, 0.0, is_image=True)]


def test_a_pair_reads_the_timelines_of_both_clips_in_one_pass(
    tmp_path: Path, make_clip: MakeClip, bench: Bench
) -> None:
    one = bench.clip(make_clip(tmp_path / "one.mp4", seconds=2, audio=None))
    two = bench.clip(make_clip(tmp_path / "two.mp4", seconds=1, fps=50, audio=None))
    tracks = Frames(lambda clip, upstream: Delayed(0.3), fps=5.0)
    bench.add("track one", tracks, one)
    bench.add("track two", tracks, two)
    log = Log()
    bench.add_pair("pair", Pairs(log), [one, two], ["track one", "track two"])
    report = bench.run()
    assert n(report, "pair") == list(range(25))
    assert log.told == [40 * k for k in range(25) for _ in range(2)]
    assert report.passes == {str(tmp_path / "one.mp4"): 1, str(tmp_path / "two.mp4"): 1}


def test_a_pair_reads_each_clip_with_its_own_timeline(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    one = bench.clip(make_clip(tmp_path / "one.mp4", audio=None))
    two = bench.clip(make_clip(tmp_path / "two.mp4", fps=50, audio=None))
    session = Pairs(Log())
    bench.add("track one", Frames(lambda clip, upstream: Delayed(0.0)), one)
    bench.add("track two", Frames(lambda clip, upstream: Delayed(0.5)), two)
    bench.add_pair("pair", session, [two, one], ["track two", "track one"])
    assert n(bench.run(), "pair") == list(range(25))
    inner = [side["track"]._inner for side in session.upstream]  # type: ignore[attr-defined]
    assert [timeline.delay for timeline in inner] == [0.5, 0.0]


def test_a_pair_of_one_clip_reads_its_timeline_twice(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    clip = bench.clip(make_clip(tmp_path / "clip.mp4", audio=None))
    bench.add("track", Frames(lambda info, upstream: Delayed(0.3)), clip)
    log = Log()
    bench.add_pair("pair", Pairs(log), [clip, clip], ["track", "track"])
    report = bench.run()
    assert n(report, "pair") == list(range(25))
    assert len(log.told) == 50
    assert report.passes == {str(tmp_path / "clip.mp4"): 1}


@pytest.mark.parametrize("stored", [("one",), ("two",), ("one", "two")], ids=" and ".join)
def test_a_pair_reads_a_stored_timeline(
    tmp_path: Path, make_clip: MakeClip, bench: Bench, stored: tuple[str, ...]
) -> None:
    tracks = Frames(lambda info, upstream: Delayed(0.3))
    media = {}
    for name, fps in (("one", 25), ("two", 50)):
        media[name] = bench.clip(make_clip(tmp_path / f"{name}.mp4", fps=fps, audio=None))
        if name in stored:
            bench.stored[f"track {name}"] = Feature({"latest": np.array(1.0)})
        bench.add(f"track {name}", tracks, media[name], stored=name in stored)
    log = Log()
    bench.add_pair("pair", Pairs(log), [*media.values()], ["track one", "track two"])
    report = bench.run()
    assert n(report, "pair") == list(range(25))
    assert len(log.told) == 50
    assert set(report.passes.values()) == {1}


@pytest.mark.parametrize("kind", ["set-up", "track", "damage", "removed"])
def test_a_pair_fails_with_what_it_reads_of_one_clip(
    tmp_path: Path, make_clip: MakeClip, bench: Bench, kind: str
) -> None:
    whole = make_clip(tmp_path / "whole.mp4", seconds=4, front=True, audio=None)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5] if kind == "damage" else whole.read_bytes())
    bad, good = bench.clip(path), bench.clip(make_clip(tmp_path / "good.mp4", fps=50, audio=None))
    wrong = MediaError("c", "no face") if kind == "track" else None
    tracks = Frames(lambda clip, upstream: Delayed(0.0, at_end=wrong))
    bench.add("bad", Failure(Blame.OURS, "no weights") if kind == "set-up" else tracks, bad, stored=kind == "removed")
    bench.add("good", Frames(lambda clip, upstream: Delayed(0.0)), good)
    bench.add_pair("pair", Pairs(Log()), [good, bad], ["good", "bad"])
    bench.add("plain pair", Paired(Pairs(Log())), good, bad)
    report = bench.run()
    assert isinstance(report.outcomes["bad"], Failure)
    assert report.outcomes["pair"] == report.outcomes["bad"], "though the damage comes after the last pair"
    assert isinstance(report.outcomes["good"], Feature)
    assert n(report, "plain pair") == list(range(25))


class Track(Frames):
    id = "t/track"

    def __init__(self) -> None:
        super().__init__(lambda clip, upstream: Delayed(0.2))


class Watch(Paired):
    id = "t/watch"

    def __init__(self) -> None:
        super().__init__(Pairs(Log()))

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        return {"track": ExtractorSpec.of("t/track")}


class Watched(Metric):
    """A metric of one pair that reads a track of either clip."""

    default_card = MetricCard(
        id="t/watched", version=1, title="x", dimension=Dimension.VIDEO_QUALITY, direction="higher", unit="",
        worst=0.0, roles=(Role.CANDIDATE, Role.REFERENCE), aggregation="mean", protocol="t/watched-v1",
        protocol_text="x", description="x", code_license="MIT", commercial_use=True, citation="x", source="x",
    )  # fmt: skip

    def needs(self) -> tuple[Need, ...]:
        return (Need("pair", ExtractorSpec.of("t/watch"), (Role.CANDIDATE, Role.REFERENCE)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        raise AssertionError


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("copied", [False, True], ids=["a reply", "a copy of the real reply"])
def test_the_plan_of_a_pair_has_what_it_reads_of_either_clip(
    tmp_path: Path, make_clip: MakeClip, stored: bool, copied: bool
) -> None:
    catalogue = Catalogue()
    for cls in (Track, Watch):
        catalogue.extractors.register(cls.id, "x:y", origin="t")
        catalogue.extractors._loaded[cls.id] = cls
    real = make_clip(tmp_path / "real.mp4", audio=None)
    reply = tmp_path / "reply.mp4"
    if copied:
        reply.write_bytes(real.read_bytes())
    else:
        make_clip(reply, fps=50, audio=None)
    side = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
    sample = Sample(id="x", task="dialogue", language="en", initiator=side, responder=side)
    places = {
        ("x", role): ClipSource(str(path), probe(path))
        for role, path in ((Role.CANDIDATE, reply), (Role.REFERENCE, real))
    }
    outputs = {"x": Output(reply, probe(reply))}

    def plan(store: set[str]) -> Plan:
        return Planner(Inputs([sample], outputs, places), catalogue, store).build([Watched()])

    (job,) = plan(set()).jobs
    keys = {task.media[0]: task.key for task in job.tasks if task.spec.id == "t/track"}
    if stored:
        (job,) = plan(set(keys.values())).jobs
    *tracks, watch = job.tasks
    shas = [places["x", role].sha256 for role in (Role.CANDIDATE, Role.REFERENCE)]
    assert [task.stored for task in tracks] == [stored] * (1 if copied else 2)
    assert watch.media == tuple(shas)
    assert watch.upstream == {f"{side}:track": keys[sha] for side, sha in enumerate(shas)}
    features = {key: Feature({"latest": np.array(1.0)}) for key in keys.values()}
    extractors = {task.key: catalogue.extractor(task.spec) for task in job.tasks}
    report = DecodePass(job, extractors, features.get).run()
    assert n(report, watch.key) == list(range(25))
    assert set(report.passes.values()) == {1}


def test_many_clips_in_step_are_read_side_by_side(tmp_path: Path, make_clip: MakeClip, bench: Bench) -> None:
    # Frames of the one that is ahead must not pile up while the other lags behind.
    one = bench.clip(make_clip(tmp_path / "one.mp4", seconds=6, fps=60, size=(16, 16), audio=None))
    two = bench.clip(make_clip(tmp_path / "two.mp4", seconds=6, fps=10, size=(16, 16), audio=None))
    most = 0

    class Watching(Pairs):
        def push(self, first: Frame, second: Frame) -> None:
            nonlocal most
            most = max(most, sum(len(held) for lane in watched._pair_lanes for held in lane._held.values()))
            super().push(first, second)

    bench.add("pair", Paired(Watching(Log())), one, two)
    watched = DecodePass(bench.job, bench.extractors, bench.stored.get)
    report = watched.run()
    assert n(report, "pair") == list(range(150))
    assert most <= 25


# --- isolation, worker ----------------------------------------------------------------------------------------------


def test_blame_follows_the_kind_of_error() -> None:
    def media() -> None:
        raise MediaError("clip.mp4", "truncated")

    def ours() -> None:
        raise ZeroDivisionError("x")

    def stop() -> None:
        raise KeyboardInterrupt

    assert attempt(lambda: 3) == 3
    assert attempt(media, media="sha") == Failure(Blame.MEDIA, "truncated", "sha")
    failed = attempt(ours, media="sha")
    assert isinstance(failed, Failure)
    assert (failed.blame, failed.reason, failed.media) == (Blame.OURS, "ZeroDivisionError: x", "sha")
    assert "ours" in (failed.trace or "")
    with pytest.raises(KeyboardInterrupt):
        attempt(stop)


class Meta(AudioExtractor):
    """An extractor whose feature cannot be stored."""

    id = "t/meta"
    answer: Any = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        answer: Feature = type(self).answer
        return answer


class Good(AudioExtractor):
    id = "t/good"

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        return Feature({"n": np.array([len(audio.samples)])})


@pytest.mark.parametrize(
    "answer",
    [
        Feature({}, {"x": float("nan")}),
        Feature({}, {"x": np.float32(1)}),  # type: ignore[dict-item]
        Feature({"x": np.array(["text"])}),
        Feature({"x": np.array([None])}),
        None,
        3.0,
    ],
    ids=["nan", "numpy number", "text array", "object array", "none", "number"],
)
def test_a_worker_turns_every_fault_into_a_result(
    tmp_path: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, private_cache: Path, answer: object
) -> None:
    # "Faults end up in the result, never as exceptions": one plugin's odd feature must not end the whole run.
    catalogue = Catalogue()
    for cls in (Meta, Good):
        catalogue.extractors.register(cls.id, "x:y", origin="t")
        catalogue.extractors._loaded[cls.id] = cls
    monkeypatch.setattr(Meta, "answer", answer)
    monkeypatch.setattr(worker_module, "load_catalogue", lambda: catalogue)
    info = probe(make_clip(tmp_path / "clip.mp4"))
    clip = ClipSource(str(tmp_path / "clip.mp4"), info)
    tasks = tuple(Task(key, ExtractorSpec.of(f"t/{key}"), (info.sha256,)) for key in ("meta", "good"))
    result = Worker(WorkerSettings(tmp_path / "store", "cpu", 4)).run(Job((clip,), tasks))
    assert result.stored == ["good"]
    assert list(result.failures) == ["meta"]
    assert result.failures["meta"].blame is Blame.OURS
    assert result.inline == {}
