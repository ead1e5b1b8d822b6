"""Downloads source videos with yt-dlp, politely, and gives the reason where one is unavailable."""

from __future__ import annotations

import contextlib
import errno
import http.client
import importlib
import io
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidchatbench.core.atomic import sync_file
from vidchatbench.errors import UnavailableError, UsageError, VidChatBenchError

URL = "https://www.youtube.com/watch?v={id}"
TALLEST = 1080
_ATTEMPTS = 4


@dataclass(frozen=True)
class Manners:
    """How a host is treated.

    Attributes:
        at_once: Videos under way at a time.
        pause: Seconds between two requests for a video, at least.
        refusals: Refusals in a row (too many requests, robot checks) after which nothing more is asked.
    """

    at_once: int = 2
    pause: float = 3.0
    refusals: int = 3


class LostVideoError(VidChatBenchError):
    """A video that is unavailable.

    Args:
        video: Its id.
        reason: Machine-readable reason.
        message: What the host said.
        for_good: Whether another try would change nothing.
    """

    def __init__(self, video: str, reason: str, message: str, *, for_good: bool) -> None:
        self.video = video
        self.reason = reason
        self.message = message
        self.for_good = for_good
        super().__init__(f"{video}: {message}")


_FOR_GOOD = {"removed", "private", "account_terminated", "copyright", "members_only", "unavailable"}
_REFUSALS = {"rate_limited", "robot_check", "forbidden"}
# In the order in which they are tried: a text can hold words of several.
_REASONS: tuple[tuple[str, str], ...] = (
    ("robot_check", r"confirm you.{1,3}re not a bot|confirm that you.{1,3}re not a (bot|robot)|captcha"),
    ("rate_limited", r"HTTP Error 429|too many requests|rate.?limit|try again later"),
    (
        "account_terminated",
        r"account.{0,60}(terminated|closed)|closed.{0,40}account|channel.{0,40}(does not exist|terminated)",
    ),
    ("private", r"private video|video is private"),
    ("members_only", r"members.only|join this channel|requires payment|premium"),
    ("geo_blocked", r"(in|from) your (country|location)|geo.?restrict|blocked it in"),
    ("copyright", r"copyright"),
    ("age_restricted", r"confirm your age|age.?restricted|inappropriate for some"),
    ("removed", r"has been removed|removed by the uploader|no longer available|deleted video"),
    ("not_yet", r"premieres in|live event will begin|processing this video"),
    # Hosts refuse the bytes of videos that are there: to a client that is too old, too fast, or with an address that
    # has expired. Only what is said of the video itself can be for good.
    ("forbidden", r"HTTP Error 403|forbidden"),
    ("network", r"unable to download video data|incomplete|transport"),
    ("network", r"timed? ?out|connection|resol|urlopen|network|unreachable|HTTP Error 5\d\d|ssl"),
    ("unavailable", r"video (is )?(un|not )available|HTTP Error 404|HTTP Error 410|not found|does not exist"),
    ("no_sound", r"requested format is not available"),
)


def reason_of(message: str) -> str:
    """Returns the machine-readable reason for yt-dlp's message about a failed download."""
    return next((name for name, pattern in _REASONS if re.search(pattern, message, re.IGNORECASE)), "unknown")


