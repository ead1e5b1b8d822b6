"""A bundle's texts say one thing each, of the kind that is meant, and are refused at once where they do not."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from leaderboard_bundles import Plan, make_benchmark, make_bundle, make_run, seal

from vidchatbench.benchmark.format import Benchmark
from vidchatbench.leaderboard.schema import check_link
from vidchatbench.leaderboard.verification import strict, table_process
from vidchatbench.leaderboard.verification.findings import RefusedFileError
from vidchatbench.leaderboard.verification.strict import check_json, load_yaml
from vidchatbench.leaderboard.verification.table_process import TableProcess
from vidchatbench.leaderboard.verification.verify import verify_bundle

FACES, PSNR = "video_quality/face_presence", "video_quality/psnr"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benchmark, Path]:
    root = tmp_path_factory.mktemp("original")
    benchmark = make_benchmark(root / "benchmark")
    return benchmark, make_run(root / "run", benchmark, Plan(missing=(3,), invalid=(4,)))


@pytest.fixture
def benchmark(original: tuple[Benchmark, Path]) -> Benchmark:
    return original[0]


@pytest.fixture
def bundle(original: tuple[Benchmark, Path], tmp_path: Path) -> Path:
    return make_bundle(tmp_path, original[1])


def errors(bundle: Path, benchmark: Benchmark | None = None) -> list[tuple[str, str]]:
    seal(bundle)
    found = verify_bundle(bundle, benchmark=benchmark)
    return [(f.code, f"{f.where}: {f.message}") for f in found if f.severity == "error"]


def edit_text(bundle: Path, name: str, old: str, new: str) -> None:
    path = bundle / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def edit_results(bundle: Path, edit: Callable[[Any], object]) -> None:
    path = bundle / "results.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


# --- one name, one value ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("results.json", '"complete": true', '"complete": false, "complete": true'),
        ("results.json", '"n_ok":', '"n_ok": 1, "n_ok":'),
        ("media.jsonl", '"role":', '"role": "candidate", "role":'),
        ("system.yaml", "license: MIT", "license: Apache-2.0\nlicense: MIT"),
    ],
)
def test_a_name_that_stands_twice(bundle: Path, name: str, old: str, new: str) -> None:
    edit_text(bundle, name, old, new)
    ((code, message),) = errors(bundle)
    assert code in {"bad_results", "bad_media", "bad_system"}
    assert message.startswith(name)
    assert "stands there twice" in message


@pytest.mark.parametrize("text", ['{"a": 1, "b": {"a": 2}}', '[{"a": 1}, {"a": 2}]', '{"a": 1, "A": 2}', "3", "[]"])
def test_equal_names_in_different_places_are_no_matter(text: str) -> None:
    check_json(text)
    check_json(text.encode())


@pytest.mark.parametrize(
    "text",
    ['{"a": {"b": 1, "b": 1}}', '[{"a": 1, "\\u0061": 2}]', "1e999", "[-1e999]", "NaN", '{"a": Infinity}',
     "[" * 100_000, "9" * 10_000, "{", "", b"\xff", b"\xef\xbb\xbf{}"],
    ids=lambda text: ascii(text)[:20],
)  # fmt: skip
def test_what_is_refused_is_refused_by_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_json(text)


# --- kinds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"n_samples": 12', '"n_samples": "12"'),
        ('"workers": 1', '"workers": true'),
        ('"seed": 0', '"seed": false'),
        ('"n_error": 0', '"n_error": false'),
        ('"n_listed": null', '"n_listed": true'),
        ('"complete": true', '"complete": 1'),
        ('"complete": true', '"complete": "yes"'),
        ('"media_seconds": 0.0', '"media_seconds": false'),
    ],
)
def test_a_value_of_another_kind_in_the_results(bundle: Path, old: str, new: str) -> None:
    edit_text(bundle, "results.json", old, new)
    ((code, message),) = errors(bundle)
    assert code == "bad_results"
    assert "valid" in message


@pytest.mark.parametrize(("old", "new"), [('"bytes": 1000', '"bytes": true'), ('"is_image": false', '"is_image": 0')])
def test_a_value_of_another_kind_in_the_media(bundle: Path, old: str, new: str) -> None:
    edit_text(bundle, "media.jsonl", old, new)
    ((code, _),) = errors(bundle)
    assert code == "bad_media"


@pytest.mark.parametrize(
    "line", ["parameters: true", "open_weights: 1", "open_weights: 'yes'", "revision: 3", "paper: 2026-01-01"]
)
def test_a_value_of_another_kind_in_the_description(bundle: Path, line: str) -> None:
    path = bundle / "system.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    del content[line.partition(":")[0]]
    path.write_text(yaml.safe_dump(content) + line + "\n", encoding="utf-8")
    ((code, _),) = errors(bundle)
    assert code == "bad_system"


# --- YAML -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [yaml.SafeLoader, strict._BASE], ids=["Python", "C"])
@pytest.mark.parametrize(
    "unit",
    ["[],", "- a\n", "k: v\n", "? a\n", "{}, ", "\"a\" ", "&a ", "- - - ", "[", "a ", "\n", "#\n", "'' ", "%A b\n",
     "---\n", "- |\n a\n", "- \"\\\n\"\n", ": "],
    ids=ascii,
)  # fmt: skip
def test_the_largest_description_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, base: Any, unit: str) -> None:
    monkeypatch.setattr(strict, "_BASE", base)
    text = unit * (65_536 // len(unit))
    for prefix in ("", "name: a\nauthors: [", 'name: "'):
        started = time.process_time()
        with contextlib.suppress(ValueError, yaml.YAMLError):
            load_yaml(prefix + text)
        assert time.process_time() - started < 3.0


@pytest.mark.parametrize(
    "text", ["a: &x b", "a: [*x]", "a: !!python/name:os.system", "a: !!int '3'", "a: {a: {a: " * 5]
)
def test_yaml_of_more_than_plain_texts_is_refused(text: str) -> None:
    with pytest.raises((ValueError, yaml.YAMLError)):
        load_yaml(text)


def test_a_description_of_hundreds_of_settings_is_read() -> None:
    settings = {f"setting_{k}": k for k in range(900)}
    assert load_yaml(yaml.safe_dump({"name": "ü", "generation_settings": settings})) == {
        "name": "ü", "generation_settings": settings,
    }  # fmt: skip


# --- texts, titles, parameters ----------------------------------------------------------------------------------------


def test_a_long_revision(bundle: Path) -> None:
    for length, refused in ((100, False), (101, True), (60_000, True)):
        content = yaml.safe_load((bundle / "system.yaml").read_text(encoding="utf-8"))
        (bundle / "system.yaml").write_text(yaml.safe_dump({**content, "revision": "r" * length}), encoding="utf-8")
        codes = {code for code, _ in errors(bundle)}
        assert ("bad_system" in codes) is refused


def test_a_title_is_that_of_the_card(bundle: Path) -> None:
    edit_results(bundle, lambda content: content["metrics"][0].update(title="The best of all"))
    ((code, message),) = errors(bundle)
    assert code == "card_differs"
    assert "title" in message
    edit_results(bundle, lambda content: content["metrics"][0].update(title="x" * 100_000))
    assert {code for code, _ in errors(bundle)} == {"card_differs", "text_too_long"}
    assert all(len(message) < 500 for _, message in errors(bundle))


@pytest.mark.parametrize("params", [{"fps": 6}, {"unknown": 1}, {"fps": "x" * 10_000}])
def test_parameters_are_those_of_the_suite(bundle: Path, params: dict[str, object]) -> None:
    edit_results(bundle, lambda content: content["metrics"][0].update(params=params))
    ((code, message),) = errors(bundle)
    assert code == "card_differs"
    assert "params" in message


# --- excuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_benchmark", [True, False])
def test_a_metric_of_the_reply_alone_has_no_excuse(
    original: tuple[Benchmark, Path], bundle: Path, with_benchmark: bool
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vidchatbench.results.files import SAMPLES_SCHEMA

    path = bundle / "samples.parquet"
    rows = pq.read_table(path).to_pylist()
    refused = {}
    for metric in (FACES, PSNR):
        changed = [dict(row) for row in rows]
        row = next(r for r in changed if r["metric"] == metric and r["sample_id"] == "sample 05")
        row.update(status="not_applicable", value=None, counted=None, reason="it was dark")
        columns = {f.name: [r[f.name] for r in changed] for f in SAMPLES_SCHEMA}
        pq.write_table(pa.table(columns, schema=SAMPLES_SCHEMA), path)
        found = errors(bundle, original[0] if with_benchmark else None)
        refused[metric] = [message for code, message in found if code == "status_impossible"]
    assert "reads nothing but the reply" in refused[FACES][0]
    assert refused[PSNR] == [], "the real reply may be what is lacking"


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    ["https://user@host/x", "https://user:secret@host/", "http://github.com@evil.org", "https://a:b@c?d", "https://@x",
     "https://github.com%2Fx@evil.org/"],
)  # fmt: skip
def test_a_link_with_credentials_is_no_link(link: str) -> None:
    with pytest.raises(ValueError, match="user"):
        check_link(link)


@pytest.mark.parametrize(
    "link", ["https://host/@user", "https://host?a=b@c", "https://host/#@x", "https://hub.io/a@v1"]
)
def test_the_sign_may_stand_in_a_path(link: str) -> None:
    assert check_link(link) == link


@pytest.mark.parametrize("field", ["paper", "code", "weights"])
def test_a_description_with_credentials_is_refused_and_they_are_not_repeated(
    original: tuple[Benchmark, Path], tmp_path: Path, field: str
) -> None:
    run = make_run(tmp_path / "run", original[0], Plan(system={field: "https://me:hunter2@github.com/x"}))
    ((code, message),) = errors(make_bundle(tmp_path, run))
    assert code == "bad_link"
    assert field in message
    assert "hunter2" not in message


# --- the process that reads tables ------------------------------------------------------------------------------------


def test_a_reader_that_takes_too_long_is_ended(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TableProcess()
    content = (bundle / "samples.parquet").read_bytes()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(table_process, "MAX_SECONDS", 0.01)
            with pytest.raises(RefusedFileError, match="takes more than"):
                reader.read(content)
        assert len(reader.read(content)) > 0
        with pytest.raises(RefusedFileError, match="the results announce 3"):
            reader.read(content, 3)
    finally:
        reader.close()
