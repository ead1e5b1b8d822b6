"""The four branches: every item obeys its rule, and none that obeys it is missing."""

from __future__ import annotations

import pytest
from speakervid_made import MadeLists, make_clips, write_flat

from vidchatbench.curation.speakervid.branches import BRANCHES, SpeakerVid, branch_items, find_initiator
from vidchatbench.curation.speakervid.index import AnnotationIndex
from vidchatbench.curation.speakervid.pairing import LISTENING_OVERLAP_S, OVERLAP_S
from vidchatbench.curation.speakervid.quality import HQ, has_length, is_hq
from vidchatbench.curation.speakervid.records import parse_record
from vidchatbench.errors import InputError, UsageError

MERGED = {"bbox": {"left": 0.1, "top": 0.1, "right": 0.5, "bottom": 0.9}}


def clip(label, begin, end, *, scene=None, track=0, video="abcdefghijk", **merged):
    scene = int(begin) if scene is None else scene
    name = f"{video}_1920x1080_full_video_{scene:03d}_{label}_{track:02d}"
    return parse_record(name, {**MERGED, "start_seconds": begin, "end_seconds": end, **merged})


@pytest.fixture(scope="module")
def made():
    return list(make_clips(150, seed=11))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("branches")
    with AnnotationIndex.build(write_flat(folder / "d", made), folder / "i") as index:
        yield SpeakerVid(index)


@pytest.fixture(scope="module")
def videos(dataset):
    return [[one.record for one in video.clips] for video in dataset.index.videos()]


def names(pairs):
    return [(item.initiator.name.text, item.responder.name.text) for item in pairs]


class TestFindInitiator:
    def test_the_latest_turn_of_another_speaker(self):
        early, late, own = clip("A", 0, 4), clip("C", 3, 6), clip("B", 6.2, 6.5)
        answer = clip("B", 7, 10)
        assert find_initiator(answer, [early, late, own, answer]) is late
        assert find_initiator(answer, [late, own, early]) is late

    @pytest.mark.parametrize(
        ("end", "paired"), [(5.0, True), (4.999, False), (7.0, True), (7.5, True), (7.501, False), (6.0, True)]
    )
    def test_gap_and_overlap(self, end, paired):
        turn, answer = clip("A", 1, end), clip("B", 7, 10)
        assert (find_initiator(answer, [turn]) is turn) is paired

    def test_another_gap(self):
        turn, answer = clip("A", 1, 3), clip("B", 7, 10)
        assert find_initiator(answer, [turn], gap_s=4.0) is turn

    @pytest.mark.parametrize(
        "other",
        [
            clip("B", 1, 6, scene=1), clip("None", 1, 6), clip("A", 1, 6, is_talking=0), clip("A", 7, 8, scene=99),
            clip("A", 1, 6, video="ABCDEFGHIJK"),
        ],
    )  # fmt: skip
    def test_who_does_not_count(self, other):
        assert find_initiator(clip("B", 7, 10), [other]) is None

    def test_tracks_of_one_scene_are_a_pair_by_who_talks_first(self):
        first = clip("B", 7, 15, scene=3, start=8.0, duration=2.0)
        second = clip("A", 7, 15, scene=3, track=1, start=11.0, duration=2.0)
        assert find_initiator(second, [first, second]) is first
        assert find_initiator(first, [first, second]) is None

    def test_a_turn_before_wins_over_the_scene(self):
        before, beside, answer = clip("A", 1, 6), clip("C", 6.5, 14, scene=3), clip("B", 7, 15, scene=3, track=1)
        assert find_initiator(answer, [before, beside]) is before
        assert find_initiator(answer, [beside]) is beside

    def test_a_talking_person_without_a_label_is_not_their_own_partner(self):
        answer = clip("None", 7, 10, is_talking=1, speaker=["B", "B"])
        assert find_initiator(answer, [clip("B", 1, 6), clip("A", 1, 6)]).name.label == "A"


class TestDialogue:
    def test_every_pair_obeys_the_rule_and_none_is_missing(self, dataset, videos):
        def answers(turn, reply):
            in_time = turn.start < reply.start and reply.start - 2.0 <= turn.end <= reply.start + OVERLAP_S
            return turn.heard and reply.heard and turn.name.label != reply.name.label and in_time

        expected = []
        for records in videos:
            for reply in records:
                turns = [turn for turn in records if answers(turn, reply)]
                if turns:
                    expected.append((max(turns, key=lambda one: one.start).name.text, reply.name.text))
        found = names(dataset.iterate("dialogue"))
        assert len(found) > 300
        assert sorted(found) == sorted(expected)

    def test_the_window_finds_what_a_full_search_finds(self, videos):
        for records in videos:
            for gap in (0.4, 2.0, 30.0):
                for item in branch_items(records, "dialogue", gap_s=gap):
                    assert find_initiator(item.responder, records, gap) == item.initiator
                talking = [one for one in records if one.heard]
                paired = sum(find_initiator(one, records, gap) is not None for one in talking)
                assert paired == len(list(branch_items(records, "dialogue", gap_s=gap)))

    def test_order_of_the_clips_does_not_matter(self, videos):
        for records in videos:
            for branch in BRANCHES:
                assert (
                    list(branch_items(records[::-1], branch)) == list(branch_items(records, branch))
                    or branch == "single"
                )


