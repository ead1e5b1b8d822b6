"""A face recognition network in ONNX, of the interface that insightface's models have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidchatbench_metrics.common.onnx_network import OnnxNetwork

NETWORKS = {"w600k_r50": "arcface_w600k_r50", "mobilefacenet": "arcface_mobilefacenet"}
"""Short names of the networks in the weights table."""


def weight_of(network: str, short_names: Mapping[str, str]) -> str:
    """Returns the weights table's name of a network: a short name, or ``sha256:<64 hex digits>`` for any other."""
    return short_names.get(network, network)


class FaceNetwork:
    """Embeds aligned faces.

    The interface: float32 input of shape (n, 3, 112, 112), RGB, ``(x - 127.5) / 127.5``; output of shape (n, d).

    Args:
        path: The ONNX file.
        device: Torch device string; a GPU is used where onnxruntime was built for it.
    """

    def __init__(self, path: Path, device: str) -> None:
        self._network = OnnxNetwork(path, device)
        self._input = self._network.input_names[0]

    def embed(self, faces: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embeds faces one at a time, so that no number depends on which faces came together.

        Args:
            faces: uint8 RGB, each of shape (112, 112, 3).

        Returns:
            float32 of shape (n, d), each row of length 1.
        """
        rows = [self._embed(face) for face in faces]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)

    def _embed(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        values = (face.astype(np.float32) - 127.5) / 127.5
        batch = np.ascontiguousarray(values.transpose(2, 0, 1)[None])
        vector: NDArray[np.float64] = self._network.run(**{self._input: batch})[0][0].astype(np.float64)
        unit: NDArray[np.float32] = (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
        return unit
