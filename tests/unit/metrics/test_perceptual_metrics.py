"""LPIPS and the no-reference metrics as pure functions: values, reasons, cards, and what is said without pyiqa."""

from __future__ import annotations

import importlib.util
import re
from fractions import Fraction
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from windows import WHOLE, guide

from vidchatbench.api import ClipInfo, ExtractorSpec, Feature, Metric, Role, Sample, Side, Status
from vidchatbench.api.frame_metrics import FrameCount
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.plugins.availability import find_missing
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.weights.resolver import WeightResolver
from vidchatbench_metrics import iqa, video_quality
from vidchatbench_metrics.faces import EXTRACTORS as FACE_EXTRACTORS
from vidchatbench_metrics.faces import WEIGHTS as FACE_WEIGHTS
from vidchatbench_metrics.iqa import no_reference
from vidchatbench_metrics.iqa.no_reference import MODELS, FrameQuality, QualityModel
from vidchatbench_metrics.video_quality.weights import LPIPS_WEIGHTS

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
IQA = ("iqa/clipiqa", "iqa/musiq", "iqa/niqe", "iqa/topiq_nr")
BY_HASH = "sha256:" + "ab" * 32
LPIPS_METRICS = {name: target for name, target in video_quality.METRICS.items() if ".lpips:" in target}
LPIPS_EXTRACTORS = {name: target for name, target in video_quality.EXTRACTORS.items() if ".lpips:" in target}
PERCEPTUAL_METRICS = {**LPIPS_METRICS, **iqa.METRICS}
PERCEPTUAL_EXTRACTORS = {**LPIPS_EXTRACTORS, **iqa.EXTRACTORS}
PERCEPTUAL_WEIGHTS = (*LPIPS_WEIGHTS, *iqa.WEIGHTS)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """What the entries of this topic alone make, whether or not the package registers them."""
    made = Catalogue()
    for name, target in PERCEPTUAL_METRICS.items():
        made.metrics.register(name, target, origin="test")
    for name, target in PERCEPTUAL_EXTRACTORS.items():
        made.extractors.register(name, target, origin="test")
    made.extractors.register(FrameCount.id, f"{FrameCount.__module__}:FrameCount", origin="test")
    for name in ("faces/mtcnn", "faces/window"):
        made.extractors.register(name, FACE_EXTRACTORS[name], origin="test")
    made.weights.update({spec.name: spec for spec in (*PERCEPTUAL_WEIGHTS, *FACE_WEIGHTS)})
    return made


def rated(*values: float, frames: int | None = None) -> dict[str, Feature]:
    meta = {"frames": len(values) if frames is None else frames, **WHOLE}
    return {"frames": Feature({"value": np.array(values)}, meta)}


def closed_weights(metric: Metric, catalogue: Catalogue) -> set[str]:
    extractors = [catalogue.extractor(need.extractor) for need in metric.needs()]
    for _ in range(2):  # a guide requires face tracks in its turn
        upstream = [spec for found in extractors for spec in (*found.requires.values(), *found.guides.values())]
        extractors += [catalogue.extractor(spec) for spec in upstream]
    return {name for extractor in extractors for name in extractor.weights}


@pytest.mark.parametrize("name", sorted(PERCEPTUAL_METRICS))
class TestCards:
    def test_is_complete_and_names_what_is_used(self, catalogue: Catalogue, name: str) -> None:
        metric = catalogue.metric(name)
        card = metric.card
        assert card.id == name
        assert card.citation.strip().startswith("@")
        assert ("face1.3-256" if name.endswith("_face") else "anchored480x768") in card.protocol
        assert "480 high x 768 wide" in card.protocol_text
        assert set(card.weights) == closed_weights(metric, catalogue)
        assert {role for need in metric.needs() for role in need.roles} == set(card.roles)

    def test_fits_its_table_entries(self, catalogue: Catalogue, name: str) -> None:
        card = catalogue.metric(name).card
        specs = [catalogue.weights[weight] for weight in card.weights]
        # The code of pyiqa forbids commercial use even where a file does not.
        assert card.commercial_use == (all(spec.commercial_use for spec in specs) and not name.startswith("iqa/"))

    def test_another_rate_or_file_is_another_protocol(self, catalogue: Catalogue, name: str) -> None:
        cards = [catalogue.metric(name, **params).card for params in ({}, {"fps": 2}, {"network": BY_HASH})]
        assert len({card.protocol for card in cards}) == 3
        assert "-2fps-v" in cards[1].protocol
        assert "2 frame" in cards[1].protocol_text
        assert "abababababab" in cards[2].protocol
        assert cards[2].weights[0] == BY_HASH
        assert "unknown" in str(cards[2].weights_license)
        assert not cards[2].commercial_use
        assert closed_weights(catalogue.metric(name, network=BY_HASH), catalogue) == set(cards[2].weights)

    def test_an_unknown_network_is_refused(self, catalogue: Catalogue, name: str) -> None:
        with pytest.raises(Exception, match="has no network 'vgg'; use"):
            catalogue.metric(name, network="vgg")


