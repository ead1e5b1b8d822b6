"""The metrics of pictures and faces as pure functions: values, reasons, and the card of every variation."""

from __future__ import annotations

import numpy as np
import pytest

from vidchatbench.api import Feature, Metric, Sample, SampleExtractor, Side, Status
from vidchatbench.plugins.catalogue import load_catalogue

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)


def metric(name: str, **params: str | int) -> Metric:
    return load_catalogue().metric(name, **params)


def test_paired_score_is_the_mean_of_frames_not_of_pooled_errors() -> None:
    frames = Feature({"value": np.array([20.0, 40.0])}, {"fps": 1, "seconds": 2.0})
    score = metric("video_quality/psnr").score(SAMPLE, {"frames": frames})
    assert (score.status, score.value) == (Status.OK, 30.0)
    assert score.details["lowest"] == 20.0


def test_less_than_a_second_in_common_is_the_submissions_fault() -> None:
    frames = Feature({"value": np.ones(3)}, {"fps": 5, "seconds": 0.6})
    score = metric("video_quality/ssim").score(SAMPLE, {"frames": frames})
    assert score.status is Status.OUTPUT_INVALID
    assert "0.60 s in common" in str(score.reason)


def test_no_common_frame_at_all_is_no_crash() -> None:
    frames = Feature({"value": np.zeros(0)}, {"fps": 5, "seconds": 0.0})
    assert metric("video_quality/psnr").score(SAMPLE, {"frames": frames}).status is Status.OUTPUT_INVALID


@pytest.mark.parametrize("name", ["video_quality/psnr", "video_quality/ssim"])
def test_another_frame_rate_is_another_protocol(name: str) -> None:
    full, lite = metric(name), metric(name, fps=5)
    assert full.card.protocol.endswith("25fps-v1")
    assert lite.card.protocol.endswith("5fps-v1")
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
        waiting += extractor.requires.values()
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


def test_no_suite_entry_speaks_of_another_protocols_frame_rate() -> None:
    for suite in load_catalogue().suites.values():
        for entry in suite.metrics:
            card = load_catalogue().metric(entry.metric, **entry.params).card
            if "5fps" in card.protocol and "25fps" not in card.protocol:
                assert "25fps" not in card.protocol_text
                assert "25 frame" not in card.protocol_text
