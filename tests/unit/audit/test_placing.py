"""Where reference submissions stand, from tables made by hand: scale, cut, tiers, damage, columns without a scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from vidchatbench.api.cards import Dimension, MetricCard
from vidchatbench.api.features import Feature, Need
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Sample
from vidchatbench.api.scores import Score
from vidchatbench.audit.page import render_audit
from vidchatbench.audit.placing import Placing, must_show
from vidchatbench.audit.recipes import RECIPES
from vidchatbench.audit.run import order_of
from vidchatbench.audit.schema import AuditReport, RecipeUse
from vidchatbench.audit.scores import Table
from vidchatbench.results.aggregate import Record, aggregate
from vidchatbench.results.schema import BenchmarkRef, SuiteRef

NAMES = (
    "oracle",
    "reencoded",
    "shuffled",
    "other_voice",
    "blur_02_0",
    "blur_08_0",
    "frozen",
    "echo",
    "loud",
    "remuxed",
)
MADE = tuple(recipe for recipe in RECIPES if recipe.name in NAMES)

Rule = Callable[[str, int], float | None]


def metric(name: str, dimension: str, **changes: Any) -> Metric:
    told = {
        "id": f"test/{name}", "version": 1, "title": name.capitalize(), "dimension": dimension, "direction": "higher",
        "unit": "", "worst": 0.0, "roles": ("candidate",), "aggregation": "mean", "null": "shuffled_replies",
        "protocol": f"{name}/v1", "protocol_text": "p", "description": "d", "code_license": "MIT",
        "commercial_use": True, "citation": "c", "source": "s",
    }  # fmt: skip

    class Plain(Metric):
        default_card = MetricCard.model_validate({**told, **changes})

        def needs(self) -> tuple[Need, ...]:
            return ()

        def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
            raise NotImplementedError

    return Plain()


def samples(count: int) -> list[Sample]:
    sides = [{"media": "m.mp4", "sha256": "0" * 64, "speaker_id": f"p{k:02d}"} for k in range(count)]
    told = {"task": "dialogue", "language": "en"}
    return [
        Sample.model_validate({**told, "id": f"s{k:02d}", "initiator": side, "responder": side})
        for k, side in enumerate(sides)
    ]


def table_of(one: Metric, people: Sequence[Sample], rule: Rule) -> Table:
    table = Table(clusters={sample.id: sample.cluster for sample in people})
    for name in NAMES:
        records = []
        for place, sample in enumerate(people):
            value = rule(name, place)
            if value is not None:
                records.append(Record.of(sample, one, Score.ok(value)))
        table.results[name] = aggregate(one, records, {}, seed=0)
        table.values[name] = {record.sample.id: record.counted for record in records if record.counted is not None}
    return table


def seen(name: str, place: int) -> float:
    """The real replies at 10 to 12, a null at 0, a still above all of them where it is not cut."""
    return {"shuffled": 0.0, "frozen": 14.0, "blur_02_0": 8.0, "blur_08_0": 4.0, "echo": 1.0}.get(
        name, 10.0 + place % 3
    )


def moving(name: str, place: int) -> float:
    return {"shuffled": 0.1, "frozen": 0.1, "echo": 0.3}.get(name, 0.8) + 0.001 * place


def heard(name: str, place: int) -> float:
    return {"shuffled": 0.0, "other_voice": 0.0, "echo": 0.0, "loud": 0.5}.get(name, 1.0) + 0.01 * (place % 4)


def pleasant(name: str, place: int) -> float:
    return {"frozen": 4.0, "echo": 3.0 + 0.5 * (-1) ** place + 0.01}.get(name, 3.0) + 0.001 * place


def placing(count: int = 12, **rules: Rule) -> Placing:
    known: dict[str, tuple[Metric, Rule]] = {
        "seen": (metric("seen", "video_quality"), seen),
        "moving": (metric("moving", "video_quality"), moving),
        "heard": (metric("heard", "voice"), heard),
        "pleasant": (metric("pleasant", "voice", null=None), pleasant),
    }
    people = samples(count)
    tables = {one.card.id: table_of(one, people, rules.get(name, rule)) for name, (one, rule) in known.items()}
    return Placing([one for one, _ in known.values()], tables, MADE, seed=0, draws=400)


@pytest.fixture(scope="module")
def placed() -> Placing:
    return placing()


def test_the_real_replies_are_the_top_and_the_null_the_bottom_of_the_scale(placed: Placing) -> None:
    assert placed.scores["oracle"].overall == pytest.approx(100)
    assert placed.scores["shuffled"].dimensions[Dimension.VIDEO_QUALITY] == pytest.approx(0, abs=1e-9)
    assert placed.scores["shuffled"].overall == pytest.approx(1), "a hole counts as one point"
    assert [one.metrics for one in placed.members if one.metrics] == [("test/seen", "test/moving"), ("test/heard",)]


def test_nothing_counts_above_the_real_reply_and_a_hole_is_not_bought_back(placed: Placing) -> None:
    still = placed.scores["frozen"]
    # 100 of 100 in what it is cut at, 0 in motion.
    assert still.dimensions[Dimension.VIDEO_QUALITY] == pytest.approx(50)
    assert still.dimensions[Dimension.VOICE] == pytest.approx(100)
    assert still.overall == pytest.approx(5000**0.5)


def test_a_null_that_is_not_surely_worse_is_no_scale() -> None:
    found = placing(heard=lambda name, place: 1.0 + 0.5 * ((place + len(name)) % 3))
    assert not any("test/heard" in one.metrics for one in found.members)
    assert found.scores["oracle"].dimensions.keys() == {Dimension.VIDEO_QUALITY}


def test_the_ceiling_of_a_metric_may_be_the_reencoded_reply() -> None:
    people = samples(4)
    one = metric("psnr", "video_quality", ceiling="reencoded_reply")
    values = {"oracle": 100.0, "reencoded": 40.0, "blur_02_0": 30.0}
    table = table_of(one, people, lambda name, place: values.get(name, 20.0) + 0.1 * place)
    found = Placing([one], {one.card.id: table}, MADE, seed=0, draws=200)
    scores = {name: found.scores[name].overall for name in values}
    assert scores == {"oracle": pytest.approx(100), "reencoded": pytest.approx(100), "blur_02_0": pytest.approx(50)}


def test_samples_without_a_clip_are_left_out_of_a_mean() -> None:
    found = placing(seen=lambda name, place: None if name == "blur_02_0" and place > 6 else seen(name, place))
    assert found.scores["blur_02_0"].n == 12, "the other metrics have them all"
    assert found.scores["blur_02_0"].overall is not None


def test_tiers_damage_and_columns(placed: Placing) -> None:
    evidence = placed.evidence({})
    assert set(evidence.tiers) == {"frozen", "echo", "shuffled"}
    tiers = {tier.dimension: tier for tier in evidence.tiers["frozen"]}
    assert tiers[Dimension.VIDEO_QUALITY].own == tiers[Dimension.VIDEO_QUALITY].last > 1
    assert tiers[Dimension.VOICE].own == 1
    damage = {one.recipe: one for one in evidence.damage}
    assert damage["loud"].dimension is Dimension.VOICE
    # 0.5 of the way from 1 to 0, less what is cut: both ends rise alike with the sample.
    assert damage["loud"].difference == pytest.approx(-50)
    assert damage["loud"].p_holm < 0.05
    assert damage["blur_08_0"].difference == pytest.approx(-100 * 7 / 11 / 2)
    above = {(one.metric, one.recipe): one.significant for one in evidence.above}
    assert above == {("test/pleasant", "frozen"): True, ("test/pleasant", "echo"): False}


def test_a_shift_must_show_from_a_fifth_of_a_second_on() -> None:
    shifts = {recipe.name: must_show(recipe) for recipe in RECIPES if recipe.operation == "shift"}
    assert [name for name, shown in shifts.items() if not shown] == ["shift_p02", "shift_p04", "shift_m02", "shift_m04"]
    assert all(must_show(recipe) for recipe in RECIPES if recipe.operation != "shift")


def test_five_identities_have_no_tiers_and_their_damage_is_not_significant() -> None:
    evidence = placing(5).evidence({})
    assert {tier.last for tiers in evidence.tiers.values() for tier in tiers} == {1}
    assert min(one.p_holm for one in evidence.damage) > 0.05


def test_the_page_says_first_whether_the_order_holds(placed: Placing) -> None:
    found = order_of(placed, {"remuxed": 1.0, "oracle": 1.0, "reencoded": 0.2})
    assert found.scores[0].recipe in {"oracle", "reencoded", "remuxed"}
    assert found.holds is False
    uses = tuple(
        RecipeUse(
            name=r.name, family=r.family, title=r.title, kind=r.kind, group=r.group, step=float(r.step), unit=r.unit,
            does=r.does, hurts=r.hurts, sha256=r.sha256, n=12, not_made={},
        )
        for r in MADE
    )  # fmt: skip
    report = AuditReport(
        benchmark=BenchmarkRef(name="toy", version="1.0.0", manifest_sha256="a" * 64, n_samples=12),
        vidchatbench_version="0.0.0", suite=SuiteRef(name="lite", version=1), seed=0, n_samples=12, identities=12,
        finished="2026-01-02T00:00:00Z", metrics=(), unavailable=(), recipes=uses, order=found,
    )  # fmt: skip
    text = render_audit(report)
    assert text.index("The order does not hold") < text.index('id="order"') < text.index('id="matrix"')
    assert text.index('id="matrix"') < text.index('id="support"')
    assert "not flagged: real replies, re-encoded" in text.casefold()
    assert AuditReport.model_validate_json(report.to_json()) == report
    older = {**report.model_dump(mode="json"), "schema_version": 1}
    older.pop("order")
    older["recipes"] = [{k: v for k, v in use.items() if k != "group"} for use in older["recipes"]]
    assert 'id="order"' not in render_audit(AuditReport.model_validate(older))
