"""Runs a convolutional network that Keras saved as HDF5, in torch and without Keras.

The file describes its layers and how they are connected. Every kind and option that the emotion network uses is
implemented; anything else is refused, so that no network runs other than it was trained.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    Operation = Callable[[Sequence[torch.Tensor]], torch.Tensor]

_EXPECTED = {
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "depth_multiplier": 1,
    "activation": "linear",
    "axis": -1,
    "center": True,
    "scale": True,
}
"""Options with which layers are implemented, where a layer has them."""


@dataclass(frozen=True)
class _Step:
    name: str
    inputs: tuple[str, ...]
    run: Operation


class KerasNetwork:
    """A network of one input and one output.

    Args:
        path: The HDF5 file, with architecture and weights (``model.save`` of Keras 2).
        device: Torch device string.

    Raises:
        ValueError: If the network has a layer or an option that is not implemented here, or the file is no such one.
    """

    def __init__(self, path: Path, device: str) -> None:
        h5py: Any = importlib.import_module("h5py")  # only extractors that run need it, and it has no types
        self._device = device
        if not h5py.is_hdf5(path):
            raise ValueError(f"{path.name} is no HDF5 file")
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs or "model_weights" not in file:
                raise ValueError(f"{path.name} holds no whole Keras model")
            config = json.loads(file.attrs["model_config"])["config"]
            layers = {layer["name"]: layer for layer in config["layers"]}
            weights = {name: _weights(file["model_weights"][name], device) for name in layers}
        self._output = str(config["output_layers"][0][0])
        self._input = str(config["input_layers"][0][0])
        shape = layers[self._input]["config"]["batch_input_shape"]
        self.size = (int(shape[1]), int(shape[2]))
        self._steps = [_step(layer, weights[name]) for name, layer in layers.items() if name != self._input]

    def run(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the output for one picture.

        Args:
            picture: float32 of shape (height, width, channels).

        Returns:
            float32 of shape (n,).
        """
        import torch  # loaded by the constructor

        start = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None])).to(self._device)
        values = {self._input: start}
        with torch.inference_mode():
            for step in self._steps:
                values[step.name] = step.run([values[name] for name in step.inputs])
        result: NDArray[np.float32] = values[self._output][0].cpu().numpy()
        return result


def _weights(group: Any, device: str) -> dict[str, torch.Tensor]:  # noqa: ANN401 - h5py's group
    import torch

    names = [name.decode() if isinstance(name, bytes) else str(name) for name in group.attrs["weight_names"]]
    # "conv2d_1_1/kernel:0" is the kernel
    return {
        name.rpartition("/")[2].partition(":")[0]: torch.from_numpy(np.asarray(group[name], np.float32)).to(device)
        for name in names
    }


def _step(layer: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> _Step:
    kind, options = str(layer["class_name"]), layer["config"]
    if kind not in _KINDS:
        raise ValueError(f"layer {layer['name']}: no implementation of {kind}")
    for name, expected in _EXPECTED.items():
        if kind != "Activation" and options.get(name, expected) != expected:
            raise ValueError(f"layer {layer['name']}: {name} is {options[name]!r}, not {expected!r}")
    nodes = layer["inbound_nodes"]
    if len(nodes) != 1:
        raise ValueError(f"layer {layer['name']} is used {len(nodes)} times, not once")
    return _Step(layer["name"], tuple(str(node[0]) for node in nodes[0]), _KINDS[kind](options, weights))


def _padded(x: torch.Tensor, options: Mapping[str, Any], window: Sequence[int], value: float) -> torch.Tensor:
    """Pads as TensorFlow's ``same``: as little as gives ceil(size / stride) outputs, the odd pixel behind."""
    from torch import nn

    if options["padding"] == "valid":
        return x
    if options["padding"] != "same":
        raise ValueError(f"no implementation of padding {options['padding']!r}")
    pads: list[int] = []
    # torch wants the last dimension first
    for size, stride, width in zip(reversed(x.shape[2:]), reversed(options["strides"]), reversed(window), strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + width - size)
        pads += [missing // 2, missing - missing // 2]
    return nn.functional.pad(x, pads, value=value)


def _convolution(options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Operation:
    from torch import nn

    kernel = weights["kernel"].permute(3, 2, 0, 1).contiguous()
    bias = weights["bias"] if options["use_bias"] else None
    stride = tuple(options["strides"])

    def run(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        x = _padded(inputs[0], options, kernel.shape[2:], 0.0)
        return nn.functional.conv2d(x, kernel, bias, stride=stride)

    return run


def _separable(options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Operation:
    from torch import nn

    depthwise = weights["depthwise_kernel"].permute(2, 3, 0, 1).contiguous()
    pointwise = weights["pointwise_kernel"].permute(3, 2, 0, 1).contiguous()
    bias = weights["bias"] if options["use_bias"] else None
    stride = tuple(options["strides"])

    def run(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        x = _padded(inputs[0], options, depthwise.shape[2:], 0.0)
        x = nn.functional.conv2d(x, depthwise, stride=stride, groups=len(depthwise))
        return nn.functional.conv2d(x, pointwise, bias)

    return run


def _normalisation(options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Operation:
    scale = weights["gamma"] / (weights["moving_variance"] + float(options["epsilon"])).sqrt()
    shift = weights["beta"] - weights["moving_mean"] * scale
    scale, shift = scale[None, :, None, None], shift[None, :, None, None]

    def run(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return inputs[0] * scale + shift

    return run


def _pooling(options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Operation:
    from torch import nn

    del weights
    window, stride = tuple(options["pool_size"]), tuple(options["strides"])

    def run(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        x = _padded(inputs[0], options, window, float("-inf"))
        return nn.functional.max_pool2d(x, window, stride)

    return run


def _activation(options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Operation:
    del weights
    kind = options["activation"]
    if kind not in {"relu", "softmax"}:
        raise ValueError(f"no implementation of activation {kind!r}")
    return lambda inputs: inputs[0].relu() if kind == "relu" else inputs[0].softmax(dim=1)


def _sum(options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Operation:
    del options, weights
    return lambda inputs: inputs[0] + inputs[1]


def _mean(options: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> Operation:
    del options, weights
    return lambda inputs: inputs[0].mean(dim=(2, 3))


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, torch.Tensor]], Operation]] = {
    "Conv2D": _convolution,
    "SeparableConv2D": _separable,
    "BatchNormalization": _normalisation,
    "MaxPooling2D": _pooling,
    "Activation": _activation,
    "Add": _sum,
    "GlobalAveragePooling2D": _mean,
}
