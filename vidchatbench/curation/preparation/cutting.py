"""Bringing videos and cutting their clips at the same time, with as few videos on the disk as keep everybody busy."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from vidchatbench.core.pool import WorkerPool, worker_pool
from vidchatbench.core.progress import Progress
from vidchatbench.curation.preparation.clips import CutJob, CutOutcome, WholeClips, recipe, run_cut
from vidchatbench.curation.preparation.hosts import LostVideoError
from vidchatbench.curation.preparation.ledger import Ledger, Outcome
from vidchatbench.curation.preparation.listing import ListedClip
from vidchatbench.curation.preparation.settings import PrepareSettings
from vidchatbench.curation.preparation.videos import NOT_IN_FOLDER, VideoSource
from vidchatbench.errors import InputError, VidChatBenchError
from vidchatbench.media.cut import Source

_FULL = {errno.ENOSPC, errno.EDQUOT}
_HOST = "host"
_READY_AHEAD = 2
"""Videos that may wait on the disk for their clips to be cut."""


@dataclass
class Video:
    """A source video with the clips that are still to be cut out of it."""

    id: str
    clips: list[ListedClip] = field(default_factory=list)
    height: int | None = None
    left: int = 0


def waiting_videos(
    clips: Iterable[ListedClip], whole: WholeClips, ledger: Ledger, settings: PrepareSettings
) -> list[Video]:
    """Returns the videos whose clips are missing; videos that are gone for good are not requested again.

    A folder of the user's own costs nobody anything: it is looked into for every clip that is missing.
    """
    give_up = settings.videos is None and not settings.retry_dead
    videos: dict[str, Video] = {}
    for clip in clips:
        if whole.holds(clip):
            continue
        known, gone = ledger.get("clip", clip.clip), ledger.get("video", clip.video)
        if give_up and ((gone is not None and gone.state == "dead") or _is_dead(known, clip)):
            continue
        video = videos.setdefault(clip.video, Video(clip.video))
        video.clips.append(clip)
        if clip.source_size is not None:
            video.height = min(clip.source_size)  # a host counts the lines of the shorter side
    for video in videos.values():
        video.left = len(video.clips)
    return list(videos.values())


def _is_dead(known: Outcome | None, clip: ListedClip) -> bool:
    """Whether the host's video was seen not to hold a clip as the list describes it now."""
    if known is None or known.state != "dead":
        return False
    return known.facts.get("recipe") == recipe(clip) and known.facts.get("source") == _HOST


class Cutter:
    """Brings the videos of a preparation and cuts their clips.

    Args:
        videos: Where videos come from.
        ledger: Where every outcome is noted.
        settings: How to prepare.
        progress: Receives progress.
    """

    def __init__(self, videos: VideoSource, ledger: Ledger, settings: PrepareSettings, progress: Progress) -> None:
        self._videos = videos
        self._ledger = ledger
        self._settings = settings
        self._progress = progress
        self._done = 0
        self._getting: dict[Future[Source], Video] = {}
        self._cutting: dict[Future[CutOutcome], tuple[ListedClip, Video]] = {}

    def run(self, waiting: Sequence[Video]) -> None:
        """Cuts all clips of the given videos.

        Raises:
            InputError: If the disk is full; what is done is kept.
            VidChatBenchError: If a worker process was ended from outside.
        """
        if not waiting:
            return
        total = sum(video.left for video in waiting)
        self._progress.begin("bringing videos and cutting clips", total, "clips")
        with ExitStack() as stack:
            threads = stack.enter_context(ThreadPoolExecutor(self._settings.manners.at_once))
            processes = stack.enter_context(worker_pool(min(self._settings.processes, total)))
            stack.callback(processes.shutdown, wait=False, cancel_futures=True)
            stack.callback(threads.shutdown, wait=False, cancel_futures=True)
            stack.callback(self._videos.stop)
            try:
                self._work(deque(waiting), threads, processes)
            except OSError as error:
                if error.errno in _FULL:
                    raise self._no_space(total) from error
                raise
            except BrokenProcessPool as error:
                raise self._worker_lost() from error
        self._progress.end()

    def _work(self, queue: deque[Video], threads: ThreadPoolExecutor, processes: WorkerPool) -> None:
        most = self._settings.manners.at_once + _READY_AHEAD
        open_videos = 0
        while queue or self._getting or self._cutting:
            while queue and open_videos < most:
                video = queue.popleft()
                self._getting[threads.submit(self._videos.get, video.id, video.height)] = video
                open_videos += 1
            futures: list[Future[Any]] = [*self._getting, *self._cutting]
            ended, _ = wait(futures, return_when=FIRST_COMPLETED)
            # Successes are recorded before a failure ends the run.
            for future in sorted(ended, key=lambda one: one.exception() is not None):
                if future in self._getting:
                    open_videos -= self._have_video(future, processes)
                else:
                    open_videos -= self._have_clip(future)
            self._progress.advance(self._done)

    def _have_video(self, future: Future[Source], processes: WorkerPool) -> int:
        """Hands a video's clips out to be cut; returns 1 if the video is over."""
        video = self._getting.pop(future)
        try:
            source = future.result()
        except LostVideoError as lost:
            known = self._ledger.get("video", video.id)
            # That the user has no copy of a video does not bring it back to the host.
            if lost.reason != NOT_IN_FOLDER or known is None or known.state != "dead":
                self._ledger.lost("video", video.id, lost.reason, lost.message, for_good=lost.for_good)
            self._done += video.left
            return 1
        self._ledger.done("video", video.id, self._videos.facts(video.id))
        for clip in video.clips:
            job = CutJob(clip, source, self._settings.out)
            self._cutting[processes.submit(run_cut, job)] = (clip, video)
        return 0

    def _have_clip(self, future: Future[CutOutcome]) -> int:
        outcome = future.result()
        clip, video = self._cutting.pop(future)
        if outcome.reason is None:
            self._ledger.done("clip", clip.clip, {**outcome.facts, **self._videos.facts(video.id)})
        else:
            # A video that is shorter or of another shape is another video; one that cannot be read may come whole.
            for_good = outcome.reason != "unreadable"
            message = outcome.message or outcome.reason
            facts = {"recipe": recipe(clip), "source": _HOST if self._settings.videos is None else "folder"}
            self._ledger.lost("clip", clip.clip, outcome.reason, message, for_good=for_good, facts=facts)
        self._done += 1
        video.left -= 1
        if video.left:
            return 0
        self._videos.release(video.id)
        return 1

    def _worker_lost(self) -> VidChatBenchError:
        # Clips are begun in the order in which they were handed out.
        begun = [clip.clip for clip, _ in self._cutting.values()][: self._settings.processes]
        text = "a process that cuts clips was ended from outside, perhaps for want of memory"
        at_work = f"; these were being cut: {', '.join(begun)}" if begun else ""
        again = "run the same command again, with fewer --workers; if a clip does it again, leave it out with --samples"
        return VidChatBenchError(f"{text}{at_work}; {again}")

    def _no_space(self, total: int) -> InputError:
        problem = f"no space is left on the disk; {self._done} of {total} clips of this run are done and kept"
        hint = "Make room, or name a folder on a larger disk with --out, then run the same command again."
        return InputError(str(self._settings.out), [problem], hint)
