"""The contract is what strangers write against: what it refuses here cannot become a wrong number later."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from vidchatbench.api import (
    ExtractorSpec,
    Feature,
    FrameExtractor,
    Metric,
    MetricCard,
    Need,
    PackageFile,
    Plugin,
    Role,
    Sample,
    Score,
    Side,
    Status,
    SuiteEntry,
    WeightSpec,
    as_array,
    load_card,
)
from vidchatbench.api.samples import check_media_path, check_sample_id

SHA = "0" * 64
CARD: dict[str, object] = {
    "id": "family/name",
    "version": 1,
    "title": "Name",
    "dimension": "identity",
    "direction": "higher",
    "unit": "",
    "minimum": 0.0,
    "maximum": 1.0,
    "worst": 0.0,
    "ideal": 1.0,
    "roles": ("candidate", "reference"),
    "aggregation": "mean",
    "protocol": "name/v1",
    "protocol_text": "Every frame.",
    "description": "What it measures.",
    "code_license": "Apache-2.0",
    "commercial_use": True,
    "citation": "@misc{name}",
    "source": "The paper.",
}


def card(**changes: object) -> MetricCard:
    return MetricCard.model_validate({**CARD, **changes})


def side(media: str = "media/a.mp4") -> Side:
    return Side(media=media, sha256=SHA, speaker_id="s")


def sample(**changes: object) -> Sample:
    content = {"id": "a", "task": "dialogue", "language": "en", "initiator": side(), **changes}
    return Sample.model_validate(content)


# --- cards ----------------------------------------------------------------------------------------------------------


def test_a_sound_card_is_accepted_and_frozen() -> None:
    made = card()
    assert made.worst == 0.0
    assert made.tasks == ("dialogue", "listening", "multi_turn", "single", "multi_person")
    with pytest.raises(ValidationError):
        made.worst = 1.0


@pytest.mark.parametrize("name", [name for name in CARD if name not in {"minimum", "maximum", "ideal"}])
def test_no_field_that_readers_need_may_be_left_out(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        MetricCard.model_validate({key: value for key, value in CARD.items() if key != name})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "Extra inputs"),
        ({"worst": -0.1}, "outside"),
        ({"worst": 1.1}, "outside"),
        ({"ideal": 2.0}, "outside"),
        ({"worst": math.nan}, "finite"),
        ({"worst": math.inf, "maximum": None}, "finite"),
        ({"ideal": math.nan}, "finite"),
        ({"ideal": -math.inf, "minimum": None}, "finite"),
        ({"minimum": 1.0, "maximum": 0.0}, "outside"),
        ({"weights": ("net",)}, "weights_license"),
        ({"weights_license": "MIT"}, "weights_license"),
        ({"id": "name"}, "id"),
        ({"id": "Family/Name"}, "id"),
        ({"id": "family/name\n"}, "id"),
        ({"id": "family/../name"}, "id"),
        ({"protocol": "v1"}, "protocol"),
        ({"protocol": "name/v 1"}, "protocol"),
        ({"version": 0}, "version"),
        ({"direction": "up"}, "direction"),
        ({"dimension": "beauty"}, "dimension"),
        ({"roles": ("judge",)}, "roles"),
        ({"tasks": ("singing",)}, "tasks"),
        ({"aggregation": "median"}, "aggregation"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        card(**changes)


@pytest.mark.parametrize("name", ["minimum", "maximum"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bound_is_a_number_or_absent(name: str, value: float) -> None:
    # With a NaN for a bound every comparison is false, and a score is within any range.
    with pytest.raises(ValidationError):
        card(**{name: value})


def test_worst_may_lie_on_the_bound_and_bounds_may_be_open() -> None:
    assert card(worst=1.0, direction="lower").worst == 1.0
    assert card(minimum=None, maximum=None, worst=-1e9).worst == -1e9


def test_weights_come_with_their_licence() -> None:
    made = card(weights=("net",), weights_license="CC BY-NC 4.0", commercial_use=False)
    assert made.weights == ("net",)


@pytest.mark.parametrize(
    "changes",
    [{"protocol_text": "Every second frame."}, {"worst": 0.5}, {"version": 2}, {"title": "Other"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_variation_must_carry_a_protocol_id_of_its_own(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="protocol id of its own"):
        card().vary(**changes)
    varied = card().vary(**changes, protocol="name/other-v1")
    assert varied.protocol == "name/other-v1"
    name, value = next(iter(changes.items()))
    assert getattr(varied, name) == value


def test_a_variation_of_nothing_is_the_card_itself() -> None:
    assert card().vary() == card()


@pytest.mark.parametrize("changes", [{"colour": "red"}, {"worst": 7.0}, {"weights": ("net",)}])
def test_a_variation_is_validated_again(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        card().vary(protocol="name/other-v1", **changes)


def test_a_card_is_loaded_from_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "vcb_contract_cards"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    text = "\n".join(
        f"{key} = {list(value)!r}"
        if isinstance(value, tuple)
        else f"{key} = {str(value).lower()}"
        if isinstance(value, (bool, int, float))
        else f"{key} = {value!r}"
        for key, value in CARD.items()
    )
    (package / "good.toml").write_text(text, encoding="utf-8")
    (package / "odd.toml").write_text(f"{text}\ncolour = 'red'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_card(package.name, "good.toml") == card()
    with pytest.raises(ValidationError, match="colour"):
        load_card(package.name, "odd.toml")


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
def test_a_score_is_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Score.ok(value)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_only_an_ok_score_has_a_value(status: Status) -> None:
    assert Score(status, None, "why").value is None
    with pytest.raises(ValueError, match="exactly when"):
        Score(status, 0.0)


def test_an_ok_score_has_a_value() -> None:
    with pytest.raises(ValueError, match="exactly when"):
        Score(Status.OK)


def test_a_numpy_value_becomes_a_plain_float() -> None:
    assert type(Score.ok(np.float32(0.5)).value) is float


@pytest.mark.parametrize("detail", [math.nan, math.inf, np.float32(1.5), np.int64(3), np.bool_(True)], ids=repr)
def test_details_can_be_written_as_json_or_are_refused_at_once(detail: float) -> None:
    # A value that JSON refuses must show inside the metric, where it costs one sample, not when the run is written.
    try:
        made = Score.ok(1.0, seconds=detail)
    except (TypeError, ValueError):
        return
    json.dumps(dict(made.details), allow_nan=False)


def test_blame_is_where_the_design_puts_it() -> None:
    assert {status for status in Status if status.is_failure_of_output} == {
        Status.OUTPUT_MISSING,
        Status.OUTPUT_INVALID,
    }
    assert Score.invalid("no face").status is Status.OUTPUT_INVALID
    assert Score.not_applicable("no reference").status is Status.NOT_APPLICABLE
    assert Score.invalid("no face", frames=3).details == {"frames": 3}


# --- samples --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["a", "dlg-1", "with space", "日本語", "Ünïcödé", "a.b.c", "v1..2", "emoji🙂", "x" * 200, "-a", "_", "a'b"]
)
def test_ids_of_any_script_are_welcome(value: str) -> None:
    assert check_sample_id(value) == value
    assert sample(id=value).id == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "empty"),
        (".", "folder"),
        ("..", "parent folder"),
        (".hidden", "leading dot"),
        (" a", "leading space"),
        ("a ", "trailing space"),
        ("a.", "trailing dot"),
        ("a/b", "separator"),
        ("../a", "leaves the folder"),
        ("a\\b", "separator on Windows"),
        ("C:a", "drive"),
        ("a*", "wildcard"),
        ('a"b', "reserved"),
        ("a|b", "reserved"),
        ("a\x00b", "null"),
        ("a\nb", "line feed"),
        ("a\tb", "tab"),
        ("a\x7fb", "delete"),
        ("a\x85b", "next line"),
        ("a\u2028b", "line separator"),
        ("a\u2029b", "paragraph separator"),
        ("a\u202eb", "right-to-left override"),
        ("a\u200bb", "zero width space"),
        ("e\u0301", "not in normal form C"),
        ("Å".replace("Å", "A\u030a"), "not in normal form C"),
        ("\ud800", "half a surrogate pair"),
        ("x" * 201, "too long"),
        ("é" * 101, "too long in bytes"),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_ids_that_could_name_another_file_are_refused(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"sample id|surrogates"):
        check_sample_id(value)
    with pytest.raises(ValidationError):
        sample(id=value)
    assert why


@pytest.mark.parametrize("value", ["a.mp4", "media/a.mp4", "media/with space/ü.mp4", "a..b/c.mp4", "./a.mp4"])
def test_media_paths_inside_the_folder_are_accepted(value: str) -> None:
    assert side(check_media_path(value)).media == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/a.mp4",
        "//host/a.mp4",
        "../a.mp4",
        "media/../../a.mp4",
        "media/..",
        "..",
        "a\\b.mp4",
        "\\a.mp4",
        "C:a.mp4",
        "file:a",
    ],
)
def test_media_paths_that_leave_the_folder_are_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        side(value)
    with pytest.raises(ValidationError):
        sample(reference_image=value)


def test_a_sample_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        sample(colour="red")
    with pytest.raises(ValidationError, match="Extra inputs"):
        sample(initiator={"media": "a", "sha256": SHA, "speaker_id": "s", "age": 3})


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 64 + "\n"])
def test_a_hash_is_64_lower_case_hexadecimal_digits(digest: str) -> None:
    with pytest.raises(ValidationError):
        Side(media="a", sha256=digest, speaker_id="s")


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_a_ladder_step_is_scored_between_0_and_1(score: float) -> None:
    with pytest.raises(ValidationError):
        sample(ladder=[{"text": "hello", "score": score}])


def test_the_cluster_is_the_responder_or_else_the_initiator() -> None:
    other = Side(media="b.mp4", sha256=SHA, speaker_id="t")
    assert sample(responder=other).cluster == "t"
    assert sample().cluster == "s"


# --- features and needs ---------------------------------------------------------------------------------------------


def test_equal_parameters_make_one_spec_whatever_their_order() -> None:
    one, two = ExtractorSpec.of("f/x", b=1, a="z"), ExtractorSpec.of("f/x", a="z", b=1)
    assert one == two
    assert hash(one) == hash(two)
    assert str(one) == str(two) == 'f/x{"a": "z", "b": 1}'
    assert len({one, two, ExtractorSpec.of("f/x", a="z", b=2), ExtractorSpec.of("f/y", a="z", b=1)}) == 3
    assert str(ExtractorSpec.of("f/x")) == "f/x"


@pytest.mark.parametrize("roles", [(), (Role.CANDIDATE, Role.REFERENCE, Role.INITIATOR)])
def test_a_need_reads_one_clip_or_two(roles: tuple[Role, ...]) -> None:
    with pytest.raises(ValueError, match="one clip or a pair"):
        Need("x", ExtractorSpec.of("f/x"), roles)


def test_the_order_of_a_pair_matters() -> None:
    spec = ExtractorSpec.of("f/x")
    assert Need("x", spec, (Role.CANDIDATE, Role.REFERENCE)) != Need("x", spec, (Role.REFERENCE, Role.CANDIDATE))


def test_a_numeric_meta_value_is_a_number() -> None:
    feature = Feature({"x": np.zeros(2)}, {"n": 3, "flag": True, "text": "3"})
    assert feature.number("n") == 3.0
    assert feature["x"].shape == (2,)
    for name in ("flag", "text"):
        with pytest.raises(TypeError, match=name):
            feature.number(name)


def test_arrays_are_stored_contiguous_and_of_the_stated_type() -> None:
    made = as_array(np.arange(6.0).reshape(2, 3).T, "float32")
    assert made.flags.c_contiguous
    assert made.dtype == np.float32
    assert made.tolist() == [[0, 3], [1, 4], [2, 5]]


# --- metrics and extractors -----------------------------------------------------------------------------------------


class Plain(Metric):
    default_card = card()
    defaults: ClassVar = MappingProxyType({"fps": 25.0, "mode": "mean"})

    def needs(self) -> tuple[Need, ...]:
        return ()

    def score(self, sample: Sample, features: object) -> Score:  # type: ignore[override]
        raise AssertionError


class Frames(FrameExtractor):
    id = "f/frames"
    defaults: ClassVar = MappingProxyType({"fps": 25.0})

    @property
    def fps(self) -> float:
        return self.number("fps")

    def begin(self, clip: object, upstream: object) -> object:  # type: ignore[override]
        raise AssertionError


def test_unknown_parameters_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'family/name' has no parameter fsp, x \(it has: fps, mode\)"):
        Plain(fsp=5, x=1)
    with pytest.raises(ValueError, match="'f/frames' has no parameter fsp"):
        Frames(fsp=5)


def test_parameters_are_completed_by_the_defaults() -> None:
    assert Plain(fps=5).params == {"fps": 5, "mode": "mean"}
    assert Frames().spec == ExtractorSpec.of("f/frames", fps=25.0)
    assert Frames(fps=25.0).spec == Frames().spec
    assert Plain().params == {"fps": 25.0, "mode": "mean"}


def test_a_parameter_that_is_no_number_is_named() -> None:
    with pytest.raises(TypeError, match="'mode' must be a number"):
        Plain().number("mode")
    with pytest.raises(TypeError, match="'fps' must be a number, not True"):
        Frames(fps=True).number("fps")


def test_an_extractor_that_offers_no_timeline_says_so() -> None:
    with pytest.raises(NotImplementedError, match="f/frames"):
        Frames().replay(Feature({}))


# --- declarations of a package --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["module", "module:", ":Class", "mod ule:Class", "module:Class()", "../x:Y", "a:b.c"]
)
def test_a_target_is_a_module_and_a_class(target: str) -> None:
    with pytest.raises(ValidationError):
        Plugin(metrics={"family/name": target})


@pytest.mark.parametrize("name", ["name", "Family/name", "family/name/more", "family/", "family/na me"])
def test_names_of_a_package_are_family_and_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Plugin(extractors={name: "module:Class"})
    with pytest.raises(ValidationError):
        SuiteEntry(metric=name)


@pytest.mark.parametrize(
    "changes",
    [{"file_name": "../net.pt"}, {"file_name": "a/b"}, {"size": 0}, {"sha256": "00"}, {"name": "Net"}, {"md5": "x"}],
    ids=str,
)
def test_a_weight_that_could_land_elsewhere_is_refused(changes: dict[str, object]) -> None:
    content: dict[str, object] = {"name": "net", "file_name": "net.pt", "sha256": SHA, "size": 3, "license": "MIT"}
    content |= {"commercial_use": True, "origin": "us"}
    assert WeightSpec.model_validate(content).package is None
    with pytest.raises(ValidationError):
        WeightSpec.model_validate({**content, **changes})


@pytest.mark.parametrize("name", ["..", "."])
def test_a_cached_weight_is_an_ordinary_file(name: str) -> None:
    with pytest.raises(ValidationError):
        WeightSpec(name="net", file_name=name, sha256=SHA, size=3, license="MIT", commercial_use=True, origin="us")


def test_a_package_file_is_complete() -> None:
    with pytest.raises(ValidationError):
        PackageFile.model_validate({"module": "carrier", "file": "net.pt"})
