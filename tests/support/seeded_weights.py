"""Seeded weights of every built-in network that can be named by its hash, so that whole runs need no download.

The official files are large and partly for research only. What a run does with a network, how often it asks it and
what it says of its weights are the same questions for any numbers, so here are files of the right form whose numbers
are drawn from the names of the parameters. Networks whose width a file may choose are small ones. A test that proves
parity takes its weights from here as well, where the reference reads the same names.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from vidchatbench_metrics.av_sync.network import backend_network
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

Shapes = dict[str, tuple[int, ...]]

NETWORK_OF_METRIC: Mapping[str, str] = {
    **{f"video_quality/{kind}{variant}": "inception" for kind in ("fid", "kid") for variant in ("", "_face")},
    **{f"video_quality/{kind}{variant}": "i3d" for kind in ("fvd", "kvd") for variant in ("", "_face", "_128f")},
    **dict.fromkeys(("video_quality/cmmd", "video_quality/cmmd_face"), "clip"),
    **dict.fromkeys(("video_quality/lpips", "video_quality/lpips_face"), "alexnet"),
    **dict.fromkeys(("identity/arcface", "identity/drift"), "arcface"),
    "identity/facenet": "facenet",
    **{f"av_sync/lse_{kind}{rule}": "syncnet" for kind in "cd" for rule in ("", "_speech", "_sgc")},
    **dict.fromkeys(("av_sync/offset", "av_sync/offset_sgc"), "syncnet"),
    **dict.fromkeys(("emotion/expression_fd", "emotion/expression_kd"), "deep3d"),
    **dict.fromkeys(("emotion/expression_fd_tddfa", "emotion/expression_kd_tddfa"), "tddfa"),
    **dict.fromkeys(("emotion/agreement", "emotion/distribution_agreement"), "hsemotion_b2"),
    **dict.fromkeys(("emotion/valence_ccc", "emotion/arousal_ccc"), "hsemotion_va"),
    **dict.fromkeys(("emotion/agreement_fer", "emotion/distribution_agreement_fer"), "fer"),
    "voice/sim_o": "wavlm_sv",
    "voice/utmos": "utmos",
}  # fmt: skip
"""The network that each metric is to be given as its parameter ``network``; those without one are not named."""

NETWORK_OF_EXTRACTOR: Mapping[str, str] = {
    "video_quality/inception_frames": "inception",
    "video_quality/inception_faces": "inception",
    "video_quality/i3d_clip": "i3d",
    "video_quality/i3d_faces": "i3d",
    "video_quality/clip_image_frames": "clip",
    "video_quality/clip_image_faces": "clip",
    "video_quality/lpips_frames": "alexnet",
    "video_quality/lpips_faces": "alexnet",
    "identity/arcface_frames": "arcface",
    "identity/arcface_reference": "arcface",
    "identity/facenet_frames": "facenet",
    "identity/facenet_reference": "facenet",
    "av_sync/syncnet_picture": "syncnet",
    "av_sync/syncnet_sound": "syncnet",
    "emotion/deep3d_coefficients": "deep3d",
    "emotion/tddfa_coefficients": "tddfa",
    "emotion/hsemotion_frames": "hsemotion_b0",
    "emotion/fer_frames": "fer",
    "voice/wavlm_sv_embedding": "wavlm_sv",
    "voice/utmos_scores": "utmos",
}
"""The same for extractors."""


class SeededWeights:
    """A folder that fills itself with seeded weights; it can serve as the weights mirror.

    Each file is made when it is first asked for. A folder that another instance has filled is taken as it is.

    Args:
        folder: The folder; it is made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._names: dict[str, str] = {}

    @classmethod
    def of_session(cls, factory: pytest.TempPathFactory) -> SeededWeights:
        """Returns the one folder of a session of pytest."""
        return cls(factory.getbasetemp() / "seeded_weights")

    def file(self, network: str) -> Path:
        """Returns the file of a network of :data:`MAKERS`."""
        path = self.folder / f"{network}.weights"
        if not path.is_file():
            # A run that looks into the folder meanwhile must not see half a file, nor another session's attempt.
            unfinished = self.folder.with_name(f"{self.folder.name}.unfinished")
            unfinished.mkdir(exist_ok=True)
            MAKERS[network](unfinished / path.name)
            (unfinished / path.name).replace(path)
        return path

    def name(self, network: str) -> str:
        """Returns what a parameter ``network`` takes: ``sha256:<64 hex digits>`` of the file."""
        if network not in self._names:
            self._names[network] = f"sha256:{hashlib.sha256(self.file(network).read_bytes()).hexdigest()}"
        return self._names[network]

    def params_of(self, metric: str) -> dict[str, str | int | float | bool | None]:
        """Returns the parameters that give a metric its seeded network; none for a metric without a choice of it."""
        network = NETWORK_OF_METRIC.get(metric)
        return {} if network is None else {"network": self.name(network)}


