"""Submitting: nothing leaves the computer that was not shown, and media never without being asked for."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import leaderboard_bundles as made
import pytest
import typer
import yaml
from leaderboard_bundles import Plan, make_benchmark, make_bundle, make_run
from typer.testing import CliRunner, Result

from vidchatbench.cli import leaderboard, submit
from vidchatbench.errors import InputError, UnavailableError, UsageError
from vidchatbench.leaderboard import publish
from vidchatbench.leaderboard.exports import every_eval_ever, hugging_face
from vidchatbench.leaderboard.publish import Publication, Target, to_hub
from vidchatbench.leaderboard.verification.reading import Bundle, read_run
from vidchatbench.leaderboard.verification.verify import installed_cards, verify_bundle

TOKEN = "hf_" + "secret" * 5
SILENT = {"training_data": None, "training_overlap": None}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("submit")
    benchmark = make_benchmark(root / "benchmark")
    return make_run(root / "run", benchmark, Plan(missing=(3,)))


@pytest.fixture(scope="module")
def silent_run(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    benchmark = made.load_benchmark(run.parent / "benchmark")
    return make_run(tmp_path_factory.mktemp("silent") / "run", benchmark, Plan(system=SILENT))


@pytest.fixture
def bundle(run: Path) -> Bundle:
    found, _ = read_run(run)
    assert found is not None
    return found


def call(*arguments: object) -> Result:
    app = typer.Typer()
    leaderboard.add_to(app)
    submit.add_to(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> Result:
    result = call(*arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.stderr
    return result


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


ALONE = {"bundle.sha256", "media.jsonl", "results.json", "samples.parquet", "system.yaml"}
EXPECTED = {f"submissions/ours/v1/{name}" for name in ALONE}


# --- what is published ------------------------------------------------------------------------------------------------


def test_without_a_target_nothing_is_published(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = done("submit", run)
    assert "nothing was published" in result.stderr
    assert files_below(tmp_path) == set()
    for name in EXPECTED:
        assert name in result.stderr


def test_a_folder_gets_the_files_alone_and_they_verify_where_a_board_has_them(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "submissions" / "ours" / "v1"
    result = done("submit", run, "--to", f"folder:{folder}", "--yes", "--json")
    assert files_below(folder) == ALONE
    assert "submissions/ours/v1" in result.stderr
    told = json.loads(result.stdout)
    assert {entry["path"] for entry in told["files"]} == ALONE
    for entry in told["files"]:
        content = (folder / entry["path"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert not [f for f in verify_bundle(folder) if f.severity == "error"]
    assert told["bundle_sha256"] == hashlib.sha256((folder / "bundle.sha256").read_bytes()).hexdigest()


def test_the_same_run_gives_the_same_bundle(run: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done("submit", run, "--to", f"folder:{tmp_path / name}", "--yes")
    done("submit", run, "--to", f"folder:{tmp_path / 'a'}", "--yes")
    for name in ALONE:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_benchmark_is_found_as_the_report_finds_it(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for path in run.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "journal.jsonl").unlink(missing_ok=True)
    assert "not compared with its benchmark" in done("submit", copy).stderr
    benchmark = run.parent / "benchmark"
    event = {"event": "planned", "benchmark": str(benchmark), "outputs": str(tmp_path)}
    (copy / "journal.jsonl").write_text(json.dumps(event) + "\n")
    assert f"compared with the benchmark in {benchmark}" in done("submit", copy).stderr
    (copy / "journal.jsonl").write_text(json.dumps({**event, "benchmark": str(tmp_path / "gone")}) + "\n")
    assert "not compared with its benchmark" in done("submit", copy).stderr


def test_another_submission_is_not_overwritten(run: Path, tmp_path: Path) -> None:
    done("submit", run, "--to", f"folder:{tmp_path}", "--yes")
    with pytest.raises(UsageError, match="another submission under this name"):
        done("submit", run, "--to", f"folder:{tmp_path}", "--yes", "--declare", "training_data=something else")


def test_a_run_that_does_not_verify_is_not_published(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    broken.mkdir()
    for path in run.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    content = json.loads((broken / "results.json").read_text())
    content["metrics"][0]["value"] += 1
    (broken / "results.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"value is [\d.]+, the rows give"):
        done("submit", broken, "--to", f"folder:{tmp_path / 'out'}", "--yes")
    assert not (tmp_path / "out").exists()


# --- media ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def outputs(run: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run of outputs that are there, and their folder."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    benchmark = made.load_benchmark(run.parent / "benchmark")
    copy = make_run(tmp_path / "media_run", benchmark, Plan(missing=(3,)))
    lines = [json.loads(line) for line in (copy / "media.jsonl").read_text().splitlines()]
    for line in lines:
        if line["role"] == "candidate":
            content = f"clip of {line['sample_id']}".encode()
            (folder / line["file"]).write_bytes(content)
            line["sha256"] = hashlib.sha256(content).hexdigest()
    (copy / "media.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "private.mp4").write_bytes(b"never part of the run")
    return copy, folder


def test_media_are_published_only_when_asked_for(outputs: tuple[Path, Path], tmp_path: Path) -> None:
    run, folder = outputs
    done("submit", run, "--to", f"folder:{tmp_path / 'without'}", "--yes")
    assert files_below(tmp_path / "without") == ALONE
    done("submit", run, "--to", f"folder:{tmp_path / 'with'}", "--yes", "--with-media", folder)
    found = files_below(tmp_path / "with") - ALONE
    assert found == {f"media/sample {k:02d}.mp4" for k in range(12) if k != 3}, "and only what was scored"


def test_media_that_were_not_scored_are_refused(outputs: tuple[Path, Path], tmp_path: Path) -> None:
    run, folder = outputs
    (folder / "sample 00.mp4").write_bytes(b"a better clip")
    with pytest.raises(InputError, match="sample 00"):
        done("submit", run, "--to", f"folder:{tmp_path / 'out'}", "--yes", "--with-media", folder)
    assert not (tmp_path / "out").exists()


# --- the declaration --------------------------------------------------------------------------------------------------


def test_the_declaration_is_required(silent_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="training_data and training_overlap must be declared"):
        done("submit", silent_run, "--to", f"folder:{tmp_path}", "--yes")
    with pytest.raises(UsageError, match="training_overlap must be declared"):
        done("submit", silent_run, "--to", f"folder:{tmp_path}", "--yes", "--declare", "training_data=A")
    assert files_below(tmp_path) == set()


def test_what_would_be_published_is_shown_also_where_nobody_can_be_asked(silent_run: Path) -> None:
    result = done("submit", silent_run)
    for text in (*EXPECTED, "training_data: not declared", "--declare training_overlap=TEXT", "nothing was published"):
        assert text in result.stderr
    refused = call("submit", silent_run, "--to", "folder:nowhere", "--yes")
    assert "results.json" in refused.stderr, "shown first, refused then"
    assert isinstance(refused.exception, UsageError)


def test_what_is_declared_stands_in_both_files(silent_run: Path, tmp_path: Path) -> None:
    options = ("--declare", "training_data=A = B", "--declare", "training_overlap=none")
    folder = tmp_path / "submissions" / "ours" / "v1"
    done("submit", silent_run, "--to", f"folder:{folder}", "--yes", *options)
    system = yaml.safe_load((folder / "system.yaml").read_text())
    assert (system["training_data"], system["training_overlap"]) == ("A = B", "none")
    assert json.loads((folder / "results.json").read_text())["system"] == system
    assert not [f for f in verify_bundle(folder) if f.severity == "error" or f.code == "no_declaration"]
    assert json.loads((silent_run / "results.json").read_text())["system"]["training_data"] is None, "the run stays"


@pytest.mark.parametrize("text", ["licence=MIT", "training_data", "training_data=", "=x"])
def test_only_the_declaration_can_be_declared(run: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--declare takes training_data=TEXT or training_overlap=TEXT"):
        done("submit", run, "--declare", text)


def test_somebody_must_say_yes(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --yes"):
        done("submit", run, "--to", f"folder:{tmp_path}")
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("text", ["", "hf:", "http://x", "folder", "hub:a/b"])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="hf:ORG/DATASET, git:PATH or folder:PATH"):
        Target.parse(text)


# --- Git --------------------------------------------------------------------------------------------------------------


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.org")
    folder = tmp_path / "repository"
    (folder / "leaderboard").mkdir(parents=True)
    (folder / "leaderboard" / "README.md").write_text("The board.\n")
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(folder)], check=True)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "start")
    return folder


def test_a_branch_is_made_and_the_checkout_left_alone(run: Path, repository: Path) -> None:
    (repository / "leaderboard" / "README.md").write_text("Unsaved work.\n")
    result = done("submit", run, "--to", f"git:{repository}", "--yes")
    assert "push -u origin submission/ours-v1" in result.stderr
    changed = git(repository, "diff", "--name-only", "main", "submission/ours-v1").split()
    assert set(changed) == {f"leaderboard/{name}" for name in EXPECTED}
    assert git(repository, "log", "-1", "--format=%s", "submission/ours-v1") == "Submission: Ours v1\n"
    assert git(repository, "branch", "--show-current") == "main\n"
    assert (repository / "leaderboard" / "README.md").read_text() == "Unsaved work.\n"
    assert git(repository, "worktree", "list").count("\n") == 1
    with pytest.raises(UsageError, match="has a branch submission/ours-v1 already"):
        done("submit", run, "--to", f"git:{repository}", "--yes")


@pytest.mark.parametrize("known", [(), ("user.name",), ("user.email",), ("user.name", "user.email")])
def test_the_git_setting_that_is_missing_is_named(
    run: Path, repository: Path, known: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{who}_NAME")
        monkeypatch.delenv(f"GIT_{who}_EMAIL")
    monkeypatch.delenv("EMAIL", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git(repository, "config", "user.useConfigOnly", "true")  # or some computers guess a name from the account
    for setting in known:
        git(repository, "config", setting, "somebody@example.org")
    missing = [setting for setting in ("user.name", "user.email") if setting not in known]
    # A name is guessed from the account also then, where the account has one.
    guessed = subprocess.run(["git", "-C", str(repository), "var", "GIT_AUTHOR_IDENT"], check=False).returncode == 0
    if guessed:
        done("submit", run, "--to", f"git:{repository}", "--yes")
        return
    with pytest.raises(UsageError) as raised:
        done("submit", run, "--to", f"git:{repository}", "--yes")
    for setting in ("user.name", "user.email"):
        assert (f"config {setting} " in str(raised.value)) is (setting in missing)
    assert not git(repository, "branch", "--list", "submission/*"), "nothing was begun"


def test_a_folder_without_git_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git rev-parse failed"):
        done("submit", run, "--to", f"git:{tmp_path}", "--yes")


# --- the Hub ----------------------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as opening a pull request takes."""

    seen: list[tuple[str, str, Any]] = []
    refuse = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers.get("Authorization", ""), body))
        if self.refuse:
            return self.answer({"error": f"no, {self.headers.get('Authorization')}"}, self.refuse)
        if "/preupload/" in self.path:
            names = [entry["path"] for entry in json.loads(body)["files"]]
            return self.answer({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        address = f"http://{self.headers['Host']}/datasets/org/board"
        return self.answer(
            {
                "success": True,
                "commitOid": "a" * 40,
                "commitUrl": f"{address}/commit/a",
                "pullRequestUrl": f"{address}/discussions/7",
            }
        )

    def answer(self, content: object, code: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stays silent."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.seen, Hub.refuse = [], 0
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def committed(body: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    lines = [json.loads(line) for line in body.decode().splitlines()]
    header = next(line["value"] for line in lines if line["key"] == "header")
    files = [line["value"] for line in lines if line["key"] == "file"]
    return header, {entry["path"]: base64.b64decode(entry["content"]) for entry in files}


def test_a_pull_request_is_opened_with_exactly_the_bundle(bundle: Bundle, hub: str) -> None:
    publication = Publication.of(bundle)
    assert to_hub(publication, "org/board", hub) == f"pull request opened: {hub}/datasets/org/board/discussions/7"
    path, authorization, body = Hub.seen[-1]
    assert path == "/api/datasets/org/board/commit/main?create_pr=1"
    assert authorization == f"Bearer {TOKEN}"
    header, files = committed(body)
    assert header["summary"] == "Submission: Ours v1"
    assert files == dict(publication.files)
    assert TOKEN.encode() not in b"".join(files.values())


def test_a_refusal_is_told_without_the_token(bundle: Bundle, hub: str) -> None:
    Hub.refuse = 403
    with pytest.raises(UsageError, match="the Hub refused the pull request on org/board") as caught:
        to_hub(Publication.of(bundle), "org/board", hub)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_a_token_the_way_to_one_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UsageError, match="hf auth login"):
        to_hub(Publication.of(bundle), "org/board", "http://127.0.0.1:9")


def test_a_name_that_is_no_repository(bundle: Bundle, hub: str) -> None:
    with pytest.raises(UsageError, match="no ORG/DATASET"):
        to_hub(Publication.of(bundle), "a/b/c/d", hub)


def test_the_command_reaches_the_hub_that_the_environment_names(run: Path, hub: str, tmp_path: Path) -> None:
    # In a process of its own, for the client reads the address when it is imported.
    code = (
        "import sys, typer; from vidchatbench.cli import submit; app = typer.Typer(); submit.add_to(app); "
        "app.callback()(lambda: None); app()"
    )
    import os

    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "HF_TOKEN": TOKEN}
    command = [sys.executable, "-c", code, "submit", str(run), "--to", "hf:org/board", "--yes"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "pull request opened" in found.stderr
    assert TOKEN not in found.stderr + found.stdout
    _, files = committed(Hub.seen[-1][2])
    assert set(files) == EXPECTED


# --- signatures -------------------------------------------------------------------------------------------------------


def test_signing_without_sigstore_names_the_extra(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"vidchatbench\[sign\]"):
        publish.sign(bundle)


def signature_of(digest: str) -> bytes:
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": base64.b64encode(bytes.fromhex(digest)).decode()}}
    return json.dumps({"messageSignature": message}).encode()


@pytest.mark.parametrize(("own", "code"), [(True, "signed"), (False, "bad_signature")])
def test_a_signature_must_be_of_the_bundle(run: Path, bundle: Bundle, tmp_path: Path, own: bool, code: str) -> None:
    folder = make_bundle(tmp_path, run)
    (folder / "bundle.sha256.sigstore.json").write_bytes(signature_of(bundle.sha256 if own else "0" * 64))
    found = verify_bundle(folder)
    assert code in {finding.code for finding in found}
    assert any(finding.severity == "error" for finding in found) is not own


def test_a_signature_is_published_beside_the_bundle(bundle: Bundle) -> None:
    publication = Publication.of(bundle, signature=b"{}")
    assert publication.files["submissions/ours/v1/bundle.sha256.sigstore.json"] == b"{}"


# --- commands of the leaderboard --------------------------------------------------------------------------------------


def test_verify_tells_by_its_exit_code(run: Path, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path, run)
    good = done("leaderboard", "verify", tmp_path, "--benchmark", run.parent / "benchmark", "--json")
    assert json.loads(good.stdout)["ok"] is True
    (folder / "system.yaml").write_text("name: <img src=x> @all | [x](https://example.org)\n")
    bad = call("leaderboard", "verify", folder, "--json", "--markdown", tmp_path / "table.md")
    assert bad.exit_code == 1
    told = json.loads(bad.stdout)
    assert told["ok"] is False
    assert {"code", "severity", "where", "message"} == set(told["bundles"][0]["findings"][0])
    table = (tmp_path / "table.md").read_text()
    assert "| severity | where | finding | code |" in table
    for risky in ("<img", "@all", "](", "https://"):
        assert risky not in table


def test_build_writes_the_board(run: Path, tmp_path: Path) -> None:
    make_bundle(tmp_path, run)
    result = done("leaderboard", "build", tmp_path, "--benchmark", run.parent / "benchmark", "--suite", made.SUITE)
    assert "1 ranked" in result.stderr
    assert result.stdout == ""
    assert json.loads((tmp_path / "leaderboard.json").read_text())["rows"][0]["id"] == "ours@v1"
    assert (tmp_path / "samples" / "ours@v1.json").is_file()


def test_verify_says_what_it_takes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no bundle"):
        done("leaderboard", "verify", tmp_path)


# --- exports ----------------------------------------------------------------------------------------------------------


def test_every_eval_ever_holds_every_number_and_its_samples(bundle: Bundle) -> None:
    files = every_eval_ever(bundle, installed_cards(bundle))
    name = next(name for name in files if name.endswith(".json"))
    content, lines = json.loads(files[name]), files[name.replace(".json", "_samples.jsonl")]
    assert content["schema_version"] == "0.3.0"
    details = content["detailed_evaluation_results"]
    assert details["checksum"] == hashlib.sha256(lines).hexdigest()
    samples = [json.loads(line) for line in lines.decode().splitlines()]
    assert details["total_rows"] == len(samples)
    by_metric = {result["evaluation_result_id"]: result for result in content["evaluation_results"]}
    for metric in bundle.results.metrics:
        result = by_metric[metric.id]
        assert result["score_details"]["score"] == metric.value
        assert result["metric_config"]["lower_is_better"] is (metric.direction == "lower")
        assert result["metric_config"]["additional_details"]["protocol"] == metric.protocol
        if metric.aggregation == "mean":
            mine = [s["evaluation"]["score"] for s in samples if s["evaluation_result_id"] == metric.id]
            assert sum(mine) / len(mine) == pytest.approx(metric.value)
            assert result["score_details"]["uncertainty"]["num_samples"] == len(mine)
    assert {s["evaluation_id"] for s in samples} == {content["evaluation_id"]}
    assert files == every_eval_ever(bundle, installed_cards(bundle)), "the same run, the same bytes"


def test_hugging_face_has_one_entry_a_metric(bundle: Bundle) -> None:
    files = hugging_face(bundle, "org/board", "https://example.org/run")
    (name,) = files
    assert name == ".eval_results/vidchatbench_tiny.yaml"
    entries = yaml.safe_load(files[name])
    assert [entry["value"] for entry in entries] == [metric.value for metric in bundle.results.metrics]
    assert entries[0]["dataset"] == {"id": "org/board", "task_id": "video_quality_psnr"}
    assert set(entries[0]) == {"dataset", "value", "date", "notes", "source"}
    assert bundle.results.metrics[0].protocol in entries[0]["notes"]


def test_export_asks_for_the_dataset(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dataset ORG/DATASET"):
        done("leaderboard", "export", run, "--format", "hf", "-o", tmp_path)
    done("leaderboard", "export", run, "--format", "eee", "-o", tmp_path)
    assert len(files_below(tmp_path)) == 2
