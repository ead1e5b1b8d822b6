"""The metrics of pictures and faces as pure functions: values, reasons, and the card of every variation."""

from __future__ import annotations

import numpy as np
import pytest
from windows import WHOLE

from vidchatbench.api import Feature, Metric, Sample, SampleExtractor, Score, Side, Status
from vidchatbench.plugins.catalogue import load_catalogue

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)


def metric(name: str, **params: str | int) -> Metric:
    return load_catalogue().metric(name, **params)


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def paired(name: str, values: list[float], reference_frames: int, fps: int = 2, **params: str) -> Score:
    """Scores frame pairs on a grid of ``fps``."""
    count = len(values)
    arrays = {"value": np.array(values, float), "time": np.arange(count) / fps}
    features = {
        "frames": Feature(arrays, {"fps": fps, "seconds": count / fps, **WHOLE}),
        "reference": Feature({}, {"frames": reference_frames}),
    }
    return metric(name, fps=fps, **params).score(SAMPLE, features)


def test_psnr_is_that_of_the_pooled_error_after_the_first_half_second() -> None:
    # Errors 1 and 100: 10 log10(65025 / 50.5) = 31.098; the mean of 48.13 and 28.13 would be 38.13.
    score = paired("video_quality/psnr", [0.0, 1.0, 100.0], 3)
    assert score.value == pytest.approx(31.0979, abs=1e-4)
    assert score.details["lowest"] == pytest.approx(28.1308, abs=1e-4)
    assert score.details["shown"] == 1.0


def test_a_copy_of_the_first_picture_gains_nothing() -> None:
    def score(copied: int, fps: int) -> float:
        value = paired("video_quality/psnr", [0.0] * copied + [400.0] * (10 - copied), 10, fps=fps).value
        assert value is not None
        return value

    # At 5 pairs a second those at 0, 0.2 and 0.4 s are left out and the one at 0.6 s is not; at 2 that at 0.5 s is not.
    assert score(0, 5) == score(3, 5) < score(4, 5)
    assert score(0, 2) == score(1, 2) < score(2, 2)


def test_identical_pictures_have_the_cap() -> None:
    assert paired("video_quality/psnr", [0.0] * 4, 4).value == 100.0


@pytest.mark.parametrize(
    ("name", "value", "whole", "half"),
    [
        ("video_quality/psnr", 65.025, 30.0, 15.0),
        ("video_quality/ssim", 0.8, 0.8, 0.4),
        ("video_quality/lpips", 0.2, 0.2, 0.6),
    ],
)
def test_what_the_reference_shows_and_the_reply_does_not_is_charged(
    name: str, value: float, whole: float, half: float
) -> None:
    # From 0.5 s on the reference has 8 pairs, and the reply shows 8, 4 or, being longer, all of them.
    assert paired(name, [value] * 9, 9).value == pytest.approx(whole)
    short = paired(name, [value] * 5, 9)
    assert short.value == pytest.approx(half)
    assert (short.details["shown"], short.details["common"]) == (0.5, pytest.approx(whole))
    assert (short.details["seconds"], short.details["reference_seconds"]) == (2.5, 4.5)


def test_a_reply_cannot_gain_by_stopping_before_its_worse_half() -> None:
    whole = paired("video_quality/ssim", [0.9] * 5 + [0.1] * 4, 9).value
    cut = paired("video_quality/ssim", [0.9] * 5, 9).value
    assert cut is not None
    assert cut < (whole or 0)


def test_less_than_a_second_in_common_is_the_submissions_fault() -> None:
    score = paired("video_quality/ssim", [1.0] * 3, 25, fps=5)
    assert score.status is Status.OUTPUT_INVALID
    assert "0.60 s in common" in str(score.reason)
    assert paired("video_quality/ssim", [1.0] * 5, 25, fps=5).status is Status.OK


def test_no_common_frame_at_all_is_no_crash() -> None:
    assert paired("video_quality/psnr", [], 25, fps=5).status is Status.OUTPUT_INVALID
    assert paired("video_quality/psnr", [1.0], 1, fps=1).status is Status.OUTPUT_INVALID, "only the pair at 0 s"


