"""A server that stands in for the Hugging Face hub: the real clients talk to it over HTTP, with faults to order.

A repository is a folder; its commit is a hash of what is in it. ``with HubServer({"user/name": folder}) as hub:``
serves it, clients find it through ``client_environment(hub, home)``. Large files are served as the hub serves them: by
a redirect to another host. What is pushed is kept, as commit or as pull request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

CHUNK = 1 << 16
LFS_FROM = 1 << 20
LFS_NAMES = (".parquet", ".tar.gz", ".mp4", ".wav")


@dataclass
class Fault:
    """What goes wrong with a request.

    Attributes:
        status: HTTP status of the answer; 200 for none.
        code: ``X-Error-Code``, such as ``GatedRepo``.
        message: ``X-Error-Message``.
        cut_after: Bytes of the content after which the connection is closed.
        delay: Seconds before the answer.
        times: Requests that it meets; ``None`` for all.
    """

    status: int = 200
    code: str | None = None
    message: str = "made by a test"
    cut_after: int | None = None
    delay: float = 0.0
    times: int | None = None


def gated() -> Fault:
    """The answer for a gated repository to whoever has not been let in."""
    return Fault(status=403, code="GatedRepo", message="Access to this dataset is restricted")


@dataclass
class Request:
    """A request as it was served; ``sent`` counts bytes of content."""

    method: str
    path: str
    range: str | None
    token: str | None
    status: int = 0
    sent: int = 0


@dataclass(frozen=True)
class Blob:
    """A file of a commit."""

    path: str
    file: Path

    def describe(self, *, expand: bool = False) -> dict[str, Any]:
        size, sha1, sha256 = _hashes(self.file)
        told: dict[str, Any] = {"type": "file", "path": self.path, "size": size, "oid": sha1}
        if self.is_lfs:
            told["lfs"] = {"oid": sha256, "size": size, "pointerSize": 130}
        if expand:
            told["lastCommit"] = {"id": "0" * 40, "title": "t", "date": "2026-01-01T00:00:00.000Z"}
        return told

    def as_sibling(self, *, details: bool) -> dict[str, Any]:
        size, sha1, sha256 = _hashes(self.file)
        lfs = {"lfs": {"sha256": sha256, "size": size, "pointerSize": 130}} if self.is_lfs else {}
        return {"rfilename": self.path} | ({"size": size, "blobId": sha1, **lfs} if details else {})

    @property
    def is_lfs(self) -> bool:
        return self.path.endswith(LFS_NAMES) or self.file.stat().st_size >= LFS_FROM

    @property
    def etag(self) -> str:
        _, sha1, sha256 = _hashes(self.file)
        return sha256 if self.is_lfs else sha1


@dataclass
class Repository:
    """A repository: revisions by name, of which ``main`` is one, and commits with the folder of each."""

    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Path] = field(default_factory=dict)
    token: str | None = None


class HubServer:
    """The server.

    Args:
        repos: Folder by ``user/name``; of the type ``dataset``.
        page: Entries on one page of a listing.
        pushed: Folder for what clients push.

    Attributes:
        requests: What was asked, in order.
        allowance: Bytes of content that are still sent; then every connection is cut, or held with ``hold``.
        hold: Whether a request that exceeds the allowance waits until the server stops.
        pace: Bytes a second of every connection.
    """

    def __init__(self, repos: Mapping[str, Path], *, page: int = 1000, pushed: Path | None = None) -> None:
        self.pushed = pushed
        self.repos: dict[str, Repository] = {}
        self.page = page
        self.requests: list[Request] = []
        self.allowance: int | None = None
        self.hold = False
        self.pace: float | None = None
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self._faults: list[tuple[str, Fault]] = []
        for name, folder in repos.items():
            self.publish(name, folder)

    def __enter__(self) -> HubServer:
        self._http = _Server(("127.0.0.1", 0), _Handler, self)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def publish(self, name: str, folder: Path, ref: str = "main") -> str:
        """Makes a folder the newest commit of a revision; earlier commits stay. Returns the commit."""
        described = sorted((path.relative_to(folder).as_posix(), _hashes(path)[1]) for path in _files(folder))
        commit = hashlib.sha1(json.dumps([name, described]).encode()).hexdigest()
        repository = self.repos.setdefault(name, Repository())
        repository.commits[commit] = folder
        repository.refs[ref] = commit
        return commit

    def commit(self, name: str, ref: str = "main") -> str:
        return self.repos[name].refs[ref]

    def require_token(self, name: str, token: str) -> None:
        """Makes a repository private: whoever lacks the token is told that there is none."""
        self.repos[name].token = token

    def fail(self, path: str, fault: Fault) -> None:
        """Lets requests fail whose unquoted path matches a pattern, as in ``*/resolve/*.parquet``."""
        self._faults.append((path, fault))

    def mend(self) -> None:
        """Ends all faults."""
        self._faults.clear()
        self.allowance, self.hold, self.pace = None, False, None

    def asked(self, path: str, method: str = "*") -> list[Request]:
        """The requests whose path matches a pattern."""
        found = [request for request in self.requests if fnmatchcase(request.path, path)]
        return [request for request in found if fnmatchcase(request.method, method)]

    def sent(self, path: str = "*") -> int:
        """Bytes of content sent for paths that match a pattern."""
        return sum(request.sent for request in self.asked(path))

    def fault_for(self, path: str) -> Fault:
        with self.lock:
            for pattern, fault in self._faults:
                if fnmatchcase(path, pattern) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return Fault()

    def spend(self, size: int) -> int:
        """Returns how many of ``size`` bytes may be sent."""
        with self.lock:
            if self.allowance is None:
                return size
            granted = min(size, self.allowance)
            self.allowance -= granted
            return granted


def client_environment(hub: HubServer | str, home: Path) -> dict[str, str]:
    """The environment in which the hub's clients talk to this server and keep all they store below ``home``.

    The clients read it when they are imported, so they run in a process of their own.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return kept | {
        "HF_ENDPOINT": hub if isinstance(hub, str) else hub.url,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], hub: HubServer) -> None:
        self.hub = hub
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is a fault of this file and must be seen."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _RefusedError(Exception):
    def __init__(self, status: int, code: str | None = None, message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


_REPO = r"(?P<type>models|datasets)/(?P<repo>[^/]+/[^/]+)"
_ROUTES = [
    (re.compile(rf"/api/{_REPO}(?:/revision/(?P<rev>.+))?"), "_info"),
    (re.compile(rf"/api/{_REPO}/tree/(?P<rev>[^/]+|refs%2F[^/]+)(?:/(?P<path>.*))?"), "_tree"),
    (re.compile(rf"/api/{_REPO}/paths-info/(?P<rev>[^/]+)"), "_paths_info"),
    (re.compile(rf"/api/{_REPO}/preupload/(?P<rev>[^/]+)"), "_preupload"),
    (re.compile(rf"/api/{_REPO}/commit/(?P<rev>[^/]+)"), "_commit"),
    (re.compile(r"/api/repos/create"), "_create"),
    (re.compile(r"/api/validate-yaml"), "_validate_yaml"),
    (re.compile(r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)"), "_resolve"),
    (re.compile(r"/cdn/(?P<repo>[^/]+/[^/]+)/(?P<rev>[^/]+)/(?P<path>.+)"), "_content"),
]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """The log is ``hub.requests``."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_GET  # noqa: N815 - names of the base class

    @property
    def hub(self) -> HubServer:
        return self.server.hub

    def _serve(self) -> None:
        address = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.asked = Request(self.command, unquote(address.path), self.headers.get("Range"), token)
        with self.hub.lock:
            self.hub.requests.append(self.asked)
        self.fault = self.hub.fault_for(self.asked.path)
        if self.fault.delay:
            self.hub.stopped.wait(self.fault.delay)
        try:
            if self.fault.status != 200:
                raise _RefusedError(self.fault.status, self.fault.code, self.fault.message)
            for pattern, name in _ROUTES:
                if found := pattern.fullmatch(address.path):
                    getattr(self, name)(**{k: v and unquote(v) for k, v in found.groupdict().items() if k != "type"})
                    return
            raise _RefusedError(404, None, "no such route")
        except _RefusedError as refused:
            headers = {"X-Error-Message": refused.message} | ({"X-Error-Code": refused.code} if refused.code else {})
            self._send_json({"error": refused.message}, status=refused.status, headers=headers)

    # --- what is asked ----------------------------------------------------------------------------------------------

    def _find(self, repo: str, rev: str | None) -> tuple[str, Path]:
        repository = self.hub.repos.get(repo)
        if repository is None or repository.token not in {None, self.asked.token}:
            raise _RefusedError(401, "RepoNotFound", "Repository not found")
        commit = repository.refs.get(rev or "main", rev or "main")
        if commit not in repository.commits:
            raise _RefusedError(404, "RevisionNotFound", "Invalid rev id")
        return commit, repository.commits[commit]

    def _blob(self, repo: str, rev: str, path: str) -> tuple[str, Blob]:
        commit, folder = self._find(repo, rev)
        file = folder / path
        if ".." in Path(path).parts or not file.is_file():
            raise _RefusedError(404, "EntryNotFound", "Entry not found")
        return commit, Blob(path, file)

    def _info(self, repo: str, rev: str | None) -> None:
        commit, folder = self._find(repo, rev)
        siblings = [blob.as_sibling(details="blobs" in self.query) for blob in _blobs(folder)]
        about = {"private": False, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": []}
        about |= {"lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z"}
        self._send_json({"_id": "0" * 24, "id": repo, "sha": commit, **about, "siblings": siblings})

    def _tree(self, repo: str, rev: str, path: str | None) -> None:
        _, folder = self._find(repo, rev)
        top = f"{path}/" if path else ""
        expand = self.query.get("expand", "").lower() == "true"
        recursive = self.query.get("recursive", "").lower() == "true"
        entries: dict[str, dict[str, Any]] = {}
        for blob in _blobs(folder):
            if not blob.path.startswith(top):
                continue
            parts = blob.path[len(top) :].split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                name = top + "/".join(parts[:depth])
                entries[name] = {"type": "directory", "path": name, "size": 0, "oid": "0" * 40}
            if recursive or len(parts) == 1:
                entries[blob.path] = blob.describe(expand=expand)
        if path and not entries:
            raise _RefusedError(404, "EntryNotFound", f"{path} does not exist")
        listed = [entries[name] for name in sorted(entries)]
        first = int(self.query.get("cursor", "0"))
        headers = {}
        if first + self.hub.page < len(listed):
            following = f"{self.hub.url}{urlsplit(self.path).path}?recursive={recursive}&expand={expand}"
            headers["Link"] = f'<{following}&cursor={first + self.hub.page}>; rel="next"'
        self._send_json(listed[first : first + self.hub.page], headers=headers)

    def _paths_info(self, repo: str, rev: str) -> None:
        _, folder = self._find(repo, rev)
        asked = parse_qs(self.body.decode())
        expand = asked.get("expand", ["false"])[0].lower() == "true"
        blobs = list(_blobs(folder))
        told = [blob.describe(expand=expand) for blob in blobs if blob.path in asked["paths"]]
        folders = {str(parent) for blob in blobs for parent in Path(blob.path).parents} & set(asked["paths"])
        told += [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)]
        self._send_json(told)

    def _resolve(self, repo: str, rev: str, path: str) -> None:
        commit, blob = self._blob(repo, rev, path)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes"}
        if blob.is_lfs:
            headers |= {"X-Linked-Etag": f'"{blob.etag}"', "X-Linked-Size": str(blob.file.stat().st_size)}
            # Another name of the same address: clients treat it as the foreign host that the hub redirects to.
            headers["Location"] = f"http://localhost:{self.hub.port}/cdn/{repo}/{commit}/{quote(path)}"
            self._send(302, b"", headers)
            return
        self._send_file(blob, headers)

    def _content(self, repo: str, rev: str, path: str) -> None:
        # The hub signs such an address, so it is open to whoever has it.
        blob = Blob(path, self.hub.repos[repo].commits[rev] / path)
        self._send_file(blob, {"ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes"})

    # --- what is pushed ---------------------------------------------------------------------------------------------

    def _create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}"
        exists = name in self.hub.repos
        self.hub.repos.setdefault(name, Repository())
        self._send_json({"url": f"{self.hub.url}/datasets/{name}", "name": name}, status=409 if exists else 200)

    def _validate_yaml(self) -> None:
        self._send_json({"warnings": [], "errors": []})

    def _preupload(self, repo: str, rev: str) -> None:
        wanted = json.loads(self.body)["files"]
        modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in wanted]
        self._send_json({"files": modes, "commitOid": "0" * 40})

    def _commit(self, repo: str, rev: str) -> None:
        if self.asked.token is None:
            raise _RefusedError(401, None, "Invalid username or password.")
        repository = self.hub.repos[repo]
        number = sum(name.startswith("refs/pr/") for name in repository.refs) + 1
        ref = f"refs/pr/{number}" if self.query.get("create_pr") else rev
        base = repository.commits.get(repository.refs.get(rev, ""))
        if self.hub.pushed is None:
            raise _RefusedError(403, None, "This server takes nothing")
        root = self.hub.pushed / repo.replace("/", "--") / str(len(repository.commits))
        for blob in _blobs(base) if base is not None else ():
            _write(root / blob.path, blob.file.read_bytes())
        for line in filter(None, self.body.split(b"\n")):
            entry = json.loads(line)
            if entry["key"] == "file":
                _write(root / entry["value"]["path"], base64.b64decode(entry["value"]["content"]))
            elif entry["key"] == "deletedFile":
                (root / entry["value"]["path"]).unlink()
        commit = self.hub.publish(repo, root, ref)
        answer = {"commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{commit}", "commitOid": commit, "success": True}
        self._send_json(answer | {"pullRequestUrl": f"{self.hub.url}/datasets/{repo}/discussions/{number}"})

    # --- answers ----------------------------------------------------------------------------------------------------

    def _send_json(self, content: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self._send_head(status, headers, len(content))
        if self.command != "HEAD":
            self._send_body(iter([content] if content else []))

    def _send_head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        self.asked.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_file(self, blob: Blob, headers: dict[str, str]) -> None:
        size = blob.file.stat().st_size
        first, last, status = 0, size - 1, 200
        if found := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or ""):
            status = 206
            if not found[1]:
                first = max(0, size - int(found[2]))
            else:
                first, last = int(found[1]), min(last, int(found[2]) if found[2] else last)
            if first > last:
                raise _RefusedError(416, None, "Range not satisfiable")
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._send_head(status, headers, last - first + 1)
        if self.command != "HEAD":
            self._send_body(_read(blob.file, first, last + 1))

    def _send_body(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            left = len(piece) if self.fault.cut_after is None else max(0, self.fault.cut_after - self.asked.sent)
            granted = self.hub.spend(min(left, len(piece)))
            self.wfile.write(piece[:granted])
            self.asked.sent += granted
            if granted < len(piece):
                self.wfile.flush()
                if self.hub.hold:
                    self.hub.stopped.wait()
                self.close_connection = True
                return
            if self.hub.pace is not None:
                time.sleep(len(piece) / self.hub.pace)


def _read(file: Path, first: int, end: int) -> Iterator[bytes]:
    with file.open("rb") as stream:
        stream.seek(first)
        while first < end and (piece := stream.read(min(CHUNK, end - first))):
            first += len(piece)
            yield piece


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _blobs(folder: Path) -> Iterator[Blob]:
    return (Blob(path.relative_to(folder).as_posix(), path) for path in _files(folder))


_KNOWN: dict[tuple[Path, int, int], tuple[int, str, str]] = {}


def _hashes(file: Path) -> tuple[int, str, str]:
    """Size, git's hash and sha256 of a file, remembered while it stays the same."""
    stat = file.stat()
    key = (file, stat.st_size, stat.st_mtime_ns)
    if key not in _KNOWN:
        sha1 = hashlib.sha1(f"blob {stat.st_size}\0".encode())
        sha256 = hashlib.sha256()
        for piece in _read(file, 0, stat.st_size):
            sha1.update(piece)
            sha256.update(piece)
        _KNOWN[key] = (stat.st_size, sha1.hexdigest(), sha256.hexdigest())
    return _KNOWN[key]
