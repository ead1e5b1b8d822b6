"""Expression coefficients against independent code: alignment step by step, networks with the same weights.

Deep3DFaceRecon's network is put together here from torchvision's ResNet-50, 3DDFA_V2's from its description; the
reference alignment follows ``util/preprocess.py`` at commit 9167c71, the crop ``utils/functions.py`` at 1b6c676.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vidchatbench.api import ExtractorContext, Feature
from vidchatbench_metrics.emotion.alignment import STANDARD_FACE, align, pose_and_scale
from vidchatbench_metrics.emotion.deep3d import Deep3dCoefficients, ReconstructionNetwork
from vidchatbench_metrics.emotion.expression import LightExpressionFrechet, LightExpressionKernel
from vidchatbench_metrics.emotion.responder import ResponderExtractor
from vidchatbench_metrics.emotion.tddfa import TddfaCoefficients, TddfaNetwork, crop, mean_and_std
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.faces.tracks import FaceTracks

torch = pytest.importorskip("torch")
nn = torch.nn

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FACE = np.array([[-0.31, -0.29], [0.31, -0.29], [0.0, 0.05], [-0.25, 0.38], [0.25, 0.38]])
ANYONE = "sha256:" + "ab" * 32


class Still:
    """A frame of a clip at 5 frames a second."""

    def __init__(self, index: int, picture: np.ndarray) -> None:
        self.index, self.time, self.picture = index, index / 5, picture

    def rgb(self) -> np.ndarray:
        return self.picture

    def cover(self, height: int, width: int) -> np.ndarray:
        raise AssertionError

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> np.ndarray:
        raise AssertionError

    def fit(self, longest: int) -> tuple[np.ndarray, float]:
        factor = min(1.0, longest / max(self.picture.shape[:2]))
        size = tuple(round(side * factor) for side in self.picture.shape[1::-1])
        return np.asarray(Image.fromarray(self.picture).resize(size, Image.Resampling.BILINEAR)), factor


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the engine runs extractors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(seed: int, height: int = 180, width: int = 240) -> np.ndarray:
    """Coloured blobs: something for every scale."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 12, width // 12, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(smooth.astype(int) + rng.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def landmarks(seed: int, size: float, centre: tuple[float, float]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (FACE + rng.normal(0, 0.02, FACE.shape)) * size + centre


