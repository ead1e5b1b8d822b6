"""Networks by short name or by hash: names, weights, messages, and the card that a choice makes."""

from __future__ import annotations

import pytest

from vidchatbench.api import MetricCard
from vidchatbench_metrics.common.networks import Network, Networks

BY_HASH = "sha256:" + "0123456789abcdef" * 4
NETWORKS = Networks(
    (
        Network("large", "large_weights", label="lg", title="the large one"),
        Network("small", "small_weights", license="MIT", commercial_use=True),
    ),
    hashed_label="file-{digits}",
    hashed_title="of sha256 {digits}...",
)
CARD = MetricCard.model_validate(
    {
        "id": "family/name", "version": 1, "title": "Name", "dimension": "identity", "direction": "higher", "unit": "",
        "worst": 0.0, "roles": ("candidate",), "aggregation": "mean", "protocol": "name/{label}-{fps}fps-v1",
        "protocol_text": "{fps} frames a second, network {network}.", "description": "d", "code_license": "MIT",
        "commercial_use": False, "citation": "c", "source": "s", "weights": ("large_weights", "detector"),
        "weights_license": "research only", "fields": {"label": "lg", "network": "the large one", "fps": "5"},
    }
)  # fmt: skip


def test_the_first_is_the_default() -> None:
    assert NETWORKS.default == "large"
    assert NETWORKS.names == ("large", "small")


@pytest.mark.parametrize(
    ("name", "weight"), [("large", "large_weights"), ("small", "small_weights"), (BY_HASH, BY_HASH), ("own", "own")]
)
def test_names_in_the_weights_table(name: str, weight: str) -> None:
    assert NETWORKS.weight_of(name) == weight


@pytest.mark.parametrize(
    ("name", "in_protocol", "in_text"),
    [
        ("large", "lg", "the large one"),
        ("small", "small", "small"),
        (BY_HASH, "file-0123456789ab", "of sha256 0123456789ab..."),
    ],
)
def test_names_in_protocols(name: str, in_protocol: str, in_text: str) -> None:
    network = NETWORKS.find(name)
    assert (network.in_protocol, network.in_text) == (in_protocol, in_text)


@pytest.mark.parametrize(
    "name",
    ["huge", "", "sha256:", "sha256:abc", f"{BY_HASH}0", BY_HASH.upper(), BY_HASH.replace("a", "A"), f" {BY_HASH}"],
)
def test_anything_else_is_refused(name: str) -> None:
    choices = "use large, small or sha256:<64 hex digits>"
    with pytest.raises(ValueError, match="there is no network") as refusal:
        NETWORKS.find(name)
    assert str(refusal.value) == f"there is no network {name!r}; {choices}"
    with pytest.raises(ValueError, match="has no network") as refusal:
        NETWORKS.card(CARD, name)
    assert str(refusal.value) == f"family/name has no network {name!r}; {choices}"


def test_messages_say_what_was_asked_for() -> None:
    tokenizers = Networks((Network("words", "words_file"),), kind="tokenizer")
    with pytest.raises(ValueError, match="family/name has no tokenizer 'x'; use words or sha256:<64 hex digits>"):
        tokenizers.find("x", "family/name")


def test_the_default_is_the_card_itself() -> None:
    assert NETWORKS.card(CARD, "large") == CARD


def test_another_known_network_brings_its_own_terms() -> None:
    card = NETWORKS.card(CARD, "small", fps="2")
    assert card.protocol == "name/small-2fps-v1"
    assert card.protocol_text == "2 frames a second, network small."
    assert card.weights == ("small_weights", "detector")
    assert (card.weights_license, card.commercial_use) == ("MIT", True)


def test_a_network_by_its_hash_is_of_unknown_licence() -> None:
    card = NETWORKS.card(CARD, BY_HASH)
    assert card.protocol == "name/file-0123456789ab-5fps-v1"
    assert card.protocol_text == "5 frames a second, network of sha256 0123456789ab...."
    assert card.weights == (BY_HASH, "detector")
    assert (card.weights_license, card.commercial_use) == ("unknown, the network was named by its hash", False)


def test_without_a_title_texts_use_the_label() -> None:
    assert Networks((Network("a", "b"),)).find(BY_HASH).in_text == "net-0123456789ab"
