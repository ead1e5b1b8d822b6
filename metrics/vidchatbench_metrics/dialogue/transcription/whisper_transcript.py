"""``dialogue/transcript``: what is said in a clip, by Whisper on this computer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from vidchatbench.api import Audio, AudioExtractor, ExtractorContext, ExtractorSpec, Feature, Param
from vidchatbench_metrics.dialogue.transcription.languages import whisper_language
from vidchatbench_metrics.dialogue.transcription.transcript import silence, transcript
from vidchatbench_metrics.dialogue.transcription.whisper_files import DEFAULT_SIZE, weights_of
from vidchatbench_metrics.speech.silero import missing_speech, speech_seconds

if TYPE_CHECKING:
    from vidchatbench_metrics.dialogue.transcription.whisper import Whisper


class WhisperTranscript(AudioExtractor):
    """Transcript of a clip with word times; a clip with under 0.3 s of speech is ``silent`` and is not transcribed.

    Parameters:
        model: A size of Whisper, such as ``large-v3``.
        language: The language spoken; ``None``, ``und`` and what Whisper does not know have it recognised.

    Arrays:
        word_start: float64 (n,), seconds from the clip's first picture.
        word_end: float64 (n,), likewise.
        word_probability: float64 (n,), in 0..1.

    Meta:
        status: ``ok``, ``silent``, ``empty``, or ``hallucinated`` where every passage was (see ``transcript``).
        text: What is said, without hallucinated passages.
        words: The words of the arrays, as a JSON list.
        dropped_text: What was left out as a hallucination.
        language: The language, with ``language_probability``, which is 1 where the language was given.
        speech_seconds: Seconds of speech that Silero VAD finds.
        passages: Number of passages, ``dropped_passages`` of them left out.
        no_speech_probability: The greatest of all passages.
        compression_ratio: Likewise.
        logprob: Mean of all passages, weighted by their durations.

    Source: Radford et al. 2023, arXiv 2212.04356; SYSTRAN/faster-whisper 1.x (MIT).
    """

    id: ClassVar[str] = "dialogue/transcript"
    defaults: ClassVar[Mapping[str, Param]] = {"model": DEFAULT_SIZE, "language": None}
    packages: ClassVar[tuple[str, ...]] = ("faster_whisper",)
    _whisper: Whisper | None = None

    def __init__(self, **params: Param) -> None:
        super().__init__(**params)
        language = self.params["language"]
        # One language has one name, and one feature.
        self.params = {**self.params, "language": whisper_language(None if language is None else str(language))}

    @property
    def weights(self) -> tuple[str, ...]:
        """The files of the model."""
        return tuple(weights_of(str(self.params["model"])).values())

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Where anybody speaks."""
        return {"speech": ExtractorSpec.of("speech/silero")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the model."""
        from vidchatbench_metrics.dialogue.transcription.whisper import Whisper  # only extractors that run need it

        names = weights_of(str(self.params["model"]))
        language = self.params["language"]
        self._whisper = Whisper(
            {file: context.weights[name] for file, name in names.items()},
            context.device,
            None if language is None else str(language),
        )

    def release(self) -> None:
        """Releases the model."""
        self._whisper = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the transcript of one clip."""
        if self._whisper is None:
            raise RuntimeError("setup() comes before extract()")
        spoken = speech_seconds(upstream["speech"])
        if missing_speech(spoken):
            return silence(spoken)
        passages, language, probability = self._whisper(audio.samples)
        return transcript(passages, speech_seconds=spoken, language=language, language_probability=probability)
