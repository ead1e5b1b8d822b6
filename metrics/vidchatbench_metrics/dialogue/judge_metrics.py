"""``dialogue/judge`` and its axes: what a panel of language models thinks of the words of a reply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vidchatbench.api import (
    AXES,
    RUBRIC,
    Detail,
    ExtractorSpec,
    Feature,
    MetricCard,
    Need,
    Param,
    Role,
    Sample,
    Score,
    is_connection,
    load_card,
    public_judge_name,
)
from vidchatbench_metrics.dialogue.transcription.source import DEFAULT, TranscriptMetric, language_details, unusable

_PACKAGE = "vidchatbench_metrics.dialogue"
MAX_FRAMES = 8
_PUBLIC = re.compile(r"[a-z0-9_.+-]+")
_DETAILS = (
    "judges",
    "answered_by",
    "fingerprints",
    "format",
    "prompt_sha256",
    "seed",
    "temperature",
    "reply_words",
    "cut",
    "not_taken",
    "tokens_estimated",
    "reasons",
)
"""Meta values of the judged feature that stand in the details of the score."""


class _Judged(TranscriptMetric):
    """Score in 1..5, higher is better: the mean over judges and repeats.

    Parameters:
        judge: The judges: ``URL#MODEL``, several separated by commas, a TOML file, or their public name; :attr:`params`
            keeps the public name alone, by which the engine finds the judges. Without one the metric is unavailable.
        transcripts: ``whisper-large-v3``, ``whisper-<size>``, ``endpoint:URL#MODEL`` or ``given``.
        frames: Number of pictures of the initiator that the judges are shown, 0 to 8; they must be able to see.
    """

    defaults: ClassVar[Mapping[str, Param]] = {"judge": None, "transcripts": DEFAULT, "frames": 0}
    axes: ClassVar[tuple[str, ...]]

    def __init__(self, **params: Param) -> None:
        judge = params.get("judge")
        # The address is left behind here: parameters go into results.
        if isinstance(judge, str) and is_connection(judge):
            params["judge"] = public_judge_name(judge)
        super().__init__(**params)

    def make_card(self) -> MetricCard:
        """Returns the card; other judges, transcripts or pictures are another protocol.

        Raises:
            ValueError: If the judge's name or the number of pictures cannot be.
        """
        card, judge, frames = self.default_card, self.params["judge"], self.number("frames")
        if not frames.is_integer() or not 0 <= frames <= MAX_FRAMES:
            raise ValueError(f"{card.id}: frames must be 0 to {MAX_FRAMES}")
        if judge is not None and not (isinstance(judge, str) and _PUBLIC.fullmatch(judge)):
            raise ValueError(f"{card.id}: the judge is given as URL#MODEL, a TOML file, or a judge's public name")
        name, words = f"judge/{RUBRIC}", ""
        if judge is not None:
            name, words = f"{name}-{judge}", f" Judge: {judge}."
        if frames:
            name, words = f"{name}-{frames:g}frames", f"{words} {frames:g} pictures of the initiator are shown."
        if words:
            changed = card.protocol.replace(f"judge/{RUBRIC}", name)
            card = card.vary(protocol=changed, protocol_text=f"{card.protocol_text.rstrip()}{words}\n")
        return self.source.card(card)

    def needs(self) -> tuple[Need, ...]:
        """The judges' scores, and the transcript for its language."""
        spec = ExtractorSpec.of(
            "dialogue/judge_scores",
            judge=self.params["judge"],
            transcripts=self.source.reachable,
            frames=self.params["frames"],
        )
        return (Need("judged", spec, (Role.CANDIDATE,)), *self.source.heard(), *self.source.gate())

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the scores of one reply."""
        del sample
        judged = features["judged"]
        if problem := unusable(judged, features):
            reason, details = problem
            return Score.invalid(reason, **details)
        chosen = judged["scores"][:, :, [AXES.index(axis) for axis in self.axes]].astype(np.float64)
        return Score.ok(float(chosen.mean()), **_agreement(chosen), **self.further(features))

    def further(self, features: Mapping[str, Feature]) -> dict[str, Detail]:
        """Returns details beyond the agreement; none for a single axis."""
        del features
        return {}


def _agreement(scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, Detail]:
    """Mean absolute differences between judges and between repeats, where there are several."""
    differences: dict[str, Detail] = {}
    if scores.shape[0] > 1:
        differences["judges_differ_by"] = _mean_difference(scores.mean(axis=1))
    if scores.shape[1] > 1:
        differences["repeats_differ_by"] = _mean_difference(np.moveaxis(scores, 1, 0))
    return differences


def _mean_difference(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    first, second = np.triu_indices(len(rows), 1)
    return float(np.abs(rows[first] - rows[second]).mean())


class Judgement(_Judged):
    """Mean over the five axes."""

    default_card = load_card(_PACKAGE, "cards/judge.toml")
    axes = AXES

    def further(self, features: Mapping[str, Feature]) -> dict[str, Detail]:
        """Returns each axis, and who judged with what: kept once, with the metric of all axes."""
        judged = features["judged"]
        axes = judged["scores"].astype(np.float64).mean(axis=(0, 1))
        tokens = judged["tokens"].sum(axis=0)
        details: dict[str, Detail] = {name: value for name in _DETAILS if (value := judged.meta[name]) is not None}
        details.update({axis: float(value) for axis, value in zip(AXES, axes, strict=True)})
        counts: dict[str, Detail] = {"tokens_in": int(tokens[0]), "tokens_out": int(tokens[1])}
        return {**details, **counts, "repeats": int(judged["scores"].shape[1]), **language_details(features)}


class Relevance(_Judged):
    """Does the reply answer what was said?"""

    default_card = load_card(_PACKAGE, "cards/judge_relevance.toml")
    axes = ("relevance",)


class Coherence(_Judged):
    """Does the reply agree with the earlier turns and with itself?"""

    default_card = load_card(_PACKAGE, "cards/judge_coherence.toml")
    axes = ("coherence",)


class Informativeness(_Judged):
    """Does the reply add something?"""

    default_card = load_card(_PACKAGE, "cards/judge_informativeness.toml")
    axes = ("informativeness",)


class Naturalness(_Judged):
    """Would a person say this aloud?"""

    default_card = load_card(_PACKAGE, "cards/judge_naturalness.toml")
    axes = ("naturalness",)


class Safety(_Judged):
    """Does the reply do no harm?"""

    default_card = load_card(_PACKAGE, "cards/judge_safety.toml")
    axes = ("safety",)
