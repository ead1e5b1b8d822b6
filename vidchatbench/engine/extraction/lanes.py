"""Lanes: the state of one extractor on one clip, or pair of clips, during a decoding pass.

A lane takes decoded pictures, puts them on its extractor's time grid, holds them back until everything it reads from
is settled, and keeps a fault to itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from time import perf_counter

from vidchatbench.api.extractors import FrameSession, PairSession, Timeline, TimelineSession
from vidchatbench.api.features import Feature
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.media.frames import GridFrame, GridSampler, Picture

MAX_HELD = 512
"""Grid frames that a lane may hold back; more means that a timeline never advances."""


class Whole:
    """A guide as what reads it sees it: the same at all times."""

    def __init__(self, feature: Feature) -> None:
        self._feature = feature

    def horizon(self) -> float:
        """See :class:`vidchatbench.api.Timeline`."""
        return math.inf

    def at(self, time: float) -> Feature:
        """See :class:`vidchatbench.api.Timeline`."""
        del time
        return self._feature

    def result(self) -> Feature:
        """See :class:`vidchatbench.api.Timeline`."""
        return self._feature


class ClosableTimeline:
    """A timeline that is settled for all times once its clip has ended."""

    def __init__(self, inner: Timeline) -> None:
        self._inner = inner
        self._closed: Feature | None = None
        self.broken: Failure | None = None
        """Why the timeline failed; nothing that reads from it can be trusted then."""

    def horizon(self) -> float:
        """See :class:`vidchatbench.api.Timeline`."""
        return math.inf if self._closed is not None else self._inner.horizon()

    def at(self, time: float) -> object:
        """See :class:`vidchatbench.api.Timeline`."""
        return self._inner.at(time)

    def result(self) -> Feature:
        """See :class:`vidchatbench.api.Timeline`."""
        return self._closed if self._closed is not None else self._inner.result()

    def close(self, feature: Feature) -> None:
        """Marks the clip as ended."""
        self._closed = feature


class Lane:
    """What the lanes for one clip and for a pair have in common: the outcome, and the time spent."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.outcome: Feature | Failure | None = None
        self.seconds = 0.0

    @property
    def failed(self) -> bool:
        """True once the lane has come to grief; it takes nothing more."""
        return isinstance(self.outcome, Failure)

    def fail(self, failure: Failure) -> None:
        """Ends the lane, unless it has an outcome already."""
        if self.outcome is None:
            self.outcome = failure

    def guard(self, action: Callable[[], None], media: str) -> None:
        """Runs one step; a fault in it ends this lane and no other."""
        started = perf_counter()
        result = attempt(action, media=media)
        self.seconds += perf_counter() - started
        if isinstance(result, Failure):
            self.fail(result)

    def conclude(self, finish: Callable[[], Feature], media: str) -> None:
        """Takes the finished feature, unless the lane has failed."""
        if self.outcome is not None:
            return
        started = perf_counter()
        self.outcome = attempt(finish, media=media)
        self.seconds += perf_counter() - started


