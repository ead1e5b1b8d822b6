"""The speaker network of SIM-o against Microsoft's own code, through seeded weights and recorded numbers.

The reference does not install from the package index in a form that a test could lean on, so its numbers were recorded
once and stand here: WavLM and the hooks that collect its hidden states as s3prl 0.4.18 carries them
(``upstream/wavlm``), under UniSpeech's ``ECAPA_TDNN_SMALL`` as f5-tts 1.1.22 carries it (``eval/ecapa_tdnn.py``), in
torch 2.15 on a CPU with one thread. The weights need no file: each tensor is drawn from its own name and shape, see
``tests/seeded_weights.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from vidchatbench.api import Audio, ExtractorContext, Feature
from vidchatbench_metrics.voice import front_end
from vidchatbench_metrics.voice.front_end import frame_count
from vidchatbench_metrics.voice.sim_o import WavlmSpeakerEmbedding

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from seeded_weights import (  # noqa: E402
    LARGE_WAVLM,
    SMALL_WAVLM,
    backbone_shapes,
    ecapa_shapes,
    recorded_parameter,
    wavlm_sv_checkpoint,
    wavlm_sv_writer,
)

from vidchatbench_metrics.voice.wavlm_network import SpeakerHead, SpeakerNetwork, head_state  # noqa: E402


def sound(seconds: float) -> np.ndarray:
    """Gliding harmonics under a slow swell with a little noise, off centre, so that normalisation matters."""
    time = np.arange(round(seconds * 16000)) / 16000
    pitch = 2 * np.pi * (140 * time + 25 * time**2)
    wave = sum(np.sin(k * pitch + k) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3.1 * time))
    noise = np.random.RandomState(0).standard_normal(len(time))
    return (0.08 * wave + 0.004 * noise + 0.01).astype(np.float32)


class Recorded(NamedTuple):
    """What the reference made of ``sound(seconds)``.

    ``hidden`` has, for some of the hidden states, channel 1 of the first frame, channel 2 of the last, and the mean of
    all absolute values; ``embedding`` is every 32nd number.
    """

    seconds: float
    frames: int
    hidden: dict[int, tuple[float, float, float]]
    embedding: tuple[float, ...]
    norm: float


# 149 frames, so that the distances beyond 80, which share buckets, have their say; and the fewest that are possible.
RECORDED_SMALL = (
    Recorded(
        seconds=3.0,
        frames=149,
        hidden={
            0: (-2.16321, 2.681408, 1.154671),
            1: (-4.310859, 3.288339, 1.420458),
            2: (-5.004781, 1.784201, 1.66421),
            3: (-2.592264, 0.2110446, 0.8208587),
        },
        embedding=(0.6163895, -0.4609668, 0.4575741, 1.10566, 0.9855595, 0.01970002, 1.034974, 0.243033),
        norm=11.20695,
    ),
    Recorded(
        seconds=0.045,
        frames=2,
        hidden={
            0: (-1.264561, 1.092679, 0.9313348),
            1: (-3.875397, 2.558396, 1.449127),
            2: (-5.56743, 1.10095, 1.617625),
            3: (-2.909857, -0.3384735, 0.7826251),
        },
        embedding=(0.3043495, -0.8254823, 0.3357032, 1.319843, 0.8069138, -0.1261801, 0.7796071, 0.2372389),
        norm=8.263986,
    ),
)
RECORDED_LARGE = Recorded(
    seconds=2.0,
    frames=99,
    hidden={
        0: (0.6194113, 0.1983097, 0.8372481),
        1: (0.941815, -1.000709, 1.288124),
        12: (5.883365, 3.076125, 3.533634),
        23: (1.994592, 7.121277, 4.886288),
        24: (-0.407214, 0.6719154, 0.8193249),
    },
    embedding=(0.6034342, -0.4755262, 0.470501, 1.014685, 0.9636869, -0.04368183, 1.116644, 0.2281952),
    norm=11.22591,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the engine runs extractors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    wavlm_sv_writer(SMALL_WAVLM)(path)
    return path


@pytest.fixture(scope="module")
def small(small_file) -> SpeakerNetwork:
    return SpeakerNetwork(small_file, "cpu", official=False)


@pytest.fixture(scope="module")
def extractor(small_file) -> WavlmSpeakerEmbedding:
    """The way a network named by its hash goes through the harness."""
    name = f"sha256:{hashlib.sha256(small_file.read_bytes()).hexdigest()}"
    made = WavlmSpeakerEmbedding(network=name)
    assert made.weights == (name,)
    made.setup(ExtractorContext("cpu", 16, {name: small_file}))
    return made


def run(extractor: WavlmSpeakerEmbedding, samples: np.ndarray) -> Feature:
    return extractor.extract(Audio(samples), {})


def assert_as_recorded(network: SpeakerNetwork, recorded: Recorded, states: int) -> None:
    """Ten times what was seen to differ between the two implementations, for other processors' and releases' sums."""
    with torch.inference_mode():
        hidden = [state.numpy() for state in network.hidden_states(torch.from_numpy(sound(recorded.seconds)))]
    assert [state.shape for state in hidden] == [(recorded.frames, hidden[0].shape[1])] * states
    for index, (first, last, size) in recorded.hidden.items():
        found = (hidden[index][0, 1], hidden[index][-1, 2], np.abs(hidden[index]).mean())
        assert found == pytest.approx((first, last, size), abs=1e-4), index
    embedding = network.embed(sound(recorded.seconds))
    assert embedding.shape == (256,)
    np.testing.assert_allclose(embedding[::32], recorded.embedding, rtol=0, atol=5e-5)
    assert np.linalg.norm(embedding) == pytest.approx(recorded.norm, abs=2e-4)


class TestRecordedNumbers:
    @pytest.mark.parametrize("recorded", RECORDED_SMALL, ids=lambda recorded: f"{recorded.frames} frames")
    def test_small_network(self, small, recorded):
        assert_as_recorded(small, recorded, states=4)

    @pytest.mark.slow
    def test_network_of_the_true_size(self, tmp_path):
        torch.save({"model": wavlm_sv_checkpoint(LARGE_WAVLM)}, tmp_path / "large.pth")
        assert_as_recorded(SpeakerNetwork(tmp_path / "large.pth", "cpu", official=True), RECORDED_LARGE, states=25)

    def test_names_are_as_many_as_in_the_published_file(self):
        """Its mirrors count 711 tensors, 488 of them in the backbone."""
        backbone, head = backbone_shapes(LARGE_WAVLM), ecapa_shapes(LARGE_WAVLM)
        assert len(backbone) == 488
        assert len(backbone) + len(head) + len(["loss_calculator.projection.weight"]) == 711


class Head:
    """The head once more, in numpy and double precision, from its description."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.state = {name: value.numpy().astype(np.float64) for name, value in state.items()}

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.state[f"{name}.weight"] @ x + self.state[f"{name}.bias"]

    def conv(self, name: str, x: np.ndarray, dilation: int = 1) -> np.ndarray:
        weight = self.state[f"{name}.weight"]
        kernel, frames = weight.shape[2], x.shape[1]
        reach = dilation * (kernel - 1) // 2
        padded = np.pad(x, ((0, 0), (reach, reach)))
        taps = [weight[:, :, k] @ padded[:, k * dilation : k * dilation + frames] for k in range(kernel)]
        return sum(taps) + self.state[f"{name}.bias"][:, None]

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        weight, bias, mean, variance = (
            self.state[f"{name}.{kind}"].reshape(-1, *[1] * (x.ndim - 1))
            for kind in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def conv_relu_norm(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.norm(f"{name}.bn", self.conv(f"{name}.conv", x).clip(0))

    def block(self, name: str, x: np.ndarray, dilation: int) -> np.ndarray:
        parts = np.split(self.conv_relu_norm(f"{name}.Conv1dReluBn1", x), 8)
        for index in range(7):
            into = parts[index] + parts[index - 1] if index else parts[index]
            scale = f"{name}.Res2Conv1dReluBn"
            convolved = self.conv(f"{scale}.convs.{index}", into, dilation).clip(0)
            parts[index] = self.norm(f"{scale}.bns.{index}", convolved)
        after = self.conv_relu_norm(f"{name}.Conv1dReluBn2", np.concatenate(parts))
        squeezed = self.linear(f"{name}.SE_Connect.linear1", after.mean(axis=1)).clip(0)
        gate = 1 / (1 + np.exp(-self.linear(f"{name}.SE_Connect.linear2", squeezed)))
        return x + after * gate[:, None]

    def embed(self, hidden_states: np.ndarray) -> np.ndarray:
        raw = np.exp(self.state["feature_weight"])
        x = np.tensordot(raw / raw.sum(), hidden_states, 1).T + 1e-6
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        outputs = [self.conv_relu_norm("layer1", x)]
        for index, dilation in ((2, 2), (3, 3), (4, 4)):
            outputs.append(self.block(f"layer{index}", outputs[-1], dilation))
        x = self.conv("conv", np.concatenate(outputs[1:])).clip(0)
        logits = self.conv("pooling.linear2", np.tanh(self.conv("pooling.linear1", x)))
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (weights * x).sum(axis=1)
        deviation = np.sqrt(((weights * x**2).sum(axis=1) - mean**2).clip(1e-9))
        return self.linear("linear", self.norm("bn", np.concatenate([mean, deviation])))


class TestHead:
    @pytest.mark.parametrize("frames", [2, 23])
    def test_equals_its_description(self, frames):
        state = {name: recorded_parameter(name, shape) for name, shape in ecapa_shapes(SMALL_WAVLM).items()}
        head = SpeakerHead(SMALL_WAVLM.hidden, SMALL_WAVLM.layers + 1).eval()
        head.load_state_dict(head_state(state))
        hidden = (
            np.random.RandomState(1)
            .standard_normal((SMALL_WAVLM.layers + 1, frames, SMALL_WAVLM.hidden))
            .astype(np.float32)
        )
        with torch.inference_mode():
            embedding = head(list(torch.from_numpy(hidden))).numpy()
        # Single against double precision: 2e-6 was seen, on numbers around 1.
        np.testing.assert_allclose(embedding, Head(state).embed(hidden.astype(np.float64)), rtol=0, atol=5e-5)


class TestExtractor:
    def test_embedding_of_the_network(self, extractor, small):
        feature = run(extractor, sound(1.0))
        np.testing.assert_array_equal(feature["embedding"], small.embed(sound(1.0)))
        assert feature["embedding"].dtype == np.float32
        assert feature.meta == {"frames": 49, "seconds": 1.0}

    def test_bit_equal_in_any_order(self, extractor):
        first, second = sound(1.0), sound(1.3)[::-1].copy()
        forth = [run(extractor, samples)["embedding"] for samples in (first, second)]
        back = [run(extractor, samples)["embedding"] for samples in (second, first)]
        np.testing.assert_array_equal(forth, back[::-1])
        assert np.abs(forth[0] - forth[1]).max() > 1e-3

    def test_level_and_offset_do_not_matter(self, extractor):
        """The waveform is normalised; without that the embedding would move by more than 0.1."""
        plain, changed = (run(extractor, samples)["embedding"] for samples in (sound(1.0), 4 * sound(1.0) + 0.5))
        np.testing.assert_allclose(changed, plain, rtol=0, atol=2e-3)

    @pytest.mark.parametrize("samples", [0, 1, 399, 400, 719])
    def test_too_short_for_two_frames(self, extractor, samples):
        feature = run(extractor, sound(1.0)[:samples])
        assert feature["embedding"].shape == (0,)
        assert feature.meta == {"frames": int(samples >= 400), "seconds": samples / 16000}

    @pytest.mark.parametrize("samples", [720, 16000])
    def test_silence_gives_finite_numbers(self, extractor, samples):
        assert np.isfinite(run(extractor, np.zeros(samples, np.float32))["embedding"]).all()

    @pytest.mark.parametrize("samples", [720, 1039, 1040, 15999, 16000])
    def test_frames_are_counted_as_the_network_makes_them(self, small, samples):
        with torch.inference_mode():
            states = small.hidden_states(torch.zeros(samples))
        assert {len(state) for state in states} == {frame_count(samples)}

    def test_only_the_beginning_is_heard(self, extractor, monkeypatch):
        monkeypatch.setattr(front_end, "MAX_SECONDS", 1)
        feature = run(extractor, sound(2.5))
        assert feature.number("seconds") == 1.0
        np.testing.assert_array_equal(feature["embedding"], run(extractor, sound(2.5)[:16000])["embedding"])

    def test_set_up_comes_first(self, extractor, small_file):
        with pytest.raises(RuntimeError, match="setup"):
            run(WavlmSpeakerEmbedding(), sound(1.0))
        other = WavlmSpeakerEmbedding(**extractor.params)
        other.setup(ExtractorContext("cpu", 1, dict.fromkeys(other.weights, small_file)))
        other.release()
        with pytest.raises(RuntimeError, match="setup"):
            run(other, sound(1.0))


class TestLoading:
    def load(self, folder: Path, content: object, official: bool = False) -> SpeakerNetwork:
        torch.save(content, folder / "weights.pth")
        return SpeakerNetwork(folder / "weights.pth", "cpu", official=official)

    @pytest.mark.parametrize(
        "name",
        [
            "feature_extract.model.encoder.layers.1.self_attn.grep_a",
            "feature_extract.model.encoder.layers.0.self_attn.relative_attention_bias.weight",
            "feature_extract.model.encoder.pos_conv.0.weight_v",
            "feature_extract.model.encoder.pos_conv.0.weight_g",
            "feature_extract.model.layer_norm.bias",
            "layer3.SE_Connect.linear2.bias",
            "feature_weight",
        ],
    )
    def test_nothing_may_be_missing(self, tmp_path, name):
        state = wavlm_sv_checkpoint(SMALL_WAVLM)
        del state[name]
        with pytest.raises(ValueError, match=r"not of this network: .*missing"):
            self.load(tmp_path, {"model": state})

    @pytest.mark.parametrize("name", ["feature_extract.model.quantizer.vars", "layer5.conv.weight"])
    def test_nothing_may_be_unknown(self, tmp_path, name):
        state = {**wavlm_sv_checkpoint(SMALL_WAVLM), name: torch.zeros(3)}
        with pytest.raises(ValueError, match=r"not of this network: .*unknown"):
            self.load(tmp_path, {"model": state})

    def test_a_bare_state_is_not_the_file(self, tmp_path):
        with pytest.raises(ValueError, match="'model' is missing"):
            self.load(tmp_path, wavlm_sv_checkpoint(SMALL_WAVLM))

    def test_the_official_network_has_its_size(self, tmp_path):
        with pytest.raises(ValueError, match=r"another size.*hidden=64.*expected.*hidden=1024"):
            self.load(tmp_path, {"model": wavlm_sv_checkpoint(SMALL_WAVLM)}, official=True)

    def test_what_only_training_needs_may_be_absent(self, tmp_path, small):
        state = wavlm_sv_checkpoint(SMALL_WAVLM)
        del state["feature_extract.model.mask_emb"], state["loss_calculator.projection.weight"]
        found = self.load(tmp_path, {"model": state}).embed(sound(1.0))
        np.testing.assert_array_equal(found, small.embed(sound(1.0)))
