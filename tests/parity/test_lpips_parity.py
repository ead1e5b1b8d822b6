"""LPIPS against the package lpips itself, on a seeded backbone and the package's own linear layers.

The official backbone is only needed for the published value, whose test skips without it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from windows import guide

from vidchatbench.api import ClipInfo, ExtractorContext, Feature, Sample, Side
from vidchatbench.core.hashing import hash_file
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.weights.resolver import WeightResolver
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.video_quality.lpips import (
    LINEAR_WEIGHT,
    Lpips,
    LpipsDistance,
    LpipsFace,
    LpipsFaces,
    LpipsFrames,
)
from vidchatbench_metrics.video_quality.weights import LPIPS_WEIGHTS

torch = pytest.importorskip("torch")
FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"
SPECS = {spec.name: spec for spec in LPIPS_WEIGHTS}

# protocols.md 4.3: black against white, AlexNet, version 0.1; its tolerance for real weights is 1e-4 (16, row 6).
BLACK_AGAINST_WHITE = 0.81400907
# The same float32 network on one thread: what is left is the rounding of x / 127.5 - 1.
TOLERANCE = 1e-5

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def linear() -> Path:
    package = importlib.util.find_spec("lpips")
    if package is None or package.origin is None:
        pytest.skip("needs: pip install lpips")
    return Path(package.origin).parent / "weights" / "v0.1" / "alex.pth"


@pytest.fixture(scope="module")
def alexnet() -> Any:
    """A seeded network of torchvision, with features large enough for every layer to count."""
    import_torchvision()
    import torchvision

    torch.manual_seed(11)
    network = torchvision.models.alexnet(weights=None)
    for module in network.features:
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def backbone(alexnet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its state dict as torchvision publishes it, that is with (here: a piece of) its classifier."""
    path = tmp_path_factory.mktemp("alexnet") / "seeded.pth"
    state = {key: value for key, value in alexnet.state_dict().items() if key.startswith("features.")}
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture(scope="module")
def published(alexnet: Any) -> Any:
    """The package's network, made as the package makes it; only torchvision's download is replaced."""
    import lpips
    from lpips import pretrained_networks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained_networks.tv, "alexnet", lambda pretrained: alexnet)
        return lpips.LPIPS(net="alex", version="0.1", verbose=False)


@pytest.fixture(scope="module")
def ours(backbone: Path, linear: Path) -> LpipsDistance:
    return LpipsDistance(backbone, linear, "cpu")


