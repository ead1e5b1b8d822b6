"""Guides: a feature of one clip that says how another is looked at, and is whole before that begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.extractors import ClipInfo, Frame, FrameExtractor, FrameSession, PairExtractor, PairSession
from vidchatbench.api.extractors import Timeline as Upstream
from vidchatbench.api.features import ExtractorSpec, Feature, Need
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Role, Sample, Side
from vidchatbench.api.scores import Score, Status
from vidchatbench.core.isolation import Blame, Failure
from vidchatbench.engine.extraction.executors import WarmExecutor
from vidchatbench.engine.extraction.jobs import ClipSource, FeatureRequest, Job, plan_waves
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.engine.features.keys import feature_key
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.engine.pipeline import Outcome, Pipeline
from vidchatbench.engine.plan import Inputs
from vidchatbench.engine.settings import RunConfig
from vidchatbench.errors import MediaError
from vidchatbench.media.memory import MemoryClip
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.submission.check import Output

# --- waves ----------------------------------------------------------------------------------------------------------


def request(
    name: str, *media: str, guides: Sequence[str] = (), stored: bool = False, **upstream: str
) -> FeatureRequest:
    read = {**upstream, **{f"guide {key}": key for key in guides}}
    return FeatureRequest(name, ExtractorSpec.of("t/x"), media, read, stored, guides=frozenset(guides))


def clip(name: str) -> ClipSource:
    made = MemoryClip.of(np.full((2, 8, 8, 3), ord(name[0]), np.uint8), fps=25)
    return ClipSource(name, made.describe().model_copy(update={"sha256": name}), made)


def waves_of(*requests: FeatureRequest) -> list[dict[str, set[str]]]:
    """The keys of each job, and what of them is read from the store, by the names of its clips."""
    clips = {sha: clip(sha) for each in requests for sha in each.media}
    return [
        {
            "+".join(sorted(source.path for source in job.clips)): {
                f"({each.key})" if each.stored else each.key for each in job.requests
            }
            for job in wave
        }
        for wave in plan_waves(requests, clips)
    ]


def test_what_guides_comes_first_and_brings_along_what_its_clip_gives() -> None:
    assert waves_of(
        request("faces r", "r"),
        request("window r", "r", faces="faces r"),
        request("voice r", "r"),
        request("voice c", "c"),
        request("seen c", "c", guides=["window r"]),
        request("seen r", "r", guides=["window r"]),
        request("pair", "c", "r", guides=["window r"]),
    ) == [
        {"r": {"faces r", "window r", "voice r"}},
        {"c+r": {"(window r)", "voice c", "seen c", "seen r", "pair"}},
    ]


def test_what_a_guided_extractor_requires_is_made_once_with_its_guide_and_else_beside_it() -> None:
    assert waves_of(
        request("faces r", "r"),
        request("window r", "r", faces="faces r"),
        request("faces c", "c"),
        request("seen r", "r", guides=["window r"], faces="faces r"),
        request("seen c", "c", guides=["window r"], faces="faces c"),
    ) == [
        {"r": {"faces r", "window r"}},
        {"r": {"(faces r)", "(window r)", "seen r"}, "c": {"faces c", "(window r)", "seen c"}},
    ]


def test_a_stored_guide_makes_one_wave() -> None:
    window = request("window r", "r", stored=True)
    assert waves_of(window, request("voice c", "c"), request("seen c", "c", guides=["window r"])) == [
        {"c": {"(window r)", "voice c", "seen c"}}
    ]


def test_without_guides_there_is_one_wave_and_without_work_none() -> None:
    assert waves_of(request("voice c", "c"), request("voice r", "r")) == [{"c": {"voice c"}, "r": {"voice r"}}]
    assert waves_of() == []


def test_a_guide_that_is_guided_takes_a_wave_of_its_own() -> None:
    waves = waves_of(
        request("window r", "r"), request("mask c", "c", guides=["window r"]), request("seen d", "d", guides=["mask c"])
    )
    assert waves == [{"r": {"window r"}}, {"c": {"(window r)", "mask c"}}, {"d": {"(mask c)", "seen d"}}]


def test_the_guide_is_part_of_the_key_and_keys_without_one_are_as_they_were() -> None:
    key = feature_key({"extractor": "x"}, ("a",))
    assert feature_key({"extractor": "x"}, ("a",), {}) == key
    assert len({key, *(feature_key({"extractor": "x"}, ("a",), {"window": other}) for other in "bc")}) == 3


# --- the whole way --------------------------------------------------------------------------------------------------

CALLS: Counter[str] = Counter()
BROKEN = 13
"""A clip whose first picture has this level gives no guide."""


class Mean(FrameExtractor):
    """The mean level of a whole clip; it serves clips of the same shape."""

    id = "test/mean"

    @property
    def fps(self) -> float:
        return 25.0

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Upstream]) -> FrameSession:
        CALLS[f"{self.id} {clip.width}x{clip.height}"] += 1
        return _Levels({})

    def serves(self, clip: ClipInfo, other: ClipInfo) -> bool:
        return (clip.width, clip.height) == (other.width, other.height)


class Plain(Mean):
    """The same, of which nobody is guided."""

    id = "test/plain"


class Guided(Mean):
    """The mean level beyond that of the guide."""

    id = "test/guided"

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        return {"mean": ExtractorSpec.of("test/mean")}

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Upstream]) -> FrameSession:
        CALLS[self.id] += 1
        return _Levels(upstream)


class _Levels(FrameSession):
    def __init__(self, upstream: Mapping[str, Upstream]) -> None:
        # A guide can be read before the first frame.
        self._above = float(upstream["mean"].result()["level"]) if upstream else 0.0
        self._levels: list[int] = []

    def push(self, frame: Frame) -> None:
        self._levels.append(int(frame.rgb()[0, 0, 0]))
        if self._levels[0] == BROKEN:
            raise MediaError("", "the picture is unlucky")

    def finish(self) -> Feature:
        return Feature({"level": np.asarray(np.mean(self._levels) - self._above)})


class Sides(PairExtractor):
    """What guides either side of a pair."""

    id = "test/sides"

    @property
    def fps(self) -> float:
        return 25.0

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        return {"mean": ExtractorSpec.of("test/mean")}

    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Upstream], Mapping[str, Upstream]]
    ) -> PairSession:
        return _Sides([float(side["mean"].result()["level"]) for side in upstream])


class _Sides(PairSession):
    def __init__(self, levels: list[float]) -> None:
        self._levels = levels

    def push(self, first: Frame, second: Frame) -> None:
        pass

    def finish(self) -> Feature:
        return Feature({"levels": np.array(self._levels)})


CARD = MetricCard.model_validate({
    "id": "test/guided", "version": 1, "title": "Guided", "dimension": "video_quality", "direction": "higher",
    "unit": "", "worst": 0.0, "roles": ("candidate", "reference"), "aggregation": "mean", "protocol": "guided/v1",
    "protocol_text": "p", "description": "d", "code_license": "MIT", "commercial_use": True, "citation": "c",
    "source": "s",
})  # fmt: skip


class Difference(Metric):
    """The candidate beyond its guide, and what guides the pair in the details."""

    default_card = CARD

    def needs(self) -> tuple[Need, ...]:
        guided, both = ExtractorSpec.of("test/guided"), (Role.CANDIDATE, Role.REFERENCE)
        return (
            Need("candidate", guided, (Role.CANDIDATE,), guide=Role.REFERENCE),
            Need("reference", guided, (Role.REFERENCE,), guide=Role.REFERENCE),
            Need("sides", ExtractorSpec.of("test/sides"), both, guide=Role.REFERENCE),
            Need("plain", ExtractorSpec.of("test/plain"), (Role.CANDIDATE,)),
        )

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        first, second = features["sides"]["levels"].tolist()
        return Score.ok(float(features["candidate"]["level"]), first=first, second=second)


class Alone(Difference):
    """The candidate beyond its guide, whether or not there is a reference."""

    default_card = CARD.vary(id="test/alone", roles=("candidate",), protocol="alone/v1")

    def needs(self) -> tuple[Need, ...]:
        guided = ExtractorSpec.of("test/guided")
        return (Need("candidate", guided, (Role.CANDIDATE,), guide=Role.REFERENCE),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        return Score.ok(float(features["candidate"]["level"]))


class World:
    """Clips of one level each in memory, and a store on disk."""

    metrics: ClassVar[Sequence[type[Metric]]] = (Difference, Alone)

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalogue = Catalogue()
        for metric in self.metrics:
            target = f"{__name__}:{metric.__name__}"
            self.catalogue.metrics.register(metric.default_card.id, target, origin="test")
        for cls in (Mean, Plain, Guided, Sides):
            self.catalogue.extractors.register(cls.id, f"{__name__}:{cls.__name__}", origin="test")

    def run(self, *pairs: tuple[int, int | None], size: tuple[int, int] = (8, 8), metric: str = CARD.id) -> Outcome:
        """Scores candidates of the given levels beside references of theirs."""
        CALLS.clear()
        clips: dict[tuple[str, Role], ClipSource] = {}
        for number, (candidate, reference) in enumerate(pairs):
            levels = {Role.CANDIDATE: (candidate, size), Role.REFERENCE: (reference, (8, 8))}
            for role, (level, shape) in levels.items():
                if level is not None:
                    made = MemoryClip.of(np.full((30, *shape, 3), level, np.uint8), fps=25)
                    clips[str(number), role] = ClipSource(f"{role.value} {level}", made.describe(), made)
        side = Side(media="m.mp4", sha256="0" * 64, speaker_id="s")
        names = [str(number) for number in range(len(pairs))]
        samples = [Sample(id=name, task="dialogue", language="en", initiator=side) for name in names]
        outputs = {name: Output(Path(name), clips[name, Role.CANDIDATE].info) for name in names}
        executor = WarmExecutor(Worker(WorkerSettings(self.root / "store", "cpu", 1)))
        store = FeatureStore(self.root / "store")
        pipeline = Pipeline(self.catalogue, store, RunConfig(workers=1), executor=executor)
        return pipeline.run(Inputs(samples, outputs, clips), [self.catalogue.metric(metric)])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr("vidchatbench.engine.extraction.worker.load_catalogue", lambda: world.catalogue)
    return world


def scores(outcome: Outcome) -> list[Score]:
    return [record.score for record in outcome.records]


def test_a_candidate_is_guided_by_its_reference_and_decoded_once(world: World) -> None:
    outcome = world.run((100, 40), (90, 60))
    assert [score.value for score in scores(outcome)] == [60.0, 30.0]
    assert [(score.details["first"], score.details["second"]) for score in scores(outcome)] == [(40, 40), (60, 60)]
    assert outcome.extraction.passes == {
        "candidate 100": 1, "candidate 90": 1, "reference 40": 2, "reference 60": 2,
    }  # fmt: skip
    assert CALLS["test/mean 8x8"] == 2, "candidates of the same shape need no guide of their own"


def test_the_references_are_paid_for_once(world: World) -> None:
    world.run((100, 40))
    outcome = world.run((120, 40))
    assert [score.value for score in scores(outcome)] == [80.0]
    assert outcome.extraction.passes == {"candidate 120": 1, "reference 40": 1}
    assert (CALLS["test/mean 8x8"], CALLS["test/guided"]) == (0, 1)
    assert world.run((120, 40)).extraction.passes == {}


def test_one_clip_beside_two_references_is_looked_at_twice(world: World) -> None:
    outcome = world.run((100, 40), (100, 60))
    assert [score.value for score in scores(outcome)] == [60.0, 40.0]
    assert outcome.extraction.passes["candidate 100"] == 1


def test_where_the_guide_does_not_serve_the_clip_guides_itself(world: World) -> None:
    outcome = world.run((100, 40), size=(8, 10))
    (score,) = scores(outcome)
    assert (score.value, score.details["first"], score.details["second"]) == (0.0, 100, 40)
    assert outcome.extraction.passes == {"candidate 100": 2, "reference 40": 2}


def test_without_the_guides_role_the_clip_guides_itself(world: World) -> None:
    (score,) = scores(world.run((100, None), metric="test/alone"))
    assert score.value == 0.0
    (score,) = scores(world.run((100, 40), metric="test/alone"))
    assert score.value == 60.0


def test_a_guide_that_fails_is_no_fault_of_the_submission_unless_it_is_its_own(world: World) -> None:
    (theirs,) = scores(world.run((100, BROKEN)))
    assert (theirs.status, theirs.reason) == (Status.ERROR, "the picture is unlucky")
    assert CALLS["test/guided"] == 0, "nothing is guided by a failure"
    (own,) = scores(world.run((BROKEN, 40), size=(8, 10)))
    assert own.status is Status.OUTPUT_INVALID


def test_a_store_that_cannot_be_written_costs_no_result(world: World) -> None:
    (world.root / "store").write_text("in the way")
    outcome = world.run((100, 40))
    assert [score.value for score in scores(outcome)] == [60.0]
    assert outcome.extraction.store_error is not None


def test_a_stored_guide_that_is_damaged_is_made_anew(world: World) -> None:
    world.run((100, 40))
    for path in (world.root / "store").rglob("*.json"):
        if '"test/mean"' in path.read_text(encoding="utf-8"):
            path.with_suffix(".safetensors").write_bytes(b"not what it was")
    outcome = world.run((120, 40))
    assert [score.value for score in scores(outcome)] == [80.0]
    assert CALLS["test/mean 8x8"] == 1


def test_what_is_given_goes_before_the_store() -> None:
    from vidchatbench.engine.extraction.decode_pass import DecodePass

    lost = Failure(Blame.OURS, "the guide was lost", "r")
    job = Job(
        (clip("c"),),
        (request("mean r", "r", stored=True), request("seen c", "c", guides=["mean r"])),
        {"mean r": lost},
    )

    def load(key: str) -> Feature:
        raise AssertionError(f"{key} was read from the store")

    outcomes = DecodePass(job, {"mean r": Mean(), "seen c": Guided()}, load).run().outcomes
    assert outcomes["seen c"] is lost
