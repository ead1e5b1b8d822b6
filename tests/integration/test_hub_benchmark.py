"""Benchmarks on the hub, by the real clients against a server on this computer: fetched whole, cut off, killed, moved.

The clients read their environment when they are imported, so each fetch is a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from hub_server import Fault, HubServer, client_environment, gated
from integration_support import manifest_line, write_benchmark
from typer.testing import CliRunner

from vidchatbench.benchmark.export import export_benchmark
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.cli.data_export import export
from vidchatbench.demo import DemoPaths

NAME = "user/tiny"
# Waiting is what the clients do between attempts; the tests count attempts, not seconds.
AT_ONCE = "import time; time.sleep = lambda seconds: None\n"
LOAD = """
import sys
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.errors import VidChatBenchError
try:
    benchmark = load_benchmark(sys.argv[1])
except VidChatBenchError as error:
    sys.exit(f"{type(error).__name__}: {error}")
benchmark.verify_media()
print(benchmark.root)
"""
N, SIZE = 6, 300_000


@dataclass
class User:
    """Somebody with a cache of their own, who runs Python against the server."""

    hub: HubServer
    home: Path

    def start(self, code: str, *args: str, **variables: str) -> subprocess.Popen[str]:
        environment = client_environment(self.hub, self.home / "hf") | {"VIDCHATBENCH_CACHE": str(self.cache)}
        return subprocess.Popen(
            [sys.executable, "-c", code, *args],
            env=environment | variables, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, code: str, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with self.start(code, *args, **variables) as process:
            out, err = process.communicate(timeout=200)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def load(self, name: str = NAME, **variables: str) -> Benchmark:
        done = self.run(AT_ONCE + LOAD, name, **variables)
        assert done.returncode == 0, done.stderr
        return load_benchmark(done.stdout.strip())

    def fail(self, name: str = NAME, **variables: str) -> str:
        done = self.run(AT_ONCE + LOAD, name, **variables)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr.strip().splitlines()[-1] if "problem" not in done.stderr else done.stderr

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def media(self) -> list[Path]:
        return sorted((self.cache / "benchmarks" / "hub").glob("*/*/media/[!.]*"))


def make_benchmark(root: Path, n: int = N, size: int = SIZE) -> Benchmark:
    (root / "media").mkdir(parents=True)
    lines = []
    for number in range(n):
        clip = root / "media" / f"{number}.mp4"
        clip.write_bytes(hashlib.shake_128(str((number, size)).encode()).digest(size))
        line = manifest_line(f"s{number}", clip, root)
        lines.append({**line, "responder": None, "task": "single"})
    return load_benchmark(write_benchmark(root, lines))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    return make_benchmark(tmp_path_factory.mktemp("tiny") / "benchmark")


@pytest.fixture(scope="module")
def exported(tiny: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_benchmark(tiny, tmp_path_factory.mktemp("exported") / "out").folder


@pytest.fixture
def hub(exported: Path, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer({NAME: exported}, pushed=tmp_path / "pushed") as server:
        yield server


@pytest.fixture
def user(hub: HubServer, tmp_path: Path) -> User:
    (tmp_path / "home").mkdir()
    return User(hub, tmp_path / "home")


def same(loaded: Benchmark, benchmark: Benchmark) -> None:
    assert loaded.header == benchmark.header
    assert loaded.samples == benchmark.samples
    files = [path.relative_to(benchmark.root) for path in (benchmark.root / "media").iterdir()]
    for name in (Path("manifest.jsonl"), *files):
        assert (loaded.root / name).read_bytes() == (benchmark.root / name).read_bytes()


# --- the way it should be -------------------------------------------------------------------------------------------


def test_a_benchmark_is_fetched_once_and_stays(user: User, hub: HubServer, tiny: Benchmark) -> None:
    loaded = user.load()
    same(loaded, tiny)
    commit = hub.commit(NAME)
    assert loaded.root == user.cache / "benchmarks" / "hub" / "user--tiny" / commit
    told = json.loads((loaded.root / "complete.json").read_bytes())
    assert (told["dataset"], told["revision"], told["commit"]) == (NAME, "main", commit)
    asked = len(hub.requests)
    assert user.load().root == loaded.root
    assert [request.path for request in hub.requests[asked:]] == [f"/api/datasets/{NAME}"]
    # A commit never changes, so nobody is asked about it.
    asked = len(hub.requests)
    assert user.load(f"{NAME}@{commit}").root == loaded.root
    assert len(hub.requests) == asked


def test_a_whole_evaluation_on_a_benchmark_of_the_hub(demo: DemoPaths, user: User, hub: HubServer) -> None:
    benchmark = load_benchmark(demo.benchmark)
    hub.publish("user/demo", export_benchmark(benchmark, user.home / "out").folder)
    code = "from vidchatbench.cli import main; main()"
    arguments = ("--benchmark", "user/demo", "--metrics", "video_quality/psnr", "--workers", "1", "--json")
    done = user.run(code, "evaluate", str(demo.systems["oracle"]), *arguments, "--out", "run")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results["benchmark"]["manifest_sha256"] == benchmark.header.manifest_sha256
    assert results["metrics"][0]["n_ok"] == len(benchmark)


def test_an_export_is_a_dataset_to_everyone(user: User, tiny: Benchmark) -> None:
    code = """
