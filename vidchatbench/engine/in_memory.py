"""Scoring clips that are in memory: a handful of validation clips inside a training loop, without touching the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidchatbench.api.samples import Role, Sample, Side, Task
from vidchatbench.api.scores import Score
from vidchatbench.engine.extraction.executors import WarmExecutor
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.pipeline import Pipeline
from vidchatbench.engine.plan import Inputs
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import choose_metrics, list_unavailable
from vidchatbench.errors import UsageError
from vidchatbench.media.memory import MemoryClip
from vidchatbench.plugins.availability import Availability
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.results.schema import MetricResult, UnavailableMetric
from vidchatbench.submission.check import Output
from vidchatbench.weights.resolver import WeightResolver


@dataclass(frozen=True)
class ClipScores:
    """What a handful of clips scored.

    Attributes:
        metrics: One result per metric, with value, interval and counts, as in ``results.json``.
        scores: The score of each clip by metric id and clip id.
        unavailable: Metrics that could not run here, with the command that would change that.
    """

    metrics: tuple[MetricResult, ...]
    scores: Mapping[str, Mapping[str, Score]]
    unavailable: tuple[UnavailableMetric, ...]


class ClipScorer:
    """Scores clips in memory; models stay loaded between calls, and so do the features of clips seen before.

    Example:
        >>> scorer = ClipScorer(metrics=["video_quality/psnr"])
        >>> import numpy as np
        >>> clip = MemoryClip.of(np.zeros((30, 48, 64, 3), np.uint8), fps=25)
        >>> scorer.score({"val-0": clip}, references={"val-0": clip}).metrics[0].value
        100.0

    Args:
        suite: Named list of metrics.
        metrics: Metric ids instead of the suite's whole list.
        config: Device, batch size and seed; workers and engine have no meaning here.

    Raises:
        UsageError: If a name is unknown.
        UnavailableError: If the device is not there.
    """

    def __init__(
        self, suite: str = "lite", *, metrics: Sequence[str] | None = None, config: RunConfig | None = None
    ) -> None:
        config = config or RunConfig()
        config.check_device()
        catalogue = load_catalogue()
        choice = choose_metrics(catalogue, suite, metrics)
        availability = Availability.of(choice.metrics, catalogue, WeightResolver(catalogue.weights))
        self._metrics = availability.runnable
        self._unavailable = list_unavailable(availability)
        store = MemoryStore()
        settings = WorkerSettings(Path(), config.device, config.batch_size)
        self._executor = WarmExecutor(Worker(settings, store))
        self._pipeline = Pipeline(catalogue, store, config, executor=self._executor)

    def score(
        self,
        candidates: Mapping[str, MemoryClip],
        *,
        references: Mapping[str, MemoryClip] | None = None,
        speakers: Mapping[str, str] | None = None,
        task: Task = "dialogue",
    ) -> ClipScores:
        """Scores clips.

        Args:
            candidates: The generated clips by id.
            references: The real replies by id; a candidate without one is ``not_applicable`` where one is needed.
            speakers: Who speaks in each, the unit of the interval; by default every clip is a speaker of its own.
            task: The task the clips belong to.

        Raises:
            UsageError: If there is no candidate, or a reference belongs to none.
        """
        references = references or {}
        strangers = sorted(set(references) - set(candidates))
        if not candidates or strangers:
            raise UsageError(f"references without a candidate: {', '.join(strangers)}" if strangers else "no candidate")
        clips: dict[tuple[str, Role], ClipSource] = {}
        for name, clip in candidates.items():
            clips[name, Role.CANDIDATE] = _source(name, clip)
        for name, clip in references.items():
            clips[name, Role.REFERENCE] = clips[name, Role.REFERENCE_IMAGE] = _source(f"{name} (reference)", clip)
        samples = [_sample(name, (speakers or {}).get(name, name), task) for name in candidates]
        outputs = {name: Output(Path(name), clips[name, Role.CANDIDATE].info) for name in candidates}
        outcome = self._pipeline.run(Inputs(samples, outputs, clips), self._metrics)
        scores: dict[str, dict[str, Score]] = {metric.card.id: {} for metric in self._metrics}
        for record in outcome.records:
            scores[record.metric.card.id][record.sample.id] = record.score
        return ClipScores(outcome.numbers, scores, self._unavailable)

    def close(self) -> None:
        """Lets go of all models."""
        self._executor.close()


def _source(name: str, clip: MemoryClip) -> ClipSource:
    return ClipSource(name, clip.describe(), clip)


def _sample(name: str, speaker: str, task: Task) -> Sample:
    side = Side(media="memory", sha256="0" * 64, speaker_id=speaker)
    return Sample(id=name, task=task, language="und", initiator=side, responder=side)
