"""LSE-C, LSE-D and offset as pure functions: values by hand, signs, gates, reasons and cards; tracks and smoothing."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from vidchatbench.api import Feature, Metric, Role, Sample, Score, Side, Status
from vidchatbench_metrics.av_sync import EXTRACTORS, METRICS, WEIGHTS
from vidchatbench_metrics.av_sync.crops import RULES, Run, Runs, overlap
from vidchatbench_metrics.av_sync.distances import chance, shifted_distances, summarise
from vidchatbench_metrics.faces.timeline import Face

BY_NETWORK = sorted(set(METRICS) - {"av_sync/mouth_envelope"})

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
SEEDED = "sha256:" + "ab" * 32


def load(target: str) -> type:
    module, _, name = target.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def metric(name: str, **params: str) -> Metric:
    built: Metric = load(METRICS[name])(**params)
    return built


def rows(count: int, seed: int = 0, size: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, size)).astype(np.float32)


def picture(*tracks: tuple[int, np.ndarray], frames: int, primary: int | None = 0) -> Feature:
    """Tracks as (first frame, embeddings)."""
    arrays = {
        "embedding": np.concatenate([found for _, found in tracks]) if tracks else np.zeros((0, 16), np.float32),
        "track": np.repeat(np.arange(len(tracks)), [len(found) for _, found in tracks]).astype(np.int32),
        "frame": np.concatenate([np.zeros(0), *(start + np.arange(len(found)) for start, found in tracks)]),
    }
    arrays["frame"] = arrays["frame"].astype(np.int32)
    return Feature(arrays, {"frames": frames, "tracks": len(tracks), "seconds": frames / 25, "primary": primary})


def sound(embedding: np.ndarray, frames: int) -> Feature:
    return Feature({"embedding": embedding}, {"samples": frames * 640})


def speech(*segments: tuple[float, float]) -> Feature:
    seconds = sum(end - start for start, end in segments)
    return Feature({"segments": np.array(segments, np.float32).reshape(-1, 2)}, {"speech_seconds": seconds})


def score(name: str, shown: Feature, heard: Feature, spoken: Feature | None = None) -> Score:
    features = {"picture": shown, "sound": heard}
    return metric(name).score(SAMPLE, features if spoken is None else {**features, "candidate_speech": spoken})


def delayed(embedding: np.ndarray, frames: int) -> np.ndarray:
    """The rows of sound that begins later (or, for negative frames, earlier) by some frames."""
    moved = rows(len(embedding), seed=99)
    if frames >= 0:
        moved[frames:] = embedding[: len(embedding) - frames]
    else:
        moved[:frames] = embedding[-frames:]
    return moved


class TestDistances:
    def test_one_window_by_hand(self):
        found = shifted_distances(np.array([[3.0, 4.0]]), np.array([[3.0, 4.0]]))
        assert found.shape == (1, 31)
        assert found[0, 15] == pytest.approx(np.sqrt(2) * 1e-6)
        beyond = np.hypot(3 + 1e-6, 4 + 1e-6)
        assert np.delete(found[0], 15) == pytest.approx(beyond, abs=1e-12)
        lse = summarise(found)
        assert (lse.offset, lse.distance) == (0, pytest.approx(np.sqrt(2) * 1e-6))
        assert lse.confidence == pytest.approx(5.0, abs=1e-5)

    def test_two_windows_by_hand(self):
        """The picture is one frame behind: shift +1 compares window 0 with sound 1, and window 1 with silence."""
        seen, heard = np.array([[1.0], [2.0]]), np.array([[5.0], [1.0]])
        mean = shifted_distances(seen, heard).mean(axis=0)
        assert mean[14] == pytest.approx((abs(1 - 0) + abs(2 - 5)) / 2, abs=1e-5)
        assert mean[15] == pytest.approx((abs(1 - 5) + abs(2 - 1)) / 2, abs=1e-5)
        assert mean[16] == pytest.approx((abs(1 - 1) + abs(2 - 0)) / 2, abs=1e-5)
        assert mean[0] == pytest.approx(1.5, abs=1e-5)
        assert summarise(shifted_distances(seen, heard)).offset == -1

    def test_the_first_of_equal_shifts_counts(self):
        lse = summarise(np.ones((3, 31)))
        assert (lse.offset, lse.distance, lse.confidence) == (15, 1.0, 0.0)

    def test_other_shapes_are_refused(self):
        with pytest.raises(ValueError, match="same shape"):
            shifted_distances(rows(4), rows(5))


class TestChance:
    def test_by_hand(self):
        """Two windows: the sound comes as (1, 0) in four of the orders, and as (0, 1) in the other four."""
        seen, heard = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[3.0, 0.0], [0.0, 3.0]])
        found = chance(seen, heard, np.arange(2))
        turned = summarise(shifted_distances(seen, heard[::-1]))
        as_it_was = summarise(shifted_distances(seen, heard))
        assert found.confidence == pytest.approx((turned.confidence + as_it_was.confidence) / 2, abs=1e-9)
        assert found.distance == pytest.approx((turned.distance + as_it_was.distance) / 2, abs=1e-9)
        assert found.offset == pytest.approx((abs(turned.offset) + abs(as_it_was.offset)) / 2)

    def test_is_the_mean_over_eight_wrong_orders(self, monkeypatch):
        monkeypatch.setattr("vidchatbench_metrics.av_sync.distances._BLOCK", 7)
        seen, heard, places = rows(33), rows(50, 1), np.r_[0:20, 30:43]
        orders = [np.roll(np.arange(50)[::-1], 50 * draw // 8) for draw in range(8)]
        single = [summarise(shifted_distances(seen, heard[order], places)) for order in orders]
        found = chance(seen, heard, places)
        assert found.confidence == pytest.approx(np.mean([lse.confidence for lse in single]), rel=1e-9)
        assert found.distance == pytest.approx(np.mean([lse.distance for lse in single]), rel=1e-9)
        assert found.offset == pytest.approx(np.mean([abs(lse.offset) for lse in single]))

    def test_is_that_of_another_sound_and_of_the_clips_own_length(self):
        """Few windows have an uneven curve of distances, whose depth is the confidence."""
        by_length = []
        for count in (25, 250):
            seen = rows(count)
            own = score("av_sync/lse_c", picture((0, seen), frames=count + 4), sound(seen, count + 5))
            other = [
                score("av_sync/lse_c", picture((0, seen), frames=count + 4), sound(rows(count, seed), count + 5)).value
                for seed in range(1, 9)
            ]
            assert own.details["chance_confidence"] == pytest.approx(np.mean(other), rel=0.25)
            assert own.details["chance_confidence"] < 0.5 * own.details["confidence"]
            assert own.details["chance_distance"] > own.details["distance"]
            assert own.details["chance_offset"] > 2
            by_length.append(float(own.details["chance_confidence"]))
        assert by_length[0] > 2 * by_length[1]

    def test_does_not_depend_on_whether_the_sound_fits(self):
        seen = rows(200)
        shown = picture((0, seen), frames=204)
        fits, late = (score("av_sync/lse_c", shown, sound(delayed(seen, by), 205)) for by in (0, 12))
        assert fits.details["chance_confidence"] == pytest.approx(late.details["chance_confidence"], rel=0.3)
        assert fits.value == pytest.approx(late.value, rel=0.15), "the confidence does not see the offset"
        assert (fits.details["offset"], late.details["offset"]) == (0, -12)

    def test_in_speech_is_over_the_windows_in_speech(self):
        same = rows(60)
        shown, heard = picture((0, same), frames=64), sound(same, 65)
        found = score("av_sync/lse_c_speech", shown, heard, speech((0.2, 1.0)))
        expected = chance(same[5:21], same[:59], np.arange(5, 21))
        assert found.details["chance_confidence"] == pytest.approx(expected.confidence)


class TestOffset:
    @pytest.mark.parametrize("frames", [-15, -4, -1, 0, 1, 3, 15])
    def test_sound_delayed_by_k_frames_has_offset_minus_k(self, frames):
        same = rows(60)
        found = score("av_sync/offset", picture((0, same), frames=64), sound(delayed(same, frames), 65))
        assert found.details["offset"] == -frames
        assert found.value == abs(frames)

    def test_picture_and_sound_in_each_others_place_turn_the_sign(self):
        same = rows(60)
        later = delayed(same, 3)
        right = score("av_sync/offset", picture((0, same), frames=64), sound(later, 65))
        swapped = score("av_sync/offset", picture((0, later), frames=64), sound(same, 65))
        assert (right.details["offset"], swapped.details["offset"]) == (-3, 3)
        assert right.value == swapped.value == 3


class TestWhatCounts:
    @pytest.mark.parametrize(("heard_frames", "count"), [(64, 59), (60, 55), (70, 59), (33, 28)])
    def test_the_shorter_of_both_less_five(self, heard_frames, count):
        same = rows(60)
        found = score("av_sync/lse_d", picture((0, same), frames=64), sound(rows(100, 1), heard_frames))
        assert found.details["scored_seconds"] == count / 25
        expected = summarise(shifted_distances(same[:count], rows(100, 1)[:count]))
        assert found.value == pytest.approx(expected.distance, abs=1e-12)

    def test_the_sound_is_cut_to_the_track(self):
        same = rows(90)
        found = score("av_sync/offset", picture((20, same[20:70]), frames=94), sound(same, 95))
        assert found.details["offset"] == 0
        assert found.details["scored_seconds"] == 49 / 25
        assert found.details["coverage"] == 54 / 94

    def test_a_face_that_is_lost_between_is_scored_on_both_sides(self):
        """The sound goes on in the gap: at every shift each window meets the sound of its own time."""
        same = rows(120)
        later = delayed(same, 4)
        starts = np.array([*range(30), *range(60, 100)])
        shown = Feature(
            {"embedding": same[starts], "track": np.zeros(70, np.int32), "frame": starts.astype(np.int32)},
            {"frames": 124, "tracks": 1, "seconds": 124 / 25, "primary": 0},
        )
        result = score("av_sync/offset", shown, sound(later, 125))
        whole = shifted_distances(same[:99], later[:99])
        expected = summarise(whole[starts[:-1]])
        assert result.details["offset"] == expected.offset == -4
        assert result.details["distance"] == pytest.approx(expected.distance, abs=1e-12)
        assert result.details["confidence"] == pytest.approx(expected.confidence, abs=1e-12)
        assert result.details["coverage"] == (34 + 44) / 124
        assert result.details["scored_seconds"] == 69 / 25

    @pytest.mark.parametrize(("heard", "status"), [(50, Status.OK), (49, Status.OUTPUT_INVALID)])
    def test_a_gap_is_no_part_of_what_face_and_sound_have_in_common(self, heard, status):
        """Frames 0 to 19 and 40 to 89 show the face: with 50 frames of sound 30 of 60 have it."""
        starts = np.array([*range(16), *range(40, 56)])
        shown = Feature(
            {"embedding": rows(32), "track": np.zeros(32, np.int32), "frame": starts.astype(np.int32)},
            {"frames": 60, "tracks": 1, "seconds": 2.4, "primary": 0},
        )
        assert score("av_sync/lse_d", shown, sound(rows(heard - 4), heard)).status is status

    def test_confidence_distance_and_offset_come_from_the_same_distances(self):
        shown, heard = picture((0, rows(60)), frames=64), sound(rows(60, 1), 65)
        scores = {name: score(f"av_sync/{name}", shown, heard) for name in ("lse_c", "lse_d", "offset")}
        details = scores["lse_c"].details
        assert scores["lse_c"].value == details["confidence"]
        assert scores["lse_d"].value == details["distance"]
        assert scores["offset"].value == abs(int(details["offset"]))
        assert all(found.details == details for found in scores.values())

    def test_another_clips_sound_can_be_put_under_the_picture(self):
        same = rows(60)
        shown = picture((0, same), frames=64)
        own = score("av_sync/lse_c", shown, sound(same, 65))
        for frames in (40, 65, 300):
            other = score("av_sync/lse_c", shown, sound(rows(frames - 4, seed=7), frames))
            assert other.status is Status.OK
            assert float(other.value or 0) < 0.3 * float(own.value or 0)

    def test_only_the_responders_track_counts_and_the_others_are_recorded(self):
        mine, other = rows(60), rows(40, 1)
        heard = sound(mine, 65)
        shown = picture((5, other), (0, mine), frames=64, primary=1)
        found = score("av_sync/lse_c", shown, heard)
        alone = score("av_sync/lse_c", picture((0, mine), frames=64), heard)
        assert found.value == alone.value == found.details["track1"]
        assert float(found.details["track0"]) < 0.5 * float(found.details["track1"])
        assert (found.details["tracks"], alone.details["tracks"]) == (2, 1)
        assert not any(name.startswith("track") and name != "tracks" for name in alone.details)

    def test_of_many_tracks_the_four_longest_are_recorded(self):
        tracks = [(0, rows(count)) for count in (60, 21, 22, 23, 24, 25)]
        found = score("av_sync/lse_d", picture(*tracks, frames=64), sound(rows(60), 65))
        assert {name for name in found.details if name[5:].isdigit()} == {"track0", "track3", "track4", "track5"}


class TestSpeech:
    def test_only_windows_within_speech_count(self):
        same = rows(60)
        broken = same.copy()
        broken[30:] = rows(30, 5)
        shown, heard = picture((0, same), frames=64), sound(broken, 65)
        spoken = score("av_sync/lse_d_speech", shown, heard, speech((0.2, 1.0)))
        assert spoken.details["scored_seconds"] == 16 / 25  # windows 5 to 20: from 0.2 s, until 1.0 s
        assert float(spoken.value or 0) < 1e-4 < float(score("av_sync/lse_d", shown, heard).value or 0)

    def test_a_window_across_a_pause_does_not_count(self):
        same = rows(60)
        found = score(
            "av_sync/lse_c_speech", picture((0, same), frames=64), sound(same, 65), speech((0, 0.32), (0.36, 0.64))
        )
        assert found.details["scored_seconds"] == (4 + 3) / 25

    def test_too_little_speech_is_the_submissions_fault(self):
        found = score("av_sync/lse_c_speech", picture((0, rows(60)), frames=64), sound(rows(60), 65), speech((0, 0.25)))
        assert found.status is Status.OUTPUT_INVALID
        assert "no speech: 0.25 s found" in str(found.reason)

    def test_speech_without_the_face_is_the_submissions_fault(self):
        shown = picture((50, rows(60)), frames=114)
        found = score("av_sync/lse_d_speech", shown, sound(rows(150), 155), speech((0.0, 1.9)))
        assert found.status is Status.OUTPUT_INVALID
        assert "within speech" in str(found.reason)


class TestInvalid:
    def test_no_track_of_the_responder(self):
        found = score("av_sync/lse_c", picture(frames=64, primary=None), sound(rows(60), 65))
        assert found.status is Status.OUTPUT_INVALID
        assert "no track" in str(found.reason)

    def test_no_frame_at_all(self):
        found = score("av_sync/lse_c", picture(frames=0, primary=None), sound(rows(0), 0))
        assert found.status is Status.OUTPUT_INVALID

    @pytest.mark.parametrize(("frames", "status"), [(60, Status.OK), (61, Status.OUTPUT_INVALID)])
    def test_the_face_must_be_in_half_of_the_frames(self, frames, status):
        found = score("av_sync/offset", picture((0, rows(26)), frames=frames), sound(rows(60), 65))
        assert found.status is status

    @pytest.mark.parametrize(
        ("frames", "status"), [(25, Status.OK), (24, Status.OUTPUT_INVALID), (0, Status.OUTPUT_INVALID)]
    )
    def test_a_second_of_sound_is_needed(self, frames, status):
        found = score("av_sync/lse_d", picture((0, rows(36)), frames=40), sound(rows(max(0, frames - 4)), frames))
        assert found.status is status

    @pytest.mark.parametrize(("heard", "status"), [(50, Status.OK), (49, Status.OUTPUT_INVALID)])
    @pytest.mark.parametrize("name", ["lse_c", "lse_d", "offset", "lse_c_sgc"])
    def test_sound_under_half_of_the_picture_is_no_way_to_win(self, name, heard, status):
        found = score(f"av_sync/{name}", picture((0, rows(96)), frames=100), sound(rows(heard - 4), heard))
        assert found.status is status

    def test_sound_that_ends_before_the_face_comes(self):
        found = score("av_sync/lse_d", picture((40, rows(60)), frames=104), sound(rows(26), 30))
        assert found.status is Status.OUTPUT_INVALID


def offline_runs(faces: list[list[Face]], least: int) -> list[list[tuple[int, Face]]]:
    """Tracks by the rule of ``run_pipeline.track_shot``: one after the other, each through the whole clip."""
    left = [list(frame) for frame in faces]
    found = []
    while any(left):
        run: list[tuple[int, Face]] = []
        for index, frame in enumerate(left):
            for face in list(frame):
                near = bool(run) and index - run[-1][0] <= 25
                if not run or (near and index > run[-1][0] and overlap(run[-1][1].box, face.box) > 0.5):
                    run.append((index, face))
                    frame.remove(face)
                    break
        if len(run) >= least:
            found.append(run)
    return found


class TestTracks:
    def faces(self, seed: int) -> list[list[Face]]:
        """Three faces that wander, meet, and are missed for up to 40 frames."""
        rng = np.random.default_rng(seed)
        centres, hidden = rng.uniform(0, 300, (3, 2)), np.zeros(3, int)
        frames = []
        for _ in range(150):
            centres += rng.normal(0, 12, (3, 2))
            hidden = np.where(hidden > 0, hidden - 1, np.where(rng.random(3) < 0.06, rng.integers(1, 40, 3), 0))
            shown = [number for number in range(3) if hidden[number] == 0]
            frames.append([Face(n, np.array([*centres[n] - 60, *centres[n] + 60]), np.zeros((5, 2))) for n in shown])
        return frames

    def linked(self, faces: list[list[Face]]) -> list[Run]:
        runs = Runs(relink=True)
        ended = [run for index, frame in enumerate(faces) for run in runs.push(index, frame)]
        return sorted([*ended, *runs.finish()], key=lambda run: run.number)

    @pytest.mark.parametrize("seed", range(6))
    def test_linking_frame_by_frame_equals_the_pipelines_rule(self, seed):
        faces = self.faces(seed)
        expected = offline_runs(faces, least=1)
        found = self.linked(faces)
        assert len(found) > 4
        assert {run.start: run.tracklets for run in found if len(run.tracklets) > 2} == {
            run[0][0]: [face.tracklet for _, face in run] for run in expected if len(run) > 2
        }
        by_start = {(run.start, run.tracklets[0]): run for run in found}
        for run in expected:
            indices = [index for index, _ in run]
            ours = by_start[indices[0], run[0][1].tracklet]
            for side in range(4):
                line = np.interp(range(indices[0], indices[-1] + 1), indices, [face.box[side] for _, face in run])
                np.testing.assert_allclose([box[side] for box in ours.boxes], line, atol=1e-9)

    def test_a_gap_of_25_frames_is_bridged_and_one_more_is_not(self):
        face = Face(0, np.array([0.0, 0.0, 120.0, 120.0]), np.zeros((5, 2)))
        for missing, count in ((24, 1), (25, 2)):
            faces = [[face]] * 30 + [[]] * missing + [[face]] * 30
            assert len(self.linked(faces)) == count

    def test_the_shortest_run_that_counts_has_a_crop_in_every_frame(self):
        """With one frame less the median is a zero from beyond the ends somewhere."""
        face = Face(0, np.array([100.0, 100.0, 160.0, 180.0]), np.zeros((5, 2)))
        shortest = RULES["lossless"].min_run
        for count, whole in ((shortest - 1, False), (shortest, True), (shortest + 5, True)):
            run = Run(0, 0, ended=True)
            for index in range(count):
                run.add(index, face)
            assert all(run.smoothed(i) == (130.0, 140.0, 40.0) for i in range(count)) is whole

    @pytest.mark.filterwarnings("ignore:kernel_size exceeds")
    @pytest.mark.parametrize("count", [7, 13, 40])
    def test_smoothing_equals_the_median_filter(self, count):
        signal = pytest.importorskip("scipy.signal")
        rng = np.random.default_rng(count)
        run = Run(0, 0, ended=True)
        for index in range(count):
            left, top = rng.uniform(0, 400, 2)
            run.add(index, Face(0, np.array([left, top, left + rng.uniform(50, 90), top + 70]), np.zeros((5, 2))))
        boxes = np.array(run.boxes)
        columns = [(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2]
        columns.append(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2)
        expected = np.stack([signal.medfilt(column, 13) for column in columns], axis=1)
        np.testing.assert_array_equal([run.smoothed(i) for i in range(count)], expected)


class TestCards:
    @pytest.mark.parametrize("name", BY_NETWORK)
    def test_card(self, name):
        card = metric(name).card
        assert card.id == name
        assert card.null == "shuffled_audio"
        assert card.roles == (Role.CANDIDATE,)
        kind = name.split("/")[1].split("_s")[0]
        assert (card.direction, card.worst) == {
            "lse_c": ("higher", 0.0),
            "lse_d": ("lower", 20.0),
            "offset": ("lower", 15.0),
        }[kind]
        assert card.commercial_use is False
        assert {spec.name for spec in WEIGHTS} <= set(card.weights)

    def test_each_id_of_a_kind_has_a_protocol_of_its_own(self):
        confidences = [metric(f"av_sync/lse_c{suffix}").card.protocol for suffix in ("", "_sgc", "_speech")]
        assert confidences == ["lse/lossless-v1", "lse/sgc-v1", "lse/lossless-speech-v1"]

    @pytest.mark.parametrize("name", BY_NETWORK)
    def test_a_network_by_its_hash_is_another_protocol_without_a_licence(self, name):
        card, official = metric(name, network=SEEDED).card, metric(name).card
        assert card.protocol == official.protocol.replace("-v1", "-net-abababababab-v1") != official.protocol
        assert card.weights[0] == SEEDED
        assert not card.commercial_use
        assert "unknown" in str(card.weights_license)
        assert "syncnet_v2" not in card.protocol_text

    def test_an_unknown_network_is_refused_with_the_known_ones(self):
        with pytest.raises(ValueError, match="syncnet_v2"):
            metric("av_sync/lse_c", network="stable_syncnet")

    def test_all_metrics_share_the_sound_and_two_crops(self):
        needs = [need for name in BY_NETWORK for need in metric(name).needs()]
        specs = {name: {str(need.extractor) for need in needs if need.name == name} for name in ("picture", "sound")}
        assert (len(specs["picture"]), len(specs["sound"])) == (2, 1)

    @pytest.mark.parametrize("name", sorted(name for name in EXTRACTORS if "syncnet" in name))
    def test_extractors_name_their_weights(self, name):
        kind = load(EXTRACTORS[name])
        assert kind.id == name
        assert kind().weights == ("syncnet_v2",)
        assert kind(network=SEEDED).weights == (SEEDED,)

    def test_an_unknown_crop_is_refused(self):
        with pytest.raises(ValueError, match="lossless or sgc"):
            load(EXTRACTORS["av_sync/syncnet_picture"])(crop="tight")