import sys, hashlib
from datasets import load_dataset
rows = list(load_dataset(sys.argv[1], split="test", streaming=True))
print([(row["id"], hashlib.sha256(row["initiator_media"]["bytes"]).hexdigest()) for row in rows])
lean = load_dataset(sys.argv[1], "manifest", split="test")
print(lean["id"][:], "initiator_media" in lean.column_names, lean[0]["initiator"]["media"])
"""
    done = user.run(code, NAME)
    assert done.returncode == 0, done.stderr
    ids = [sample.id for sample in tiny]
    told = [(sample.id, sample.initiator.sha256) for sample in tiny]
    assert done.stdout.splitlines() == [str(told), f"{ids} False media/0.mp4"]
    assert "Ignoring" not in done.stderr, "a part of the card was not understood"


@pytest.mark.parametrize("lean", [True, False], ids=["with rows apart", "from the table itself"])
def test_samples_are_looked_at_without_their_media(user: User, hub: HubServer, tiny: Benchmark, lean: bool) -> None:
    folder = user.home / "copy"
    shutil.copytree(next(iter(hub.repos[NAME].commits.values())), folder)
    if not lean:
        shutil.rmtree(folder / "manifest")
    hub.publish("user/copy", folder)
    code = "import sys; from vidchatbench.benchmark.hub import iterate_samples as look\n"
    done = user.run(code + "print([sample.id for sample in look(sys.argv[1])])", "user/copy")
    assert done.stdout.strip() == str([sample.id for sample in tiny]), done.stderr
    assert not user.media()
    if lean:
        assert hub.sent() < SIZE / 3


def test_revisions_are_folders_of_their_own(user: User, hub: HubServer, tiny: Benchmark, tmp_path: Path) -> None:
    first = user.load()
    before = hub.commit(NAME)
    other = make_benchmark(tmp_path / "other", n=2)
    moved = hub.publish(NAME, export_benchmark(other, tmp_path / "moved").folder)
    second = user.load()
    same(second, other)
    assert second.root == first.root.with_name(moved)
    same(user.load(f"{NAME}@{before}"), tiny)
    hub.publish(NAME, tmp_path / "moved", ref="v2")
    assert user.load(f"{NAME}@v2").root == second.root


# --- what goes wrong on the way -------------------------------------------------------------------------------------


def test_a_cut_connection_keeps_what_is_whole_and_fetches_it_no_more(user: User, hub: HubServer) -> None:
    hub.allowance = SIZE * 5 // 2 + 60_000
    text = user.fail()
    kept = user.media()
    assert 0 < len(kept) < N
    assert f"{len(kept)} of {N} media files are here and kept" in text
    assert "run the same command again" in text
    assert not (kept[0].parents[1] / "benchmark.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in kept}
    hub.mend()
    before = hub.sent("*/data/*.parquet")
    user.load()
    assert {path: path.stat().st_mtime_ns for path in kept} == stamps
    assert hub.sent("*/data/*.parquet") - before < (N - len(kept)) * SIZE + 100_000


def test_a_connection_cut_once_is_taken_up_again(user: User, hub: HubServer, tiny: Benchmark) -> None:
    hub.fail("/cdn/*/data/*.parquet", Fault(cut_after=1000, times=2))
    hub.fail("/datasets/*/resolve/*/data/*.parquet", Fault(status=503, times=2))
    hub.fail(f"/api/datasets/{NAME}", Fault(status=503, times=2))
    same(user.load(), tiny)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_killed_at_any_step_and_run_again(user: User, hub: HubServer, tiny: Benchmark, after: int) -> None:
    hub.allowance, hub.hold = 150_000 + after * (SIZE + 1000), True
    with user.start(LOAD, NAME) as process:
        deadline = time.monotonic() + 60
        while (hub.allowance or len(user.media()) < after) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    kept = user.media()
    assert len(kept) >= after
    assert process.returncode == -9
    hub.mend()
    before = hub.sent("*/data/*.parquet")
    same(user.load(), tiny)
    assert hub.sent("*/data/*.parquet") - before < (N - len(kept)) * SIZE + 100_000
    assert not list(user.cache.rglob("*.tmp"))


def test_two_processes_fetch_a_benchmark_once(user: User, hub: HubServer, tiny: Benchmark) -> None:
    hub.pace = 1_000_000
    both = [user.start(LOAD, NAME) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        same(load_benchmark(out.strip()), tiny)
    assert hub.sent("*/data/*.parquet") < N * SIZE + 200_000


def test_without_network_a_whole_copy_serves_and_says_so(user: User, hub: HubServer, tiny: Benchmark) -> None:
    user.load()
    for variables in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        asked = len(hub.requests)
        done = user.run(AT_ONCE + LOAD, NAME, **variables)
        assert done.returncode == 0, done.stderr
        same(load_benchmark(done.stdout.strip()), tiny)
        assert f"the copy of commit {hub.commit(NAME)[:12]} in the cache is used" in done.stderr
        assert len(hub.requests) == asked


def test_without_network_and_copy_the_way_out_is_told(user: User, hub: HubServer) -> None:
    assert "unset HF_HUB_OFFLINE" in user.fail(HF_HUB_OFFLINE="1")
    assert "check the network" in user.fail(HF_ENDPOINT="http://127.0.0.1:9")
    hub.allowance = SIZE * 2
    user.fail()
    assert "HF_HUB_OFFLINE forbids" in user.fail(HF_HUB_OFFLINE="1")


def test_a_hub_in_trouble(user: User, hub: HubServer) -> None:
    hub.fail("/api/*", Fault(status=503))
    text = user.fail()
    assert "does not answer" in text
    assert len(hub.asked(f"/api/datasets/{NAME}")) == 3


def test_a_full_or_forbidden_disk_is_no_fault_of_the_hub(user: User) -> None:
    (user.cache / "benchmarks").mkdir(parents=True)
    (user.cache / "benchmarks" / "hub").write_text("in the way")
    done = user.run(LOAD, NAME)
    assert done.returncode == 1
    assert "does not answer" not in done.stderr
    assert "FileExistsError" in done.stderr or "NotADirectoryError" in done.stderr


# --- what is not there, or not allowed ------------------------------------------------------------------------------


def test_what_is_not_there(user: User, hub: HubServer) -> None:
    text = user.fail("user/nothing")
    assert text.startswith("UsageError: there is no benchmark or dataset 'user/nothing': neither a folder or file")
    assert "hf auth login" in text
    assert "has no revision 'v9'" in user.fail(f"{NAME}@v9")


def test_private_and_gated_datasets(user: User, hub: HubServer, tiny: Benchmark) -> None:
    hub.require_token(NAME, "hf_right")
    assert "if it is private, log in with `hf auth login`" in user.fail()
    assert "if it is private" in user.fail(HF_TOKEN="hf_wrong")
    same(user.load(HF_TOKEN="hf_right"), tiny)
    shutil.rmtree(user.cache)
    hub.fail("/datasets/*/resolve/*", gated())
    text = user.fail(HF_TOKEN="hf_right")
    assert "is gated" in text
    assert f"accept its conditions on {hub.url}/datasets/{NAME}, then log in" in text
    hub.mend()
    hub.fail("/api/*", Fault(status=403))
    assert "access is refused" in user.fail(HF_TOKEN="hf_right")


def test_a_dataset_that_is_no_benchmark(user: User, hub: HubServer, exported: Path) -> None:
    for name, kept in (("empty", "README.md"), ("headless", "data/test-00000-of-00001.parquet")):
        target = user.home / name / kept
        target.parent.mkdir(parents=True)
        shutil.copyfile(exported / kept, target)
    bare = user.home / "headless" / "data" / "test-00000-of-00001.parquet"
    hub.publish("user/empty", user.home / "empty")
    assert "no Parquet files of a test split" in user.fail("user/empty")
    hub.publish("user/headless", user.home / "headless")
    user.load("user/headless")  # the header travels in the file's metadata too
    pq.write_table(pq.read_table(bare).replace_schema_metadata(), bare)
    hub.publish("user/headless", user.home / "headless")
    assert "there is no benchmark.json" in user.fail("user/headless")
    pq.write_table(pq.read_table(bare).drop_columns(["task"]), bare)
    hub.publish("user/headless", user.home / "headless")
    assert "column 'task' is missing" in user.fail("user/headless")
    bare.write_bytes(b"PAR1 not at all")
    hub.publish("user/headless", user.home / "headless")
    assert "not a readable Parquet file" in user.fail("user/headless")


def test_media_that_are_not_those_of_the_manifest(user: User, hub: HubServer, exported: Path) -> None:
    shutil.copytree(exported, user.home / "bad")
    data = user.home / "bad" / "data" / "test-00000-of-00001.parquet"
    content = bytearray(data.read_bytes())
    content[SIZE // 2 : SIZE // 2 + 4] = b"evil"
    data.write_bytes(content)
    hub.publish("user/bad", user.home / "bad")
    text = user.fail("user/bad")
    assert "sample s0: media/0.mp4: sha256 is" in text
    assert [path.name for path in user.media()] == [f"{n}.mp4" for n in range(1, N)]
    assert user.fail("user/bad") == text, "a benchmark that is not whole never passes for one"


def test_a_card_from_a_stranger_has_no_say(user: User, hub: HubServer, tiny: Benchmark, exported: Path) -> None:
    shutil.copytree(exported, user.home / "sly")
    card = (exported / "README.md").read_text(encoding="utf-8")
    card = card.replace("data/test-*.parquet", "/etc/passwd").replace("dtype: string", "dtype: video")
    (user.home / "sly" / "README.md").write_text(card, encoding="utf-8")
    hub.publish("user/sly", user.home / "sly")
    same(user.load("user/sly"), tiny)


# --- pushing --------------------------------------------------------------------------------------------------------


def test_an_export_is_offered_as_a_pull_request(user: User, hub: HubServer, tiny: Benchmark) -> None:
    code = """
