"""``iqa/*``: quality of the pictures without a reference, by models that were trained on opinions.

The models are pyiqa's (extra ``[iqa]``); without that package the metrics are unavailable and everything else runs.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import math
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Metric,
    MetricCard,
    Need,
    Role,
    Sample,
    Score,
    Timeline,
    Window,
    as_array,
    load_card,
    window_details,
)
from vidchatbench_metrics.common.geometry import GUIDES, HEIGHT, WIDTH
from vidchatbench_metrics.common.networks import Network, Networks
from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

PYIQA_VERSION = "0.1.16"
"""The release whose code defines the numbers; it is part of the protocol ids."""


def _networks(weight: str, variant: str, file: str) -> Networks:
    return Networks(
        (Network("official", weight, label=variant, title=file),),
        hashed_label="file-{digits}",
        hashed_license="unknown, the file was named by its hash",
    )


MODELS = {
    "musiq": _networks("pyiqa_musiq_koniq", "koniq", "musiq_koniq_ckpt-e95806b9"),
    "niqe": _networks("pyiqa_niqe", "original", "niqe_modelparameters"),
    "clipiqa": _networks("clip_rn50", "rn50", "openai/CLIP RN50"),
    "topiq_nr": _networks("pyiqa_topiq_nr_koniq", "koniq", "cfanet_nr_koniq_res50-9a73138b"),
}
"""pyiqa's models by pyiqa's names: the official file of each, with which of its published parameters these are."""

MIN_RATED = 0.5
"""Share of frames that the model must be able to rate."""


class QualityModel:
    """Rates single pictures.

    Args:
        model: A name of :data:`MODELS`, which is pyiqa's name.
        path: The model's file.
        device: Torch device string.

    Raises:
        RuntimeError: If another release of pyiqa is installed than the one that defines the numbers.
        ValueError: If the file is not of this model.
    """

    def __init__(self, model: str, path: Path, device: str) -> None:
        installed = importlib.metadata.version("pyiqa")
        if installed != PYIQA_VERSION:
            raise RuntimeError(
                f"iqa/{model} is defined by pyiqa {PYIQA_VERSION}, and {installed} is installed; "
                f"pip install pyiqa=={PYIQA_VERSION}"
            )
        import_torchvision()
        import torch  # heavy, and only extractors that run need it

        self._torch = torch
        self._device = torch.device(device)
        self._rate = _create(model, path, self._device)

    def __call__(self, picture: NDArray[np.uint8]) -> float:
        """Returns the rating of a picture.

        Args:
            picture: uint8 RGB of shape (height, width, 3), both sides at least 192.

        Returns:
            A value on the model's own scale; NaN where the model has none, as NIQE has for a picture without texture.
        """
        torch = self._torch
        # One picture at a time, so that no number depends on which pictures came together.
        values = torch.from_numpy(picture.copy()).to(self._device).permute(2, 0, 1)[None]
        try:
            with torch.inference_mode():
                return float(self._rate(values.to(torch.float32) / 255).reshape(()))
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage] - documented, though not exported
            return math.nan  # NIQE inverts the covariance of the picture's features, of which there may be none


def _create(model: str, path: Path, device: Any) -> Any:  # noqa: ANN401 - torch is not imported here
    with _importable_clip(), warnings.catch_warnings():
        # The warnings are about how pyiqa and its own dependencies are written.
        warnings.simplefilter("ignore")
        create = importlib.import_module("pyiqa").create_metric
        if model == "niqe":
            return create("niqe", device=device, pretrained_model_path=str(path))
        if model == "clipiqa":
            if not _is_torchscript(path):
                raise ValueError(f"{path.name} is no TorchScript archive, as the networks of openai/CLIP are")
            return create("clipiqa", device=device, backbone=str(path))
        state = load_state(path)
        if model == "topiq_nr":
            made = create("topiq_nr", device=device, pretrained=False, backbone_pretrain=False)
            state = state.get("params", state)
        else:
            made = create("musiq", device=device, pretrained=False)
    fill(made.net, {key.removeprefix("module."): value for key, value in state.items()})
    return made


def _is_torchscript(path: Path) -> bool:
    # Anything else pyiqa would hand to torch's pickle loader.
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


@contextmanager
def _importable_clip() -> Iterator[None]:
    """Lets pyiqa import openai-clip, which reads ``packaging`` through a module that setuptools no longer has."""
    name = "pkg_resources"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        yield
        return
    importlib.import_module("packaging.version")
    stand_in = ModuleType(name)
    stand_in.__dict__["packaging"] = sys.modules["packaging"]
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


class FrameQuality(FrameExtractor):
    """Ratings of the frames of a clip, seen through its window and scaled to 480 x 768.

    Parameters:
        model: ``musiq``, ``niqe``, ``clipiqa`` or ``topiq_nr``.
        fps: Frames per second.
        network: ``official``, or ``sha256:<64 hex>`` for any file that the model can be made of.

    Feature:
        value: float64 (n,), on the model's own scale, one per frame that the model could rate.
        meta: ``frames``, the number of frames read, and the window, see :meth:`vidchatbench.api.Window.meta`.
    """

    id = "iqa/frame_quality"
    defaults = {"model": "musiq", "fps": 1, "network": "official"}
    packages = ("pyiqa",)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    @property
    def weights(self) -> tuple[str, ...]:
        """The model's one file."""
        return (MODELS[str(self.params["model"])].weight_of(str(self.params["network"])),)

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window."""
        return GUIDES

    def setup(self, context: ExtractorContext) -> None:
        """Makes the model."""
        self._model = QualityModel(str(self.params["model"]), context.weights[self.weights[0]], context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip
        return _Session(self._model, Window.of(upstream["window"]))


class _Session(FrameSession):
    def __init__(self, model: QualityModel, window: Window) -> None:
        self._model = model
        self._window = window
        self._frames = 0
        self._values: list[float] = []

    def push(self, frame: Frame) -> None:
        self._frames += 1
        value = self._model(frame.window(self._window.box, HEIGHT, WIDTH))
        if math.isfinite(value):
            self._values.append(value)

    def finish(self) -> Feature:
        return Feature({"value": as_array(self._values, "float64")}, {"frames": self._frames, **self._window.meta()})


class _NoReference(Metric):
    """Mean of a model's ratings of single frames, each cut to the card's range.

    Parameters:
        fps: Frames per second that are rated.
        network: ``official``, or ``sha256:<64 hex>`` for any file that the model can be made of.
    """

    defaults = {"fps": 1, "network": "official"}
    model: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate or file is another protocol.

        Raises:
            ValueError: If the network is neither the official one nor named by its hash.
        """
        fps = self.number("fps")
        rate = "1 frame" if fps == 1 else f"{fps:g} frames"
        return MODELS[self.model].card(self.default_card, str(self.params["network"]), fps=f"{fps:g}", rate=rate)

    def needs(self) -> tuple[Need, ...]:
        """Ratings of the candidate's frames."""
        params = self.params
        spec = ExtractorSpec.of("iqa/frame_quality", model=self.model, fps=params["fps"], network=params["network"])
        return (Need("frames", spec, (Role.CANDIDATE,), guide=Role.REFERENCE),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the ratings; a clip of which the model can rate less than half is the submission's fault."""
        del sample
        values, frames = features["frames"]["value"].astype(np.float64), int(features["frames"].number("frames"))
        if len(values) == 0 or len(values) < MIN_RATED * frames:
            return Score.invalid(
                f"{self.model} could rate {len(values)} of {frames} frames; the others have no texture",
                frames=frames,
                rated=len(values),
            )
        cut = np.clip(values, self.card.minimum, self.card.maximum)
        return Score.ok(
            float(cut.mean()),
            frames=frames,
            rated=len(values),
            lowest=float(values.min()),
            highest=float(values.max()),
            **window_details(features["frames"]),
        )


class Musiq(_NoReference):
    """MUSIQ trained on KonIQ-10k, 0..100, higher is better."""

    default_card = load_card(__package__, "cards/musiq.toml")
    model = "musiq"


class Niqe(_NoReference):
    """NIQE, distance from the statistics of undistorted pictures, 0..100, lower is better."""

    default_card = load_card(__package__, "cards/niqe.toml")
    model = "niqe"


class ClipIqa(_NoReference):
    """CLIP-IQA with five pairs of prompts on CLIP's ResNet-50, 0..1, higher is better."""

    default_card = load_card(__package__, "cards/clipiqa.toml")
    model = "clipiqa"


class TopiqNr(_NoReference):
    """TOPIQ without a reference, trained on KonIQ-10k, 0..1, higher is better."""

    default_card = load_card(__package__, "cards/topiq_nr.toml")
    model = "topiq_nr"