@pytest.mark.parametrize("name", ["video_quality/psnr", "video_quality/ssim"])
def test_another_frame_rate_is_another_protocol(name: str) -> None:
    full, lite = metric(name), metric(name, fps=5)
    assert "-25fps-" in full.card.protocol
    assert "-5fps-" in lite.card.protocol
    assert full.card.protocol != lite.card.protocol
    assert "5 frame pairs a second" in lite.card.protocol_text


def test_identity_networks_have_protocols_and_licences_of_their_own() -> None:
    official = metric("identity/arcface").card
    lite = metric("identity/arcface", network="mobilefacenet", fps=2).card
    named = metric("identity/arcface", network="sha256:" + "ab" * 32).card
    assert len({official.protocol, lite.protocol, named.protocol}) == 3
    assert not official.commercial_use
    assert lite.commercial_use
    assert lite.weights[0] == "arcface_mobilefacenet"
    assert named.protocol == "arcface/onnx-abababababab-25fps-capped-v1"


def test_an_unknown_network_is_refused_with_the_known_ones() -> None:
    from vidchatbench.errors import UsageError

    with pytest.raises(UsageError, match="mobilefacenet"):
        metric("identity/arcface", network="resnet")


def test_face_presence_counts_the_responders_key_frames() -> None:
    faces = Feature({"track": np.array([0, 0, 1], np.int32)}, {"n_keys": 4, "n_tracks": 2, "primary": 0, "fps": 5})
    score = metric("video_quality/face_presence").score(SAMPLE, {"faces": faces})
    assert score.value == 0.5
    nobody = Feature({"track": np.zeros(0, np.int32)}, {"n_keys": 4, "n_tracks": 0, "primary": None, "fps": 5})
    assert metric("video_quality/face_presence").score(SAMPLE, {"faces": nobody}).value == 0.0


@pytest.mark.parametrize("name", list(load_catalogue().metrics))
def test_every_card_is_complete(name: str) -> None:
    built = metric(name)
    card = built.card
    assert card.id == name
    assert card.protocol_text.strip()
    assert card.description.strip()
    assert card.source.strip()
    assert card.citation.strip().startswith("@")
    assert {role for need in built.needs() for role in need.roles} <= set(card.roles)
    used: set[str] = set()
    waiting = [need.extractor for need in built.needs()]
    while waiting:
        extractor = load_catalogue().extractor(waiting.pop())
        used |= set(extractor.weights)
        waiting += [*extractor.requires.values(), *extractor.guides.values()]
        waiting += [need.extractor for need in extractor.reads()] if isinstance(extractor, SampleExtractor) else []
    assert set(card.weights) <= used, "the card names weights that nothing uses"
    assert used <= set(load_catalogue().weights)
    assert bool(used) == bool(card.weights)


@pytest.mark.parametrize(("candidate", "reference", "ratio"), [(1.2, 10.0, 0.12), (10.0, 1.2, 0.12), (4.0, 4.0, 1.0)])
def test_a_reply_that_stops_early_shows_in_the_duration_ratio(candidate: float, reference: float, ratio: float) -> None:
    lengths = {"candidate": candidate, "reference": reference}
    features = {name: Feature({"seconds": np.asarray(seconds)}) for name, seconds in lengths.items()}
    score = metric("video_quality/duration_ratio").score(SAMPLE, features)
    assert score.value == pytest.approx(ratio)
    assert score.details == {"seconds": candidate, "reference_seconds": reference}


def test_the_length_of_a_reply_is_read_against_the_lengths_of_other_replies() -> None:
    assert metric("video_quality/duration_ratio").card.null == "shuffled_replies"


def test_no_suite_entry_speaks_of_another_protocols_frame_rate() -> None:
    for suite in load_catalogue().suites.values():
        for entry in suite.metrics:
            card = load_catalogue().metric(entry.metric, **entry.params).card
            if "5fps" in card.protocol and "25fps" not in card.protocol:
                assert "25fps" not in card.protocol_text
                assert "25 frame" not in card.protocol_text
