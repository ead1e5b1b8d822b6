"""The index over annotations: the same whatever the order, the layout or the interruptions."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from speakervid_made import MadeLists, make_clips, write_archive, write_archives, write_flat, write_lists

from vidchatbench.curation.speakervid import indexing
from vidchatbench.curation.speakervid.index import AnnotationIndex
from vidchatbench.curation.speakervid.records import parse_record
from vidchatbench.errors import InputError


@pytest.fixture(scope="module")
def clips():
    return list(make_clips(12, seed=3))


def build(root, path):
    with AnnotationIndex.build(root, path) as index:
        return list(index)


def sources_read(monkeypatch):
    read = []
    real = indexing.read_members

    def counted(path, wanted, *, problems):
        read.append(path.name)
        return real(path, wanted, problems=problems)

    monkeypatch.setattr(indexing, "read_members", counted)
    return read


class TestSameWhatever:
    def test_the_layout_and_the_order(self, tmp_path, clips):
        lists = MadeLists(hq=[clip.name for clip in clips[::2]], test=[clips[0].name])
        shuffled = random.Random(1).sample(clips, len(clips))
        roots = [
            write_archives(tmp_path / "a", clips, lists, batches=3, seed=1),
            write_archives(tmp_path / "b", shuffled, lists, batches=5, seed=2),
            write_flat(tmp_path / "c", shuffled, lists),
        ]
        first, *others = [build(root, tmp_path / f"{root.name}.sqlite") for root in roots]
        assert len(first) == len(clips)
        assert [one == first for one in others] == [True, True]
        order = [(one.record.name.video_id, one.record.start) for one in first]
        assert order == sorted(order)

    def test_it_holds_what_the_files_say(self, tmp_path, clips):
        found = {one.record.name.text: one for one in build(write_flat(tmp_path / "d", clips), tmp_path / "i")}
        for clip in clips:
            direct = parse_record(clip.name, clip.merged, asr=clip.asr, caption=clip.caption, blur=clip.blur)
            assert found[clip.name].record == direct
            assert found[clip.name].files.merged == clip.merged

    def test_files_of_a_clip_are_read_back(self, tmp_path, clips):
        for one in build(write_flat(tmp_path / "d", clips), tmp_path / "i"):
            again = parse_record(**json.loads(json.dumps(dataclasses.asdict(one.files))))
            assert again == one.record

    def test_of_the_same_clip_twice_the_first_archive_counts(self, tmp_path, clips):
        name, merged = clips[0].name, clips[0].merged
        for folder, numbers in (("x", (1, 2)), ("y", (2, 1))):
            for number in numbers:
                root = tmp_path / folder / "merged_anno"
                root.mkdir(parents=True, exist_ok=True)
                content = json.dumps({**merged, "dover": number / 10}).encode()
                write_archive(root / f"tar_batch_{number}.tar.gz", [(f"{name}.json", content)])
            (found,) = build(tmp_path / folder, tmp_path / f"{folder}.sqlite")
            assert found.record.dover == 0.1


class TestGoingOn:
    def test_nothing_is_read_twice(self, tmp_path, clips, monkeypatch):
        root = write_archives(tmp_path / "d", clips)
        read = sources_read(monkeypatch)
        first = build(root, tmp_path / "i")
        assert len(read) == 3 + 3 * 4
        assert build(root, tmp_path / "i") == first
        assert len(read) == 3 + 3 * 4

    def test_a_changed_archive_is_read_anew(self, tmp_path, clips, monkeypatch):
        root = write_archives(tmp_path / "d", clips, batches=2)
        first = build(root, tmp_path / "i")
        read = sources_read(monkeypatch)
        kept = clips[0]
        changed = json.dumps({**kept.merged, "dover": 0.999}).encode()
        write_archive(root / "merged_anno" / "tar_batch_0.tar.gz", [(f"{kept.name}.json", changed)])
        again = build(root, tmp_path / "i")
        assert read == ["tar_batch_0.tar.gz"]
        assert len(again) < len(first)
        assert 0.999 in {one.record.dover for one in again}

    def test_a_changed_file_of_a_folder_is_read_anew(self, tmp_path, clips):
        root = write_flat(tmp_path / "d", clips)
        build(root, tmp_path / "i")
        (root / "merge_anno" / f"{clips[0].name}.json").write_text(json.dumps({**clips[0].merged, "dover": 0.98765}))
        assert 0.98765 in {one.record.dover for one in build(root, tmp_path / "i")}

    def test_lists_that_come_later(self, tmp_path, clips):
        root = write_flat(tmp_path / "d", clips)
        assert {one.hq for one in build(root, tmp_path / "i")} == {None}
        write_lists(root, MadeLists(hq=[clips[0].name], test=[[clips[0].name, clips[1].name]]))
        found = {one.record.name.text: one for one in build(root, tmp_path / "i")}
        assert [name for name, one in found.items() if one.hq] == [clips[0].name]
        assert {name for name, one in found.items() if one.in_test} == {clips[0].name, clips[1].name}
        with AnnotationIndex.open(tmp_path / "i") as index:
            assert (index.has_hq_list, index.has_test_list) == (True, True)
            counts = index.counts()
            assert (counts.merged, counts.asr, counts.hq_listed, counts.test_listed) == (len(clips), len(clips), 1, 2)

    KILLED = """
