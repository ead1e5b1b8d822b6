"""What a preparation meets on other people's computers: odd folders, impatient users, hosts in a bad mood."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from preparation_world import ANN, BOB, World, build_world
from video_host import PLUGIN, VideoServer

from vidchatbench.engine.progress import SilentProgress
from vidchatbench.preparation.hosts import Manners
from vidchatbench.preparation.run import Prepared, prepare
from vidchatbench.preparation.settings import PrepareSettings
from vidchatbench.preparation.status import status_of

COOKIES = "# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t0\tSID\tabc\n"


@pytest.fixture(autouse=True)
def _plugin(monkeypatch: pytest.MonkeyPatch, private_cache: Path) -> None:
    del private_cache
    monkeypatch.syspath_prepend(str(PLUGIN))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build_world(tmp_path / "world", layout="flat")


def go(world: World, out: Path, host: VideoServer | None = None, **more: object) -> Prepared:
    given = {"out": out, "annotations": str(world.root), "workers": 1, "manners": Manners(2, 0.0), **more}
    if host is None:
        given.setdefault("videos", world.root.parent / "videos")
        return prepare("test_500", PrepareSettings(**given), SilentProgress())  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VCB_TEST_HOST", host.url)
        return prepare("test_500", PrepareSettings(**given), SilentProgress())  # type: ignore[arg-type]


def conditions(out: Path) -> set[tuple[str, str | None]]:
    return {(one.condition, one.reason) for one in status_of(out, SilentProgress()).samples}


def command(world: World, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "vidchatbench", "data", "prepare", "--out", str(out)),
        *("--annotations", str(world.root), "--pause", "0", "--workers", "1", *more),
    ]


# --- the host -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["relative", "50 %(id)s", "%%"])
def test_the_folder_may_have_any_name(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoServer(world.videos, world.sizes) as host:
        prepared = go(world, Path(name), host)
    assert prepared.header is not None
    assert prepared.header.n_samples == 2
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {name, "world", "private-cache"}


def test_the_users_cookies_are_sent_and_left_alone(tmp_path: Path, world: World) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(COOKIES)
    with VideoServer(world.videos, world.sizes) as host:
        assert go(world, tmp_path / "out", host, cookies=cookies).header is not None
    assert cookies.read_text() == COOKIES


def test_a_stream_that_still_runs_is_not_waited_for(tmp_path: Path, world: World) -> None:
    with VideoServer(world.videos, world.sizes) as host:
        host.more[ANN] = {"is_live": True}
        go(world, tmp_path / "out", host)
        assert conditions(tmp_path / "out") == {("unreachable", "not_yet")}
        assert not host.served
        host.more.clear()
        go(world, tmp_path / "out", host)
    assert conditions(tmp_path / "out") == {("alive", None)}


def test_a_refused_download_is_no_death(tmp_path: Path, world: World) -> None:
    with VideoServer(world.videos, world.sizes) as host:
        host.forbidden.add(ANN)
        go(world, tmp_path / "out", host)
        assert conditions(tmp_path / "out") == {("unreachable", "forbidden")}
        host.forbidden.clear()
        go(world, tmp_path / "out", host)
    assert conditions(tmp_path / "out") == {("alive", None)}


def test_a_host_that_answers_in_another_form_costs_no_more_than_its_video(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(ANN, BOB))
    with VideoServer(world.videos, world.sizes) as host:
        host.more[ANN] = {"formats": 7}
        go(world, tmp_path / "out", host)
    assert conditions(tmp_path / "out") == {("unreachable", "unknown"), ("alive", None)}


def test_ctrl_c_does_not_wait_for_downloads(tmp_path: Path, world: World) -> None:
    with VideoServer(world.videos, world.sizes) as host:
        host.pace = 3_000
        running = subprocess.Popen(
            command(world, tmp_path / "out"), env=host.environment(), stderr=subprocess.PIPE, text=True
        )
        try:
            end = time.monotonic() + 60
            while not host.served and time.monotonic() < end:
                time.sleep(0.05)
            began = time.monotonic()
            running.send_signal(signal.SIGINT)
            _, told = running.communicate(timeout=60)
        finally:
            running.kill()
        assert running.returncode == 130
        assert time.monotonic() - began < 15
        assert "Traceback" not in told
        host.pace = None
        size = sum(path.stat().st_size for path in world.videos[ANN])
        assert host.served[ANN] < size / 2
        go(world, tmp_path / "out", host)
    assert conditions(tmp_path / "out") == {("alive", None)}


def test_a_tall_picture_is_asked_for_by_its_shorter_side(tmp_path: Path, world: World) -> None:
    with VideoServer(world.videos, world.sizes) as host:
        picture, sound = host.about(ANN)["formats"]  # type: ignore[misc]
        large = {**picture, "format_id": "999", "width": 208, "height": 242, "url": f"{host.url}/file/{BOB}/0"}
        small = {**picture, "width": 192, "height": 224}
        host.more[ANN] = {"formats": [large, small, sound]}
        go(world, tmp_path / "out", host)
    assert not status_of(tmp_path / "out", SilentProgress()).notes
    assert conditions(tmp_path / "out") == {("alive", None)}
