"""The ranking: a rank must not depend on names, on the order of systems, or on who else is on the board."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from vidchatbench.leaderboard.ranking import (
    RankedMetric,
    RankedSystem,
    Ranking,
    SetValue,
    rank,
    rank_limits,
    rank_rows,
    significantly_better,
    tiers_of,
)
from vidchatbench.leaderboard.schema import Place
from vidchatbench.results.statistics.paired import adjusted_for_all_pairs, compare_paired

DRAWS = 2_000
N, SPEAKERS = 120, 30
CLUSTERS = [f"speaker {k % SPEAKERS}" for k in range(N)]
METRICS = (
    RankedMetric("v/up", "video_quality", "higher", oracle=10.0, null=0.0),
    RankedMetric("v/down", "video_quality", "lower", oracle=0.0, null=20.0),
    RankedMetric("i/up", "identity", "higher", oracle=1.0, null=-1.0),
    RankedMetric("i/bare", "identity", "higher"),
    RankedMetric("v/set", "video_quality", "lower"),
)


def system(name: str, quality: float, seed: int, *, spread: float = 0.2, **changes: object) -> RankedSystem:
    """A system whose scores lie around ``quality`` between null (0) and oracle (1)."""
    common = np.random.default_rng(99).normal(0, 0.1, N)
    own = np.random.default_rng(seed)
    share = [np.clip(quality + common + own.normal(0, spread, N), -1, 2) for _ in range(4)]
    counted = {
        "v/up": 10 * share[0],
        "v/down": 20 - 20 * share[1],
        "i/up": -1 + 2 * share[2],
        "i/bare": share[3],
    }
    counted["i/up"][:5] = np.nan
    distance = 50 - 40 * quality
    sets = {"v/set": SetValue(distance, distance - 2, distance + 2)}
    return RankedSystem(name, {**counted, **changes}, sets)  # type: ignore[dict-item]


BOARD = [system(f"s{k}", quality, k) for k, quality in enumerate((0.3, 0.55, 0.55, 0.57, 0.8, 0.32))]


def ranked(systems: list[RankedSystem]) -> Ranking:
    return rank(systems, METRICS, CLUSTERS, seed=3, draws=DRAWS)


def places(ranking: Ranking) -> dict[tuple[str, str], Place]:
    found = {("overall", name): standing.place for name, standing in ranking.overall.items()}
    for table in (ranking.metrics, ranking.dimensions):
        found |= {(part, name): standing.place for part, of in table.items() for name, standing in of.items()}
    return found


def tiers(ranking: Ranking, but: str = "") -> dict[tuple[str, str], int]:
    return {key: place.tier for key, place in places(ranking).items() if key[1] != but}


# --- scale ------------------------------------------------------------------------------------------------------------


def test_null_is_0_and_oracle_100_whatever_the_direction() -> None:
    for metric in METRICS[:3]:
        assert metric.is_anchored
        assert metric.oracle is not None
        assert metric.null is not None
        assert metric.scaled(np.array([metric.null, metric.oracle])).tolist() == [0.0, 100.0]


@pytest.mark.parametrize(
    "metric",
    [
        RankedMetric("a", "d", "higher", oracle=1.0, null=2.0),
        RankedMetric("a", "d", "lower", oracle=2.0, null=1.0),
        RankedMetric("a", "d", "higher", oracle=1.0, null=1.0),
        RankedMetric("a", "d", "higher", oracle=1.0),
        RankedMetric("a", "d", "higher", null=1.0),
    ],
)
def test_a_scale_that_runs_backwards_is_none(metric: RankedMetric) -> None:
    assert not metric.is_anchored


def test_a_dimension_is_the_mean_of_its_anchored_metrics_and_overall_the_geometric_mean_of_dimensions() -> None:
    ranking = ranked(BOARD)
    assert ranking.members == {"video_quality": ("v/up", "v/down"), "identity": ("i/up",)}
    for name in ("s0", "s4"):
        one = next(s for s in BOARD if s.id == name)
        up, down = np.mean(one.counted["v/up"]) * 10, 100 - np.mean(one.counted["v/down"]) * 5
        identity = (np.nanmean(one.counted["i/up"]) + 1) * 50
        assert ranking.dimensions["video_quality"][name].score == pytest.approx((up + down) / 2)
        assert ranking.overall[name].score == pytest.approx(math.sqrt((up + down) / 2 * identity))


def test_a_hole_in_one_dimension_is_not_bought_back_in_the_other() -> None:
    whole = RankedSystem("whole", {"v/up": np.full(N, 5.0), "i/up": np.full(N, 0.0)}, {})
    hole = RankedSystem("hole", {"v/up": np.full(N, 10.0), "i/up": np.full(N, -1.1)}, {})
    metrics = (METRICS[0], METRICS[2])
    ranking = rank([whole, hole], metrics, CLUSTERS, seed=0, draws=200)
    assert ranking.overall["whole"].score == pytest.approx(50.0)
    assert ranking.dimensions["identity"]["hole"].score == pytest.approx(-5.0)
    assert ranking.overall["hole"].score == pytest.approx(10.0), "the root of 100 and of one point"
    assert ranking.overall["hole"].place.tier == 2
    assert ranking.overall["hole"].ci95 == pytest.approx((10.0, 10.0))


def test_the_interval_of_the_overall_score_is_drawn_from_the_dimensions() -> None:
    standing = ranked(BOARD).overall["s1"]
    one = BOARD[1]
    index = np.unique(CLUSTERS, return_inverse=True)[1]
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(2_000):
        picked = np.concatenate([np.flatnonzero(index == k) for k in generator.integers(0, SPEAKERS, SPEAKERS)])
        up, down, identity = (one.counted[name][picked] for name in ("v/up", "v/down", "i/up"))
        drawn.append(math.sqrt((10 * up.mean() + 100 - 5 * down.mean()) / 2 * 50 * (np.nanmean(identity) + 1)))
    assert standing.ci95 is not None
    width = standing.ci95[1] - standing.ci95[0]
    assert width == pytest.approx(np.subtract(*np.quantile(drawn, [0.975, 0.025])), rel=0.12)


def test_the_better_system_is_first_in_every_column() -> None:
    ranking = ranked(BOARD)
    best = [name for (_, name), place in places(ranking).items() if place.rank == 1]
    assert set(best) == {"s4"}
    assert len(best) == len(METRICS) + 3


def test_intervals_hold_their_estimate() -> None:
    ranking = ranked(BOARD)
    for standing in [*ranking.overall.values(), *ranking.dimensions["identity"].values()]:
        assert standing.ci95 is not None
        assert standing.ci95[0] < standing.score < standing.ci95[1]
        assert standing.place.rank_low <= standing.place.rank <= standing.place.rank_high


# --- who else is there ------------------------------------------------------------------------------------------------


def test_the_order_of_the_systems_and_their_names_play_no_part() -> None:
    base = places(ranked(BOARD))
    for seed in range(4):
        order = list(range(len(BOARD)))
        random.Random(seed).shuffle(order)
        renamed = {k: f"{random.Random(seed + k).random()}" for k in order}
        found = places(ranked([replace(BOARD[k], id=renamed[k]) for k in order]))
        assert {(part, renamed[int(name[1:])]): place for (part, name), place in base.items()} == found


def test_a_copy_shares_rank_and_tier_and_changes_nobodys_tier() -> None:
    base = ranked(BOARD)
    for original in BOARD:
        found = ranked([*BOARD, replace(original, id="copy")])
        assert tiers(found, but="copy") == tiers(base)
        for (part, name), place in places(found).items():
            if name == "copy":
                assert place == places(found)[part, original.id]


@pytest.mark.parametrize("quality", [-0.8, 0.0])
def test_a_worst_dummy_changes_nothing_for_anybody(quality: float) -> None:
    base, found = places(ranked(BOARD)), places(ranked([*BOARD, system("dummy", quality, 77)]))
    assert {key: place for key, place in found.items() if key[1] != "dummy"} == base
    assert all(place.rank == len(BOARD) + 1 for (_, name), place in found.items() if name == "dummy")


def test_a_new_best_moves_all_down_by_one_and_keeps_their_relation() -> None:
    base, found = places(ranked(BOARD)), places(ranked([system("star", 0.99, 78, spread=0.01), *BOARD]))
    for key, place in base.items():
        if key[0] == "v/set":
            continue
        assert found[key].tier == place.tier + 1
        assert found[key].rank == place.rank + 1


def test_a_dummy_in_the_middle_never_turns_a_relation_round() -> None:
    base = ranked(BOARD)
    for quality in (0.35, 0.45, 0.56, 0.7):
        found = ranked([*BOARD, system("dummy", quality, 79)])
        for part, before in {**base.metrics, **base.dimensions, "overall": base.overall}.items():
            after = {**found.metrics, **found.dimensions, "overall": found.overall}[part]
            names = list(before)
            assert all(after[name].score == pytest.approx(before[name].score, rel=1e-12) for name in names)
            for a in names:
                for b in names:
                    ahead = before[a].place.rank < before[b].place.rank
                    assert (after[a].place.rank < after[b].place.rank) is ahead


def shares_of(part: str, systems: list[RankedSystem]) -> np.ndarray:
    """What each speaker adds to each system's mean."""
    index = np.unique(CLUSTERS, return_inverse=True)[1]
    values = np.column_stack([np.nan_to_num(system.counted[part]) for system in systems])
    return np.array([values[index == k].sum(axis=0) for k in range(SPEAKERS)]) / N


