"""Face tracks that a network tells apart: made-up embeddings on made-up detections, and two real people in turn.

Embeddings are angles: two faces are as alike as the cosine of the angle between theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vidchatbench.api import ClipInfo, ExtractorContext, Feature, Frame, Sample, Side
from vidchatbench.engine.features.keys import describe_extractor
from vidchatbench.errors import UsageError
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader, grid_frames
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench_metrics.faces.linking import MIN_COSINE, may_be_one
from vidchatbench_metrics.faces.timeline import FaceTimeline, responder_tracklets
from vidchatbench_metrics.faces.tracks import FaceTracks
from vidchatbench_metrics.identity.face_tracks import IdentityTracks
from vidchatbench_metrics.video_quality.face_presence import FacePresence

SHARED = Path(__file__).resolve().parents[4] / "shared"
SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
ANN, BOB = 0.0, 90.0
LEFT, RIGHT = 0.0, 300.0

Face = tuple[float, float] | None
"""Where a face is and whose, as an angle in degrees; ``None`` for a key frame without one."""


def look(angle: float) -> NDArray[np.float32]:
    return np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))], np.float32)


def watch(faces: Iterable[Face], *, with_network: bool = True) -> Feature:
    timeline = FaceTimeline(5)
    for face in faces:
        seen = [] if face is None else [face]
        boxes = np.array([[x, 0, x + 100, 100] for x, _ in seen], float).reshape(-1, 4)
        embeddings = np.array([look(angle) for _, angle in seen], np.float32).reshape(-1, 2) if with_network else None
        timeline.add_key(boxes, np.zeros((len(seen), 5, 2)), np.full(len(seen), 0.99), embeddings)
    timeline.close()
    return timeline.to_feature()


def presence(feature: Feature) -> float | None:
    return FacePresence().score(SAMPLE, {"faces": feature}).value


@pytest.mark.parametrize(
    ("faces", "tracks", "share"),
    [
        ([(LEFT, ANN)] * 6 + [(LEFT, BOB)] * 4, 2, 0.6),  # a cut to somebody else in the same place
        ([(LEFT, ANN)] * 6 + [(RIGHT, BOB)] * 4, 2, 0.6),  # in another place
        ([(LEFT, ANN)] * 6 + [(RIGHT, ANN)] * 4, 1, 1.0),  # a jump
        ([(LEFT, ANN)] * 3 + [(LEFT, BOB)] * 4 + [(LEFT, ANN)] * 3, 2, 0.6),  # there and back
        ([(LEFT, ANN)] * 3 + [None] * 4 + [(RIGHT, ANN)] * 3, 1, 0.6),  # hidden for a while
        ([(LEFT, 10.0 * k) for k in range(10)], 1, 1.0),  # a head that turns by a quarter
    ],
)
def test_people_in_turn_are_as_many_tracks(faces: list[Face], tracks: int, share: float) -> None:
    feature = watch(faces)
    assert feature.meta["n_tracks"] == tracks
    assert presence(feature) == pytest.approx(share)
    timeline = FaceTimeline.from_feature(feature)
    again = timeline.result()
    assert again.meta == feature.meta
    assert all(np.array_equal(again[name], feature[name]) for name in feature.arrays)
    owner = dict(zip(feature["tracklet"], feature["track"], strict=True))
    assert {owner[tracklet] for tracklet in responder_tracklets(timeline)} == {feature.meta["primary"]}


@pytest.mark.parametrize("where", [LEFT, RIGHT])
def test_without_a_network_they_are_one(where: float) -> None:
    feature = watch([(LEFT, ANN)] * 6 + [(where, BOB)] * 4, with_network=False)
    assert feature.meta["n_tracks"] == 1
    assert presence(feature) == 1.0
    assert "embedding" not in feature.arrays


@pytest.mark.parametrize(("more", "one"), [(-0.5, True), (0.5, False)])
def test_how_alike_two_faces_must_be(more: float, one: bool) -> None:
    limit = math.degrees(math.acos(MIN_COSINE))
    assert may_be_one([look(0.0)], [look(limit + more)]) is one
    assert may_be_one([look(0.0), look(90.0)], [look(90.0 + limit + more)]) is one, "the nearest of them counts"
    for where in (LEFT, RIGHT):
        assert watch([(LEFT, 0.0), (where, limit + more)]).meta["n_tracks"] == (1 if one else 2)


def test_a_face_of_which_the_network_says_nothing_is_told_apart_from_nobody() -> None:
    assert may_be_one([np.zeros(2, np.float32)], [look(ANN)])
    assert may_be_one([], [look(ANN)])


# --- the parameter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "need"),
    [
        ("video_quality/face_presence", "identity/face_tracks"),
        ("identity/arcface", "identity/arcface_linked_frames"),
        ("identity/drift", "identity/arcface_linked_frames"),
        ("identity/facenet", "identity/facenet_linked_frames"),
    ],
)
def test_linking_by_a_network_is_another_protocol(name: str, need: str) -> None:
    catalogue = load_catalogue()
    usual, chosen = catalogue.metric(name), catalogue.metric(name, linking="embedding")
    base, _, version = usual.card.protocol.rpartition("-")
    assert chosen.card.protocol == f"{base}-linked_by_mobilefacenet-{version}"
    assert "No network looks" not in chosen.card.protocol_text
    assert f"is {MIN_COSINE} or more" in chosen.card.protocol_text
    assert "arcface_mobilefacenet" in chosen.card.weights
    assert "Apache-2.0" in str(chosen.card.weights_license)
    assert catalogue.metric(name, linking="time").card == usual.card
    assert chosen.needs()[0].extractor.id == need
    described = str(describe_extractor(catalogue.extractor(chosen.needs()[0].extractor), catalogue))
    assert "identity/face_tracks" in described
    assert "faces/mtcnn" not in described
    assert "identity/face_tracks" not in str(
        describe_extractor(catalogue.extractor(usual.needs()[0].extractor), catalogue)
    )
    with pytest.raises(UsageError, match="linking is 'place'; it must be time or embedding"):
        catalogue.metric(name, linking="place")


# --- real people ----------------------------------------------------------------------------------------------------


def key_frames(name: str, count: int) -> Iterable[Frame]:
    path = SHARED / "mini" / "media" / name
    if not path.is_file():
        pytest.skip("the shared clip is not beside the checkout")
    frames = grid_frames(ClipReader(path, probe(path), video=True, audio=False), 5)
    return (frame for frame, _ in zip(frames, range(count), strict=False))


@pytest.fixture(scope="module")
def extractors() -> tuple[FaceTracks, FaceTracks]:
    pytest.importorskip("facenet_pytorch")
    weights = SHARED / "weights" / "mobilefacenet_arcface_112.onnx"
    if not weights.is_file():
        pytest.skip("the weights are not beside the checkout")
    usual, linked = FaceTracks(), IdentityTracks()
    for extractor in (usual, linked):
        extractor.setup(ExtractorContext("cpu", 1, {"arcface_mobilefacenet": weights}))
    return usual, linked


def tracks_of(extractor: FaceTracks, frames: Iterable[Frame]) -> Feature:
    session = extractor.begin(ClipInfo(1, 1, 0.0), {})
    for frame in frames:
        session.push(frame)
    return session.finish()


@pytest.mark.shared
@pytest.mark.weights
def test_a_cut_to_another_real_person_is_two_tracks_by_the_network_alone(
    extractors: tuple[FaceTracks, FaceTracks],
) -> None:
    usual, linked = (
        tracks_of(extractor, [*key_frames("half_body1.mp4", 9), *key_frames("head4.mp4", 6)])
        for extractor in extractors
    )
    assert presence(usual) == 1.0
    assert usual.meta["n_tracks"] == 1
    assert linked.meta["n_tracks"] == 2
    assert len(linked["key"]) == 15


@pytest.mark.shared
@pytest.mark.weights
def test_a_real_head_that_turns_stays_one_track(extractors: tuple[FaceTracks, FaceTracks]) -> None:
    linked = tracks_of(extractors[1], key_frames("side1.mp4", 25))
    assert linked.meta["n_tracks"] == 1
    assert presence(linked) == 1.0
