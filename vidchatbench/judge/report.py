"""The report on the judging of a run: agreement, length, cost, drift and whether the judge can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.features import Feature
from vidchatbench.api.judging import AXES, RUBRIC
from vidchatbench.api.samples import Sample
from vidchatbench.judge.agreement import krippendorff_alpha, length_effect
from vidchatbench.judge.llm.budget import cost_of
from vidchatbench.judge.panel import SEPARATOR, Panel
from vidchatbench.judge.rubric import PROMPT_SHA256
from vidchatbench.judge.schema import AnchorReport, JudgePart, JudgeReport, LengthReport

LENGTH_BOUND = 0.5
"""Rank correlation of score and length from which on the report warns."""


def judge_report(
    panel: Panel, judged: Mapping[str, Feature], samples: Sequence[Sample], calibration: AnchorReport
) -> JudgeReport:
    """Makes the report of a run.

    Args:
        panel: The judges.
        judged: By sample id, the features of ``dialogue/judge_scores`` of the candidates; those without scores are
            passed over.
        samples: The benchmark's samples; the real replies' transcripts give the length that scores are adjusted to.
        calibration: What the calibration showed.
    """
    kept = [judged[name] for name in sorted(judged) if judged[name]["scores"].size]
    panel_size, repeats = len(panel.settings.judges), panel.settings.repeats
    scores = (
        np.stack([feature["scores"] for feature in kept]).astype(np.float64)
        if kept
        else np.zeros((0, panel_size, repeats, len(AXES)))
    )
    judges = tuple(_part(panel, number, kept, scores) for number in range(panel_size))
    words = [feature.number("reply_words") for feature in kept]
    length = _length(scores, words, samples)
    drift = [
        f"{judge.model}: the replies were judged by several models ({', '.join(judge.answered_by)})"
        for judge in judges
        if len(judge.answered_by) > 1
    ]
    unranked = calibration.unranked or (f"judge drifted: {'; '.join(drift)}" if drift else None)
    return JudgeReport(
        judge=panel.name,
        rubric=RUBRIC,
        prompt_sha256=PROMPT_SHA256,
        seed=panel.settings.seed,
        repeats=repeats,
        n=len(kept),
        mean=float(scores.mean()) if kept else None,
        axes={axis: float(scores[..., k].mean()) for k, axis in enumerate(AXES)} if kept else {},
        alpha_judges=krippendorff_alpha(scores.mean(axis=(2, 3)).T) if kept and panel_size > 1 else None,
        alpha_repeats=_alpha_repeats(scores),
        repeats_differ_by=_repeats_differ_by(scores),
        length=length,
        judges=judges,
        anchors=calibration,
        warnings=(*drift, *_unscored(calibration), *_not_taken(kept), *_warnings(panel, judges, length)),
        unranked=unranked,
    )


def _part(panel: Panel, number: int, kept: Sequence[Feature], scores: NDArray[np.float64]) -> JudgePart:
    settings = panel.settings.judges[number]
    tokens = [sum(int(feature["tokens"][number, k]) for feature in kept) for k in range(2)]
    priced = settings.price_in is not None and settings.price_out is not None
    return JudgePart(
        model=settings.model,
        family=settings.family,
        answered_by=_named(kept, "answered_by", number),
        fingerprints=_named(kept, "fingerprints", number),
        mean=float(scores[:, number].mean()) if kept else None,
        tokens_in=tokens[0],
        tokens_out=tokens[1],
        cost=cost_of(settings, settings.currency, tokens[0], tokens[1]) if priced else None,
        currency=settings.currency if priced else None,
    )


def _named(kept: Sequence[Feature], name: str, number: int) -> tuple[str, ...]:
    texts = {str(feature.meta[name]).split(SEPARATOR)[number] for feature in kept}
    return tuple(sorted({value for text in texts for value in text.split(",")}))


def _length(scores: NDArray[np.float64], words: Sequence[float], samples: Sequence[Sample]) -> LengthReport | None:
    spoken = [sample.responder.transcript for sample in samples if sample.responder is not None]
    lengths = [len(text.split()) for text in spoken if text]
    effect = length_effect(scores.mean(axis=(1, 2, 3)), words, lengths) if len(scores) else None
    if effect is None:
        return None
    return LengthReport(
        rank_correlation=effect.rank_correlation,
        per_doubling=effect.per_doubling,
        adjusted_mean=effect.adjusted_mean,
        reference_words=effect.reference_words,
    )


def _alpha_repeats(scores: NDArray[np.float64]) -> float | None:
    if not len(scores) or scores.shape[2] == 1:
        return None
    alphas = [krippendorff_alpha(scores[:, number].mean(axis=2).T) for number in range(scores.shape[1])]
    defined = [alpha for alpha in alphas if alpha is not None]
    return float(np.mean(defined)) if defined else None


def _repeats_differ_by(scores: NDArray[np.float64]) -> float | None:
    if not len(scores) or scores.shape[2] == 1:
        return None
    first, second = np.triu_indices(scores.shape[2], 1)
    return float(np.abs(scores[:, :, first] - scores[:, :, second]).mean())


def _unscored(calibration: AnchorReport) -> list[str]:
    return [f"the calibration has no score of {missing}" for missing in calibration.unscored]


def _not_taken(kept: Sequence[Feature]) -> list[str]:
    names = sorted({name for feature in kept for name in str(feature.meta["not_taken"]).split(",") if name})
    return (
        [f"an endpoint did not take {' and '.join(names)}, so its answers may differ from run to run"] if names else []
    )


def _warnings(panel: Panel, judges: Sequence[JudgePart], length: LengthReport | None) -> list[str]:
    warnings = []
    if length is not None and abs(length.rank_correlation) >= LENGTH_BOUND:
        warnings.append(
            f"scores go with the length of the replies (rank correlation {length.rank_correlation:+.2f}); "
            f"at the length of the real replies the mean is {length.adjusted_mean:.2f}"
        )
    families = {judge.family for judge in panel.settings.judges}
    if len(judges) == 1:
        warnings.append("a single judge: its preferences are not balanced by others")
    elif len(families) == 1 and None not in families:
        warnings.append("all judges are of one family and share its preferences")
    return warnings