def test_nobody_in_a_tier_is_significantly_better_than_another_of_it() -> None:
    ranking = ranked(BOARD)
    signs = np.random.Generator(np.random.PCG64([3, 1])).choice((-1.0, 1.0), size=(DRAWS, SPEAKERS))
    for part in ("v/up", "v/down", "i/bare"):
        p = adjusted_for_all_pairs(shares_of(part, BOARD), signs)
        found = 0
        for i, a in enumerate(BOARD):
            for k, b in enumerate(BOARD):
                apart = (-1 if part == "v/down" else 1) * (a.counted[part] - b.counted[part])
                low = compare_paired(apart[:, None], CLUSTERS, seed=3, draws=DRAWS).low[0]
                if p[i, k] < 0.05 and apart.mean() > 0 and low > 0:
                    found += 1
                    assert ranking.metrics[part][a.id].place.tier < ranking.metrics[part][b.id].place.tier
        assert found >= 8


def test_a_newcomer_can_blur_a_difference_and_never_sharpens_one() -> None:
    base = tiers(ranked([system("a", 0.50, 1), system("b", 0.54, 2)]))
    crowd = [system(f"c{k}", 0.52, 10 + k) for k in range(12)]
    blurred = tiers(ranked([system("a", 0.50, 1), system("b", 0.54, 2), *crowd]))
    assert base["v/up", "a"] == 2
    assert blurred["v/up", "a"] == 1
    assert blurred["v/up", "b"] == 1