def expected(published: Any, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The distance by the package, from its own conversion of pictures on."""
    import lpips

    with torch.inference_mode():
        return float(published(lpips.im2tensor(first), lpips.im2tensor(second)))


def pair(seed: int, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    first = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    noise = generator.normal(0, 25, first.shape)
    return first, np.clip(np.roll(first, 5, axis=1) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(480, 768), (64, 64), (63, 111)])
def test_equals_the_package(ours: LpipsDistance, published: Any, height: int, width: int) -> None:
    first, second = pair(height, height, width)
    value = ours(first, second)
    assert value == pytest.approx(expected(published, first, second), abs=TOLERANCE)
    assert value > 0.02
    assert ours(second, first) == pytest.approx(value, abs=TOLERANCE)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["p0", "p1"])
def test_equals_the_package_on_its_example_pictures(ours: LpipsDistance, published: Any, name: str) -> None:
    files = [FIXTURES / f"lpips_ex_{which}.png" for which in ("ref", name)]
    if not all(file.is_file() for file in files):
        pytest.skip("the shared folder with the published images is not beside this checkout")
    first, second = (np.asarray(Image.open(file).convert("RGB")) for file in files)
    assert ours(first, second) == pytest.approx(expected(published, first, second), abs=TOLERANCE)


def test_every_layer_of_the_files_reaches_the_network(published: Any, ours: LpipsDistance) -> None:
    theirs, mine = published.state_dict(), ours._network.state_dict()
    assert set(theirs) == set(mine)
    for key, value in theirs.items():
        assert torch.equal(value, mine[key]), key


def test_identical_pictures_reach_the_ideal_and_noise_adds_up(ours: LpipsDistance) -> None:
    first, second = pair(3, 96, 128)
    assert ours(first, first.copy()) == 0.0
    halfway = ((first.astype(int) + second) // 2).astype(np.uint8)
    assert 0 < ours(first, halfway) < ours(first, second)


def test_a_foreign_file_is_refused(backbone: Path, linear: Path, tmp_path: Path) -> None:
    state = torch.load(backbone, weights_only=True)
    moved = {key.replace("features.10.", "features.12."): value for key, value in state.items()}
    torch.save(moved, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"net\.slice5\.10\.weight"):
        LpipsDistance(tmp_path / "other.pth", linear, "cpu")
    with pytest.raises(ValueError, match=r"lin0\.model\.1\.weight"):
        LpipsDistance(backbone, backbone, "cpu")


def test_the_metric_is_the_packages_from_pictures_to_the_score(published: Any, backbone: Path, linear: Path) -> None:
    name = "sha256:" + hash_file(backbone)
    metric = Lpips(fps=2, network=name)
    need, _ = metric.needs()
    extractor = LpipsFrames(**dict(need.extractor.params))
    extractor.setup(ExtractorContext("cpu", 16, {name: backbone, LINEAR_WEIGHT: linear}))
    session = extractor.begin(ClipInfo(768, 480, 1.5), ClipInfo(768, 480, 1.5), (guide(), guide()))
    pairs = [pair(seed, 480, 768) for seed in range(3)]
    for index, pictures in enumerate(pairs):
        candidate, reference = (GridFrame(Picture(p), index, Fraction(index, 2)) for p in pictures)
        session.push(candidate, reference)
    side = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
    sample = Sample(id="x", task="dialogue", language="en", initiator=side, responder=side)
    score = metric.score(sample, {"frames": session.finish(), "reference": Feature({}, {"frames": 3})})
    values = [expected(published, *pictures) for pictures in pairs]
    assert score.value == pytest.approx(np.mean(values[1:]), abs=TOLERANCE), "the pair at 0 s is left out"
    assert score.details["highest"] == pytest.approx(max(values[1:]), abs=TOLERANCE)
    assert score.details["seconds"] == 1.5


def test_the_metric_of_faces_is_the_packages_from_pictures_to_the_score(
    published: Any, backbone: Path, linear: Path
) -> None:
    name = "sha256:" + hash_file(backbone)
    metric = LpipsFace(fps=2, network=name)
    need, _ = metric.needs()
    extractor = LpipsFaces(**dict(need.extractor.params))
    extractor.setup(ExtractorContext("cpu", 16, {name: backbone, LINEAR_WEIGHT: linear}))
    boxes = np.array([[300.0, 100.0, 400.0, 200.0]]), np.array([[200.0, 120.0, 380.0, 300.0]])
    timelines = []
    for box in boxes:
        faces = FaceTimeline(5.0)
        for _ in range(8):
            faces.add_key(box, np.zeros((1, 5, 2)), np.array([0.99]))
        faces.close()
        timelines.append(faces)
    clip = ClipInfo(768, 480, 1.5)
    session = extractor.begin(clip, clip, ({"faces": timelines[0], **guide()}, {"faces": timelines[1], **guide()}))
    values = []
    for index in range(3):
        pictures = pair(index, 480, 768)
        candidate, reference = (GridFrame(Picture(p), index, Fraction(index, 2)) for p in pictures)
        session.push(candidate, reference)
        # 1.3 longer sides around (350, 150) and around (290, 210), by hand.
        cut = pictures[0][85:215, 285:415], pictures[1][93:327, 173:407]
        first, second = (
            np.asarray(Image.fromarray(square).resize((256, 256), Image.Resampling.BICUBIC)) for square in cut
        )
        values.append(expected(published, first, second))
    side = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
    sample = Sample(id="x", task="dialogue", language="en", initiator=side, responder=side)
    score = metric.score(sample, {"frames": session.finish(), "reference": Feature({}, {"frames": 3})})
    assert score.value == pytest.approx(np.mean(values[1:]), abs=TOLERANCE), "the pair at 0 s is left out"
    assert min(values) > 0.02
    assert score.details["frames"] + 1 == score.details["faces"] == score.details["reference_faces"] == 3


def test_the_package_carries_the_linear_layers_of_the_table(linear: Path) -> None:
    spec = SPECS[LINEAR_WEIGHT]
    assert (linear.stat().st_size, hash_file(linear)) == (spec.size, spec.sha256)


@pytest.mark.weights
def test_published_value_of_black_against_white(linear: Path, tmp_path: Path) -> None:
    found = WeightResolver(SPECS, cache=tmp_path).find("alexnet_imagenet1k_v1")
    if found is None:
        pytest.skip("alexnet-owt-7be5be79.pth is not in the weights mirror")
    distance = LpipsDistance(found.path, linear, "cpu")
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    assert distance(black, white) == pytest.approx(BLACK_AGAINST_WHITE, abs=1e-4)
