"""The decoding pass: every clip of a job is read once, and all extractors that want it are fed from that one read."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from vidchatbench.api.extractors import (
    AudioExtractor,
    Extractor,
    FrameExtractor,
    PairExtractor,
    Timeline,
)
from vidchatbench.api.features import Feature
from vidchatbench.core.isolation import Blame, Failure, attempt
from vidchatbench.engine.extraction.jobs import SOUND_SHARE, ClipSource, FeatureRequest, Job
from vidchatbench.engine.extraction.lanes import ClosableTimeline, FrameLane, Lane, PairLane, Whole
from vidchatbench.media.frames import Picture
from vidchatbench.media.memory import MemoryReader
from vidchatbench.media.reader import ClipReader

Outcome = Feature | Failure
Reader = ClipReader | MemoryReader


@dataclass
class PassReport:
    """What a pass brought: an outcome per key, the passes per file, the seconds per extractor."""

    outcomes: dict[str, Outcome]
    passes: dict[str, int]
    seconds: dict[str, float]


class DecodePass:
    """One pass over the clips of a job.

    Args:
        job: What to read and to extract.
        extractors: The set-up extractor of each request's key, or why it could not be set up.
        load: Reads a stored feature by key.
    """

    def __init__(
        self,
        job: Job,
        extractors: Mapping[str, Extractor | Failure],
        load: Callable[[str], Feature | None],
    ) -> None:
        self._extractors = extractors
        self._given = job.given
        self._read_along = {
            key for request in job.requests for key in request.upstream.values() if key not in request.guides
        }
        self._sources = {clip.sha256: clip for clip in job.clips}
        self._frame_lanes: dict[str, list[FrameLane]] = {clip.sha256: [] for clip in job.clips}
        self._pair_lanes: list[PairLane] = []
        self._audio_requests: dict[str, list[FeatureRequest]] = {clip.sha256: [] for clip in job.clips}
        self._timelines: dict[str, ClosableTimeline] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._seconds: dict[str, float] = {}
        self._passes: dict[str, int] = {}
        self._heard = 0.0
        for request in job.requests:
            self._open(request, load)

    def run(self, on_progress: Callable[[float], None] | None = None) -> PassReport:
        """Reads the clips to their end, or as far as anything is still wanted.

        Args:
            on_progress: Called now and then with the seconds of media read so far.
        """
        started = time.perf_counter()
        readers = {sha: self._reader(source) for sha, source in self._sources.items()}
        for sha in readers:
            if self._wanted(sha):
                self._passes[self._sources[sha].path] = 1
        self._read(readers, on_progress)
        for lane in self._pair_lanes:
            lane.finish()
            self._settle(lane)
        pure = sum(self._seconds.values())
        self._seconds["decode"] = max(0.0, time.perf_counter() - started - pure)
        return PassReport(self._outcomes, self._passes, self._seconds)

    def _open(self, request: FeatureRequest, load: Callable[[str], Feature | None]) -> None:
        extractor = self._extractors[request.key]
        if isinstance(extractor, Failure):
            self._outcomes[request.key] = extractor
            return
        if request.stored:
            self._replay(request, extractor, load)
            return
        broken = next((self._outcomes[key] for key in request.upstream.values() if self._is_failure(key)), None)
        if broken is not None:
            self._outcomes[request.key] = broken
            return
        opened = attempt(lambda: self._begin(request, extractor), media=request.media[0])
        if isinstance(opened, Failure):
            self._outcomes[request.key] = opened

    def _begin(self, request: FeatureRequest, extractor: Extractor) -> None:
        if isinstance(extractor, AudioExtractor):
            self._audio_requests[request.media[0]].append(request)
        elif isinstance(extractor, FrameExtractor):
            upstream = self._timelines_of(request, request.upstream)
            session = extractor.begin(self._sources[request.media[0]].clip, upstream)
            lane = FrameLane(request.key, request.media[0], session, extractor.fps, upstream)
            self._frame_lanes[request.media[0]].append(lane)
            if lane.timeline is not None:
                self._timelines[request.key] = lane.timeline
        elif isinstance(extractor, PairExtractor):
            first, second = (self._sources[sha].clip for sha in request.media)
            both = (
                self._timelines_of(request, request.upstream_of(0)),
                self._timelines_of(request, request.upstream_of(1)),
            )
            pair = extractor.begin(first, second, both)
            self._pair_lanes.append(PairLane(request.key, request.media, pair, extractor.fps, both))
        else:
            raise TypeError(f"extractor {extractor.id!r} is neither of frames, nor of pairs, nor of sound")

    def _timelines_of(self, request: FeatureRequest, keys: Mapping[str, str]) -> dict[str, ClosableTimeline]:
        return {name: self._whole(key) if key in request.guides else self._timelines[key] for name, key in keys.items()}

    def _whole(self, key: str) -> ClosableTimeline:
        guide = self._outcomes[key]
        if isinstance(guide, Failure):
            raise TypeError("what is guided by a failure is never begun")
        return ClosableTimeline(Whole(guide))

    def _replay(self, request: FeatureRequest, extractor: Extractor, load: Callable[[str], Feature | None]) -> None:
        feature = self._given.get(request.key) or load(request.key)
        if feature is None:
            reason = "a stored feature is damaged or was removed; run again"
            feature = Failure(Blame.OURS, reason, request.media[0], lost=True)
        self._outcomes[request.key] = feature
        if isinstance(feature, Failure) or request.key not in self._read_along:
            return
        whole = feature
        if isinstance(extractor, FrameExtractor):
            timeline: Timeline | Failure = attempt(lambda: extractor.replay(whole), media=request.media[0])
            if isinstance(timeline, Failure):
                self._outcomes[request.key] = timeline
                return
            closable = ClosableTimeline(timeline)
            closable.close(whole)
            self._timelines[request.key] = closable

    def _is_failure(self, key: str) -> bool:
        return isinstance(self._outcomes.get(key), Failure)

    def _wanted(self, sha: str) -> bool:
        return bool(self._frame_lanes[sha] or self._audio_requests[sha] or self._pairs_of(sha))

    def _pairs_of(self, sha: str) -> list[PairLane]:
        return [lane for lane in self._pair_lanes if sha in lane.media]

    def _reader(self, source: ClipSource) -> Reader:
        video = bool(self._frame_lanes[source.sha256] or self._pairs_of(source.sha256))
        return source.open(video=video, audio=bool(self._audio_requests[source.sha256]))

    def _read(self, readers: Mapping[str, Reader], on_progress: Callable[[float], None] | None) -> None:
        # The clip that lags behind is read next, so that pairs meet and nothing piles up.
        streams = {sha: iter(reader) for sha, reader in readers.items()}
        queue = [(Fraction(0), order, sha) for order, sha in enumerate(readers) if self._wanted(sha)]
        heapq.heapify(queue)
        read: dict[str, float] = {}

        def report(seen: Mapping[str, float]) -> None:
            if on_progress is not None:
                on_progress(sum(seen.values()) + self._heard)

        while queue:
            _, order, sha = heapq.heappop(queue)
            step = attempt(lambda sha=sha: next(streams[sha], None), media=sha)  # type: ignore[misc]
            if isinstance(step, Failure) or step is None:
                self._end_clip(sha, readers[sha], step, lambda: report(read))
                continue
            picture, at = step
            self._feed(sha, picture, at)
            if not self._wants_pictures(sha):
                readers[sha].stop_video()
            read[sha] = float(at)
            report(read)
            heapq.heappush(queue, (at, order, sha))

    def _feed(self, sha: str, picture: Picture, at: Fraction) -> None:
        for lane in self._frame_lanes[sha]:
            lane.push(picture, at)
        for pair in self._pairs_of(sha):
            pair.push(sha, picture, at)

    def _wants_pictures(self, sha: str) -> bool:
        frames, pairs = self._frame_lanes[sha], self._pairs_of(sha)
        return any(lane.wants_more for lane in frames) or any(pair.wants_more for pair in pairs)

    def _end_clip(self, sha: str, reader: Reader, failure: Failure | None, report: Callable[[], None]) -> None:
        for lane in self._frame_lanes[sha]:
            if failure is not None and lane.wants_more:  # a lane that had all it wanted is not touched by later damage
                lane.fail(failure)
            lane.finish(reader.end)
            self._settle(lane)
        for pair in self._pairs_of(sha):
            if failure is not None and pair.wants_more:
                pair.fail(failure)
            pair.end_clip(sha, reader.end)
        if failure is not None and self._audio_requests[sha] and (self._frame_lanes[sha] or self._pairs_of(sha)):
            # Heard again without pictures: a voice scores the same whether or not its picture is looked at.
            reader = self._sources[sha].open(video=False, audio=True)
            again = attempt(lambda: deque(reader, maxlen=0), media=sha)
            failure = again if isinstance(again, Failure) else None
            self._passes[self._sources[sha].path] += 1
        for request in self._audio_requests[sha]:
            self._outcomes[request.key] = failure if failure is not None else self._extract_audio(request, reader)
            self._heard += SOUND_SHARE * self._sources[sha].sound_seconds
            report()

    def _extract_audio(self, request: FeatureRequest, reader: Reader) -> Outcome:
        extractor = self._extractors[request.key]
        upstream: dict[str, Feature] = {}
        for name, key in request.upstream.items():
            below = self._outcomes[key]
            if isinstance(below, Failure):
                return below
            upstream[name] = below
        if not isinstance(extractor, AudioExtractor):
            raise TypeError(f"request {request.spec} is not one for sound")
        started = time.perf_counter()
        outcome = attempt(lambda: extractor.extract(reader.audio, upstream), media=request.media[0])
        self._add_seconds(request.key, time.perf_counter() - started)
        return outcome

    def _settle(self, lane: Lane) -> None:
        if lane.outcome is not None:
            self._outcomes[lane.key] = lane.outcome
        self._add_seconds(lane.key, lane.seconds)

    def _add_seconds(self, key: str, seconds: float) -> None:
        extractor = self._extractors[key]
        if isinstance(extractor, Extractor):
            self._seconds[extractor.id] = self._seconds.get(extractor.id, 0.0) + seconds