import sys, typer
from vidchatbench.cli.data_export import export
app = typer.Typer()
app.command()(export)
app(sys.argv[1:])
"""
    arguments = (str(tiny.root), "--out", "out", "--push", "org/new", "--json")
    done = user.run(code, *arguments, HF_TOKEN="hf_x")
    assert done.returncode != 0
    assert "--i-may-publish" in done.stderr
    assert not hub.requests
    assert not (user.home / "out").exists()
    done = user.run(code, *arguments, "--i-may-publish", HF_TOKEN="hf_x")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["pull_request"] == f"{hub.url}/datasets/org/new/discussions/1"
    assert set(hub.repos["org/new"].refs) == {"refs/pr/1"}
    same(user.load("org/new@refs/pr/1"), tiny)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_wrote(tiny: Benchmark, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(export)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [str(tiny.root), "--out", str(out), "--shard-size", "0.5MB", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["n_samples"] == N
    assert told["n_shards"] == len(list((out / "data").iterdir())) == N // 2
    assert told["n_bytes"] == sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    done = CliRunner().invoke(app, [str(tiny.root), "--out", str(out), "--shard-size", "many"])
    assert "is no size" in str(done.exception)


# --- memory, and the real benchmark ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_holds_one_sample(user: User, hub: HubServer, tmp_path: Path) -> None:
    large = make_benchmark(tmp_path / "large", n=100, size=3_000_000)
    code = """
