"""``video_quality/fid``, ``kid``, ``fvd``, ``kvd``, ``cmmd``: distances between replies and real replies, as sets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from vidchatbench.api import (
    Array,
    ExtractorSpec,
    Feature,
    MetricCard,
    Need,
    Param,
    Role,
    Score,
    SetDistance,
    SetItem,
    SetMetric,
    load_card,
    window_details,
)
from vidchatbench_metrics.common.networks import Networks
from vidchatbench_metrics.common.set_distances import FrechetDistance, GaussianMmd, PolynomialMmd
from vidchatbench_metrics.video_quality.even_frames import FPS, FRAMES_PER_CLIP
from vidchatbench_metrics.video_quality.networks import CLIP_IMAGE, I3D, INCEPTION

MIN_SECONDS = 1.0
"""Seconds that a clip must last."""

MIN_COVERAGE = 0.5
"""Share of the sixteen frames that must show the responder's face."""

CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0


class _Distribution(SetMetric):
    """Rows of candidate and reference from one extractor of single clips.

    Parameters:
        network: The official network by its short name, or ``sha256:<64 hex>`` for any other of that interface whose
            file lies in the weights mirror.
    """

    networks: ClassVar[Networks]
    extractor: ClassVar[str]
    extractor_params: ClassVar[Mapping[str, Param]] = {}

    def make_card(self) -> MetricCard:
        """Returns the card; another network is another protocol."""
        return self.networks.card(self.default_card, str(self.params["network"]))

    def needs(self) -> tuple[Need, ...]:
        """The same features of both sides."""
        spec = ExtractorSpec.of(self.extractor, network=self.params["network"], **self.extractor_params)
        return (
            Need("candidate", spec, (Role.CANDIDATE,), guide=Role.REFERENCE),
            Need("reference", spec, (Role.REFERENCE,), guide=Role.REFERENCE),
        )

    def item(self, features: Mapping[str, Feature]) -> SetItem | Score:
        """Returns the rows of both sides; a reference that cannot give them is not the submission's fault."""
        candidate, reference = features["candidate"], features["reference"]
        problem = self.problem(reference)
        if problem is not None:
            return Score.not_applicable(f"the real reply {problem}")
        problem = self.problem(candidate)
        frames = int(candidate.number("frames"))
        if problem is not None:
            return Score.invalid(f"the reply {problem}", frames=frames)
        rows, reference_rows = candidate["embedding"], reference["embedding"]
        anchored = bool(candidate.meta["anchored"]) and bool(reference.meta["anchored"])
        seen = {**window_details(reference), "anchored": anchored}
        counts = {"frames": frames, "rows": len(rows), "reference_rows": len(reference_rows)}
        return SetItem(rows, reference_rows, {**counts, **seen})

    def problem(self, feature: Feature) -> str | None:
        """Returns why a clip gives no rows, as the rest of a sentence about it; ``None`` if it does."""
        seconds = feature.number("frames") / FPS
        return f"lasts {seconds:.2f} s; {MIN_SECONDS:g} s is needed" if seconds < MIN_SECONDS else None

    @abstractmethod
    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> SetDistance:
        """Prepares the distance; see :class:`vidchatbench.api.SetMetric`."""


class _Frechet(_Distribution):
    """Fréchet distance of sample covariances."""

    ddof: ClassVar[int] = 1

    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> FrechetDistance:
        """Prepares the Fréchet distance."""
        return FrechetDistance(candidates, references, ddof=self.ddof)


class _Kernel(_Distribution):
    """Unbiased squared maximum mean discrepancy of paired sets with the kernel ``(x.y / d + 1)^3``."""

    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> PolynomialMmd:
        """Prepares the kernel distance."""
        return PolynomialMmd(candidates, references, degree=3, gamma=None, coef0=1.0)


class _Faces(_Distribution):
    """Rows of the responder's face only."""

    def problem(self, feature: Feature) -> str | None:
        """Names a clip that is too short, or shows the face in under half of its chosen frames."""
        short = super().problem(feature)
        seen, chosen = self.faces(feature), int(feature.number("chosen"))
        if short is not None or seen >= MIN_COVERAGE * chosen:
            return short
        return f"shows the responder's face in {seen} of {chosen} frames; at least half is needed"

    def faces(self, feature: Feature) -> int:
        """Number of the chosen frames that show the responder's face."""
        return len(feature["embedding"])


class _InceptionFaces(_Faces):
    """Inception features of the responder's face."""

    extractor = "video_quality/inception_faces"
    networks = INCEPTION
    defaults = {"network": INCEPTION.default}


