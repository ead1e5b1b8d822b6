"""``identity/arcface``, ``/facenet`` and ``/drift``: likeness of the face to the given one, and how it changes.

All three compare the frames that show the face with the reference image by :func:`cosines`; they differ in the network
and in how they summarise the cosines. What a reply is more alike than the real reply is counts for nothing: a still
copy of the image is the most alike of all, and must not pass for a good reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.common.networks import Networks
from vidchatbench_metrics.faces.linked import FACE_TRACKS, face_tracks, linked_card
from vidchatbench_metrics.identity.networks import ARCFACE, FACENET

MIN_COVERAGE = 0.5
"""Share of frames that must show the face."""

MIN_SECONDS = 2.0
"""Seconds of frames with the face below which early and late are the same moment."""

PARTS = 3


@dataclass(frozen=True)
class Cosines:
    """Cosines of the frames that show the face to the reference image.

    Attributes:
        values: float64 of shape (n,), in -1..1, n >= 1, in order of time.
        frames: Number of frames read.
        coverage: Share of them that show the face.
    """

    values: NDArray[np.float64]
    frames: int
    coverage: float


def cosines(features: Mapping[str, Feature]) -> tuple[Cosines, Cosines] | Score:
    """Compares the frames of the candidate and of the real reply with the reference image, where all show the face.

    Args:
        features: ``image``, ``frames`` and ``real_frames``, as a pair of extractors of this package gives them.

    Returns:
        The cosines of the candidate and of the real reply; or ``not_applicable`` where the image shows no face or under
        half of the real reply's frames do, else ``invalid`` where under half of the candidate's frames do.
    """
    image = features["image"]["embedding"].astype(np.float64)
    if image.size == 0:
        return Score.not_applicable("no face was found in the reference image")
    # The real reply goes first: which samples leave the denominator must not depend on the candidate.
    real = _cosines(features["real_frames"], image)
    if isinstance(real, str):
        return Score.not_applicable(f"reference: {real}")
    frames = features["frames"]
    candidate = _cosines(frames, image)
    if isinstance(candidate, str):
        return Score.invalid(candidate, frames=int(frames.number("frames")), coverage=_coverage(frames))
    return candidate, real


def _coverage(feature: Feature) -> float:
    frames = feature.number("frames")
    return len(feature["embedding"]) / frames if frames else 0.0


def _cosines(feature: Feature, image: NDArray[np.float64]) -> Cosines | str:
    """Returns the cosines of a clip's frames to the image, or why there are none."""
    embeddings, frames = feature["embedding"].astype(np.float64), int(feature.number("frames"))
    coverage = _coverage(feature)
    if len(embeddings) == 0 or coverage < MIN_COVERAGE:
        return f"the responder's face was found in {len(embeddings)} of {frames} frames; at least half is needed"
    return Cosines(np.clip(embeddings @ image, -1.0, 1.0), frames, coverage)


