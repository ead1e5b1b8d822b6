"""Names and records of SpeakerVid-5M: every tolerated shape is understood, everything else is said."""

from __future__ import annotations

import json
import math
import random

import pytest
from speakervid_made import REAL_MERGED, REAL_NAME, make_clips

from vidchatbench.curation.speakervid.boxes import Box, read_box
from vidchatbench.curation.speakervid.labels import (
    kept_blur,
    kept_caption,
    read_blur,
    read_said,
    read_seen,
    transcript_names,
)
from vidchatbench.curation.speakervid.names import ClipName, is_clip_name, video_of
from vidchatbench.curation.speakervid.records import RecordError, parse_record

RAW = (1920, 1080)
CLIP = "a_-bcdefghi_1920x1080_full_video_007_A_01"


def merged(**changes):
    return {key: value for key, value in {**REAL_MERGED, **changes}.items() if value is not ...}


class TestNames:
    def test_the_parts(self):
        name = ClipName.parse(f"folder/{CLIP}.json")
        assert name == ClipName(CLIP, "a_-bcdefghi", 1920, 1080, 7, "A", 1)
        assert (name.speaker_id, name.video_name) == ("a_-bcdefghi:A", "a_-bcdefghi_1920x1080_full_video")
        assert name.without_track == "a_-bcdefghi_1920x1080_full_video_007_A"

    @pytest.mark.parametrize(
        "text",
        [
            CLIP, f"{CLIP}.mp4", f"{CLIP}.wav", f" {CLIP}.JSON\n", CLIP.replace("x1080", "×1080"),
            "a_-bcdefghi_full_video_1920x1080_007_A_01", "a_-bcdefghi_full_video_1920×1080_7_A_1",
        ],
    )  # fmt: skip
    def test_all_spellings_have_one_key(self, text):
        assert ClipName.parse(text).key == ClipName.parse(CLIP).key

    def test_who_is_not_heard_is_nobody_known(self):
        silent = ClipName.parse(REAL_NAME)
        assert (silent.label, silent.speaker_id) == (None, "BK6_XIz6-ZE:42-1")
        other = ClipName.parse(REAL_NAME.replace("_01", "_02"))
        assert silent.speaker_id != other.speaker_id

    def test_a_track_may_be_missing(self):
        name = ClipName.parse("BK6_XIz6-ZE_1280x720_full_video_003_B")
        assert (name.label, name.track, name.without_track) == ("B", None, name.text)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "does not begin with a video id"),
            ("short_1920x1080_full_video_1_A_1", "does not begin with a video id"),
            ("BK6_XIz6-ZE_1920x1080_full_video", "names a source video"),
            ("BK6_XIz6-ZE_1920x1080_042_A_01", "'full_video' is not in it"),
            ("BK6_XIz6-ZE_1920x1080_full_video_A_01", "not <scene>_<speaker>_<track>"),
            ("BK6_XIz6-ZE_0x1080_full_video_1_A_1", "not <scene>_<speaker>_<track>"),
            ("BK6_XIz6-ZE_1920x1080_full_video_1_A_1\x00", "not <scene>"),
        ],
    )
    def test_what_is_not_understood_is_said(self, text, reason):
        with pytest.raises(ValueError, match=reason):
            ClipName.parse(text)
        assert not is_clip_name(text)

    @pytest.mark.parametrize(
        "text", [CLIP, "a_-bcdefghi", "a_-bcdefghi:A", "a_-bcdefghi_1920x1080_full_video", f"x/{CLIP}.json"]
    )
    def test_the_video_of_anything(self, text):
        assert video_of(text) == "a_-bcdefghi"

    @pytest.mark.parametrize("text", ["", "x", "a_-bcdefghi_else", "a_-bcdefgh!"])
    def test_no_video_of_anything_else(self, text):
        assert video_of(text) is None


