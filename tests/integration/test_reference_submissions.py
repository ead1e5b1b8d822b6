"""Reference submissions of whole benchmarks: ordinary outputs, resumed after a kill, and the audit that reads them."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from clips import Sound, make_clip, numbered
from integration_support import manifest_line, write_benchmark
from processes import all_ended, children, until
from typer.testing import CliRunner

import vidchatbench as vcb
from vidchatbench.audit.recipe import HOUSE
from vidchatbench.audit.recipes import RECIPES, find_recipes
from vidchatbench.audit.schema import load_audit
from vidchatbench.audit.submissions import LEDGER, Submission, write_submissions
from vidchatbench.audit.transforms import Film
from vidchatbench.cli import anchors as anchors_command
from vidchatbench.cli import audit as audit_command
from vidchatbench.core.hashing import hash_file
from vidchatbench.core.progress import SilentProgress
from vidchatbench.demo import DemoPaths
from vidchatbench.errors import InputError, UsageError
from vidchatbench.media.encode import write_clip
from vidchatbench.plugins.availability import find_missing
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.submission.system import read_system
from vidchatbench.weights.resolver import WeightResolver

CHEAP = ["video_quality/psnr", "video_quality/duration_ratio"]


class Told(SilentProgress):
    """Keeps what people are told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def benchmark(tmp_path: Path) -> vcb.Benchmark:
    """Three identities who reply, each the initiator of the one before, and a sample that nobody replies to."""
    root = tmp_path / "benchmark"
    root.mkdir()
    lines = []
    for k in range(3):
        paint = lambda index, time, width, height, k=k: numbered(60 * k + 2 * index, time, width, height)  # noqa: E731
        sound = Sound(frequency=200.0 + 100 * k, codec="pcm_s16le")
        clip = make_clip(root / f"{k}.mkv", seconds=1.2, size=(64, 48), audio=sound, lossless=True, paint=paint)
        lines.append(manifest_line(f"s{k}", clip, root, speaker=f"p{k}"))
    for k, line in enumerate(lines):  # the initiator of each is the next one's reply
        line["initiator"] = lines[(k + 1) % 3]["responder"]
    lines.append({**lines[0], "id": "listener", "task": "listening", "responder": None})
    return vcb.load_benchmark(write_benchmark(root, lines))