class VideoHost:
    """Downloads videos; one object serves all threads of a run.

    Picture and sound come as two files where the host has them apart, so that nothing has to be merged and no FFmpeg
    has to be installed.

    Args:
        manners: How the host is treated.
        url: Address of a video, with ``{id}`` in it.
        cookies: File of cookies in Netscape's format, for videos that want a login.

    Raises:
        UnavailableError: If yt-dlp is not installed.
        UsageError: If the file of cookies cannot be read.
    """

    def __init__(self, manners: Manners, *, url: str = URL, cookies: Path | None = None) -> None:
        try:
            yt_dlp: Any = importlib.import_module("yt_dlp")  # an extra, and slow to load
        except ImportError as error:
            what = "yt-dlp, which brings the source videos, is not installed"
            raise UnavailableError(what, "pip install 'vidchatbench[data]', or bring them with --videos DIR") from error
        self._yt_dlp = yt_dlp
        self._manners = manners
        self._url = url
        self._cookies = None if cookies is None else _text_of(cookies)
        self._stopped = threading.Event()
        self._turn = threading.Lock()
        self._last = 0.0
        self._refused = 0

    @property
    def version(self) -> str:
        """Release of yt-dlp."""
        return str(self._yt_dlp.version.__version__)

    @property
    def refuses(self) -> bool:
        """Whether the host has refused so often that it should not be asked again."""
        return self._refused >= self._manners.refusals

    def download(self, video: str, folder: Path, *, height: int = TALLEST) -> dict[str, str]:
        """Downloads a video, or the missing rest; a part left by a killed run is continued.

        Args:
            video: Its id.
            folder: Where to; created.
            height: Shorter side of the picture wanted; the nearest that there is below it, else above.

        Returns:
            The names of the files by what they hold (``picture``, ``sound``), and the formats' ids.

        Raises:
            LostVideoError: If it cannot be had, with the reason.
            OSError: If the disk is full or cannot be written.
        """
        folder = folder.absolute()  # yt-dlp answers with absolute paths
        folder.mkdir(parents=True, exist_ok=True)
        if self.refuses:
            message = "not asked: the host refused too often; wait some hours, then run again"
            raise LostVideoError(video, "not_asked", message, for_good=False)
        options = self._options(folder, height)
        try:
            self._wait_for_turn()
            with self._yt_dlp.YoutubeDL(options) as loader:
                info = loader.extract_info(self._url.format(id=video), download=True)
        except (LookupError, TypeError, ValueError, AttributeError, http.client.HTTPException) as error:
            # The host answers in a form that this release of yt-dlp does not know.
            message = f"yt-dlp does not understand the host: {type(error).__name__}: {_plain(str(error))}"
            raise LostVideoError(video, "unknown", message, for_good=False) from error
        except self._yt_dlp.utils.YoutubeDLError as error:
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing came of it; a part stays, to be continued
            raise self._lost(video, error) from error
        self._refused = 0
        if _is_running(info):
            raise LostVideoError(video, "not_yet", "it is a live stream that is still running", for_good=False)
        return _files_of(video, info, folder)

    def stop(self) -> None:
        """Stops the downloads under way as soon as possible; the next run continues them."""
        self._stopped.set()

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise self._yt_dlp.utils.DownloadCancelled("the run was interrupted")

    def _backoff(self, n: int) -> float:
        # yt-dlp's own sleep cannot be ended.
        self._sleep(min(60, 2**n))
        return 0.0

    def _wait_for_turn(self) -> None:
        with self._turn:
            left = self._last + self._manners.pause - time.monotonic()
            self._sleep(max(0.0, left))
            self._last = time.monotonic()

    def _options(self, folder: Path, height: int) -> dict[str, Any]:
        def hook(status: Mapping[str, Any]) -> None:
            file = Path(str(status.get("filename")))
            if status.get("status") == "finished" and file.is_file():
                sync_file(file)  # the next run takes a file of this name for whole
            self._sleep(0.0)

        options: dict[str, Any] = {
            # Not merged: picture and sound are read apart. A single file with both serves where there is nothing else.
            "format": "(bv/b),(ba/b)",
            "format_sort": [f"res:{height}", "vcodec:h264", "acodec:aac", "proto"],
            "outtmpl": {"default": "%(format_id)s.%(ext)s"},
            "paths": {"home": str(folder)},  # not in the template, where "%" would mean something
            "match_filter": lambda info, incomplete=False: "it is live" if _is_running(info) else None,
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "noplaylist": True,
            "logger": _Silence(),
            "progress_hooks": [hook],
            "continuedl": True,
            "retries": _ATTEMPTS,
            "fragment_retries": _ATTEMPTS,
            "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), self._backoff),
            "sleep_interval_requests": min(1.0, self._manners.pause / 4),
            "socket_timeout": 30,
            "fixup": "never",
            "updatetime": False,
            "cachedir": False,
        }
        # yt-dlp writes cookies back to where they came from; the user's file is not ours to change.
        return {**options, "cookiefile": io.StringIO(self._cookies)} if self._cookies is not None else options

    def _lost(self, video: str, error: Exception) -> LostVideoError | OSError:
        message = _plain(str(error))
        cause = getattr(error, "exc_info", None)
        inner = cause[1] if cause else None
        while inner is not None:
            if isinstance(inner, OSError) and inner.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
                return inner
            inner = inner.__cause__ or inner.__context__
        if "No space left" in message:
            return OSError(errno.ENOSPC, "No space left on device")
        reason = reason_of(message)
        if reason in _REFUSALS:
            self._refused += 1
        return LostVideoError(video, reason, message, for_good=reason in _FOR_GOOD)


class _Silence:
    """yt-dlp's messages reach the user through what is raised, not past the progress display."""

    def debug(self, message: str) -> None:
        """Ignores a message."""

    def info(self, message: str) -> None:
        """Ignores a message."""

    def warning(self, message: str) -> None:
        """Ignores a message."""

    def error(self, message: str) -> None:
        """Ignores a message; the same is raised."""


def _text_of(cookies: Path) -> str:
    try:
        return cookies.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{cookies} cannot be read as a file of cookies: {error}") from error


def _is_running(info: Mapping[str, Any]) -> bool:
    """Whether a video is a live stream, which has no end to wait for."""
    return bool(info.get("is_live")) or info.get("live_status") in {"is_live", "is_upcoming"}


def _plain(message: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", message).removeprefix("ERROR: ")
    text = re.sub(r"^\[[\w:+-]+\] [\w-]+: ", "", text)
    return " ".join(text.split())[:300]


def _files_of(video: str, info: Mapping[str, Any], folder: Path) -> dict[str, str]:
    parts = info.get("requested_downloads") or []
    files: dict[str, str] = {}
    for part in parts:
        path = folder / Path(str(part.get("filepath") or "")).name
        if not path.is_file():
            continue
        if part.get("vcodec") not in {None, "none"} or part.get("height"):
            files.setdefault("picture", path.name)
            files.setdefault("picture_format", str(part.get("format_id")))
        if part.get("acodec") != "none":
            files["sound"] = path.name
            files["sound_format"] = str(part.get("format_id"))
    if "picture" not in files or "sound" not in files:
        missing = "picture" if "picture" not in files else "sound"
        raise LostVideoError(video, f"no_{missing}", f"the host offers no {missing} of it", for_good=False)
    return files