class TestRealRecord:
    def test_every_field(self):
        record = parse_record(f"{REAL_NAME}.json", REAL_MERGED)
        assert (record.start, record.end) == (289.65603, pytest.approx(301.46783))
        assert record.inner == (297.25603, pytest.approx(301.45603))
        assert record.box == Box(0.60201, 0.06040, 0.99948, 0.91407)
        assert (record.box_form, record.box_sure) == ("corners", True)
        assert (record.raw_size, record.clip_size) == ((1920, 1080), (768, 928))
        assert (record.talking, record.n_speakers, record.voices) == (True, 1, ("B",))
        assert (record.dover, record.clarity, record.sync_confidence) == (0.558, 2221.8, 6.1157)
        assert record.speaker_id == "BK6_XIz6-ZE:42-1"
        assert record.likely_label == "B"
        assert any("is_talking says that this person talks" in line for line in record.unread)

    def test_numbers_in_strings_and_json_in_json_say_the_same(self):
        text = {key: str(value) if isinstance(value, int | float) else value for key, value in REAL_MERGED.items()}
        plain = parse_record(REAL_NAME, REAL_MERGED)
        assert parse_record(REAL_NAME, text) == plain
        assert parse_record(REAL_NAME, json.dumps(json.dumps(REAL_MERGED))) == plain
        assert parse_record(REAL_NAME, {key.replace("_", " ").title(): value for key, value in text.items()}) == plain


class TestTime:
    def test_the_original_start_wins(self):
        record = parse_record(REAL_NAME, merged(org_start_seconds=290.0, start=..., duration=..., end_seconds=...))
        assert (record.start, record.end, record.inner) == (290.0, pytest.approx(301.8118), None)

    def test_the_end_counts_without_a_length(self):
        record = parse_record(REAL_NAME, merged(video_total_duration=...))
        assert record.end == 301.46783

    def test_start_and_duration_alone_are_the_range(self):
        record = parse_record(
            REAL_NAME, merged(start=..., video_total_duration=..., end_seconds=..., start_seconds=10, duration="4.5")
        )
        assert (record.start, record.end, record.inner) == (10, 14.5, None)

    def test_only_the_inner_range_is_the_range(self):
        only = merged(start_seconds=..., end_seconds=..., video_total_duration=...)
        assert parse_record(REAL_NAME, only).start == 297.25603

    def test_an_inner_range_outside_is_left_out_and_said(self):
        record = parse_record(REAL_NAME, merged(start=100.0))
        assert record.inner is None
        assert any("does not lie within the clip" in line for line in record.unread)

    def test_the_newer_names_of_the_inner_range(self):
        record = parse_record(REAL_NAME, merged(start=..., duration=..., start_new=290.0, duration_new=3.0))
        assert record.inner == (290.0, 293.0)

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"start_seconds": ..., "start": ...}, "no start"),
            ({"end_seconds": ..., "video_total_duration": ..., "duration": ...}, "no end"),
            ({"video_total_duration": -1}, "not a range"),
            ({"start_seconds": -5}, "not a range"),
            ({"video_total_duration": 0}, "not a range"),
            ({"start_seconds": 90000}, "longer than a day"),
            ({"start_seconds": float("nan"), "start": ...}, "no start"),
            ({"start_seconds": "soon", "start": None}, "no start"),
        ],
    )
    def test_no_time_is_an_error(self, changes, problem):
        with pytest.raises(RecordError, match=problem):
            parse_record(REAL_NAME, merged(**changes))

    def test_all_problems_are_listed(self):
        with pytest.raises(RecordError) as caught:
            parse_record(REAL_NAME, {"bbox": [1, 2, 3]})
        assert len(caught.value.problems) == 2
        assert caught.value.name == REAL_NAME

    @pytest.mark.parametrize("content", [None, 3, "text", [1], True])
    def test_no_object_is_an_error(self, content):
        with pytest.raises(RecordError, match="not an object"):
            parse_record(REAL_NAME, content)


