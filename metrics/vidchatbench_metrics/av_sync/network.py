"""SyncNet: the backend's network, run so that a CPU is busy with nothing but products.

The layers and their weights are those of ``syncnet_python.SyncNetModel``. Three things are done differently, and none
of them changes more than the last bits: the frames of a clip go through the first layer as a series and not as
overlapping windows (:mod:`~vidchatbench_metrics.av_sync.minimal_filter`), batch normalisation is folded into the
convolution before it, and the channels of a pixel lie together in memory.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench_metrics.av_sync.minimal_filter import MinimalFilter
from vidchatbench_metrics.common.networks import Network, Networks
from vidchatbench_metrics.common.torch_weights import fill, load_state

if TYPE_CHECKING:
    import torch
    from torch import nn

NETWORKS = Networks((Network("syncnet_v2", weight="syncnet_v2"),))

SIDE = 224
"""Height and width of the pictures in pixels."""

PICTURE_WINDOW = 5
"""Frames that one visual embedding sees."""

SOUND_WINDOW = 20
"""Columns of 10 ms that one sound embedding sees."""

CEPSTRA = 13
DIMENSIONS = 1024

WINDOWS_AT_ONCE = 4
"""Windows of a block. A constant of its own: rounding must not depend on the harness's batch size."""

SOUNDS_AT_ONCE = 25
"""Windows of sound of a block, likewise."""

_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
_POOL = 3
_STRIDE = 2
_FIRST_KERNEL = 7
_FIRST_LAYERS = 4
_CONVOLUTIONS = ("Conv2d", "Conv3d")
_POOLINGS = ("MaxPool2d", "MaxPool3d")
_PART_OF_A_CONVOLUTION = ("BatchNorm2d", "BatchNorm3d", "ReLU")
# Rows of the first layer's pooled output made at a time: intermediate results stay within a processor's cache.
_STRIPE = 9


