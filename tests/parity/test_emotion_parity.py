"""Emotion networks against timm, against Keras and against a forward pass by hand; and files that must not run code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from vidchatbench.api import ExtractorContext, Feature
from vidchatbench_metrics.emotion.agreement import (
    LightAgreement,
    LightDistributionAgreement,
    jensen_shannon_distance,
)
from vidchatbench_metrics.emotion.concordance import concordance
from vidchatbench_metrics.emotion.fer import FerFrames, normalise
from vidchatbench_metrics.emotion.hsemotion import EmotionNetwork, HsemotionFrames
from vidchatbench_metrics.emotion.keras_network import KerasNetwork
from vidchatbench_metrics.emotion.networks import FER_CLASSES
from vidchatbench_metrics.emotion.responder import ResponderExtractor
from vidchatbench_metrics.emotion.whole_modules import load_parameters
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.faces.tracks import FaceTracks

torch = pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")

from seeded_weights import keras_layers, keras_weights, write_keras  # noqa: E402

nn = torch.nn

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
ANYONE = "sha256:" + "ab" * 32
BOX = [40.7, 20.2, 130.9, 140.6]

readable = pytest.mark.skipif(
    not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"),
    reason="this torch cannot list what a file names",
)


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


def picture(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 10, width // 10, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(smooth.astype(int) + rng.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def faces_of(frames: int, box: Sequence[float] = BOX) -> FaceTimeline:
    made = FaceTimeline(5)
    for _ in range(frames):
        made.add_key(np.array([box]), np.zeros((1, 5, 2)), np.array([0.99]))
    made.close()
    return made


def ready(extractor: ResponderExtractor, path: Path) -> ResponderExtractor:
    extractor.setup(ExtractorContext("cpu", 1, {extractor.weights[0]: path}))
    return extractor


def run(extractor: ResponderExtractor, frames: Sequence[Still], faces: FaceTimeline) -> Feature:
    session = extractor.begin(None, {"faces": faces})  # type: ignore[arg-type]
    for frame in frames:
        session.push(frame)
    return session.finish()


# --- EmotiEffLib ----------------------------------------------------------------------------------------------------


def timm_network(outputs: int, name: str = "tf_efficientnet_b0.ns_jft_in1k", *, boxed: bool = True) -> nn.Module:
    """A seeded network as EmotiEffLib's training leaves it: the last layer may lie in a container of one."""
    import_torchvision()
    timm = pytest.importorskip("timm")
    torch.manual_seed(outputs)
    network = timm.create_model(name, pretrained=False, num_classes=outputs)
    generator = torch.Generator().manual_seed(1)
    for key, value in network.state_dict().items():
        if key.endswith(("running_mean", "bias")):
            value.copy_(torch.rand(value.shape, generator=generator) * 0.4 - 0.2)
        elif key.endswith("running_var"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    if boxed:
        network.classifier = nn.Sequential(network.classifier)
    return network.eval()


@pytest.fixture(scope="module")
def vgaf() -> nn.Module:
    return timm_network(8)


@pytest.fixture(scope="module")
def vgaf_file(vgaf, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("hsemotion") / "enet_b0_8_best_vgaf.pt"
    torch.save(vgaf, path)
    return path


class Payload:
    """Runs a command when it is unpickled; the command leaves a file behind."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


@readable
class TestWholeModules:
    def test_a_pickled_network_is_read_back_completely(self, vgaf, vgaf_file):
        with pytest.raises(Exception, match="timm"):
            torch.load(vgaf_file, weights_only=True)
        found = load_parameters(vgaf_file)
        expected = vgaf.state_dict()
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], value) for name, value in expected.items())
        assert all(found[name].dtype == value.dtype for name, value in expected.items())

    def test_buffers_that_are_not_saved_are_left_out(self, tmp_path):
        network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        network.register_buffer("kept", torch.ones(1))
        network.register_buffer("transient", torch.ones(1), persistent=False)
        torch.save(network, tmp_path / "net.pt")
        assert set(load_parameters(tmp_path / "net.pt")) == set(network.state_dict())
        assert "kept" in network.state_dict()

    def test_what_was_trusted_for_one_file_is_not_trusted_after_it(self, vgaf_file):
        before = set(torch.serialization.get_safe_globals())
        load_parameters(vgaf_file)
        assert set(torch.serialization.get_safe_globals()) == before
        with pytest.raises(Exception, match="timm"):
            torch.load(vgaf_file, weights_only=True)

    @pytest.mark.parametrize("hidden", [False, True])
    def test_a_system_call_does_not_run_and_is_named(self, hidden, tmp_path):
        witness = tmp_path / "witness"
        payload: Any = Payload(os.system, f"touch {witness}")
        if hidden:
            network = nn.Linear(2, 2)
            network.extra = payload  # type: ignore[assignment]
            payload = network
        torch.save(payload, tmp_path / "bad.pt")
        with pytest.raises(ValueError, match=r"bad\.pt names (posix|nt)\.system, which no network needs"):
            load_parameters(tmp_path / "bad.pt")
        assert not witness.exists()

    @pytest.mark.parametrize("function", [exec, eval, getattr, __import__, open])
    def test_a_builtin_does_not_run_either(self, function, tmp_path):
        witness = tmp_path / "witness"
        arguments = {exec: (f"open({str(witness)!r}, 'w').close()",), open: (str(witness), "w")}
        torch.save(Payload(function, *arguments.get(function, ("1",))), tmp_path / "bad.pt")
        with pytest.raises(ValueError, match=r"holds no network|which no network needs"):
            load_parameters(tmp_path / "bad.pt")
        assert not witness.exists()

    def test_the_payload_would_have_run(self, tmp_path):
        witness = tmp_path / "witness"
        torch.save(Payload(exec, f"open({str(witness)!r}, 'w').close()"), tmp_path / "bad.pt")
        torch.load(tmp_path / "bad.pt", weights_only=False)
        assert witness.exists()

    def test_a_network_that_contains_itself_ends(self, tmp_path):
        network = nn.Sequential(nn.Linear(2, 2))
        network._modules["again"] = network
        torch.save(network, tmp_path / "loop.pt")
        assert "0.weight" in load_parameters(tmp_path / "loop.pt")

    def test_plain_state_dicts_are_read_as_well(self, vgaf, tmp_path):
        from safetensors.torch import save_file

        state = {name: value.contiguous() for name, value in vgaf.state_dict().items()}
        torch.save(state, tmp_path / "state.pt")
        torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        save_file(state, tmp_path / "state.safetensors")
        for name in ("state.pt", "old.pt", "state.safetensors"):
            found = load_parameters(tmp_path / name)
            assert all(torch.equal(found[key], value) for key, value in state.items())


class TestHsemotion:
    @pytest.mark.parametrize(
        ("outputs", "name", "size", "boxed"),
        [
            (8, "tf_efficientnet_b0.ns_jft_in1k", 224, True),
            (10, "tf_efficientnet_b0.ns_jft_in1k", 224, False),
            (8, "tf_efficientnet_b2.ns_jft_in1k", 260, True),
        ],
    )
    def test_input_and_outputs_equal_timm_and_torchvision(self, outputs, name, size, boxed, tmp_path):
        reference = timm_network(outputs, name, boxed=boxed)
        torch.save(reference.state_dict(), tmp_path / "net.pt")
        network = EmotionNetwork(tmp_path / "net.pt", "cpu")
        from torchvision import transforms

        face = picture(outputs, 93, 71)
        steps = [transforms.Resize((size, size)), transforms.ToTensor()]
        steps.append(transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]))
        tensor = transforms.Compose(steps)(Image.fromarray(face))[None]
        # One rounding of float32 at values up to 2.7.
        torch.testing.assert_close(network.prepare(face), tensor, rtol=0, atol=5e-7)
        with torch.inference_mode():
            expected = reference(tensor)[0].numpy()
        found = network.outputs(face)
        np.testing.assert_allclose(found[:outputs], expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))
        assert np.isnan(found[outputs:]).all()
        assert np.ptp(expected) > 1e-3

    @readable
    def test_feature_of_a_published_file(self, vgaf, vgaf_file):
        frames = [Still(k, picture(k)) for k in range(3)]
        extractor = ready(HsemotionFrames(network=ANYONE), vgaf_file)
        feature = run(extractor, frames, faces_of(3))
        reference = EmotionNetwork(vgaf_file, "cpu")
        for k, frame in enumerate(frames):
            face = frame.picture[20:140, 40:130]
            with torch.inference_mode():
                logits = vgaf(reference.prepare(face))[0]
            np.testing.assert_allclose(feature["probability"][k], logits.softmax(0).numpy(), rtol=0, atol=1e-6)
        assert (len(feature["valence"]), len(feature["arousal"])) == (0, 0)
        alone = run(extractor, frames[2:], faces_of(3))
        np.testing.assert_array_equal(alone["probability"][0], feature["probability"][2])

    def test_valence_and_arousal_are_the_last_two_and_no_emotions(self, tmp_path):
        reference = timm_network(10)
        torch.save(reference.state_dict(), tmp_path / "va.pt")
        feature = run(ready(HsemotionFrames(network=ANYONE), tmp_path / "va.pt"), [Still(0, picture(5))], faces_of(1))
        face = EmotionNetwork(tmp_path / "va.pt", "cpu").prepare(picture(5)[20:140, 40:130])
        with torch.inference_mode():
            raw = reference(face)[0]
        assert feature["probability"].shape == (1, 8)
        np.testing.assert_allclose(feature["probability"][0], raw[:8].softmax(0).numpy(), rtol=0, atol=1e-6)
        assert float(feature["valence"][0]) == pytest.approx(float(raw[8]), abs=1e-5)
        assert float(feature["arousal"][0]) == pytest.approx(float(raw[9]), abs=1e-5)

    def test_other_networks_are_refused(self, tmp_path):
        torch.save(timm_network(7).state_dict(), tmp_path / "seven.pt")
        torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pt")
        for name in ("seven.pt", "linear.pt"):
            with pytest.raises(ValueError, match="no EfficientNet B0 or B2 with 8 or 10 outputs"):
                EmotionNetwork(tmp_path / name, "cpu")


# --- mini-Xception --------------------------------------------------------------------------------------------------


class ByHand:
    """mini-Xception (``src/models/cnn.py``) in numpy and float64, channels last, loops of its own."""

    def __init__(self, weights: dict[str, dict[str, np.ndarray]]) -> None:
        self.weights = weights
        self.norms = iter(range(1, 15))

    def pad(self, x: np.ndarray, stride: int, value: float) -> np.ndarray:
        """TensorFlow's ``same`` for a window of 3."""
        pads = []
        for size in x.shape[:2]:
            total = max((int(np.ceil(size / stride)) - 1) * stride + 3 - size, 0)
            pads.append((total // 2, total - total // 2))
        return np.pad(x, (*pads, (0, 0)), constant_values=value)

    def conv(self, x: np.ndarray, name: str) -> np.ndarray:
        windows = sliding_window_view(x, (3, 3), axis=(0, 1))
        return np.einsum("hwcij,ijco->hwo", windows, self.weights[name]["kernel"])

    def norm(self, x: np.ndarray, number: int) -> np.ndarray:
        w = self.weights[f"batch_normalization_{number}"]
        return (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w["gamma"] + w["beta"]

    def separable(self, x: np.ndarray, number: int) -> np.ndarray:
        w = self.weights[f"separable_conv2d_{number}"]
        windows = sliding_window_view(self.pad(x, 1, 0.0), (3, 3), axis=(0, 1))
        deep = np.einsum("hwcij,ijc->hwc", windows, w["depthwise_kernel"][..., 0])
        return deep @ w["pointwise_kernel"][0, 0]

    def pool(self, x: np.ndarray) -> np.ndarray:
        windows = sliding_window_view(self.pad(x, 2, -np.inf), (3, 3), axis=(0, 1))[::2, ::2]
        return np.asarray(windows.max(axis=(-2, -1)))

    def module(self, x: np.ndarray, number: int) -> np.ndarray:
        """A module: two separable convolutions beside a strided 1 x 1; norms are numbered 3k, 3k+1, 3k+2."""
        side = x[::2, ::2] @ self.weights[f"conv2d_{number + 2}"]["kernel"][0, 0]
        side = self.norm(side, 3 * number)
        x = np.maximum(self.norm(self.separable(x, 2 * number - 1), 3 * number + 1), 0)
        x = self.norm(self.separable(x, 2 * number), 3 * number + 2)
        return self.pool(x) + side

    def __call__(self, grey: np.ndarray) -> np.ndarray:
        x = grey.astype(np.float64)[:, :, None] / 127.5 - 1
        x = np.maximum(self.norm(self.conv(x, "conv2d_1"), 1), 0)
        x = np.maximum(self.norm(self.conv(x, "conv2d_2"), 2), 0)
        for number in range(1, 5):
            x = self.module(x, number)
        logits = (self.conv(self.pad(x, 1, 0.0), "conv2d_7") + self.weights["conv2d_7"]["bias"]).mean(axis=(0, 1))
        powers = np.exp(logits - logits.max())
        return np.asarray(powers / powers.sum())


@pytest.fixture(scope="module")
def seeded_fer(tmp_path_factory) -> Path:
    return write_keras(tmp_path_factory.mktemp("fer") / "seeded.hdf5", keras_layers(), keras_weights(0))


def greys() -> np.ndarray:
    """Four pictures out of whole numbers alone, so that they are the same everywhere."""
    rows, columns = np.mgrid[0:64, 0:64]
    made = [rows * (k + 2) % 97 + columns * columns // (k + 3) % 113 + rows * columns // 7 % (41 + k) for k in range(4)]
    return np.stack(made).astype(np.uint8)


KERAS = np.array(
    [
        [0.11643619, 3.670216e-05, 0.64202595, 0.009901139, 0.14986454, 0.009833063, 0.071902357],
        [0.016895007, 0.0051024281, 0.66639477, 0.0023019926, 0.28721628, 0.0042213649, 0.017868193],
        [0.31680122, 0.0004970468, 0.46242064, 0.025869697, 0.13462175, 0.0072574103, 0.052532211],
        [0.11792056, 0.011420299, 0.07110741, 0.27858075, 0.42373574, 0.019950636, 0.077284686],
    ]
)
"""``model.predict`` on :func:`greys` by tf_keras 2.18.0 with TensorFlow 2.18.1, the published file."""


class TestMiniXception:
    def test_equals_the_forward_pass_by_hand(self, seeded_fer):
        network, reference = KerasNetwork(seeded_fer, "cpu"), ByHand(keras_weights(0))
        found = np.stack([network.run(normalise(grey)) for grey in greys()])
        # float32 against float64 through 14 layers.
        np.testing.assert_allclose(found, np.stack([reference(grey) for grey in greys()]), rtol=0, atol=2e-5)
        assert np.ptp(found, axis=0).max() > 0.01
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=0, atol=1e-6)

    @pytest.mark.shared
    def test_equals_keras_on_the_published_file(self):
        path = shared_weights()
        network = KerasNetwork(path, "cpu")
        found = np.stack([network.run(normalise(grey)) for grey in greys()])
        np.testing.assert_allclose(found, KERAS, rtol=0, atol=2e-6)
        with h5py.File(path, "r") as file:
            weights = {}
            for name, group in file["model_weights"].items():
                parts = [part.decode() for part in group.attrs["weight_names"]]
                weights[name] = {part.split("/")[1].split(":")[0]: np.asarray(group[part]) for part in parts}
        by_hand = ByHand(weights)
        np.testing.assert_allclose(np.stack([by_hand(grey) for grey in greys()]), KERAS, rtol=0, atol=2e-6)

    def test_feature_is_the_network_on_the_squares(self, seeded_fer):
        frames = [Still(k, picture(k)) for k in range(3)]
        extractor = ready(FerFrames(network=ANYONE), seeded_fer)
        feature = run(extractor, frames, faces_of(3))
        reference = ByHand(keras_weights(0))
        # The box is 90.2 x 120.4 around (85.8, 80.4): a square of 120 from (26, 20).
        for k, frame in enumerate(frames):
            square = (
                Image.fromarray(frame.picture[20:140, 26:146]).convert("L").resize((64, 64), Image.Resampling.BILINEAR)
            )
            np.testing.assert_allclose(feature["probability"][k], reference(np.asarray(square)), rtol=0, atol=2e-5)
        alone = run(extractor, frames[2:], faces_of(3))
        np.testing.assert_array_equal(alone["probability"][0], feature["probability"][2])

    @pytest.mark.parametrize(
        ("layer", "changes", "message"),
        [
            ("conv2d_1", {"dilation_rate": [2, 2]}, "dilation_rate"),
            ("conv2d_1", {"activation": "relu"}, "activation"),
            ("activation_1", {"activation": "tanh"}, "tanh"),
            ("max_pooling2d_1", {"data_format": "channels_first"}, "data_format"),
        ],
    )
    def test_what_is_not_implemented_is_refused(self, layer, changes, message, tmp_path):
        layers = keras_layers()
        next(found for found in layers if found["name"] == layer)["config"].update(changes)
        with pytest.raises(ValueError, match=message):
            KerasNetwork(write_keras(tmp_path / "net.hdf5", layers, keras_weights(0)), "cpu")

    def test_files_of_another_kind_are_refused(self, tmp_path):
        (tmp_path / "text").write_text("no network", encoding="utf-8")
        with pytest.raises(ValueError, match="no HDF5"):
            KerasNetwork(tmp_path / "text", "cpu")
        with h5py.File(tmp_path / "empty.hdf5", "w"):
            pass
        with pytest.raises(ValueError, match="no whole Keras model"):
            KerasNetwork(tmp_path / "empty.hdf5", "cpu")


# --- comparisons ----------------------------------------------------------------------------------------------------


def test_jensen_shannon_distance_equals_scipy():
    distance = pytest.importorskip("scipy.spatial.distance")
    one, two = np.random.default_rng(0).dirichlet(np.full(8, 0.3), (2, 200))
    expected = [distance.jensenshannon(p, q, base=2) for p, q in zip(one, two, strict=True)]
    np.testing.assert_allclose(jensen_shannon_distance(one, two), expected, rtol=0, atol=1e-12)


def test_concordance_equals_its_definition_by_moments():
    for seed in range(20):
        one, two = np.random.default_rng(seed).normal(size=(2, 40))
        two = 0.5 * one + 0.3 * two + 0.2
        moments = np.cov(one, two, ddof=0)
        spread = moments[0, 0] + moments[1, 1] + (one.mean() - two.mean()) ** 2
        assert concordance(one, two) == pytest.approx(2 * moments[0, 1] / spread, abs=1e-12)
        # Lin's other form: correlation times a factor of bias.
        scale = (moments[0, 0] / moments[1, 1]) ** 0.5
        shift = (one.mean() - two.mean()) ** 2 / (moments[0, 0] * moments[1, 1]) ** 0.5
        bias = 2 / (scale + 1 / scale + shift)
        assert concordance(one, two) == pytest.approx(np.corrcoef(one, two)[0, 1] * bias, abs=1e-12)


# --- real clips -----------------------------------------------------------------------------------------------------


def shared_weights() -> Path:
    path = SHARED / "weights" / "fer2013_mini_xception.hdf5"
    if not path.is_file():
        pytest.skip("the shared weights are not beside the checkout")
    return path


def shared_frames(name: str, count: int) -> list[Still]:
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
def real_emotions() -> dict[str, Feature]:
    extractor = ready(FerFrames(), shared_weights())
    found = {}
    for name in ("full_body1", "generated_finetune1_initiator", "dialogue1_responder"):
        frames = shared_frames(f"mini/media/{name}.mp4", 8)
        found[name] = run(extractor, frames, detect(frames))
    return found


@pytest.mark.shared
class TestRealClips:
    def test_a_smile_is_happy_and_a_calm_face_neutral(self, real_emotions):
        labels = {
            name: FER_CLASSES[feature["probability"].mean(axis=0).argmax()] for name, feature in real_emotions.items()
        }
        assert labels == {
            "full_body1": "happiness",
            "generated_finetune1_initiator": "neutral",
            "dialogue1_responder": "neutral",
        }

    def test_the_same_clip_agrees_more_than_another(self, real_emotions):
        happy, calm, calm_too = real_emotions.values()
        for metric in (LightAgreement(), LightDistributionAgreement()):

            def score(one: Feature, two: Feature, metric: Any = metric) -> float:
                value = metric.score(None, {"candidate": one, "reference": two}).value
                assert value is not None
                return float(value)

            assert score(calm, calm) == 1.0
            assert 1.0 > score(calm, calm_too) > score(calm, happy) > 0.0
