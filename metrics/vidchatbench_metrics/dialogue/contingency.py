"""``dialogue/contingency``: whether a reply answers this initiator rather than any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ExtractorSpec,
    JointItem,
    JointMetric,
    JointScores,
    MetricCard,
    Need,
    Param,
    Role,
    Score,
    Status,
    load_card,
)
from vidchatbench_metrics.dialogue.other_samples import SPREAD, length_difference, strangers
from vidchatbench_metrics.dialogue.text_weights import MINILM
from vidchatbench_metrics.dialogue.transcription.source import DEFAULT, TranscriptMetric, language_details, unusable
from vidchatbench_metrics.dialogue.transcription.transcript import OK

DECOYS = 20
SEED = "contingency-v1"
PERMUTATIONS = 10_000
_CHUNK = 500
ECHO = 0.9
"""Cosine of a reply to its initiator from which on it repeats what was said instead of answering it."""

TIE = 1e-6
"""Cosines that differ by no more are equal: the rounding of float32 must not decide a rank."""


@dataclass(frozen=True)
class Trial:
    """One reply before its own initiator and the decoys.

    Attributes:
        item: The sample.
        decoys: The samples whose initiators are the decoys.
    """

    item: JointItem
    decoys: tuple[JointItem, ...]


def chance_level(decoys: int) -> float:
    """Returns the mean reciprocal rank of a reply that fits no initiator more than another: H(K + 1) / (K + 1)."""
    return float(np.mean(1.0 / np.arange(1, decoys + 2)))


def reciprocal_rank(own: float, decoys: NDArray[np.float64]) -> float:
    """Returns the reciprocal rank of the own cosine, averaged over every order of those that are equal to it.

    Args:
        own: Cosine to the own initiator.
        decoys: Cosines to the decoys, of shape (k,).
    """
    nearer = int(np.sum(decoys > own + TIE))
    equal = int(np.sum(np.abs(decoys - own) <= TIE))
    return float(np.mean(1.0 / np.arange(nearer + 1, nearer + equal + 2)))


def permutation_p(gaps: NDArray[np.float64]) -> float:
    """Returns how often replies that are dealt out at random leave a mean gap as large as theirs.

    Args:
        gaps: Gap that the reply of column j leaves in the place of row i, of shape (n, n).

    Returns:
        One-sided p over 10 000 permutations with seed 0, the given order counted among them.
    """
    n = len(gaps)
    rng = np.random.default_rng(0)
    actual = float(np.trace(gaps)) / n
    reached = 1
    rows = np.arange(n)
    for start in range(0, PERMUTATIONS, _CHUNK):
        dealt = rng.random((min(_CHUNK, PERMUTATIONS - start), n)).argsort(axis=1)
        reached += int(np.sum(gaps[rows, dealt].mean(axis=1) >= actual - 1e-9))
    return reached / (PERMUTATIONS + 1)


class Contingency(TranscriptMetric, JointMetric):
    """Mean reciprocal rank of the true initiator among 20 others, by what is said; in 0..1, higher is better.

    Parameters:
        transcripts: ``whisper-large-v3``, ``whisper-<size>``, ``endpoint:URL#MODEL`` or ``given``.
        network: The official text encoder by its short name, or ``sha256:<64 hex>`` for any of that kind whose file
            lies in the weights mirror.
        tokenizer: Likewise, its tokenizer.

    Summary:
        chance: Mean reciprocal rank that replies to nobody in particular reach with these numbers of decoys.
        decoys: Mean number of decoys.
        echoes: Number of replies that repeat the initiator; they count as chance and are left out of gap and p.
        gap: Mean cosine to the own initiator minus that to the decoys.
        p: That dealing the replies out at random gives as large a gap (see :func:`permutation_p`).
    """

    default_card = load_card("vidchatbench_metrics.dialogue", "cards/contingency.toml")
    defaults: ClassVar[Mapping[str, Param]] = {
        "transcripts": DEFAULT,
        "network": MINILM.networks.default,
        "tokenizer": MINILM.tokenizers.default,
    }
    background: ClassVar[tuple[str, ...]] = ("initiator",)

    def make_card(self) -> MetricCard:
        """Returns the card; other transcripts or another encoder are another protocol."""
        card = MINILM.card(self.default_card, str(self.params["network"]), str(self.params["tokenizer"]))
        return self.source.card(card)

    def needs(self) -> tuple[Need, ...]:
        """What both sides say as vectors, and the reply's transcript for its language."""
        params: dict[str, Param] = {
            "network": self.params["network"],
            "tokenizer": self.params["tokenizer"],
            "transcripts": self.source.reachable,
        }
        return (
            Need("reply", ExtractorSpec.of("dialogue/reply_embedding", **params), (Role.CANDIDATE,)),
            Need("initiator", ExtractorSpec.of("dialogue/initiator_embedding", **params), (Role.INITIATOR,)),
            *self.source.heard(),
            *self.source.gate(),
        )

    def score_all(self, items: Sequence[JointItem]) -> JointScores:
        """Ranks the true initiator of every reply among the decoys."""
        offered = [item for item in items if _may_be_decoy(item)]
        scores, trials = [], []
        for item in items:
            score, trial = _score(item, offered)
            scores.append(score)
            trials += [] if trial is None else [trial]
        return JointScores(scores, _summary(trials, scores))


