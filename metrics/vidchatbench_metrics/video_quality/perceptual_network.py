"""LPIPS as its authors publish it: their package's network, filled from files that the weights table knows.

Left to itself, the package asks torchvision to download the backbone, and unpickles its own linear layers.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

if TYPE_CHECKING:
    import torch

LINEAR_WEIGHT = "lpips_alex_v0.1"
NETWORKS = {"alex": "alexnet_imagenet1k_v1"}
"""Short names of the backbones in the weights table."""

_SLICE_OF_LAYER = {"0": "slice1", "3": "slice2", "6": "slice3", "8": "slice4", "10": "slice5"}


class LpipsDistance:
    """LPIPS 0.1 with AlexNet between two pictures, ``lpips.LPIPS(net="alex", version="0.1")``.

    Source: Zhang et al. 2018, arXiv 1801.03924; richzhang/PerceptualSimilarity @ 082bb24, ``lpips/lpips.py``.

    Args:
        backbone: State dict of torchvision's ``alexnet``, with or without its classifier.
        linear: State dict of the linear layers, ``lpips/weights/v0.1/alex.pth`` of the package.
        device: Torch device string.

    Raises:
        ValueError: If one of the files is of another network.
    """

    def __init__(self, backbone: Path, linear: Path, device: str) -> None:
        import_torchvision()
        import torch  # heavy, and only extractors that run need it
        from lpips import LPIPS

        self._torch = torch
        self._device = torch.device(device)
        with warnings.catch_warnings():
            # The package asks torchvision for an untrained network by a parameter that torchvision has renamed.
            warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
            network = LPIPS(net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False)
        constants = {key: value for key, value in network.state_dict().items() if key.startswith("scaling_layer.")}
        fill(network, {**constants, **_backbone_state(load_state(backbone)), **_linear_state(load_state(linear))})
        self._network = network.eval().to(self._device)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        """Returns the distance of two pictures.

        Args:
            first: uint8 RGB of shape (height, width, 3), both sides at least 63.
            second: The same shape.

        Returns:
            A value of 0 or more; 0 for identical pictures.
        """
        if np.array_equal(first, second):
            return 0.0
        # One pair at a time, so that no number depends on which pairs came together.
        with self._torch.inference_mode():
            return float(self._network(self._tensor(first), self._tensor(second)))

    def _tensor(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        values = self._torch.from_numpy(picture.copy()).to(self._device).permute(2, 0, 1)[None]
        tensor: torch.Tensor = values.to(self._torch.float32) / 127.5 - 1.0
        return tensor


def _backbone_state(state: dict[str, Any]) -> dict[str, Any]:
    # The package cuts torchvision's layers into five slices and keeps their numbers.
    found: dict[str, Any] = {}
    for key, value in state.items():
        part, _, rest = key.partition(".")
        layer, _, kind = rest.partition(".")
        if part != "classifier":
            known = part == "features" and layer in _SLICE_OF_LAYER
            found[f"net.{_SLICE_OF_LAYER[layer]}.{layer}.{kind}" if known else key] = value
    return found


def _linear_state(state: dict[str, Any]) -> dict[str, Any]:
    # Each linear layer is registered twice, as ``lin0`` and in the list ``lins``.
    twice = {key.replace("lin", "lins.", 1): value for key, value in state.items() if key.startswith("lin")}
    return {**state, **twice}
