"""The voice family on made-up features and signals: no network is loaded here."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from vidchatbench.api import Dimension, Feature, Plugin, Sample, Score, Side, Status
from vidchatbench_metrics import voice
from vidchatbench_metrics.common.vectors import cosine
from vidchatbench_metrics.speech import EXTRACTORS as SPEECH_EXTRACTORS
from vidchatbench_metrics.speech import WEIGHTS as SPEECH_WEIGHTS
from vidchatbench_metrics.speech.silero import missing_speech, speech_segments
from vidchatbench_metrics.voice.dnsmos import (
    DnsmosBackground,
    DnsmosOverall,
    DnsmosP808,
    DnsmosSignal,
    calibrate,
    fill_window,
    hop_starts,
    p808_input,
    speech_only,
)
from vidchatbench_metrics.voice.mel import MelOptions, mel_filters, mel_spectrogram, power_to_db
from vidchatbench_metrics.voice.resemblyzer import (
    VoiceSimilarity,
    mel_partials,
    partial_starts,
    raise_volume,
    smooth_flags,
)

SAMPLE = Sample(
    id="a",
    task="dialogue",
    language="en",
    initiator=Side(media="i.mp4", sha256="0" * 64, speaker_id="i"),
    responder=Side(media="r.mp4", sha256="1" * 64, speaker_id="r"),
)
DNSMOS = (DnsmosSignal, DnsmosBackground, DnsmosOverall, DnsmosP808)
METRICS = (VoiceSimilarity, *DNSMOS)
MEL = MelOptions(n_fft=400, hop=160, n_mels=40, sample_rate=16000)


def speech(seconds: float) -> Feature:
    return Feature({}, {"speech_seconds": seconds, "duration": 10.0})


def embedding(*head: float, voiced: float = 5.0) -> Feature:
    vector = np.zeros(256, dtype=np.float32)
    vector[: len(head)] = head
    return Feature({"embedding": vector}, {"partials": 6, "voiced_seconds": voiced})


def dnsmos(**values: float) -> Feature:
    scores = {"sig": 3.0, "bak": 3.5, "ovr": 2.5, "p808": 3.2, **values}
    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in scores.items()}
    return Feature(arrays, {"hops": 3, "seconds": 2.4})


def compare(candidate: Feature, reference: Feature, spoken: float = 4.0, reference_spoken: float = 5.0) -> Score:
    return VoiceSimilarity().score(
        SAMPLE,
        {
            "candidate_speech": speech(spoken),
            "reference_speech": speech(reference_spoken),
            "candidate_voice": candidate,
            "reference_voice": reference,
        },
    )


class TestDeclarations:
    def test_tables_make_a_valid_plugin(self):
        plugin = Plugin(metrics=voice.METRICS, extractors=voice.EXTRACTORS, weights=voice.WEIGHTS)
        assert len({weight.sha256 for weight in plugin.weights}) == len(plugin.weights)

    @pytest.mark.parametrize("metric", METRICS)
    def test_card_agrees_with_the_tables(self, metric):
        card = metric().card
        module, _, name = voice.METRICS[card.id].partition(":")
        assert (metric.__module__, metric.__name__) == (module, name)
        assert card.dimension is Dimension.VOICE
        assert card.direction == "higher"
        assert "listening" not in card.tasks
        assert len(card.tasks) == 4
        assert set(card.weights) <= {weight.name for weight in (*SPEECH_WEIGHTS, *voice.WEIGHTS)}
        assert card.commercial_use

    @pytest.mark.parametrize("metric", METRICS)
    def test_needs_only_declared_extractors_and_roles(self, metric):
        needs = metric().needs()
        assert {need.extractor.id for need in needs} <= {*SPEECH_EXTRACTORS, *voice.EXTRACTORS}
        assert {role for need in needs for role in need.roles} == set(metric.default_card.roles)
        assert len({need.name for need in needs}) == len(needs)

    def test_protocols_and_worst_values(self):
        protocols = {metric.default_card.id: metric.default_card.protocol for metric in METRICS}
        assert protocols == {
            "voice/resemblyzer": "resemblyzer/wholeclip-v1",
            "voice/dnsmos_sig": "dnsmos/p835-16k-speech-v2",
            "voice/dnsmos_bak": "dnsmos/p835-16k-speech-v2",
            "voice/dnsmos_ovr": "dnsmos/p835-16k-speech-v2",
            "voice/dnsmos_p808": "dnsmos/p808-16k-speech-v2",
        }
        assert [metric.default_card.worst for metric in METRICS] == [0, 1, 1, 1, 1]

    def test_importing_metrics_loads_no_model_library(self):
        modules = {
            target.partition(":")[0]
            for target in (*voice.METRICS.values(), *voice.EXTRACTORS.values(), *SPEECH_EXTRACTORS.values())
        }
        heavy = ("torch", "onnxruntime", "webrtcvad", "scipy", "librosa", "silero_vad", "speechmos", "resemblyzer")
        code = f"import sys, {', '.join(sorted(modules))}; print([name for name in {heavy} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestGate:
    @pytest.mark.parametrize(("seconds", "passes"), [(0.0, False), (0.299, False), (0.3, True), (9.0, True)])
    def test_threshold(self, seconds, passes):
        assert (missing_speech(seconds) is None) is passes


class TestVoiceSimilarity:
    def test_same_voice(self):
        score = compare(embedding(0.6, 0.8), embedding(0.6, 0.8))
        assert score.value == pytest.approx(1.0, abs=1e-12)
        assert score.details == {
            "speech_seconds": 4.0,
            "reference_speech_seconds": 5.0,
            "partials": 6,
            "reference_partials": 6,
        }

    def test_known_angle(self):
        assert compare(embedding(1.0, 0.0), embedding(0.6, 0.8)).value == pytest.approx(0.6)

    def test_rounding_never_leaves_the_range(self):
        rng = np.random.default_rng(3)
        for _ in range(200):
            vector = rng.random(256).astype(np.float32)
            assert -1.0 <= cosine(vector, vector) <= 1.0

    def test_cosine_of_nothing_is_zero(self):
        assert cosine(np.zeros(4), np.ones(4)) == 0.0

    def test_silent_candidate_is_charged(self):
        score = compare(embedding(1.0), embedding(1.0), spoken=0.2)
        assert score.status is Status.OUTPUT_INVALID
        assert score.reason is not None
        assert score.reason.startswith("no speech: ")
        assert score.details["speech_seconds"] == 0.2

    def test_candidate_without_voice_is_charged(self):
        score = compare(embedding(voiced=0.0), embedding(1.0))
        assert score.status is Status.OUTPUT_INVALID
        assert score.reason is not None
        assert score.reason.startswith("no speech: ")

    @pytest.mark.parametrize("spoken", [0.0, 4.0])
    def test_silent_reference_is_nobodys_fault_whatever_the_candidate_does(self, spoken):
        score = compare(embedding(1.0), embedding(1.0), spoken=spoken, reference_spoken=0.1)
        assert score.status is Status.NOT_APPLICABLE

    def test_reference_without_voice_is_not_applicable(self):
        assert compare(embedding(1.0), embedding(voiced=0.0)).status is Status.NOT_APPLICABLE


class TestDnsmosMetrics:
    @pytest.mark.parametrize(("metric", "value"), list(zip(DNSMOS, (3.0, 3.5, 2.5, 3.2), strict=True)))
    def test_each_takes_its_own_score(self, metric, value):
        score = metric().score(SAMPLE, {"candidate_speech": speech(2.0), "dnsmos": dnsmos()})
        assert score.value == value
        assert score.details == {"speech_seconds": 2.0, "scored_seconds": 2.4, "hops": 3, "unclipped": value}

    @pytest.mark.parametrize(("raw", "value"), [(0.93, 1.0), (5.2, 5.0)])
    def test_polynomials_cannot_leave_the_scale(self, raw, value):
        score = DnsmosSignal().score(SAMPLE, {"candidate_speech": speech(2.0), "dnsmos": dnsmos(sig=raw)})
        assert score.value == value
        assert score.details["unclipped"] == raw

    @pytest.mark.parametrize("metric", DNSMOS)
    @pytest.mark.parametrize(("spoken", "status"), [(0.0, Status.OUTPUT_INVALID), (0.29, Status.OUTPUT_INVALID)])
    def test_silence_is_charged(self, metric, spoken, status):
        score = metric().score(SAMPLE, {"candidate_speech": speech(spoken), "dnsmos": dnsmos()})
        assert score.status is status
        assert score.details == {"speech_seconds": spoken, "scored_seconds": 2.4, "hops": 3}
        assert metric().score(SAMPLE, {"candidate_speech": speech(0.3), "dnsmos": dnsmos()}).status is Status.OK


class TestSpeechSegments:
    def windows(self, *runs: tuple[int, float]) -> list[float]:
        return [value for count, value in runs for _ in range(count)]

    def test_silence(self):
        assert speech_segments([], 0) == []
        assert speech_segments([0.1] * 50, 50 * 512) == []

    def test_one_segment_is_padded(self):
        probability = self.windows((10, 0.0), (20, 0.9), (10, 0.0))
        assert speech_segments(probability, 40 * 512) == [(10 * 512 - 480, 30 * 512 + 480)]

    def test_padding_stays_inside_the_sound(self):
        assert speech_segments([0.9] * 20, 20 * 512 - 100) == [(0, 20 * 512 - 100)]

    def test_a_pause_under_100_ms_does_not_split(self):
        probability = self.windows((20, 0.9), (3, 0.0), (20, 0.9))
        assert speech_segments(probability, 43 * 512) == [(0, 43 * 512)]

    def test_values_between_the_thresholds_keep_speech_going(self):
        probability = self.windows((10, 0.9), (40, 0.4), (10, 0.0))
        assert speech_segments(probability, 60 * 512) == [(0, 50 * 512 + 480)]

    def test_values_between_the_thresholds_do_not_start_speech(self):
        assert speech_segments([0.4] * 50, 50 * 512) == []

    def test_short_bursts_are_dropped(self):
        probability = self.windows((10, 0.0), (7, 0.9), (10, 0.0))
        assert speech_segments(probability, 27 * 512) == []


class TestResemblyzerFrontEnd:
    def test_quiet_sound_is_raised_to_minus_30_dbfs(self):
        raised = raise_volume(np.full(1000, 1e-3, dtype=np.float32))
        assert raised.dtype == np.float32
        assert 20 * np.log10(np.sqrt(np.mean(np.square(raised, dtype=np.float64)))) == pytest.approx(-30, abs=1e-5)

    @pytest.mark.parametrize(
        "samples", [np.full(100, 0.5, np.float32), np.zeros(100, np.float32), np.zeros(0, np.float32)]
    )
    def test_loud_sound_and_silence_stay(self, samples):
        np.testing.assert_array_equal(raise_volume(samples), samples)

    def test_majority_of_eight_windows(self):
        flags = np.zeros(40, dtype=bool)
        flags[10:14] = True
        assert not smooth_flags(flags).any()
        flags[14] = True
        # Windows 10 to 14 are all within reach of window 10 to 13 (3 before, 4 after), then 3 more on both sides.
        np.testing.assert_array_equal(np.flatnonzero(smooth_flags(flags)), np.arange(7, 17))

    @pytest.mark.parametrize("length", [1, 2, 7])
    def test_short_sound_keeps_its_length(self, length):
        assert smooth_flags(np.ones(length, dtype=bool)).shape == (length,)

    @pytest.mark.parametrize(
        ("seconds", "starts"),
        [(0.03, [0]), (1.6, [0]), (1.96, [0]), (1.98, [0, 77]), (2.7, [0, 77]), (3.0, [0, 77, 154])],
    )
    def test_partials(self, seconds, starts):
        assert partial_starts(int(seconds * 16000)) == starts

    @pytest.mark.parametrize("samples", [0, 480, 16000, 48000])
    def test_partials_are_always_whole(self, samples):
        partials = mel_partials(np.full(samples, 0.1, dtype=np.float32))
        assert partials.shape == (len(partial_starts(samples)) if samples else 0, 160, 40)
        assert np.isfinite(partials).all()


class TestSpeechOnly:
    """Positions are told by their value: sample k is k."""

    def cut(self, seconds: float, *segments: tuple[float, float]) -> np.ndarray:
        sound = np.arange(round(seconds * 16000), dtype=np.float32)
        return speech_only(sound, np.array(segments, np.float32).reshape(-1, 2))

    def test_a_segment_has_two_tenths_of_a_second_on_both_sides(self):
        np.testing.assert_array_equal(self.cut(5, (1.0, 2.0)), np.arange(0.8 * 16000, 2.2 * 16000))

    def test_segments_stand_one_behind_the_other(self):
        expected = np.concatenate([np.arange(0.8 * 16000, 1.7 * 16000), np.arange(2.8 * 16000, 4.2 * 16000)])
        np.testing.assert_array_equal(self.cut(5, (1.0, 1.5), (3.0, 4.0)), expected)

    @pytest.mark.parametrize(("pause", "seconds"), [(0.3, 2.3), (0.4, 2.4), (0.41, 2.4), (1.0, 2.4)])
    def test_of_a_pause_at_most_four_tenths_stay_and_nothing_is_there_twice(self, pause, seconds):
        cut = self.cut(6, (1.0, 2.0), (2.0 + pause, 3.0 + pause))
        assert len(cut) == round((seconds + 0.4) * 16000)
        assert (np.diff(cut) > 0).all()

    def test_margins_end_with_the_sound(self):
        np.testing.assert_array_equal(self.cut(2, (0.1, 1.9)), np.arange(2 * 16000))

    def test_cuts_lie_on_the_grid_of_frames(self):
        cut = self.cut(3, (1.0042, 1.9958))
        assert cut[0] == round(0.80 * 16000)
        assert cut[-1] == round(2.20 * 16000) - 1
        assert len(self.cut(1.0051, (0.0, 1.0051))) == 16000, "what is left at the end is less than a frame"

    def test_without_speech_nothing_is_heard(self):
        assert len(self.cut(3)) == 0
        assert len(self.cut(0)) == 0
        assert len(self.cut(0, (0.0, 0.4))) == 0

    @pytest.mark.parametrize("lead", [0.01, 1.0, 2.0])
    def test_leading_silence_changes_no_sample(self, lead):
        sound = np.random.default_rng(0).normal(0, 0.1, 5 * 16000).astype(np.float32)
        segments = np.array([[0.3, 1.1], [2.5, 4.9]], np.float32)
        later = np.concatenate([np.zeros(round(lead * 16000), np.float32), sound])
        np.testing.assert_array_equal(speech_only(later, segments + lead), speech_only(sound, segments))


class TestDnsmosFrontEnd:
    @pytest.mark.parametrize("samples", [1, 3, 800, 16000, 72080, 144159])
    def test_short_sound_is_repeated_to_one_window(self, samples):
        filled = fill_window(np.arange(samples, dtype=np.float32))
        np.testing.assert_array_equal(filled, np.arange(144160) % samples)
        assert hop_starts(len(filled)) == [0]

    def test_long_sound_stays_and_none_is_silence(self):
        assert len(fill_window(np.ones(144160, dtype=np.float32))) == 144160
        np.testing.assert_array_equal(fill_window(np.zeros(0, dtype=np.float32)), np.zeros(144160, dtype=np.float32))

    @pytest.mark.parametrize(("seconds", "hops"), [(9.01, 1), (10.0, 1), (10.99, 1), (11.0, 2), (16.0, 7), (17.0, 7)])
    def test_hops(self, seconds, hops):
        assert hop_starts(round(seconds * 16000)) == [hop * 16000 for hop in range(hops)]

    @pytest.mark.parametrize("seconds", [9.01, 9.5, 12.3, 30.0, 33.5, 140.0, 240.0])
    def test_hops_are_those_of_the_reference(self, seconds):
        sound = np.empty(round(seconds * 16000))
        expected = []
        for hop in range(int(np.floor(len(sound) / 16000) - 9.01) + 1):
            window = sound[int(hop * 16000) : int((hop + 9.01) * 16000)]
            if len(window) >= int(9.01 * 16000):
                expected.append(hop * 16000)
        assert hop_starts(len(sound)) == expected

    def test_polynomials(self):
        expected = [-0.08397278 * 9 + 1.22083953 * 3 + 0.0052439, -0.13166888 * 4 + 1.60915514 * 2 - 0.39604546]
        values = calibrate(np.array([3.0, 2.0, 1.0], dtype=np.float32))
        assert values[:2] == pytest.approx(expected, abs=1e-12)
        assert values[2] == pytest.approx(-0.06766283 + 1.11546468 + 0.04602535, abs=1e-12)

    def test_p808_input_of_silence_is_finite(self):
        features = p808_input(np.zeros(144160, dtype=np.float32))
        assert features.shape == (900, 120)
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, np.ones_like(features))


class TestMel:
    def test_filters_have_unit_area(self):
        # At the upper bands, where a triangle spans many bins, the sum approximates the integral.
        filters = mel_filters(MelOptions(n_fft=4096, hop=160, n_mels=40, sample_rate=16000))
        np.testing.assert_allclose(filters.sum(axis=1) * 16000 / 4096, 1.0, rtol=2e-3)

    def test_blocks_do_not_show(self):
        rng = np.random.default_rng(0)
        samples = rng.normal(0, 0.1, 160 * 1100).astype(np.float32)
        whole = mel_spectrogram(samples, MEL)
        middle = mel_spectrogram(samples[160 * 500 : 160 * 540], MEL)
        assert whole.shape == (1101, 40)
        np.testing.assert_allclose(whole[502:538], middle[2:38], rtol=1e-6)

    def test_memory_does_not_grow_with_every_window(self):
        samples = np.zeros(240 * 16000, dtype=np.float32)
        tracemalloc.start()
        mel_spectrogram(samples, MEL)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # The padded sound takes 15 MB and the result 4; all windows at once would take 77 MB, their spectra as much.
        assert peak < 30e6

    @pytest.mark.parametrize(("n_fft", "frames"), [(400, 1), (321, 0)])
    def test_no_sound(self, n_fft, frames):
        options = MelOptions(n_fft=n_fft, hop=160, n_mels=40, sample_rate=16000)
        assert mel_spectrogram(np.zeros(0, dtype=np.float32), options).shape == (frames, 40)

    def test_decibels(self):
        power = np.array([[1.0, 0.1, 1e-9, 0.0]], dtype=np.float32)
        np.testing.assert_allclose(power_to_db(power), [[0.0, -10.0, -80.0, -80.0]], atol=1e-5)
        np.testing.assert_array_equal(power_to_db(np.zeros((2, 2), dtype=np.float32)), np.zeros((2, 2)))
