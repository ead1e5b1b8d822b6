"""Dialogue metrics: what the reply says, against graded replies, by a judge, and against what the system declares.

Tables of names; nothing is imported before it is used.
"""

from __future__ import annotations

from vidchatbench.api import WeightSpec
from vidchatbench_metrics.dialogue.text_weights import TEXT_WEIGHTS
from vidchatbench_metrics.dialogue.transcription.whisper_files import WHISPER_WEIGHTS

_METRICS = "vidchatbench_metrics.dialogue.judge_metrics"
_EXTRACTORS = "vidchatbench_metrics.dialogue.judge_extractor"

JUDGE_METRICS: dict[str, str] = {
    "dialogue/judge": f"{_METRICS}:Judgement",
    "dialogue/judge_relevance": f"{_METRICS}:Relevance",
    "dialogue/judge_coherence": f"{_METRICS}:Coherence",
    "dialogue/judge_informativeness": f"{_METRICS}:Informativeness",
    "dialogue/judge_naturalness": f"{_METRICS}:Naturalness",
    "dialogue/judge_safety": f"{_METRICS}:Safety",
}

JUDGE_EXTRACTORS: dict[str, str] = {
    "dialogue/judge_scores": f"{_EXTRACTORS}:JudgeScores",
    "dialogue/judge_frames": f"{_EXTRACTORS}:JudgeFrames",
}

METRICS: dict[str, str] = {
    "dialogue/ladder_clip": "vidchatbench_metrics.dialogue.ladder:LadderClip",
    "dialogue/ladder_embed": "vidchatbench_metrics.dialogue.ladder:LadderEmbed",
    "dialogue/contingency": "vidchatbench_metrics.dialogue.contingency:Contingency",
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
    "dialogue/reply_embedding": "vidchatbench_metrics.dialogue.sentence_embeddings:ReplyEmbedding",
    "dialogue/initiator_embedding": "vidchatbench_metrics.dialogue.sentence_embeddings:InitiatorEmbedding",
    **JUDGE_EXTRACTORS,
}

WEIGHTS: tuple[WeightSpec, ...] = (*WHISPER_WEIGHTS, *TEXT_WEIGHTS)