# --- Numbers --------------------------------------------------------------------------------------------------------

BEFORE_A_RECTIFIER = math.sqrt(2)
THROUGH_NORMALISATIONS = 2.0
"""Gain of kernels in deep networks without shortcuts, where each normalisation takes away a part of the signal."""


def parameter(name: str, shape: Sequence[int], gain: float = BEFORE_A_RECTIFIER) -> Tensor:
    """Draws a parameter of a picture network from its name.

    Normalisations do something, and activations neither vanish nor explode: kernels have the variance
    ``gain^2 / inputs``, which for the default is right before a rectifier.
    """
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if len(shape) > 1:
        spread = np.float32(gain / math.sqrt(math.prod(shape[1:])))
        return torch.from_numpy(generator.standard_normal(tuple(shape), np.float32) * spread)
    low, high = -0.1, 0.1
    if name.endswith("running_var"):
        low, high = 0.5, 1.5
    elif name.endswith("weight"):
        low, high = 0.5, 1.0
    return torch.from_numpy(generator.uniform(low, high, tuple(shape)).astype(np.float32))


def recorded_parameter(name: str, shape: Sequence[int]) -> Tensor:
    """Draws a parameter of a speech network from its name.

    Numbers that a reference made of these weights are written down in tests, hence the legacy generator, which numpy
    promises never to change.
    """
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1000)
    values: NDArray[np.float64] = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    if name.endswith("running_var"):
        values = np.exp(0.3 * values)
    elif name.endswith(("weight_g", "grep_a")) or (len(shape) == 1 and name.endswith(".weight")):
        values = 1 + 0.2 * values
    elif len(shape) == 1 and name != "feature_weight":
        values = 0.2 * values
    elif "relative_attention_bias" not in name and name != "feature_weight" and not name.endswith("_emb"):
        values = values / math.sqrt(math.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def seeded_state(network: nn.Module, gain: float = BEFORE_A_RECTIFIER) -> dict[str, Tensor]:
    """Returns a state dict for a network, which may lie on torch's device ``meta``: only its shapes are looked at."""
    return {name: parameter(name, value.shape, gain) for name, value in network.state_dict().items()}


# --- Picture networks -----------------------------------------------------------------------------------------------


def write_inception(path: Path) -> None:
    """The Inception of FID, of its true size."""
    from vidchatbench_metrics.video_quality.inception_network import FidInception

    with torch.device("meta"):
        network = FidInception()
    save_file(seeded_state(network, THROUGH_NORMALISATIONS), path)


class TinyI3d(nn.Module):
    """Takes and gives what StyleGAN-V's I3D does: 16 frames in 0..255, 400 numbers that depend on their order."""

    def __init__(self) -> None:
        super().__init__()
        # A layer of its own would bring constants into the archive in an order that changes from run to run.
        self.weight = nn.Parameter(torch.zeros(400, 3 * 16 * 8 * 8))
        self.bias = nn.Parameter(torch.zeros(400))

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        """Averages patches and mixes them."""
        if rescale:
            x = x / 127.5 - 1.0
        if resize:
            x = nn.functional.interpolate(x, size=[x.shape[2], 64, 64], mode="trilinear", align_corners=False)
        patches = nn.functional.interpolate(x, size=[16, 8, 8], mode="area").flatten(1)
        logits = nn.functional.linear(patches, self.weight, self.bias)
        return logits if return_features else torch.softmax(logits, dim=1)


def write_i3d(path: Path) -> None:
    """A TorchScript archive with the signature of I3D."""
    network = TinyI3d().eval()
    network.load_state_dict(seeded_state(network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and the only form that I3D is published in
        torch.jit.save(torch.jit.script(network), str(path))


def clip_writer(**sizes: int) -> Callable[[Path], None]:
    """Returns what writes an image side of CLIP; a head of its attention is 64 channels wide."""

    def write(path: Path) -> None:
        import_torchvision()
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        config: Any = CLIPVisionConfig.from_dict({**sizes, "num_attention_heads": sizes["hidden_size"] // 64})
        made: Any = CLIPVisionModelWithProjection
        with torch.device("meta"):
            network = made(config)
        save_file(seeded_state(network, gain=1.0), path)

    return write


SMALL_CLIP = {
    "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 2, "image_size": 56, "patch_size": 14,
    "projection_dim": 24,
}  # fmt: skip
LARGE_CLIP = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "image_size": 336, "patch_size": 14,
    "projection_dim": 768,
}  # fmt: skip


def write_alexnet(path: Path) -> None:
    """The convolutions of torchvision's AlexNet; LPIPS needs nothing else of it."""
    kernels = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
    shapes: Shapes = {f"features.{layer}.weight": shape for layer, shape in kernels.items()}
    shapes |= {f"features.{layer}.bias": shape[:1] for layer, shape in kernels.items()}
    save_file({name: parameter(name, shape) for name, shape in shapes.items()}, path)


def write_facenet(path: Path) -> None:
    """facenet-pytorch's Inception-ResNet-v1, of its true size."""
    import_torchvision()
    from facenet_pytorch import InceptionResnetV1

    with torch.device("meta"):
        network = InceptionResnetV1(pretrained=None)
    state = seeded_state(network)
    save_file({name: value for name, value in state.items() if not name.startswith("logits.")}, path)


def syncnet_state() -> dict[str, Tensor]:
    """A state dict in the format of ``syncnet_v2.model``, with distances of about 10, as the trained network has."""
    state = seeded_state(backend_network())
    state["netcnnlip.0.weight"] /= 64.0  # its pictures are in 0..255
    for part in ("netfclip", "netfcaud"):
        for kind in ("weight", "bias"):
            state[f"{part}.3.{kind}"] *= 0.02
    return state


def write_syncnet(path: Path) -> None:
    """SyncNet, of its true size."""
    save_file(syncnet_state(), path)


def write_deep3d(path: Path) -> None:
    """``net_recon`` of Deep3DFaceRecon: a ResNet-50 of its true size with seven heads."""
    import_torchvision()
    from torchvision.models import resnet50

    with torch.device("meta"):
        body = resnet50()
        heads = nn.ModuleList([nn.Conv2d(2048, width, 1) for width in (80, 64, 80, 3, 27, 2, 1)])
    state = seeded_state(nn.ModuleDict({"backbone": body, "final_layers": heads}))
    save_file({name: value for name, value in state.items() if not name.startswith("backbone.fc.")}, path)


def write_tddfa(path: Path) -> None:
    """3DDFA_V2's MobileNet of half width, of its true size."""
    widths = (32, 64, 64, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512)
    names = ["dw2_1", "dw2_2", "dw3_1", "dw3_2", "dw4_1", "dw4_2", *[f"dw5_{k}" for k in range(1, 7)], "dw6"]
    shapes: Shapes = {"conv1.weight": (16, 3, 3, 3)} | norm_shapes("bn1", 16)
    inside = 16
    for name, width in zip(names, widths, strict=True):
        shapes |= {f"{name}.conv_dw.weight": (inside, 1, 3, 3)} | norm_shapes(f"{name}.bn_dw", inside)
        shapes |= {f"{name}.conv_sep.weight": (width, inside, 1, 1)} | norm_shapes(f"{name}.bn_sep", width)
        inside = width
    shapes |= layer_shapes("fc_param", 62, inside)
    save_file({name: parameter(name, shape, THROUGH_NORMALISATIONS) for name, shape in shapes.items()}, path)


def efficientnet_writer(name: str, outputs: int) -> Callable[[Path], None]:
    """Returns what writes a network of EmotiEffLib, of its true size, with a softmax that is not saturated."""

    def write(path: Path) -> None:
        import_torchvision()
        import timm

        with torch.device("meta"):
            network = timm.create_model(name, pretrained=False, num_classes=outputs)
        state = seeded_state(network, THROUGH_NORMALISATIONS)
        state["classifier.weight"] *= 0.2
        save_file(state, path)

    return write


# --- mini-Xception, as Keras 2.0 writes it --------------------------------------------------------------------------

Kernels = dict[str, dict[str, NDArray[np.float32]]]


def keras_weights(seed: int) -> Kernels:
    """Draws the weights of mini-Xception, by layer."""
    rng = np.random.default_rng(seed)

    def kernel(*shape: int, fan: int) -> NDArray[np.float32]:
        return rng.normal(0, (2 / fan) ** 0.5, shape).astype(np.float32)

    def norm(width: int) -> dict[str, NDArray[np.float32]]:
        ranges = {"gamma": (0.5, 1.5), "beta": (-0.3, 0.3), "moving_mean": (-0.3, 0.3), "moving_variance": (0.5, 2.0)}
        return {name: rng.uniform(low, high, width).astype(np.float32) for name, (low, high) in ranges.items()}

    made: Kernels = {"conv2d_1": {"kernel": kernel(3, 3, 1, 8, fan=9)}}
    made |= {"conv2d_2": {"kernel": kernel(3, 3, 8, 8, fan=72)}}
    made |= {"batch_normalization_1": norm(8), "batch_normalization_2": norm(8)}
    inside = 8
    for number, width in enumerate((16, 32, 64, 128), 1):
        made[f"conv2d_{number + 2}"] = {"kernel": kernel(1, 1, inside, width, fan=inside)}
        for which, channels in ((2 * number - 1, inside), (2 * number, width)):
            made[f"separable_conv2d_{which}"] = {
                "depthwise_kernel": kernel(3, 3, channels, 1, fan=9),
                "pointwise_kernel": kernel(1, 1, channels, width, fan=channels),
            }
        made |= {f"batch_normalization_{3 * number + k}": norm(width) for k in range(3)}
        inside = width
    bias = rng.normal(0, 0.3, 7).astype(np.float32)
    made["conv2d_7"] = {"kernel": kernel(3, 3, 128, 7, fan=1152), "bias": bias}
    return made


def keras_layers() -> list[dict[str, Any]]:
    """Describes the layers of mini-Xception as Keras 2.0 does."""
    layers: list[dict[str, Any]] = []

    def add(kind: str, name: str, inputs: Sequence[str], **options: Any) -> str:
        nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
        layers.append({"class_name": kind, "name": name, "config": {"name": name, **options}, "inbound_nodes": nodes})
        return name

    def conv(name: str, source: str, stride: int, padding: str, *, kind: str = "Conv2D", bias: bool = False) -> str:
        shared = {"data_format": "channels_last", "dilation_rate": [1, 1], "activation": "linear", "use_bias": bias}
        return add(kind, name, [source], strides=[stride, stride], padding=padding, **shared)

    def norm(number: int, source: str) -> str:
        options = {"axis": -1, "epsilon": 1e-3, "center": True, "scale": True}
        return add("BatchNormalization", f"batch_normalization_{number}", [source], **options)

    def relu(number: int, source: str) -> str:
        return add("Activation", f"activation_{number}", [source], activation="relu")

    x = add("InputLayer", "input_1", [], batch_input_shape=[None, 64, 64, 1])
    for k in (1, 2):
        x = relu(k, norm(k, conv(f"conv2d_{k}", x, 1, "valid")))
    for k in range(1, 5):
        side = norm(3 * k, conv(f"conv2d_{k + 2}", x, 2, "same"))
        x = conv(f"separable_conv2d_{2 * k - 1}", x, 1, "same", kind="SeparableConv2D")
        x = relu(k + 2, norm(3 * k + 1, x))
        x = norm(3 * k + 2, conv(f"separable_conv2d_{2 * k}", x, 1, "same", kind="SeparableConv2D"))
        pooling = {"pool_size": [3, 3], "strides": [2, 2], "padding": "same", "data_format": "channels_last"}
        x = add("MaxPooling2D", f"max_pooling2d_{k}", [x], **pooling)
        x = add("Add", f"add_{k}", [x, side])
    x = conv("conv2d_7", x, 1, "same", bias=True)
    x = add("GlobalAveragePooling2D", "global_average_pooling2d_1", [x], data_format="channels_last")
    add("Activation", "predictions", [x], activation="softmax")
    return layers


def write_keras(path: Path, layers: list[dict[str, Any]], weights: Kernels) -> Path:
    """Writes a network as Keras 2.0 does."""
    import h5py

    config = {"layers": layers, "input_layers": [["input_1", 0, 0]], "output_layers": [["predictions", 0, 0]]}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
        for layer in layers:
            name = layer["name"]
            group = file.create_group(f"model_weights/{name}")
            names = []
            for part, values in weights.get(name, {}).items():
                names.append(f"{name}_1/{part}:0".encode())
                group.create_dataset(f"{name}_1/{part}:0", data=values)
            group.attrs["weight_names"] = names
    return path


def write_fer(path: Path) -> None:
    """mini-Xception, of its true size."""
    write_keras(path, keras_layers(), keras_weights(0))


# --- Speech networks ------------------------------------------------------------------------------------------------


class SpeechSize(NamedTuple):
    """Widths of a backbone; only WavLM's file tells its number of heads."""

    channels: int
    hidden: int
    feed_forward: int
    layers: int
    heads: int = 0


SMALL_WAVLM = SpeechSize(channels=32, hidden=64, feed_forward=96, layers=3, heads=4)
LARGE_WAVLM = SpeechSize(channels=512, hidden=1024, feed_forward=4096, layers=24, heads=16)
SMALL_WAV2VEC2 = SpeechSize(channels=32, hidden=128, feed_forward=96, layers=3)
BASE_WAV2VEC2 = SpeechSize(channels=512, hidden=768, feed_forward=3072, layers=12)


def layer_shapes(name: str, *weight: int) -> Shapes:
    """Shapes of a layer with a bias."""
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def norm_shapes(name: str, width: int) -> Shapes:
    """Shapes of a batch normalisation."""
    shapes: Shapes = {f"{name}.{kind}": (width,) for kind in ("weight", "bias", "running_mean", "running_var")}
    return shapes | {f"{name}.num_batches_tracked": ()}


def backbone_shapes(size: SpeechSize) -> Shapes:
    """WavLM (with heads) or wav2vec 2.0 (without), as ``WavLM.py`` and fairseq name their parameters."""
    wide, inner, width = size.hidden, size.feed_forward, size.channels
    shapes: Shapes = {"mask_emb": (wide,)}
    for index, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
        conv = f"feature_extractor.conv_layers.{index}"
        shapes[f"{conv}.0.weight"] = (width, width if index else 1, kernel)
        if size.heads:
            shapes |= layer_shapes(f"{conv}.2.1", width)
        elif index == 0:
            shapes |= layer_shapes(f"{conv}.2", width)
    shapes |= layer_shapes("layer_norm", width) | layer_shapes("post_extract_proj", wide, width)
    positions = "encoder.pos_conv.0"
    shapes |= {f"{positions}.bias": (wide,), f"{positions}.weight_g": (1, 1, 128)}
    shapes |= {f"{positions}.weight_v": (wide, wide // 16, 128)} | layer_shapes("encoder.layer_norm", wide)
    if size.heads:
        shapes["encoder.layers.0.self_attn.relative_attention_bias.weight"] = (320, size.heads)
    for index in range(size.layers):
        layer = f"encoder.layers.{index}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= layer_shapes(f"{layer}.self_attn.{part}", wide, wide)
        if size.heads:
            shapes[f"{layer}.self_attn.grep_a"] = (1, size.heads, 1, 1)
            shapes |= layer_shapes(f"{layer}.self_attn.grep_linear", 8, wide // size.heads)
        shapes |= layer_shapes(f"{layer}.self_attn_layer_norm", wide) | layer_shapes(f"{layer}.final_layer_norm", wide)
        shapes |= layer_shapes(f"{layer}.fc1", inner, wide) | layer_shapes(f"{layer}.fc2", wide, inner)
    return shapes


def ecapa_shapes(size: SpeechSize) -> Shapes:
    """The head of the speaker network as ``ecapa_tdnn.py`` names it."""
    shapes: Shapes = {"feature_weight": (size.layers + 1,)}
    shapes |= layer_shapes("layer1.conv", 512, size.hidden, 5) | norm_shapes("layer1.bn", 512)
    for block in ("layer2", "layer3", "layer4"):
        for part in ("Conv1dReluBn1", "Conv1dReluBn2"):
            shapes |= layer_shapes(f"{block}.{part}.conv", 512, 512, 1) | norm_shapes(f"{block}.{part}.bn", 512)
        for index in range(7):
            scale = f"{block}.Res2Conv1dReluBn"
            shapes |= layer_shapes(f"{scale}.convs.{index}", 64, 64, 3) | norm_shapes(f"{scale}.bns.{index}", 64)
        shapes |= layer_shapes(f"{block}.SE_Connect.linear1", 128, 512)
        shapes |= layer_shapes(f"{block}.SE_Connect.linear2", 512, 128)
    shapes |= layer_shapes("conv", 1536, 1536, 1)
    shapes |= layer_shapes("pooling.linear1", 128, 1536, 1) | layer_shapes("pooling.linear2", 1536, 128, 1)
    return shapes | norm_shapes("bn", 3072) | layer_shapes("linear", 256, 3072)


def utmos_head_shapes(size: SpeechSize) -> Shapes:
    """The head of UTMOS as ``model.py`` names it."""
    shapes: Shapes = {"domain_emb": (1, 128), "judge_emb": (1, 128)}
    for side in ("", "_reverse"):
        shapes |= {f"blstm.weight_ih_l0{side}": (2048, size.hidden + 256), f"blstm.weight_hh_l0{side}": (2048, 512)}
        shapes |= {f"blstm.bias_{kind}_l0{side}": (2048,) for kind in ("ih", "hh")}
    return shapes | layer_shapes("projection.0", 2048, 1024) | layer_shapes("projection.2", 1, 2048)


def wavlm_sv_checkpoint(size: SpeechSize) -> dict[str, Tensor]:
    """Everything below ``model`` in the file, with the classifier that inference has no use for."""
    shapes = {f"feature_extract.model.{name}": shape for name, shape in backbone_shapes(size).items()}
    shapes |= ecapa_shapes(size) | {"loss_calculator.projection.weight": (10, 256)}
    return {name: recorded_parameter(name, shape) for name, shape in shapes.items()}


def utmos_checkpoint(size: SpeechSize) -> dict[str, Tensor]:
    """Everything in the file."""
    shapes = {f"wav2vec2.{name}": shape for name, shape in backbone_shapes(size).items()} | utmos_head_shapes(size)
    return {name: recorded_parameter(name, shape) for name, shape in shapes.items()}


def wavlm_sv_writer(size: SpeechSize) -> Callable[[Path], None]:
    """Returns what writes the speaker network of SIM-o."""
    return lambda path: torch.save({"model": wavlm_sv_checkpoint(size), "best_valid_eer": 100.0}, path)


def utmos_writer(size: SpeechSize) -> Callable[[Path], None]:
    """Returns what writes UTMOS."""
    return lambda path: save_file(utmos_checkpoint(size), path)


# --- ONNX, without its package --------------------------------------------------------------------------------------

_FLOAT, _INT_ATTRIBUTE, _INTS_ATTRIBUTE = 1, 2, 7


def _field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protobuf message: a whole number, or bytes with their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + struct.pack("B", value & 127 | 128), value >> 7
    return found + struct.pack("B", value)


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    body = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)
    for name, value in attributes.items():
        if isinstance(value, int):
            content = _field(1, name) + _field(3, value) + _field(20, _INT_ATTRIBUTE)
        else:
            content = _field(1, name) + b"".join(_field(8, one) for one in value) + _field(20, _INTS_ATTRIBUTE)
        body += _field(5, content)
    return body


def _tensor(name: str, values: NDArray[np.float32]) -> bytes:
    sizes = b"".join(_field(1, size) for size in values.shape)
    return sizes + _field(2, _FLOAT) + _field(8, name) + _field(9, values.astype("<f4").tobytes())


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(_field(1, _field(1 if isinstance(size, int) else 2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, sizes)))


def write_arcface(path: Path) -> None:
    """A small network of the interface of insightface's: (n, 3, 112, 112) to (n, 128)."""
    kernel, matrix = parameter("conv.weight", (16, 3, 7, 7)).numpy(), parameter("fc.weight", (128, 4096)).numpy()
    nodes = [
        _node("Conv", ("input", "kernel"), "maps", strides=(7, 7), kernel_shape=(7, 7)),
        _node("Relu", ("maps",), "active"),
        _node("Flatten", ("active",), "flat", axis=1),
        _node("Gemm", ("flat", "matrix"), "embedding", transB=1),
    ]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "seeded")
    graph += _field(5, _tensor("kernel", kernel)) + _field(5, _tensor("matrix", matrix))
    graph += _field(11, _value("input", ("n", 3, 112, 112))) + _field(12, _value("embedding", ("n", 128)))
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(2, 13)))


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "inception": write_inception,
    "i3d": write_i3d,
    "clip": clip_writer(**SMALL_CLIP),
    "clip_large": clip_writer(**LARGE_CLIP),
    "alexnet": write_alexnet,
    "arcface": write_arcface,
    "facenet": write_facenet,
    "syncnet": write_syncnet,
    "deep3d": write_deep3d,
    "tddfa": write_tddfa,
    "hsemotion_b0": efficientnet_writer("tf_efficientnet_b0.ns_jft_in1k", 8),
    "hsemotion_va": efficientnet_writer("tf_efficientnet_b0.ns_jft_in1k", 10),
    "hsemotion_b2": efficientnet_writer("tf_efficientnet_b2.ns_jft_in1k", 8),
    "fer": write_fer,
    "wavlm_sv": wavlm_sv_writer(SMALL_WAVLM),
    "wavlm_sv_large": wavlm_sv_writer(LARGE_WAVLM),
    "utmos": utmos_writer(SMALL_WAV2VEC2),
    "utmos_base": utmos_writer(BASE_WAV2VEC2),
}
"""What writes the file of each network."""

TRUE_SIZE = {"clip": "clip_large", "wavlm_sv": "wavlm_sv_large", "utmos": "utmos_base"}
"""Networks of the official size where the others are small, for whoever measures time."""
