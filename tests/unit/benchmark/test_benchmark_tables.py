"""A benchmark survives the way into a table and back to the byte, and a table from a stranger is never trusted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from vidchatbench.benchmark import hub
from vidchatbench.benchmark.dataset_card import hub_license
from vidchatbench.benchmark.export import export_benchmark, is_export
from vidchatbench.benchmark.format import Benchmark, is_hub_name
from vidchatbench.benchmark.hub_push import check_may_push
from vidchatbench.benchmark.load import iterate_samples, load_benchmark, locate_benchmark
from vidchatbench.benchmark.local_tables import choose_shards, open_table
from vidchatbench.benchmark.tables import MANIFEST_COLUMNS, MEDIA_COLUMNS
from vidchatbench.errors import InputError, UsageError

OLD_IMPORT = "from vidchatbench.benchmark.hub import iterate_samples"
Line = dict[str, Any]
Row = dict[str, Any]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(root: Path, manifest: str, media: dict[str, bytes], license: str = "CC0-1.0; made by a test") -> Path:
    for path, content in media.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "manifest.jsonl").write_bytes(manifest.encode())
    header = {
        "schema_version": 1, "name": "tiny", "version": "1.0", "description": "made by a test: {braces} | pipes",
        "n_samples": sum(bool(line.strip()) for line in manifest.split("\n")),
        "manifest_sha256": digest(manifest.encode()), "license": license,
    }  # fmt: skip
    (root / "benchmark.json").write_text(json.dumps(header), encoding="utf-8")
    return root


MEDIA = {
    "media/a.mp4": b"clip a" * 40_000,
    "media/b.mp4": b"clip b" * 50_000,
    "media/deep/é.mp4": b"clip c",
    "media/empty.mp4": b"",
    "faces/b.png": b"a face",
}


def side(path: str, **more: Any) -> dict[str, Any]:
    return {"media": path, "sha256": digest(MEDIA[path]), "speaker_id": "spk", **more}


LINES: list[Line] = [
    {"id": "one", "task": "dialogue", "language": "en", "initiator": side("media/a.mp4", transcript="Ça va?"),
     "responder": side("media/b.mp4"), "reference_image": "faces/b.png",
     "ladder": [{"text": "a\u2028b", "score": 0.2}, {"text": "c", "score": 1.0}],
     "source": {"frames": 3, "ratio": 0.1, "held": True, "note": None}, "tags": {}},
    {"language": "日本", "task": "multi_turn", "id": "two 2", "responder": side("media/a.mp4"),
     "initiator": side("media/b.mp4"), "history": [{"role": "initiator", "transcript": "x\ny"}],
     "tags": {"framing": "head"}},
    {"id": "three", "task": "listening", "language": "en", "initiator": side("media/deep/é.mp4"), "responder": None},
    {"id": "four", "task": "single", "language": "en", "initiator": side("media/empty.mp4")},
]  # fmt: skip


def manifest_of(lines: list[Line]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    return load_benchmark(write(tmp_path / "benchmark", manifest_of(LINES), MEDIA))


@pytest.fixture
def exported(benchmark: Benchmark, tmp_path: Path, private_cache: Path) -> Path:
    return export_benchmark(benchmark, tmp_path / "exported").folder


def same(loaded: Benchmark, benchmark: Benchmark) -> None:
    assert loaded.header == benchmark.header
    assert loaded.samples == benchmark.samples
    for name in ("manifest.jsonl", *MEDIA):
        assert (loaded.root / name).read_bytes() == (benchmark.root / name).read_bytes(), name
    assert loaded.root != benchmark.root


# --- the way there and back -----------------------------------------------------------------------------------------


def test_folder_table_folder(benchmark: Benchmark, exported: Path) -> None:
    same(load_benchmark(exported), benchmark)
    same(load_benchmark(str(exported / "data" / "test-00000-of-00001.parquet")), benchmark)


@pytest.mark.parametrize(
    "odd",
    [
        lambda text: text.rstrip("\n"),
        lambda text: "\n \n" + text.replace("\n", "\n\n") + "\n\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace('": ', '":   ').replace("{", "{ "),
        lambda text: "".join(json.dumps(json.loads(x), ensure_ascii=False) + "\n" for x in text.split("\n") if x),
    ],
    ids=["no last newline", "empty lines", "CRLF", "spaces", "not escaped"],
)
def test_the_manifest_stays_what_it_was_to_the_byte(
    odd: Callable[[str], str], tmp_path: Path, private_cache: Path
) -> None:
    benchmark = load_benchmark(write(tmp_path / "benchmark", odd(manifest_of(LINES)), MEDIA))
    same(load_benchmark(export_benchmark(benchmark, tmp_path / "exported").folder), benchmark)


def test_shards_are_closed_at_their_size_and_read_in_order(
    benchmark: Benchmark, tmp_path: Path, private_cache: Path
) -> None:
    done = export_benchmark(benchmark, tmp_path / "exported", shard_bytes=100_000)
    names = sorted(path.name for path in (done.folder / "data").iterdir())
    assert names == [f"test-{n:05d}-of-00003.parquet" for n in range(3)]
    assert done.n_shards == 3
    same(load_benchmark(done.folder), benchmark)
    (done.folder / "data" / names[1]).unlink()
    (done.folder / "manifest" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(InputError, match="announces 4 samples, the table has"):
        load_benchmark(done.folder)


def test_one_sample_is_one_row_group(exported: Path) -> None:
    file = pq.ParquetFile(exported / "data" / "test-00000-of-00001.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [1] * len(LINES)


def test_the_checksums_name_every_file(exported: Path) -> None:
    told = dict(reversed(line.split("  ")) for line in (exported / "SHA256SUMS").read_text().splitlines())
    files = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert set(told) == files - {"SHA256SUMS"}
    assert all(digest((exported / name).read_bytes()) == sha256 for name, sha256 in told.items())


def test_files_beside_the_header_go_along(benchmark: Benchmark, tmp_path: Path, private_cache: Path) -> None:
    (benchmark.root / "anchors.json").write_bytes(b"{}")
    folder = export_benchmark(benchmark, tmp_path / "exported").folder
    assert (load_benchmark(folder).root / "anchors.json").read_bytes() == b"{}"


def test_rows_without_media(benchmark: Benchmark, tmp_path: Path, private_cache: Path) -> None:
    shutil.rmtree(benchmark.root / "media")
    done = export_benchmark(benchmark, tmp_path / "list", media=False)
    assert done.n_bytes < 20_000
    assert tuple(iterate_samples(done.folder)) == benchmark.samples
    with pytest.raises(InputError, match="the rows alone, without media"):
        load_benchmark(done.folder)
    assert "iterate_samples" in (done.folder / "README.md").read_text(encoding="utf-8")


def test_what_a_card_prints_can_be_imported(benchmark: Benchmark, tmp_path: Path, private_cache: Path) -> None:
    shutil.rmtree(benchmark.root / "media")
    done = export_benchmark(benchmark, tmp_path / "list", media=False)
    card = (done.folder / "README.md").read_text(encoding="utf-8")
    assert "    from vidchatbench.benchmark.load import iterate_samples\n" in card
    # Cards that were published before name the old place.
    for line in ("from vidchatbench.benchmark.load import iterate_samples", OLD_IMPORT):
        names: dict[str, Any] = {}
        exec(line, names)
        assert names["iterate_samples"] is iterate_samples
        assert tuple(names["iterate_samples"](done.folder)) == benchmark.samples


def test_the_old_home_keeps_no_other_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'load_benchmark'"):
        hub.load_benchmark  # noqa: B018


def test_samples_are_read_from_every_form(benchmark: Benchmark, exported: Path) -> None:
    manifest = benchmark.root / "manifest.jsonl"
    for where in (benchmark.root, manifest, str(manifest), exported, exported / "manifest/test-00000-of-00001.parquet"):
        assert tuple(iterate_samples(where)) == benchmark.samples


def test_unpacking_is_done_once(benchmark: Benchmark, exported: Path, tmp_path: Path) -> None:
    root = load_benchmark(exported).root
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(exported, elsewhere)
    assert load_benchmark(elsewhere).root == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == stamps


def test_what_was_cut_off_is_gone_on_with(benchmark: Benchmark, exported: Path) -> None:
    root = load_benchmark(exported).root
    kept = (root / "media" / "b.mp4").stat().st_mtime_ns
    for name in ("complete.json", "benchmark.json", "manifest.jsonl", "media/a.mp4"):
        (root / name).unlink()
    (root / "media" / ".x.tmp").write_bytes(b"part")
    (root / "faces" / "b.png").write_bytes(b"another")
    same(load_benchmark(exported), benchmark)
    assert (root / "media" / "b.mp4").stat().st_mtime_ns == kept
    assert not list(root.rglob("*.tmp"))


# --- the export's folder --------------------------------------------------------------------------------------------


def test_an_export_replaces_an_export_and_nothing_else(benchmark: Benchmark, exported: Path, tmp_path: Path) -> None:
    assert is_export(exported)
    assert not export_benchmark(benchmark, exported, media=False).media
    assert is_export(exported)
    (exported / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        export_benchmark(benchmark, exported)
    assert (exported / "notes.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="manifest"):
        export_benchmark(benchmark, benchmark.root)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        export_benchmark(benchmark, tmp_path / "file")
    (exported / "notes.txt").unlink()
    (exported / ".git").mkdir()
    with pytest.raises(UsageError, match="git repository"):
        export_benchmark(benchmark, exported)


def test_an_export_that_fails_leaves_the_former_one(benchmark: Benchmark, exported: Path, tmp_path: Path) -> None:
    before = (exported / "SHA256SUMS").read_bytes()
    (benchmark.root / "media/a.mp4").write_bytes(b"another clip")
    (benchmark.root / "media/empty.mp4").unlink()
    with pytest.raises(InputError, match=r"sample one: media/a\.mp4: sha256 is"):
        export_benchmark(benchmark, exported)
    assert (exported / "SHA256SUMS").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmark", "exported"]


def test_the_card_tells_the_hub_and_people(exported: Path) -> None:
    _, front, text = (exported / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    told = yaml.safe_load(front)
    assert told["license"] == "cc0-1.0"
    assert [config["config_name"] for config in told["configs"]] == ["default", "manifest"]
    assert [f["name"] for f in told["dataset_info"][0]["features"]] == [*MANIFEST_COLUMNS, *MEDIA_COLUMNS]
    assert "4 samples" in text
    assert "CC0-1.0; made by a test" in text
    assert all(f"| `{name}` |" in text for name in (*MANIFEST_COLUMNS, *MEDIA_COLUMNS))


@pytest.mark.parametrize(
    ("text", "known"),
    [("Apache-2.0; and so on", "apache-2.0"), ("CC-BY-4.0", "cc-by-4.0"), ("CC0", "cc0-1.0"), ("none", None),
     ("research use only", None), ("not MIT", None), ("", None)],
)  # fmt: skip
def test_which_licences_let_media_be_passed_on(text: str, known: str | None, benchmark: Benchmark) -> None:
    header = benchmark.header.model_copy(update={"license": text})
    assert hub_license(header) == known
    check_may_push("org/name", known, media=False, may_publish=False)
    check_may_push("org/name", known, media=True, may_publish=True)
    if known is None:
        with pytest.raises(UsageError, match=r"clips of other people.*--i-may-publish"):
            check_may_push("org/name", known, media=True, may_publish=False)


# --- tables from strangers ------------------------------------------------------------------------------------------


class Table:
    """An export whose rows a test changes; line and columns stay of one mind unless a test wants otherwise."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data" / "test-00000-of-00001.parquet"
        shutil.rmtree(folder / "manifest")
        table = pq.read_table(self.data)
        self.schema = table.schema
        self.rows: list[Row] = table.to_pylist()
        self.folder = folder

    def change(self, number: int, change: Callable[[Line], None]) -> None:
        line = json.loads(self.rows[number]["manifest_line"])
        change(line)
        for name, value in line.items():
            self.rows[number][name] = json.dumps(value) if name in {"source", "tags"} else value
        self.rows[number]["manifest_line"] = json.dumps(line) + "\n"

    def write(self, schema: pa.Schema | None = None) -> Path:
        pq.write_table(pa.Table.from_pylist(self.rows, schema=schema or self.schema), self.data, row_group_size=2)
        manifest = "".join(row["manifest_line"] or "" for row in self.rows).encode()
        header = json.loads((self.folder / "benchmark.json").read_bytes())
        header |= {"n_samples": len(self.rows), "manifest_sha256": digest(manifest)}
        (self.folder / "benchmark.json").write_text(json.dumps(header))
        return self.folder

    def problems(self) -> str:
        with pytest.raises(InputError) as raised:
            load_benchmark(self.write())
        return str(raised.value)


