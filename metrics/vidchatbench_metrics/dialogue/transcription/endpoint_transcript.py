"""``dialogue/transcript_endpoint``: what is said in a clip, by an OpenAI-compatible transcription endpoint."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import SAMPLE_RATE, Audio, AudioExtractor, ExtractorContext, ExtractorSpec, Feature, Param
from vidchatbench_metrics.dialogue.transcription.languages import whisper_language
from vidchatbench_metrics.dialogue.transcription.transcript import Passage, Word, silence, transcript
from vidchatbench_metrics.speech.silero import missing_speech, speech_seconds

if TYPE_CHECKING:
    from openai import OpenAI

KEY_VARIABLE = "VIDCHATBENCH_TRANSCRIBE_KEY"
"""Environment variable that holds the endpoint's key."""

COMMON_KEY_VARIABLE = "OPENAI_API_KEY"
"""Used where the other is not set, but only over https: a key must not travel in the clear."""

_TIMEOUT_SECONDS = 300.0
_PEAK = 32767


class EndpointError(RuntimeError):
    """The endpoint gave no transcript; the text names neither its address nor the key."""


class EndpointTranscript(AudioExtractor):
    """Transcript of a clip by an endpoint; a clip with under 0.3 s of speech is ``silent`` and is not sent.

    Parameters:
        endpoint: ``URL#MODEL``, the URL up to ``/v1``.
        language: The language spoken; ``None``, ``und`` and what Whisper does not know leave it to the endpoint.

    Arrays and meta are those of ``dialogue/transcript``; an endpoint that gives no word times has arrays of length 0,
    and one that gives no probabilities cannot have its hallucinations found.
    """

    id: ClassVar[str] = "dialogue/transcript_endpoint"
    defaults: ClassVar[Mapping[str, Param]] = {"endpoint": "", "language": None}
    packages: ClassVar[tuple[str, ...]] = ("openai",)
    retries: ClassVar[int] = 5
    """Further attempts after a time-out, a lost connection, or an answer of status 408, 409, 429 or 5xx."""

    _client: OpenAI | None = None

    def __init__(self, **params: Param) -> None:
        super().__init__(**params)
        language = self.params["language"]
        # One language has one name, and one feature.
        self.params = {**self.params, "language": whisper_language(None if language is None else str(language))}

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Where anybody speaks."""
        return {"speech": ExtractorSpec.of("speech/silero")}

    def setup(self, context: ExtractorContext) -> None:
        """Makes the client.

        Raises:
            ValueError: If the endpoint is not ``URL#MODEL``.
        """
        del context
        from openai import OpenAI  # heavy, and only extractors that run need it

        url, self._model = split_endpoint(str(self.params["endpoint"]))
        self._client = OpenAI(
            base_url=url, api_key=key_for(url) or "none", timeout=_TIMEOUT_SECONDS, max_retries=self.retries
        )
        if urlsplit(url).hostname != "api.openai.com":
            # The client reads these from the environment; they are OpenAI's and must not go to another host.
            self._client.organization = self._client.project = None

    def release(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the transcript of one clip.

        Raises:
            EndpointError: If the endpoint gives none; that is not the clip's fault.
        """
        spoken = speech_seconds(upstream["speech"])
        if missing_speech(spoken):
            return silence(spoken)
        answer = self._ask(wav_bytes(audio.samples))
        passages = _passages(answer, audio.duration)
        language = answer.get("language") or self.params["language"]
        return transcript(
            passages,
            speech_seconds=spoken,
            language=None if language is None else str(language),
            language_probability=None,
        )

    def _ask(self, sound: bytes) -> dict[str, Any]:
        if self._client is None:
            raise RuntimeError("setup() comes before extract()")
        from openai import APIError, APIStatusError  # as above

        language = {} if self.params["language"] is None else {"language": str(self.params["language"])}
        common: dict[str, Any] = {"model": self._model, "temperature": 0.0, **language}
        verbose = {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]}
        create: Any = self._client.audio.transcriptions.create  # its overloads know no arguments made at run time
        # Some servers know plain JSON only.
        for form in (verbose, {"response_format": "json"}):
            try:
                answer = create(file=("reply.wav", sound, "audio/wav"), **common, **form)
            except APIStatusError as error:
                if form is verbose and error.status_code in {400, 404, 415, 422, 501}:
                    continue
                raise EndpointError(f"the transcription endpoint answered with status {error.status_code}") from None
            except APIError as error:
                raise EndpointError(f"the transcription endpoint failed: {type(error).__name__}") from None
            return _plain(answer)
        raise EndpointError("the transcription endpoint refuses both forms of answer")


def split_endpoint(endpoint: str) -> tuple[str, str]:
    """Splits ``URL#MODEL``.

    Raises:
        ValueError: If it has no URL, no model, or a user name or password in the URL: keys come from the environment.
    """
    url, _, model = endpoint.partition("#")
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError(f"a key does not belong into the endpoint's URL; put it into {KEY_VARIABLE}")
    if parts.scheme not in {"http", "https"} or not parts.netloc or not model:
        raise ValueError("a transcription endpoint is given as URL#MODEL, such as http://localhost:8000/v1#whisper-1")
    return url, model


def key_for(url: str) -> str | None:
    """Returns the key to send to an endpoint, ``None`` if there is none for it."""
    own = os.environ.get(KEY_VARIABLE, "").strip()
    common = os.environ.get(COMMON_KEY_VARIABLE, "").strip() if url.startswith("https://") else ""
    return own or common or None


def wav_bytes(samples: NDArray[np.float32]) -> bytes:
    """Returns sound as a WAV file of 16 bits, mono, 16 kHz."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(np.clip(samples, -1.0, 1.0) * _PEAK).astype("<i2").tobytes())
    return buffer.getvalue()


def _plain(answer: object) -> dict[str, Any]:
    dump = getattr(answer, "model_dump", None)
    content = dump() if callable(dump) else None
    if not isinstance(content, dict) or not isinstance(content.get("text"), str):
        raise EndpointError("the transcription endpoint's answer has no text")
    return content


def _passages(answer: Mapping[str, Any], duration: float) -> list[Passage]:
    words = tuple(
        Word(f" {word['word']}".replace("  ", " "), float(word["start"]), float(word["end"]))
        for word in answer.get("words") or ()
    )
    segments = answer.get("segments") or ()
    if not segments:
        return [Passage(str(answer["text"]), duration, words=words)] if str(answer["text"]).strip() else []
    passages = []
    for position, segment in enumerate(segments):
        start, end = float(segment["start"]), float(segment["end"])
        # A word belongs to the passage in which it begins; the last passage takes what begins after it.
        last = position + 1 == len(segments)
        until = float("inf") if last else float(segments[position + 1]["start"])
        since = -float("inf") if position == 0 else start
        passages.append(
            Passage(
                text=f" {str(segment['text']).strip()}",
                duration=max(0.0, end - start),
                no_speech=_number(segment.get("no_speech_prob")),
                logprob=_number(segment.get("avg_logprob")),
                compression=_number(segment.get("compression_ratio")),
                words=tuple(word for word in words if since <= word.start < until),
            )
        )
    return passages


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
