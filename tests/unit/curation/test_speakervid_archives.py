"""Archives and lists: whole files come out, unsafe ones never do, and damage is always said."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc

import pytest
from speakervid_made import MadeLists, make_clips, write_archive, write_archives, write_flat

from vidchatbench.curation.speakervid.archives import MAX_MEMBER_BYTES, Member, read_members
from vidchatbench.curation.speakervid.layout import find_sources
from vidchatbench.curation.speakervid.lists import TestEntry as Entry
from vidchatbench.curation.speakervid.lists import read_clip_list, read_test_list
from vidchatbench.errors import InputError

A = "BK6_XIz6-ZE_1920x1080_full_video_042_A_01"
B = "BK6_XIz6-ZE_1920x1080_full_video_042_B_02"
C = "BK6_XIz6-ZE_1920x1080_full_video_043_A_00"


def read(path, wanted=None):
    """The members, the lines about others, and the error, if one ended it."""
    found, problems = [], []
    try:
        for member in read_members(path, wanted, problems=problems):
            found.append(member)
    except InputError as error:
        return found, problems, error
    return found, problems, None


def hostile(path, entries):
    with tarfile.open(path, "w:gz") as archive:
        for entry, content in entries:
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content))
    return path


def entry(name, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


class TestMembers:
    def test_plain_files_come_by_base_name(self, tmp_path):
        path = write_archive(tmp_path / "a.tar.gz", [("x/y/a.json", b"1"), ("b.json", b"2")])
        assert read(path) == ([Member("a.json", b"1"), Member("b.json", b"2")], [], None)
        assert read(path, lambda name: name == "b.json")[0] == [Member("b.json", b"2")]

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (entry("../evil.json"), "leads out"), (entry("a/../../evil.json"), "leads out"),
            (entry("/evil.json"), "absolute"), (entry("C:/evil.json"), "absolute"),
            (entry("a\\..\\evil.json"), "leads out"), (entry("a\\evil.json"), "separators or control"),
            (entry("ev\nil.json"), "separators or control"),
            (entry("evil.json", tarfile.SYMTYPE, "/etc/passwd"), "a link"),
            (entry("evil.json", tarfile.LNKTYPE, "ok.json"), "a link"),
            (entry("evil.json", tarfile.CHRTYPE), "no regular"),
            (entry("evil.json", tarfile.FIFOTYPE), "no regular"),
        ],
    )  # fmt: skip
    def test_unsafe_members_are_left_out_and_said(self, tmp_path, bad, reason):
        path = hostile(tmp_path / "a.tar.gz", [(entry("ok.json"), b"1"), (bad, b"evil"), (entry("ok2.json"), b"2")])
        found, problems, error = read(path)
        assert [member.name for member in found] == ["ok.json", "ok2.json"]
        assert len(problems) == 1
        assert reason in problems[0]
        assert error is None
        assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tar.gz"]

    def test_large_members_are_passed_over(self, tmp_path):
        content = b"0" * (MAX_MEMBER_BYTES + 1)
        path = hostile(tmp_path / "a.tar.gz", [(entry("big.json"), content), (entry("ok.json"), b"1")])
        found, problems, _ = read(path)
        assert found == [Member("ok.json", b"1")]
        assert f"{MAX_MEMBER_BYTES + 1} bytes" in problems[0]

    def test_a_header_without_end_does_not_fill_the_memory(self, tmp_path):
        size = 256 << 20
        head = entry("pax", tarfile.XHDTYPE)
        head.size = size
        path = tmp_path / "a.tar.gz"
        with gzip.open(path, "wb", 1) as file:
            file.write(head.tobuf(tarfile.USTAR_FORMAT))
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
        tracemalloc.start()
        found, _, error = read(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == []
        assert "header" in str(error)
        assert peak < 64 << 20

    def test_many_bad_members_do_not_fill_the_log(self, tmp_path):
        path = hostile(tmp_path / "a.tar.gz", [(entry(f"../{number}.json"), b"") for number in range(300)])
        problems = read(path)[1]
        assert len(problems) == 101
        assert problems[-1].endswith("200 more members were left out")

    @pytest.mark.parametrize("mode", ["w", "w:gz"])
    def test_wherever_it_is_cut_off_it_is_said(self, tmp_path, mode):
        path = tmp_path / "a.tar"
        with tarfile.open(path, mode) as archive:
            for number in range(40):
                made = entry(f"{number}.json")
                made.size = 600
                archive.addfile(made, io.BytesIO(b"%3d" % number * 200))
        whole = path.read_bytes()
        names = [f"{number}.json" for number in range(40)]
        assert [member.name for member in read(path)[0]] == names
        last = 40 * 1536 if mode == "w" else len(whole) - 1
        for cut in [*range(0, last, 512 if mode == "w" else 37), last]:
            path.write_bytes(whole[:cut])
            found, _, error = read(path)
            assert error is not None, cut
            assert str(path) in str(error)
            assert "Fetch the archive again" in str(error)
            assert [member.name for member in found] == names[: len(found)]
            assert all(len(member.content) == 600 for member in found)

    def test_a_damaged_header_is_said(self, tmp_path):
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as archive:
            for number in range(30):
                archive.addfile(entry(f"{number}.json"), io.BytesIO(b""))
        content = bytearray(path.read_bytes())
        content[512 * 25 : 512 * 25 + 8] = b"\xff" * 8
        path.write_bytes(content)
        found, _, error = read(path)
        assert len(found) == 25
        assert error is not None

    def test_no_archive_at_all(self, tmp_path):
        path = tmp_path / "a.tar.gz"
        assert "No such file" in str(read(path)[2])
        path.write_bytes(b"<html>not found</html>" * 100)
        assert "cut off or damaged" in str(read(path)[2])

    def test_a_folder(self, tmp_path):
        for name in ("a.json", "._a.json", "b.txt"):
            (tmp_path / name).write_text("1")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "c.json").write_text("2")
        (tmp_path / "link.json").symlink_to("/etc/hostname")
        found, problems, _ = read(tmp_path)
        assert sorted(member.name for member in found) == ["a.json", "c.json"]
        assert len(problems) == 1
        assert "link.json" in problems[0]


def test_both_layouts_are_found(tmp_path):
    clips = list(make_clips(2, seed=1))
    found = find_sources(write_archives(tmp_path / "archives", clips, batches=2))
    assert {part: len(sources) for part, sources in found.items()} == {"merged": 2, "asr": 3, "caption": 3, "blur": 3}
    found = find_sources(write_flat(tmp_path / "flat", clips))
    assert {part: [one.name for one in sources] for part, sources in found.items()} == {
        "merged": ["merge_anno"], "asr": ["asr"], "caption": ["anno"], "blur": ["l_score"],
    }  # fmt: skip
    assert find_sources(tmp_path / "nothing") == {"merged": [], "asr": [], "caption": [], "blur": []}


class TestTestList:
    @pytest.mark.parametrize(
        ("value", "form", "entries"),
        [
            ([f"{A}.json", C], "names", [(None, A), (None, C)]),
            ([[A, B], [B, C]], "pairs", [(A, B), (B, C)]),
            ([{"initiator": f"{A}.json", "responder": B, "extra": 1}], "pairs", [(A, B)]),
            ([{"Initiator_Filename": A, "Responder_Filename": B}], "pairs", [(A, B)]),
            ([{"initiator": {"filename": A}, "responder": {"filename": B}}], "pairs", [(A, B)]),
            ([{"initiator": None, "responder": B}], "names", [(None, B)]),
            ([{"filename": A, "yt_id": "BK6_XIz6-ZE"}], "names", [(None, A)]),
            ({A: B}, "pairs", [(A, B)]),
            ({"test": [[A, B]]}, "pairs", [(A, B)]),
            ({"0": [A, B], "1": [B, C]}, "pairs", [(A, B), (B, C)]),
            ({"0": [A, B, C]}, "names", [(None, A), (None, B), (None, C)]),
            ({"0": {"initiator": A, "responder": B}}, "pairs", [(A, B)]),
            ([[A, B], C], "mixed", [(A, B), (None, C)]),
        ],
    )
    def test_every_shape(self, tmp_path, value, form, entries):
        path = tmp_path / "testset.json"
        path.write_text(json.dumps(value))
        found = read_test_list(path)
        assert found.form == form
        assert found.entries == tuple(Entry(*one) for one in entries)
        assert found.not_understood == ()
        assert len(found.sha256) == 64

    def test_what_is_not_understood_is_listed(self, tmp_path):
        path = tmp_path / "testset.json"
        path.write_text(json.dumps([A, 3, "no clip", [A, A], [A, B, C], {"x": 1}, A, {"responder": 5}]))
        found = read_test_list(path)
        assert found.entries == (Entry(None, A),)
        assert len(found.not_understood) == 7
        assert any("twice" in line for line in found.not_understood)
        assert any("both sides" in line for line in found.not_understood)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[1, 2]", b"\xff\xfe", b'"text"', b"[" * 100000])
    def test_no_clip_is_an_error(self, tmp_path, content):
        path = tmp_path / "testset.json"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"testset\.json"):
            read_test_list(path)


class TestClipLists:
    @pytest.mark.parametrize(
        "text",
        [
            json.dumps({"v1": [f"{A}.json", f"{B}.json"], "v2": [C]}),
            json.dumps([{"filename": A, "yt_id": "BK6_XIz6-ZE"}, {"filename": B}, {"filename": C}]),
            json.dumps([A, B, C], indent=40),
            f"{A}.json\n{B}\n\n  {C}.mp4 \n",
            "\ufeff" + json.dumps({A: {"speaker": 'quote " bracket ] \\'}, B: 1, C: []}),
        ],
    )
    def test_every_shape(self, tmp_path, text):
        path = tmp_path / "list.json"
        path.write_text(text, encoding="utf-8")
        strange = []
        assert list(read_clip_list(path, not_understood=strange)) == [A, B, C]
        assert strange == []

    def test_wherever_chunks_end_the_names_are_the_same(self, tmp_path, monkeypatch):
        names = [C.replace("043", f"{number:03d}") for number in range(60)]
        path = tmp_path / "list.json"
        path.write_text(json.dumps({'video \\" [': names, "more": [{"filename": name} for name in names]}))
        for size in range(1, 400, 7):
            monkeypatch.setattr("vidchatbench.curation.speakervid.lists._CHUNK", size)
            assert list(read_clip_list(path)) == names * 2

    def test_what_is_no_clip_is_told(self, tmp_path):
        path = tmp_path / "list.json"
        path.write_text(json.dumps({"key": [A, "strange"]}))
        strange = []
        assert list(read_clip_list(path, not_understood=strange)) == [A]
        assert strange == ["strange"]

    def test_a_list_that_is_cut_off_is_an_error(self, tmp_path):
        text = json.dumps({"v1": [A, B], "v2": [C]})
        path = tmp_path / "list.json"
        for cut in range(1, len(text)):
            path.write_text(text[:cut])
            with pytest.raises(InputError, match="cut off"):
                list(read_clip_list(path))

    @pytest.mark.parametrize("text", ["[]]", '{"a": ]', '["\\ud8"]'])
    def test_no_json_is_an_error(self, tmp_path, text):
        path = tmp_path / "list.json"
        path.write_text(text)
        with pytest.raises(InputError, match="not JSON"):
            list(read_clip_list(path))

    def test_a_long_list_needs_little_memory(self, tmp_path):
        path = tmp_path / "list.json"
        with path.open("w") as file:
            file.write('{"x": [')
            for number in range(200_000):
                file.write(f'"{C[:-8]}{number % 1000:03d}_A_{number // 1000:02d}.json", ')
            file.write(f'"{A}"]}}')
        tracemalloc.start()
        count = sum(1 for _ in read_clip_list(path))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 200_001
        assert peak < 16 << 20


def test_lists_of_a_made_dataset(tmp_path):
    clips = list(make_clips(3, seed=2))
    names = [clip.name for clip in clips]
    root = write_flat(tmp_path, clips, MadeLists(hq=names[:5], test=[[names[0], names[1]]], all={"v": names}))
    assert list(read_clip_list(root / "SFT_set.json")) == names[:5]
    assert list(read_clip_list(root / "all_data_list.json")) == names
    assert read_test_list(root / "testset.json").form == "pairs"
