"""The rules of the order by tables made by hand: both sides of each threshold, and what is said without evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vidchatbench.api.cards import Dimension
from vidchatbench.audit.order import Above, Damage, Evidence, Tier, judge_order
from vidchatbench.audit.recipes import FLOORS, RECIPES
from vidchatbench.audit.schema import OrderReport, RecipeScore, RuleFinding

SEEN, HEARD = Dimension.VIDEO_QUALITY, Dimension.VOICE
GROUPS = {recipe.name: recipe.group for recipe in RECIPES}
GOOD: dict[str, float] = {
    "oracle": 100, "reencoded": 97,
    "compress_26": 94, "compress_32": 90, "compress_38": 80, "compress_44": 60, "compress_50": 40,
    "blur_00_5": 95, "blur_01_0": 90, "blur_02_0": 70, "blur_04_0": 40, "blur_08_0": 20,
    "half_size": 85, "fps_15": 80, "another_moment": 60,
    "frozen": 30, "echo": 10, "flap_real": 25,
}  # fmt: skip
TIERS = {name: (Tier(SEEN, 2, 2), Tier(HEARD, 1, 2)) for name in ("frozen", "echo", "flap_real")}
DAMAGE = (Damage("shift_p10", Dimension.AV_SYNC, -20.0, 0.01), Damage("loud", HEARD, -30.0, 0.001))
FLAGGED = {"oracle": 1.0, "remuxed": 1.0, "mirrored": 0.9, "frozen": 0.0, "another_moment": 0.1}


def evidence(scores: Mapping[str, float | None] | None = None, **changes: Any) -> Evidence:
    told = {**GOOD, **(scores or {})}
    entries = {
        name: RecipeScore(recipe=name, group=GROUPS[name], overall=score, overall_ci95=None, dimensions={}, n=12)
        for name, score in told.items()
    }
    known: dict[str, Any] = {"tiers": TIERS, "damage": DAMAGE, "flagged": FLAGGED, "identities": 12}
    return Evidence(scores=entries, **{**known, **changes})


def finding(rule: str, *args: Any, **changes: Any) -> RuleFinding:
    return next(found for found in judge_order(evidence(*args, **changes)) if found.rule == rule)


def order(*args: Any, **changes: Any) -> OrderReport:
    return OrderReport(members=(), scores=(), rules=judge_order(evidence(*args, **changes)))


def test_a_good_table_holds_every_rule() -> None:
    found = order()
    assert {rule.rule: rule.verdict for rule in found.rules if rule.verdict != "held"} == {}
    assert found.holds is True
    assert found.describe() == "the order holds"


@pytest.mark.parametrize(("score", "verdict"), [(100.0, "held"), (99.99, "not held"), (100.01, "not held")])
def test_the_real_replies_score_100(score: float, verdict: str) -> None:
    assert finding("oracle", {"oracle": score}).verdict == verdict


@pytest.mark.parametrize(("score", "verdict", "margin"), [(95.0, "held", 0.0), (94.9, "not held", -0.1)])
def test_the_reencoded_replies_keep_95(score: float, verdict: str, margin: float) -> None:
    found = finding("reencoded", {"reencoded": score})
    assert (found.verdict, found.margin) == (verdict, pytest.approx(margin))


def test_the_margin_between_honest_and_idle_names_both() -> None:
    found = finding("honest_above_no_work")
    assert (found.verdict, found.margin, found.who) == ("held", 30.0, ("another_moment", "frozen"))


@pytest.mark.parametrize(("still", "verdict"), [(59.9, "held"), (60.0, "not held"), (75.0, "not held")])
def test_no_reply_without_work_reaches_an_honest_one(still: float, verdict: str) -> None:
    found = finding("honest_above_no_work", {"frozen": still})
    assert found.verdict == verdict
    assert "frozen" in found.who


def test_who_overlaps_is_named_worst_first() -> None:
    found = finding("honest_above_no_work", {"frozen": 75.0, "flap_real": 78.0})
    assert found.margin == -18.0
    assert found.who == ("flap_real", "frozen", "another_moment", "blur_02_0")
    assert "2 idle replies" in found.reason


@pytest.mark.parametrize(
    ("scores", "verdict", "who"),
    [
        ({"compress_38": 91.0}, "held", "compress_38"),
        ({"compress_38": 91.1}, "not held", "compress_38"),
        ({"half_size": 98.0}, "held", "half_size"),
        ({"half_size": 98.1}, "not held", "half_size"),
        ({"blur_08_0": 41.5}, "not held", "blur_08_0"),
        ({name: 97.0 for name in GOOD if name.startswith("blur")}, "not held", "blur_08_0"),
    ],
)
def test_ladders_go_down(scores: dict[str, float], verdict: str, who: str) -> None:
    found = finding("ladders", scores)
    assert (found.verdict, who in found.who) == (verdict, True)


def test_a_reply_without_work_is_last_somewhere() -> None:
    middle = (Tier(SEEN, 2, 3), Tier(HEARD, 1, 2))
    found = finding("lowest_tier", tiers={**TIERS, "echo": middle})
    assert (found.verdict, found.who) == ("not held", ("echo",))
    alone = (Tier(SEEN, 1, 1), Tier(HEARD, 1, 1))
    found = finding("lowest_tier", tiers={**TIERS, "echo": alone}, identities=3)
    assert (found.verdict, found.who) == ("cannot tell", ("echo",)), "one tier is no lowest one"
    assert "3 identities" in found.reason
    found = finding("lowest_tier", tiers={"frozen": middle, "echo": alone})
    assert (found.verdict, found.who) == ("not held", ("frozen",))


def test_a_column_that_prefers_idleness_is_named() -> None:
    above = (Above("voice/dnsmos_bak", "frozen", False), Above("x/y", "echo", True))
    found = finding("never_above_real", above=above)
    assert (found.verdict, found.who) == ("not held", ("echo",))
    assert "x/y" in found.reason
    found = finding("never_above_real", above=above[:1])
    assert (found.verdict, found.who) == ("cannot tell", ("frozen",))


@pytest.mark.parametrize(
    ("difference", "p", "identities", "verdict"),
    [
        (-1.0, 0.049, 11, "held"),
        (-1.0, 0.05, 11, "not held"),
        (-1.0, 0.05, 10, "held"),
        (0.0, 1.0, 10, "not held"),
        (1.0, 0.01, 12, "not held"),
    ],
)
def test_damage_is_seen_and_from_eleven_identities_on_significantly(
    difference: float, p: float, identities: int, verdict: str
) -> None:
    damage = (*DAMAGE, Damage("half_silent", HEARD, difference, p))
    found = finding("damage", damage=damage, identities=identities)
    assert (found.verdict, found.margin) == (verdict, -difference)
    assert "half_silent" in found.who


@pytest.mark.parametrize(
    ("flagged", "verdict", "who"),
    [
        ({"cropped": 0.51}, "held", "cropped"),
        ({"cropped": 0.5}, "not held", "cropped"),
        ({"frozen": 0.51}, "not held", "frozen"),
        ({"another_moment": 0.6}, "not held", "another_moment"),
    ],
)
def test_copies_are_flagged_and_nothing_else(flagged: dict[str, float], verdict: str, who: str) -> None:
    found = finding("copies", flagged={**FLAGGED, **flagged})
    assert (found.verdict, who in found.who) == (verdict, True)


def test_without_scores_nothing_is_claimed_and_the_gate_stays_shut() -> None:
    nothing = dict.fromkeys(GOOD)
    found = order(nothing, tiers={}, damage=(), flagged={})
    assert {rule.verdict for rule in found.rules} == {"cannot tell"}
    assert found.holds is None
    assert found.describe().startswith("the order is open (cannot tell: The real replies score 100; ")


def test_few_identities_do_not_shut_the_gate_and_a_broken_rule_does() -> None:
    few = {"frozen": (Tier(SEEN, 1, 1),)}
    assert order(tiers=few, identities=3).holds is True
    broken = order({"frozen": 75.0}, tiers=few)
    assert broken.holds is False
    assert "not held: Every honest reply stands above" in broken.describe()


def test_the_groups_are_those_of_the_order() -> None:
    assert GROUPS["blur_02_0"] == GROUPS["compress_38"] == GROUPS["another_moment"] == "honest"
    assert GROUPS["blur_04_0"] == GROUPS["compress_44"] == GROUPS["shift_m25"] == GROUPS["silent"] == "damaged"
    assert GROUPS["frozen"] == GROUPS["echo"] == GROUPS["one_clip"] == GROUPS["nearest_training"] == "no_work"
    assert {GROUPS[name] for name in FLOORS} == {"no_work"}
    assert sum(group == "no_work" for group in GROUPS.values()) >= 15
    assert all(recipe.hurts for recipe in RECIPES if recipe.group == "damaged")
