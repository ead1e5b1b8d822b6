"""The report shows the clips that were scored and no others, and tells nobody where they lie on the machine."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import report_runs as runs
from report_runs import Seen, written

from vidchatbench.api.samples import Role
from vidchatbench.api.scores import Score
from vidchatbench.core.hashing import hash_file
from vidchatbench.engine.journal import Journal
from vidchatbench.errors import InputError, UsageError
from vidchatbench.report import media
from vidchatbench.report.write import write_report


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A benchmark and outputs of three samples beside a run; the content of a clip is its name."""
    root = tmp_path / "all"
    (root / "bench" / "media").mkdir(parents=True)
    (root / "outputs").mkdir()
    lines, told = [], []
    for name in ("s 0", "s#1", "s%2"):
        sides = {}
        for side in ("initiator", "responder"):
            path = root / "bench" / "media" / f"{side[0]} {name}.mp4"
            path.write_text(path.name)
            sides[side] = {"media": f"media/{path.name}", "sha256": hash_file(path), "speaker_id": name}
        lines.append(json.dumps({"id": name, "task": "dialogue", "language": "en", **sides}))
        out = root / "outputs" / f"{name}.mp4"
        out.write_text(f"candidate {name}")
        told.append({"sample_id": name, "role": "candidate", "file": out.name, "sha256": hash_file(out)})
        told.append({"sample_id": name, "role": "reference", "file": sides["responder"]["media"]})
    manifest = root / "bench" / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    header = {"schema_version": 1, "name": "toy", "version": "1.0.0", "description": "d", "n_samples": 3,
              "manifest_sha256": hash_file(manifest), "license": "CC0"}  # fmt: skip
    (root / "bench" / "benchmark.json").write_text(json.dumps(header))
    benchmark = {"name": "toy", "version": "1.0.0", "manifest_sha256": header["manifest_sha256"], "n_samples": 3}
    runs.make_run(root / "run", samples=3, names=["s 0", "s#1", "s%2"], benchmark=benchmark,
                  score=lambda _, k: Score.ok(float(k)))  # fmt: skip
    (root / "run" / "media.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    return root


def addresses(content: str) -> list[str]:
    return list(json.loads(Seen(content).scripts[0])["addresses"])


def notes(content: str, side: str) -> list[str | None]:
    return [entry.get("note") for entry in json.loads(Seen(content).scripts[0])["clips"][side]]


def test_clips_are_linked_relative_to_the_page_and_no_path_of_the_machine_is_in_it(clips: Path) -> None:
    content = written(clips / "run", benchmark=clips / "bench", outputs=clips / "outputs")
    assert set(addresses(content)) == {
        f"../{folder}/{name}.mp4"
        for sample in ("s%200", "s%231", "s%252")
        for folder, name in (("outputs", sample), ("bench/media", f"i%20{sample}"), ("bench/media", f"r%20{sample}"))
    }
    assert str(clips) not in content
    elsewhere = clips / "deep" / "er" / "page.html"
    content = written(clips / "run", benchmark=clips / "bench", outputs=clips / "outputs", out=elsewhere)
    assert "../../outputs/s%200.mp4" in addresses(content)
    assert (elsewhere.parent / "tables" / "results.csv").is_file()


def test_a_colon_in_a_name_cannot_become_a_scheme(tmp_path: Path) -> None:
    path = tmp_path / "javascript:alert(1).mp4"
    index = media.MediaIndex({("s", Role.CANDIDATE): media.Clip(path)})
    assert media.links(index, tmp_path) == {path: "javascript%3Aalert%281%29.mp4"}


def test_the_journal_tells_where_the_clips_lie(clips: Path) -> None:
    Journal(clips / "run").write("planned", outputs=str(clips / "gone"), benchmark=str(clips / "gone"))
    Journal(clips / "run").write("planned", outputs=str(clips / "outputs"), benchmark=str(clips / "bench"))
    content = written(clips / "run")
    assert len(addresses(content)) == 9
    assert str(clips) not in content


def test_without_the_folders_the_page_says_so_and_is_whole(clips: Path) -> None:
    found = write_report(clips / "run")
    assert addresses(found.page.read_text("utf-8")) == []
    assert "--benchmark" in found.notes[0]
    assert "--outputs" in found.notes[1]


def test_another_file_than_the_scored_one_is_not_shown(clips: Path) -> None:
    (clips / "outputs" / "s 0.mp4").write_text("another take")
    (clips / "outputs" / "s#1.mp4").unlink()
    (clips / "bench" / "media" / "i s 0.mp4").unlink()
    content = written(clips / "run", benchmark=clips / "bench", outputs=clips / "outputs")
    assert notes(content, "candidate") == ["s 0.mp4 is not the file that was scored", "s#1.mp4 is not there", None]
    assert notes(content, "initiator") == ["i s 0.mp4 is not there", None, None]


@pytest.mark.parametrize("name", ["../bench/benchmark.json", "/etc/hostname", "..\\x.mp4", "..", ""])
def test_a_run_cannot_make_the_page_link_other_files(clips: Path, name: str) -> None:
    line = {"sample_id": "s 0", "role": "candidate", "file": name}
    (clips / "run" / "media.jsonl").write_text(json.dumps(line) + "\n")
    content = written(clips / "run", outputs=clips / "outputs")
    assert addresses(content) == []
    assert "outside" in (notes(content, "candidate")[0] or "")


def test_another_benchmark_is_refused(clips: Path, tmp_path: Path) -> None:
    runs.make_run(tmp_path / "run")
    with pytest.raises(InputError, match="its manifest is"):
        write_report(tmp_path / "run", benchmark=clips / "bench")
    with pytest.raises(UsageError, match="not a folder"):
        write_report(clips / "run", outputs=clips / "nowhere")


def test_small_clips_of_the_worst_samples_can_lie_in_the_page(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"benchmark": clips / "bench", "outputs": clips / "outputs", "embed": True}
    inside = addresses(written(clips / "run", **options))
    assert all(address.startswith("data:video/mp4;base64,") for address in inside)
    assert base64.b64decode(inside[0].partition(",")[2]) == b"i s 0.mp4"
    monkeypatch.setattr(media, "MAX_EMBEDDED_CLIP_BYTES", len("candidate s 0") - 1)
    kinds = [address[:5] for address in addresses(written(clips / "run", **options))]
    assert (kinds.count("data:"), kinds.count("../ou")) == (6, 3)
    monkeypatch.setattr(media, "MAX_EMBEDDED_BYTES", 20)
    assert [address[:5] for address in addresses(written(clips / "run", **options))].count("data:") == 2
