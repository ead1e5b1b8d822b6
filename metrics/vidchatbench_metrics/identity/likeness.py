"""``identity/arcface``, ``/facenet`` and ``/drift``: likeness of the face to the given one, and how it changes.

All three compare the frames that show the face with the reference image by :func:`cosines`; they differ in the network
and in how they summarise the cosines.
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


def cosines(features: Mapping[str, Feature]) -> Cosines | Score:
    """Compares the frames with the reference image, where both show the face.

    Args:
        features: ``frames`` and ``reference``, as a pair of extractors of this package gives them.

    Returns:
        The cosines; or ``not_applicable`` where the reference image shows no face, else ``invalid`` where under half
        of the candidate's frames do.
    """
    reference = features["reference"]["embedding"].astype(np.float64)
    if reference.size == 0:
        return Score.not_applicable("no face was found in the reference image")
    embeddings = features["frames"]["embedding"].astype(np.float64)
    frames = int(features["frames"].number("frames"))
    coverage = len(embeddings) / frames if frames else 0.0
    if len(embeddings) == 0 or coverage < MIN_COVERAGE:
        return Score.invalid(
            f"the responder's face was found in {len(embeddings)} of {frames} frames; at least half is needed",
            frames=frames,
            coverage=coverage,
        )
    values = np.clip(embeddings @ reference, -1.0, 1.0)
    return Cosines(values, frames, coverage)


class FaceLikeness(Metric):
    """Mean cosine of the face's embedding to that of the reference image, in -1..1, higher is better."""

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
        """Embeddings of the candidate's frames and of the reference image."""
        network = self.params["network"]
        is_default = face_tracks(self.params["linking"]).id == FACE_TRACKS["time"]
        name = f"{self.extractors}_{'' if is_default else 'linked_'}frames"
        frames = ExtractorSpec.of(name, network=network, fps=self.params["fps"])
        reference = ExtractorSpec.of(f"{self.extractors}_reference", network=network)
        return (
            Need("frames", frames, (Role.CANDIDATE,)),
            Need("reference", reference, (Role.REFERENCE_IMAGE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the cosines over the frames that show the face."""
        del sample
        result = cosines(features)
        if isinstance(result, Score):
            return result
        values = result.values
        return Score.ok(
            float(values.mean()), frames=result.frames, coverage=result.coverage, lowest=float(values.min())
        )


class ArcFace(FaceLikeness):
    """Mean cosine of the face's ArcFace embedding to that of the reference image, in -1..1, higher is better.

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
    """Mean cosine of the face's FaceNet embedding to that of the reference image, in -1..1, higher is better.

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

    The thirds are those of the frames that show the face: a person who looks away for a while has not drifted.
    It reads the features of ``identity/arcface`` with the same parameters, so it costs no extraction beside it.

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
        count = len(result.values)
        seconds = count / self.number("fps")
        if seconds < MIN_SECONDS:
            return Score.invalid(
                f"the face is seen for {seconds:.2f} s; {MIN_SECONDS:g} s is needed to tell early from late",
                frames=result.frames,
                coverage=result.coverage,
                face_seconds=seconds,
            )
        part = np.arange(count) * PARTS // count
        early, late = (float(result.values[part == which].mean()) for which in (0, PARTS - 1))
        return Score.ok(
            late - early,
            early=early,
            late=late,
            frames=result.frames,
            coverage=result.coverage,
            face_seconds=seconds,
        )
