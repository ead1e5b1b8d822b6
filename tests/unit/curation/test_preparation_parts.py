"""The parts of a preparation, each by itself: ledger, list, pairs, fingerprints, videos, what is published."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import Sound, bars, make_clip
from PIL import Image
from preparation_world import ANN, BOB, LONG_TURNS, World, build_world

import vidchatbench as vcb
from vidchatbench.core import paths
from vidchatbench.core.hashing import CHECKSUMS_FILE
from vidchatbench.core.progress import SilentProgress
from vidchatbench.curation.preparation.annotations import Wanted
from vidchatbench.curation.preparation.clips import recipe
from vidchatbench.curation.preparation.fingerprints import compare, fingerprint
from vidchatbench.curation.preparation.hosts import LostVideoError, Manners, reason_of
from vidchatbench.curation.preparation.ledger import Ledger
from vidchatbench.curation.preparation.listing import LIST_FILE, ListedClip, ListedSample, read_list, write_list
from vidchatbench.curation.preparation.plan import LOST_FILE
from vidchatbench.curation.preparation.publish import SCHEMA_FILE, list_schema, publish, write_list_checksums
from vidchatbench.curation.preparation.run import Prepared, disk_need, prepare
from vidchatbench.curation.preparation.samples import pair
from vidchatbench.curation.preparation.settings import PrepareSettings, read_ids
from vidchatbench.curation.preparation.status import status_of
from vidchatbench.curation.preparation.videos import VideoFolder
from vidchatbench.curation.selection.choose import Rules, choose
from vidchatbench.curation.selection.exclusions import read_exclusions
from vidchatbench.curation.selection.write import write_selection
from vidchatbench.curation.speakervid.branches import SpeakerVid
from vidchatbench.curation.speakervid.labels import transcript_names
from vidchatbench.curation.speakervid.lists import TestEntry
from vidchatbench.curation.speakervid.names import ClipName
from vidchatbench.curation.speakervid.records import RecordError, parse_record
from vidchatbench.errors import InputError, UsageError
from vidchatbench.media.cut import CUT_PROFILE, Cut, Source, cut_clip
from vidchatbench.media.encode import Encoding, write_clip
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader

ROOT = Path(__file__).resolve().parents[3]
QUIET = SilentProgress()


def clip(name: str = "c", **more: object) -> ListedClip:
    given = {"clip": name, "video": ANN, "start": 1.0, "end": 3.0, "box": (0, 0, 1, 1), "speaker_id": f"{ANN}:A"}
    return ListedClip.model_validate({**given, **more})


def sample(name: str = "s", **more: object) -> ListedSample:
    given = {"id": name, "task": "dialogue", "language": "en", "initiator": clip("a"), "responder": clip("b")}
    return ListedSample.model_validate({**given, **more})


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_the_last_word_on_each_part_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.lost("video", "v", "network", "timed out", for_good=False)
    ledger.done("video", "v", {"size": 3})
    ledger.lost("clip", "v", "too_short", "ends", for_good=True)
    again = Ledger(tmp_path / "ledger.jsonl")
    video, cut = again.get("video", "v"), again.get("clip", "v")
    assert video is not None
    assert cut is not None
    assert (video.state, video.facts, video.reason) == ("done", {"size": 3}, None)
    assert (cut.state, cut.reason) == ("dead", "too_short")
    assert again.get("image", "v") is None
    assert [outcome.name for outcome in again.all("clip")] == ["v"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_torn_by_a_crash_is_not_counted_and_harms_no_other(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.done("clip", "first", {})
    ledger.done("clip", "second", {})
    path.write_bytes(path.read_bytes()[:-cut])
    torn = Ledger(path)
    assert torn.get("clip", "first") is not None
    assert torn.get("clip", "second") is None or cut == 1
    torn.done("clip", "third", {})
    whole = Ledger(path)
    assert whole.get("clip", "first") is not None
    assert whole.get("clip", "third") is not None


# --- the list -------------------------------------------------------------------------------------------------------


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    samples = (sample("one"), sample("two", responder=None, task="listening", tags={"view": "front", "n": 2}))
    write_list(tmp_path / LIST_FILE, samples)
    assert read_list(tmp_path / LIST_FILE) == samples


def test_every_problem_of_a_list_is_told(tmp_path: Path) -> None:
    good = sample().model_dump(mode="json")
    lines = [
        {**good, "id": "../evil"},
        {**good, "initiator": {**good["initiator"], "video": "short"}},
        {**good, "initiator": {**good["initiator"], "end": 0.5}},
        {**good, "initiator": {**good["initiator"], "box": [0.5, 0, 0.5, 1]}},
        {**good, "id": "S"},
        {**good, "id": "s", "initiator": {**good["initiator"], "clip": "z"}},
        {**good, "id": "t", "initiator": {**good["initiator"], "start": 0.5}},
        {**good, "id": "u", "surprise": 1},
        {**good, "id": "v", "initiator": {**good["initiator"], "clip": "y", "source_size": [0, 1080]}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / LIST_FILE).write_text(f"{text}no json\n")
    with pytest.raises(InputError) as raised:
        read_list(tmp_path / LIST_FILE)
    told = "\n".join(raised.value.problems)
    for expected in ("line 1: id", "line 2: initiator.video", "ends at 0.5 s", "is empty", "'s' stands twice",
                     "described in two ways", "surprise: unknown field", "0 x 1080 pixels", "line 10"):  # fmt: skip
        assert expected in told


def test_another_time_or_box_is_another_recipe() -> None:
    first = clip()
    others = [clip(start=1.001), clip(end=3.04), clip(box=(0, 0, 0.99, 1)), clip(video=BOB)]
    assert len({recipe(one) for one in (first, *others)}) == 5
    assert recipe(first) == recipe(clip("other name", speaker_id="x"))


def test_ids_of_samples_come_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("# mine\n a \n\nb\n")
    assert read_ids(tmp_path / "ids") == {"a", "b"}
    (tmp_path / "none").write_text("# nothing\n")
    for name in ("none", "missing"):
        with pytest.raises(UsageError, match=name):
            read_ids(tmp_path / name)


# --- pairs ----------------------------------------------------------------------------------------------------------


def record(turn: int, **more: object) -> object:
    label = "AB"[turn % 2]
    name = f"{ANN}_192x224_full_video_{turn:03d}_{label}_00"
    merged = {"bbox": [0, 0, 1, 1], "start_seconds": 5.0 * turn, "end_seconds": 5.0 * turn + 4.5, "is_talking": 1}
    return parse_record(name, {**merged, **more})


def test_entries_become_samples_or_are_told() -> None:
    records = [record(turn) for turn in range(4)]
    names = [one.name.text for one in records]  # type: ignore[attr-defined]
    entries = [
        TestEntry(names[0], names[1]),
        TestEntry(None, names[3]),
        TestEntry(None, names[0]),
        TestEntry(names[0], f"{BOB}_192x224_full_video_000_A_00"),
        TestEntry("../../etc/passwd", names[1]),
        TestEntry(names[2], names[3]),
    ]
    found = pair(entries, [*records, RecordError(f"{BOB}_192x224_full_video_000_A_00", ["no bbox"])])  # type: ignore[list-item]
    assert [one.id for one in found.samples] == [names[1], names[3], f"{names[3]}~2"]
    assert [one.tags["dyad"] for one in found.samples] == ["listed", "derived", "listed"]
    derived = found.samples[1]
    assert (derived.initiator.clip, derived.tags["gap_s"], derived.language) == (names[2], 0.5, "und")
    assert {lost.reason for lost in found.lost} == {"no_initiator", "annotation_unreadable", "no_annotation"}
    assert len(found.lost) + len(found.samples) == len(entries)


def test_a_clip_of_an_hour_is_a_fault_of_its_annotation() -> None:
    long = record(2, end_seconds=3610.0)
    found = pair([TestEntry(record(0).name.text, long.name.text)], [record(0), long])  # type: ignore[attr-defined, list-item]
    assert not found.samples
    assert [(lost.reason, "3600 s long" in lost.message) for lost in found.lost] == [("too_long", True)]


def test_only_the_annotations_that_are_needed_are_wanted() -> None:
    one = ClipName.parse(f"{ANN}_192x224_full_video_001_B_00")
    single = Wanted.of([one])
    assert single.takes("merged", f"{one.text}.json")
    assert single.takes("merged", f"{ANN}_192×224_full_video_001_B_00.json")
    assert not single.takes("merged", f"{ANN}_192x224_full_video_002_A_00.json")
    assert all(single.takes("asr", f"{name}.json") for name, _ in transcript_names(one))
    assert single.has_all("merged", [one.text])
    assert not single.has_all("asr", [one.text])
    whole = Wanted.of([one], [ANN])
    assert whole.takes("merged", f"{ANN}_192x224_full_video_002_A_00.json")
    assert not whole.takes("merged", f"{BOB}_192x224_full_video_002_A_00.json")
    assert not whole.has_all("merged", [one.text])


# --- fingerprints ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of changing pictures and of sound that comes and goes."""
    rng = np.random.default_rng(3)
    wave = np.repeat(rng.uniform(0.01, 0.5, 24), 4000) * np.sin(np.arange(96_000) / 4)
    shapes = rng.integers(0, 255, (7, 5, 6, 3), dtype=np.uint8)

    def paint(index: int, time: float, width: int, height: int) -> np.ndarray:
        del index
        blend = Image.blend(
            Image.fromarray(shapes[int(time)]), Image.fromarray(shapes[int(time) + 1]), time - int(time)
        )
        return np.asarray(blend.resize((width, height), Image.Resampling.BICUBIC))

    folder = tmp_path_factory.mktemp("talk")
    sound = Sound(samples=wave.astype(np.float32))
    return make_clip(folder / "talk.mp4", seconds=6, size=(192, 160), audio=sound, paint=paint)


