"""``video_quality/face_presence``: how much of the time the responder's face can be seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidchatbench.api import Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.faces.linked import face_tracks, linked_card


class FacePresence(Metric):
    """Share of key frames that show the responder's face, in 0..1, higher is better.

    Parameters:
        linking: ``time``, faces that never coexist may be one person, or ``embedding``, unless a network says
            otherwise; another protocol.
    """

    default_card = load_card(__package__, "cards/face_presence.toml")
    defaults = {"linking": "time"}

    def make_card(self) -> MetricCard:
        """Returns the card; another linking is another protocol.

        Raises:
            ValueError: If there is no such linking.
        """
        return linked_card(self.default_card, self.params["linking"])

    def needs(self) -> tuple[Need, ...]:
        """Face tracks of the candidate."""
        return (Need("faces", face_tracks(self.params["linking"]), (Role.CANDIDATE,)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Counts the key frames of the responder's track."""
        del sample
        faces = features["faces"]
        keys, tracks, primary = int(faces.number("n_keys")), int(faces.number("n_tracks")), faces.meta["primary"]
        if keys == 0:
            return Score.invalid("the clip has no frame to look for a face in")
        seen = 0 if primary is None else int(np.count_nonzero(faces["track"] == primary))
        return Score.ok(seen / keys, key_frames=keys, tracks=tracks)
