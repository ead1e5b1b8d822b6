"""The no-reference models against pyiqa's own way of making and asking them, on seeded parameters.

pyiqa is an extra, so all of this skips where it is not installed; what needs no pyiqa is in tests/unit/metrics.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.iqa.no_reference import PYIQA_VERSION, QualityModel, _importable_clip, _is_torchscript

# The same float32 network on one thread: nothing but rounding may be left.
TOLERANCE = 1e-5

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module", autouse=True)
def pyiqa() -> Iterator[ModuleType]:
    try:
        version = importlib.metadata.version("pyiqa")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the extra [iqa]: pip install pyiqa")
    if version != PYIQA_VERSION:
        pytest.skip(f"needs pyiqa {PYIQA_VERSION}, {version} is installed")
    import torch

    import_torchvision()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield importlib.import_module("pyiqa")
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def no_download(pyiqa: ModuleType) -> Iterator[None]:
    """Whatever would reach for the network fails the test instead."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"a download was tried: {args}")

    del pyiqa
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyiqa.utils.download_util.download_url_to_file", refuse)
        patch.setattr("pyiqa.archs.clip_model._download", refuse)
        patch.setattr("urllib.request.urlopen", refuse)
        yield


def scene(seed: int, height: int = 224, width: int = 320) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + generator.normal(0, 10, smooth.shape), 0, 255).astype(np.uint8)


def asked(metric: Any, picture: NDArray[np.uint8]) -> float:
    """The rating by pyiqa, from its own conversion of pictures on."""
    convert = importlib.import_module("pyiqa.utils.img_util").imread2tensor
    return float(metric(convert(Image.fromarray(picture), rgb=True)[None]))


def assert_equal(ours: QualityModel, metric: Any) -> None:
    values = [ours(scene(seed)) for seed in (0, 1)]
    assert values == pytest.approx([asked(metric, scene(seed)) for seed in (0, 1)], abs=TOLERANCE)
    # A model that ignored the picture would be equal too.
    assert abs(values[0] - values[1]) > 10 * TOLERANCE


def shaken(network: Any) -> dict[str, Any]:
    """The network's parameters, moved so far that every layer counts."""
    import torch

    generator = torch.Generator().manual_seed(7)
    state = {}
    for key, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator) if value.is_floating_point() else 0
        state[key] = value + 0.05 * noise if value.is_floating_point() and "running_var" not in key else value
    return state


def test_musiq(pyiqa: ModuleType, tmp_path: Path) -> None:
    import torch

    state = shaken(pyiqa.create_metric("musiq", device="cpu", pretrained=False).net)
    torch.save(state, tmp_path / "musiq.pth")
    published = pyiqa.create_metric(
        "musiq", device="cpu", pretrained=False, pretrained_model_path=str(tmp_path / "musiq.pth")
    )
    assert_equal(QualityModel("musiq", tmp_path / "musiq.pth", "cpu"), published)


def test_topiq_nr(pyiqa: ModuleType, tmp_path: Path) -> None:
    import torch

    empty = pyiqa.create_metric("topiq_nr", device="cpu", pretrained=False, backbone_pretrain=False)
    torch.save({"params": shaken(empty.net)}, tmp_path / "topiq.pth")
    published = pyiqa.create_metric(
        "topiq_nr", device="cpu", backbone_pretrain=False, pretrained_model_path=str(tmp_path / "topiq.pth")
    )
    assert_equal(QualityModel("topiq_nr", tmp_path / "topiq.pth", "cpu"), published)


@pytest.fixture
def statistics(tmp_path: Path) -> Path:
    """A file of NIQE's form: mean and covariance of 36 features."""
    from scipy.io import savemat

    generator = np.random.default_rng(3)
    root = generator.normal(0, 0.3, (36, 36))
    mean, covariance = generator.uniform(0.2, 2.0, (1, 36)), root @ root.T + np.eye(36)
    savemat(tmp_path / "niqe.mat", {"mu_prisparam": mean, "cov_prisparam": covariance})
    return tmp_path / "niqe.mat"


def test_niqe(pyiqa: ModuleType, statistics: Path) -> None:
    published = pyiqa.create_metric("niqe", device="cpu", pretrained_model_path=str(statistics))
    assert_equal(QualityModel("niqe", statistics, "cpu"), published)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_niqe_has_no_rating_for_a_picture_without_texture(statistics: Path, level: int) -> None:
    flat = np.full((224, 320, 3), level, np.uint8)
    assert np.isnan(QualityModel("niqe", statistics, "cpu")(flat))


def torchscript(state: dict[str, Any], path: Path) -> Path:
    """Writes a state dict as an archive of the form in which openai/CLIP publishes its networks."""
    import torch

    root = torch.nn.Module()
    for key, value in state.items():
        *folders, leaf = key.split(".")
        module = root
        for folder in folders:
            if not hasattr(module, folder):
                module.add_module(folder, torch.nn.Module())
            module = getattr(module, folder)
        module.register_buffer(leaf, value.clone())
    torch.jit.script(root).save(str(path))
    return path


def test_clipiqa(pyiqa: ModuleType, tmp_path: Path) -> None:
    import torch

    with _importable_clip():
        clip = importlib.import_module("pyiqa.archs.clip_model")
    torch.manual_seed(2)
    # CLIP's ResNet with one block a stage and narrow layers; the vocabulary must be the tokenizer's.
    small = clip.CLIP(32, 64, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 2).float().eval()
    state = shaken(small)
    path = torchscript(state, tmp_path / "clip.pt")
    with _importable_clip():
        published = pyiqa.create_metric("clipiqa", device="cpu", backbone=str(path))
    published.net.clip_model = [clip.build_model(dict(state)).float().eval()]
    assert_equal(QualityModel("clipiqa", path, "cpu"), published)


def test_only_archives_go_to_the_loader_of_clip(tmp_path: Path) -> None:
    import torch

    torch.save({"visual.proj": torch.zeros(2)}, tmp_path / "state.pt")
    (tmp_path / "text.pt").write_bytes(b"not a zip")
    torchscript({"a.b": torch.zeros(2)}, tmp_path / "archive.pt")
    assert [_is_torchscript(tmp_path / name) for name in ("state.pt", "text.pt", "archive.pt")] == [False, False, True]
    with pytest.raises(ValueError, match="no TorchScript archive"):
        QualityModel("clipiqa", tmp_path / "state.pt", "cpu")


def test_a_file_of_another_model_is_refused(pyiqa: ModuleType, tmp_path: Path) -> None:
    import torch

    torch.save(pyiqa.create_metric("musiq", device="cpu", pretrained=False).net.state_dict(), tmp_path / "musiq.pth")
    with pytest.raises(ValueError, match="not of this network"):
        QualityModel("topiq_nr", tmp_path / "musiq.pth", "cpu")
