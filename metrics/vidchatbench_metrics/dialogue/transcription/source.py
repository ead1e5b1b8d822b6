"""Where a metric's transcripts come from: Whisper, an endpoint, or the user; and what that does to its protocol id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from vidchatbench.api import Detail, ExtractorSpec, Feature, Metric, MetricCard, Need, Param, Role
from vidchatbench_metrics.dialogue.transcription.endpoint_transcript import split_endpoint
from vidchatbench_metrics.dialogue.transcription.transcript import OK, REASONS, SILENT
from vidchatbench_metrics.dialogue.transcription.whisper_files import DEFAULT_SIZE, ENGLISH_ONLY, weights_of
from vidchatbench_metrics.speech.silero import missing_speech, speech_seconds

WHISPER = "whisper-"
ENDPOINT = "endpoint:"
GIVEN = "given"
DEFAULT = f"{WHISPER}{DEFAULT_SIZE}"

GATE_WEIGHT = "silero_vad_16k"


@dataclass(frozen=True)
class Transcripts:
    """The source of a metric's transcripts, as its parameter ``transcripts`` names it.

    Attributes:
        name: The parameter: ``whisper-<size>``, ``endpoint:URL#MODEL`` or ``given``.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name.startswith(WHISPER):
            weights_of(self._size)
        elif self.name.startswith(ENDPOINT):
            if not self.model:
                raise ValueError("transcripts of an endpoint are asked for by endpoint:URL#MODEL")
            if not self.name.startswith(f"{ENDPOINT}#"):
                split_endpoint(self._endpoint)
        elif self.name != GIVEN:
            raise ValueError(
                f"there are no transcripts {self.name!r}; use {DEFAULT}, {WHISPER}<size>, endpoint:URL#MODEL or {GIVEN}"
            )

    @property
    def given(self) -> bool:
        """Whether the user brings them."""
        return self.name == GIVEN

    @property
    def english_only(self) -> bool:
        """Whether they are in English whatever is said."""
        return self.name.startswith(WHISPER) and self._size in ENGLISH_ONLY

    @property
    def model(self) -> str:
        """The endpoint's model, ``""`` without one."""
        return self.name.partition("#")[2] if self.name.startswith(ENDPOINT) else ""

    @property
    def shown(self) -> str:
        """The parameter as results show it, without an endpoint's URL."""
        return f"{ENDPOINT}#{self.model}" if self.model else self.name

    @property
    def slug(self) -> str:
        """The part of a protocol id."""
        return re.sub(r"[^a-z0-9_.+-]+", "-", f"endpoint-{self.model}".lower()) if self.model else self.name

    @property
    def reachable(self) -> str:
        """The parameter with which an extractor can get them.

        Raises:
            ValueError: If they were read from results, which do not say where the endpoint is.
        """
        if self.name.startswith(f"{ENDPOINT}#"):
            raise ValueError("the endpoint's URL is missing: endpoint:URL#MODEL")
        return self.name

    @property
    def spec(self) -> ExtractorSpec:
        """The extractor that gives them.

        Raises:
            ValueError: As in :attr:`reachable`.
        """
        if self.given:
            return ExtractorSpec.of("dialogue/transcript_given")
        if self.reachable.startswith(ENDPOINT):
            return ExtractorSpec.of("dialogue/transcript_endpoint", endpoint=self._endpoint, language=None)
        return ExtractorSpec.of("dialogue/transcript", model=self._size, language=None)

    def need(self, name: str = "transcript", role: Role = Role.CANDIDATE) -> Need:
        """Returns the need for the transcript of a clip, in the language of the sample."""
        return Need(name, self.spec, (role,), language_param=None if self.given else "language")

    def heard(self) -> tuple[Need, ...]:
        """Returns the need for the transcript where it says which language was heard."""
        return () if self.given else (self.need(),)

    def gate(self) -> tuple[Need, ...]:
        """Returns the need for the candidate's speech, ``speech``, where no extractor of transcripts checks it.

        A text that is brought does not show that anybody speaks in the clip.
        """
        return (Need("speech", ExtractorSpec.of("speech/silero"), (Role.CANDIDATE,)),) if self.given else ()

    def weights(self) -> tuple[str, ...]:
        """Returns the weights table's names of what makes the transcripts."""
        recogniser = tuple(weights_of(self._size).values()) if self.name.startswith(WHISPER) else ()
        return (*recogniser, GATE_WEIGHT)

    def card(self, card: MetricCard) -> MetricCard:
        """Returns the card for these transcripts.

        Args:
            card: The card for the default ones, whose name is part of its protocol id, and whose last weights are
                those of the default transcripts.
        """
        if self.name == DEFAULT:
            return card
        default = Transcripts(DEFAULT).weights()
        own = tuple(name for name in card.weights if name not in default)
        changes: dict[str, object] = {
            "protocol": card.protocol.replace(DEFAULT, self.slug),
            "protocol_text": f"{card.protocol_text.rstrip()} Transcripts: {self._words} in place of {DEFAULT}.\n",
            "weights": (*own, *self.weights()),
        }
        return card.vary(**changes)

    @property
    def _words(self) -> str:
        if self.given:
            return "brought by the user, only the speech gate is ours,"
        return f"of the model {self.model!r} behind an endpoint" if self.model else self.name

    @property
    def _size(self) -> str:
        return self.name.removeprefix(WHISPER)

    @property
    def _endpoint(self) -> str:
        return self.name.removeprefix(ENDPOINT)


class TranscriptMetric(Metric):
    """A metric that reads what is said in the reply.

    Parameters:
        transcripts: See :class:`Transcripts`; of an endpoint, :attr:`params` keeps the model and not the URL.
    """

    defaults: ClassVar[Mapping[str, Param]] = {"transcripts": DEFAULT}

    def __init__(self, **params: Param) -> None:
        self.source = Transcripts(str({**self.defaults, **params}["transcripts"]))
        super().__init__(**{**params, "transcripts": self.source.shown})

    def make_card(self) -> MetricCard:
        """Returns the card; other transcripts are another protocol."""
        return self.source.card(self.default_card)


def language_details(features: Mapping[str, Feature]) -> dict[str, Detail]:
    """Returns the language of a reply's transcript and its probability, as far as the transcript has them.

    Args:
        features: The metric's features; the transcript is ``transcript``.
    """
    transcript = features.get("transcript")
    meta = {} if transcript is None else transcript.meta
    return {name: value for name in ("language", "language_probability") if (value := meta.get(name)) is not None}


def unusable(transcript: Feature, features: Mapping[str, Feature]) -> tuple[str, dict[str, str]] | None:
    """Returns why a reply's transcript cannot be scored, with details, or ``None`` if it can.

    Args:
        transcript: Whatever carries the meta value ``status``.
        features: The metric's features; ``speech`` is among them where :meth:`Transcripts.gate` asked for it.
    """
    status = str(transcript.meta["status"])
    if "speech" in features and missing_speech(speech_seconds(features["speech"])):
        status = SILENT
    return None if status == OK else (REASONS[status], {"status": status})
