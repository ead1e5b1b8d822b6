"""What the suites hold, and what each of them needs."""

from __future__ import annotations

import pytest

from vidchatbench.plugins.availability import weights_of
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.weights.resolver import WeightResolver

OFFERED = {"resemblyzer"}
"""Modules that carry weights and are no dependencies."""


def brought_by_hand(metric_id: str) -> list[str]:
    """Returns the weights of a metric of lite that come with no dependency."""
    catalogue = load_catalogue()
    (entry,) = (entry for entry in catalogue.suite("lite").metrics if entry.metric == metric_id)
    specs = [catalogue.weights[name] for name in weights_of(catalogue.metric(metric_id, **entry.params), catalogue)]
    return [spec.name for spec in specs if spec.package is None or spec.package.module in OFFERED]


@pytest.mark.parametrize("metric_id", [entry.metric for entry in load_catalogue().suite("lite").metrics])
def test_demo_is_what_of_lite_needs_no_download(metric_id: str) -> None:
    in_demo = metric_id in {entry.metric for entry in load_catalogue().suite("demo").metrics}
    assert in_demo == (not brought_by_hand(metric_id))


def test_demo_has_the_parameters_of_lite() -> None:
    lite = {entry.metric: entry for entry in load_catalogue().suite("lite").metrics}
    assert all(lite[entry.metric] == entry for entry in load_catalogue().suite("demo").metrics)


def test_lite_covers_what_is_said_and_the_lips() -> None:
    entries = {entry.metric: entry.params for entry in load_catalogue().suite("lite").metrics}
    for name in ("dialogue/ladder_embed", "dialogue/contingency", "dialogue/wer"):
        assert entries[name] == {"transcripts": "whisper-base"}
    assert {"av_sync/lse_c", "av_sync/lse_d", "av_sync/offset"} <= set(entries)


@pytest.mark.usefixtures("private_cache")
def test_every_missing_weight_is_named_with_one_command() -> None:
    resolver = WeightResolver(load_catalogue().weights)
    assert resolver.fix("minilm_l6_v2", "whisper_base_model") == (
        "vidchatbench weights pull minilm_l6_v2 whisper_base_model"
    )
    assert resolver.fix("dnsmos_p835", "minilm_l6_v2") == (
        "pip install speechmos==0.0.1.1; vidchatbench weights pull minilm_l6_v2"
    )
    assert resolver.fix("resemblyzer_encoder") == "vidchatbench weights pull resemblyzer_encoder"
