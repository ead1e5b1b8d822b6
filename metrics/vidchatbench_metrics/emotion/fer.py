"""``emotion/fer_frames``: emotions of the responder's face by mini-Xception, small enough for any CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Array, as_array
from vidchatbench_metrics.emotion.face_crop import square_crop
from vidchatbench_metrics.emotion.keras_network import KerasNetwork
from vidchatbench_metrics.emotion.networks import FER, FER_CLASSES
from vidchatbench_metrics.emotion.responder import Describe, ResponderExtractor
from vidchatbench_metrics.faces.timeline import Face

SIZE = 64


class FerFrames(ResponderExtractor):
    """Emotions of the responder's face in every frame of the grid.

    Feature, with one row per frame that shows the responder's face:
        probability: float32 (n, 7), softmax over :data:`FER_CLASSES`.
        index: int32 (n,), grid point.
        meta: ``frames``, the number of frames read, and ``fps``.

    Source: oarriaga/face_classification (MIT); Arriaga et al. 2017, arXiv 1710.07557.
    """

    id = "emotion/fer_frames"
    defaults = {"network": FER.default, "fps": 5}
    packages = ("h5py", "torch")
    networks = FER
    width = len(FER_CLASSES)

    def load(self, path: Path, device: str) -> Describe:
        """Loads the network."""
        network = KerasNetwork(path, device)
        if network.size != (SIZE, SIZE):
            raise ValueError(f"{path.name} takes pictures of {network.size}, not of {SIZE} x {SIZE}")

        def describe(picture: NDArray[np.uint8], face: Face) -> NDArray[np.float32] | None:
            cut = square_crop(picture, face.box, SIZE)
            return None if cut is None else network.run(normalise(cut))

        return describe

    def arrange(self, rows: NDArray[np.float32]) -> Mapping[str, Array]:
        """Returns the rows as they are: the network ends in a softmax."""
        return {"probability": as_array(rows, "float32")}


def normalise(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the network's input, float32 of shape (height, width, 1), in -1..1."""
    values: NDArray[np.float32] = grey.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return values[:, :, None]
