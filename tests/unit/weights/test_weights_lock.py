"""Weights of which nobody has published a hash: the first file seen is recorded, and no other ever takes its place."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidchatbench.api.plugins import WeightSpec
from vidchatbench.core import paths
from vidchatbench.errors import UnavailableError, WeightsError
from vidchatbench.weights.download import adopt, download
from vidchatbench.weights.lock import LockEntry, Pin, lock_file, read_lock, record_first
from vidchatbench.weights.resolver import Place, WeightResolver
from vidchatbench.weights.table import pin_of, weight_spec

CONTENT = bytes(range(256)) * 2048
OTHER = CONTENT[::-1]
BLOB = hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT).hexdigest()  # as git computes it


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def unhashed(**changes: object) -> WeightSpec:
    made: dict[str, object] = {"name": "net", "file_name": "net.pt", "sha256": None, "size": None}
    made |= {"license": "MIT", "commercial_use": True, "origin": "us", **changes}
    return WeightSpec.model_validate(made)


class Server:
    """Serves one content under an ETag, hangs up early when told to, and remembers the headers it was sent."""

    def __init__(self) -> None:
        self.content, self.etag, self.cut_after = CONTENT, '"one"', 0
        self.headers: list[dict[str, str]] = []
        self.url = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.headers.append(dict(self.headers.items()))
            asked = self.headers.get("Range")
            unchanged = self.headers.get("If-Range", made.etag) == made.etag
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and unchanged else 0
            self.send_response(206 if start else 200)
            if made.etag:
                self.send_header("ETag", made.etag)
            self.send_header("Content-Length", str(len(made.content) - start))
            self.end_headers()
            self.wfile.write(made.content[start : made.cut_after or None])

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{listening.server_port}/net"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture
def folder(private_cache: Path) -> Path:
    del private_cache
    return paths.weights_root()


def test_the_first_file_is_recorded_and_found_again(server: Server, folder: Path) -> None:
    table = {"net": unhashed(urls=(server.url,))}
    assert weight_spec(table, "net").sha256 is None
    assert WeightResolver(table).find("net") is None
    path = download(table["net"], folder)
    entry = read_lock()["net"]
    assert (entry.sha256, entry.size, entry.source, entry.pin) == (
        sha(CONTENT),
        len(CONTENT),
        server.url,
        Pin.FIRST_DOWNLOAD,
    )
    assert weight_spec(table, "net").sha256 == sha(CONTENT)
    found = WeightResolver(table).find("net")
    assert found is not None
    assert (found.path, found.place) == (path, Place.CACHE)
    assert pin_of(table, "net") is Pin.FIRST_DOWNLOAD
    assert sorted(file.name for file in folder.iterdir() if file.suffix in {".part", ".etag"}) == []


def test_another_file_never_takes_its_place(server: Server, folder: Path) -> None:
    table = {"net": unhashed(urls=(server.url,))}
    download(table["net"], folder).unlink()
    server.content, server.etag = OTHER, '"two"'
    with pytest.raises(WeightsError, match=sha(CONTENT)[:12]):
        download(weight_spec(table, "net"), folder)
    assert read_lock()["net"].sha256 == sha(CONTENT)
    assert WeightResolver(table).find("net") is None


def test_a_record_stands_against_later_ones(folder: Path) -> None:
    entry = LockEntry(sha256=sha(CONTENT), size=1, source="a", pin=Pin.FIRST_DOWNLOAD)
    record_first("net", entry)
    record_first("net", LockEntry(sha256=sha(OTHER), size=1, source="b", pin=Pin.LOCAL_FILE))
    record_first("other", LockEntry(sha256=sha(OTHER), size=1, source="b", pin=Pin.LOCAL_FILE))
    assert read_lock()["net"] == entry
    assert sorted(read_lock()) == ["net", "other"]
    assert folder.is_dir()


def test_a_damaged_record_lets_nothing_in(folder: Path) -> None:
    folder.mkdir(parents=True)
    lock_file().write_text('{"net": {"sha256": "12"}}', encoding="utf-8")
    with pytest.raises(WeightsError, match="damaged"):
        weight_spec({"net": unhashed()}, "net")


def test_a_cut_off_file_goes_on_only_if_the_server_vouches_for_it(server: Server, folder: Path) -> None:
    one = unhashed(urls=(server.url,))
    server.cut_after = 100_000
    with pytest.raises(UnavailableError, match="100000 of"):
        download(one, folder)
    server.cut_after = 0
    assert download(one, folder).read_bytes() == CONTENT
    assert server.headers[1]["Range"] == "bytes=100000-"
    assert server.headers[1]["If-Range"] == '"one"'


def test_two_halves_of_two_files_are_never_put_together(server: Server, folder: Path) -> None:
    one = unhashed(urls=(server.url,))
    server.cut_after = 100_000
    with pytest.raises(UnavailableError):
        download(one, folder)
    server.cut_after, server.content, server.etag = 0, OTHER, '"two"'
    assert download(one, folder).read_bytes() == OTHER


def test_without_a_validator_it_starts_anew(server: Server, folder: Path) -> None:
    one = unhashed(urls=(server.url,))
    server.cut_after, server.etag = 100_000, ""
    with pytest.raises(UnavailableError):
        download(one, folder)
    server.cut_after, server.content = 0, OTHER
    assert download(one, folder).read_bytes() == OTHER
    assert "Range" not in server.headers[1]


def test_a_published_git_hash_is_checked_and_counts_as_published(server: Server, folder: Path) -> None:
    right, wrong = unhashed(urls=(server.url,), git_blob=BLOB), unhashed(urls=(server.url,), git_blob="0" * 40)
    with pytest.raises(WeightsError, match="git hash"):
        download(wrong, folder)
    assert read_lock() == {}
    download(right, folder)
    assert read_lock()["net"].pin is Pin.PUBLISHED


def test_a_mirror_is_searched_by_git_hash(tmp_path: Path, folder: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "any name").write_bytes(CONTENT)
    (mirror / "net.pt").write_bytes(OTHER)
    table = {"net": unhashed(git_blob=BLOB)}
    found = WeightResolver(table, mirror=mirror).find("net")
    assert found is not None
    assert found.path.name == "any name"
    assert weight_spec(table, "net").sha256 == sha(CONTENT)
    # A file that nobody has hashed cannot be told from another, whatever it is called.
    assert WeightResolver({"bare": unhashed(name="bare")}, mirror=mirror).find("bare") is None
    assert folder.is_dir()


def test_a_file_that_somebody_brought_is_marked_as_such(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "brought.bin"
    file.write_bytes(CONTENT)
    path = adopt(unhashed(), file, folder)
    assert path.read_bytes() == CONTENT
    assert file.is_file()
    assert read_lock()["net"].pin is Pin.LOCAL_FILE
    assert not Pin.LOCAL_FILE.is_official
    with pytest.raises(WeightsError, match="sha256"):
        adopt(unhashed(name="known", sha256=sha(OTHER)), file, folder)
    with pytest.raises(WeightsError, match="bytes"):
        adopt(unhashed(name="sized", size=5), file, folder)
    with pytest.raises(UnavailableError, match="no file"):
        adopt(unhashed(), tmp_path / "nothing", folder)


def test_a_file_named_by_its_hash_is_not_official() -> None:
    assert pin_of({}, f"sha256:{'0' * 64}") is Pin.NAMED
    assert not Pin.NAMED.is_official


def test_the_command_says_that_the_hash_was_seen_first(tmp_path: Path, private_cache: Path) -> None:
    from vidchatbench.cli.app import app
    from vidchatbench.plugins.catalogue import load_catalogue

    name = next(name for name, spec in load_catalogue().weights.items() if spec.sha256 is None and not spec.git_blob)
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    answer = CliRunner().invoke(app, ["weights", "pull", name, "--from", str(file)])
    assert answer.exit_code == 0, answer.output
    text = " ".join(answer.output.split())
    assert "nobody has published a hash" in text
    assert sha(CONTENT) in text.replace(" ", "")
    assert private_cache.is_dir()


def test_the_command_wants_one_name_for_one_file(tmp_path: Path, private_cache: Path) -> None:
    from vidchatbench.cli.app import app
    from vidchatbench.errors import UsageError

    for arguments in (["a", "b", "--from", str(tmp_path)], []):
        answer = CliRunner().invoke(app, ["weights", "pull", *arguments])
        assert isinstance(answer.exception, UsageError), answer.output
    assert not private_cache.is_dir() or not read_lock()
