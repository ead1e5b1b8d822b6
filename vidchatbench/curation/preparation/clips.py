"""Cutting the clips of a test set: in worker processes, each clip whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError

from vidchatbench.core.atomic import sync_file
from vidchatbench.core.hashing import hash_file
from vidchatbench.curation.preparation.ledger import Fact, Ledger
from vidchatbench.curation.preparation.listing import ListedClip
from vidchatbench.errors import MediaError
from vidchatbench.media.cut import CUT_PROFILE, Cut, CutReport, Source, cut_clip

MEDIA_FOLDER = "media"
MAX_SHAPE_DIFFERENCE = 0.02
"""By how much the shape of a source's picture may differ from the annotated one, as a share of it."""


# Errors of decoders and filters on unexpected sources: they cost the clip, not the set.
_OF_THE_CLIP = (FFmpegError, ValueError, ArithmeticError, LookupError, AssertionError, MemoryError)


@dataclass(frozen=True)
class CutJob:
    """A clip to be cut.

    Attributes:
        clip: The clip.
        source: Its source video.
        root: The test set's folder.
    """

    clip: ListedClip
    source: Source
    root: Path


@dataclass(frozen=True)
class CutOutcome:
    """The outcome of a cut: its facts, or why there is no clip."""

    clip: str
    facts: Mapping[str, Fact]
    reason: str | None = None
    message: str | None = None


def clip_files(root: Path, clip: str) -> tuple[Path, Path]:
    """Returns the paths of a clip and its sound."""
    folder = root / MEDIA_FOLDER
    return folder / f"{clip}.mp4", folder / f"{clip}.wav"


def recipe(clip: ListedClip) -> str:
    """Returns a hash of everything in the list that decides how a clip is cut; another recipe is another clip."""
    parts = [clip.video, clip.start, clip.end, list(clip.box), CUT_PROFILE]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


class WholeClips:
    """Which clips of a test set are done, undamaged and cut as listed; a whole one is hashed once.

    Args:
        root: The test set's folder.
        ledger: The outcomes.
    """

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self._root = root
        self._ledger = ledger
        self._seen: set[str] = set()

    def holds(self, clip: ListedClip) -> bool:
        """Whether a clip is whole."""
        if clip.clip in self._seen:
            return True
        outcome = self._ledger.get("clip", clip.clip)
        whole = outcome is not None and outcome.state == "done" and self._is_whole(clip, outcome.facts)
        if whole:
            self._seen.add(clip.clip)
        return whole

    def _is_whole(self, clip: ListedClip, facts: Mapping[str, Fact]) -> bool:
        picture, sound = clip_files(self._root, clip.clip)
        if facts.get("recipe") != recipe(clip) or not picture.is_file() or not sound.is_file():
            return False
        return hash_file(picture) == facts.get("sha256") and hash_file(sound) == facts.get("wav_sha256")


def run_cut(job: CutJob) -> CutOutcome:
    """Cuts one clip; both files get their names when they are whole.

    Raises:
        OSError: If the disk is full or cannot be written.
    """
    clip = job.clip
    picture, sound = clip_files(job.root, clip.clip)
    temporary = [path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in (picture, sound)]
    start, end = Fraction(clip.start).limit_denominator(10**6), Fraction(clip.end).limit_denominator(10**6)
    try:
        report = cut_clip(job.source, Cut(start, end - start, clip.box), *temporary)
        problem = _other_picture(clip, report)
        if problem is not None:
            return CutOutcome(clip.clip, {}, "other_picture", problem)
        facts = _facts(clip, report, *temporary)
        for path, final in zip(temporary, (picture, sound), strict=True):
            sync_file(path)
            path.replace(final)
    except MediaError as error:
        return CutOutcome(clip.clip, {}, _reason_of(error), f"video {clip.video}: {error.reason}")
    except _OF_THE_CLIP as error:
        if isinstance(error, OSError):
            raise  # the disk's fault, or the system's
        return CutOutcome(clip.clip, {}, "unreadable", f"it cannot be cut: {type(error).__name__}: {error}")
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)
    return CutOutcome(clip.clip, facts)


def _reason_of(error: MediaError) -> str:
    if "ends at" in error.reason or "at or after" in error.reason:
        return "too_short"
    return "soundless" if "there is no sound" in error.reason else "unreadable"


def _facts(clip: ListedClip, report: CutReport, picture: Path, sound: Path) -> dict[str, Fact]:
    annotated = clip.source_size
    return {
        "recipe": recipe(clip),
        "sha256": hash_file(picture),
        "wav_sha256": hash_file(sound),
        "frames": report.frames,
        "missing_frames": report.missing,
        "width": report.width,
        "height": report.height,
        "source_width": report.source_width,
        "source_height": report.source_height,
        "annotated_size": None if annotated is None else f"{annotated[0]}x{annotated[1]}",
    }


def _other_picture(clip: ListedClip, report: CutReport) -> str | None:
    if clip.source_size is None:
        return None
    width, height = clip.source_size
    own = report.source_width / report.source_height
    if abs(own * height / width - 1) <= MAX_SHAPE_DIFFERENCE:
        return None
    shape = f"{report.source_width} x {report.source_height}"
    return f"the source is {shape}, another shape than the annotated {width} x {height}: the box would cut elsewhere"
