"""``identity/drift``: whether the face moves away from the given one as the reply goes on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidchatbench.api import Feature, Sample, Score, load_card
from vidchatbench_metrics.identity.likeness import ARCFACE, FaceLikeness, cosines

SHORTEST = 2.0
"""Seconds of frames with the face below which early and late are the same moment."""

PARTS = 3


class IdentityDrift(FaceLikeness):
    """Mean ArcFace cosine of the last third minus that of the first third; negative where the face drifts away.

    The thirds are those of the frames that show the face: a person who looks away for a while has not drifted.
    It reads the features of ``identity/arcface`` with the same parameters, so it costs no extraction beside it.

    Parameters:
        network: As for ``identity/arcface``.
        fps: Frames per second that are compared.
    """

    default_card = load_card(__package__, "cards/drift.toml")
    defaults = {"network": "w600k_r50", "fps": 25}
    recogniser = ARCFACE
    protocol_name = "identity_drift/arcface-"

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Subtracts the early mean from the late one."""
        del sample
        found = cosines(features)
        if isinstance(found, Score):
            return found
        count = len(found.values)
        seconds = count / self.number("fps")
        if seconds < SHORTEST:
            return Score.invalid(
                f"the face is seen for {seconds:.2f} s; {SHORTEST:g} s is needed to tell early from late",
                frames=found.frames,
                coverage=found.coverage,
                face_seconds=seconds,
            )
        part = np.arange(count) * PARTS // count
        early, late = (float(found.values[part == which].mean()) for which in (0, PARTS - 1))
        return Score.ok(
            late - early,
            early=early,
            late=late,
            frames=found.frames,
            coverage=found.coverage,
            face_seconds=seconds,
        )