@pytest.fixture
def table(exported: Path) -> Table:
    return Table(exported)


@pytest.fixture
def outside(tmp_path: Path, private_cache: Path) -> Iterator[None]:
    """Nothing is written outside of the folder of unpacked tables."""
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    yield
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    tables = private_cache / "benchmarks" / "tables"
    strays = {path for path in written if not path.is_relative_to(tables) and "exported" not in path.parts}
    assert {path for path in strays if "benchmark" not in path.parts} == set()


def test_a_changed_table_is_another_benchmark(table: Table, benchmark: Benchmark) -> None:
    table.change(0, lambda line: line.update(language="fr"))
    loaded = load_benchmark(table.write())
    assert loaded.samples[0].language == "fr"
    assert loaded.header.manifest_sha256 != benchmark.header.manifest_sha256


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../outside.mp4", "stay inside"),
        ("media/../../outside.mp4", "stay inside"),
        ("/etc/outside.mp4", "stay inside"),
        ("C:\\outside.mp4", "stay inside"),
        ("manifest.jsonl", "the benchmark's own"),
        ("Benchmark.json", "the benchmark's own"),
        ("complete.json", "the benchmark's own"),
        (".git/hooks/x", "starts or ends with a dot"),
        ("media/.hidden", "starts or ends with a dot"),
        (".", "names no file"),
        ("media/a\x00b", "control characters"),
        ("media/" + "x" * 300, "more than 255 bytes"),
        ("media/deep", "is a file and a folder"),
        ("media/A.mp4", "in case alone"),
        ("media/b.mp4", "two different contents"),
        ("./media//b.mp4", "two different contents"),
    ],
)
@pytest.mark.usefixtures("outside")
def test_a_path_that_leaves_the_folder_or_names_two_things_is_refused(table: Table, path: str, reason: str) -> None:
    table.change(0, lambda line: line["initiator"].update(media=path))
    assert reason in table.problems()