def excerpt(
    path: Path, folder: Path, start: str = "0.5", box: tuple[float, float, float, float] = (0, 0, 1, 1)
) -> Path:
    folder.mkdir()
    cut_clip(Source(path, path), Cut(Fraction(start), Fraction(4), box), folder / "c.mp4", folder / "c.wav")
    return folder / "c.mp4"


def test_a_fingerprint_outlives_compression_and_size(talk: Path, tmp_path: Path) -> None:
    own = fingerprint(excerpt(talk, tmp_path / "own"))
    assert (own.frames, own.cut, len(own.pictures), len(own.loudness)) == (100, CUT_PROFILE, 4, 16)
    reader = ClipReader(tmp_path / "own" / "c.mp4", probe(tmp_path / "own" / "c.mp4"), video=True, audio=True)
    small = [np.asarray(Image.fromarray(picture.rgb()).resize((96, 80))) for picture, _ in reader]
    write_clip(tmp_path / "small.mp4", small, reader.audio.samples, Encoding(crf=38, audio_bits=24_000))
    assert compare(fingerprint(tmp_path / "small.mp4"), own) == "alike"
    assert compare(own, own) == "identical"


@pytest.mark.parametrize(
    ("start", "box"), [("1.1", (0, 0, 1, 1)), ("0.5", (0.15, 0.15, 1, 1)), ("0.5", (0, 0, 1, 0.7))]
)
def test_another_time_or_place_is_another_clip(
    talk: Path, tmp_path: Path, start: str, box: tuple[float, float, float, float]
) -> None:
    own, other = (
        fingerprint(excerpt(talk, tmp_path / "own")),
        fingerprint(excerpt(talk, tmp_path / "other", start, box)),
    )
    assert compare(other, own) == "differing"