def test_better_takes_an_interval_without_zero() -> None:
    # The test tells the two apart: one is better for all speakers but two, of which one costs all that it gains.
    gain = np.full(N, 0.02) + np.random.default_rng(1).normal(0, 0.001, N)
    for cost, tier in ((0.0, 2), (0.5, 1)):
        other = np.full(N, 0.5)
        one = other + gain
        one[[k for k, name in enumerate(CLUSTERS) if name == "speaker 3"]] -= cost
        systems = [RankedSystem("one", {"i/bare": one}, {}), RankedSystem("other", {"i/bare": other}, {})]
        assert ranked(systems).metrics["i/bare"]["other"].place.tier == tier


@pytest.mark.parametrize(("apart", "tier"), [(2.7, 1), (2.9, 2)])
def test_sets_of_two_systems_differ_beyond_the_root_of_their_squared_halves(apart: float, tier: int) -> None:
    systems = [
        RankedSystem(name, {}, {"v/set": SetValue(value, value - 2, value + 2)})
        for name, value in (("a", 10.0), ("b", 10.0 + apart))
    ]
    assert ranked(systems).metrics["v/set"]["b"].place.tier == tier


def test_more_sets_must_lie_further_apart() -> None:
    # Two half intervals of 2 give 2.83; at Bonferroni's level for 10 pairs it is 4.05.
    for apart, tier in ((4.0, 1), (4.1, 2)):
        values = {"a": 10.0, "b": 10.0 + apart, "c": 10.0 + apart, "d": 10.0 + apart, "e": 10.0 + apart}
        systems = [RankedSystem(k, {}, {"v/set": SetValue(v, v - 2, v + 2)}) for k, v in values.items()]
        assert ranked(systems).metrics["v/set"]["b"].place.tier == tier


def test_the_test_is_that_of_the_comparison() -> None:
    a, b = BOARD[1], BOARD[3]
    shares = np.zeros((SPEAKERS, 2))
    for k, name in enumerate(sorted(set(CLUSTERS))):
        inside = [place for place, cluster in enumerate(CLUSTERS) if cluster == name]
        shares[k] = [np.sum(s.counted["v/up"][inside]) / N for s in (a, b)]
    signs = np.random.Generator(np.random.PCG64([3, 1])).choice((-1.0, 1.0), size=(DRAWS, SPEAKERS))
    means = shares.sum(axis=0)
    for offset in np.linspace(-0.6, 0.6, 25):
        moved = a.counted["v/up"] + offset - b.counted["v/up"]
        p = compare_paired(moved[:, None], CLUSTERS, seed=3, draws=DRAWS).p[0]
        counts = np.full(SPEAKERS, N / SPEAKERS)
        shifted = shares + np.column_stack([offset * counts / N, np.zeros(SPEAKERS)])
        found = significantly_better(np.array([means[0] + offset, means[1]]), shifted, signs)
        assert bool(found[0, 1] or found[1, 0]) is bool(p < 0.05)


# --- ties -------------------------------------------------------------------------------------------------------------


