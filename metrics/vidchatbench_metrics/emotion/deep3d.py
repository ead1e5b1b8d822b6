"""``emotion/deep3d_coefficients``: expression and head rotation of the responder by Deep3DFaceRecon.

Only the network that regresses the coefficients is needed for this; neither the face model nor a renderer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Array, as_array
from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.emotion.alignment import align
from vidchatbench_metrics.emotion.networks import DEEP3D
from vidchatbench_metrics.emotion.responder import Describe, ResponderExtractor
from vidchatbench_metrics.faces.timeline import Face
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

if TYPE_CHECKING:
    import torch

HEADS = (80, 64, 80, 3, 27, 2, 1)
"""Coefficients by head: identity, expression, texture, rotation, lighting, shift in the picture, distance."""

EXPRESSION = slice(80, 144)
ANGLE = slice(224, 227)
_EXPRESSIONS = EXPRESSION.stop - EXPRESSION.start
_ANGLES = ANGLE.stop - ANGLE.start
_FEATURES = 2048


class ReconstructionNetwork:
    """ResNet-50 with seven 1 x 1 convolutions behind its mean pooling (``models/networks.py:ReconNetWrapper``).

    Args:
        path: The checkpoint, or its ``net_recon`` alone, as a torch or safetensors file.
        device: Torch device string.

    Raises:
        ValueError: If the file is not one of this network.
    """

    def __init__(self, path: Path, device: str) -> None:
        import_torchvision()
        import timm  # heavy, and only extractors that run need it
        from torch import nn

        self._device = device
        self._body = timm.create_model("resnet50", pretrained=False, num_classes=0)
        self._heads = nn.ModuleList([nn.Conv2d(_FEATURES, count, 1) for count in HEADS])
        whole = nn.ModuleDict({"backbone": self._body, "final_layers": self._heads})
        state = load_state(path)
        fill(whole, state.get("net_recon", state))
        whole.eval().to(device)

    def coefficients(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns all coefficients of an aligned face.

        Args:
            face: uint8 RGB of shape (224, 224, 3).

        Returns:
            float32 of shape (257,).
        """
        import torch

        with torch.inference_mode():
            pooled = self._body(self.prepare(face).to(self._device))[:, :, None, None]
            outputs = torch.cat([head(pooled) for head in self._heads], dim=1)
        values: NDArray[np.float32] = outputs.flatten().cpu().numpy()
        return values

    @staticmethod
    def prepare(face: NDArray[np.uint8]) -> torch.Tensor:
        """Returns the network's input, float32 of shape (1, 3, 224, 224), in 0..1."""
        import torch

        scaled = (face / 255.0).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]))


class Deep3dCoefficients(ResponderExtractor):
    """3DMM coefficients of the responder's face in every frame of the grid, by Deep3DFaceRecon.

    The five landmarks of the alignment are those of ``faces/mtcnn``.

    Feature, with one row per frame that shows the responder's face:
        expression: float32 (n, 64), coefficients of the expression basis.
        angle: float32 (n, 3), rotation of the head in radians.
        index: int32 (n,), grid point.
        meta: ``frames``, the number of frames read, and ``fps``.

    Source: sicxu/Deep3DFaceRecon_pytorch @ 9167c71 (MIT); Deng et al. 2019, arXiv 1903.08527.
    """

    id = "emotion/deep3d_coefficients"
    defaults = {"network": DEEP3D.default, "fps": 5}
    packages = ("timm",)
    networks = DEEP3D
    width = _EXPRESSIONS + _ANGLES

    def load(self, path: Path, device: str) -> Describe:
        """Loads the network."""
        network = ReconstructionNetwork(path, device)

        def describe(picture: NDArray[np.uint8], face: Face) -> NDArray[np.float32] | None:
            aligned = align(picture, face.landmarks)
            if aligned is None:
                return None
            values = network.coefficients(aligned)
            return np.concatenate([values[EXPRESSION], values[ANGLE]])

        return describe

    def arrange(self, rows: NDArray[np.float32]) -> Mapping[str, Array]:
        """Splits the rows into expression and rotation."""
        return {
            "expression": as_array(rows[:, :_EXPRESSIONS], "float32"),
            "angle": as_array(rows[:, _EXPRESSIONS:], "float32"),
        }