def test_other_sound_or_another_length_is_another_clip(talk: Path, tmp_path: Path) -> None:
    own = fingerprint(excerpt(talk, tmp_path / "own"))
    silent = own.model_copy(update={"sha256": "0" * 64, "loudness": (90,) * 16})
    assert compare(silent, own) == "differing"
    longer = own.model_copy(update={"sha256": "0" * 64, "frames": own.frames + 3})
    assert compare(longer, own) == "differing"
    a_little = own.model_copy(update={"sha256": "0" * 64, "frames": own.frames + 2})
    assert compare(a_little, own) == "alike"


SHARED = ROOT.parent / "shared" / "mini" / "media"


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real clips, ../shared/mini, is absent")
def test_real_clips_are_told_apart(tmp_path: Path) -> None:
    prints = {path.stem: fingerprint(path) for path in sorted(SHARED.glob("*.mp4"))}
    for name, one in prints.items():
        for other, second in prints.items():
            shorter = second.model_copy(update={"frames": one.frames})
            assert (compare(one, shorter) == "differing") is (name != other)
    path = SHARED / "side1.mp4"
    reader = ClipReader(path, probe(path), video=True, audio=True)
    half = [np.asarray(Image.fromarray(picture.rgb()).resize((464, 416))) for picture, _ in reader]
    write_clip(tmp_path / "half.mp4", half, reader.audio.samples, Encoding(crf=36, audio_bits=24_000))
    assert compare(fingerprint(tmp_path / "half.mp4"), prints["side1"]) == "alike"


