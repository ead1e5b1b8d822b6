"""The no-reference models of pyiqa, made from files that the weights table knows.

Left to itself, pyiqa downloads a model's file when the model is made, under no hash, and unpickles whatever it holds.
Here a model is made empty and filled by this package's own loader, or is handed the path of a file that is no pickle.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import math
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

PYIQA_VERSION = "0.1.16"
"""The release whose code defines the numbers; it is part of the protocol ids."""


@dataclass(frozen=True)
class Model:
    """One of pyiqa's models.

    Attributes:
        weight: Its file's name in the weights table.
        variant: Which of its published parameters these are; part of the protocol ids.
        file: How the protocol texts call the file.
    """

    weight: str
    variant: str
    file: str


MODELS = {
    "musiq": Model("pyiqa_musiq_koniq", "koniq", "musiq_koniq_ckpt-e95806b9"),
    "niqe": Model("pyiqa_niqe", "original", "niqe_modelparameters"),
    "clipiqa": Model("clip_rn50", "rn50", "openai/CLIP RN50"),
    "topiq_nr": Model("pyiqa_topiq_nr_koniq", "koniq", "cfanet_nr_koniq_res50-9a73138b"),
}


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