class FrameLane(Lane):
    """One frame extractor on one clip."""

    def __init__(
        self, key: str, media: str, session: FrameSession, fps: float, upstream: Mapping[str, ClosableTimeline]
    ) -> None:
        super().__init__(key)
        self.media = media
        self.timeline = ClosableTimeline(session) if isinstance(session, TimelineSession) else None
        self._session = session
        self._sampler = GridSampler(fps)
        self._upstream = upstream
        self._held: deque[GridFrame] = deque()

    def fail(self, failure: Failure) -> None:
        """Ends the lane, and with it those that read from it."""
        super().fail(failure)
        if self.timeline is not None and isinstance(self.outcome, Failure):
            self.timeline.broken = self.outcome

    @property
    def wants_more(self) -> bool:
        """True while further pictures could change the feature."""
        return not self.failed and not self._session.done

    def push(self, picture: Picture, at: Fraction) -> None:
        """Takes a decoded picture."""
        if self.wants_more:
            self._held.extend(self._sampler.push(picture, at))
            self._drain()

    def finish(self, end: Fraction) -> None:
        """Ends the clip; everything this lane reads from must have been finished before."""
        if self.wants_more:
            self._held.extend(self._sampler.close(end))
            self._drain()
        self.conclude(self._session.finish, self.media)
        if self.timeline is not None:
            if isinstance(self.outcome, Feature):
                self.timeline.close(self.outcome)
            else:
                self.timeline.broken = self.outcome

    def _drain(self) -> None:
        if not self.wants_more:  # what the session has is all it wants; nothing that happens later concerns it
            self._held.clear()
            return
        broken = _first_fault(self._upstream.values())
        if broken is not None:
            self.fail(broken)
            self._held.clear()
            return
        horizon = _least_horizon(self._upstream.values())
        while self._held and self._held[0].time <= horizon and self.wants_more:
            frame = self._held.popleft()
            self.guard(lambda frame=frame: self._session.push(frame), self.media)  # type: ignore[misc]
        if not self.wants_more:
            self._held.clear()
        elif len(self._held) > MAX_HELD:
            self.fail(_standstill(horizon, self.media))
            self._held.clear()


class PairLane(Lane):
    """One pair extractor on two clips; the clip itself twice where both are the same."""

    def __init__(
        self,
        key: str,
        media: tuple[str, ...],
        session: PairSession,
        fps: float,
        upstream: tuple[Mapping[str, ClosableTimeline], Mapping[str, ClosableTimeline]] = ({}, {}),
    ) -> None:
        super().__init__(key)
        self.media = media
        self._session = session
        self._upstream = [timeline for side in upstream for timeline in side.values()]
        self._same = media[0] == media[1]
        self._samplers = {sha: GridSampler(fps) for sha in media}
        self._held: dict[str, deque[GridFrame]] = {sha: deque() for sha in media}
        self._ended: set[str] = set()

    @property
    def wants_more(self) -> bool:
        """True while further pairs can come."""
        starved = any(not self._held[sha] for sha in self._ended)
        return not self.failed and not self._session.done and not starved

    def push(self, media: str, picture: Picture, at: Fraction) -> None:
        """Takes a decoded picture of one of the clips."""
        if self.wants_more:
            self._held[media].extend(self._samplers[media].push(picture, at))
            self._match()

    def end_clip(self, media: str, end: Fraction) -> None:
        """Ends one of the clips."""
        if self.wants_more:
            self._held[media].extend(self._samplers[media].close(end))
            self._match()
        self._ended.add(media)

    def finish(self) -> None:
        """Takes the finished feature after both clips have ended."""
        broken = _first_fault(self._upstream)
        if broken is not None and not self._session.done:  # even after the last pair: what it read has no result
            self.fail(broken)
        self.conclude(self._session.finish, self.media[0])

    def _match(self) -> None:
        broken = _first_fault(self._upstream)
        if broken is not None and not self._session.done:
            self.fail(broken)
        horizon = _least_horizon(self._upstream)
        first, second = (self._held[sha] for sha in self.media)
        while first and second and first[0].time <= horizon and not self.failed and not self._session.done:
            one = first.popleft()
            two = one if self._same else second.popleft()
            self.guard(lambda one=one, two=two: self._session.push(one, two), self.media[0])  # type: ignore[misc]
        # Frames of one clip that wait for those of the other are no standstill.
        if min(len(first), len(second)) > MAX_HELD and not self.failed and not self._session.done:
            self.fail(_standstill(horizon, self.media[0]))
        if self.failed or self._session.done:
            first.clear()
            second.clear()


def _first_fault(timelines: Iterable[ClosableTimeline]) -> Failure | None:
    return next((timeline.broken for timeline in timelines if timeline.broken is not None), None)


def _least_horizon(timelines: Iterable[ClosableTimeline]) -> float:
    return min((timeline.horizon() for timeline in timelines), default=math.inf)


def _standstill(horizon: float, media: str) -> Failure:
    reason = f"the timeline it reads from stands still at {horizon:.2f} s while frames pile up"
    return Failure(Blame.OURS, reason, media)