def test_equal_scores_share_a_rank_and_the_next_is_counted_on() -> None:
    assert rank_rows(np.array([[3.0, 5.0, 3.0, 1.0, 5.0]])).tolist() == [[3, 1, 3, 5, 1]]


def test_rounding_breaks_no_tie() -> None:
    assert rank_rows(np.array([[0.1 + 0.2, 0.3, 0.3 - 1e-15]])).tolist() == [[1, 1, 1]]
    assert rank_rows(np.array([[1e-16, 0.0, -1e-16]]), floor=1.0).tolist() == [[1, 1, 1]]
    assert rank_rows(np.array([[0.3, 0.3 - 1e-6]])).tolist() == [[1, 2]]


def test_the_same_samples_in_another_order_tie() -> None:
    forth = system("forth", 0.5, 1)
    everything = np.random.default_rng(5).permutation(N)
    values = {name: column[everything] for name, column in forth.counted.items()}
    ranking = rank([forth, RankedSystem("back", values, forth.sets)], METRICS, ["one"] * N, seed=0, draws=50)
    assert {place.rank for place in places(ranking).values()} == {1}


def test_rank_limits_hold_the_middle_95_percent() -> None:
    ranks = np.array([[1]] * 20 + [[2]] * 960 + [[3]] * 20)
    low, high = rank_limits(ranks)
    assert (low[0], high[0]) == (2, 2)
    low, high = rank_limits(np.array([[1]] * 60 + [[2]] * 900 + [[3]] * 40))
    assert (low[0], high[0]) == (1, 3)


def test_a_tier_is_the_longest_chain() -> None:
    # 0 beats 1 and 3, 1 beats 2; 2 and 3 do not beat each other.
    better = np.zeros((4, 4), dtype=bool)
    better[0, 1] = better[0, 3] = better[1, 2] = True
    assert tiers_of(better, np.array([4.0, 3.0, 2.0, 1.0])) == [1, 2, 3, 2]


# --- the edges --------------------------------------------------------------------------------------------------------


def test_sets_differ_where_their_intervals_lie_apart() -> None:
    values = {"a": (10.0, 9.0, 11.0), "b": (12.0, 10.5, 13.5), "c": (14.0, 13.6, 14.4), "d": (14.0, None, None)}
    systems = [RankedSystem(name, {}, {"v/set": SetValue(*found)}) for name, found in values.items()]
    found = {name: s.place for name, s in ranked(systems).metrics["v/set"].items()}
    assert [found[name].rank for name in "abcd"] == [1, 2, 3, 3]
    assert [found[name].tier for name in "abcd"] == [1, 1, 2, 1]
    assert (found["d"].rank_low, found["d"].rank_high) == (1, 4)
    assert (found["a"].rank_low, found["a"].rank_high) == (1, 3)
    assert ranked(systems).overall == {}


def test_two_identities_say_nothing() -> None:
    one, two = system("one", 0.2, 1), system("two", 0.9, 2)
    ranking = rank([one, two], METRICS, [f"speaker {k % 2}" for k in range(N)], seed=0, draws=50)
    for (part, _), place in places(ranking).items():
        if part != "v/set":
            assert (place.rank_low, place.rank_high, place.tier) == (1, 2, 1)
    assert all(standing.ci95 is None for standing in ranking.overall.values())


def test_who_lacks_a_metric_is_ranked_in_the_others() -> None:
    lacking = replace(BOARD[4], id="lacking", counted={k: v for k, v in BOARD[4].counted.items() if k != "i/up"})
    ranking = ranked([*BOARD, lacking])
    assert "lacking" in ranking.dimensions["video_quality"]
    assert "lacking" not in ranking.dimensions["identity"]
    assert "lacking" not in ranking.overall
    assert {k: s.place for k, s in ranking.overall.items()} == {k: s.place for k, s in ranked(BOARD).overall.items()}


def test_an_anchored_metric_that_nobody_has_leaves_its_dimension_empty() -> None:
    bare = [replace(s, counted={k: v for k, v in s.counted.items() if k != "i/up"}) for s in BOARD]
    ranking = ranked(bare)
    assert ranking.dimensions["identity"] == {}
    assert ranking.overall == {}, "who enters must not depend on who is on the board"


def test_an_empty_board() -> None:
    ranking = ranked([])
    assert ranking.overall == {}
    assert all(of == {} for of in ranking.metrics.values())


def test_one_system_alone_is_first() -> None:
    assert {tuple(p.model_dump().values()) for p in places(ranked(BOARD[:1])).values()} == {(1, 1, 1, 1)}


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        ranked([BOARD[0], BOARD[0]])
    with pytest.raises(ValueError, match="does not have 3 samples"):
        rank(BOARD, METRICS, ["a", "b", "c"], seed=0)
