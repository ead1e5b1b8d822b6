"""``audit.json``: which metrics notice which known faults, and which cheats they fall for."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from vidchatbench.api.cards import Dimension
from vidchatbench.api.samples import Sha256
from vidchatbench.audit.recipe import Group, Kind
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.results.scale import DimensionMembers
from vidchatbench.results.schema import BenchmarkRef, Finite, Floor, MetricRef, SuiteRef, UnavailableMetric, WeightUse

AUDIT_FILE = "audit.json"
ALPHA = 0.05

Verdict = Literal["notices", "does not notice", "cannot tell"]


Rule = Literal[
    "oracle", "reencoded", "honest_above_no_work", "ladders", "lowest_tier", "never_above_real", "damage", "copies"
]
RuleVerdict = Literal["held", "not held", "cannot tell"]

NEED_IDENTITIES: frozenset[Rule] = frozenset({"lowest_tier", "never_above_real"})
"""Rules that rest on tests of significance, which few identities cannot decide."""


class Scored(FrozenModel):
    """What one reference submission scores, as its run says."""

    value: Finite | None
    ci95: tuple[Finite, Finite] | None
    n: int
    n_failed: int
    floor: Floor | None = None


class Paired(FrozenModel):
    """A reference submission against another one, on the samples that both have.

    ``difference`` is its score minus the other's. ``worse`` and ``equal`` count samples. ``p`` is that of the paired
    permutation test over identities, or for metrics of sets that of the jackknifed difference; ``p_holm`` is adjusted
    for the ``comparisons`` that are made with this metric. ``detectable`` is the least difference that would have been
    found in four of five repetitions.
    """

    n: int
    identities: int
    difference: Finite
    ci95: tuple[Finite, Finite] | None
    worse: int
    equal: int
    p: Finite
    p_holm: Finite
    comparisons: int
    detectable: Finite | None


class StepFinding(FrozenModel):
    """One step of a ladder, against the re-encoded reply."""

    recipe: str
    step: Finite
    scored: Scored
    paired: Paired
    outside_oracle: bool | None
    verdict: Verdict
    reason: str


class OrderFinding(FrozenModel):
    """Whether a metric puts the steps of a ladder into their order.

    ``tau`` is the mean over samples of Kendall's tau between step and loss, step 0 included: 1 where every step is
    worse than the one before, -1 where every step is better. ``p`` is that of exchanging the steps within identities;
    it is ``None`` for metrics of sets, which have no score of one sample. ``strict`` says whether the mean gets worse
    with every step, ``identities_strict`` for how many identities.
    """

    tau: Finite
    p: Finite | None
    p_holm: Finite | None
    strict: bool
    n: int
    identities: int
    identities_strict: int | None


class LadderFinding(FrozenModel):
    """One metric on one ladder.

    ``expected`` says whether the metric is of a dimension that must see the fault. ``first_noticed`` is the first step
    whose paired difference is significant, ``first_outside`` the first whose score lies beyond the oracle's interval.
    """

    family: str
    title: str
    unit: str
    expected: bool
    order: OrderFinding
    steps: tuple[StepFinding, ...]
    first_noticed: Finite | None
    first_outside: Finite | None
    verdict: Verdict
    reason: str


class CheatFinding(FrozenModel):
    """One metric on one cheat, against the real replies; ``anchored`` lies between null (0) and oracle (100)."""

    recipe: str
    title: str
    expected: bool
    scored: Scored
    paired: Paired
    anchored: Finite | None
    anchored_ci95: tuple[Finite, Finite] | None
    verdict: Verdict
    reason: str


class MetricAudit(MetricRef):
    """Everything that was found out about one metric.

    ``needed_identities`` is the least number of identities with which a single comparison could be significant.
    """

    weights: tuple[WeightUse, ...]
    identities: int
    needed_identities: int
    oracle: Scored
    reencoded: Scored
    codec: Paired
    codec_verdict: Verdict
    codec_reason: str
    null: str | None
    null_scored: Scored | None
    ladders: tuple[LadderFinding, ...]
    cheats: tuple[CheatFinding, ...]


class RecipeUse(FrozenModel):
    """A reference submission that took part; ``group`` is its class, absent in files of schema version 1."""

    name: str
    family: str
    title: str
    kind: Kind
    group: Group | None = None
    step: Finite
    unit: str
    does: str
    hurts: tuple[Dimension, ...]
    sha256: Sha256
    n: int
    not_made: dict[str, str]


class RecipeScore(FrozenModel):
    """What one reference submission scores on the anchored scale.

    Attributes:
        recipe: Its name.
        group: Its class.
        overall: Its overall score; ``None`` where nothing is on the anchored scale.
        overall_ci95: The interval of the overall score.
        dimensions: Its score in every dimension that has one.
        n: Samples that it was scored on.
    """

    recipe: str
    group: Group
    overall: Finite | None
    overall_ci95: tuple[Finite, Finite] | None
    dimensions: dict[Dimension, Finite]
    n: int


class RuleFinding(FrozenModel):
    """Whether one rule of the order holds.

    Attributes:
        rule: Its name.
        title: What it asks for.
        verdict: Whether it holds.
        margin: By how many points of the anchored scale it holds, negative where it does not; ``None`` where it is not
            a matter of points.
        who: The reference submissions that decide: those which break the rule, or come nearest to it.
        reason: The finding in words.
    """

    rule: Rule
    title: str
    verdict: RuleVerdict
    margin: Finite | None
    who: tuple[str, ...]
    reason: str


class OrderReport(FrozenModel):
    """Whether the reference submissions come in the order in which they must.

    Attributes:
        members: What the overall score is made of.
        scores: What every reference submission scores, best first.
        rules: What was asked, and the answers.
    """

    members: tuple[DimensionMembers, ...]
    scores: tuple[RecipeScore, ...]
    rules: tuple[RuleFinding, ...]

    @property
    def holds(self) -> bool | None:
        """Whether the order holds; ``None`` where no rule is broken, but one that needs no many identities is open."""
        if any(finding.verdict == "not held" for finding in self.rules):
            return False
        decided = all(finding.verdict == "held" for finding in self.rules if finding.rule not in NEED_IDENTITIES)
        return True if decided and self.rules else None

    def describe(self) -> str:
        """Returns in a sentence whether the order holds, and which rules are broken or open."""
        broken = [finding.title for finding in self.rules if finding.verdict == "not held"]
        undecided = [finding.title for finding in self.rules if finding.verdict == "cannot tell"]
        words = {True: "the order holds", False: "the order does not hold", None: "the order is open"}[self.holds]
        parts = [f"not held: {'; '.join(broken)}"] if broken else []
        parts += [f"cannot tell: {'; '.join(undecided)}"] if undecided else []
        return f"{words} ({'. '.join(parts)})" if parts else words


class AuditReport(FrozenModel):
    """``audit.json``.

    ``order`` says whether the replies come in the order in which they must; files of schema version 1 have none.
    ``n_samples`` counts the samples with a real reply, on which everything rests; ``identities`` those who reply.
    """

    schema_version: Literal[1, 2] = 2
    benchmark: BenchmarkRef
    vidchatbench_version: str
    suite: SuiteRef
    alpha: Finite = ALPHA
    seed: int
    n_samples: int
    identities: int
    finished: datetime
    metrics: tuple[MetricAudit, ...]
    unavailable: tuple[UnavailableMetric, ...]
    recipes: tuple[RecipeUse, ...]
    order: OrderReport | None = None

    def metric(self, metric_id: str) -> MetricAudit:
        """Returns what was found out about one metric.

        Raises:
            KeyError: If the audit has no such metric.
        """
        for audit in self.metrics:
            if audit.id == metric_id:
                return audit
        raise KeyError(f"the audit has no metric {metric_id!r}; it has {', '.join(m.id for m in self.metrics)}")

    def to_json(self) -> str:
        """Returns the text of ``audit.json``; NaN and Infinity cannot occur in it."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_audit(path: Path) -> AuditReport:
    """Reads ``audit.json``, or the one in a folder.

    Raises:
        InputError: If there is no such file or it is not valid.
    """
    path = path / AUDIT_FILE if path.is_dir() else path
    if not path.is_file():
        raise InputError(str(path), ["there is no such file"], "Give the folder that `vidchatbench audit` wrote.")
    try:
        return AuditReport.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error)) from error