class TestBoxes:
    def test_a_size_is_told_by_the_clip(self):
        # 0.3 × 1920 = 576 by 0.8 × 1080 = 864; as corners it would be 384 by 756.
        found = read_box([0.1, 0.1, 0.3, 0.8], RAW, (576, 864))
        assert (found.form, found.sure) == ("size", True)
        assert (found.box.right, found.box.bottom) == (pytest.approx(0.4), pytest.approx(0.9))

    def test_corners_are_told_by_the_clip(self):
        found = read_box([0.1, 0.1, 0.3, 0.8], RAW, (384, 752))
        assert (found.form, found.sure, found.box) == ("corners", True, Box(0.1, 0.1, 0.3, 0.8))

    def test_a_clip_that_was_shrunk_is_told_by_its_shape(self):
        assert read_box([0.1, 0.1, 0.3, 0.8], RAW, (288, 432)).form == "size"
        assert read_box([0.1, 0.1, 0.3, 0.8], RAW, (192, 384)).form == "corners"

    @pytest.mark.parametrize("values", [[0.5, 0.1, 0.6, 0.8], [0.1, 0.5, 0.3, 0.9]])
    def test_a_size_that_leaves_the_picture_is_excluded(self, values):
        found = read_box(values, None, None)
        assert (found.form, found.sure) == ("corners", True)

    def test_corners_that_are_no_rectangle_are_excluded(self):
        found = read_box([0.4, 0.1, 0.3, 0.8], None, None)
        assert (found.form, found.sure) == ("size", True)

    @pytest.mark.parametrize("sizes", [(None, None), (RAW, None), (None, (576, 864)), (RAW, (64, 1024))])
    def test_without_evidence_corners_are_taken_and_it_is_said(self, sizes):
        found = read_box([0.1, 0.1, 0.3, 0.8], *sizes)
        assert (found.form, found.sure) == ("corners", False)
        record = parse_record(REAL_NAME, merged(bbox=[0.1, 0.1, 0.3, 0.8], clip_video_width=None))
        assert not record.box_sure
        assert any("may be corners or a size" in line for line in record.unread)

    @pytest.mark.parametrize(
        ("value", "form"),
        [
            ({"left": 0.1, "top": 0.1, "right": 0.3, "bottom": 0.8}, "corners"),
            ({"x1": 0.1, "y1": 0.1, "x2": 0.3, "y2": 0.8}, "corners"),
            ({"x": 0.1, "y": 0.1, "w": 0.2, "h": 0.7}, "size"),
            ({"X": "0.1", "Y": "0.1", "Width": "0.2", "Height": "0.7"}, "size"),
        ],
    )
    def test_names_leave_no_doubt(self, value, form):
        found = read_box(value, None, None)
        assert (found.form, found.sure) == (form, True)
        assert found.box.right == pytest.approx(0.3)
        assert found.box.bottom == pytest.approx(0.8)

    def test_a_small_overshoot_is_clipped_and_said(self):
        record = parse_record(REAL_NAME, merged(bbox=[-0.004, 0.0, 1.008, 0.9]))
        assert record.box == Box(0.0, 0.0, 1.0, 0.9)
        assert any("slightly outside" in line for line in record.unread)

    @pytest.mark.parametrize(
        "value",
        [[0.1, 0.1, 1.2, 0.9], [100, 50, 400, 500], [0.1, 0.2, 0.3], [0.1, None, 0.3, 0.4], "box", {}, [[], []],
         [0.6, 0.6, 0.6, 0.6], [float("inf"), 0, 1, 1], [True, False, True, True]],
    )  # fmt: skip
    def test_anything_else_is_an_error(self, value):
        with pytest.raises(RecordError, match="bbox"):
            parse_record(REAL_NAME, merged(bbox=value))

    def test_either_form_comes_back_from_made_clips(self):
        """Property: whatever box a clip was cut by, a form that is claimed for sure is the one it was written in."""
        rng = random.Random(5)
        sure = {"corners": 0, "size": 0}
        for _ in range(2000):
            left, top = rng.uniform(0, 0.6), rng.uniform(0, 0.4)
            width, height = rng.uniform(0.15, 1 - left), rng.uniform(0.3, 1 - top)
            shrink = rng.choice((1.0, 1.0, 0.5, 0.37))
            clip = tuple(
                max(32, round(part * side * shrink / 32) * 32) for part, side in zip((width, height), RAW, strict=True)
            )
            for form, values in (
                ("corners", [left, top, left + width, top + height]),
                ("size", [left, top, width, height]),
            ):
                found = read_box(values, RAW, clip)
                if found.sure:
                    sure[form] += found.form == form
                    sure[form] -= 50 * (found.form != form)
        # A coincidence of shapes misleads once in a thousand at most; nearly all are told.
        assert min(sure.values()) > 1600