class TestLpips:
    def test_is_the_mean_of_frames_and_keeps_the_worst_one(self, catalogue: Catalogue) -> None:
        frames = Feature(
            {"value": np.array([9.0, 0.1, 0.5, 0.3]), "time": np.arange(4) / 2}, {"fps": 2, "seconds": 2.0, **WHOLE}
        )
        features = {"frames": frames, "reference": Feature({}, {"frames": 4})}
        score = catalogue.metric("video_quality/lpips", fps=2).score(SAMPLE, features)
        assert score.value == pytest.approx(0.3)
        assert score.details["highest"] == 0.5
        assert score.details["frames"] == 3

    @pytest.mark.parametrize("values", [[], [0.2, 0.2]])
    def test_under_a_second_in_common_is_invalid(self, catalogue: Catalogue, values: list[float]) -> None:
        arrays = {"value": np.array(values), "time": np.arange(len(values)) / 25}
        frames = Feature(arrays, {"fps": 25, "seconds": len(values) / 25})
        features = {"frames": frames, "reference": Feature({}, {"frames": 50})}
        score = catalogue.metric("video_quality/lpips").score(SAMPLE, features)
        assert score.status is Status.OUTPUT_INVALID
        assert "1 s is needed" in str(score.reason)

    def test_compares_the_candidate_with_the_reference_and_less_is_better(self, catalogue: Catalogue) -> None:
        metric = catalogue.metric("video_quality/lpips")
        assert [need.roles for need in metric.needs()] == [(Role.CANDIDATE, Role.REFERENCE), (Role.REFERENCE,)]
        card = metric.card
        assert (card.direction, card.ideal, card.worst, card.maximum) == ("lower", 0.0, 1.0, None)
        assert card.null == "shuffled_replies"


class TestNoReference:
    @pytest.mark.parametrize(
        ("name", "direction", "worst", "maximum"),
        [
            ("iqa/musiq", "higher", 0.0, 100.0),
            ("iqa/niqe", "lower", 100.0, 100.0),
            ("iqa/clipiqa", "higher", 0.0, 1.0),
            ("iqa/topiq_nr", "higher", 0.0, 1.0),
        ],
    )
    def test_direction_and_range(
        self, catalogue: Catalogue, name: str, direction: str, worst: float, maximum: float
    ) -> None:
        card = catalogue.metric(name).card
        assert (card.direction, card.worst, card.minimum, card.maximum) == (direction, worst, 0.0, maximum)
        assert card.null is None
        assert card.dimension.value == "video_quality"

    def test_averages_frames_each_cut_to_the_range(self, catalogue: Catalogue) -> None:
        score = catalogue.metric("iqa/niqe").score(SAMPLE, rated(4.0, 6.0, 1000.0, -1.0))
        assert score.value == pytest.approx((4 + 6 + 100 + 0) / 4)
        assert (score.details["highest"], score.details["lowest"]) == (1000.0, -1.0)

    @pytest.mark.parametrize(("count", "frames"), [(0, 4), (1, 3), (0, 0)])
    def test_frames_that_cannot_be_rated_are_the_submissions_fault(
        self, catalogue: Catalogue, count: int, frames: int
    ) -> None:
        score = catalogue.metric("iqa/niqe").score(SAMPLE, rated(*[5.0] * count, frames=frames))
        assert score.status is Status.OUTPUT_INVALID
        assert f"{count} of {frames} frames" in str(score.reason)

    def test_half_of_the_frames_is_enough(self, catalogue: Catalogue) -> None:
        score = catalogue.metric("iqa/niqe").score(SAMPLE, rated(5.0, 7.0, frames=4))
        assert (score.value, score.details["rated"]) == (6.0, 2)

    def test_each_metric_asks_for_its_own_model(self, catalogue: Catalogue) -> None:
        models = {name: dict(catalogue.metric(name).needs()[0].extractor.params)["model"] for name in IQA}
        assert models == {name: name.removeprefix("iqa/") for name in IQA}
        assert set(models.values()) == set(MODELS)

    @pytest.mark.parametrize("name", IQA)
    def test_protocol_ids_name_the_release_that_is_asked_for(self, catalogue: Catalogue, name: str) -> None:
        assert f"/pyiqa{no_reference.PYIQA_VERSION}-" in catalogue.metric(name).card.protocol

    def test_a_frame_without_a_rating_is_counted_but_left_out(self) -> None:
        extractor = FrameQuality(model="niqe")
        seen: list[tuple[int, ...]] = []

        def rate(picture: np.ndarray) -> float:
            seen.append(picture.shape)
            return float(picture.mean()) if picture.any() else float("nan")

        extractor._model = rate  # type: ignore[assignment]
        session = extractor.begin(ClipInfo(64, 48, 3.0), guide())
        for index, level in enumerate((10, 0, 30)):
            session.push(GridFrame(Picture(np.full((48, 64, 3), level, np.uint8)), index, Fraction(index)))
        feature = session.finish()
        assert feature["value"].tolist() == [10.0, 30.0]
        assert feature.meta["frames"] == 3
        assert seen == [(480, 768, 3)] * 3

    def test_another_release_of_pyiqa_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(no_reference.importlib.metadata, "version", lambda name: "0.1.99")
        with pytest.raises(RuntimeError, match=r"0\.1\.99 is installed; pip install pyiqa==0\.1\.16"):
            QualityModel("musiq", Path("nowhere"), "cpu")


