"""Preparing a test set, from the list to the manifest; every step goes on where a killed run has stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from vidchatbench.benchmark.format import HEADER_FILE, MANIFEST_FILE, BenchmarkHeader
from vidchatbench.core import paths
from vidchatbench.core.hashing import CHECKSUMS_FILE, hash_file
from vidchatbench.core.progress import Progress
from vidchatbench.curation.ladder.file import read_ladders
from vidchatbench.curation.preparation.clips import MEDIA_FOLDER, WholeClips, clip_files
from vidchatbench.curation.preparation.cutting import Cutter, Video, waiting_videos
from vidchatbench.curation.preparation.hosts import VideoHost
from vidchatbench.curation.preparation.ledger import Ledger
from vidchatbench.curation.preparation.listing import ListedClip, ListedSample
from vidchatbench.curation.preparation.manifest import Provenance, write_manifest
from vidchatbench.curation.preparation.plan import ANNOTATIONS_FOLDER, Planned, make_plan
from vidchatbench.curation.preparation.portraits import IMAGES_FOLDER, PortraitFinder, image_is_whole
from vidchatbench.curation.preparation.settings import PrepareSettings
from vidchatbench.curation.preparation.videos import HostedVideos, VideoFolder, VideoSource
from vidchatbench.errors import InputError, UnavailableError, UsageError
from vidchatbench.media.encode import CLIP_FPS

LEDGER_FILE = "ledger.jsonl"
LOCK_FILE = ".lock"
VIDEOS_FOLDER = "videos"
LADDER_FILE = "ladder.jsonl"
"""Written by `ladder build`; if it is in the test set's folder, the manifest takes its graded replies."""

_CLIP_BYTES_PER_SECOND = 900_000
_VIDEO_BYTES_PER_SECOND = 450_000
_IMAGE_BYTES = 1_500_000
_LONGER_THAN_LAST_CLIP = 1.3


@dataclass(frozen=True)
class DiskNeed:
    """An estimate of the disk space that a preparation still needs, in bytes."""

    clips: int
    videos: int
    free: int

    @property
    def total(self) -> int:
        """Clips and the videos that lie there at a time."""
        return self.clips + self.videos


@dataclass(frozen=True)
class Prepared:
    """A preparation when it has run.

    Attributes:
        root: The test set's folder.
        planned: Its plan.
        header: The content of ``benchmark.json``; ``None`` if no sample is whole.
    """

    root: Path
    planned: Planned
    header: BenchmarkHeader | None


def prepare(name: str, settings: PrepareSettings, progress: Progress) -> Prepared:
    """Prepares a test set, or what is missing of it.

    Args:
        name: Name of the test set.
        settings: How to prepare.
        progress: Receives progress.

    Raises:
        UsageError: If another run is at work in the folder, or it holds something else.
        InputError: If lists or annotations cannot be read, or the disk is full; what is done is kept.
        UnavailableError: If the hub or a package is not there.
        OSError: If the folder cannot be written.
    """
    settings.desk.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.desk / LOCK_FILE, timeout=0):
            return _Preparation(name, settings, progress).run()
    except Timeout as error:
        raise UsageError(f"another run is at work in {settings.out}; wait for it, or name another --out") from error