import os, signal, sys
from pathlib import Path
from vidchatbench.curation.speakervid import indexing
from vidchatbench.curation.speakervid.index import AnnotationIndex
indexing._CHUNK = 5
left = int(sys.argv[3])
def progress(source, count):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
AnnotationIndex.build(Path(sys.argv[1]), Path(sys.argv[2]), progress)
"""

    def test_a_killed_process_loses_nothing(self, tmp_path, clips, monkeypatch):
        lists = MadeLists(hq=[clip.name for clip in clips[::2]], test=[clips[0].name])
        root, path = write_archives(tmp_path / "d", clips, lists), tmp_path / "i.sqlite"
        whole = build(root, tmp_path / "fresh.sqlite")
        for steps in (1, 2, 7, 30):
            command = [sys.executable, "-c", self.KILLED, str(root), str(path), str(steps)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == -signal.SIGKILL, done.stderr
        with sqlite3.connect(path) as connection:
            finished = [name for (name,) in connection.execute("SELECT path FROM sources WHERE done = 1")]
        connection.close()
        assert finished
        read = sources_read(monkeypatch)
        assert build(root, path) == whole
        assert len(read) == 3 + 3 * 4 - len(finished)
        assert [one.name for one in tmp_path.iterdir() if one.name.startswith("i.sqlite")] == ["i.sqlite"]

    def test_two_at_once(self, tmp_path, clips):
        root, path = write_archives(tmp_path / "d", clips), tmp_path / "i"
        whole = build(root, tmp_path / "fresh")
        threads = [threading.Thread(target=build, args=(root, path)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert build(root, path) == whole


class TestDamage:
    def test_a_damaged_archive_is_named_and_the_others_are_read(self, tmp_path, clips):
        root, path = write_archives(tmp_path / "d", clips, batches=2), tmp_path / "i"
        archive = root / "merged_anno" / "tar_batch_1.tar.gz"
        content = archive.read_bytes()
        archive.write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=r"merged_anno/tar_batch_1\.tar\.gz: cut off") as caught:
            AnnotationIndex.build(root, path)
        assert "Fetch these files again" in str(caught.value)
        with AnnotationIndex.open(path) as index:
            assert index.counts().asr == len(clips)
            assert 0 < len(list(index)) < len(clips)
        archive.write_bytes(content)
        assert build(root, path) == build(root, tmp_path / "fresh")

    def test_bad_files_are_remarked_and_left_out(self, tmp_path, clips):
        root = write_flat(tmp_path / "d", clips[:3])
        folder = root / "merge_anno"
        (folder / "strange name.json").write_text("{}")
        (folder / f"{clips[3].name}.json").write_text('{"bbox": ')
        (folder / f"{clips[4].name}.json").write_bytes(b'"\xff"')
        (folder / f"{clips[5].name}.json").write_text('{"bbox": null}')
        with AnnotationIndex.build(root, tmp_path / "i") as index:
            assert len(list(index)) == 3
            remarks = "\n".join(index.remarks())
            unreadable = [line for video in index.videos() for line in video.unreadable]
        assert "strange name.json: not named like a clip" in remarks
        assert remarks.count("not JSON in UTF-8") == 2
        assert len(unreadable) == 1
        assert "no start" in unreadable[0]
        assert "no bbox" in unreadable[0]

    def test_no_annotations(self, tmp_path):
        with pytest.raises(InputError, match="no merged_anno"):
            AnnotationIndex.build(tmp_path, tmp_path / "i")
        assert not (tmp_path / "i").exists()

    def test_no_index(self, tmp_path):
        with pytest.raises(InputError, match="there is no index"):
            AnnotationIndex.open(tmp_path / "i")

    def test_another_file(self, tmp_path, clips):
        root, path = write_flat(tmp_path / "d", clips[:2]), tmp_path / "i"
        path.write_bytes(b"something else" * 1000)
        for action in (lambda: AnnotationIndex.open(path), lambda: AnnotationIndex.build(root, path)):
            with pytest.raises(InputError, match="no index, or damaged"):
                action()
        assert path.read_bytes() == b"something else" * 1000

    @pytest.mark.parametrize(
        ("statement", "reason"),
        [("CREATE TABLE theirs (x)", "another program"), ("PRAGMA user_version = 99", "version 99")],
    )
    def test_another_database(self, tmp_path, clips, statement, reason):
        root, path = write_flat(tmp_path / "d", clips[:2]), tmp_path / "i"
        if "version" in statement:
            build(root, path)
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()
        for action in (lambda: AnnotationIndex.open(path), lambda: AnnotationIndex.build(root, path)):
            with pytest.raises(InputError, match=reason):
                action()


class TestLookUp:
    def test_by_any_spelling(self, tmp_path, clips):
        clip = clips[0]
        stem, tail = clip.name.split("_full_video_")
        size = stem[12:]
        other = f"{clip.name[:11]}_full_video_{size.replace('x', '×')}_{tail}"
        with AnnotationIndex.build(write_flat(tmp_path / "d", clips), tmp_path / "i") as index:
            found = index.find(f"{clip.name}.json")
            assert found is not None
            assert found.record.name.text == clip.name
            assert index.find(other) == found
            assert index.find("abcdefghijk_1x1_full_video_0_A_0") is None
            with pytest.raises(ValueError, match="video id"):
                index.find("nothing")

    def test_labels_in_another_spelling_are_found(self, tmp_path, clips):
        root = write_flat(tmp_path / "d", clips)
        for path in sorted((root / "anno").iterdir()):
            path.rename(path.with_name(path.name.replace("x", "×", 1) if path.name[11] == "_" else path.name))
        with_motion = [one for one in build(root, tmp_path / "i") if one.record.motion is not None]
        assert len(with_motion) >= len(clips) - sum("x" in clip.name[:11] for clip in clips)

    def test_a_transcript_of_the_whole_video(self, tmp_path, clips):
        video = clips[0].name[:11]
        own = [clip for clip in clips if clip.name.startswith(video)]
        root = write_flat(tmp_path / "d", own)
        segments = []
        for clip in own:
            (root / "asr" / f"{clip.name}.json").unlink()
            start, end = clip.merged["start_seconds"], clip.merged["end_seconds"]
            if "_None_" not in clip.name:
                said = {"start": start + 0.2, "end": end - 0.2, "text": clip.name[-8:], "avg_logprob": -0.4}
                segments.append({**said, "speaker": clip.merged["speaker"][0]})
        (root / "asr" / f"{own[0].name.partition('_full_video')[0]}_full_video.json").write_text(
            json.dumps({"text": "everybody's words", "segments": segments})
        )
        for one in build(root, tmp_path / "i"):
            silent = one.record.name.label is None
            assert one.record.transcript == (None if silent else one.record.name.text[-8:])
            assert one.record.asr_confidence == (None if silent else pytest.approx(-0.4))
            again = parse_record(**dataclasses.asdict(one.files))
            assert (again.transcript, again.asr_confidence) == (one.record.transcript, one.record.asr_confidence)


def test_reading_is_by_video(tmp_path, clips):
    with AnnotationIndex.build(write_flat(tmp_path / "d", clips), tmp_path / "i") as index:
        videos = list(index.videos())
        assert [video.video_id for video in videos] == sorted({clip.name[:11] for clip in clips})
        assert all(one.record.name.video_id == video.video_id for video in videos for one in video.clips)
        assert index.video(videos[3].video_id) == videos[3]
        assert index.video("abcdefghijk") is None
    assert sorted(Path(tmp_path).glob("i*")) == [tmp_path / "i"]
