"""``emotion/hsemotion_frames``: emotions of the responder's face, frame by frame, by EmotiEffLib (HSEmotion)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import Array, as_array
from vidchatbench_metrics.common.torch_weights import fill
from vidchatbench_metrics.emotion.face_crop import box_crop
from vidchatbench_metrics.emotion.networks import HSEMOTION, HSEMOTION_CLASSES
from vidchatbench_metrics.emotion.responder import Describe, ResponderExtractor
from vidchatbench_metrics.emotion.whole_modules import load_parameters
from vidchatbench_metrics.faces.timeline import Face
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

if TYPE_CHECKING:
    import torch

CLASSES = len(HSEMOTION_CLASSES)
OUTPUTS = CLASSES + 2
"""Emotions, then valence and arousal."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_ARCHITECTURES = {1280: ("tf_efficientnet_b0.ns_jft_in1k", 224), 1408: ("tf_efficientnet_b2.ns_jft_in1k", 260)}
"""Width of the last convolution to timm's name and the side of the input."""


class EmotionNetwork:
    """EfficientNet B0 or B2 with 8 outputs (emotions), or 10 (then valence and arousal); the file says which.

    Args:
        path: The published file, or a state dict of the network as a torch or safetensors file.
        device: Torch device string.

    Raises:
        ValueError: If the file is not one of these networks.
    """

    def __init__(self, path: Path, device: str) -> None:
        # The published networks keep their last layer in a container of one.
        state = {name.replace("classifier.0.", "classifier."): value for name, value in load_parameters(path).items()}
        width, outputs = _shape_of(state, "conv_head.weight"), _shape_of(state, "classifier.weight")
        if width not in _ARCHITECTURES or outputs not in {CLASSES, OUTPUTS}:
            raise ValueError(
                f"{path.name} is no EfficientNet B0 or B2 with {CLASSES} or {OUTPUTS} outputs "
                f"(width {width}, {outputs} outputs)"
            )
        import_torchvision()
        import timm  # heavy, and only extractors that run need it

        name, self.size = _ARCHITECTURES[width]
        self._network = timm.create_model(name, pretrained=False, num_classes=outputs)
        fill(self._network, state)
        self._network.eval().to(device)
        self._device = device

    def outputs(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the raw outputs for the crop of a face.

        Args:
            face: uint8 RGB of shape (height, width, 3), any size.

        Returns:
            float32 of shape (10,): logits of the emotions, valence and arousal; the last two are NaN where the network
            has none.
        """
        import torch

        with torch.inference_mode():
            raw = self._network(self.prepare(face).to(self._device))[0].cpu().numpy()
        values = np.full(OUTPUTS, np.nan, np.float32)
        values[: len(raw)] = raw
        return values

    def prepare(self, face: NDArray[np.uint8]) -> torch.Tensor:
        """Returns the network's input: scaled (Pillow BILINEAR, antialiased), normalised as ImageNet, (1, 3, s, s)."""
        import torch

        scaled = Image.fromarray(face).resize((self.size, self.size), Image.Resampling.BILINEAR)
        values = np.asarray(scaled).astype(np.float32) / np.float32(255)
        normal = (values - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        return torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1)[None]))


class HsemotionFrames(ResponderExtractor):
    """Emotions of the responder's face in every frame of the grid.

    Feature, with one row per frame that shows the responder's face:
        probability: float32 (n, 8), softmax over :data:`HSEMOTION_CLASSES`.
        valence: float32 (n,), about -1..1; of shape (0,) if the network gives none.
        arousal: float32 (n,), about -1..1; of shape (0,) if the network gives none.
        index: int32 (n,), grid point.
        meta: ``frames``, the number of frames read, and ``fps``.

    Source: sb-ai-lab/EmotiEffLib @ f1df0e8 (Apache-2.0), ``facial_analysis.py``; Savchenko 2021, arXiv 2103.17107.
    """

    id = "emotion/hsemotion_frames"
    defaults = {"network": HSEMOTION.default, "fps": 5}
    packages = ("timm",)
    networks = HSEMOTION
    width = OUTPUTS

    def load(self, path: Path, device: str) -> Describe:
        """Loads the network."""
        network = EmotionNetwork(path, device)

        def describe(picture: NDArray[np.uint8], face: Face) -> NDArray[np.float32] | None:
            cut = box_crop(picture, face.box)
            return None if cut is None else network.outputs(cut)

        return describe

    def arrange(self, rows: NDArray[np.float32]) -> Mapping[str, Array]:
        """Turns logits into probabilities and splits off valence and arousal."""
        affect = rows[:, CLASSES:]
        if np.isnan(affect).any():
            affect = affect[:0]
        return {
            "probability": as_array(softmax(rows[:, :CLASSES]), "float32"),
            "valence": as_array(affect[:, 0], "float32"),
            "arousal": as_array(affect[:, 1], "float32"),
        }


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the softmax of each row, float64 of the same shape."""
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(axis=1, keepdims=True, initial=-np.inf))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def _shape_of(state: Mapping[str, Any], name: str) -> int:
    return int(state[name].shape[0]) if name in state else 0