# --- videos ---------------------------------------------------------------------------------------------------------


def test_videos_are_found_under_the_names_that_people_give_them(tmp_path: Path) -> None:
    both = make_clip(tmp_path / "both.mp4", seconds=1, paint=bars)
    for name in (f"{ANN}.mp4", f"deep/{BOB}_1920x1080_full_video.mp4", "x/A talk [abcdefghijk].mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_bytes(both.read_bytes())
    folder = VideoFolder(tmp_path / "videos")
    for video in (ANN, BOB, "abcdefghijk"):
        source = folder.get(video, None)
        assert source.picture == source.sound
        assert set(folder.facts(video)) == {"picture_sha256", "sound_sha256"}
    with pytest.raises(LostVideoError) as raised:
        folder.get("nobodyknows", None)
    assert (raised.value.reason, raised.value.for_good) == ("not_in_folder", False)


def test_a_folder_without_videos_and_a_video_without_sound_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        VideoFolder(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no video"):
        VideoFolder(tmp_path / "empty")
    make_clip(tmp_path / f"{ANN}.mp4", seconds=1, audio=None)
    (tmp_path / f"{BOB}.mp4").write_text("<html>not a video</html>")
    folder = VideoFolder(tmp_path)
    with pytest.raises(LostVideoError, match="has no sound"):
        folder.get(ANN, None)
    with pytest.raises(LostVideoError, match="not readable as media"):
        folder.get(BOB, None)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "[youtube] x: The uploader has not made this video available in your country",
            "geo_blocked",
        ),
        ("This video contains content from X, who has blocked it in your country on copyright grounds", "geo_blocked"),
        ("HTTP Error 503: Service Unavailable", "network"),
        ("Unable to download webpage: <urlopen error [Errno -3] Temporary failure in name resolution>", "network"),
        ("The read operation timed out", "network"),
        ("This live event will begin in 3 days.", "not_yet"),
        ("Requested format is not available. Use --list-formats", "no_sound"),
        ("unable to download video data: HTTP Error 404: Not Found", "network"),
        ("unable to download video data: HTTP Error 403: Forbidden", "forbidden"),
        ("HTTP Error 404: Not Found", "unavailable"),
    ],
)
def test_reasons_are_read_out_of_what_the_host_says(message: str, reason: str) -> None:
    assert reason_of(message) == reason


# --- settings and disk ----------------------------------------------------------------------------------------------