class TestPeople:
    @pytest.mark.parametrize(("given", "read"), [(1, True), ("0", False), (True, True), ("yes", True), (7, None)])
    def test_talking(self, given, read):
        assert parse_record(CLIP, merged(is_talking=given)).talking is read

    @pytest.mark.parametrize(
        ("given", "voices"),
        [("A", ("A",)), (["A", "A"], ("A",)), ([["B"], ["A", "B"]], ("B", "A")), (None, ()), (["None"], ())],
    )
    def test_voices(self, given, voices):
        assert parse_record(CLIP, merged(speaker=given)).voices == voices

    def test_a_voice_that_the_name_does_not_know_is_said(self):
        record = parse_record(CLIP, merged(speaker=["C"]))
        assert record.speaker_id == "a_-bcdefghi:A"
        assert any("the name says that A is heard, the annotation C" in line for line in record.unread)

    def test_who_is_heard(self):
        assert parse_record(CLIP, merged()).heard
        assert not parse_record(CLIP, merged(is_talking=0)).heard
        assert not parse_record(REAL_NAME, merged()).heard

    @pytest.mark.parametrize(("conf", "value"), [(3, 3.0), ([1, "4.5"], 4.5), (None, None)])
    def test_confidence_of_the_sync_without_its_table(self, conf, value):
        assert parse_record(CLIP, merged(sync=..., conf=conf)).sync_confidence == value


