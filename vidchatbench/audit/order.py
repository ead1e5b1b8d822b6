"""The order of the reference submissions: what must stand above what, and whether it does.

The rules are those of ``docs/audit.md``. They are judged by evidence that is gathered elsewhere, so that a table made
by hand can be judged as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vidchatbench.api.cards import Dimension
from vidchatbench.audit.recipe import Group
from vidchatbench.audit.recipes import ORACLE, RECIPES, REENCODED, ladders
from vidchatbench.audit.schema import ALPHA, RecipeScore, Rule, RuleFinding, RuleVerdict
from vidchatbench.report.drawing.text import plural

FULL = 100.0

MIN_REENCODED = 95.0
"""The least that the re-encoded replies must score."""

MAX_RIPPLE = 1.0
"""Points by which a step of a ladder may stand above the one before."""

SIGNIFICANT_FROM = 11
"""Identities from which on damage must be significant: forty comparisons need so many."""

MIN_FLAGGED = 0.5
"""Share of the clips of a copy, over which it must be flagged."""

_EXACT = 1e-6

TITLES: dict[Rule, str] = {
    "oracle": "The real replies score 100",
    "reencoded": f"The re-encoded replies score at least {MIN_REENCODED:g}",
    "honest_above_no_work": "Every honest reply stands above every reply without work",
    "ladders": "Ladders are in order",
    "lowest_tier": "Every reply without work is in the lowest tier of a dimension",
    "never_above_real": "No reply without work stands above the real one in a ranked column",
    "damage": "Damage costs points in the dimension that it damages",
    "copies": "Copies are flagged, and nothing else",
}

Answer = tuple[RuleVerdict, float | None, tuple[str, ...], str]


class Tier(NamedTuple):
    """The tier of a reply in a dimension, on a board with the real and the honest replies; ``last`` is the lowest."""

    dimension: Dimension
    own: int
    last: int


class Above(NamedTuple):
    """A reply without work that a column puts above the real one, and whether that is significant in the column."""

    metric: str
    recipe: str
    significant: bool


class Damage(NamedTuple):
    """How far a damaged reply stands above (below: negative) the re-encoded one in the dimension that it damages.

    ``p_holm`` is adjusted for all damaged replies.
    """

    recipe: str
    dimension: Dimension
    difference: float
    p_holm: float


@dataclass(frozen=True)
class Evidence:
    """What the rules are judged by.

    Attributes:
        scores: What every reference submission scores, by name.
        tiers: Tiers of each reply without work.
        above: Replies without work that a column puts above the real ones.
        damage: Damaged replies against the re-encoded ones.
        flagged: Of each submission that was looked at, the share of its clips that look like copies.
        identities: How many identities reply.
    """

    scores: Mapping[str, RecipeScore]
    tiers: Mapping[str, Sequence[Tier]] = field(default_factory=dict)
    above: Sequence[Above] = ()
    damage: Sequence[Damage] = ()
    flagged: Mapping[str, float] = field(default_factory=dict)
    identities: int = 0

    def of(self, group: Group) -> dict[str, float]:
        """Returns the overall scores of one class, by name."""
        return {
            name: score.overall
            for name, score in self.scores.items()
            if score.group == group and score.overall is not None
        }

    def overall(self, name: str) -> float | None:
        """Returns one overall score; ``None`` where there is none."""
        return self.scores[name].overall if name in self.scores else None


def judge_order(evidence: Evidence) -> tuple[RuleFinding, ...]:
    """Returns what becomes of every rule.

    Args:
        evidence: Scores, tiers, damage and flags of the reference submissions.
    """
    rules: dict[Rule, Callable[[Evidence], Answer]] = {
        "oracle": _oracle,
        "reencoded": _reencoded,
        "honest_above_no_work": _honest_above_no_work,
        "ladders": _ladders,
        "lowest_tier": _lowest_tier,
        "never_above_real": _never_above_real,
        "damage": _damage,
        "copies": _copies,
    }
    findings = []
    for rule, judge in rules.items():
        verdict, margin, who, reason = judge(evidence)
        findings.append(
            RuleFinding(rule=rule, title=TITLES[rule], verdict=verdict, margin=margin, who=who, reason=reason)
        )
    return tuple(findings)


def _oracle(evidence: Evidence) -> Answer:
    score = evidence.overall(ORACLE)
    if score is None:
        return _open("nothing is on the anchored scale")
    margin = -abs(score - FULL)
    return _verdict(margin >= -_EXACT), margin, (ORACLE,), f"they score {score:.2f}"


def _reencoded(evidence: Evidence) -> Answer:
    score = evidence.overall(REENCODED)
    if score is None:
        return _open("nothing is on the anchored scale")
    return _verdict(score >= MIN_REENCODED), score - MIN_REENCODED, (REENCODED,), f"they score {score:.1f}"


def _honest_above_no_work(evidence: Evidence) -> Answer:
    honest, idle = evidence.of("honest"), evidence.of("no_work")
    if not honest or not idle:
        return _open("there are no scores of both")
    last, first = min(honest, key=honest.__getitem__), max(idle, key=idle.__getitem__)
    margin = honest[last] - idle[first]
    if margin > 0:
        reason = f"{_title(last)} scores {honest[last]:.1f}, the best without work, {_title(first)}, {idle[first]:.1f}"
        return "held", margin, (last, first), reason
    over = [name for name in idle if idle[name] >= honest[last]]
    under = [name for name in honest if honest[name] <= idle[first]]
    reason = (
        f"{_title(first)} scores {idle[first]:.1f} without work, {_title(last)} {honest[last]:.1f}; "
        f"{plural(len(over), 'idle reply').replace('replys', 'replies')} and {plural(len(under), 'honest one')} overlap"
    )
    return "not held", margin, (*sorted(over, key=lambda n: -idle[n]), *sorted(under, key=lambda n: honest[n])), reason


def _ladders(evidence: Evidence) -> Answer:
    """Asks of the ladders of the picture: those of the sound rest on one dimension, and damage is asked for there."""
    margins: dict[str, float] = {}
    base = evidence.overall(REENCODED)
    for ladder in ladders():
        if base is None or not any(step.group == "honest" for step in ladder.steps):
            continue
        before = base
        steps = [(step, evidence.overall(step.name)) for step in ladder.steps]
        for step, score in steps:
            if score is not None:
                margins[step.name] = before - score
                before = score
        reached = [score for _, score in steps if score is not None]
        if len(reached) > 1 and reached[-1] >= base:  # a flat ladder is in no order
            margins[steps[-1][0].name] = -FULL
    for name in ("half_size", "fps_15"):
        score = evidence.overall(name)
        if base is not None and score is not None:
            margins[name] = base - score
    if not margins:
        return _open("no ladder has scores")
    lowest = min(margins, key=margins.__getitem__)
    broken = tuple(name for name, margin in margins.items() if margin < -MAX_RIPPLE)
    if broken:
        reason = f"not in order: {_titles(broken)}"
    else:
        reason = f"no step stands more than {MAX_RIPPLE:g} point above the one before; nearest is {_title(lowest)}"
    return _verdict(not broken), margins[lowest] + MAX_RIPPLE, broken or (lowest,), reason


def _lowest_tier(evidence: Evidence) -> Answer:
    if not evidence.tiers:
        return _open("no reply without work has a tier")
    open_ones: list[str] = []
    broken: list[str] = []
    for name, tiers in evidence.tiers.items():
        parted = [tier for tier in tiers if tier.last > 1]
        if any(tier.own == tier.last for tier in parted):
            continue
        (open_ones if not parted else broken).append(name)
    if broken:
        return "not held", None, tuple(broken), f"in no lowest tier: {_titles(broken)}"
    if open_ones:
        few = f"{plural(evidence.identities, 'identity').replace('identitys', 'identities')} make no two tiers"
        return "cannot tell", None, tuple(open_ones), f"{few} for {_titles(open_ones)}"
    return "held", None, (), f"all {len(evidence.tiers)}, each on a board with the real and the honest replies"


def _never_above_real(evidence: Evidence) -> Answer:
    if not evidence.of("no_work"):
        return _open("no reply without work has a score")
    surely = [one for one in evidence.above if one.significant]
    named = surely or list(evidence.above)
    if not named:
        return "held", None, (), "none does; on the anchored scale none can"
    who = tuple(dict.fromkeys(one.recipe for one in named))
    columns = ", ".join(dict.fromkeys(one.metric for one in named))
    if surely:
        return "not held", None, who, f"significantly above in {columns}: {_titles(who)}"
    return "cannot tell", None, who, f"above in {columns}, though not significantly: {_titles(who)}"


def _damage(evidence: Evidence) -> Answer:
    if not evidence.damage:
        return _open("no dimension that is damaged is on the anchored scale")
    nearest = max(evidence.damage, key=lambda one: one.difference)
    unseen = [one for one in evidence.damage if one.difference >= 0]
    unsure = [one for one in evidence.damage if one not in unseen and one.p_holm >= ALPHA]
    must = evidence.identities >= SIGNIFICANT_FROM
    broken = [*unseen, *(unsure if must else ())]
    margin = -nearest.difference
    if broken:
        parts = []
        for words, members in (("not below", unseen), ("below, not significantly", unsure if must else [])):
            if members:
                parts.append(f"{words}: " + ", ".join(f"{_title(m.recipe)} ({m.dimension.label})" for m in members))
        return "not held", margin, tuple(one.recipe for one in broken), "; ".join(parts)
    sure = "significantly" if must else f"in the mean; significance is asked for from {SIGNIFICANT_FROM} identities on"
    reason = f"all {len(evidence.damage)} stand below, {sure}; nearest is {_title(nearest.recipe)}"
    return "held", margin, (nearest.recipe,), reason


def _copies(evidence: Evidence) -> Answer:
    groups = {recipe.name: recipe.group for recipe in RECIPES}
    copies = [name for name in evidence.flagged if groups[name] == "copy" or name in {ORACLE, REENCODED}]
    if not copies:
        return _open("no copy was looked at")
    missed = [name for name in copies if evidence.flagged[name] <= MIN_FLAGGED]
    accused = [n for n in evidence.flagged if groups[n] == "no_work" and evidence.flagged[n] > MIN_FLAGGED]
    accused += [n for n in ("another_moment",) if evidence.flagged.get(n, 0.0) > MIN_FLAGGED]
    if missed or accused:
        parts = [f"not flagged: {_titles(missed)}"] if missed else []
        parts += [f"flagged, though no copy: {_titles(accused)}"] if accused else []
        return "not held", None, (*missed, *accused), "; ".join(parts)
    least = min(copies, key=evidence.flagged.__getitem__)
    reason = f"each in over half of its clips; least often {_title(least)}, in {100 * evidence.flagged[least]:.0f} %"
    return "held", None, (least,), reason


def _open(reason: str) -> Answer:
    return "cannot tell", None, (), reason


def _verdict(held: bool) -> RuleVerdict:
    return "held" if held else "not held"


_TITLE_OF = {recipe.name: recipe.title for recipe in RECIPES}


def _title(name: str) -> str:
    return _TITLE_OF.get(name, name)


def _titles(names: Iterable[str]) -> str:
    return ", ".join(map(_title, names))