import resource, sys
import torch
from datasets import load_dataset
list(load_dataset("parquet", data_files=sys.argv[2], split="train", streaming=True))  # what it imports counts not
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.benchmark.export import export_benchmark
from pathlib import Path
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
if sys.argv[1] == "export":
    export_benchmark(load_benchmark(sys.argv[3]), Path(sys.argv[4]))
else:
    load_benchmark(sys.argv[1])
print(peak() - before)
"""
    out = tmp_path / "out"
    rows = export_benchmark(large, tmp_path / "rows", media=False).folder / "data" / "test-00000-of-00001.parquet"
    grown = {}
    for what in ("export", "user/large", str(out)):
        if what == "user/large":
            hub.publish(what, out)
        done = user.run(code, what, str(rows), str(large.root), str(out))
        assert done.returncode == 0, done.stderr
        grown[what] = int(done.stdout)
    assert max(grown.values()) < 150, grown


@pytest.mark.shared
def test_the_real_benchmark(user: User, hub: HubServer, shared_mini: Path) -> None:
    mini = load_benchmark(shared_mini)
    hub.publish("user/mini", export_benchmark(mini, user.home / "out").folder)
    same(user.load("user/mini"), mini)


def test_the_process_has_no_token_of_its_own() -> None:
    assert not {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} & set(client_environment("http://x", Path(os.devnull)))
