"""Dialogue metrics: what the reply says, against graded replies, by a judge, and against what the system declares.

Tables of names; nothing is imported before it is used.
"""

from __future__ import annotations

from vidchatbench.api import WeightSpec
from vidchatbench_metrics.dialogue.judge_entries import JUDGE_EXTRACTORS, JUDGE_METRICS
from vidchatbench_metrics.dialogue.text_weights import TEXT_WEIGHTS
from vidchatbench_metrics.dialogue.transcription.whisper_files import WHISPER_WEIGHTS

METRICS: dict[str, str] = {
    "dialogue/ladder_clip": "vidchatbench_metrics.dialogue.ladder:LadderClip",
    "dialogue/ladder_embed": "vidchatbench_metrics.dialogue.ladder:LadderEmbed",
    "dialogue/wer": "vidchatbench_metrics.dialogue.wer:Wer",
    "dialogue/cer": "vidchatbench_metrics.dialogue.wer:Cer",
    **JUDGE_METRICS,
}

_TRANSCRIPTION = "vidchatbench_metrics.dialogue.transcription"

EXTRACTORS: dict[str, str] = {
    "dialogue/transcript": f"{_TRANSCRIPTION}.whisper_transcript:WhisperTranscript",
    "dialogue/transcript_endpoint": f"{_TRANSCRIPTION}.endpoint_transcript:EndpointTranscript",
    "dialogue/transcript_given": f"{_TRANSCRIPTION}.given_transcript:GivenTranscript",
    "dialogue/declared": f"{_TRANSCRIPTION}.given_transcript:DeclaredTranscript",
    "dialogue/ladder_clip_embeddings": "vidchatbench_metrics.dialogue.ladder_embeddings:ClipLadder",
    "dialogue/ladder_sentence_embeddings": "vidchatbench_metrics.dialogue.ladder_embeddings:SentenceLadder",
    **JUDGE_EXTRACTORS,
}

WEIGHTS: tuple[WeightSpec, ...] = (*WHISPER_WEIGHTS, *TEXT_WEIGHTS)