def test_all_problems_are_listed(table: Table) -> None:
    table.rows[0]["initiator_media"]["bytes"] = b"another"
    table.rows[2]["initiator_media"] = None
    text = table.problems()
    assert "sample one: media/a.mp4: sha256 is" in text
    assert "sample three: media/deep/é.mp4: the table holds no media for it" in text


def test_media_that_are_right_are_kept_when_others_are_wrong(table: Table, private_cache: Path) -> None:
    right = table.rows[0]["initiator_media"]["bytes"]
    table.rows[0]["initiator_media"]["bytes"] = b"another"
    table.problems()
    (folder,) = (path for path in (private_cache / "benchmarks/tables").iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["b.mp4", "b.png", "empty.mp4", "é.mp4"]
    with pytest.raises(InputError):
        load_benchmark(folder)
    table.rows[0]["initiator_media"]["bytes"] = right
    assert load_benchmark(table.write()).root == folder


def test_a_path_in_a_media_column_is_never_opened(table: Table, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(MEDIA["media/a.mp4"])
    table.rows[0]["initiator_media"] = {"bytes": None, "path": str(secret)}
    assert "sample one: media/a.mp4: the table holds no media for it" in table.problems()


def test_columns_and_line_must_agree(table: Table) -> None:
    table.rows[1]["language"] = "xx"
    assert "row 2: sample two 2: the columns and manifest_line tell two different samples" in table.problems()


@pytest.mark.parametrize("line", ["no json", "[" * 100_000, "[]", '{"id": "x"}'])
def test_a_line_that_is_no_sample(table: Table, line: str) -> None:
    table.rows[1]["manifest_line"] = line
    assert "row 2: " in table.problems()


def test_samples_of_one_name(table: Table) -> None:
    table.change(1, lambda line: line.update(id="ONE"))
    assert "sample id 'one' stands 2 times" in table.problems()


def test_an_image_without_hash(table: Table) -> None:
    table.rows[0]["reference_image_sha256"] = None
    assert "sample one: reference_image_sha256 is missing" in table.problems()
    table.rows[0]["reference_image_sha256"] = "abc"
    assert "is not a sha256" in table.problems()


@pytest.mark.parametrize("name", ["id", "initiator", "task"])
def test_a_missing_column(table: Table, name: str) -> None:
    with pytest.raises(InputError, match=f"column '{name}' is missing"):
        load_benchmark(table.write(pa.schema([field for field in table.schema if field.name != name])))


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [("language", pa.int64(), 3), ("ladder", pa.string(), "x"), ("initiator", pa.string(), "x"),
     ("initiator_media", pa.binary(), b"x"), ("tags", pa.struct([("a", pa.string())]), {"a": "b"})],
)  # fmt: skip
def test_a_column_of_another_type(table: Table, name: str, kind: pa.DataType, values: object) -> None:
    for row in table.rows:
        row[name] = values
    position = table.schema.get_field_index(name)
    with pytest.raises(InputError, match=f"column '{name}' is of type"):
        load_benchmark(table.write(table.schema.set(position, pa.field(name, kind))))


def test_larger_types_of_other_writers_are_read(table: Table, benchmark: Benchmark) -> None:
    position = table.schema.get_field_index("manifest_line")
    schema = table.schema.set(position, pa.field("manifest_line", pa.large_string()))
    schema = schema.append(pa.field("their_own", pa.int64()))
    same(load_benchmark(table.write(schema.remove_metadata())), benchmark)


def test_a_damaged_file(table: Table) -> None:
    table.data.write_bytes(table.data.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        load_benchmark(table.folder)


def test_a_damaged_page(exported: Path) -> None:
    data = exported / "data" / "test-00000-of-00001.parquet"
    content = bytearray(data.read_bytes())
    at = content.index(b"clip a")
    content[at : at + 6] = b"CLIP A"
    data.write_bytes(content)
    with pytest.raises(InputError, match=r"sample one: media/a\.mp4: sha256 is"):
        load_benchmark(exported)


# --- rows in JSON ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_rows_in_json_beside_their_media(benchmark: Benchmark, private_cache: Path, suffix: str) -> None:
    file = benchmark.root / f"rows{suffix}"
    file.write_text(manifest_of(LINES) if suffix == ".jsonl" else json.dumps(LINES), encoding="utf-8")
    loaded = load_benchmark(file)
    assert loaded.samples == benchmark.samples
    assert all((loaded.root / name).read_bytes() == content for name, content in MEDIA.items())
    # A list of another form is another manifest, so the header beside it is not its own.
    assert loaded.header.name == ("tiny" if suffix == ".jsonl" else "rows")


def test_rows_as_datasets_writes_them(benchmark: Benchmark, exported: Path) -> None:
    rows = pq.read_table(exported / "manifest" / "test-00000-of-00001.parquet").to_pylist()
    file = benchmark.root / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    same(load_benchmark(file), benchmark)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "not JSON in UTF-8"),
        (b'{"id": "a"}\n{', "line 2: not JSON: "),
        (b"[]", "not an object"),
        (b'{"id": "a"}', "line 1: task"),
        (b'{"id": "a", "kind": 3}', "kind: unknown field"),
        (b"", "no row"),
    ],
)
def test_json_that_is_no_rows(content: bytes, reason: str, tmp_path: Path, private_cache: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        load_benchmark(tmp_path / "rows.jsonl")


def test_json_whose_media_are_missing(benchmark: Benchmark, private_cache: Path) -> None:
    (benchmark.root / "media/a.mp4").unlink()
    (benchmark.root / "rows.jsonl").write_text(manifest_of(LINES))
    with pytest.raises(InputError, match=r"media/a\.mp4: the table holds no media for it"):
        load_benchmark(benchmark.root / "rows.jsonl")


# --- finding --------------------------------------------------------------------------------------------------------


def test_a_file_of_another_kind(tmp_path: Path, private_cache: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"x")
    with pytest.raises(UsageError, match="is no benchmark"):
        load_benchmark(tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("user/name", True), ("user/name@v1.0", True), ("user/name@refs/pr/3", True), ("a.b/c_d-e", True),
     ("name", False), ("a/b/c", False), ("../name", False), ("./name", False), ("user/..", False), ("/name", False),
     ("user/a--b", False), ("user/rows.jsonl", False), ("user/x.parquet", False), ("user/na me", False),
     ("a/b@", False), ("user/name@a b", False), ("user\\name", False), ("https://x/y", False)],
)  # fmt: skip
def test_names_of_the_hub(text: str, is_one: bool) -> None:
    assert is_hub_name(text) is is_one