class _FaceMotion(_Faces):
    """One row per clip, of the responder's face in sixteen frames from its beginning."""

    extractor = "video_quality/i3d_faces"
    networks = I3D
    defaults = {"network": I3D.default}

    def item(self, features: Mapping[str, Feature]) -> SetItem | Score:
        """Returns the rows of both sides, and in how many frames each of them shows the face."""
        item = super().item(features)
        if isinstance(item, Score):
            return item
        faces, reference_faces = (self.faces(features[name]) for name in ("candidate", "reference"))
        return replace(item, details={**item.details, "faces": faces, "reference_faces": reference_faces})

    def faces(self, feature: Feature) -> int:
        """Number of the sixteen frames that show the responder's face."""
        return int(feature.number("faces"))


class _Motion(_Distribution):
    """One row per clip, of sixteen frames from its beginning."""

    extractor = "video_quality/i3d_clip"
    networks = I3D
    defaults = {"network": I3D.default}
    extractor_params = {"every": 1}

    def problem(self, feature: Feature) -> str | None:
        """Names a clip that is too short for the frames that are spanned."""
        short = super().problem(feature)
        needed = FRAMES_PER_CLIP * int(self.extractor_params["every"] or 1)
        frames = int(feature.number("frames"))
        if short is not None or frames >= needed:
            return short
        return f"lasts {frames / FPS:.2f} s; {needed / FPS:.2f} s is needed"


class Fid(_Frechet):
    """Fréchet Inception distance of frames, lower is better."""

    default_card = load_card(__package__, "cards/fid.toml")
    networks = INCEPTION
    defaults = {"network": INCEPTION.default}
    extractor = "video_quality/inception_frames"


class Kid(_Kernel):
    """Kernel Inception distance of frames, lower is better."""

    default_card = load_card(__package__, "cards/kid.toml")
    networks = INCEPTION
    defaults = {"network": INCEPTION.default}
    extractor = "video_quality/inception_frames"


class FidFace(_InceptionFaces, _Frechet):
    """Fréchet Inception distance of the responder's face, lower is better."""

    default_card = load_card(__package__, "cards/fid_face.toml")


class KidFace(_InceptionFaces, _Kernel):
    """Kernel Inception distance of the responder's face, lower is better."""

    default_card = load_card(__package__, "cards/kid_face.toml")


class Fvd(_Motion, _Frechet):
    """Fréchet video distance of the first 16 frames, lower is better."""

    default_card = load_card(__package__, "cards/fvd.toml")
    ddof = 0


class Kvd(_Motion, _Kernel):
    """Kernel video distance of the first 16 frames, lower is better."""

    default_card = load_card(__package__, "cards/kvd.toml")


class FvdFace(_FaceMotion, _Frechet):
    """Fréchet video distance of the responder's face in the first 16 frames, lower is better."""

    default_card = load_card(__package__, "cards/fvd_face.toml")
    ddof = 0


class KvdFace(_FaceMotion, _Kernel):
    """Kernel video distance of the responder's face in the first 16 frames, lower is better."""

    default_card = load_card(__package__, "cards/kvd_face.toml")


class Fvd128(_Motion, _Frechet):
    """Fréchet video distance of every 8th of the first 128 frames, lower is better."""

    default_card = load_card(__package__, "cards/fvd_128f.toml")
    extractor_params = {"every": 8}
    ddof = 0


class Kvd128(_Motion, _Kernel):
    """Kernel video distance of every 8th of the first 128 frames, lower is better."""

    default_card = load_card(__package__, "cards/kvd_128f.toml")
    extractor_params = {"every": 8}


class Cmmd(_Distribution):
    """CLIP maximum mean discrepancy of frames, lower is better."""

    default_card = load_card(__package__, "cards/cmmd.toml")
    networks = CLIP_IMAGE
    defaults = {"network": CLIP_IMAGE.default}
    extractor = "video_quality/clip_image_frames"

    def distance(self, candidates: Sequence[Array], references: Sequence[Array]) -> GaussianMmd:
        """Prepares the kernel distance."""
        return GaussianMmd(candidates, references, sigma=CMMD_SIGMA, scale=CMMD_SCALE)


class CmmdFace(_Faces, Cmmd):
    """CLIP maximum mean discrepancy of the responder's face, lower is better."""

    default_card = load_card(__package__, "cards/cmmd_face.toml")
    extractor = "video_quality/clip_image_faces"
