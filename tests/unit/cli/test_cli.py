"""The command line is what scripts build on: exit codes, a clean stdout, and one clear message for every mistake."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import typer

import vidchatbench
from vidchatbench import cli
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.api.scores import Score
from vidchatbench.plugins.catalogue import Catalogue, load_catalogue
from vidchatbench.weights import download as download_module

MakeClip = Callable[..., Path]
PSNR = "video_quality/psnr"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} on stdout")

        return json.loads(self.out, parse_constant=refuse)

    def refused(self, code: int, *parts: str) -> None:
        """Checks that the command ended with one message, and with nothing on stdout."""
        assert self.code == code, self.err
        assert self.out == ""
        assert "Traceback" not in self.err
        for part in parts:
            assert part in self.err
        if code == 1:
            assert self.err.startswith("error: ")


Run = Callable[..., Done]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, private_cache: Path, tmp_path: Path
) -> Run:
    """Runs the command line in this process, as the installed script would, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["vidchatbench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0 if code is None else 1, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, make_clip: MakeClip) -> bytes:
    """A good clip of 1.2 seconds."""
    return make_clip(
        tmp_path_factory.mktemp("clip") / "good.mp4", seconds=1.2, size=(32, 32), color_space=1
    ).read_bytes()


@dataclass(frozen=True)
class Set:
    """A benchmark of four samples, and outputs that answer them all."""

    benchmark: Path
    outputs: Path

    @property
    def names(self) -> list[str]:
        return ["a", "b", "with space", "日本"]


@pytest.fixture
def tiny(tmp_path: Path, clip: bytes) -> Set:
    made = Set(tmp_path / "benchmark", tmp_path / "outputs")
    (made.benchmark / "media").mkdir(parents=True)
    made.outputs.mkdir()
    (made.benchmark / "media" / "reply.mp4").write_bytes(clip)
    lines = []
    for number, name in enumerate(made.names):
        side = {"media": "media/reply.mp4", "sha256": hashlib.sha256(clip).hexdigest(), "speaker_id": f"s{number}"}
        lines.append({"id": name, "task": "dialogue", "language": "en", "initiator": side, "responder": side})
        (made.outputs / f"{name}.mp4").write_bytes(clip)
    manifest = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (made.benchmark / "manifest.jsonl").write_bytes(manifest)
    header = {"schema_version": 1, "name": "tiny", "version": "1", "description": "d", "license": "CC0"}
    header |= {"n_samples": len(lines), "manifest_sha256": hashlib.sha256(manifest).hexdigest()}
    (made.benchmark / "benchmark.json").write_text(json.dumps(header), encoding="utf-8")
    return made


# --- help -----------------------------------------------------------------------------------------------------------


def commands() -> list[tuple[str, ...]]:
    """Every command that does something by itself, as the words that call it."""
    from vidchatbench.cli.app import app

    found: list[tuple[str, ...]] = []

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", {})
        if words and (not children or getattr(command, "invoke_without_command", False)):
            found.append(words)
        for name, child in children.items():
            walk(child, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def test_the_commands_of_the_design_are_there() -> None:
    assert {("evaluate",), ("check",), ("metrics",), ("metrics", "show"), ("demo",), ("doctor",)} <= set(commands())
    assert {("weights", "list"), ("weights", "pull"), ("weights", "verify")} <= set(commands())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_says_what_a_command_does_and_shows_an_example(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words, "--help")
    assert done.code == 0
    assert done.err == ""
    text = " ".join(done.out.split())
    assert f"Example: vidchatbench {' '.join(words)}" in text
    assert run(*words, "-h").out == done.out


def test_the_first_help_names_commands_and_exit_codes(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    for word in ("evaluate", "check", "metrics", "weights", "demo", "doctor", "Exit codes"):
        assert word in done.out


def test_version(run: Run) -> None:
    assert run("--version") == Done(0, f"vidchatbench {vidchatbench.__version__}\n", "")


def test_no_command_shows_the_help(run: Run) -> None:
    done = run()
    assert done.code == 2
    assert "evaluate" in done.out + done.err


# --- wrong usage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("evaluate",),
        ("check",),
        ("evaluate", "outputs", "--nonsense"),
        ("evaluate", "outputs", "--workers", "many"),
        ("metrics", "nonsense"),
        ("metrics", "show"),
        ("weights", "pull"),
        ("weights", "nonsense"),
        ("check", "outputs", "more"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_means_nothing(run: Run, arguments: Sequence[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err != ""
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--suite", "nope"), ("no suite 'nope'", "lite")),
        (("--metrics", "video_quality/pnsr"), ("no metric 'video_quality/pnsr'", "did you mean", PSNR)),
        (("--metrics", f"{PSNR},{PSNR}"), ("named twice",)),
        (("--metrics", ""), ("metric",)),
        (("--metrics", " , "), ("metric",)),
        (("--workers", "0"), ("workers",)),
        (("--workers", "-1"), ("workers",)),
        (("--device", "tpu"), ("tpu", "cuda:N")),
        (("--device", "cuda:-1"), ("cuda:-1",)),
        (("--device", "cuda:99"), ("cuda:99", "--device cpu")),
        (("--engine", "spark"), ("spark", "ray")),
        (("--benchmark", "nope"), ("no benchmark 'nope'",)),
        (("--benchmark", "test_500"), ("not prepared", "--benchmark PATH")),
    ],
    ids=lambda value: " ".join(value)[:30],
)
def test_a_value_that_means_nothing(run: Run, tiny: Set, options: Sequence[str], parts: Sequence[str]) -> None:
    chosen = () if "--benchmark" in options else ("--benchmark", tiny.benchmark)
    run("evaluate", tiny.outputs, *chosen, *options).refused(2, "error: ", *parts)
    assert not Path("run").exists(), "nothing was begun"


def test_outputs_that_are_none(run: Run, tiny: Set, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in ("evaluate", "check"):
        run(command, tmp_path / "gone", "--benchmark", tiny.benchmark).refused(2, "error: ", "gone", "not a folder")
        run(command, tmp_path / "empty", "--benchmark", tiny.benchmark).refused(2, "error: ", "no output", "a.mp4")


def test_an_unknown_metric_or_weight(run: Run) -> None:
    run("metrics", "show", "video_quality/pnsr").refused(2, "error: ", "did you mean", PSNR)
    run("weights", "pull", "nope").refused(2, "error: ", "nope")


# --- input with problems --------------------------------------------------------------------------------------------


def test_a_damaged_benchmark_is_told_with_every_problem(run: Run, tiny: Set) -> None:
    path = tiny.benchmark / "manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"dialogue"', b'"singing"'))
    for command in ("evaluate", "check"):
        done = run(command, tiny.outputs, "--benchmark", tiny.benchmark)
        done.refused(1, "manifest.jsonl: 4 problems", "line 1: task", "line 4: task")


def test_other_media_than_the_manifests_are_refused(run: Run, tiny: Set) -> None:
    (tiny.benchmark / "media" / "reply.mp4").write_bytes(b"other")
    done = run("evaluate", tiny.outputs, "--benchmark", tiny.benchmark, "--metrics", PSNR)
    done.refused(1, "media/reply.mp4: sha256 is")


def test_a_bad_system_description_is_told(run: Run, tiny: Set) -> None:
    (tiny.outputs / "system.yaml").write_text("colour: red\n", encoding="utf-8")
    run("evaluate", tiny.outputs, "--benchmark", tiny.benchmark).refused(1, "system.yaml", "colour: unknown field")
    done = run("check", tiny.outputs, "--benchmark", tiny.benchmark)
    assert (done.code, done.out) == (1, "")
    assert re.search(r"error +bad_system +system.yaml +colour: unknown field", done.err)


def test_check_lists_every_problem_also_where_the_system_description_is_wrong(run: Run, tiny: Set) -> None:
    (tiny.outputs / "system.yaml").write_text("nmae: Ours\nopen_weights: perhaps\nlicence: MIT\n", encoding="utf-8")
    (tiny.outputs / "a.mp4").unlink()
    (tiny.outputs / "b.mp4").write_bytes(b"no media")
    done = run("check", tiny.outputs, "--benchmark", tiny.benchmark, "--json")
    assert done.code == 1
    problems = done.json()["problems"]
    assert sorted(p["code"] for p in problems) == ["bad_system"] * 4 + ["missing", "unreadable"]
    told = {p["message"] for p in problems if p["code"] == "bad_system"}
    assert "nmae: unknown field; did you mean 'name'?" in told
    assert "licence: unknown field; did you mean 'license'?" in told
    assert any(text.startswith("open_weights: ") for text in told)
    assert any(text.startswith("name: ") for text in told), "the field that is needed is missing"
    assert {p["file"] for p in problems if p["code"] == "bad_system"} == {"system.yaml"}
    # What cannot be read is never scored under another name.
    run("evaluate", tiny.outputs, "--benchmark", tiny.benchmark).refused(1, "system.yaml: 4 problems", "did you mean")


@pytest.mark.parametrize("text", ["# name: Ours\n", "\n  # a\n# name: Ours\n"])
def test_a_system_description_of_comments_says_nothing(run: Run, tiny: Set, text: str) -> None:
    (tiny.outputs / "system.yaml").write_text(text, encoding="utf-8")
    assert run("check", tiny.outputs, "--benchmark", tiny.benchmark).code == 0


@pytest.mark.parametrize("text", ["", "[]", "name:", "name: ''", "just words", "name: [", "name: x\nname2: y"])
def test_a_system_description_that_is_none_is_a_finding(run: Run, tiny: Set, text: str) -> None:
    (tiny.outputs / "system.yaml").write_text(text, encoding="utf-8")
    done = run("check", tiny.outputs, "--benchmark", tiny.benchmark, "--json")
    assert done.code == 1
    assert {p["code"] for p in done.json()["problems"]} == {"bad_system"}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_equal_warnings_are_one_line_from_three_on(count: int) -> None:
    from vidchatbench.cli.check import fold
    from vidchatbench.submission.check import Problem, Severity

    text = "colour space is untagged"
    same = [Problem(Severity.WARNING, "unusual", f"s{k}", f"s{k}.mp4", text) for k in range(count)]
    other = Problem(Severity.WARNING, "unusual", "t", "t.mp4", "another text")
    errors = [Problem(Severity.ERROR, "unreadable", f"e{k}", f"e{k}.mp4", "cut off") for k in range(4)]
    rows = fold([*same, other, *errors])
    assert [row for row in rows if row[4] == "cut off"] == [
        ("error", "unreadable", f"e{k}", f"e{k}.mp4", "cut off") for k in range(4)
    ], "an error costs a score: each is listed"
    assert ("warning", "unusual", "t", "t.mp4", "another text") in rows
    folded = [row for row in rows if row[4] == text]
    if count < 3:
        assert folded == [("warning", "unusual", f"s{k}", f"s{k}.mp4", text) for k in range(count)]
    else:
        assert folded == [("warning", "unusual", f"{count} clips", f"s0 and {count - 1} more", text)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("psnr", PSNR), ("PSNR", PSNR), ("pnsr", PSNR), ("lse_c", "av_sync/lse_c"), ("fid", "video_quality/fid"),
     ("arcface", "identity/arcface"), ("video_quality/PSNR", PSNR), ("video/psnr", PSNR), ("judge", "dialogue/judge")],
)  # fmt: skip
def test_a_metric_without_its_family_is_known_by_its_name(run: Run, name: str, meant: str) -> None:
    done = run("metrics", "show", name)
    done.refused(2, "error: ", f"there is no metric {name!r}; did you mean {meant!r}")
    if name in {"psnr", "PSNR", "lse_c", "fid", "arcface", "judge"}:
        assert done.err.endswith(f"did you mean {meant!r}?\n"), "nothing else is meant"


def test_other_names_are_suggested_too(run: Run) -> None:
    run("metrics", "--suite", "oficial").refused(2, "error: ", "no suite 'oficial'; did you mean 'official'?")
    run("weights", "pull", "syncnet").refused(2, "error: ", "no entry 'syncnet'; did you mean 'syncnet_v2'?")


def test_a_run_folder_that_cannot_be_made(run: Run, tiny: Set, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    done = run("evaluate", tiny.outputs, "--benchmark", tiny.benchmark, "--metrics", PSNR, "--out", tmp_path / "taken")
    done.refused(2, "taken", "give another --out")


# --- check ----------------------------------------------------------------------------------------------------------


def test_check_passes_a_good_submission(run: Run, tiny: Set) -> None:
    done = run("check", tiny.outputs, "--benchmark", tiny.benchmark)
    assert (done.code, done.out) == (0, "")
    assert "4 of 4 outputs usable, 0 errors, 0 warnings" in done.err


def test_check_lists_everything_and_exits_with_1(run: Run, tiny: Set, clip: bytes) -> None:
    (tiny.outputs / "a.mp4").unlink()
    (tiny.outputs / "b.mp4").write_bytes(b"[bold]not media[/bold]")
    (tiny.outputs / "[red]stranger.mp4").write_bytes(clip)
    done = run("check", tiny.outputs, "--benchmark", tiny.benchmark)
    assert (done.code, done.out) == (1, "")
    for word in ("missing", "unreadable", "unknown_sample", "a.mp4", "b.mp4", "[red]stranger.mp4"):
        assert word in done.err
    assert "2 of 4 outputs usable, 2 errors, 1 warnings" in done.err
    machine = run("check", tiny.outputs, "--benchmark", tiny.benchmark, "--json")
    assert machine.code == 1
    content = machine.json()
    assert {name: content[name] for name in ("benchmark", "n_samples", "n_usable", "n_errors")} == {
        "benchmark": "tiny",
        "n_samples": 4,
        "n_usable": 2,
        "n_errors": 2,
    }
    assert [problem["code"] for problem in content["problems"]] == ["missing", "unreadable", "unknown_sample"]
    assert set(content["problems"][0]) == {"severity", "code", "sample", "file", "message"}


def test_warnings_alone_cost_nothing(run: Run, tiny: Set, clip: bytes) -> None:
    (tiny.outputs / "stranger.mp4").write_bytes(clip)
    done = run("check", tiny.outputs, "--benchmark", tiny.benchmark, "--json")
    assert done.code == 0
    assert done.json()["n_errors"] == 0


# --- evaluate -------------------------------------------------------------------------------------------------------


def test_evaluate_scores_and_writes(run: Run, tiny: Set) -> None:
    (tiny.outputs / "b.mp4").unlink()
    arguments = ("evaluate", tiny.outputs, "--benchmark", tiny.benchmark, "--metrics", PSNR, "--workers", "1")
    done = run(*arguments, "--out", "first")
    assert (done.code, done.out) == (0, ""), done.err
    for word in (PSNR, "3/4", "written: first", "worst value"):
        assert word in done.err
    machine = run(*arguments, "--out", "second", "--json")
    assert machine.code == 0
    content = machine.json()
    assert content == json.loads(Path("second/results.json").read_text(encoding="utf-8"))
    (metric,) = content["metrics"]
    assert metric["value"] == pytest.approx(75.0)
    counts = [metric[name] for name in ("n_expected", "n_ok", "n_failed", "n_not_applicable", "n_error")]
    assert counts == [4, 3, 1, 0, 0]
    assert content["complete"] is True
    assert content["suite"] == {"name": "custom", "version": 0}


def test_anchors_lie_beside_the_benchmark_on_request(run: Run, tiny: Set) -> None:
    arguments = ("anchors", "build", "--benchmark", tiny.benchmark, "--metrics", PSNR, "--workers", "1")
    file = tiny.benchmark / "anchors.json"
    assert run(*arguments).code == 0
    assert not file.exists(), "nobody asked"
    done = run(*arguments, "--beside")
    assert (done.code, done.out) == (0, "")
    assert str(file) in " ".join(done.err.split()).replace(" ", "") or str(file) in done.err
    first = file.read_bytes()
    (entry,) = json.loads(first)["anchors"]
    assert (entry["metric"], entry["n"]) == (PSNR, 4)
    # What is there already stays, and the same metric takes the place of itself.
    assert run(*arguments[:-3], "video_quality/ssim", "--workers", "1", "--beside").code == 0
    assert run(*arguments, "--beside", "--json").code == 0
    content = json.loads(file.read_bytes())
    assert [one["metric"] for one in content["anchors"]] == [PSNR, "video_quality/ssim"]
    assert content["anchors"][0] == entry


def test_our_own_error_exits_with_3(run: Run, tiny: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, sample: object, features: object) -> Score:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(load_catalogue().metrics.get(PSNR), "score", broken)
    arguments = ("evaluate", tiny.outputs, "--benchmark", tiny.benchmark, "--metrics", PSNR, "--workers", "1", "--json")
    done = run(*arguments)
    assert done.code == 3
    content = done.json()
    assert content["complete"] is False
    (metric,) = content["metrics"]
    assert (metric["value"], metric["n_error"]) == (None, 4)


@pytest.mark.parametrize("answer", [None, 3.5, "good"], ids=repr)
def test_a_metric_that_returns_no_score_costs_itself_and_not_the_run(
    run: Run, tiny: Set, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.setattr(load_catalogue().metrics.get(PSNR), "score", lambda self, sample, features: answer)
    names = f"{PSNR},video_quality/ssim"
    arguments = (
        "evaluate",
        tiny.outputs,
        "--benchmark",
        tiny.benchmark,
        "--metrics",
        names,
        "--workers",
        "1",
        "--json",
    )
    done = run(*arguments)
    assert done.code == 3, done.err
    assert [metric["n_error"] for metric in done.json()["metrics"]] == [4, 0]


def test_an_interruption_says_that_nothing_is_lost(run: Run, tiny: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vidchatbench.engine.evaluate.check_submission", interrupted)
    done = run("evaluate", tiny.outputs, "--benchmark", tiny.benchmark, "--metrics", PSNR)
    assert done.code == 130
    assert "run the same command to go on" in done.err
    assert done.out == ""


# --- the other commands ---------------------------------------------------------------------------------------------


def test_metrics_lists_every_metric(run: Run) -> None:
    done = run("metrics", "--json")
    assert (done.code, done.err) == (0, "")
    content = done.json()
    assert [metric["id"] for metric in content["metrics"]] == list(load_catalogue().metrics)
    assert content["broken_plugins"] == []
    for metric in content["metrics"]:
        assert metric["available"] is (metric["reason"] is None) is (metric["fix"] is None)
    table = run("metrics")
    assert (table.code, table.out) == (0, "")
    assert PSNR in table.err


def test_one_metric_that_cannot_be_imported_does_not_hide_the_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue()
    core = load_catalogue().metrics.get(PSNR)
    catalogue.metrics.register("aaa/broken", "vcbtest_not_installed:Broken", origin="stranger")
    catalogue.metrics.register(PSNR, f"{core.__module__}:{core.__name__}", origin="core")
    for name in load_catalogue().extractors:
        found = load_catalogue().extractors.get(name)
        catalogue.extractors.register(name, f"{found.__module__}:{found.__name__}", origin="core")
    catalogue.weights.update(load_catalogue().weights)
    monkeypatch.setattr("vidchatbench.plugins.catalogue.load_catalogue", lambda: catalogue)
    done = run("metrics", "--json")
    assert done.code == 0, done.err
    assert [metric["id"] for metric in done.json()["metrics"] if metric["available"]] == [PSNR]
    assert "aaa/broken" in done.out
    assert "vcbtest_not_installed" in done.out


def test_metrics_show_prints_one_card(run: Run) -> None:
    done = run("metrics", "show", PSNR, "--json")
    assert (done.code, done.err) == (0, "")
    content = done.json()
    assert (content["id"], content["worst"], content["plugin"]) == (PSNR, 0.0, "core")
    assert content["citation"].lstrip().startswith("@")
    for metric_id in load_catalogue().metrics:
        text = run("metrics", "show", metric_id)
        assert (text.code, text.out) == (0, "")
        assert load_catalogue().metric(metric_id).card.protocol in text.err


@dataclass(frozen=True)
class Table:
    """A weights table with one entry, and the file of that entry in the cache."""

    file: Path
    content: bytes


@pytest.fixture
def table(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    content = b"weights" * 1000
    catalogue = Catalogue()
    catalogue.weights["net"] = WeightSpec(
        name="net", file_name="net.onnx", sha256=hashlib.sha256(content).hexdigest(), size=len(content),
        license="MIT", commercial_use=True, origin="us",
    )  # fmt: skip
    monkeypatch.setattr("vidchatbench.plugins.catalogue.load_catalogue", lambda: catalogue)
    with monkeypatch.context() as patch:
        patch.setattr(download_module, "_fetch", lambda url, partial, *rest: partial.write_bytes(content))
        served = catalogue.weights["net"].model_copy(update={"urls": ("http://127.0.0.1/",)})
        file = download_module.download(served, private_cache / "weights")
    file.unlink()
    return Table(file, content)


def test_weights_tell_what_is_here(run: Run, table: Table) -> None:
    absent = run("weights", "list", "--json")
    assert absent.code == 0
    (row,) = absent.json()["weights"]
    assert (row["name"], row["found"], row["fix"]) == ("net", None, "vidchatbench weights pull net")
    assert run("weights", "verify", "--json").code == 0, "a weight that is not here is not wrong"
    table.file.write_bytes(table.content)
    (row,) = run("weights", "list", "--json").json()["weights"]
    assert (row["found"], row["problem"], row["fix"]) == ("cache", None, None)
    done = run("weights", "verify")
    assert (done.code, done.out) == (0, "")
    assert "1 verified, 0 wrong, 0 not here" in done.err


def test_verify_exits_with_1_for_a_wrong_weight(run: Run, table: Table) -> None:
    table.file.write_bytes(table.content[::-1])
    done = run("weights", "verify", "--json")
    assert done.code == 1
    (row,) = done.json()["weights"]
    assert "net.onnx is not the weight 'net'" in row["problem"]
    assert "1 wrong" in run("weights", "verify").err
    assert run("weights", "list").code == 0


def test_verify_reads_the_file_and_not_what_it_remembers(run: Run, table: Table) -> None:
    # A disk that loses a bit changes neither size nor time of a file; finding that is what verifying is for.
    table.file.write_bytes(table.content)
    assert run("weights", "verify").code == 0
    before = table.file.stat()
    table.file.write_bytes(table.content[:-1] + b"x")
    os.utime(table.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run("weights", "verify").code == 1


def test_a_weight_without_address_cannot_be_pulled(run: Run, table: Table) -> None:
    run("weights", "pull", "net").refused(2, "error: ", "the table gives no source", "VIDCHATBENCH_WEIGHTS_DIR")
    table.file.write_bytes(table.content)
    done = run("weights", "pull", "net")
    assert (done.code, done.out) == (0, "")
    assert "already here" in done.err


def test_a_mirror_that_is_no_folder_is_told_by_every_command(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(tmp_path / "typo"))
    for words in (("metrics",), ("weights", "list"), ("weights", "verify")):
        run(*words).refused(2, "error: ", "VIDCHATBENCH_WEIGHTS_DIR", "typo")


def test_doctor_tells_of_a_mirror_that_is_no_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The doctor is whom one asks when something is wrong: it must look at everything, not stop at the first fault.
    monkeypatch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(tmp_path / "typo"))
    done = run("doctor", "--json")
    assert done.code == 1
    findings = {finding["topic"]: finding for finding in done.json()["findings"]}
    assert findings["weights mirror"]["ok"] is False
    assert "typo" in findings["weights mirror"]["text"]


def test_doctor_looks_at_everything(run: Run) -> None:
    done = run("doctor", "--json")
    assert done.code == 0
    findings = {finding["topic"]: finding for finding in done.json()["findings"]}
    assert {"python", "av", "torch", "device", "cache", "weights mirror", "suite lite", "test_500"} <= set(findings)
    assert "vidchatbench data prepare test_500" in findings["test_500"]["text"]
    # What several metrics lack is told once.
    fixes = re.findall(r"to fix: (.+)", findings["suite extended"]["text"])
    assert len(fixes) == len(set(fixes)) > 0
    assert all(finding["ok"] for finding in findings.values() if finding["required"])
    table = run("doctor")
    assert (table.code, table.out) == (0, "")


# --- a process of its own -------------------------------------------------------------------------------------------


def process(*arguments: str, **environment: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "vidchatbench", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_the_module_runs_like_the_script(tmp_path: Path) -> None:
    process("check", str(tmp_path / "gone"), "--benchmark", str(tmp_path)).refused(1, "benchmark.json")
    process("metrics", "show", "a/b").refused(2, "error: there is no metric 'a/b'")


def test_output_to_a_pipe_of_another_encoding_is_no_crash(tiny: Set) -> None:
    # Ids are of any script; a terminal or a log file may be of none that holds them.
    (tiny.outputs / "日本.mp4").unlink()
    done = process(
        "check",
        str(tiny.outputs),
        "--benchmark",
        str(tiny.benchmark),
        "--json",
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
    )
    assert done.code == 1
    assert "Traceback" not in done.err
    assert [problem["sample"] for problem in done.json()["problems"]] == ["日本"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_a_stray_file_whose_name_is_no_text_is_told_like_any(tiny: Set, clip: bytes, options: Sequence[str]) -> None:
    Path(os.fsdecode(os.fsencode(tiny.outputs) + b"/\xff.mp4")).write_bytes(clip)
    done = process("check", str(tiny.outputs), "--benchmark", str(tiny.benchmark), *options)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    if options:
        assert [problem["code"] for problem in done.json()["problems"]] == ["unknown_sample"]
