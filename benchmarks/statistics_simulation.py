"""What the statistics promise, by simulation: errors of the verdict, coverage, power, and tiers of equal systems.

Run it as `python benchmarks/statistics_simulation.py [--repetitions N] [--json]`. All of it goes through the functions
that `evaluate`, `compare` and `leaderboard build` call. Two minutes on one core with the default of 1000 repetitions.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
from numpy.typing import NDArray

from vidchatbench.leaderboard.ranking import RankedMetric, RankedSystem, rank
from vidchatbench.results.statistics.intervals import Interval, unseen_failure_rate, widen_for_unseen_failures
from vidchatbench.results.statistics.paired import ALPHA, compare_paired, detectable_among, holm

SIZES = (10, 30, 100, 500)
BOARDS = (2, 5, 10, 20)
FAMILIES = (12, 54, 198)
DRAWS = 2_000
VALUE = 0.7
"""What a reply scores that does not fail; a failure is charged 0."""

Floats = NDArray[np.float64]


def names(n: int) -> list[str]:
    """Identities, one sample each."""
    return [f"p{place:04}" for place in range(n)]


def failing_system(n: int, repetitions: int, rate: float, seed: int) -> tuple[Floats, Floats]:
    """Differences of a system that is better everywhere and fails so often that the true difference is 0.

    Returns:
        Differences to the other system and failures, each of shape (n, repetitions).
    """
    generator = np.random.default_rng(seed)
    fails = generator.uniform(size=(n, repetitions)) < rate
    gain = rate * VALUE / (1 - rate) * generator.uniform(0.5, 1.5, (n, repetitions))
    return np.where(fails, -VALUE, gain), fails.astype(np.float64)


def verdicts_on_a_failing_system(n: int, repetitions: int) -> dict[str, float]:
    """Shares of verdicts that the first system is better, although the true difference is 0."""
    differences, fails = failing_system(n, repetitions, 0.01, n)
    found = compare_paired(differences, names(n), seed=0, draws=DRAWS)
    significant = (found.p < ALPHA) & (found.difference > 0)
    better = significant & (found.low > 0)
    priced = np.abs(found.difference) < unseen_failure_rate(n) * VALUE
    reserved = better & (fails.sum(axis=0) == 0) & priced
    return {
        "p alone": float(significant.mean()),
        "p and interval": float(better.mean()),
        "p and interval, without a reservation": float((better & ~reserved).mean()),
    }


def coverage_with_failures(n: int, repetitions: int) -> dict[str, float]:
    """Shares of 95 % intervals that hold the true mean of a system that is nearly constant and fails in 2 %."""
    generator = np.random.default_rng([n, 2])
    fails = generator.uniform(size=(n, repetitions)) < 0.02
    values = np.where(fails, 0.0, 1.0 + generator.normal(0, 1e-3, (n, repetitions)))
    found = compare_paired(values, names(n), seed=0, draws=DRAWS)
    before = after = 0
    for place in range(repetitions):
        interval = Interval(float(found.low[place]), float(found.high[place]))
        before += interval.low <= 0.98 <= interval.high
        if not fails[:, place].any():
            interval = widen_for_unseen_failures(interval, float(found.difference[place]), 0.0, n)
        after += interval.low <= 0.98 <= interval.high
    return {"bootstrap": before / repetitions, "with room for unseen failures": after / repetitions}


def power_at_the_detectable_difference(comparisons: int, repetitions: int) -> dict[str, float]:
    """How often Holm finds a difference of the detectable size among so many comparisons that are null otherwise."""
    generator = np.random.default_rng(comparisons)
    n, found = 100, {"alpha .05": 0, "Holm level": 0}
    for size, factor in (("alpha .05", 1.0), ("Holm level", detectable_among(comparisons))):
        effects = generator.normal(0, 1, (n, repetitions))
        detectable = compare_paired(effects, names(n), seed=0, draws=200).detectable
        p = compare_paired(effects + factor * detectable, names(n), seed=0, draws=20_000).p
        others = generator.uniform(size=(repetitions, comparisons - 1))
        found[size] = sum(holm([mine, *rest])[0] < ALPHA for mine, rest in zip(p, others, strict=True))
    return {name: count / repetitions for name, count in found.items()}


def tiers_of_equal_systems(systems: int, repetitions: int, n: int = 60) -> dict[str, float]:
    """Shares of boards of equal systems with more than one tier, in one metric and in the overall score of four."""
    metrics = [RankedMetric(f"m{k}", f"d{k}", "higher", oracle=1.0, null=0.0) for k in range(4)]
    split = dict.fromkeys(("one metric", "overall"), 0)
    for repetition in range(repetitions):
        generator = np.random.default_rng([systems, repetition])
        common = [generator.normal(0.5, 0.1, n) for _ in metrics]
        board = [
            RankedSystem(
                f"s{place}",
                {metric.id: base + generator.normal(0, 0.1, n) for metric, base in zip(metrics, common, strict=True)},
                {},
            )
            for place in range(systems)
        ]
        ranking = rank(board, metrics, names(n), seed=repetition, draws=500)
        for name, standings in (("one metric", ranking.metrics["m0"]), ("overall", ranking.overall)):
            split[name] += max(standing.place.tier for standing in standings.values()) > 1
    return {name: count / repetitions for name, count in split.items()}


def main() -> None:
    """Runs all simulations and prints them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    times = chosen.repetitions
    report = {
        "better, true difference 0, fails in 1 %": {n: verdicts_on_a_failing_system(n, times) for n in SIZES},
        "coverage, 2 % charged, else constant": {n: coverage_with_failures(n, times) for n in SIZES},
        "power at the detectable difference": {m: power_at_the_detectable_difference(m, times) for m in FAMILIES},
        "boards of equal systems with two tiers": {k: tiers_of_equal_systems(k, max(1, times // 4)) for k in BOARDS},
    }
    if chosen.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    for title, table in report.items():
        sys.stdout.write(f"{title}\n")
        for size, shares in table.items():
            cells = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
            sys.stdout.write(f"  {size:>4}: {cells}\n")


if __name__ == "__main__":
    main()
