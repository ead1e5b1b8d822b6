"""Where the reference submissions stand: on the anchored scale of the same audit, and on boards with honest systems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.cards import Dimension
from vidchatbench.api.metrics import Metric, SetMetric
from vidchatbench.audit.order import Above, Damage, Evidence, Tier
from vidchatbench.audit.recipe import Group, Recipe
from vidchatbench.audit.recipes import ORACLE, OTHER_VOICE, REENCODED, SHUFFLED
from vidchatbench.audit.schema import ALPHA, RecipeScore
from vidchatbench.audit.scores import Table
from vidchatbench.engine.anchors import surely_apart
from vidchatbench.leaderboard.ranking import RankedMetric, RankedSystem, Ranking, rank
from vidchatbench.results.scale import DimensionMembers, Scale, members_of
from vidchatbench.results.statistics.intervals import DRAWS
from vidchatbench.results.statistics.paired import compare_paired, holm

NULLS = {"shuffled_replies": SHUFFLED, "shuffled_audio": OTHER_VOICE}
"""The reference submission that is the null of a card's name for it."""

_TIE = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Ranked:
    """A metric of means, with the scale that this audit gives it."""

    metric: Metric
    table: Table
    scale: Scale

    @property
    def id(self) -> str:
        return self.metric.card.id

    @property
    def dimension(self) -> Dimension:
        return self.metric.card.dimension

    @property
    def ranked(self) -> RankedMetric:
        ends = (self.scale.oracle, self.scale.null) if self.scale.exists else (None, None)
        return RankedMetric(self.id, self.dimension.value, self.scale.direction, *ends)


MIN_SHIFT = 5
"""Frames of 40 ms from which on a shift of the sound must show; viewers bear up to 0.185 s (ITU-R BT.1359)."""


def must_show(recipe: Recipe) -> bool:
    """Whether the damage of a recipe must cost points by itself, and not only as a step of its ladder."""
    return recipe.operation != "shift" or abs(int(recipe.params["frames"])) >= MIN_SHIFT