def test_settings_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    for wrong in ({"workers": 0}, {"manners": Manners(at_once=0)}, {"cookies": tmp_path / "none"}):
        with pytest.raises(UsageError):
            PrepareSettings(out=tmp_path, **wrong)  # type: ignore[arg-type]


def test_the_disk_that_is_needed_counts_videos_only_where_they_are_brought(tmp_path: Path) -> None:
    clips = [clip(f"c{k}", video=f"video_____{k}", start=100.0 * k, end=100.0 * k + 8) for k in range(8)]
    few = disk_need(clips, PrepareSettings(out=tmp_path))
    every = disk_need(clips, PrepareSettings(out=tmp_path, keep_videos=True))
    own = disk_need(clips, PrepareSettings(out=tmp_path, videos=tmp_path))
    assert 0 == own.videos < few.videos < every.videos
    assert own.clips == few.clips == every.clips > 8 * 8 * 500_000
    assert own.total == own.clips


# --- what is published ----------------------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path, private_cache: Path) -> tuple[World, Prepared]:
    del private_cache
    world = build_world(tmp_path / "world", layout="flat", which=(ANN,))
    videos = tmp_path / "world" / "videos"
    settings = PrepareSettings(out=tmp_path / "out", annotations=str(world.root), videos=videos, workers=1)
    return world, prepare("test_500", settings, QUIET)