class FaceLikeness(Metric):
    """Mean cosine of the face's embedding to that of the reference image, at most the real reply's, higher is better.

    It lies in -1..1; ``uncapped`` in the details is the cosine itself, ``real`` that of the real reply.
    """

    networks: ClassVar[Networks]
    extractors: ClassVar[str]
    """Ids of the extractors without ``_frames`` and ``_reference``."""

    def make_card(self) -> MetricCard:
        """Returns the card; another network, frame rate or linking is another protocol.

        Raises:
            ValueError: If the network is neither known nor named by its hash, or there is no such linking.
        """
        card = self.networks.card(self.default_card, str(self.params["network"]), fps=str(int(self.number("fps"))))
        return linked_card(card, self.params["linking"])

    def needs(self) -> tuple[Need, ...]:
        """Embeddings of the frames of the candidate and of the real reply, and of the reference image."""
        network = self.params["network"]
        is_default = face_tracks(self.params["linking"]).id == FACE_TRACKS["time"]
        name = f"{self.extractors}_{'' if is_default else 'linked_'}frames"
        frames = ExtractorSpec.of(name, network=network, fps=self.params["fps"])
        image = ExtractorSpec.of(f"{self.extractors}_reference", network=network)
        return (
            Need("frames", frames, (Role.CANDIDATE,)),
            Need("real_frames", frames, (Role.REFERENCE,)),
            Need("image", image, (Role.REFERENCE_IMAGE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the cosines over the frames that show the face, and cuts the mean at the real reply's."""
        del sample
        result = cosines(features)
        if isinstance(result, Score):
            return result
        candidate, real = result
        uncapped, most = float(candidate.values.mean()), float(real.values.mean())
        return Score.ok(
            min(uncapped, most),
            uncapped=uncapped,
            real=most,
            frames=candidate.frames,
            coverage=candidate.coverage,
            lowest=float(candidate.values.min()),
        )


class ArcFace(FaceLikeness):
    """Mean cosine of the face's ArcFace embedding to that of the reference image, at most the real reply's.

    Parameters:
        network: ``w600k_r50`` (the official one), ``mobilefacenet`` (small, permissive), or ``sha256:<64 hex>`` for
            any network of that interface whose file lies in the weights mirror.
        fps: Frames per second that are compared.
        linking: How faces become tracks, ``time`` or ``embedding``; see ``video_quality/face_presence``.
    """

    default_card = load_card(__package__, "cards/arcface.toml")
    defaults = {"network": ARCFACE.default, "fps": 25, "linking": "time"}
    networks = ARCFACE
    extractors = "identity/arcface"


class Facenet(FaceLikeness):
    """Mean cosine of the face's FaceNet embedding to that of the reference image, at most the real reply's.

    Parameters:
        network: ``vggface2`` (the official one), or ``sha256:<64 hex>`` for any state dict of facenet-pytorch's
            ``InceptionResnetV1`` that lies in the weights mirror.
        fps: Frames per second that are compared.
        linking: How faces become tracks, ``time`` or ``embedding``; see ``video_quality/face_presence``.
    """

    default_card = load_card(__package__, "cards/facenet.toml")
    defaults = {"network": FACENET.default, "fps": 25, "linking": "time"}
    networks = FACENET
    extractors = "identity/facenet"


class IdentityDrift(FaceLikeness):
    """Mean ArcFace cosine of the last third minus that of the first third; negative where the face drifts away.

    Each third is cut at the real reply's own before they are subtracted, so that a still picture, which never changes,
    scores what the real reply scores and no more. The thirds are those of the frames that show the face: a person who
    looks away for a while has not drifted. It reads the features of ``identity/arcface`` with the same parameters, so
    it costs no extraction beside it.

    Parameters:
        network: As for ``identity/arcface``.
        fps: Frames per second that are compared.
        linking: How faces become tracks, ``time`` or ``embedding``; see ``video_quality/face_presence``.
    """

    default_card = load_card(__package__, "cards/drift.toml")
    defaults = {"network": ARCFACE.default, "fps": 25, "linking": "time"}
    networks = ARCFACE
    extractors = "identity/arcface"

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Subtracts the early mean from the late one."""
        del sample
        result = cosines(features)
        if isinstance(result, Score):
            return result
        candidate, real = result
        if problem := self._too_short(real):
            return Score.not_applicable(f"reference: {problem}")
        seconds = len(candidate.values) / self.number("fps")
        details = {"frames": candidate.frames, "coverage": candidate.coverage, "face_seconds": seconds}
        if problem := self._too_short(candidate):
            return Score.invalid(problem, **details)
        (early, late), (real_early, real_late) = _ends(candidate), _ends(real)
        return Score.ok(
            min(late, real_late) - min(early, real_early),
            early=early,
            late=late,
            real_early=real_early,
            real_late=real_late,
            uncapped=late - early,
            **details,
        )

    def _too_short(self, cosines: Cosines) -> str | None:
        seconds = len(cosines.values) / self.number("fps")
        if seconds >= MIN_SECONDS:
            return None
        return f"the face is seen for {seconds:.2f} s; {MIN_SECONDS:g} s is needed to tell early from late"


def _ends(cosines: Cosines) -> tuple[float, float]:
    """Returns the means of the first third and of the last."""
    count = len(cosines.values)
    part = np.arange(count) * PARTS // count
    return float(cosines.values[part == 0].mean()), float(cosines.values[part == PARTS - 1].mean())