class TestAvailability:
    @pytest.fixture
    def resolver(self, catalogue: Catalogue, private_cache: Path) -> WeightResolver:
        return WeightResolver(catalogue.weights, cache=private_cache)

    @pytest.mark.parametrize("name", IQA)
    def test_without_pyiqa_the_reason_names_it(
        self, catalogue: Catalogue, resolver: WeightResolver, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        find = importlib.util.find_spec

        def absent(module: str, package: str | None = None) -> ModuleSpec | None:
            return None if module == "pyiqa" else find(module, package)

        monkeypatch.setattr(importlib.util, "find_spec", absent)
        missing = find_missing(catalogue.metric(name), catalogue, resolver)
        assert missing is not None
        assert "pyiqa" in missing.reason
        assert missing.fix == "pip install pyiqa"

    @pytest.mark.parametrize("name", IQA)
    def test_with_pyiqa_the_weights_are_asked_for_and_nothing_is_downloaded(
        self, catalogue: Catalogue, resolver: WeightResolver, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        find = importlib.util.find_spec

        def present(module: str, package: str | None = None) -> ModuleSpec | None:
            return ModuleSpec("pyiqa", None) if module == "pyiqa" else find(module, package)

        monkeypatch.setattr(importlib.util, "find_spec", present)
        missing = find_missing(catalogue.metric(name), catalogue, resolver)
        assert missing is not None
        assert missing.fix == f"vidchatbench weights pull {MODELS[name.removeprefix('iqa/')].weight_of('official')}"

    def test_lpips_lacks_its_backbone_only(self, catalogue: Catalogue, resolver: WeightResolver) -> None:
        pytest.importorskip("lpips")
        missing = find_missing(catalogue.metric("video_quality/lpips"), catalogue, resolver)
        assert missing is not None
        assert missing.fix == "vidchatbench weights pull alexnet_imagenet1k_v1"


def test_file_names_carry_the_beginning_of_their_hash() -> None:
    """The convention of torch's hub, which tells a mistyped hash."""
    checked = 0
    for spec in PERCEPTUAL_WEIGHTS:
        beginning = re.search(r"-([0-9a-f]{8})\.", spec.file_name)
        if spec.sha256 is not None and beginning is not None:
            assert spec.sha256.startswith(beginning[1]), spec.name
            checked += 1
    assert checked == 2


def test_every_extractor_is_found_under_its_id(catalogue: Catalogue) -> None:
    for name in PERCEPTUAL_EXTRACTORS:
        assert catalogue.extractor(ExtractorSpec.of(name)).id == name