def test_a_published_list_says_which_clips_and_nothing_of_what_is_said(
    prepared: tuple[World, Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, done = prepared
    target = tmp_path / "published"
    target.mkdir()
    (target / "README.md").write_text("a datasheet\n")
    published = publish(done.root, target, "1.0.0", QUIET, workers=1)
    assert [one.id for one in published] == world.responders
    text = (target / LIST_FILE).read_text()
    assert "this is turn" not in text
    assert "music" not in text
    assert str(tmp_path) not in text
    assert read_list(target / LIST_FILE) == published
    assert (target / SCHEMA_FILE).read_text() == list_schema()
    assert {line.split("  ")[1] for line in (target / CHECKSUMS_FILE).read_text().splitlines()} == {
        "README.md", LIST_FILE, SCHEMA_FILE, "VERSION",
    }  # fmt: skip
    # From the list alone, without any annotation, the same clips come out, to the byte.
    monkeypatch.setattr(paths, "packaged_benchmark", lambda name: target)
    again = prepare(
        "test_500", PrepareSettings(tmp_path / "again", videos=tmp_path / "world" / "videos", workers=1), QUIET
    )
    assert again.planned.plan.list_form == "published"
    assert again.header is not None
    assert again.header.version == "1.0.0"
    for name in world.clips:
        files = [root / "media" / f"{name}.mp4" for root in (done.root, again.root)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert (status_of(again.root, QUIET).compared, status_of(again.root, QUIET).counts["alive"]) == (4, 2)


def test_clips_are_compared_with_the_published_ones(
    prepared: tuple[World, Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, done = prepared
    target = tmp_path / "published"
    target.mkdir()
    first, second = publish(done.root, target, "1.0.0", QUIET, workers=1)
    assert first.responder is not None
    known = first.responder.fingerprint
    assert known is not None
    changed = known.model_copy(update={"sha256": "0" * 64, "loudness": tuple(0 for _ in known.loudness)})
    other = first.responder.model_copy(update={"fingerprint": changed})
    write_list(target / LIST_FILE, [first.model_copy(update={"responder": other}), second])
    monkeypatch.setattr(paths, "packaged_benchmark", lambda name: target)
    found = status_of(done.root, QUIET)
    assert {one.id: one.condition for one in found.samples} == {
        world.responders[0]: "differing", world.responders[1]: "alive",
    }  # fmt: skip
    assert found.reasons == {"other_content": 1}


def test_only_what_was_prepared_can_be_published(tmp_path: Path, prepared: tuple[World, Prepared]) -> None:
    _, done = prepared
    with pytest.raises(UsageError, match="nothing was prepared"):
        publish(tmp_path, tmp_path, "1.0.0", QUIET, workers=1)
    with pytest.raises(UsageError, match="not three numbers"):
        publish(done.root, tmp_path, "next", QUIET, workers=1)
    with pytest.raises(UsageError, match="is not a folder"):
        publish(done.root, tmp_path / "missing", "1.0.0", QUIET, workers=1)


def test_the_folder_of_the_test_set_is_in_order(tmp_path: Path) -> None:
    folder = ROOT / "data" / "test_500"
    assert (folder / SCHEMA_FILE).read_text() == list_schema(), "run python docs/generate_schemas.py"
    samples = read_list(folder / LIST_FILE)
    version = (folder / "VERSION").read_text().strip()
    # No list, no version; and never an entry that was made up.
    assert (version == "0.0.0") is (not samples)
    for path in folder.iterdir():
        if path.name != CHECKSUMS_FILE and path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    write_list_checksums(tmp_path)
    assert (tmp_path / CHECKSUMS_FILE).read_text() == (folder / CHECKSUMS_FILE).read_text(), "SHA256SUMS is out of date"


def test_entries_that_give_no_sample_are_published_with_their_reason(
    tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del private_cache
    world = build_world(tmp_path / "world", layout="flat", which=(ANN,))
    (world.root / "merge_anno" / f"{world.responders[0]}.json").write_text("{")
    videos = tmp_path / "world" / "videos"
    settings = PrepareSettings(out=tmp_path / "out", annotations=str(world.root), videos=videos, workers=1)
    done = prepare("test_500", settings, QUIET)
    target = tmp_path / "published"
    target.mkdir()
    assert len(publish(done.root, target, "1.0.0", QUIET, workers=1)) == 1
    assert LOST_FILE in (target / CHECKSUMS_FILE).read_text()
    monkeypatch.setattr(paths, "packaged_benchmark", lambda name: target)
    again = prepare("test_500", PrepareSettings(tmp_path / "again", videos=videos, workers=1), QUIET)
    assert again.header is not None
    assert (again.header.n_samples, again.header.n_listed) == (1, 2)
    assert status_of(again.root, QUIET).reasons == {"annotation_unreadable": 1}


def test_graded_replies_that_were_written_later_enter_the_manifest(
    prepared: tuple[World, Prepared], tmp_path: Path
) -> None:
    world, done = prepared
    first, second = vcb.load_benchmark(done.root)
    assert first.ladder == second.ladder == ()
    steps = [{"text": f"reply of grade {grade}", "score": grade} for grade in (0.2, 0.4, 0.6, 0.8, 1.0)]
    (done.root / "ladder.jsonl").write_text(json.dumps({"id": first.id, "ladder": steps}) + "\n")
    videos = tmp_path / "world" / "videos"
    settings = PrepareSettings(out=done.root, annotations=str(world.root), videos=videos, workers=1)
    again = prepare("test_500", settings, QUIET)
    with_ladder, without = vcb.load_benchmark(done.root)
    assert [(step.text, step.score) for step in with_ladder.ladder] == [(one["text"], one["score"]) for one in steps]
    assert without.ladder == ()
    assert done.header is not None
    assert again.header is not None
    assert again.header.manifest_sha256 != done.header.manifest_sha256
    (done.root / "ladder.jsonl").write_text(json.dumps({"id": first.id, "ladder": steps[1:]}) + "\n")
    with pytest.raises(InputError, match="the grades are not"):
        prepare("test_500", settings, QUIET)


# --- what is left over ----------------------------------------------------------------------------------------------


def test_what_a_killed_run_has_left_of_videos_goes_and_what_was_kept_stays(
    prepared: tuple[World, Prepared], tmp_path: Path
) -> None:
    world, done = prepared
    folder = done.root / "preparation" / "videos"
    for name, note in ((BOB, {"kept": False}), ("kept_______", {"kept": True}), ("users______", None)):
        (folder / name).mkdir(parents=True)
        if note is not None:
            (folder / name / "source.json").write_text(json.dumps(note))
    ledger = Ledger(done.root / "preparation" / "ledger.jsonl")
    ledger.lost("video", "dead_______", "removed", "gone", for_good=True)
    ledger.lost("video", "later______", "network", "timed out", for_good=False)
    for name in ("dead_______.part", "later______.part"):
        (folder / name).mkdir()
    videos = tmp_path / "world" / "videos"
    settings = PrepareSettings(out=done.root, annotations=str(world.root), videos=videos, workers=1)
    prepare("test_500", settings, QUIET)
    assert {path.name for path in folder.iterdir()} == {"kept_______", "users______", "later______.part"}


def test_a_set_of_which_nothing_is_left_has_no_manifest(prepared: tuple[World, Prepared], tmp_path: Path) -> None:
    world, done = prepared
    assert (done.root / "manifest.jsonl").is_file()
    for path in (done.root / "media").iterdir():
        path.unlink()
    (tmp_path / "other").mkdir()
    make_clip(tmp_path / "other" / f"{BOB}.mp4", seconds=1)
    settings = PrepareSettings(out=done.root, annotations=str(world.root), videos=tmp_path / "other", workers=1)
    assert prepare("test_500", settings, QUIET).header is None
    assert not [name for name in ("manifest.jsonl", "benchmark.json", CHECKSUMS_FILE) if (done.root / name).exists()]


# --- sets that were chosen ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", ["dialogue", "single", "multi_turn"])
def test_a_chosen_set_is_prepared(tmp_path: Path, private_cache: Path, branch: str) -> None:
    del private_cache
    world = build_world(tmp_path / "world", form="none", layout="flat", which=(ANN, BOB), turns=LONG_TURNS)
    count = {"dialogue": 2, "single": 3, "multi_turn": 1}[branch]
    with SpeakerVid(world.root) as dataset:
        rules = Rules(count, branch, "all", 0, 1, 30.0, 2.0)  # type: ignore[arg-type]
        choice = choose(dataset.index.videos(), rules, read_exclusions([]))
        write_selection(choice, read_exclusions([]), dataset.index, tmp_path / "chosen")
    videos = tmp_path / "world" / "videos"
    settings = PrepareSettings(out=tmp_path / "out", annotations=str(tmp_path / "chosen"), videos=videos, workers=1)
    done = prepare("mine", settings, QUIET)
    assert done.planned.plan.list_form == "selection"
    benchmark = vcb.load_benchmark(tmp_path / "out")
    benchmark.verify_media()
    assert len(benchmark) == count
    assert {one.task for one in benchmark} == {branch}
    for one in benchmark:
        assert one.responder is not None
        assert (one.initiator == one.responder) is (branch == "single")
        assert bool(one.history) is (branch == "multi_turn")
        assert all(turn.transcript.startswith("this is turn") for turn in one.history)


def test_a_chosen_set_that_was_changed_is_refused(tmp_path: Path, private_cache: Path) -> None:
    del private_cache
    world = build_world(tmp_path / "world", form="none", layout="flat", which=(ANN, BOB), turns=LONG_TURNS)
    with SpeakerVid(world.root) as dataset:
        choice = choose(dataset.index.videos(), Rules(1, "dialogue", "all", 0, 1, 30.0, 2.0), read_exclusions([]))
        write_selection(choice, read_exclusions([]), dataset.index, tmp_path / "chosen")
    pairs = tmp_path / "chosen" / "pairs.json"
    pairs.write_text(pairs.read_text().replace("  ", "   "))
    settings = PrepareSettings(out=tmp_path / "out", annotations=str(tmp_path / "chosen"), videos=tmp_path)
    with pytest.raises(InputError, match=r"pairs\.json is not the file"):
        prepare("mine", settings, QUIET)
