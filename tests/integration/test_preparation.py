"""`vidchatbench data prepare`, with the real clients of the hub and of the host, each led to a server of this test."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hub_server import Fault, HubServer, client_environment
from preparation_world import (
    ANN,
    BOB,
    CLICKS,
    CUT_SHORT,
    GONE,
    PRIVATE,
    SIZE,
    SMALL,
    WIDE,
    World,
    build_world,
    frames_of,
    onsets,
    pool_of,
)
from processes import all_ended, children, until
from speakervid_made import write_archive
from video_host import PLUGIN, VideoServer

import vidchatbench as vcb
from vidchatbench.core.progress import SilentProgress
from vidchatbench.curation.preparation import cutting, run
from vidchatbench.curation.preparation.hosts import Manners, VideoHost
from vidchatbench.curation.preparation.run import Prepared, prepare
from vidchatbench.curation.preparation.settings import PrepareSettings
from vidchatbench.curation.preparation.status import SetStatus, status_of
from vidchatbench.errors import InputError, UsageError
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

DATASET = "dorni/SpeakerVid-5M-Dataset"
QUICK = Manners(at_once=2, pause=0.0)


@pytest.fixture(autouse=True)
def _plugin(monkeypatch: pytest.MonkeyPatch, private_cache: Path) -> None:
    del private_cache
    monkeypatch.syspath_prepend(str(PLUGIN))


def settings_for(tmp_path: Path, world: World, **more: object) -> PrepareSettings:
    given = {"out": tmp_path / "out", "annotations": str(world.root), "workers": 1, "manners": QUICK, **more}
    return PrepareSettings(**given)  # type: ignore[arg-type]


def hosted(world: World, monkeypatch: pytest.MonkeyPatch) -> VideoServer:
    server = VideoServer(world.videos, world.sizes)
    monkeypatch.setattr(VideoServer, "__enter__", _entering(monkeypatch, VideoServer.__enter__))
    return server


def _entering(
    monkeypatch: pytest.MonkeyPatch, enter: Callable[[VideoServer], VideoServer]
) -> Callable[[VideoServer], VideoServer]:
    def entered(self: VideoServer) -> VideoServer:
        enter(self)
        monkeypatch.setenv("VCB_TEST_HOST", self.url)
        return self

    return entered


def tree(folder: Path) -> dict[str, bytes]:
    """The public files of a prepared set."""
    public = [folder / "manifest.jsonl", folder / "benchmark.json", folder / "SHA256SUMS"]
    public += sorted((folder / "media").iterdir()) + sorted((folder / "images").glob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in public}


def condition(found: SetStatus, sample: str) -> tuple[str, str | None]:
    one = next(one for one in found.samples if one.id == sample)
    return one.condition, one.reason


def check_clips(root: Path, world: World) -> None:
    """Every clip holds the frames that were annotated, and clicks where the source has them."""
    for name, made in world.clips.items():
        clip = root / "media" / f"{name}.mp4"
        if not clip.is_file():
            continue
        start, end = made.merged["start_seconds"], made.merged["end_seconds"]
        frames = frames_of(clip)
        assert len(frames) == int((end - start) * 25 + 0.5)
        assert frames == world.expected_frames(name[:11], start, len(frames))
        with wave.open(str(clip.with_suffix(".wav"))) as file:
            assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        expected = [at - start for at in CLICKS if 0.001 < at - start < len(frames) / 25 - 0.005]
        assert onsets(samples) == pytest.approx(expected, abs=0.001)
        reader = ClipReader(clip, probe(clip), video=True, audio=True)
        assert len(list(reader)) == len(frames)
        assert onsets(reader.audio.samples) == pytest.approx(expected, abs=0.001)


# --- the whole way --------------------------------------------------------------------------------------------------


def test_from_the_hub_and_the_host_to_an_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(tmp_path / "world", which=(ANN, BOB, GONE, PRIVATE))
    out = tmp_path / "test_500"
    with HubServer({DATASET: world.root}) as hub, hosted(world, monkeypatch) as host:
        host.refusals[PRIVATE] = "Private video. Sign in if you've been granted access to this video"
        environment = {**host.environment(), **client_environment(hub, tmp_path / "home")}
        environment |= {"PYTHONPATH": host.environment()["PYTHONPATH"], "VIDCHATBENCH_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "vidchatbench", "data", "prepare", "--out", str(out), "--pause", "0"]
        done = called([*command, "--json"], environment)
        assert done.returncode == 0, done.stderr
        commit = hub.commit(DATASET)
    found = SetStatus.model_validate_json(done.stdout)
    assert found.counts == {"alive": 4, "dead": 4, "unreachable": 0, "differing": 0, "damaged": 0, "waiting": 0}
    assert found.reasons == {"private": 2, "removed": 2}
    assert "8 entries (pairs), 8 samples" in done.stderr
    assert "disk: about" in done.stderr
    check_clips(out, world)
    assert not list((out / "preparation" / "videos").iterdir())
    assert not list((out / "preparation" / "hub").rglob("*.tar.gz"))
    benchmark = vcb.load_benchmark(out)
    benchmark.verify_media()
    assert (len(benchmark), benchmark.header.n_listed) == (4, 8)
    first = benchmark.samples[0]
    assert first.id == world.pairs[0][1]
    assert first.responder is not None
    assert (first.initiator.speaker_id, first.responder.speaker_id) == (f"{ANN}:A", f"{ANN}:B")
    assert first.responder.transcript == f"this is turn 1 of {ANN}"
    assert (first.language, first.tags["framing"], first.tags["dyad"]) == ("en", "half_body", "listed")
    assert (first.source["revision"], first.source["responder_video"]) == (commit, ANN)
    assert first.reference_image == f"images/{first.id}.png"
    info = probe(out / first.reference_image)
    assert info.video is not None
    assert (info.video.width, info.video.height) == (SIZE[0], round(SIZE[1] * 0.75))
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    assert str(tmp_path) not in (out / "manifest.jsonl").read_text() + (out / "benchmark.json").read_text()


def test_an_evaluation_says_on_how_many_of_the_listed_samples_it_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vidchatbench.cli.output import print_results, stderr_console

    world = build_world(tmp_path / "world", layout="flat", which=(ANN, GONE))
    with hosted(world, monkeypatch):
        prepare("test_500", settings_for(tmp_path, world), SilentProgress())
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    for sample in vcb.load_benchmark(tmp_path / "out"):
        assert sample.responder is not None
        (outputs / f"{sample.id}.mp4").write_bytes((tmp_path / "out" / sample.responder.media).read_bytes())
    config = vcb.RunConfig(workers=1)
    results = vcb.evaluate(
        outputs, benchmark=tmp_path / "out", metrics=["video_quality/psnr"], out=tmp_path / "run", config=config
    )
    assert (results.benchmark.n_samples, results.benchmark.n_listed) == (2, 4)
    assert results.metric("video_quality/psnr").value == 100.0
    print_results(stderr_console(), results)
    assert "2 of 4 listed samples" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("layout", ["archives", "flat"])
def test_names_and_pairs_give_the_same_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    plans = []
    for form in ("pairs", "names"):
        world = build_world(tmp_path / form, form=form, layout=layout)
        folder = tmp_path / form / "videos"
        prepared = prepare("test_500", settings_for(tmp_path / form, world, videos=folder), SilentProgress())
        assert prepared.planned.plan.list_form == form
        plans.append(prepared.planned.samples)
        assert {sample.tags["dyad"] for sample in plans[-1]} == {"listed" if form == "pairs" else "derived"}
    assert [sample.clips for sample in plans[0]] == [sample.clips for sample in plans[1]]


def test_videos_of_the_users_own_need_no_host(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", which=(ANN, BOB))
    folder = tmp_path / "mine"
    folder.mkdir()
    picture, sound = world.videos[ANN]
    (folder / f"A conversation [{ANN}].f137.mp4").write_bytes(picture.read_bytes())
    (folder / f"A conversation [{ANN}].f140.m4a").write_bytes(sound.read_bytes())
    (folder / "deep").mkdir()
    (folder / "deep" / f"{BOB}.mp4").write_bytes(world.videos[BOB][0].read_bytes())
    prepared = prepare("test_500", settings_for(tmp_path, world, videos=folder), SilentProgress())
    assert prepared.header is not None
    assert prepared.header.n_samples == 4
    check_clips(tmp_path / "out", world)
    assert len(list(folder.rglob("*.m*"))) == 3


# --- what can be wrong with a video ---------------------------------------------------------------------------------


def test_videos_that_are_not_as_annotated_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(tmp_path / "world", which=(ANN, CUT_SHORT, SMALL, WIDE))
    with hosted(world, monkeypatch):
        prepared = prepare("test_500", settings_for(tmp_path, world), SilentProgress())
    found = status_of(tmp_path / "out", SilentProgress())
    names = {video: [name for name in world.responders if name.startswith(video)] for video in (CUT_SHORT, SMALL, WIDE)}
    assert [condition(found, name) for name in names[CUT_SHORT]] == [("alive", None), ("dead", "too_short")]
    assert [condition(found, name) for name in names[SMALL]] == [("alive", None)] * 2
    assert [condition(found, name) for name in names[WIDE]] == [("dead", "other_picture")] * 2
    assert any(note.endswith("cut from a picture of 96x112, annotated on 192x224") for note in found.notes)
    assert prepared.header is not None
    assert (prepared.header.n_samples, prepared.header.n_listed) == (5, 8)
    told = next(one.message for one in found.samples if one.reason == "too_short")
    assert told is not None
    assert "ends at 12.00 s" in told


@pytest.mark.parametrize(
    ("message", "reason", "state"),
    [
        ("Video unavailable. This video has been removed by the uploader", "removed", "dead"),
        ("Private video. Sign in if you've been granted access to this video", "private", "dead"),
        ("The YouTube account associated with this video has been terminated.", "account_terminated", "dead"),
        ("Video unavailable. This video is no longer available due to a copyright claim by X", "copyright", "dead"),
        ("Join this channel to get access to members-only content like this video", "members_only", "dead"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", "age_restricted",
         "unreachable"),
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser", "robot_check", "unreachable"),
        ("The uploader has not made this video available in your country", "geo_blocked", "unreachable"),
        ("HTTP Error 429: Too Many Requests", "rate_limited", "unreachable"),
        ("Video unavailable", "unavailable", "dead"),
        ("something nobody has said before", "unknown", "unreachable"),
    ],
)  # fmt: skip
def test_why_a_video_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, reason: str, state: str
) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(GONE,))
    with hosted(world, monkeypatch) as host:
        host.refusals[GONE] = message
        prepared = prepare("test_500", settings_for(tmp_path, world), SilentProgress())
        asked = len(host.asked)
        prepare("test_500", settings_for(tmp_path, world), SilentProgress())
        # What is gone for good is not asked for again.
        assert len(host.asked) == asked + (state == "unreachable")
    assert prepared.header is None
    found = status_of(tmp_path / "out", SilentProgress())
    assert {condition(found, name) for name in world.responders} == {(state, reason)}


def test_a_video_that_comes_back_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(tmp_path / "world", layout="flat")
    with hosted(world, monkeypatch) as host:
        host.refusals[ANN] = "Private video"
        assert prepare("test_500", settings_for(tmp_path, world), SilentProgress()).header is None
        host.refusals.clear()
        assert prepare("test_500", settings_for(tmp_path, world), SilentProgress()).header is None
        again = prepare("test_500", settings_for(tmp_path, world, retry_dead=True), SilentProgress())
    assert again.header is not None
    assert status_of(tmp_path / "out", SilentProgress()).counts["alive"] == 2


# --- manners --------------------------------------------------------------------------------------------------------


def test_the_host_is_asked_slowly_and_left_alone_when_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = [f"Video_____{letter}" for letter in "abcdefgh"]
    world = build_world(tmp_path / "world", layout="flat", which=videos)
    with hosted(world, monkeypatch) as host:
        for video in videos[1:]:
            host.refusals[video] = "HTTP Error 429: Too Many Requests"
        manners = Manners(at_once=1, pause=2.0, refusals=3)
        prepare("test_500", settings_for(tmp_path, world, manners=manners), SilentProgress())
        times = [at for _, at in host.asked]
    assert len(times) == 4
    assert all(later - earlier > 1.75 for earlier, later in itertools.pairwise(times))
    found = status_of(tmp_path / "out", SilentProgress())
    assert found.reasons == {"not_asked": 8, "rate_limited": 6}
    assert found.counts["alive"] == 2
    assert found.counts["unreachable"] == 14


def test_no_more_videos_than_allowed_are_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = [f"Video_____{letter}" for letter in "abcd"]
    world = build_world(tmp_path / "world", layout="flat", which=videos)
    with hosted(world, monkeypatch) as host:
        host.pace = 400_000
        prepare("test_500", settings_for(tmp_path, world), SilentProgress())
        assert host.most_at_once == 2
        assert max(host.served.values()) < 1.2 * sum(path.stat().st_size for path in world.videos[videos[0]])


# --- faults ---------------------------------------------------------------------------------------------------------


def test_a_download_that_is_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(tmp_path / "world", layout="flat")
    size = sum(path.stat().st_size for path in world.videos[ANN])
    with hosted(world, monkeypatch) as host:
        host.cut_after[ANN], host.cuts[ANN] = 40_000, 2
        prepare("test_500", settings_for(tmp_path, world), SilentProgress())
        assert size <= host.served[ANN] < 1.3 * size
    check_clips(tmp_path / "out", world)
    assert status_of(tmp_path / "out", SilentProgress()).counts["alive"] == 2


def called(command: Sequence[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def hub_command(out: Path, videos: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "vidchatbench", "data", "prepare", "--out", str(out), "--workers", "1"),
        *("--videos", str(videos)),
    ]


def test_a_hub_that_breaks_off_in_an_archive(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", which=(ANN, BOB))
    with HubServer({DATASET: world.root}) as hub:
        environment = {**client_environment(hub, tmp_path / "home"), "VIDCHATBENCH_CACHE": str(tmp_path / "cache")}
        hub.fail("*merged_anno/tar_batch_1.tar.gz", Fault(cut_after=300, times=None))
        command = hub_command(tmp_path / "out", tmp_path / "world" / "videos")
        broken = called(command, environment)
        assert broken.returncode == 2
        assert "the hub" in broken.stderr
        assert "run the same command again" in broken.stderr
        assert "Traceback" not in broken.stderr
        hub.mend()
        before = len(hub.asked("*tar_batch_0.tar.gz", "GET"))
        done = called(command, environment)
        assert done.returncode == 0, done.stderr
        # The archive that had been read is not fetched again.
        fetched = [request.path for request in hub.asked("*merged_anno/tar_batch_0.tar.gz", "GET")]
        assert len(fetched) <= before
    check_clips(tmp_path / "out", world)


def test_an_archive_that_came_damaged_is_fetched_once_more(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world")
    damaged = world.root / "merged_anno" / "tar_batch_0.tar.gz"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with HubServer({DATASET: world.root}) as hub:
        environment = {**client_environment(hub, tmp_path / "home"), "VIDCHATBENCH_CACHE": str(tmp_path / "cache")}
        command = hub_command(tmp_path / "out", tmp_path / "world" / "videos")
        done = called(command, environment)
        assert done.returncode == 1
        assert "tar_batch_0.tar.gz" in done.stderr
        assert "cut off or damaged" in done.stderr


def test_a_damaged_annotation_costs_its_own_sample(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", layout="flat")
    first, second = world.responders
    (world.root / "merge_anno" / f"{first}.json").write_text('{"bbox": [0, 0, 1')
    videos = tmp_path / "world" / "videos"
    prepared = prepare("test_500", settings_for(tmp_path, world, videos=videos), SilentProgress())
    found = status_of(tmp_path / "out", SilentProgress())
    assert condition(found, first) == ("dead", "annotation_unreadable")
    assert condition(found, second) == ("alive", None)
    assert prepared.header is not None
    assert (prepared.header.n_samples, prepared.header.n_listed) == (1, 2)


def test_nothing_that_an_archive_says_is_a_path(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world")
    evil = json.dumps({"video_name": "../../../evil", **next(iter(world.clips.values())).merged}).encode()
    members = [("../../evil.json", evil), ("merged_anno/../../evil2.json", evil), ("/tmp/evil3.json", evil)]
    members += [(f"merged_anno/../{world.responders[0]}.json", evil)]
    write_archive(world.root / "merged_anno" / "tar_batch_-.tar.gz", members)
    (world.root / "testset.json").write_text(json.dumps([["../../../etc/passwd", "x/../../evil"], *world.pairs]))
    before = {path for path in tmp_path.rglob("*") if "evil" in path.name}
    videos = tmp_path / "world" / "videos"
    prepared = prepare("test_500", settings_for(tmp_path, world, videos=videos), SilentProgress())
    assert {path for path in tmp_path.rglob("*") if "evil" in path.name} == before
    assert prepared.header is not None
    assert prepared.header.n_samples == 2
    told = " ".join(prepared.planned.plan.not_understood)
    assert "leads out of the archive" in told
    assert "absolute" in told
    assert "passwd" in told


def test_a_full_disk_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(ANN, BOB))
    videos = tmp_path / "world" / "videos"
    real, left = cutting.run_cut, 3

    def cut(job: cutting.CutJob) -> cutting.CutOutcome:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left -= 1
        return real(job)

    with monkeypatch.context() as patch:
        patch.setattr(cutting, "worker_pool", pool_of(cut))
        with pytest.raises(InputError, match=r"no space is left on the disk; 3 of 8 clips") as raised:
            prepare("test_500", settings_for(tmp_path, world, videos=videos), SilentProgress())
    assert "run the same command again" in str(raised.value)
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "media").glob("*.mp4")}
    assert len(done) == 3
    prepare("test_500", settings_for(tmp_path, world, videos=videos), SilentProgress())
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "media").glob("*.mp4")}
    assert len(after) == 8
    assert done.items() <= after.items()


@pytest.mark.skipif(os.geteuid() != 0 if hasattr(os, "geteuid") else True, reason="mounting a small disk takes root")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(ANN, BOB))
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if called(mount, dict(os.environ)).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        settings = settings_for(tmp_path, world, out=disk / "out", videos=tmp_path / "world" / "videos")
        with pytest.raises(InputError, match="are needed") as raised:
            prepare("test_500", settings, SilentProgress())
        assert "--out" in str(raised.value)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "disk_need", lambda clips, settings: run.DiskNeed(0, 0, 1))
            with pytest.raises(InputError, match="no space is left"):
                prepare("test_500", settings, SilentProgress())
        assert not list((disk / "out" / "media").glob(".*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_runs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(tmp_path / "world", layout="flat")
    with hosted(world, monkeypatch) as host:
        host.pace = 60_000
        command = [
            *(sys.executable, "-m", "vidchatbench", "data", "prepare", "--out", str(tmp_path / "out")),
            *("--annotations", str(world.root), "--pause", "0"),
        ]
        first = subprocess.Popen(command, env=host.environment(), stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: bool(host.served))
            with pytest.raises(UsageError, match="another run is at work"):
                prepare("test_500", settings_for(tmp_path, world), SilentProgress())
            host.pace = None
            assert first.wait(120) == 0
        finally:
            first.kill()
    check_clips(tmp_path / "out", world)


def test_killed_again_and_again_it_ends_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = build_world(tmp_path / "world", which=(ANN, BOB, GONE))
    with hosted(world, monkeypatch) as host:
        whole = prepare("test_500", settings_for(tmp_path / "whole", world), SilentProgress())
        expected = tree(whole.root)
        command = [
            *(sys.executable, "-m", "vidchatbench", "data", "prepare", "--out", str(tmp_path / "out")),
            *("--annotations", str(world.root), "--pause", "0", "--workers", "1"),
        ]
        host.pace = 250_000
        kills = _kill_until_done(command, host.environment(), tmp_path / "out")
    assert kills >= 3
    assert tree(tmp_path / "out") == expected
    assert not list((tmp_path / "out").rglob(".*.tmp"))


def _kill_until_done(command: list[str], environment: dict[str, str], out: Path) -> int:
    """Kills the command after ever more time, each time at another step; returns how often it was killed."""
    rng = random.Random(7)
    kills = 0
    for attempt in range(20):
        running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            code = running.wait(1.1 * 1.3**attempt * (1 + 0.2 * rng.random()))
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            kills += 1
            _check_no_half_files(out)
            continue
        assert code == 0
        return kills
    raise AssertionError("it never came to an end")


def _check_no_half_files(out: Path) -> None:
    """What has its name is whole: a manifest speaks only of clips that are there."""
    if (out / "benchmark.json").is_file() and (out / "manifest.jsonl").is_file():
        vcb.load_benchmark(out).verify_media()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_workers_end_with_the_run_that_was_ended(tmp_path: Path, number: signal.Signals) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(ANN, BOB))
    command = [
        *(sys.executable, "-m", "vidchatbench", "data", "prepare", "--out", str(tmp_path / "out")),
        *("--annotations", str(world.root), "--videos", str(tmp_path / "world" / "videos"), "--workers", "1"),
    ]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: any((tmp_path / "out" / "media").glob("*")) if (tmp_path / "out").exists() else False)
    workers = children(running.pid)
    assert workers
    running.send_signal(number)
    _, stderr = running.communicate()
    until(lambda: all_ended(workers), 15)
    assert running.returncode == -number
    assert "leaked" not in stderr
    assert "semaphore" not in stderr


# --- afterwards -----------------------------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[World, Prepared]:
    world = build_world(tmp_path / "world", layout="flat")
    settings = settings_for(tmp_path, world, videos=tmp_path / "world" / "videos")
    return world, prepare("test_500", settings, SilentProgress())


def test_a_second_run_does_nothing_and_changes_nothing(prepared: tuple[World, Prepared], tmp_path: Path) -> None:
    world, done = prepared
    before = {path: path.stat().st_mtime_ns for path in (done.root / "media").iterdir()}
    settings = settings_for(tmp_path, world, videos=tmp_path / "world" / "videos")
    content = tree(done.root)
    prepare("test_500", settings, SilentProgress())
    assert {path: path.stat().st_mtime_ns for path in (done.root / "media").iterdir()} == before
    assert tree(done.root) == content


def test_a_damaged_clip_is_seen_and_made_again(prepared: tuple[World, Prepared], tmp_path: Path) -> None:
    world, done = prepared
    clip = done.root / "media" / f"{world.responders[0]}.mp4"
    content = clip.read_bytes()
    clip.write_bytes(content[:-100])
    found = status_of(done.root, SilentProgress())
    assert condition(found, world.responders[0]) == ("damaged", "file_changed")
    settings = settings_for(tmp_path, world, videos=tmp_path / "world" / "videos")
    prepare("test_500", settings, SilentProgress())
    assert clip.read_bytes() == content
    assert status_of(done.root, SilentProgress()).counts["damaged"] == 0


def test_a_folder_holds_one_preparation(prepared: tuple[World, Prepared], tmp_path: Path) -> None:
    other = build_world(tmp_path / "other", layout="flat", which=(BOB,))
    with pytest.raises(UsageError, match="holds a preparation of 'test_500'"):
        prepare("test_500", settings_for(tmp_path, other), SilentProgress())


def test_some_samples_only(tmp_path: Path) -> None:
    world = build_world(tmp_path / "world", layout="flat", which=(ANN, BOB))
    only = frozenset(world.responders[1:3])
    settings = settings_for(tmp_path, world, videos=tmp_path / "world" / "videos", only=only)
    done = prepare("test_500", settings, SilentProgress())
    assert {sample.id for sample in vcb.load_benchmark(done.root)} == only
    strange = settings_for(tmp_path, world, videos=tmp_path / "world" / "videos", only=frozenset({"nobody"}))
    with pytest.raises(InputError, match="no sample 'nobody'"):
        prepare("test_500", strange, SilentProgress())


def test_a_host_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(vcb.UnavailableError, match=r"vidchatbench\[data\]"):
        VideoHost(QUICK)
