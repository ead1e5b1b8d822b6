"""What a preparation meets on other people's computers: odd folders, impatient users, hosts in a bad mood."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from av.error import FFmpegError
from preparation_world import ANN, BOB, CUT_SHORT, World, build_world, pool_of
from video_host import PLUGIN, VideoServer

import vidchatbench as vcb
from vidchatbench.core.progress import SilentProgress
from vidchatbench.curation.preparation import clips, cutting, plan
from vidchatbench.curation.preparation.clips import CutJob, CutOutcome
from vidchatbench.curation.preparation.hosts import Manners
from vidchatbench.curation.preparation.ledger import Ledger
from vidchatbench.curation.preparation.portraits import PortraitFinder
from vidchatbench.curation.preparation.run import Prepared, prepare
from vidchatbench.curation.preparation.samples import pair
from vidchatbench.curation.preparation.settings import PrepareSettings
from vidchatbench.curation.preparation.status import status_of
from vidchatbench.curation.speakervid.lists import TestEntry
from vidchatbench.curation.speakervid.records import ClipRecord, parse_record
from vidchatbench.errors import InputError, UnavailableError, UsageError, VidChatBenchError
from vidchatbench.media.cut import Cut, CutReport, cut_clip

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


def _listen_to_ctrl_c() -> None:
    # Whoever runs the tests in the background may have told all their children to ignore it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_does_not_wait_for_downloads(tmp_path: Path, world: World) -> None:
    with VideoServer(world.videos, world.sizes) as host:
        host.pace = 3_000
        running = subprocess.Popen(
            command(world, tmp_path / "out"),
            env=host.environment(),
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_listen_to_ctrl_c,  # noqa: PLW1509 - no thread of this process holds a lock there
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


# --- what is gone, and what comes back ------------------------------------------------------------------------------


def test_a_video_that_does_not_hold_the_clip_is_fetched_once(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(CUT_SHORT,))
    with VideoServer(world.videos, world.sizes) as host:
        go(world, tmp_path / "out", host)
        told, asked = conditions(tmp_path / "out"), len(host.asked)
        assert told == {("alive", None), ("dead", "too_short")}
        go(world, tmp_path / "out", host)
        assert (len(host.asked), conditions(tmp_path / "out")) == (asked, told)
        go(world, tmp_path / "out", host, retry_dead=True)
        assert len(host.asked) == asked + 1


def test_a_copy_of_the_users_own_revives_a_video_that_is_gone(tmp_path: Path, world: World) -> None:
    with VideoServer({}, {}) as host:
        go(world, tmp_path / "out", host)
    assert conditions(tmp_path / "out") == {("dead", "removed")}
    other = build_world(tmp_path / "other", layout="flat", which=(BOB,))
    go(world, tmp_path / "out", videos=other.root.parent / "videos")
    assert conditions(tmp_path / "out") == {("dead", "removed")}
    go(world, tmp_path / "out")
    assert conditions(tmp_path / "out") == {("alive", None)}


def test_a_damaged_clip_of_a_video_that_is_gone_is_dead(tmp_path: Path, world: World) -> None:
    with VideoServer(world.videos, world.sizes) as host:
        go(world, tmp_path / "out", host)
        for path in (tmp_path / "out" / "media").glob("*.wav"):
            path.unlink()
        assert conditions(tmp_path / "out") == {("damaged", "file_changed")}
        host.videos.clear()
        go(world, tmp_path / "out", host)
    assert conditions(tmp_path / "out") == {("dead", "removed")}


def test_a_changed_reference_image_is_seen_and_made_again(tmp_path: Path, world: World) -> None:
    done = go(world, tmp_path / "out")
    image = tmp_path / "out" / "images" / f"{world.responders[0]}.png"
    content = image.read_bytes()
    image.write_bytes(content[:-20])
    assert conditions(tmp_path / "out") == {("damaged", "file_changed"), ("alive", None)}
    assert go(world, tmp_path / "out").header == done.header
    assert image.read_bytes() == content


def test_a_face_detector_that_fails_leaves_a_set_without_images(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(finder: PortraitFinder, clip: Path) -> None:
        raise UnavailableError("the face detector failed", "vidchatbench doctor")

    with monkeypatch.context() as patch:
        patch.setattr(PortraitFinder, "find", fail)
        assert go(world, tmp_path / "out").header is not None
    assert all(sample.reference_image is None for sample in vcb.load_benchmark(tmp_path / "out"))
    go(world, tmp_path / "out")
    assert all(sample.reference_image for sample in vcb.load_benchmark(tmp_path / "out"))


def test_nothing_is_missing_where_only_some_samples_were_asked_for(tmp_path: Path, world: World) -> None:
    (tmp_path / "ids").write_text(f"{world.responders[0]}\n")
    more = ("--videos", str(tmp_path / "world" / "videos"), "--samples", str(tmp_path / "ids"), "--json")
    done = subprocess.run(command(world, tmp_path / "out", *more), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["waiting"] == 1


def test_kept_downloads_serve_another_preparation(tmp_path: Path, world: World) -> None:
    with VideoServer(world.videos, world.sizes) as host:
        first = go(world, tmp_path / "out", host, keep_videos=True)
    again = go(world, tmp_path / "again", videos=tmp_path / "out" / "preparation" / "videos")
    assert first.header is not None
    assert again.header is not None
    files = [sorted((root / "media").iterdir()) for root in (tmp_path / "out", tmp_path / "again")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


# --- the plan -------------------------------------------------------------------------------------------------------


def test_what_would_change_the_plan_is_told_and_not_passed_over(tmp_path: Path, world: World) -> None:
    go(world, tmp_path / "out")
    with pytest.raises(UsageError, match=r"planned with no --language, not de; delete .*plan\.json"):
        go(world, tmp_path / "out", language="de")
    listed = world.root / "testset.json"
    listed.write_text(json.dumps(world.pairs[:1]))
    with pytest.raises(UsageError, match=r"testset\.json is not the list"):
        go(world, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "media").iterdir()}
    (tmp_path / "out" / "preparation" / "plan.json").unlink()
    again = go(world, tmp_path / "out", language="de")
    assert again.header is not None
    assert (again.header.n_samples, again.header.n_listed) == (1, 1)
    # Clips that are whole are found again.
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "media").iterdir()} == before


def test_annotations_of_two_places_are_not_mixed(tmp_path: Path, world: World) -> None:
    listed = json.loads((world.root / "testset.json").read_text())
    (world.root / "testset.json").write_text(json.dumps([listed[0]]))
    go(world, tmp_path / "out")
    (tmp_path / "out" / "preparation" / "plan.json").unlink()
    other = build_world(tmp_path / "other", layout="flat", which=(ANN,))
    (other.root / "testset.json").write_text(json.dumps([listed[0]]))
    for path in (other.root / "merge_anno").glob("*.json"):
        path.write_text(path.read_text().replace('"bbox": [0.0, 0.25', '"bbox": [0.0, 0.5'))
    done = go(other, tmp_path / "out")
    assert [clip.box[1] for sample in done.planned.samples for clip in sample.clips] == [0.5, 0.5]


def test_an_interrupted_reading_goes_on_at_the_same_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    class Hub:
        """Stands for the hub, whose branch moves on between two runs."""

        dataset = "a/b"

        def __init__(self, text: str, commit: str | None, desk: Path) -> None:
            del text, desk
            asked.append(commit)
            self.commit = commit or f"{len(asked)}" * 40

        def test_list(self) -> Path:
            raise InputError("hub", ["cut off"])

    monkeypatch.setattr(plan, "HubAnnotations", Hub)
    for where in ("a/b", "a/b", "a/b@other"):
        with pytest.raises(InputError, match="cut off"):
            prepare("test_500", PrepareSettings(tmp_path / "out", annotations=where), SilentProgress())
    assert asked == [None, "1" * 40, None]


def test_odd_annotations_cost_no_more_than_their_sample(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(ANN, BOB))
    first, second, third, fourth = world.responders
    merged, asr = world.root / "merge_anno", world.root / "asr"
    record = json.loads((merged / f"{first}.json").read_text())
    times = {"start_seconds": 5.0000001, "end_seconds": 5.0000002, "video_total_duration": 0.0000001}
    (merged / f"{first}.json").write_text(json.dumps({**record, **times}))
    (merged / f"{second}.json").write_text('{"start_seconds": NaN, "end_seconds": 1e999, "bbox": [0, 0, 1, 1]}')
    said = next(asr.glob(f"{third[:11]}*001*.json"))
    said.write_text('{"text": "half \\ud83d a letter", "language": "e\\udc00n"}')
    done = go(world, tmp_path / "out")
    found = {one.id: (one.condition, one.reason) for one in status_of(tmp_path / "out", SilentProgress()).samples}
    assert found == {
        first: ("dead", "annotation_unreadable"), second: ("dead", "annotation_unreadable"),
        third: ("alive", None), fourth: ("alive", None),
    }  # fmt: skip
    assert done.planned.plan.transcripts[third] == "half ? a letter"


def test_a_file_name_that_is_no_text_is_told_of(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.lost("clip", "c", "unreadable", "Gespr\udce4ch.mp4: damaged", for_good=False)
    known = Ledger(tmp_path / "ledger.jsonl").get("clip", "c")
    assert known is not None
    assert known.message == "Gespr?ch.mp4: damaged"


def test_ids_that_differ_only_in_capitals_are_two_files_on_every_disk() -> None:
    def record(label: str) -> ClipRecord:
        merged = {"bbox": [0, 0, 1, 1], "start_seconds": 5.0, "end_seconds": 9.0, "is_talking": 1}
        return parse_record(f"{ANN}_192x224_full_video_001_{label}_00", merged)

    records = [record("A"), record("B"), record("b")]
    names = [one.name.text for one in records]
    found = pair([TestEntry(names[0], names[1]), TestEntry(names[0], names[2])], records)
    assert [one.id for one in found.samples] == [names[1], f"{names[2]}~2"]


# --- clips that nobody has thought of -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, ZeroDivisionError, MemoryError, FFmpegError])
def test_a_clip_over_which_the_decoder_stumbles_costs_no_more_than_its_sample(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def stumble(source: object, cut: Cut, clip: Path, sound: Path) -> CutReport:
        if clip.name.startswith(f".{world.responders[0]}"):
            raise FFmpegError(7, "odd") if kind is FFmpegError else kind("odd")
        return cut_clip(source, cut, clip, sound)  # type: ignore[arg-type]

    monkeypatch.setattr(clips, "cut_clip", stumble)
    monkeypatch.setattr(cutting, "worker_pool", pool_of(clips.run_cut))
    assert go(world, tmp_path / "out").header is not None
    assert conditions(tmp_path / "out") == {("unreachable", "unreadable"), ("alive", None)}


def test_clips_that_were_being_cut_when_a_process_died_are_named(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(job: CutJob) -> CutOutcome:
        raise BrokenProcessPool("gone")

    monkeypatch.setattr(cutting, "worker_pool", pool_of(die))
    with pytest.raises(VidChatBenchError, match=rf"these were being cut: {ANN}\w+; run .* leave it out with --samples"):
        go(world, tmp_path / "out")
