"""What the judge adds to the tables of its family: metrics and extractors, by name."""

from __future__ import annotations

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
