"""``video_quality/sharpness`` and ``/sharpness_frame``: how much fine detail the face and the picture carry."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import ExtractorSpec, Feature, Metric, Need, Role, Sample, Score, load_card


class FaceSharpness(Metric):
    """Variance of the Laplacian of the responder's face, mean over frames, higher is sharper."""

    default_card = load_card(__package__, "cards/sharpness.toml")

    def needs(self) -> tuple[Need, ...]:
        """Sharpness of the face by frame."""
        return (Need("face", ExtractorSpec.of("video_quality/face_laplacian"), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the frames that show the face."""
        del sample
        values, frames = features["face"]["value"], int(features["face"].number("frames"))
        if len(values) == 0:
            return Score.invalid(f"no face of 16 pixels or more was found in {frames} frames", frames=frames)
        return Score.ok(float(values.mean()), frames=frames, frames_with_face=len(values))


class FrameSharpness(Metric):
    """Variance of the Laplacian of the whole picture, mean over frames, higher is sharper."""

    default_card = load_card(__package__, "cards/sharpness_frame.toml")

    def needs(self) -> tuple[Need, ...]:
        """Sharpness of the picture by frame."""
        return (Need("frames", ExtractorSpec.of("video_quality/frame_laplacian"), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over all frames."""
        del sample
        values = features["frames"]["value"]
        return Score.ok(float(values.mean()), frames=len(values))