class TestOtherBranches:
    def test_single_is_everybody_who_is_heard(self, dataset, made):
        found = {item.responder.name.text for item in dataset.iterate("single")}
        assert found == {one.name for one in made if "_None_" not in one.name}

    def test_a_listener_is_silent_while_the_other_speaks(self, dataset, videos):
        found = list(dataset.iterate("listening"))
        for item in found:
            assert not item.responder.heard
            assert item.initiator.heard
            together = min(item.initiator.end, item.responder.end) - max(item.initiator.start, item.responder.start)
            assert together >= LISTENING_OVERLAP_S
        assert len(found) == sum(not one.heard for records in videos for one in records)

    def test_a_listener_whom_nobody_talks_to_is_left_out(self):
        assert not list(branch_items([clip("A", 0, 5), clip("None", 4.5, 9)], "listening"))
        assert len(list(branch_items([clip("A", 0, 5), clip("None", 3, 9)], "listening"))) == 1

    def test_history_is_one_conversation_within_the_window(self, dataset):
        found = list(dataset.iterate("multi_turn", history_s=20.0))
        assert len(found) > 100
        for item in found:
            turns = [*item.history, item.initiator, item.responder]
            assert item.history
            assert all(turn.heard for turn in turns)
            assert len({turn.name.text for turn in turns}) == len(turns)
            assert all(turn.start >= item.responder.start - 20.0 for turn in item.history)
            ends = [max(turn.end for turn in turns[: place + 1]) for place in range(len(turns))]
            assert all(
                turn.start - end < 2.0 or turn is item.responder for end, turn in zip(ends, turns[1:], strict=False)
            )

    def test_history_by_hand(self):
        turns = [clip("A", 0, 4), clip("B", 10, 14), clip("A", 14.5, 18), clip("B", 18.2, 22), clip("A", 23, 27)]
        found = list(branch_items(turns, "multi_turn"))
        assert [(item.responder.start, [one.start for one in item.history]) for item in found] == [
            (18.2, [10]), (23, [10, 14.5]),
        ]  # fmt: skip
        (short,) = [item for item in branch_items(turns, "multi_turn", history_s=9.0) if item.responder.start == 23]
        assert [one.start for one in short.history] == [14.5]


class TestTiers:
    @pytest.mark.parametrize("branch", BRANCHES)
    def test_by_the_thresholds(self, dataset, branch):
        assert dataset.hq_rule == "thresholds"
        every = list(dataset.iterate(branch))
        high = list(dataset.iterate(branch, "hq"))
        assert high == [item for item in every if all(is_hq(side) for side in item.sides)]
        for item in high:
            for side in item.sides:
                assert side.hand_blur > 0.5
                assert side.face_blur > 0.7
                assert side.dover > 0.6
                assert side.motion > 2
                assert not side.heard or side.asr_confidence > -1

    def test_by_the_list(self, tmp_path, made):
        listed = {one.name for one in made[:400]}
        root = write_flat(tmp_path / "d", made[:500], MadeLists(hq=sorted(listed)))
        with AnnotationIndex.build(root, tmp_path / "i") as index:
            dataset = SpeakerVid(index)
            assert dataset.hq_rule == "SFT_set.json"
            every, high = list(dataset.iterate("dialogue")), list(dataset.iterate("dialogue", "hq"))
        assert high == [item for item in every if {side.name.text for side in item.sides} <= listed]
        assert 0 < len(high) < len(every)

    def test_what_is_unknown_is_not_of_high_quality(self):
        assert not any(threshold.passes(clip("A", 0, 4)) for threshold in HQ)
        assert [threshold.of_speech for threshold in HQ if threshold.passes(clip("None", 0, 4))] == [True]

    @pytest.mark.parametrize(("seconds", "fits"), [(2.9, False), (3.0, True), (14.04, True), (14.1, False)])
    def test_length(self, seconds, fits):
        assert has_length(clip("A", 10.0, 10.0 + seconds)) is fits


class TestLoader:
    def test_a_folder_is_indexed_into_the_cache(self, tmp_path, made, private_cache):
        root = write_flat(tmp_path / "d", made[:50])
        told = []
        dataset = SpeakerVid(root, progress=lambda source, count: told.append((source, count)))
        first = list(dataset.iterate("single"))
        dataset.close()
        assert ("merge_anno", 50) in told
        (file,) = (private_cache / "speakervid").iterdir()
        with SpeakerVid(file) as again:
            assert list(again.iterate("single")) == first

    @pytest.mark.parametrize(
        "choice", [{"branch": "other"}, {"tier": "best"}, {"gap_s": 0}, {"history_s": -1}, {"gap_s": float("nan")}]
    )
    def test_what_means_nothing_is_said_at_once(self, dataset, choice):
        with pytest.raises(UsageError):
            dataset.iterate(**choice)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(InputError, match="no such folder or index"):
            SpeakerVid(tmp_path / "none")