class _Preparation:
    def __init__(self, name: str, settings: PrepareSettings, progress: Progress) -> None:
        self._name = name
        self._settings = settings
        self._progress = progress
        self._ledger = Ledger(settings.desk / LEDGER_FILE)
        self._clips = WholeClips(settings.out, self._ledger)

    def run(self) -> Prepared:
        settings = self._settings
        _clear_temporaries(settings.out, settings.desk)
        planned = make_plan(self._name, settings, self._ledger, self._progress)
        samples = self._chosen(planned)
        clips = list({clip.clip: clip for sample in samples for clip in sample.clips}.values())
        (settings.out / MEDIA_FOLDER).mkdir(parents=True, exist_ok=True)
        waiting = waiting_videos(clips, self._clips, self._ledger, settings)
        if waiting:
            self._announce(planned, samples, waiting)
            Cutter(self._videos(), self._ledger, settings, self._progress).run(waiting)
        if settings.only is None and not waiting_videos(clips, self._clips, self._ledger, settings):
            HostedVideos.tidy(settings.desk / VIDEOS_FOLDER, self._ledger)
        whole = [sample for sample in samples if all(map(self._clips.holds, sample.clips))]
        self._find_portraits([sample.responder for sample in whole if sample.responder is not None])
        if not whole:
            # A manifest of an earlier run would name clips that no longer exist.
            for name in (HEADER_FILE, MANIFEST_FILE, CHECKSUMS_FILE):
                (settings.out / name).unlink(missing_ok=True)
            return Prepared(settings.out, planned, None)
        plan = planned.plan
        listed = plan.listed if settings.only is None else len(settings.only)
        origin = Provenance(plan.name, plan.version, plan.revision, plan.license, listed)
        header = write_manifest(settings.out, self._with_ladders(whole), plan.transcripts, self._ledger, origin)
        return Prepared(settings.out, planned, header)

    def _chosen(self, planned: Planned) -> Sequence[ListedSample]:
        only = self._settings.only
        if only is None:
            return planned.samples
        known = {sample.id for sample in planned.samples} | {lost.id for lost in planned.plan.lost}
        strangers = sorted(only - known)
        if strangers:
            raise InputError("--samples", [f"the list has no sample {name!r}" for name in strangers])
        return [sample for sample in planned.samples if sample.id in only]

    def _videos(self) -> VideoSource:
        settings = self._settings
        if settings.videos is not None:
            return VideoFolder(settings.videos)
        host = VideoHost(settings.manners, cookies=settings.cookies)
        return HostedVideos(host, settings.desk / VIDEOS_FOLDER, keep=settings.keep_videos)

    def _announce(self, planned: Planned, samples: Sequence[ListedSample], waiting: Sequence[Video]) -> None:
        plan = planned.plan
        missing = [clip for video in waiting for clip in video.clips]
        message = f"{plan.name}: {plan.listed} entries ({plan.list_form}), {len(samples)} samples"
        self._progress.note(f"{message}; {len(missing)} clips of {len(waiting)} videos are still to be made")
        need = disk_need(missing, self._settings)
        sizes = f"{_readable(need.clips)} for clips, {_readable(need.videos)} for videos while they are cut"
        if self._settings.keep_videos:
            sizes = f"{_readable(need.clips)} for clips, {_readable(need.videos)} for videos, which are kept"
        self._progress.note(f"disk: about {sizes}; {_readable(need.free)} are free in {self._settings.out}")
        if need.total > need.free:
            problem = f"about {_readable(need.total)} are needed, {_readable(need.free)} are free"
            hint = "Make room, name a folder on a larger disk with --out, or prepare part of the list with --samples."
            raise InputError(str(self._settings.out), [problem], hint)

    def _with_ladders(self, samples: Sequence[ListedSample]) -> list[ListedSample]:
        """Gives samples the graded replies of ``ladder.jsonl``, where the folder or the published list holds one."""
        places = (self._settings.out / LADDER_FILE, paths.packaged_benchmark(self._name) / LADDER_FILE)
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            return list(samples)
        ladders = {ladder.id: ladder.ladder for ladder in read_ladders(path)}
        without = sum(sample.id not in ladders for sample in samples)
        message = f"graded replies: {path}" + (f"; {without} samples have none" if without else "")
        self._progress.note(message)
        return [
            sample.model_copy(update={"ladder": ladders[sample.id]}) if sample.id in ladders else sample
            for sample in samples
        ]

    def _find_portraits(self, responders: Sequence[ListedClip]) -> None:
        missing = [clip for clip in {clip.clip: clip for clip in responders}.values() if not self._has_portrait(clip)]
        if not missing:
            return
        self._progress.begin("finding reference images", len(missing), "clips")
        try:
            self._write_portraits(missing)
        except UnavailableError as error:
            self._progress.note(f"no reference images: {error}; metrics then take the first frame with a face")
            self._progress.end("failed")
        else:
            self._progress.end()

    def _write_portraits(self, missing: Sequence[ListedClip]) -> None:
        finder = PortraitFinder()
        for number, clip in enumerate(missing):
            picture, _ = clip_files(self._settings.out, clip.clip)
            image = self._settings.out / IMAGES_FOLDER / f"{clip.clip}.png"
            time = finder.write(picture, image)
            if time is None:
                message = "no frame of the reply shows a face"
                facts = {"clip_sha256": self._sha256(clip)}
                self._ledger.lost("image", clip.clip, "no_face", message, for_good=True, facts=facts)
            else:
                own = {"clip_sha256": self._sha256(clip), "image_sha256": hash_file(image)}
                self._ledger.done("image", clip.clip, {"time": time, **own})
            self._progress.advance(number + 1)

    def _has_portrait(self, clip: ListedClip) -> bool:
        known = self._ledger.get("image", clip.clip)
        if known is not None and known.state == "dead":
            return known.facts.get("clip_sha256") == self._sha256(clip)
        return image_is_whole(self._settings.out, clip.clip, self._ledger)

    def _sha256(self, clip: ListedClip) -> str:
        outcome = self._ledger.get("clip", clip.clip)
        return "" if outcome is None else str(outcome.facts.get("sha256"))


def disk_need(clips: Iterable[ListedClip], settings: PrepareSettings) -> DiskNeed:
    """Estimates what the given clips need; videos are as long as their last clip, and somewhat more."""
    clips = list(clips)
    seconds = sum(round((clip.end - clip.start) * CLIP_FPS) / CLIP_FPS for clip in clips)
    lengths: dict[str, float] = {}
    for clip in clips:
        lengths[clip.video] = max(lengths.get(clip.video, 0.0), clip.end * _LONGER_THAN_LAST_CLIP)
    largest = sorted(lengths.values(), reverse=True)
    if settings.videos is not None:
        largest = []
    elif not settings.keep_videos:
        largest = largest[: settings.manners.at_once + 2]
    free = shutil.disk_usage(settings.out).free
    made = round(seconds * _CLIP_BYTES_PER_SECOND) + len(clips) * _IMAGE_BYTES
    return DiskNeed(made, round(sum(largest) * _VIDEO_BYTES_PER_SECOND), free)


def _clear_temporaries(out: Path, desk: Path) -> None:
    """Removes leftovers of killed runs; no other process writes here."""
    for folder in (out, out / MEDIA_FOLDER, out / IMAGES_FOLDER, desk):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
    for path in (desk / ANNOTATIONS_FOLDER).rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.0f} MB"
