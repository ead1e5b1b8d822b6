"""Where a source video comes from: a folder that the user has filled, or the host."""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import av
from av.error import FFmpegError

from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import hash_file
from vidchatbench.curation.preparation.hosts import TALLEST, LostVideoError, VideoHost
from vidchatbench.curation.preparation.ledger import Fact, Ledger
from vidchatbench.errors import UsageError
from vidchatbench.media.cut import Source
from vidchatbench.media.streams import picture_stream

_PICTURES = frozenset({".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".flv"})
_SOUNDS = frozenset({".m4a", ".opus", ".ogg", ".mp3", ".wav"})
_NOTE = "source.json"
_KEPT = "kept"
_PART = ".part"
NOT_IN_FOLDER = "not_in_folder"
_ID = r"[A-Za-z0-9_-]{11}"
# As yt-dlp names files by itself, `Title [id].ext`, and as the dataset names them, `id.ext` or `id_1920x1080.ext`.
_NAMES = (re.compile(rf".*\[({_ID})\](?:\.f?[\w-]+)?"), re.compile(rf"({_ID})(?:[._ -].*)?"))


class VideoSource(Protocol):
    """Gives source videos."""

    def get(self, video: str, height: int | None) -> Source:
        """Returns a video, bringing it if necessary.

        Raises:
            LostVideoError: If it cannot be had.
            OSError: If the disk is full or cannot be written.
        """
        ...

    def facts(self, video: str) -> Mapping[str, Fact]:
        """Returns what is known of a video that was brought: hashes, formats."""
        ...

    def release(self, video: str) -> None:
        """Releases a video all of whose clips are cut."""
        ...

    def stop(self) -> None:
        """Cancels everything, including what is under way."""
        ...


class VideoFolder:
    """Videos that lie in a folder, under their ids; never changed.

    Args:
        folder: The folder; searched to any depth.

    Raises:
        UsageError: If there is no such folder, or no video in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(
                f"{folder} is not a folder; give the folder that holds the source videos as <video id>.mp4"
            )
        self._files: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in _PICTURES | _SOUNDS and path.is_file():
                for video in _ids_of(path):
                    self._files[video].append(path)
        if not self._files:
            raise UsageError(f"{folder} holds no video; expected <video id>.mp4, or any container, at any depth")
        self._folder = folder
        self._hashes: dict[str, dict[str, Fact]] = {}

    def get(self, video: str, height: int | None) -> Source:
        """See :class:`VideoSource`."""
        del height
        files = self._files.get(video)
        if not files:
            raise LostVideoError(video, NOT_IN_FOLDER, f"{self._folder} holds no {video}.*", for_good=False)
        source = _source_of(video, files)
        self._hashes[video] = _hashes(source)
        return source

    def facts(self, video: str) -> Mapping[str, Fact]:
        """See :class:`VideoSource`."""
        return self._hashes.get(video, {})

    def release(self, video: str) -> None:
        """Leaves the user's files alone."""

    def stop(self) -> None:
        """Has nothing under way."""


def _ids_of(path: Path) -> set[str]:
    """Returns the ids that a file may belong to: by its own name, else by its folder's, as for kept downloads."""
    own = {match[1] for pattern in _NAMES if (match := pattern.fullmatch(path.stem))}
    if own or re.fullmatch(_ID, path.parent.name) is None:
        return own
    return {path.parent.name}


class HostedVideos:
    """Videos that are downloaded, and deleted when they are not needed any more.

    Args:
        host: The host.
        folder: Where downloads go.
        keep: Whether videos stay after their clips were cut.
    """

    def __init__(self, host: VideoHost, folder: Path, *, keep: bool) -> None:
        self._host = host
        self._folder = folder
        self._keep = keep
        self._facts: dict[str, dict[str, Fact]] = {}

    def get(self, video: str, height: int | None) -> Source:
        """See :class:`VideoSource`."""
        whole = self._whole(video)
        if whole is not None:
            return whole
        partial, final = self._folder / f"{video}{_PART}", self._folder / video
        names = self._host.download(video, partial, height=height or TALLEST)
        source = _source_of(video, list(dict.fromkeys([partial / names["picture"], partial / names["sound"]])))
        files = {"picture": source.picture.name, "sound": source.sound.name}
        self._facts[video] = {**names, **files, **_hashes(source), "yt_dlp": self._host.version}
        write_atomically(partial / _NOTE, json.dumps({**self._facts[video], _KEPT: self._keep}).encode())
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        return Source(final / source.picture.name, final / source.sound.name)

    def facts(self, video: str) -> Mapping[str, Fact]:
        """See :class:`VideoSource`."""
        return self._facts.get(video, {})

    def release(self, video: str) -> None:
        """Deletes the video, unless videos are to be kept."""
        if not self._keep:
            shutil.rmtree(self._folder / video, ignore_errors=True)

    def stop(self) -> None:
        """Ends downloads; their parts stay."""
        self._host.stop()

    @staticmethod
    def tidy(folder: Path, ledger: Ledger) -> None:
        """Deletes leftovers of a killed run for videos that are no longer needed: downloads not to be kept, and parts.

        Args:
            folder: Where downloads go.
            ledger: The outcomes; of the videos in the folder, all clips are settled.
        """
        for path in folder.iterdir() if folder.is_dir() else ():
            outcome = ledger.get("video", path.name.removesuffix(_PART))
            part = path.name.endswith(_PART) and outcome is not None and outcome.state != "unreachable"
            if part or (not path.name.endswith(_PART) and not _was_kept(path)):
                shutil.rmtree(path, ignore_errors=True)

    def _whole(self, video: str) -> Source | None:
        """Returns a video that an earlier run downloaded, if it is undamaged."""
        folder = self._folder / video
        try:
            facts = json.loads((folder / _NOTE).read_bytes())
            facts.pop(_KEPT, None)
            source = Source(folder / facts["picture"], folder / facts["sound"])
            if {**facts, **_hashes(source)} != facts:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self._facts[video] = facts
        return source


def _was_kept(folder: Path) -> bool:
    """Whether a download was meant to stay; one without a record is the user's."""
    try:
        return json.loads((folder / _NOTE).read_bytes())[_KEPT] is not False
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _hashes(source: Source) -> dict[str, Fact]:
    picture = hash_file(source.picture)
    return {
        "picture_sha256": picture,
        "sound_sha256": picture if source.sound == source.picture else hash_file(source.sound),
    }


def _source_of(video: str, files: list[Path]) -> Source:
    """Returns which of the files of a video is looked at and which is heard: one that has both goes first."""
    streams = {path: _streams(path) for path in files}
    picture = max((path for path in files if streams[path][0]), key=lambda path: streams[path], default=None)
    if picture is None:
        reasons = {path.name: streams[path][2] or "it has no picture" for path in files}
        message = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise LostVideoError(video, "unreadable", message, for_good=False)
    if streams[picture][1]:
        return Source(picture, picture)
    sound = next((path for path in files if streams[path][1]), None)
    if sound is None:
        raise LostVideoError(
            video, "no_sound", f"{picture.name} has no sound, and no file beside it has", for_good=False
        )
    return Source(picture, sound)


def _streams(path: Path) -> tuple[int, bool, str]:
    """Returns the number of pixels of a file's picture, whether it has sound, and why it cannot be read."""
    try:
        with av.open(str(path)) as container:
            stream = picture_stream(container)
            return (0 if stream is None else stream.width * stream.height), bool(container.streams.audio), ""
    except FFmpegError as error:
        return 0, False, f"not readable as media: {error.strerror or error}"
