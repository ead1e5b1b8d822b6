"""People bring folders: every mistake in them is named with its file, all at once, and before any model runs."""

from __future__ import annotations

import copy
import hashlib
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidchatbench.benchmark.format import Benchmark
from vidchatbench.benchmark.load import load_benchmark, locate_benchmark
from vidchatbench.errors import InputError, MediaError, UnavailableError, UsageError
from vidchatbench.submission.check import CheckedSubmission, Severity, check_submission
from vidchatbench.submission.system import read_notes, read_system

MakeClip = Callable[..., Path]
Line = dict[str, Any]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Folder:
    """A benchmark folder in the making; media are a few bytes, for nothing here decodes them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "media").mkdir(parents=True)
        self.lines: list[Line] = []

    def media(self, name: str, content: bytes = b"media") -> dict[str, str]:
        (self.root / "media" / name).write_bytes(content)
        return {"media": f"media/{name}", "sha256": digest(content)}

    def sample(self, sample_id: str, **changes: Any) -> Line:
        side = {**self.media(f"{len(self.lines)}.mp4", sample_id.encode("utf-8", "replace")), "speaker_id": "s"}
        line: Line = {"id": sample_id, "task": "dialogue", "language": "en", "initiator": side, "responder": side}
        self.lines.append({**line, **changes})
        return self.lines[-1]

    def write(self, manifest: bytes | None = None, **header: Any) -> Path:
        if manifest is None:
            manifest = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines).encode()
        (self.root / "manifest.jsonl").write_bytes(manifest)
        content = {"schema_version": 1, "name": "tiny", "version": "1.0", "description": "d", "license": "CC0"}
        content |= {"n_samples": len(self.lines), "manifest_sha256": digest(manifest), **header}
        (self.root / "benchmark.json").write_text(json.dumps(content), encoding="utf-8")
        return self.root

    def load(self, **header: Any) -> Benchmark:
        return load_benchmark(self.write(**header))

    def problems(self, manifest: bytes | None = None, **header: Any) -> tuple[str, tuple[str, ...]]:
        """What loading says: the file, and the problems."""
        root = self.write(manifest, **header)
        with pytest.raises(InputError) as raised:
            load_benchmark(root)
        return Path(raised.value.subject).name, raised.value.problems


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "benchmark")


# --- the benchmark --------------------------------------------------------------------------------------------------


def test_a_sound_benchmark_is_loaded(folder: Folder) -> None:
    for name in ("a", "with space", "日本"):
        folder.sample(name)
    benchmark = folder.load()
    assert [sample.id for sample in benchmark] == ["a", "with space", "日本"]
    assert len(benchmark) == 3
    assert benchmark.media("media/0.mp4").read_bytes() == b"a"
    benchmark.verify_media()


@pytest.mark.parametrize(
    "text", ["a\u2028b", "a\u2029b", "a\x85b", "a\x0bb", "a\x0cb", "a\x1eb", "a\nb", "a\r\nb", '"', "\\"]
)
def test_a_transcript_may_hold_any_character(folder: Folder, text: str) -> None:
    # JSON allows the separators that str.splitlines takes for the end of a line, and real transcripts have them.
    line = folder.sample("a")
    line["initiator"] = {**line["initiator"], "transcript": text}
    folder.sample("b")
    benchmark = folder.load()
    assert benchmark.samples[0].initiator.transcript == text
    assert len(benchmark) == 2


def test_line_ends_of_windows_and_blank_lines_are_no_matter(folder: Folder) -> None:
    folder.sample("a")
    folder.sample("b")
    manifest = "\r\n\r\n".join(json.dumps(line) for line in folder.lines).encode()
    folder.write(manifest)
    assert len(load_benchmark(folder.root)) == 2


MARK = "\ufeff".encode()


@pytest.mark.parametrize("places", [(0,), (1,), (0, 1, 2)], ids=["at the start", "of a joined file", "everywhere"])
def test_byte_order_marks_are_no_matter(folder: Folder, places: tuple[int, ...]) -> None:
    for name in ("a", "b", "c"):
        folder.sample(name)
    lines = [json.dumps(line).encode() + b"\n" for line in folder.lines]
    marked = b"".join(MARK * (k in places) + line for k, line in enumerate(lines))
    folder.write(marked)
    header = folder.root / "benchmark.json"
    header.write_bytes(MARK + header.read_bytes())
    assert [sample.id for sample in load_benchmark(folder.root)] == ["a", "b", "c"]
    # The rows of an export, and of a file of rows, are those of the manifest to the byte.
    assert [sample.id for sample in load_benchmark(folder.root / "manifest.jsonl")] == ["a", "b", "c"]
    (folder.root / "rows.jsonl").write_bytes(marked)
    assert load_benchmark(folder.root / "rows.jsonl").header.manifest_sha256 == digest(marked)
    (folder.root / "rows.json").write_bytes(MARK + json.dumps(folder.lines).encode())
    assert len(load_benchmark(folder.root / "rows.json")) == 3


@pytest.mark.parametrize("speaker", ["", " ", "\t\n", "\u200b", "\u00a0\u2003", "\ufeff"], ids=ascii)
def test_a_speaker_without_a_name_is_a_problem_of_the_manifest(folder: Folder, speaker: str) -> None:
    # Or all samples would be of one identity, and no interval could be given.
    good = folder.sample("good")
    folder.sample("bad", responder={**good["responder"], "speaker_id": speaker})
    folder.sample("also", initiator={**good["initiator"], "speaker_id": speaker})
    _, problems = folder.problems()
    expected = "a speaker id is not empty; where the speaker is unknown, give every sample an id of its own"
    assert list(problems) == [f"line 2: responder.speaker_id: {expected}", f"line 3: initiator.speaker_id: {expected}"]


@pytest.mark.parametrize("speaker", ["0", "-", " a ", "\u200ba", "無名"], ids=ascii)
def test_anything_that_can_be_seen_names_a_speaker(folder: Folder, speaker: str) -> None:
    side = folder.sample("a")["initiator"]
    folder.sample("b", responder={**side, "speaker_id": speaker})
    assert folder.load().samples[1].cluster == speaker


def test_all_problems_of_a_manifest_are_listed_at_once(folder: Folder) -> None:
    folder.sample("good")
    folder.sample("twice")
    folder.sample("TWICE")
    folder.sample("odd", colour="red")
    folder.sample("../away")
    folder.sample("task", task="singing")
    bad_side = folder.sample("bad side")
    bad_side["initiator"] = {**bad_side["initiator"], "media": "/etc/passwd", "sha256": "00"}
    del folder.sample("no language")["language"]
    manifest = "".join(json.dumps(line) + "\n" for line in folder.lines).encode() + b"{not json\n[]\n"
    name, problems = folder.problems(manifest)
    assert name == "manifest.jsonl"
    text = "\n".join(problems)
    for expected in (
        "sample id 'twice' stands 2 times",
        "line 4: colour: unknown field",
        "line 5: id: ",
        "line 6: task: ",
        "line 7: initiator.media: ",
        "line 7: initiator.sha256: ",
        "line 8: language: ",
        "line 9: not JSON",
        "line 10: ",
    ):
        assert expected in text
    assert "line 1:" not in text
    assert len(problems) == 9


@pytest.mark.parametrize("other", ["a", "A"])
def test_two_samples_of_one_id_are_refused_also_by_case(folder: Folder, other: str) -> None:
    folder.sample("a")
    folder.sample(other)
    assert folder.problems() == ("manifest.jsonl", ("sample id 'a' stands 2 times",))


def test_ids_that_differ_in_more_than_case_are_two(folder: Folder) -> None:
    for name in ("a", "á", "a ä", "a-b", "a_b"):
        folder.sample(name)
    assert len(folder.load()) == 5


@pytest.mark.parametrize("manifest", [b"", b"\n\n", b"  \n"])
def test_an_empty_manifest_is_refused(folder: Folder, manifest: bytes) -> None:
    assert folder.problems(manifest, n_samples=1) == ("manifest.jsonl", ("the manifest has no sample",))


@pytest.mark.parametrize("file", ["manifest.jsonl", "benchmark.json"])
def test_what_is_not_utf8_is_refused(folder: Folder, file: str) -> None:
    folder.sample("a")
    root = folder.write()
    path = root / file
    path.write_bytes(path.read_bytes().replace(b"tiny", b"t\xffny").replace(b'"en"', b'"\xff"'))
    with pytest.raises(InputError, match="UTF-8") as raised:
        load_benchmark(root)
    assert Path(raised.value.subject).name == file


def test_count_and_hash_are_checked_together(folder: Folder) -> None:
    folder.sample("a")
    name, problems = folder.problems(n_samples=500, manifest_sha256="f" * 64)
    assert name == "manifest.jsonl"
    assert len(problems) == 2
    assert "announces 500 samples, the manifest has 1" in problems[0]
    assert "benchmark.json says ffffffffffff" in problems[1]


def test_a_manifest_edited_after_publication_is_refused(folder: Folder) -> None:
    folder.sample("a")
    root = folder.write()
    path = root / "manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"en"', b'"de"'))
    with pytest.raises(InputError, match="changed after the benchmark was published"):
        load_benchmark(root)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"colour": "red"}, "colour: unknown field"),
        ({"schema_version": 2}, "schema_version"),
        ({"n_samples": 0}, "n_samples"),
        ({"manifest_sha256": "abc"}, "manifest_sha256"),
        ({"name": 3}, "name"),
    ],
)
def test_the_header_is_checked(folder: Folder, header: dict[str, object], problem: str) -> None:
    folder.sample("a")
    name, problems = folder.problems(**header)
    assert name == "benchmark.json"
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_header_that_is_no_object_is_refused(folder: Folder, content: str) -> None:
    folder.sample("a")
    root = folder.write()
    (root / "benchmark.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_benchmark(root)
    assert Path(raised.value.subject).name == "benchmark.json"


@pytest.mark.parametrize("file", ["benchmark.json", "manifest.jsonl"])
def test_a_folder_that_lacks_a_file_is_told_which(folder: Folder, file: str) -> None:
    folder.sample("a")
    root = folder.write()
    (root / file).unlink()
    with pytest.raises(InputError, match=file):
        load_benchmark(root)


def test_all_media_problems_are_listed_at_once(folder: Folder) -> None:
    for name in ("a", "b", "c"):
        folder.sample(name)
    folder.sample("d", reference_image="media/face.png")
    benchmark = folder.load()
    (folder.root / "media" / "0.mp4").unlink()
    (folder.root / "media" / "1.mp4").write_bytes(b"other")
    with pytest.raises(InputError) as raised:
        benchmark.verify_media()
    problems = raised.value.problems
    assert len(problems) == 3
    assert problems[0] == "media/0.mp4: the media file is missing"
    assert problems[1].startswith("media/1.mp4: sha256 is ")
    assert problems[2] == "media/face.png: the media file is missing"
    (folder.root / "media" / "face.png").write_bytes(b"x")
    (folder.root / "media" / "0.mp4").write_bytes(b"a")
    (folder.root / "media" / "1.mp4").write_bytes(b"b")
    benchmark.verify_media()


def test_the_reference_image_may_be_one_of_the_clips(folder: Folder) -> None:
    # Then one path stands once with a hash and once without.
    line = folder.sample("a")
    line["reference_image"] = line["responder"]["media"]
    folder.load().verify_media()


def test_one_file_with_two_hashes_is_told(folder: Folder) -> None:
    one, two = folder.sample("a"), folder.sample("b")
    two["initiator"] = two["responder"] = {**one["initiator"], "sha256": "f" * 64}
    with pytest.raises(InputError, match=r"media/0\.mp4: sha256 is"):
        folder.load().verify_media()


# --- finding a benchmark --------------------------------------------------------------------------------------------


def test_a_benchmark_is_found_by_folder_and_by_manifest(folder: Folder) -> None:
    folder.sample("a")
    root = folder.write()
    for where in (root, str(root), root / "manifest.jsonl", str(root / "manifest.jsonl"), f"{root}/"):
        assert load_benchmark(where).root == root


def test_a_prepared_benchmark_is_found_by_name(
    folder: Folder, private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder.sample("a")
    folder.write()
    target = private_cache / "benchmarks" / "mine"
    target.parent.mkdir(parents=True)
    folder.root.rename(target)
    assert locate_benchmark("mine") == target
    assert load_benchmark("mine").header.name == "tiny"


def test_an_unknown_name_says_where_was_looked(
    private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("nothing", "nothing/at/all", str(tmp_path / "nothing")):
        with pytest.raises(UsageError) as raised:
            load_benchmark(name)
        for part in (name, str(private_cache / "benchmarks"), "test_500"):
            assert part in str(raised.value)


def test_the_official_set_says_how_it_is_brought(
    private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"not prepared.*data prepare test_500.*--benchmark PATH.*README"):
        load_benchmark("test_500")


def test_a_name_cannot_leave_the_folder_of_benchmarks(
    private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (private_cache / "benchmarks").mkdir(parents=True)
    (private_cache / "secret").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        locate_benchmark("../secret")


# --- the submission -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, make_clip: MakeClip) -> bytes:
    """A good clip of 1.2 seconds."""
    return make_clip(
        tmp_path_factory.mktemp("clip") / "good.mp4", seconds=1.2, size=(32, 32), color_space=1
    ).read_bytes()


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    made = tmp_path / "outputs"
    made.mkdir()
    return made


def benchmark_of(folder: Folder, *names: str) -> Benchmark:
    for name in names:
        folder.sample(name)
    return folder.load()


def findings(checked: CheckedSubmission) -> list[tuple[str, str, str | None]]:
    return [(problem.severity.value, problem.code, problem.sample) for problem in checked.problems]


def test_a_good_submission_has_no_problem(folder: Folder, outputs: Path, clip: bytes) -> None:
    names = ["a", "with space", "日本", "v1.2", "été"]
    for name in names:
        (outputs / f"{name}.mp4").write_bytes(clip)
    checked = check_submission(outputs, benchmark_of(folder, *names))
    assert checked.problems == []
    assert list(checked.outputs) == names
    assert all(output.info is not None for output in checked.outputs.values())
    assert checked.system.name == "outputs"


def test_names_with_letters_taken_apart_are_found(folder: Folder, outputs: Path, clip: bytes) -> None:
    # Some file systems hand back "e" and an accent where "é" was written.
    apart = unicodedata.normalize("NFD", "été")
    assert apart != "été"
    (outputs / f"{apart}.mp4").write_bytes(clip)
    (outputs / f"{apart}.json").write_text('{"latency": 1}', encoding="utf-8")
    checked = check_submission(outputs, benchmark_of(folder, "été"))
    assert checked.outputs["été"].info is not None
    assert findings(checked) == [("warning", "bad_notes", "été")], "its notes are found as well as the clip"


def test_every_problem_is_listed_and_none_stops_the_listing(
    folder: Folder, outputs: Path, clip: bytes, make_clip: MakeClip
) -> None:
    names = ["empty", "good", "missing", "no sound", "no picture", "short", "text", "twice"]
    (outputs / "good.MP4").write_bytes(clip)
    (outputs / "empty.mp4").touch()
    (outputs / "text.webm").write_text("not media", encoding="utf-8")
    for suffix in (".mp4", ".mkv"):
        (outputs / f"twice{suffix}").write_bytes(clip)
    (outputs / "stranger.mp4").write_bytes(clip)
    (outputs / "Good.mov").write_bytes(clip)
    (outputs / "notes.txt").write_text("ignored", encoding="utf-8")
    (outputs / "folder.mp4").mkdir()
    make_clip(outputs / "short.mp4", seconds=0.4, color_space=1)
    make_clip(outputs / "no sound.mp4", seconds=1.2, audio=None, color_space=1)
    make_clip(outputs / "no picture.mp4", seconds=1.2, video=False)
    checked = check_submission(outputs, benchmark_of(folder, *names))
    assert sorted(findings(checked), key=str) == sorted(
        [
            ("error", "unreadable", "empty"),
            ("error", "missing", "missing"),
            ("error", "no_audio", "no sound"),
            ("error", "no_video", "no picture"),
            ("error", "too_short", "short"),
            ("error", "unreadable", "text"),
            ("error", "ambiguous", "twice"),
            ("warning", "unknown_sample", None),
            ("warning", "unknown_sample", None),
        ],
        key=str,
    )
    assert {problem.file for problem in checked.problems if problem.code == "unknown_sample"} == {
        "stranger.mp4",
        "Good.mov",
    }
    assert len(checked.errors) == 7
    by_sample = {problem.sample: problem for problem in checked.errors}
    assert "twice.mkv, twice.mp4" in by_sample["twice"].message
    assert "missing.mp4" in by_sample["missing"].message
    assert str(outputs) not in (by_sample["empty"].message), "the file is named in a field of its own"
    assert by_sample["empty"].file == "empty.mp4"
    assert checked.outputs["missing"].path is None
    for name in ("empty", "text", "twice"):
        assert checked.outputs[name].path is not None
        assert checked.outputs[name].info is None
        assert checked.outputs[name].reason
    assert checked.outputs["no sound"].info is not None


def test_two_spellings_of_one_name_are_ambiguous(folder: Folder, outputs: Path, clip: bytes) -> None:
    for form in ("NFC", "NFD"):
        (outputs / f"{unicodedata.normalize(form, 'é')}.mp4").write_bytes(clip)  # type: ignore[arg-type]
    if len(list(outputs.iterdir())) == 1:
        pytest.skip("this file system takes both spellings for one")
    checked = check_submission(outputs, benchmark_of(folder, "é"))
    assert findings(checked) == [("error", "ambiguous", "é")]


def test_lengths_that_do_not_fit_are_told(folder: Folder, outputs: Path, make_clip: MakeClip, clips: Any) -> None:
    make_clip(outputs / "a.mp4", seconds=1.2, audio=clips.Sound(seconds=4), color_space=1)
    checked = check_submission(outputs, benchmark_of(folder, "a"))
    assert findings(checked) == [("warning", "lengths_differ", "a")]


def test_what_is_unusual_is_told_and_scored(folder: Folder, outputs: Path, make_clip: MakeClip) -> None:
    make_clip(outputs / "a.mp4", seconds=1.2, fps=5, rotation=90)
    checked = check_submission(outputs, benchmark_of(folder, "a"))
    assert {code for _, code, _ in findings(checked)} == {"unusual"}
    assert len(checked.problems) == 3
    assert checked.errors == []
    assert checked.outputs["a"].info is not None


@pytest.mark.parametrize("stray", [None, "a.txt", "stranger.mp4", "a.wav"])
def test_a_folder_without_any_output_is_wrong_usage(
    folder: Folder, outputs: Path, clip: bytes, stray: str | None
) -> None:
    if stray is not None:
        (outputs / stray).write_bytes(clip)
    with pytest.raises(UsageError, match=r"no output of benchmark 'tiny'; expected a\.mp4"):
        check_submission(outputs, benchmark_of(folder, "a"))


def test_a_missing_folder_is_wrong_usage(folder: Folder, outputs: Path, clip: bytes) -> None:
    benchmark = benchmark_of(folder, "a")
    (outputs / "a.mp4").write_bytes(clip)
    for where in (outputs / "gone", outputs / "a.mp4"):
        with pytest.raises(UsageError, match="is not a folder"):
            check_submission(where, benchmark)


# --- system.yaml and notes ------------------------------------------------------------------------------------------


def system(outputs: Path, text: str) -> Any:
    (outputs / "system.yaml").write_text(text, encoding="utf-8")
    return read_system(outputs)


def test_a_system_describes_itself(outputs: Path) -> None:
    found = system(
        outputs,
        "name: Ünï 日本\nrevision: abc\nauthors: [A, B]\nopen_weights: false\nparameters: 7B\n"
        "generation_settings: {steps: 30, guidance: 7.5, fast: true, sampler: ddim, seed: null}\n",
    )
    assert found.name == "Ünï 日本"
    assert found.authors == ("A", "B")
    assert found.open_weights is False
    settings = {"steps": 30, "guidance": 7.5, "fast": True, "sampler": "ddim", "seed": None}
    assert found.generation_settings == settings
    assert [type(value) for value in found.generation_settings.values()] == [type(v) for v in settings.values()]
    assert found.license is None


def test_without_a_description_the_folder_gives_the_name(
    tmp_path: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_system(outputs).name == "outputs"
    monkeypatch.chdir(outputs)
    assert read_system(Path()).name == "outputs"
    long = tmp_path / ("x" * 150)
    long.mkdir()
    assert read_system(long).name == "x" * 100


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "dictionary"),
        ("just text", "dictionary"),
        ("[1, 2]", "dictionary"),
        ("name: [", "not readable as YAML"),
        ("name: a\tb: c", "not readable as YAML"),
        ("a: &x {b: *x", "not readable as YAML"),
        ("name: a\ncolour: red", "colour: unknown field"),
        ("revision: a", "name: "),
        ("name: ''", "name: "),
        (f"name: {'x' * 101}", "name: "),
        ("name: 3", "name: "),
        ("name: a\nauthors: me", "authors"),
        ("name: a\nopen_weights: perhaps", "open_weights"),
        ("name: a\ngeneration_settings: {temperature: .inf}", "generation_settings"),
        ("name: a\ngeneration_settings: {temperature: .nan}", "generation_settings"),
        ("name: !!python/object/apply:os.system ['true']", "not readable as YAML"),
        ("name: a\n1: b", "1"),
    ],
)
def test_a_bad_description_is_told_with_its_file(outputs: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError) as raised:
        system(outputs, text)
    assert raised.value.subject == str(outputs / "system.yaml")
    assert any(problem in line for line in raised.value.problems), raised.value.problems


def test_all_problems_of_a_description_are_listed(outputs: Path) -> None:
    with pytest.raises(InputError) as raised:
        system(outputs, "colour: red\nauthors: 3\nopen_weights: perhaps\n")
    assert len(raised.value.problems) == 4


def test_a_description_that_is_not_utf8_is_told(outputs: Path) -> None:
    (outputs / "system.yaml").write_bytes("name: Ünï".encode("latin-1"))
    with pytest.raises(InputError, match=r"system\.yaml"):
        read_system(outputs)


def test_a_bad_description_is_found_before_anything_is_probed(folder: Folder, outputs: Path, clip: bytes) -> None:
    (outputs / "a.mp4").write_bytes(clip)
    (outputs / "system.yaml").write_text("colour: red", encoding="utf-8")
    with pytest.raises(InputError, match="colour"):
        check_submission(outputs, benchmark_of(folder, "a"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ""),
        ("[]", ""),
        ("{", ""),
        ('{"transcript": 3}', "transcript"),
        ('{"latency_s": -1}', "latency_s"),
        ('{"latency_s": NaN}', "latency_s"),
        ('{"latency_s": Infinity}', "latency_s"),
        ('{"latency": 1}', "latency: unknown field"),
    ],
)
def test_bad_notes_are_a_warning_with_their_file(
    folder: Folder, outputs: Path, clip: bytes, text: str, problem: str
) -> None:
    (outputs / "a.mp4").write_bytes(clip)
    (outputs / "a.json").write_text(text, encoding="utf-8")
    checked = check_submission(outputs, benchmark_of(folder, "a"))
    (found,) = checked.problems
    assert (found.severity, found.code, found.sample, found.file) == (Severity.WARNING, "bad_notes", "a", "a.json")
    assert problem in found.message
    assert checked.outputs["a"].info is not None


def test_notes_that_are_no_text_are_a_warning(folder: Folder, outputs: Path, clip: bytes) -> None:
    (outputs / "a.mp4").write_bytes(clip)
    (outputs / "a.json").write_bytes(b'{"transcript": "\xff"}')
    assert findings(check_submission(outputs, benchmark_of(folder, "a"))) == [("warning", "bad_notes", "a")]


def test_notes_with_a_byte_order_mark_are_read(outputs: Path) -> None:
    path = outputs / "a.json"
    path.write_bytes(MARK + b'{"transcript": "hello"}')
    assert read_notes(path).transcript == "hello"
    path.write_bytes(b'{"transcript": "\xef\xbb\xbfhello"}')
    assert read_notes(path).transcript == "\ufeffhello", "only one at the start is none of the text"
    path.write_bytes(MARK + MARK + b"{}")
    with pytest.raises(InputError, match="JSON"):
        read_notes(path)


def test_good_notes_are_read(outputs: Path) -> None:
    (outputs / "a.json").write_text('{"transcript": "héllo", "latency_s": 0.5}', encoding="utf-8")
    assert read_notes(outputs / "a.json").model_dump() == {"transcript": "héllo", "latency_s": 0.5}
    (outputs / "b.json").write_text("{}", encoding="utf-8")
    assert read_notes(outputs / "b.json").transcript is None


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        InputError("manifest.jsonl", ["line 1: not JSON", "line 2: not JSON"], "Repair it."),
        MediaError("a.mp4", "truncated"),
        UnavailableError("weight 'net' is not here", "vidchatbench weights pull net"),
        UsageError("there is no suite 'x'"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way_between_processes(error: Exception) -> None:
    # Copying takes the same road as sending: an error that cannot be rebuilt breaks the pool it is raised in.
    again = copy.copy(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_input_error_is_one_text_with_every_problem_and_the_way_out() -> None:
    text = str(InputError("manifest.jsonl", ["line 1: x", "line 2: y"], "Repair it."))
    assert text == "manifest.jsonl: 2 problems\n  - line 1: x\n  - line 2: y\n  Repair it."
    assert str(InputError("f", ["x"])).startswith("f: 1 problem\n")