def test_a_path_goes_before_the_hub(benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user").mkdir()
    shutil.copytree(benchmark.root, tmp_path / "user" / "name")
    assert locate_benchmark("user/name") == Path("user/name")


def test_a_path_object_is_never_a_name_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="neither a folder of that path"):
        load_benchmark(Path("user/name"))


def test_shards_are_chosen_by_split() -> None:
    train = ["data/train-00000-of-00001.parquet", "README.md"]
    test = ["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"]
    assert choose_shards([*train, *test, "manifest/test-0.parquet"]) == (test, ["manifest/test-0.parquet"])
    assert choose_shards([*test, *train]) == (test, test)
    assert choose_shards(["all.parquet", "contest.csv"]) == (["all.parquet"], ["all.parquet"])


def test_a_folder_with_a_manifest_is_no_table(benchmark: Benchmark, exported: Path) -> None:
    shutil.copytree(exported / "data", benchmark.root / "data")
    assert locate_benchmark(benchmark.root) == benchmark.root


def test_opening_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_table(tmp_path / "nothing.txt")


def test_loading_a_folder_stays_light(benchmark: Benchmark) -> None:
    code = (
        "import sys; from vidchatbench.benchmark.load import load_benchmark; load_benchmark(sys.argv[1]); "
        "print([n for n in ('pyarrow', 'datasets', 'huggingface_hub', 'torch') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(benchmark.root)], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
