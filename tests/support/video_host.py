"""A host of videos on this computer: yt-dlp's own YouTube extractor, led here by a plugin, downloads from it.

Pictures and sound are served as two files, as the real host does. What is wrong with a video is said per video, and
connections can be cut.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

PLUGIN = Path(__file__).with_name("video_host_plugin")


class VideoServer:
    """Serves videos; a context manager.

    Args:
        videos: The files of each video by id: one with both streams, or picture and sound.
        sizes: Width and height of the picture by id.

    Attributes:
        refusals: What the host says of a video instead of serving it, by id.
        cut_after: Bytes after which the connection is closed, by id; each time it meets is taken from ``cuts``.
        cuts: How often connections of a video are cut, by id.
        more: What the description of a video says beside its formats, by id.
        forbidden: Ids of which the files are refused.
        served: Bytes served by id.
        asked: Ids whose description was asked for, in order, with the time.
        most_at_once: Videos of which files were under way at the same time, at most.
        pace: Bytes a second, for tests that kill in the middle.
    """

    def __init__(self, videos: Mapping[str, tuple[Path, ...]], sizes: Mapping[str, tuple[int, int]]) -> None:
        self.videos = dict(videos)
        self.sizes = dict(sizes)
        self.refusals: dict[str, str] = {}
        self.cut_after: dict[str, int] = {}
        self.cuts: dict[str, int] = {}
        self.more: dict[str, dict[str, object]] = {}
        self.forbidden: set[str] = set()
        self.served: dict[str, int] = {}
        self.asked: list[tuple[str, float]] = []
        self.pace: int | None = None
        self.most_at_once = 0
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> VideoServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """Environment of processes whose yt-dlp is to come here."""
        path = os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**os.environ, "VCB_TEST_HOST": self.url, "PYTHONPATH": path}

    def about(self, video: str) -> dict[str, object]:
        with self._lock:
            self.asked.append((video, time.monotonic()))
        if video in self.refusals:
            return {"refusal": self.refusals[video]}
        if video not in self.videos:
            return {"refusal": "Video unavailable. This video has been removed by the uploader"}
        width, height = self.sizes[video]
        files = self.videos[video]
        picture = {"format_id": "137", "ext": files[0].suffix[1:], "width": width, "height": height, "vcodec": "avc1"}
        formats = [{**picture, "acodec": "none" if len(files) > 1 else "mp4a", "url": f"{self.url}/file/{video}/0"}]
        if len(files) > 1:
            sound = {"format_id": "140", "ext": "m4a", "vcodec": "none", "acodec": "mp4a"}
            formats.append({**sound, "url": f"{self.url}/file/{video}/1"})
        return {"formats": formats, "more": self.more.get(video, {})}

    def file(self, video: str, number: int) -> bytes:
        return self.videos[video][number].read_bytes()

    def enter(self, video: str, step: int) -> None:
        # The next file of a video may be asked for before the thread of the last one has come to its end.
        with self._lock:
            self._under_way[video] += step
            self.most_at_once = max(self.most_at_once, sum(count > 0 for count in self._under_way.values()))

    def limit(self, video: str) -> int | None:
        with self._lock:
            if self.cuts.get(video, 0) > 0:
                self.cuts[video] -= 1
                return self.cut_after[video]
        return None

    def count(self, video: str, size: int) -> None:
        with self._lock:
            self.served[video] = self.served.get(video, 0) + size


class _Handler(BaseHTTPRequestHandler):
    host: VideoServer
    protocol_version = "HTTP/1.0"

    def log_message(self, format: str, *args: object) -> None:
        """Keeps quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        if parts[0] == "about":
            self._send(json.dumps(self.host.about(parts[1])).encode(), "application/json")
        elif parts[0] == "file":
            if parts[1] in self.host.forbidden:
                self.send_error(403)
            else:
                self._file(parts[1], int(parts[2]))
        else:
            self.send_error(404)

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _file(self, video: str, number: int) -> None:
        content = self.host.file(video, number)
        start, wanted = 0, self.headers.get("Range")
        if wanted and wanted.startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").partition("-")[0] or 0)
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.host.enter(video, 1)
        try:
            self._pour(video, content[start:])
        finally:
            self.host.enter(video, -1)

    def _pour(self, video: str, content: bytes) -> None:
        limit = self.host.limit(video)
        step = 1 << 14
        for at in range(0, len(content), step):
            part = content[at : at + step]
            if limit is not None and at + len(part) > limit:
                self.connection.close()
                return
            if self.host.pace:
                time.sleep(len(part) / self.host.pace)
            self.wfile.write(part)
            self.host.count(video, len(part))
