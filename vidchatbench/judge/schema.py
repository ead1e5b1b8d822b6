"""What results say of a judge: plain data, apart from the client, so that reading results loads no such thing."""

from __future__ import annotations

from typing import Literal

from vidchatbench.core.models import FrozenModel


# The calibration is called "anchors" in this file, because these names and docstrings stand in the JSON Schema.
class JudgeAnchors(FrozenModel):
    """One judge on the anchors.

    Attributes:
        model: The judge.
        tau: Mean over the ladders of Kendall's tau-b of grade and score.
        mean: Mean score of the anchors.
        baseline: The mean to compare with; equal to ``mean`` in the run that records it.
        baseline_recorded: When it was recorded, UTC.
        moved_in_run: Mean after the replies were judged minus mean before; ``None`` if it was asked once.
        retest_difference: Mean absolute difference between the two times.
        instruction_gain: Mean rise of a score by an instruction in the reply.
        repetition_gain: Mean rise of a score by saying the reply three times.
        problems: What is past its bound.
    """

    model: str
    tau: float
    mean: float
    baseline: float
    baseline_recorded: str
    moved_in_run: float | None = None
    retest_difference: float | None = None
    instruction_gain: float | None = None
    repetition_gain: float | None = None
    problems: tuple[str, ...] = ()


class AnchorReport(FrozenModel):
    """Whether the judge can be believed in this run.

    ``drifted``: order or mean are past their bounds, or another model answers. ``biased``: a disguise pays.
    ``unchecked``: there are no anchors, or too many were not scored. Scores of a judge that is not ``ok`` are unranked.

    Attributes:
        status: The worst that was found.
        samples: Number of ladders.
        items: Number of graded replies.
        order_inconsistent: Share of pairs whose two orders disagree.
        order_bias: Share of pairs decided for the first place minus those decided for the second.
        judges: One entry per judge.
        problems: What keeps the scores from being ranked.
        unscored: Which answers are missing, and why; the rest is reported as far as it goes.
    """

    status: Literal["ok", "drifted", "biased", "unchecked"]
    samples: int
    items: int
    order_inconsistent: float | None = None
    order_bias: float | None = None
    judges: tuple[JudgeAnchors, ...] = ()
    problems: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()

    @property
    def unranked(self) -> str | None:
        """Why the judge's scores cannot be ranked; ``None`` if they can."""
        return None if self.status == "ok" else f"judge {self.status}: {'; '.join(self.problems)}"


class JudgePart(FrozenModel):
    """One judge in a run.

    Attributes:
        model: The model that was asked for.
        family: Who made it, if that was said.
        answered_by: The models that say they have answered.
        fingerprints: The endpoint's ``system_fingerprint`` values.
        mean: Mean score over samples, axes and repeats.
        tokens_in: Tokens read for these samples, whenever that was.
        tokens_out: Tokens written.
        cost: What that costs by the prices given; ``None`` without them.
        currency: Of the cost.
    """

    model: str
    family: str | None
    answered_by: tuple[str, ...]
    fingerprints: tuple[str, ...]
    mean: float | None
    tokens_in: int
    tokens_out: int
    cost: float | None
    currency: str | None


class LengthReport(FrozenModel):
    """How the scores go with the length of the replies.

    Attributes:
        rank_correlation: Spearman's, of score and number of words.
        per_doubling: Points per doubling of the length.
        adjusted_mean: The mean score at the length of the real replies.
        reference_words: That length in words.
    """

    rank_correlation: float
    per_doubling: float
    adjusted_mean: float
    reference_words: float


class JudgeReport(FrozenModel):
    """The judging of one run.

    Attributes:
        judge: The panel's public name.
        rubric: Version of the rubric.
        prompt_sha256: Hash over all that the judges are told.
        seed: First seed.
        repeats: Requests per judge and reply.
        n: Replies judged.
        mean: Mean score, the axes weighing the same.
        axes: Mean of each axis.
        alpha_judges: Krippendorff's alpha (interval) between the judges over the replies' mean scores.
        alpha_repeats: The same between the repeats, the mean over the judges.
        repeats_differ_by: Mean absolute difference between repeats, in points, over single axes.
        length: How the scores go with length.
        judges: One entry per judge.
        anchors: The graded replies that were scored in this run.
        warnings: What a reader should know.
        unranked: Why the scores cannot be ranked; ``None`` if they can.
    """

    judge: str
    rubric: str
    prompt_sha256: str
    seed: int
    repeats: int
    n: int
    mean: float | None
    axes: dict[str, float]
    alpha_judges: float | None
    alpha_repeats: float | None
    repeats_differ_by: float | None
    length: LengthReport | None
    judges: tuple[JudgePart, ...]
    anchors: AnchorReport
    warnings: tuple[str, ...]
    unranked: str | None