def backend_network() -> nn.Module:
    """Returns ``syncnet_python.SyncNetModel.S``, untrained.

    Only that module of the package is loaded: the package itself imports OpenCV, PySceneDetect and a face detector.

    Raises:
        ImportError: If syncnet-python is not installed.
    """
    package = importlib.util.find_spec("syncnet_python")
    if package is None or package.origin is None:
        raise ImportError("needs: pip install syncnet-python")
    file = Path(package.origin).with_name("SyncNetModel.py")
    spec = importlib.util.spec_from_file_location("vidchatbench_syncnet_model", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.S(num_layers_in_fc_layers=DIMENSIONS)
    return network


def load_network(path: Path) -> nn.Module:
    """Returns the network with the weights of a file in the format of ``syncnet_v2.model`` (a state dict).

    Raises:
        ValueError: If the file is of another network.
    """
    network = backend_network()
    fill(network, load_state(path))
    return network.eval()


class PictureNetwork:
    """Visual embeddings of consecutive face crops.

    Args:
        network: The backend's network.
        device: Torch device string.
    """

    def __init__(self, network: nn.Module, device: str) -> None:
        import torch  # heavy, and only extractors that run need it

        self._device = torch.device(device)
        layers: Any = network.netcnnlip
        pairs = _folded(layers)
        weight, self._bias, _ = next(pairs)
        if tuple(weight.shape[2:]) != (PICTURE_WINDOW, _FIRST_KERNEL, _FIRST_KERNEL):
            raise ValueError(f"the first layer's kernel is {tuple(weight.shape[2:])}")
        scheme = MinimalFilter.of(WINDOWS_AT_ONCE, PICTURE_WINDOW, _POINTS)
        kernels = torch.einsum("nk,ockyx->nocyx", torch.from_numpy(scheme.taps), weight)
        self._kernels = [_placed(kernel, self._device) for kernel in kernels]
        self._inputs = torch.from_numpy(scheme.inputs).float().to(self._device)
        self._combine = torch.from_numpy(scheme.combine).float().to(self._device)
        self._bias = self._bias.float().to(self._device)
        self._layers = _steps(pairs, layers[_FIRST_LAYERS:], self._device)
        self._head: Any = network.netfclip
        self._head.to(self._device)

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the embedding of every window of 5 frames.

        Args:
            frames: uint8 BGR of shape (n, 224, 224, 3), 5 to 8 consecutive crops.

        Returns:
            float32 of shape (n - 4, 1024).
        """
        import torch  # loaded by the constructor

        windows = len(frames) - PICTURE_WINDOW + 1
        full = np.zeros((WINDOWS_AT_ONCE + PICTURE_WINDOW - 1, SIDE, SIDE, 3), np.float32)
        full[: len(frames)] = frames
        with torch.inference_mode(), _exact(self._device):
            first = self._first(torch.from_numpy(full).to(self._device))
            out: torch.Tensor = self._head(self._layers(first).flatten(1))
            embeddings: NDArray[np.float32] = out[:windows].cpu().numpy()
        return embeddings

    def _first(self, frames: torch.Tensor) -> torch.Tensor:
        """The first convolution, normalisation, rectifier and pooling; the pooling goes first, which is the same."""
        import torch  # loaded by the constructor
        from torch.nn import functional

        count = len(frames)
        mixed = (self._inputs @ frames.view(count, -1)).view(count, 1, SIDE, SIDE, 3).permute(0, 1, 4, 2, 3)
        width = (SIDE - _FIRST_KERNEL) // _STRIDE + 1
        pooled = (width - _POOL) // _STRIDE + 1
        stripes: list[torch.Tensor] = []
        for top in range(0, pooled, _STRIPE):
            rows = (min(_STRIPE, pooled - top) - 1) * _STRIDE + _POOL
            start = top * _STRIDE * _STRIDE
            part = mixed[..., start : start + (rows - 1) * _STRIDE + _FIRST_KERNEL, :]
            products = part.new_empty((count, rows * width * len(self._bias)))
            for product, picture, kernel in zip(products, part, self._kernels, strict=True):
                product.copy_(functional.conv2d(picture, kernel, stride=_STRIDE).permute(0, 2, 3, 1).reshape(-1))
            windows = (self._combine @ products).view(WINDOWS_AT_ONCE, rows, width, -1).permute(0, 3, 1, 2)
            stripes.append(functional.max_pool2d(windows, _POOL, _STRIDE).permute(0, 2, 3, 1))
        whole = functional.relu_(torch.cat(stripes, dim=1).add_(self._bias))
        return whole.permute(0, 3, 1, 2)


class SoundNetwork:
    """Embeddings of windows of cepstra.

    Args:
        network: The backend's network.
        device: Torch device string.
    """

    def __init__(self, network: nn.Module, device: str) -> None:
        import torch  # heavy, and only extractors that run need it

        self._device = torch.device(device)
        layers: Any = network.netcnnaud
        self._layers = _steps(_folded(layers), layers, self._device)
        self._head: Any = network.netfcaud
        self._head.to(self._device)

    def embed(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the embedding of each window.

        Args:
            windows: float32 of shape (n, 13, 20).

        Returns:
            float32 of shape (n, 1024).
        """
        import torch  # loaded by the constructor

        embeddings = np.zeros((len(windows), DIMENSIONS), np.float32)
        block = np.zeros((SOUNDS_AT_ONCE, 1, *windows.shape[1:]), np.float32)
        for start in range(0, len(windows), SOUNDS_AT_ONCE):
            chunk = windows[start : start + SOUNDS_AT_ONCE]
            block[: len(chunk), 0] = chunk
            with torch.inference_mode(), _exact(self._device):
                out = self._head(self._layers(torch.from_numpy(block).to(self._device)).flatten(1))
                embeddings[start : start + len(chunk)] = out[: len(chunk)].cpu().numpy()
        return embeddings


Layer = tuple["torch.Tensor", "torch.Tensor", Any]


def _folded(layers: Iterable[Any]) -> Iterator[Layer]:
    """Yields weight and bias (float64) of each convolution with the normalisation after it, and the convolution."""
    for layer, norm in itertools.pairwise(layers):
        if type(layer).__name__ not in _CONVOLUTIONS:
            continue
        scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = layer.weight.detach().double() * scale.view(-1, *[1] * (layer.weight.dim() - 1))
        bias = (layer.bias.detach().double() - norm.running_mean.double()) * scale + norm.bias.detach().double()
        yield weight, bias, layer


def _steps(pairs: Iterator[Layer], layers: Iterable[Any], device: torch.device) -> nn.Sequential:
    """Returns convolutions and poolings in two dimensions; those of the backend that have three look at one frame."""
    from torch import nn

    steps: list[nn.Module] = []
    for layer in layers:
        kind = type(layer).__name__
        if kind in _CONVOLUTIONS:
            weight, bias, _ = next(pairs)
            flat = weight[:, :, 0] if kind == "Conv3d" else weight
            height, width = flat.shape[2:]
            step = nn.Conv2d(flat.shape[1], flat.shape[0], (height, width), _plane(layer.stride), _plane(layer.padding))
            step.weight = nn.Parameter(_placed(flat, device), requires_grad=False)
            step.bias = nn.Parameter(bias.float().to(device), requires_grad=False)
            steps += [step, nn.ReLU(inplace=True)]
        elif kind in _POOLINGS:
            steps.append(nn.MaxPool2d(_plane(layer.kernel_size), _plane(layer.stride), _plane(layer.padding)))
        elif kind not in _PART_OF_A_CONVOLUTION:
            raise ValueError(f"the backend's network has a layer {kind} that is not known here")
    return nn.Sequential(*steps).eval()


def _plane(size: int | tuple[int, ...]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[-2], size[-1])


def _placed(weight: torch.Tensor, device: torch.device) -> torch.Tensor:
    import torch

    return weight.float().to(device).contiguous(memory_format=torch.channels_last)


@contextlib.contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """Keeps a GPU from rounding the factors of a convolution to 10 bits, as torch lets it by default."""
    if device.type != "cuda":
        yield
        return
    from torch.backends import cudnn

    with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
