"""``dialogue/ladder_clip`` and ``/ladder_embed``: the grade of the written reply that the spoken one is nearest to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    Detail,
    ExtractorSpec,
    Feature,
    JointItem,
    JointMetric,
    JointScores,
    MetricCard,
    Need,
    Param,
    Role,
    Sample,
    Score,
    Status,
    load_card,
)
from vidchatbench_metrics.dialogue.other_samples import strangers
from vidchatbench_metrics.dialogue.text_weights import CLIP, MINILM, Encoders
from vidchatbench_metrics.dialogue.transcription.source import DEFAULT, TranscriptMetric, language_details, unusable

TIE = 1e-6
"""Cosines that differ by no more are equal: the rounding of float32 must not decide a grade."""

SHUFFLED = 20
"""Ladders of other samples on which a reply is graded, to know what a reply to somebody else collects."""

SEED = "ladder-v1"

CLIP_TEMPERATURE = 0.01
SENTENCE_TEMPERATURE = 0.05
"""Of the soft score's weights: the inverse of the scale that each encoder was trained with (100 and 20)."""


@dataclass(frozen=True)
class Nearest:
    """The step of a ladder that a reply is nearest to.

    Attributes:
        grade: Grade of the nearest step, the mean of the grades where steps are equally near.
        soft: Mean of all grades, weighted by the softmax of the cosines.
        cosine: Of the nearest step.
        margin: How much nearer it is than the nearest step of another grade.
        tie: Whether steps of different grades are equally near.
    """

    grade: float
    soft: float
    cosine: float
    margin: float
    tie: bool


def nearest(
    reply: NDArray[np.floating], ladder: NDArray[np.floating], grade: NDArray[np.floating], temperature: float
) -> Nearest:
    """Finds the step of a ladder that a reply is nearest to.

    Args:
        reply: Vector of length 1, of shape (d,).
        ladder: Vectors of length 1, of shape (k, d), k of 2 or more.
        grade: Grade of each step, of shape (k,).
        temperature: Of the soft score.
    """
    cosines = np.clip(ladder.astype(np.float64) @ reply.astype(np.float64), -1.0, 1.0)
    order = np.sort(cosines)[::-1]
    near = cosines >= order[0] - TIE
    tied = grade[near]
    tie = len(set(tied.tolist())) > 1
    others = cosines[~np.isin(grade, tied)]
    weights = np.exp((cosines - order[0]) / temperature)
    return Nearest(
        grade=float(np.mean(tied)),
        soft=float(np.average(grade, weights=weights)),
        cosine=float(order[0]),
        margin=0.0 if tie or not len(others) else float(order[0] - others.max()),
        tie=tie,
    )


class _Ladder(TranscriptMetric, JointMetric):
    """Grade of the nearest step of the ladder, in 0..1, higher is better.

    Beside the value stand the mean ``margin`` and what the same replies get on the ladders of other samples
    (``shuffled``): any reply is nearest to some step, so that a reply to nobody collects a middle grade.

    Parameters:
        transcripts: ``whisper-large-v3``, ``whisper-<size>``, ``endpoint:URL#MODEL`` or ``given``.
        network: The official text encoder by its short name, or ``sha256:<64 hex>`` for any of that kind whose file
            lies in the weights mirror.
        tokenizer: Likewise, its tokenizer.
    """

    encoders: ClassVar[Encoders]
    extractor: ClassVar[str]
    temperature: ClassVar[float]

    def make_card(self) -> MetricCard:
        """Returns the card; other transcripts or another encoder are another protocol."""
        network, tokenizer = str(self.params["network"]), str(self.params["tokenizer"])
        card = self.encoders.card(self.default_card, network, tokenizer)
        return self.source.card(card)

    def needs(self) -> tuple[Need, ...]:
        """The embeddings of the reply and of its ladder, and the transcript for its language."""
        spec = ExtractorSpec.of(
            self.extractor,
            network=self.params["network"],
            tokenizer=self.params["tokenizer"],
            transcripts=self.source.reachable,
        )
        return (Need("embeddings", spec, (Role.CANDIDATE,)), *self.source.heard(), *self.source.gate())

    def score_all(self, items: Sequence[JointItem]) -> JointScores:
        """Grades every reply on its own ladder and, for comparison, on those of other samples."""
        scores = [item.settled or self.score(item.sample, item.features) for item in items]
        graded = [item for item, score in zip(items, scores, strict=True) if score.status is Status.OK]
        shuffled = {item.sample.id: self._shuffled(item, graded) for item in graded}
        full = [_with(score, shuffled.get(item.sample.id)) for item, score in zip(items, scores, strict=True)]
        summary = {}
        for name in ("margin", "shuffled"):
            values = [float(score.details[name]) for score in full if name in score.details]
            if values:
                summary[name] = float(np.mean(values))
        return JointScores(full, summary)

    def _shuffled(self, item: JointItem, graded: Sequence[JointItem]) -> float | None:
        """Returns the mean grade of a reply on the ladders of other samples, ``None`` if there are none."""
        reply = item.features["embeddings"]["reply"]
        others = [other.features["embeddings"] for other in strangers(item, graded, SHUFFLED, seed=SEED)]
        grades = [nearest(reply, other["ladder"], other["grade"], self.temperature).grade for other in others]
        return float(np.mean(grades)) if grades else None

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Grades one reply."""
        del sample
        embeddings = features["embeddings"]
        if problem := unusable(embeddings, features):
            reason, details = problem
            return Score.invalid(reason, **details)
        result = nearest(embeddings["reply"], embeddings["ladder"], embeddings["grade"], self.temperature)
        return Score.ok(
            result.grade,
            soft=result.soft,
            cosine=result.cosine,
            margin=result.margin,
            tie=result.tie,
            tokens=int(embeddings.number("tokens")),
            pieces=int(embeddings.number("pieces")),
            **language_details(features),
        )


def _with(score: Score, shuffled: float | None) -> Score:
    if shuffled is None:
        return score
    details: dict[str, Detail] = {**score.details, "shuffled": shuffled}
    return replace(score, details=details)


class LadderClip(_Ladder):
    """The paper's score of dialogue coherence, in the text space of CLIP ViT-L/14."""

    default_card = load_card("vidchatbench_metrics.dialogue", "cards/ladder_clip.toml")
    defaults: ClassVar[Mapping[str, Param]] = {
        "transcripts": DEFAULT,
        "network": CLIP.networks.default,
        "tokenizer": CLIP.tokenizers.default,
    }
    encoders = CLIP
    extractor = "dialogue/ladder_clip_embeddings"
    temperature = CLIP_TEMPERATURE


class LadderEmbed(_Ladder):
    """The same with sentence embeddings, which were trained to tell what sentences mean."""

    default_card = load_card("vidchatbench_metrics.dialogue", "cards/ladder_embed.toml")
    defaults: ClassVar[Mapping[str, Param]] = {
        "transcripts": DEFAULT,
        "network": MINILM.networks.default,
        "tokenizer": MINILM.tokenizers.default,
    }
    encoders = MINILM
    extractor = "dialogue/ladder_sentence_embeddings"
    temperature = SENTENCE_TEMPERATURE
