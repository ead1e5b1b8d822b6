"""Protocol ids and weights of every metric and of its variants, frozen: a number must not change its name by accident.

A new metric or a new variant is a new line of ``protocol_ids.json``; a line that is there already never changes.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidchatbench.api import Param
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench_metrics import plugin

FROZEN: list[tuple[str, dict[str, Param], str, list[str]]] = json.loads(
    Path(__file__).with_name("protocol_ids.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    ("metric", "params", "protocol", "weights"), FROZEN, ids=[f"{metric} {params}" for metric, params, *_ in FROZEN]
)
def test_is_as_it_always_was(metric: str, params: dict[str, Param], protocol: str, weights: list[str]) -> None:
    card = load_catalogue().metric(metric, **params).card
    assert card.protocol == protocol
    assert list(card.weights) == weights


def test_every_metric_is_frozen() -> None:
    assert {metric for metric, *_ in FROZEN} == set(plugin.metrics)


def test_every_variant_has_a_protocol_id_of_its_own() -> None:
    for name in plugin.metrics:
        protocols = [protocol for metric, _, protocol, _ in FROZEN if metric == name]
        assert len(set(protocols)) == len(protocols), name