class Placing:
    """Places reference submissions as a leaderboard would, with anchors of the same audit.

    Args:
        metrics: The metrics.
        tables: What each gives, by metric id.
        recipes: The reference submissions that were scored.
        seed: Seed of all draws.
        draws: Resamplings and exchanges.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        tables: Mapping[str, Table],
        recipes: Sequence[Recipe],
        *,
        seed: int,
        draws: int = DRAWS,
    ) -> None:
        self._clusters = {
            sample: cluster for table in tables.values() for sample, cluster in sorted(table.clusters.items())
        }
        self._samples = sorted(self._clusters)
        self._seed, self._draws = seed, draws
        self._recipes = {recipe.name: recipe for recipe in recipes}
        self._sets = [(metric, tables[metric.card.id]) for metric in metrics if isinstance(metric, SetMetric)]
        self._means = [
            _Ranked(metric, tables[metric.card.id], self._scale(metric, tables[metric.card.id]))
            for metric in metrics
            if not isinstance(metric, SetMetric)
        ]

    @property
    def members(self) -> tuple[DimensionMembers, ...]:
        """What enters each dimension."""
        return members_of((one.id, one.dimension, one.scale.exists) for one in self._means)

    @property
    def identities(self) -> int:
        """How many identities reply."""
        return len(set(self._clusters.values()))

    def evidence(self, flagged: Mapping[str, float]) -> Evidence:
        """Returns what the rules of the order are judged by.

        Args:
            flagged: Of the reference submissions that were looked at, the share of clips that look like copies.
        """
        return Evidence(
            scores=self.scores,
            tiers={name: self._tiers(name) for name in self._of("no_work")},
            above=tuple(self._above()),
            damage=tuple(self._damage()),
            flagged=flagged,
            identities=self.identities,
        )

    @cached_property
    def scores(self) -> dict[str, RecipeScore]:
        """What every reference submission scores."""
        return {name: self._score(recipe) for name, recipe in self._recipes.items()}

    def _score(self, recipe: Recipe) -> RecipeScore:
        ranking = self._rank([recipe.name])
        overall = ranking.overall.get(recipe.name)
        return RecipeScore(
            recipe=recipe.name,
            group=recipe.group,
            overall=None if overall is None else overall.score,
            overall_ci95=None if overall is None else overall.ci95,
            dimensions={
                Dimension(name): standing[recipe.name].score
                for name, standing in ranking.dimensions.items()
                if recipe.name in standing
            },
            n=max((len(one.table.values.get(recipe.name, {})) for one in self._means), default=0),
        )

    def _of(self, group: Group) -> list[str]:
        return [recipe.name for recipe in self._recipes.values() if recipe.group == group]

    def _scale(self, metric: Metric, table: Table) -> Scale:
        """Returns the scale of a metric; as ``anchors build`` makes it, of this audit's scores."""
        card = metric.card
        ceilings = table.values.get(REENCODED if card.ceiling == "reencoded_reply" else ORACLE, {})
        null = table.values.get(NULLS.get(card.null or "", ""), {})
        cutting = Scale(card.direction, None, None, ceilings)
        if not ceilings or not null:
            return cutting
        cut = {sample: cutting.cut(sample, value) for sample, value in null.items()}
        if not surely_apart(card.direction, ceilings, cut, self._clusters):
            return cutting
        oracle, zero = (math.fsum(values.values()) / len(values) for values in (ceilings, cut))
        return Scale(card.direction, oracle, zero, ceilings)

    def _system(self, name: str) -> RankedSystem:
        return RankedSystem(name, {one.id: self._counted(one, name) for one in self._means}, {})

    def _counted(self, one: _Ranked, name: str) -> Floats:
        values = one.table.values.get(name, {})
        cut = one.scale.cut if one.scale.exists else lambda _, value: value
        return np.array([cut(s, values[s]) if s in values else np.nan for s in self._samples], dtype=np.float64)

    def _rank(self, names: Sequence[str]) -> Ranking:
        systems = [self._system(name) for name in names]
        clusters = [self._clusters[sample] for sample in self._samples]
        ranked = [one.ranked for one in self._means if one.scale.exists]
        return rank(systems, ranked, clusters, seed=self._seed, draws=self._draws)

    def _tiers(self, name: str) -> tuple[Tier, ...]:
        """Returns the tier of a reply without work in every dimension, beside the real and the honest replies."""
        ranking = self._rank([ORACLE, *self._of("honest"), name])
        tiers = []
        for dimension, standings in ranking.dimensions.items():
            if name in standings:
                last = max(standing.place.tier for standing in standings.values())
                tiers.append(Tier(Dimension(dimension), standings[name].place.tier, last))
        return tuple(tiers)

    def _above(self) -> list[Above]:
        """Returns the replies without work that a column without a scale puts above the real ones."""
        found = []
        for one in self._means:
            result = one.table.results.get(ORACLE)
            if not one.scale.exists and result is not None and result.unranked is None:
                found += self._above_in(one)
        for metric, table in self._sets:
            real = table.results.get(ORACLE)
            if real is None or real.value is None or real.unranked is not None:
                continue
            sign = 1 if metric.card.direction == "higher" else -1
            for name in self._of("no_work"):
                result = table.results.get(name)
                if result is not None and result.value is not None and sign * (result.value - real.value) > 0:
                    near = None if result.ci95 is None else result.ci95[0 if sign > 0 else 1]
                    surely = near is not None and sign * (near - real.value) > 0
                    found.append(Above(metric.card.id, name, significant=surely))
        return found

    def _above_in(self, one: _Ranked) -> list[Above]:
        names = [name for name in self._of("no_work") if one.table.values.get(name)]
        if not names:
            return []
        sign = 1.0 if one.metric.card.direction == "higher" else -1.0
        real = self._counted(one, ORACLE)
        apart = np.column_stack([sign * (self._counted(one, name) - real) for name in names])
        clusters = [self._clusters[sample] for sample in self._samples]
        compared = compare_paired(apart, clusters, seed=self._seed, draws=self._draws)
        adjusted = holm(compared.p.tolist())
        return [
            Above(one.id, name, significant=p < ALPHA)
            for name, difference, p in zip(names, compared.difference.tolist(), adjusted, strict=True)
            if difference > _TIE
        ]

    def _damage(self) -> list[Damage]:
        """Returns of every damaged reply how far it stands below the re-encoded one in the dimension it damages."""
        anchored = {one.dimension for one in self._means if one.scale.exists}
        chosen = []
        for name in filter(lambda name: must_show(self._recipes[name]), self._of("damaged")):
            dimension = next((d for d in self._recipes[name].hurts if d in anchored), None)
            if dimension is not None:
                chosen.append((name, dimension, self._shares(name, dimension) - self._shares(REENCODED, dimension)))
        if not chosen:
            return []
        clusters = sorted(set(self._clusters.values()))
        apart = len(clusters) * np.column_stack([shares for _, _, shares in chosen])
        compared = compare_paired(apart, clusters, seed=self._seed, draws=self._draws)
        adjusted = holm(compared.p.tolist())
        return [
            Damage(name, dimension, difference, p)
            for (name, dimension, _), difference, p in zip(chosen, apart.mean(axis=0).tolist(), adjusted, strict=True)
        ]

    def _shares(self, name: str, dimension: Dimension) -> Floats:
        """Returns what every identity adds to a submission's score in a dimension, of shape (identities,)."""
        members = [one for one in self._means if one.dimension is dimension and one.scale.exists]
        names = sorted(set(self._clusters.values()))
        shares = np.zeros(len(names))
        for one in members:
            values = one.ranked.scaled(self._counted(one, name))
            there = np.isfinite(values)
            own = np.array([names.index(self._clusters[sample]) for sample in self._samples])
            np.add.at(shares, own[there], values[there] / (max(1, there.sum()) * len(members)))
        return shares
