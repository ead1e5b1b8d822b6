"""SIM-o and UTMOS on made-up features: cards, gates, failures; no network is loaded here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from vidchatbench.api import SAMPLE_RATE, Dimension, Feature, Plugin, Role, Sample, Score, Side, Status
from vidchatbench_metrics import voice
from vidchatbench_metrics.speech import WEIGHTS as SPEECH_WEIGHTS
from vidchatbench_metrics.voice.front_end import beginning, frame_count
from vidchatbench_metrics.voice.sim_o import SimO, WavlmSpeakerEmbedding
from vidchatbench_metrics.voice.utmos import Utmos, UtmosScores

SAMPLE = Sample(
    id="a",
    task="dialogue",
    language="en",
    initiator=Side(media="i.mp4", sha256="0" * 64, speaker_id="i"),
    responder=Side(media="r.mp4", sha256="1" * 64, speaker_id="r"),
)
METRICS = (SimO, Utmos)
NAMED = "sha256:" + "ab" * 32


def speech(seconds: float) -> Feature:
    return Feature({}, {"speech_seconds": seconds, "duration": 10.0})


def embedding(*head: float, seconds: float = 6.0) -> Feature:
    vector = np.zeros(256 if head else 0, dtype=np.float32)
    vector[: len(head)] = head
    return Feature({"embedding": vector}, {"frames": 299 if head else 0, "seconds": seconds})


def compare(candidate: Feature, reference: Feature, spoken: float = 4.0, reference_spoken: float = 5.0) -> Score:
    return SimO().score(
        SAMPLE,
        {
            "candidate_speech": speech(spoken),
            "reference_speech": speech(reference_spoken),
            "candidate_voice": candidate,
            "reference_voice": reference,
        },
    )


def rate(*frames: float, spoken: float = 4.0) -> Score:
    scores = Feature({"frames": np.array(frames, dtype=np.float32)}, {"seconds": 6.0})
    return Utmos().score(SAMPLE, {"candidate_speech": speech(spoken), "utmos": scores})


class TestDeclarations:
    def test_tables_make_a_valid_plugin(self):
        plugin = Plugin(metrics=voice.METRICS, extractors=voice.EXTRACTORS, weights=voice.WEIGHTS)
        assert {metric.default_card.id for metric in METRICS} <= set(plugin.metrics)
        assert {WavlmSpeakerEmbedding.id, UtmosScores.id} <= set(plugin.extractors)

    @pytest.mark.parametrize("metric", METRICS)
    def test_card_agrees_with_the_tables(self, metric):
        card = metric().card
        assert voice.METRICS[card.id] == f"{metric.__module__}:{metric.__name__}"
        assert card.dimension is Dimension.VOICE
        assert card.direction == "higher"
        assert "listening" not in card.tasks
        weights = {weight.name: weight for weight in (*SPEECH_WEIGHTS, *voice.WEIGHTS)}
        assert card.commercial_use is all(weights[name].commercial_use for name in card.weights)

    @pytest.mark.parametrize("metric", METRICS)
    def test_needs_agree_with_card_and_extractors(self, metric):
        made = metric()
        needs = made.needs()
        assert {role for need in needs for role in need.roles} == set(made.card.roles)
        extractors = {WavlmSpeakerEmbedding.id: WavlmSpeakerEmbedding, UtmosScores.id: UtmosScores}
        own = [need.extractor for need in needs if need.extractor.id in extractors]
        assert own
        for spec in own:
            assert extractors[spec.id]().spec == spec
            assert set(extractors[spec.id]().weights) < set(made.card.weights)

    def test_what_is_frozen(self):
        sim_o, utmos = (metric().card for metric in METRICS)
        assert (sim_o.protocol, sim_o.worst, sim_o.null) == ("sim_o/wavlm_large-60s-v1", 0, "shuffled_replies")
        assert (utmos.protocol, utmos.worst, utmos.null) == ("utmos/utmos22_strong-60s-v1", 1, None)
        assert sim_o.roles == (Role.CANDIDATE, Role.REFERENCE)
        assert utmos.roles == (Role.CANDIDATE,)
        assert (utmos.minimum, utmos.maximum) == (1, 5)

    @pytest.mark.parametrize("metric", METRICS)
    def test_a_network_named_by_its_hash_is_another_protocol(self, metric):
        official, named = metric().card, metric(network=NAMED).card
        assert named.protocol == f"{official.protocol.partition('/')[0]}/net-abababababab-60s-v1"
        assert named.weights == (NAMED, "silero_vad_16k")
        assert "net-abababababab" in named.protocol_text
        assert not named.commercial_use
        assert "unknown" in (named.weights_license or "")
        networks = [dict(need.extractor.params).get("network") for need in metric(network=NAMED).needs()]
        assert set(networks) == {None, NAMED}

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("network", ["", "wavlm_base", "sha256:", "sha256:abc", "sha256:" + "G" * 64, NAMED + "\n"])
    def test_other_networks_are_refused(self, metric, network):
        with pytest.raises(ValueError, match="has no network"):
            metric(network=network)

    def test_the_two_networks_cannot_be_confused(self):
        with pytest.raises(ValueError, match="use wavlm_large"):
            SimO(network="utmos22_strong")
        with pytest.raises(ValueError, match="use utmos22_strong"):
            Utmos(network="wavlm_large")

    def test_importing_them_loads_no_model_library(self):
        modules = {kind.__module__ for kind in (*METRICS, WavlmSpeakerEmbedding, UtmosScores)}
        code = f"import sys, {', '.join(sorted(modules))}; print({{'torch', 'transformers'}} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


class TestSimO:
    def test_same_voice(self):
        score = compare(embedding(3.0, 4.0, seconds=2.0), embedding(0.6, 0.8))
        assert score.value == pytest.approx(1.0, abs=1e-7)
        assert score.details == {
            "speech_seconds": 4.0,
            "reference_speech_seconds": 5.0,
            "seconds": 2.0,
            "reference_seconds": 6.0,
        }

    @pytest.mark.parametrize(("other", "value"), [((0.6, 0.8), 0.6), ((0.0, 1.0), 0.0), ((-0.6, 0.8), -0.6)])
    def test_known_angles(self, other, value):
        assert compare(embedding(2.0, 0.0), embedding(*other)).value == pytest.approx(value, abs=1e-7)

    def test_silent_candidate_is_the_submissions_fault(self):
        score = compare(embedding(1.0), embedding(1.0), spoken=0.29)
        assert score.status is Status.OUTPUT_INVALID
        assert "no speech" in (score.reason or "")

    def test_silent_reference_is_nobodys_fault(self):
        for spoken in (0.0, 4.0):
            score = compare(embedding(1.0), embedding(1.0), spoken=spoken, reference_spoken=0.0)
            assert score.status is Status.NOT_APPLICABLE
            assert (score.reason or "").startswith("reference: no speech")

    def test_too_short_for_the_network(self):
        assert compare(embedding(), embedding(1.0)).status is Status.OUTPUT_INVALID
        assert compare(embedding(1.0), embedding()).status is Status.NOT_APPLICABLE
        assert compare(embedding(), embedding()).status is Status.NOT_APPLICABLE


class TestUtmos:
    def test_mean_over_frames(self):
        score = rate(2.0, 3.0, 4.5)
        assert score.value == pytest.approx(9.5 / 3)
        assert score.details == {
            "speech_seconds": 4.0,
            "seconds": 6.0,
            "frames": 3,
            "unclipped": pytest.approx(9.5 / 3),
        }

    @pytest.mark.parametrize(("raw", "value"), [(0.3, 1.0), (5.4, 5.0), (1.0, 1.0), (5.0, 5.0)])
    def test_cut_to_the_scale(self, raw, value):
        score = rate(raw, raw)
        assert score.value == value
        assert score.details["unclipped"] == pytest.approx(raw)

    def test_frames_are_averaged_before_they_are_cut(self):
        assert rate(7.0, 1.0).value == pytest.approx(4.0)

    def test_silence_is_the_submissions_fault(self):
        score = rate(3.0, spoken=0.1)
        assert score.status is Status.OUTPUT_INVALID
        assert "no speech" in (score.reason or "")

    def test_too_short_for_the_network(self):
        score = rate()
        assert score.status is Status.OUTPUT_INVALID
        assert "shorter than one frame" in (score.reason or "")


class TestWhatIsHeard:
    def test_first_minute(self):
        samples = np.arange(61 * SAMPLE_RATE, dtype=np.float32)
        np.testing.assert_array_equal(beginning(samples), samples[: 60 * SAMPLE_RATE])
        assert len(beginning(samples[:5])) == 5

    @pytest.mark.parametrize(
        ("samples", "frames"),
        [(0, 0), (1, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16000, 49), (60 * SAMPLE_RATE, 2999)],
    )
    def test_frames(self, samples, frames):
        assert frame_count(samples) == frames