class TestTranscripts:
    def said(self, value, *, shared=False, name=CLIP):
        return read_said(value, ClipName.parse(name), 10.0, 20.0, shared=shared)

    @pytest.mark.parametrize(
        "value",
        [
            "hello  there", {"text": "hello there"}, {"transcript": ["hello", "there"]}, ["hello", "there"],
            {"segments": [{"start": 0, "end": 1, "text": " hello"}, {"start": 1, "end": 2, "text": "there"}]},
            {CLIP: "hello there"}, {f"{CLIP}.json": {"text": "hello there"}}, json.dumps({"text": "hello there"}),
            [{"text": "hello"}, {"text": "there"}],
        ],
    )  # fmt: skip
    def test_every_shape(self, value):
        assert self.said(value).text == "hello there"

    @pytest.mark.parametrize("key", ["confidence", "conf", "avg_logprob", "Confidence"])
    def test_confidence(self, key):
        assert self.said({"text": "a", key: "-0.5"}).confidence == -0.5

    def test_a_probability_becomes_a_log_probability_and_is_said(self):
        said = self.said({"text": "a", "confidence": 0.5})
        assert said.confidence == pytest.approx(math.log(0.5))
        assert "taken for a probability" in said.unread[0]

    @pytest.mark.parametrize("given", [0, 3.5, 97])
    def test_what_is_neither_is_unknown(self, given):
        said = self.said({"text": "a", "confidence": given})
        assert said.confidence is None
        assert said.unread

    def test_segments_are_weighed_by_their_length(self):
        segments = [
            {"start": 0, "end": 3, "text": "a", "avg_logprob": -0.2},
            {"start": 3, "end": 4, "text": "b", "avg_logprob": -1.0},
        ]
        assert self.said({"segments": segments}).confidence == pytest.approx(-0.4)

    SEGMENTS = {
        "text": "mine others late",
        "segments": [
            {"start": 11, "end": 14, "text": "mine", "avg_logprob": -0.3},
            {"start": 15, "end": 18, "text": "others", "speaker": "B"},
            {"start": 19, "end": 25, "text": "late"},
            {"start": 2, "end": 5, "text": "before"},
        ],
    }

    def test_a_shared_file_gives_only_ones_own_words(self):
        said = self.said(self.SEGMENTS, shared=True)
        assert (said.text, said.confidence) == ("mine", -0.3)

    @pytest.mark.parametrize("value", ["all of it", {"text": "all of it"}, ["all", "of it"], {"other": "x"}])
    def test_a_shared_file_without_times_gives_no_words(self, value):
        said = self.said(value, shared=True)
        assert said.text is None
        assert "whose words they are is unknown" in said.unread[0]

    def test_a_shared_file_gives_a_silent_person_no_words(self):
        said = self.said(self.SEGMENTS, shared=True, name=REAL_NAME)
        assert said.text is None
        assert said.unread

    def test_a_shared_file_knows_a_clip_by_its_key(self):
        assert self.said({CLIP: "my own", REAL_NAME: "another"}, shared=True).text == "my own"

    def test_where_transcripts_are_looked_for(self):
        plain = ClipName.parse("abcdefghijk_1920x1080_full_video_007_A_01")
        assert transcript_names(plain) == [
            ("abcdefghijk_1920x1080_full_video_007_A_01", False), ("abcdefghijk_1920x1080_full_video_007_A", False),
            ("abcdefghijk_1920x1080_full", True), ("abcdefghijk_1920x1080_full_video", True), ("abcdefghijk", True),
        ]  # fmt: skip
        with_underscore = ClipName.parse(REAL_NAME)
        assert ("BK6_XIz6-ZE_1920x1080", True) in transcript_names(with_underscore)


class TestCaptions:
    @pytest.mark.parametrize(
        "value",
        [
            {"Motion Intensity Level": 3, "Upper-Body Only": True, "Facing Direction": "Front", "Topic": "music"},
            {"motion_intensity_level": "3 - moderate", "upper_body_only": "Yes.", "facing-direction": "to the camera",
             "topic": ["music"]},
            {"Motion": {"Motion Intensity Level": {"score": 3}}, "body_view": "Half body", "FacingDirection": "front",
             "topic": "music"},
            {"activity_level": 3.0, "body view": "upper body", "facing_direction": "front-left", "topic": " music "},
        ],
    )  # fmt: skip
    def test_every_spelling(self, value):
        seen = read_seen(value)
        assert (seen.motion, seen.framing, seen.view, seen.topic) == (3, "half_body", "front", "music")
        for wrapped in (
            json.dumps(value),
            json.dumps(json.dumps(value)),
            f"```json\n{json.dumps(value)}\n```",
            [value],
        ):
            assert read_seen(wrapped) == seen
        assert read_seen(kept_caption(value)) == seen

    @pytest.mark.parametrize(
        ("value", "framing"),
        [
            ({"body_view": "close-up of the face"}, "head"), ({"body_view": "full body"}, "full_body"),
            ({"Upper-Body Only": False}, "full_body"), ({"Upper-Body Only": {"value": True}}, "half_body"),
            ({"Upper-Body Only": "half-body"}, "half_body"), ({}, None),
        ],
    )  # fmt: skip
    def test_framing(self, value, framing):
        assert read_seen(value).framing == framing

    @pytest.mark.parametrize(
        ("text", "view"),
        [("side", "side"), ("left profile", "side"), ("from behind", "back"), ("side, then front", "side")],
    )
    def test_view(self, text, view):
        assert read_seen({"Facing Direction": text}).view == view

    @pytest.mark.parametrize(
        "value",
        [
            {"activity_level": "lively"},
            {"Motion Intensity Level": 9},
            {"body_view": "?"},
            {"facing": "up"},
            "words only",
        ],
    )
    def test_what_is_not_understood_is_said(self, value):
        seen = read_seen(value)
        assert (seen.motion, seen.framing, seen.view) == (None, None, None)
        assert len(seen.unread) == 1
        assert read_seen(kept_caption(value)) == seen

    def test_nothing_says_nothing(self):
        assert not read_seen(None).unread


