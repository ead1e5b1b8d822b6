"""``emotion/tddfa_coefficients``: ten expression coefficients of the responder by 3DDFA_V2, for any CPU."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Array, as_array
from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.emotion.networks import TDDFA
from vidchatbench_metrics.emotion.responder import Describe, ResponderExtractor
from vidchatbench_metrics.faces.timeline import Face

if TYPE_CHECKING:
    import torch
    from torch import nn

SIZE = 120
EXPRESSIONS = 10
PARAMETERS = 62
"""12 of the pose, 40 of the shape, 10 of the expression."""

_STEM = 16
_BLOCKS = (
    ("dw2_1", 32, 1),
    ("dw2_2", 64, 2),
    ("dw3_1", 64, 1),
    ("dw3_2", 128, 2),
    ("dw4_1", 128, 1),
    ("dw4_2", 256, 2),
    ("dw5_1", 256, 1),
    ("dw5_2", 256, 1),
    ("dw5_3", 256, 1),
    ("dw5_4", 256, 1),
    ("dw5_5", 256, 1),
    ("dw5_6", 512, 2),
    ("dw6", 512, 1),
)
"""Name, channels and stride of each depthwise separable block of MobileNet at half width."""

_TO_SIZE = 1.58
_DOWN = 0.14


def region(box: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Returns the square that 3DDFA_V2 looks at for a face box (``parse_roi_box_from_bbox``, then rounded).

    Args:
        box: left, top, right, bottom in pixels.

    Returns:
        left, top, right, bottom in whole pixels; it may reach beyond the picture.
    """
    left, top, right, bottom = (float(value) for value in box)
    mean = (right - left + bottom - top) / 2
    x = right - (right - left) / 2
    y = bottom - (bottom - top) / 2 + mean * _DOWN
    size = int(mean * _TO_SIZE)
    corner_x, corner_y = x - size / 2, y - size / 2
    return round(corner_x), round(corner_y), round(corner_x + size), round(corner_y + size)


def crop(picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """Cuts the region of a face out, black outside the picture, and brings it to 120 x 120 (OpenCV, bilinear).

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        box: left, top, right, bottom of the face in pixels.

    Returns:
        uint8 BGR of shape (120, 120, 3); ``None`` if the region has no pixel or lies outside the picture.
    """
    import cv2  # the protocol is OpenCV's interpolation

    height, width = picture.shape[:2]
    left, top, right, bottom = region(box)
    inside = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return None
    cut = np.zeros((bottom - top, right - left, 3), np.uint8)
    rows = slice(inside[1] - top, inside[3] - top)
    columns = slice(inside[0] - left, inside[2] - left)
    cut[rows, columns] = picture[inside[1] : inside[3], inside[0] : inside[2], ::-1]
    return np.asarray(cv2.resize(cut, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)


def mean_and_std() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns mean and standard deviation of the 62 parameters, with which the network's outputs are scaled back.

    They are the numbers of 3DDFA_V2's ``configs/param_mean_std_62d_120x120.pkl`` (MIT), converted to JSON.
    """
    package = "vidchatbench_metrics.emotion"
    text = importlib.resources.files(package).joinpath("tddfa_mean_std.json").read_text(encoding="utf-8")
    values = json.loads(text)
    return np.array(values["mean"], np.float32), np.array(values["std"], np.float32)


class TddfaNetwork:
    """MobileNet v1 at half width that regresses 62 parameters (3DDFA_V2, ``models/mobilenet_v1.py``).

    Args:
        path: The checkpoint or its ``state_dict`` alone, as a torch or safetensors file.
        device: Torch device string.

    Raises:
        ValueError: If the file is not one of this network.
    """

    def __init__(self, path: Path, device: str) -> None:
        from torch import nn  # heavy, and only extractors that run need it

        self._device = device
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(3, _STEM, 3, stride=2, padding=1, bias=False),
            "bn1": nn.BatchNorm2d(_STEM),
        }
        channels = _STEM
        for name, wider, stride in _BLOCKS:
            layers[name] = _block(channels, wider, stride)
            channels = wider
        layers["fc_param"] = nn.Linear(channels, PARAMETERS)
        self._layers = nn.ModuleDict(layers)
        state = load_state(path)
        state = {name.removeprefix("module."): value for name, value in state.get("state_dict", state).items()}
        fill(self._layers, state, superfluous=("fc_lm.",))
        self._layers.eval().to(device)
        self._mean, self._std = mean_and_std()

    def parameters(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the parameters of a face.

        Args:
            face: uint8 BGR of shape (120, 120, 3).

        Returns:
            float32 of shape (62,), scaled back.
        """
        import torch

        with torch.inference_mode():
            values = self._forward(self.prepare(face).to(self._device))
        raw: NDArray[np.float32] = values[0].cpu().numpy()
        scaled: NDArray[np.float32] = raw * self._std + self._mean
        return scaled

    @staticmethod
    def prepare(face: NDArray[np.uint8]) -> torch.Tensor:
        """Returns the network's input, float32 of shape (1, 3, 120, 120), about -1..1."""
        import torch

        scaled = (face.astype(np.float32) - np.float32(127.5)) / np.float32(128)
        return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]))

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        from torch import nn

        x = self._run(("conv1", "bn1"), self._layers, x).relu()
        for name, _, _ in _BLOCKS:
            block = self._layers[name]
            x = self._run(("conv_dw", "bn_dw"), block, x).relu()
            x = self._run(("conv_sep", "bn_sep"), block, x).relu()
        pooled = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
        result: torch.Tensor = self._layers["fc_param"](pooled)
        return result

    @staticmethod
    def _run(names: Sequence[str], layers: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - a ModuleDict
        for name in names:
            x = layers[name](x)
        return x


def _block(channels: int, wider: int, stride: int) -> nn.Module:
    from torch import nn

    return nn.ModuleDict(
        {
            "conv_dw": nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False),
            "bn_dw": nn.BatchNorm2d(channels),
            "conv_sep": nn.Conv2d(channels, wider, 1, bias=False),
            "bn_sep": nn.BatchNorm2d(wider),
        }
    )


class TddfaCoefficients(ResponderExtractor):
    """Expression coefficients of the responder's face in every frame of the grid, by 3DDFA_V2.

    The face boxes are those of ``faces/mtcnn``, not of FaceBoxes, which 3DDFA_V2 comes with.

    Feature, with one row per frame that shows the responder's face:
        expression: float32 (n, 10), coefficients of the expression basis.
        index: int32 (n,), grid point.
        meta: ``frames``, the number of frames read, and ``fps``.

    Source: cleardusk/3DDFA_V2 @ 1b6c676 (MIT); Guo et al. 2020, arXiv 2009.09960.
    """

    id = "emotion/tddfa_coefficients"
    defaults = {"network": TDDFA.default, "fps": 5}
    packages = ("cv2",)
    networks = TDDFA
    width = EXPRESSIONS

    def load(self, path: Path, device: str) -> Describe:
        """Loads the network."""
        network = TddfaNetwork(path, device)

        def describe(picture: NDArray[np.uint8], face: Face) -> NDArray[np.float32] | None:
            cut = crop(picture, face.box)
            return None if cut is None else network.parameters(cut)[-EXPRESSIONS:]

        return describe

    def arrange(self, rows: NDArray[np.float32]) -> Mapping[str, Array]:
        """Returns the rows as they are."""
        return {"expression": as_array(rows, "float32")}