def write(
    benchmark: vcb.Benchmark, folder: Path, names: list[str] | None = None, **options: Any
) -> dict[str, Submission]:
    recipes = find_recipes(names, training=options.get("training") is not None)
    written = write_submissions(benchmark, folder, recipes, SilentProgress(), workers=1, **options)
    return {submission.recipe.name: submission for submission in written}


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and LEDGER not in path.parts)
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def test_every_recipe_is_a_folder_of_outputs(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    found = write(benchmark, tmp_path / "refs")
    assert set(found) == {recipe.name for recipe in RECIPES} - {"nearest_training"}
    nobody = found.pop("another_moment")
    assert nobody.not_made["s0"] == "this identity has no other clip in this benchmark"
    for name, submission in found.items():
        assert sorted(submission.made) == ["s0", "s1", "s2"], name
        assert submission.not_made == {"listener": "the sample has no real reply"}
        system = read_system(submission.folder)
        assert system.revision == submission.recipe.sha256[:12]
        assert system.generation_settings["recipe"] == name
        assert submission.recipe.does in (submission.folder / "system.yaml").read_text("utf-8")
    root = benchmark.root
    for k in range(3):
        assert (tmp_path / f"refs/oracle/s{k}.mkv").read_bytes() == (root / f"{k}.mkv").read_bytes()
        assert (tmp_path / f"refs/echo/s{k}.mkv").read_bytes() == (root / f"{(k + 1) % 3}.mkv").read_bytes()
        shuffled = (tmp_path / f"refs/shuffled/s{k}.mkv").read_bytes()
        assert shuffled in [(root / f"{other}.mkv").read_bytes() for other in range(3) if other != k]
    assert len({hash_file(path) for path in (tmp_path / "refs/shuffled").glob("s?.mkv")}) == 3, "nobody is lent twice"
    one = [hash_file(tmp_path / f"refs/one_clip/s{k}.mkv") for k in range(3)]
    assert one[1] == one[2] == hash_file(root / "0.mkv")
    assert one[0] in {hash_file(root / "1.mkv"), hash_file(root / "2.mkv")}
    remuxed = tmp_path / "refs/remuxed/s0.mkv"
    assert remuxed.read_bytes() != (root / "0.mkv").read_bytes()
    for mine, theirs in zip(Film(remuxed).pictures(), Film(root / "0.mkv").pictures(), strict=True):
        assert np.array_equal(mine, theirs)
    assert np.array_equal(Film(remuxed).sound(), Film(root / "0.mkv").sound())


def test_the_same_benchmark_gives_the_same_bytes_with_any_number_of_workers(
    benchmark: vcb.Benchmark, tmp_path: Path
) -> None:
    names = ["oracle", "blur_04_0", "shift_p04", "reversed"]
    write(benchmark, tmp_path / "one", names)
    recipes = find_recipes(names, training=False)
    write_submissions(benchmark, tmp_path / "two", recipes, SilentProgress(), workers=2)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_what_is_whole_is_not_made_again_and_what_is_not_is(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    names = ["oracle", "reencoded", "frozen"]
    write(benchmark, folder, names)
    before = hashes(folder)
    (folder / "frozen/s1.mp4").write_bytes(b"cut off")
    (folder / "reencoded/s0.mp4").unlink()
    (folder / LEDGER / "oracle/s2.json").unlink()
    again = write(benchmark, folder, names)
    assert (again["frozen"].made, again["frozen"].reused) == (("s1",), ("s0", "s2"))
    assert again["reencoded"].made == ("s0",)
    assert again["oracle"].made == ("s2",)
    assert hashes(folder) == before
    note = json.loads((folder / LEDGER / "frozen/s0.json").read_bytes())
    (folder / LEDGER / "frozen/s0.json").write_text(json.dumps({**note, "recipe": "0" * 64}))
    assert write(benchmark, folder, names)["frozen"].made == ("s0",), "it was made by another recipe"


def test_a_run_that_was_killed_goes_on_where_it_was(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    names = ["reencoded", "blur", "shift_p02"]
    code = (
        "import sys, vidchatbench as vcb\nfrom pathlib import Path\n"
        "from vidchatbench.audit.recipes import find_recipes\n"
        "from vidchatbench.audit.submissions import write_submissions\n"
        "from vidchatbench.core.progress import SilentProgress\n"
        "root, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(',')\n"
        "recipes = find_recipes(names, training=False)\n"
        "write_submissions(vcb.load_benchmark(root), folder, recipes, SilentProgress(), workers=1)\n"
    )
    command = [sys.executable, "-c", code, str(benchmark.root), str(folder), ",".join(names)]
    process = subprocess.Popen(command)
    end = time.monotonic() + 120
    while len(list(folder.glob(f"{LEDGER}/*/s*.json"))) < 4 and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (folder / "blur_01_0").mkdir(exist_ok=True)
    (folder / "blur_01_0/.s1.mp4.77.tmp").write_bytes(b"half a clip")
    done = len(list(folder.glob(f"{LEDGER}/*/s*.json")))
    assert 4 <= done <= 21
    found = write(benchmark, folder, names)
    assert sum(len(one.reused) for one in found.values()) == done
    assert sum(len(one.samples) for one in found.values()) == 21
    assert not list(folder.rglob("*.tmp"))
    write(benchmark, tmp_path / "fresh", names)
    assert hashes(folder) == hashes(tmp_path / "fresh")


def test_an_audit_that_is_ended_leaves_no_warning(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "vidchatbench", "audit", "--benchmark", str(benchmark.root)),
        *("--metrics", "video_quality/psnr", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "audit")),
        *("--workers", "2"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: process.poll() is not None or len(list(tmp_path.rglob(f"{LEDGER}/*/s*.json"))) >= 2, 300)
        workers = children(process.pid)
        assert len(workers) >= 2
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGTERM
    until(lambda: all_ended(workers), 15)
    assert "leaked" not in stderr
    assert "semaphore" not in stderr


def test_a_sample_without_another_identity_is_listed_as_not_made(tmp_path: Path) -> None:
    root = tmp_path / "benchmark"
    root.mkdir()
    clip = make_clip(root / "a.mp4", seconds=1.2)
    lines = [manifest_line(name, clip, root, speaker="only one") for name in ("a", "b")]
    alone = vcb.load_benchmark(write_benchmark(root, lines))
    found = write(alone, tmp_path / "refs", ["oracle", "shuffled", "other_face"])
    reason = "no other identity replies in this benchmark"
    assert found["shuffled"].not_made == found["other_face"].not_made == {"a": reason, "b": reason}
    assert found["oracle"].not_made == {}


def test_folders_of_others_are_left_alone(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    write(benchmark, folder, ["oracle"])
    owner = folder / LEDGER / "benchmark.json"
    owner.write_text(json.dumps({"manifest_sha256": "0" * 64}))
    with pytest.raises(UsageError, match="another benchmark"):
        write(benchmark, folder, ["oracle"])
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="other files"):
        write(benchmark, mine, ["oracle"])
    with pytest.raises(UsageError, match="no folder"):
        write(benchmark, mine / "thesis.txt", ["oracle"])
    assert hashes(mine) == {"thesis.txt": hashlib.sha256(b"all of it").hexdigest()}


def test_the_disk_is_asked_before_it_is_filled(
    benchmark: vcb.Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    write_submissions(benchmark, tmp_path / "refs", find_recipes(["blur"], training=False), told, workers=1)
    assert any("15 clips to write, about" in note and "are free" in note for note in told.notes)
    full = type("Usage", (), {"free": 10})
    monkeypatch.setattr("vidchatbench.audit.submissions.shutil.disk_usage", lambda _: full)
    with pytest.raises(UsageError, match="Free some space"):
        write(benchmark, tmp_path / "other", ["oracle"])
    assert not list((tmp_path / "other").glob("oracle/*"))


def test_a_broken_real_reply_is_named(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    path = benchmark.root / "1.mkv"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"s1: .*1\.mkv"):
        write(benchmark, tmp_path / "refs", ["reencoded"])
    assert sorted(p.name for p in (tmp_path / "refs/reencoded").glob("s*.mp4")) == ["s0.mp4", "s2.mp4"]


def test_there_must_be_a_real_reply(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    silent = vcb.Benchmark(benchmark.root, benchmark.header, benchmark.samples[-1:])
    with pytest.raises(UsageError, match="no sample of test has a real reply"):
        write(silent, tmp_path / "refs", ["oracle"])


def test_the_nearest_training_clip_is_returned(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    training = tmp_path / "training"
    training.mkdir()
    for k in range(2):
        make_clip(training / f"t{k}.mp4", seconds=0.4)
    found = write(benchmark, tmp_path / "refs", ["nearest_training"], training=training)
    assert found["nearest_training"].samples == ("s0", "s1", "s2")
    known = {hash_file(path) for path in training.iterdir()}
    assert {hash_file(path) for path in found["nearest_training"].folder.glob("s*.mp4")} <= known


# --- the commands and the audit, end to end --------------------------------------------------------------------------


def command(module: Any) -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    module.add_to(app)
    return app


def test_the_command_writes_and_tells(benchmark: vcb.Benchmark, tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    arguments = ["anchors", "write", str(folder), "--benchmark", str(benchmark.root), "--workers", "1"]
    result = CliRunner().invoke(command(anchors_command), [*arguments, "--only", "oracle,silent", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["submissions"]
    assert [one["name"] for one in told] == ["oracle", "reencoded", "silent"]
    assert told[0]["made"] == ["s0", "s1", "s2"]
    assert told[0]["not_made"] == {"listener": "the sample has no real reply"}
    again = CliRunner().invoke(command(anchors_command), [*arguments, "--only", "oracle"])
    assert "not made for listener: the sample has no real reply" in again.stderr


@pytest.fixture
def small_demo(demo: DemoPaths, tmp_path: Path) -> Path:
    """Two seconds of the demonstration's first two samples, one of each speaker."""
    folder = tmp_path / "demo"
    (folder / "media").mkdir(parents=True)
    lines = [json.loads(line) for line in (demo.benchmark / "manifest.jsonl").read_text("utf-8").splitlines()[:2]]
    for line, side in itertools.product(lines, ("initiator", "responder")):
        name = line[side]["media"]
        film = Film(demo.benchmark / name)
        write_clip(folder / name, itertools.islice(film.pictures(), 50), film.sound()[:32_000], HOUSE)
        line[side]["sha256"] = hash_file(folder / name)
    return write_benchmark(folder, lines, name="demo")


def test_the_audit_of_the_demonstration_from_end_to_end(small_demo: Path, tmp_path: Path, private_cache: Path) -> None:
    metrics = list(CHEAP)
    catalogue = load_catalogue()
    if find_missing(catalogue.metric("voice/resemblyzer"), catalogue, WeightResolver(catalogue.weights)) is None:
        metrics.append("voice/resemblyzer")
    arguments = ["audit", "--benchmark", str(small_demo), "--metrics", ",".join(metrics)]
    arguments += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "audit"), "--workers", "1"]
    arguments += ["--only", "blur,compression,sound_late,sound_early,frozen,silent,one_second,half_size,remuxed"]
    result = CliRunner().invoke(command(audit_command), arguments)
    assert result.exit_code == 0, result.output
    report = load_audit(tmp_path / "audit")
    assert (report.n_samples, report.identities) == (2, 2)
    assert [metric.id for metric in report.metrics] == metrics
    found = {ladder.family: ladder for ladder in report.metric(CHEAP[0]).ladders}
    for family in ("blur", "compression"):
        assert found[family].verdict == "notices", family
        assert found[family].order.tau == 1.0
        assert found[family].order.strict
        assert found[family].first_noticed is None, "two identities cannot tell from which step on"
    assert found["sound_late"].verdict == found["sound_early"].verdict == "does not notice"
    assert not found["sound_late"].expected
    cheats = {cheat.recipe: cheat for cheat in report.metric("video_quality/duration_ratio").cheats}
    assert cheats["frozen"].verdict == "does not notice"
    assert cheats["one_second"].paired.worse == 2
    if "voice/resemblyzer" in metrics:
        voice = report.metric("voice/resemblyzer")
        assert {ladder.verdict for ladder in voice.ladders if ladder.family in {"blur", "compression"}} == {
            "does not notice"
        }
        silent = next(cheat for cheat in voice.cheats if cheat.recipe == "silent")
        assert silent.paired.worse == 2
    assert report.order is not None
    rules = {rule.rule: rule for rule in report.order.rules}
    assert rules["oracle"].verdict == rules["ladders"].verdict == rules["copies"].verdict == "held"
    assert {score.recipe for score in report.order.scores} >= {"oracle", "shuffled", "half_size", "remuxed"}
    assert report.order.describe() in " ".join(result.stderr.split())
    assert "Known faults: demo" in result.stderr
    assert "2 identities reply" in result.stderr
    page = (tmp_path / "audit/audit.html").read_text("utf-8")
    assert "What 2 identities can support" in page
    oracle = next((tmp_path / "work/runs").glob("*/oracle/results.json"))
    assert vcb.load_results(oracle).metric(CHEAP[0]).value == 100.0
    # A second time everything is at hand, and says the same.
    started = time.monotonic()
    again = CliRunner().invoke(command(audit_command), [*arguments, "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["metrics"] == report.model_dump(mode="json")["metrics"]
    assert time.monotonic() - started < 60
    assert private_cache.is_dir()


def test_another_moment_is_another_reply_or_what_was_said_as_initiator(tmp_path: Path) -> None:
    root = tmp_path / "benchmark"
    root.mkdir()
    clips = [
        make_clip(root / f"{k}.mp4", seconds=1.2, size=(64, 48), audio=Sound(frequency=200.0 + 90 * k))
        for k in range(5)
    ]
    lines = [manifest_line(f"s{k}", clips[k], root, speaker=speaker) for k, speaker in enumerate(("a", "a", "b"))]
    opening = {side: manifest_line("x", clips[3 + k], root, speaker=side)["responder"] for k, side in enumerate("bc")}
    for line, speaker in zip(lines, ("c", "b", "c"), strict=True):
        line["initiator"] = opening[speaker]
    found = write(vcb.load_benchmark(write_benchmark(root, lines)), tmp_path / "refs", ["another_moment"])
    assert found["another_moment"].not_made == {}
    returned = [hash_file(tmp_path / f"refs/another_moment/s{k}.mp4") for k in range(3)]
    assert returned == [hash_file(clips[k]) for k in (1, 0, 3)]