def seeded(network: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """A state dict whose normalisations do something, and whose activations neither vanish nor explode."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(shape: Sequence[int], low: float, high: float) -> torch.Tensor:
        return torch.rand(tuple(shape), generator=generator) * (high - low) + low

    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = value
        elif name.endswith("running_var"):
            state[name] = uniform(value.shape, 0.5, 1.5)
        elif value.dim() > 1:
            fan = value[0].numel()
            state[name] = torch.randn(tuple(value.shape), generator=generator) * (2 / fan) ** 0.5
        else:
            state[name] = uniform(value.shape, 0.5, 1.0) if "weight" in name else uniform(value.shape, -0.1, 0.1)
    return state


def faces_of(frames: int, boxes: np.ndarray, marks: np.ndarray) -> FaceTimeline:
    made = FaceTimeline(5)
    for _ in range(frames):
        made.add_key(boxes[None], marks[None], np.array([0.99]))
    made.close()
    return made


def ready(extractor: ResponderExtractor, path: Path, batch_size: int = 1) -> ResponderExtractor:
    extractor.setup(ExtractorContext("cpu", batch_size, {extractor.weights[0]: path}))
    return extractor


def run(extractor: ResponderExtractor, frames: Sequence[Still], faces: FaceTimeline) -> Feature:
    session = extractor.begin(None, {"faces": faces})  # type: ignore[arg-type]
    for frame in frames:
        session.push(frame)
    return session.finish()


# --- Deep3DFaceRecon ------------------------------------------------------------------------------------------------


def reference_fit(points: np.ndarray) -> tuple[float, float, float]:
    """Shift and scale from the normal equations of the 10 x 8 system, unknowns interleaved as in the original."""
    system = np.zeros((10, 8))
    for k, (x, y, z) in enumerate(STANDARD_FACE):
        system[2 * k] = [x, y, z, 1, 0, 0, 0, 0]
        system[2 * k + 1] = [0, 0, 0, 0, x, y, z, 1]
    k = np.linalg.lstsq(system, points.reshape(-1), rcond=None)[0]
    scale = (np.sqrt(k[0] ** 2 + k[1] ** 2 + k[2] ** 2) + np.sqrt(k[4] ** 2 + k[5] ** 2 + k[6] ** 2)) / 2
    return float(k[3]), float(k[7]), float(scale)


def reference_alignment(image: np.ndarray, marks: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    points = marks.astype(np.float32)
    points[:, 1] = height - 1 - points[:, 1]
    x, y, fitted = reference_fit(points)
    scale = np.float64(102.0) / fitted
    w, h = (width * scale).astype(np.int32), (height * scale).astype(np.int32)
    left = (w / 2 - 112 + (x - width / 2) * scale).astype(np.int32)
    up = (h / 2 - 112 + (height / 2 - y) * scale).astype(np.int32)
    large = np.asarray(Image.fromarray(image).resize((int(w), int(h)), resample=Image.Resampling.BICUBIC))
    out = np.zeros((224, 224, 3), np.uint8)
    for row in range(224):
        for column in range(224):
            if 0 <= row + up < h and 0 <= column + left < w:
                out[row, column] = large[row + up, column + left]
    return out


class TestDeep3dAlignment:
    @pytest.mark.parametrize(
        ("size", "centre"), [(40, (120, 90)), (90, (60.3, 44.7)), (25, (230, 170)), (150, (10, 5))]
    )
    def test_fit_and_picture_equal_the_reference(self, size, centre):
        image, marks = picture(size), landmarks(size, size, centre)
        points = marks.astype(np.float32)
        (x, y), scale = pose_and_scale(points)
        # Least squares of one and of two systems round differently in the last bits.
        assert (x, y, scale) == pytest.approx(reference_fit(points), rel=1e-9, abs=1e-9)
        found = align(image, marks)
        assert found is not None
        np.testing.assert_array_equal(found, reference_alignment(image, marks))

    def test_left_and_right_and_up_and_down_are_not_exchanged(self):
        image = np.zeros((300, 300, 3), np.uint8)
        marks = FACE * 80 + (150, 150)
        x, y = np.rint(marks[0]).astype(int)
        image[y - 3 : y + 4, x - 3 : x + 4] = 255
        found = align(image, marks)
        assert found is not None
        rows, columns = np.nonzero(found[..., 0] > 128)
        assert rows.mean() < 100
        assert columns.mean() < 100


class Torchvision(nn.Module):
    """The reference network: torchvision's ResNet-50 and seven 1 x 1 convolutions on its pooled map."""

    def __init__(self) -> None:
        super().__init__()
        import_torchvision()
        from torchvision.models import resnet50

        self.backbone = resnet50()
        self.backbone.fc = nn.Identity()
        widths = (80, 64, 80, 3, 27, 2, 1)
        self.final_layers = nn.ModuleList([nn.Conv2d(2048, width, kernel_size=1, bias=True) for width in widths])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net = self.backbone
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        x = net.avgpool(net.layer4(net.layer3(net.layer2(net.layer1(x)))))
        return torch.flatten(torch.cat([layer(x) for layer in self.final_layers], dim=1), 1)


@pytest.fixture(scope="module")
def resnet() -> Torchvision:
    network = Torchvision()
    network.load_state_dict(seeded(network, 0))
    return network.eval()


@pytest.fixture(scope="module")
def epoch_20(resnet, tmp_path_factory) -> Path:
    """As ``models/base_model.py`` saves it: beside the network lie the optimizer and the schedule."""
    path = tmp_path_factory.mktemp("deep3d") / "epoch_20.pth"
    extra = {"opt_00": {"state": {}, "param_groups": [{"lr": 1e-4}]}, "sched_00": {"last_epoch": 20}}
    torch.save({"net_recon": resnet.state_dict(), **extra}, path)
    return path


@pytest.fixture(scope="module")
def deep3d(epoch_20) -> ResponderExtractor:
    return ready(Deep3dCoefficients(network=ANYONE), epoch_20)


class TestDeep3dNetwork:
    def test_coefficients_equal_the_reference(self, resnet, epoch_20):
        network = ReconstructionNetwork(epoch_20, "cpu")
        face = align(picture(1), landmarks(1, 60, (110, 80)))
        assert face is not None
        tensor = torch.tensor(np.array(Image.fromarray(face)) / 255.0, dtype=torch.float32).permute(2, 0, 1)[None]
        assert torch.equal(network.prepare(face), tensor)
        with torch.inference_mode():
            expected = resnet(tensor)[0].numpy()
        found = network.coefficients(face)
        assert found.shape == (257,)
        # The same operations in the same order: rounding may differ between builds of torch, not more.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        assert np.abs(expected).max() > 0.1

    def test_feature_holds_expression_and_rotation(self, resnet, deep3d):
        box, marks = np.array([80.0, 40.0, 140.0, 120.0]), landmarks(1, 60, (110, 80))
        frames = [Still(k, picture(k)) for k in range(2)]
        feature = run(deep3d, frames, faces_of(2, box, marks))
        for k, frame in enumerate(frames):
            aligned = reference_alignment(frame.picture, marks)
            tensor = torch.tensor(aligned / 255.0, dtype=torch.float32).permute(2, 0, 1)[None]
            with torch.inference_mode():
                expected = resnet(tensor)[0].numpy()
            scale = np.abs(expected).max()
            np.testing.assert_allclose(feature["expression"][k], expected[80:144], rtol=0, atol=1e-5 * scale)
            np.testing.assert_allclose(feature["angle"][k], expected[224:227], rtol=0, atol=1e-5 * scale)
        assert (feature["expression"].shape, feature["angle"].shape) == ((2, 64), (2, 3))
        # Whatever was seen before, a frame has the same coefficients to the last bit.
        alone = run(deep3d, frames[1:], faces_of(2, box, marks))
        np.testing.assert_array_equal(alone["expression"][0], feature["expression"][1])

    def test_the_network_alone_as_safetensors_is_the_same(self, resnet, epoch_20, tmp_path):
        from safetensors.torch import save_file

        save_file({name: value.contiguous() for name, value in resnet.state_dict().items()}, tmp_path / "net")
        face = picture(4, 224, 224)
        one, two = (ReconstructionNetwork(path, "cpu") for path in (epoch_20, tmp_path / "net"))
        np.testing.assert_array_equal(one.coefficients(face), two.coefficients(face))

    def test_another_network_is_refused(self, tmp_path):
        torch.save({"net_recon": nn.Linear(2, 2).state_dict()}, tmp_path / "other.pth")
        with pytest.raises(ValueError, match="not of this network"):
            ReconstructionNetwork(tmp_path / "other.pth", "cpu")


# --- 3DDFA_V2 -------------------------------------------------------------------------------------------------------


class MobileNet(nn.Module):
    """MobileNet v1 (Howard et al. 2017, table 1) at half width; strides and widths as in the paper."""

    def __init__(self) -> None:
        super().__init__()

        def convolution(inside: int, outside: int, stride: int, groups: int = 1, side: int = 3) -> list[nn.Module]:
            layer = nn.Conv2d(inside, outside, side, stride, side // 2, groups=groups, bias=False)
            return [layer, nn.BatchNorm2d(outside), nn.ReLU()]

        plan = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)]
        plan += [(512, 512, 1)] * 5 + [(512, 1024, 2), (1024, 1024, 1)]
        layers = convolution(3, 16, 2)
        for inside, outside, stride in plan:
            layers += convolution(inside // 2, inside // 2, stride, groups=inside // 2)
            layers += convolution(inside // 2, outside // 2, 1, side=1)
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc_param = nn.Linear(512, 62)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.fc_param(self.layers(x))
        return result


def in_the_names_of_the_checkpoint(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Renames the reference's layers, in their order, to those of the published file."""
    blocks = ["dw2_1", "dw2_2", "dw3_1", "dw3_2", "dw4_1", "dw4_2", *[f"dw5_{k}" for k in range(1, 7)], "dw6"]
    names = ["conv1", "bn1"]
    for block in blocks:
        names += [f"{block}.conv_dw", f"{block}.bn_dw", f"{block}.conv_sep", f"{block}.bn_sep"]
    numbers = sorted({int(key.split(".")[1]) for key in state if key.startswith("layers.")})
    renamed = {f"layers.{number}": name for number, name in zip(numbers, names, strict=True)}
    found = {}
    for key, value in state.items():
        layer, _, what = key.rpartition(".")
        found[f"module.{renamed.get(layer, layer)}.{what}"] = value
    return found


def reference_crop(image: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """``parse_roi_box_from_bbox``, ``crop_img`` and the resize of ``TDDFA.__call__``, on a padded picture."""
    cv2 = pytest.importorskip("cv2")
    left, top, right, bottom = box
    old = (right - left + bottom - top) / 2
    x, y = right - (right - left) / 2.0, bottom - (bottom - top) / 2.0 + old * 0.14
    size = int(old * 1.58)
    start_x, start_y = x - size / 2, y - size / 2
    edges = [int(round(v)) for v in (start_x, start_y, start_x + size, start_y + size)]  # noqa: RUF046 - as upstream
    margin = 500
    bgr = np.pad(image[..., ::-1], ((margin, margin), (margin, margin), (0, 0)))
    cut = bgr[edges[1] + margin : edges[3] + margin, edges[0] + margin : edges[2] + margin]
    return np.asarray(cv2.resize(cut, dsize=(120, 120), interpolation=cv2.INTER_LINEAR))


BOXES = [
    [60.2, 30.7, 130.9, 120.4],
    [-20.0, -15.5, 60.0, 70.0],
    [180.0, 120.0, 260.0, 200.0],
    [100.0, 60.0, 140.0, 101.0],
]


@pytest.fixture(scope="module")
def mobilenet() -> MobileNet:
    network = MobileNet()
    network.load_state_dict(seeded(network, 2))
    return network.eval()


@pytest.fixture(scope="module")
def mb05(mobilenet, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tddfa") / "mb05.pth"
    landmark_head = {"module.fc_lm.weight": torch.zeros(136, 512), "module.fc_lm.bias": torch.zeros(136)}
    state = in_the_names_of_the_checkpoint(mobilenet.state_dict())
    torch.save({"epoch": 50, "state_dict": {**state, **landmark_head}}, path)
    return path


class TestTddfa:
    @pytest.mark.parametrize("box", BOXES)
    def test_crops_equal_the_reference(self, box):
        image = picture(7)
        found = crop(image, np.array(box))
        assert found is not None
        np.testing.assert_array_equal(found, reference_crop(image, box))

    def expected(self, reference: MobileNet, cut: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(cut.transpose(2, 0, 1).copy()).float().sub_(127.5).div_(128)[None]
        with torch.inference_mode():
            raw = reference(tensor).squeeze().numpy().astype(np.float32)
        mean, std = mean_and_std()
        return np.asarray(raw * std + mean)

    def test_parameters_equal_the_reference(self, mobilenet, mb05):
        network = TddfaNetwork(mb05, "cpu")
        cut = reference_crop(picture(8), BOXES[0])
        tensor = torch.from_numpy(cut.transpose(2, 0, 1).copy()).float().sub_(127.5).div_(128)[None]
        assert torch.equal(network.prepare(cut), tensor)
        expected = self.expected(mobilenet, cut)
        # Relative to each parameter's own deviation: their units differ by ten orders of magnitude.
        np.testing.assert_allclose((network.parameters(cut) - expected) / mean_and_std()[1], np.zeros(62), atol=1e-5)

    def test_feature_holds_the_last_ten(self, mobilenet, mb05):
        extractor = ready(TddfaCoefficients(network=ANYONE), mb05)
        frames = [Still(k, picture(k)) for k in range(3)]
        faces = faces_of(3, np.array(BOXES[0]), np.zeros((5, 2)))
        feature = run(extractor, frames, faces)
        for k, frame in enumerate(frames):
            expected = self.expected(mobilenet, reference_crop(frame.picture, BOXES[0]))[52:]
            np.testing.assert_allclose(feature["expression"][k], expected, rtol=0, atol=1e-5)
        alone = run(extractor, frames[2:], faces)
        np.testing.assert_array_equal(alone["expression"][0], feature["expression"][2])

    def test_another_network_is_refused(self, tmp_path):
        torch.save({"state_dict": {"module.conv1.weight": torch.zeros(16, 3, 3, 3)}}, tmp_path / "other.pth")
        with pytest.raises(ValueError, match="not of this network"):
            TddfaNetwork(tmp_path / "other.pth", "cpu")


def shared_frames(name: str, count: int) -> list[Still]:
    """The beginning of a shared clip, 5 frames a second."""
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the shared clip {name} is not beside the checkout")
    frames: list[Still] = []
    with av.open(str(path)) as container:
        for decoded in container.decode(video=0):
            if decoded.time is not None and decoded.time + 1e-6 >= len(frames) / 5:
                frames.append(Still(len(frames), decoded.to_ndarray(format="rgb24")))
            if len(frames) == count:
                break
    return frames


def detect(frames: Sequence[Still]) -> FaceTimeline:
    pytest.importorskip("facenet_pytorch")
    extractor = FaceTracks()
    extractor.setup(ExtractorContext("cpu", 1, {}))
    session = extractor.begin(None, {})  # type: ignore[arg-type]
    for frame in frames:
        session.push(frame)
    return FaceTimeline.from_feature(session.finish())


@pytest.fixture(scope="module")
def features() -> dict[str, Feature]:
    weights = SHARED / "weights" / "tddfa_mb05_120x120.pth"
    if not weights.is_file():
        pytest.skip("the shared weights are not beside the checkout")
    extractor = ready(TddfaCoefficients(), weights)
    found = {}
    for name in ("half_body1", "dialogue1_responder", "generated_pretrain1_initiator"):
        frames = shared_frames(f"mini/media/{name}.mp4", 8)
        found[name] = run(extractor, frames, detect(frames))
    return found


@pytest.mark.shared
class TestRealWeights:
    def test_every_frame_has_a_face_whose_expression_moves(self, features):
        for feature in features.values():
            assert feature["expression"].shape == (8, 10)
            assert feature["expression"].std(axis=0).max() > 0.1
        # Within the range of the training data: few deviations from its mean.
        mean, std = (values[52:] for values in mean_and_std())
        for feature in features.values():
            assert np.abs((feature["expression"] - mean) / std).max() < 6

    def test_distances_on_real_clips(self, features):
        rows = [feature["expression"] for feature in features.values()]
        others = [*rows[1:], rows[0] + np.float32(1.0)]
        everything = np.arange(3)
        frechet = LightExpressionFrechet()
        assert frechet.distance(rows, rows).between(everything, everything) == pytest.approx(0.0, abs=1e-8)
        assert frechet.distance(rows, others).between(everything, everything) > 0.1
        assert frechet.distance(rows[:1], rows[1:2]).between(np.arange(1), np.arange(1)) > 0.1
        kernel = LightExpressionKernel()
        far = kernel.distance(rows, [row + np.float32(1.0) for row in rows]).between(everything, everything)
        assert far > kernel.distance(rows, rows).between(everything, everything)