def _may_be_decoy(item: JointItem) -> bool:
    """Whether an initiator says something; one that could not be embedded is an error of whoever draws it."""
    if item.settled is not None and item.settled.status is Status.NOT_APPLICABLE:
        return False
    return "initiator" not in item.features or _is_heard(item)


def _is_heard(item: JointItem) -> bool:
    return str(item.features["initiator"].meta["status"]) == OK


def _score(item: JointItem, offered: Sequence[JointItem]) -> tuple[Score, Trial | None]:
    if item.settled is not None:
        return item.settled, None
    if not _is_heard(item):
        return Score.not_applicable("no words are heard of the initiator"), None
    decoys = strangers(item, offered, DECOYS, seed=SEED, role=Role.INITIATOR)
    if not decoys:
        return Score.not_applicable("no other sample has an initiator of another speaker in this language"), None
    if problem := unusable(item.features["reply"], item.features):
        reason, details = problem
        return Score.invalid(reason, **details), None
    if lost := [decoy.sample.id for decoy in decoys if "initiator" not in decoy.features]:
        return Score(Status.ERROR, None, f"the initiator of {lost[0]} could not be embedded"), None
    reply = _vector(item, "reply")
    own = float(reply @ _vector(item, "initiator"))
    cosines = np.stack([_vector(decoy, "initiator") for decoy in decoys]) @ reply
    chance, echo = chance_level(len(decoys)), own >= ECHO
    score = Score.ok(
        chance if echo else reciprocal_rank(own, cosines),
        chance=chance,
        echo=echo,
        decoys=len(decoys),
        of_like_length=sum(length_difference(item, decoy, Role.INITIATOR) <= SPREAD for decoy in decoys),
        cosine=own,
        gap=own - float(cosines.mean()),
        **language_details(item.features),
    )
    return score, None if echo else Trial(item, tuple(decoys))


def _vector(item: JointItem, name: str) -> NDArray[np.float64]:
    return item.features[name]["vector"].astype(np.float64)


def _summary(trials: Sequence[Trial], scores: Sequence[Score]) -> Mapping[str, float]:
    scored = [score.details for score in scores if score.status is Status.OK]
    if not scored:
        return {}
    summary = {name: float(np.mean([float(details[name]) for details in scored])) for name in ("chance", "decoys")}
    if echoes := sum(bool(details["echo"]) for details in scored):
        summary["echoes"] = float(echoes)
    if trials:
        gaps = gap_table(trials)
        summary["gap"] = float(np.trace(gaps)) / len(trials)
        if len(trials) > 1:
            summary["p"] = permutation_p(gaps)
    return summary


def gap_table(trials: Sequence[Trial]) -> NDArray[np.float64]:
    """Returns the gap that every reply would leave in the place of every other, of shape (n, n).

    Row i is the sample whose initiator and decoys count, column j the reply.
    """
    replies = np.stack([_vector(trial.item, "reply") for trial in trials], axis=1)
    rows = []
    for trial in trials:
        decoys = np.mean([_vector(decoy, "initiator") for decoy in trial.decoys], axis=0)
        rows.append((_vector(trial.item, "initiator") - decoys) @ replies)
    return np.stack(rows)
