"""Fields of a card's protocol: filled when the card is read, filled anew by a variation, and checked in both cases."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from vidchatbench.api import MetricCard, load_card

CARD = """
id = "family/name"
version = 1
title = "Name"
dimension = "identity"
direction = "higher"
unit = ""
worst = 0.0
roles = ["candidate"]
aggregation = "mean"
protocol = "{protocol}"
protocol_text = "{text}"
description = "What it measures, {{in braces}}."
code_license = "Apache-2.0"
commercial_use = true
citation = "@misc{{name}}"
source = "The paper."
"""
FIELDS = '\n[fields]\nnetwork = "official"\nfps = "5"\n'
PROTOCOL = "name/{network}-{fps}fps-v1"
TEXT = "{fps} frames a second, network {network}."


class Package:
    """A package whose cards are written by the test."""

    name = "vcb_card_fields"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / self.name
        self._folder.mkdir()
        (self._folder / "__init__.py").write_text("", encoding="utf-8")

    def load(self, protocol: str = PROTOCOL, text: str = TEXT, fields: str = FIELDS) -> MetricCard:
        content = CARD.format(protocol=protocol, text=text) + fields
        (self._folder / "card.toml").write_text(content, encoding="utf-8")
        return load_card(self.name, "card.toml")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, Package.name, raising=False)
    return Package(tmp_path)


def test_a_loaded_card_reads_as_if_its_defaults_were_written_out(package: Package) -> None:
    card = package.load()
    assert card.protocol == "name/official-5fps-v1"
    assert card.protocol_text == "5 frames a second, network official."
    assert card.fields == {"network": "official", "fps": "5"}
    plain = package.load("name/official-5fps-v1", "5 frames a second, network official.", "")
    assert card.model_dump() == plain.model_dump()
    assert "fields" not in card.model_dump()


def test_other_texts_keep_their_braces(package: Package) -> None:
    card = package.load()
    assert card.description == "What it measures, {in braces}."
    assert card.citation == "@misc{name}"


def test_a_variation_fills_both_texts_anew(package: Package) -> None:
    varied = package.load().vary(fields={"fps": "12.5"}, title="Other")
    assert varied.protocol == "name/official-12.5fps-v1"
    assert varied.protocol_text == "12.5 frames a second, network official."
    assert varied.title == "Other"
    again = varied.vary(fields={"network": "{fps}"}, protocol="name/odd-v1")
    assert again.protocol_text == "12.5 frames a second, network {fps}."
    assert again.protocol == "name/odd-v1"


def test_a_text_that_is_given_has_no_more_fields(package: Package) -> None:
    varied = package.load().vary(fields={"fps": "1"}, protocol_text="Frames of {any} kind.")
    assert varied.protocol_text == "Frames of {any} kind."
    assert varied.vary(fields={"fps": "2"}).protocol_text == "Frames of {any} kind."
    assert varied.vary(fields={"fps": "2"}).protocol == "name/official-2fps-v1"


def test_a_card_without_fields_equals_one_made_in_python(package: Package) -> None:
    card = package.load("name/v1", "Every frame.", "")
    assert card == MetricCard.model_validate(card.model_dump())


def test_a_variation_to_the_defaults_is_the_card_itself(package: Package) -> None:
    card = package.load()
    assert card.vary(fields={"fps": "5"}) == card


def test_fields_that_only_the_text_has_do_not_make_a_protocol(package: Package) -> None:
    card = package.load("name/{network}-v1")
    with pytest.raises(ValueError, match="protocol id of its own"):
        card.vary(fields={"fps": "2"})


def test_a_copied_card_can_be_varied(package: Package) -> None:
    card = copy.deepcopy(package.load())
    assert card.vary(fields={"fps": "1"}).protocol == "name/official-1fps-v1"


@pytest.mark.parametrize(
    ("protocol", "text", "fields", "message"),
    [
        (PROTOCOL, TEXT, "", r"protocol has \{fps\}, \{network\}, which the table fields does not fill"),
        (PROTOCOL, f"{TEXT} {{rate}}", FIELDS, r"protocol_text has \{rate\}, which"),
        ("name/v1", "Every frame.", FIELDS, r"the table fields has \{fps\}, \{network\}, which"),
        (
            PROTOCOL,
            TEXT,
            f'{FIELDS}crop = "a"\n',
            r"the table fields has \{crop\}, which protocol and",
        ),
        (PROTOCOL, f"{TEXT} {{", FIELDS, r"protocol_text: .*; a brace that is meant as such is written \{\{ or \}\}"),
        (PROTOCOL, f"{TEXT} }}", FIELDS, "protocol_text: Single '}'"),
        (PROTOCOL, f"{TEXT} {{}}", FIELDS, r"protocol_text: \{\} is no field"),
        (PROTOCOL, f"{TEXT} {{0, 1}}", FIELDS, r"protocol_text: \{0, 1\} is no field"),
        (PROTOCOL, f"{TEXT} {{fps.real}}", FIELDS, r"protocol_text: \{fps.real\} is no field"),
        (PROTOCOL, f"{TEXT} {{fps!r}}", FIELDS, r"protocol_text: \{fps\} is no field"),
        (PROTOCOL, f"{TEXT} {{fps:>5}}", FIELDS, r"protocol_text: \{fps\} is no field"),
        ("name/{network", TEXT, FIELDS, "protocol: "),
        (PROTOCOL, TEXT, "\n[fields]\nnetwork = 'a'\nfps = 5\n", "fields must be a table of names and texts"),
    ],
)
def test_texts_and_fields_that_do_not_fit_are_refused_with_the_file(
    package: Package, protocol: str, text: str, fields: str, message: str
) -> None:
    with pytest.raises(ValidationError, match=f"vcb_card_fields/card.toml: {message}"):
        package.load(protocol, text, fields)


def test_doubled_braces_are_literal(package: Package) -> None:
    card = package.load(text="{fps} frames of {{0, 1}}, {{network}} or {network}.")
    assert card.protocol_text == "5 frames of {0, 1}, {network} or official."
    assert card.vary(fields={"fps": "2"}).protocol_text == "2 frames of {0, 1}, {network} or official."


def test_a_card_made_in_python_is_checked_where_it_has_fields(package: Package) -> None:
    content = {**package.load().model_dump(), "protocol": PROTOCOL, "protocol_text": TEXT}
    made = MetricCard.model_validate({**content, "fields": {"network": "n", "fps": "1"}})
    assert made.protocol == "name/n-1fps-v1"
    with pytest.raises(ValidationError, match=r"card family/name: protocol has \{fps\}, \{network\}, which"):
        MetricCard.model_validate({**content, "fields": {}})
    verbatim = MetricCard.model_validate({**content, "protocol": "name/v1"})
    assert verbatim.protocol_text == TEXT
    assert verbatim.fields == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": "1"}, r"card of family/name has no field rate \(it has: fps, network\)"),
        ({"fps": 1}, "table of names and texts"),
        (["fps"], "table of names and texts"),
    ],
)
def test_a_variation_of_unknown_fields_is_refused(package: Package, fields: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        package.load().vary(fields=fields)