class TestBlur:
    @pytest.mark.parametrize(
        ("value", "face", "hand"),
        [
            (0.8, 0.8, 0.8), ("0.8", 0.8, 0.8), ({"face": 0.9, "hand": 0.4}, 0.9, 0.4),
            ({"Face_scores": [0.8, None, -1, 0.6, "bad"], "left_hand": [0.2], "right_hand": 0.4}, 0.7, 0.3),
            ({"face": [-1, -1]}, None, None), ({"scores": {"face": 0.5}}, 0.5, None), (None, None, None),
            (-1, None, None), ({"face": {"mean": 0.6}}, 0.6, None),
        ],
    )  # fmt: skip
    def test_every_shape(self, value, face, hand):
        found = read_blur(value, [])
        assert found == (face if face is None else pytest.approx(face), hand if hand is None else pytest.approx(hand))
        assert read_blur(kept_blur(value), []) == found

    @pytest.mark.parametrize("value", [{"nose": 1}, [0.5], "sharp", 0.4])
    def test_what_is_not_understood_is_said(self, value):
        unread = []
        read_blur(value, unread)
        assert len(unread) == 1


def test_made_clips_are_read_without_a_remark():
    for clip in make_clips(60, seed=4):
        record = parse_record(clip.name, clip.merged, asr=clip.asr, caption=clip.caption, blur=clip.blur)
        assert [line for line in record.unread if "corners or a size" not in line and "no words" not in line] == []
        assert record.raw_size is not None
        assert record.face_blur is not None
        assert record.framing in {"half_body", "full_body"}
        assert record.heard is ("_None_" not in clip.name)


def strange(rng, depth=0):
    kinds = [
        None,
        True,
        False,
        0,
        1,
        -1,
        3.5,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "12",
        "```json\n{",
        "{}",
        "[[",
        "-1",
    ]
    pick = rng.random()
    if depth < 3 and pick < 0.25:
        return [strange(rng, depth + 1) for _ in range(rng.randint(0, 4))]
    if depth < 3 and pick < 0.5:
        keys = ["text", "segments", "start", "end", "score", "face", "hand", "topic", "facing", "speaker", "x", CLIP]
        return {rng.choice(keys): strange(rng, depth + 1) for _ in range(rng.randint(0, 4))}
    return rng.choice(kinds)


def test_nothing_but_a_record_error_comes_of_strange_files():
    rng = random.Random(8)
    read = 0
    for _ in range(4000):
        content = {key: strange(rng) if rng.random() < 0.2 else value for key, value in REAL_MERGED.items()}
        labels = {part: strange(rng) for part in ("asr", "caption", "blur")}
        try:
            record = parse_record(CLIP, content, **labels, asr_shared=rng.random() < 0.5)
        except RecordError:
            continue
        read += 1
        assert 0 <= record.start < record.end
        scores = (record.asr_confidence, record.face_blur, record.hand_blur, record.motion, record.dover)
        assert all(score is None or math.isfinite(score) for score in scores)
    assert read > 500


def test_deep_nesting_is_an_error_like_others():
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecordError, match="nested too deeply"):
        parse_record(CLIP, REAL_MERGED, blur={"face": deep})
    while isinstance(deep, list):
        # Taken apart by hand: to free it whole would go as deep.
        deep = deep.pop()
