"""The judge of a run, around the pass over samples: the forecast of its cost, its calibration and its report."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vidchatbench.api.features import Feature
from vidchatbench.api.judging import CONNECTIONS
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Role, Sample
from vidchatbench.core.progress import Progress
from vidchatbench.engine.extraction.sample_pass import SampleTask
from vidchatbench.engine.features.lookup import FeatureLookup
from vidchatbench.engine.plan import Plan
from vidchatbench.judge.calibration import CalibrationWatch, begin_calibration, forecast
from vidchatbench.judge.panel import Panel
from vidchatbench.judge.report import judge_report
from vidchatbench.judge.schema import JudgeReport
from vidchatbench.results.schema import MetricResult

PARAMETER = "judge"
"""The parameter by which metrics name their judge."""


class Judging:
    """Calibrates the judge of one run and reports on it.

    Args:
        panel: The judges.
        samples: The benchmark's samples.
        plan: The plan of the run.
        progress: Receives the notes on cost.
    """

    def __init__(self, panel: Panel, samples: Sequence[Sample], plan: Plan, progress: Progress) -> None:
        self._panel = panel
        self._samples = samples
        self._tasks = [task for task in plan.samples if _judge_of(task) == panel.name]
        self._progress = progress
        # The same replies are the same run, also after a kill, so that its calibration is not paid for twice.
        clips = sorted(clip.sha256 for (_, role), clip in plan.roles.items() if role is Role.CANDIDATE)
        self._run = hashlib.sha256("".join(clips).encode()).hexdigest()[:16]
        self._watch: CalibrationWatch | None = None

    def begin(self) -> None:
        """Notes what the judging will take, and has the graded replies scored for the first time."""
        waiting = {task.name for task in self._tasks if not task.stored}
        estimate = forecast(self._panel, [sample for sample in self._samples if sample.id in waiting])
        self._progress.note(f"judge {self._panel.name}: {len(waiting)} replies to judge, about {estimate}")
        self._watch = begin_calibration(self._panel, self._samples, run=self._run)

    def finish(self, features: FeatureLookup) -> JudgeReport:
        """Has the graded replies scored once more and reports.

        Args:
            features: The features of the run.
        """
        if self._watch is None:
            raise RuntimeError("the judging has not begun")
        judged = {}
        for task in self._tasks:
            feature = features.get(task.key)
            if isinstance(feature, Feature):
                judged[task.name] = feature
        report = judge_report(self._panel, judged, self._samples, self._watch.finish())
        sent = f"{self._panel.requests_sent} requests sent"
        self._progress.note(f"judge {self._panel.name}: {sent}, {self._panel.budget}")
        return report

    @staticmethod
    def mark(numbers: Sequence[MetricResult], report: JudgeReport) -> tuple[MetricResult, ...]:
        """Returns the numbers; those of a judge that cannot be believed are marked as unranked."""
        return tuple(
            number.model_copy(update={"unranked": number.unranked or report.unranked})
            if number.params.get(PARAMETER) == report.judge
            else number
            for number in numbers
        )


def _judge_of(task: SampleTask) -> object:
    return dict(task.spec.params).get(PARAMETER)


def judging_of(metrics: Sequence[Metric], samples: Sequence[Sample], plan: Plan, progress: Progress) -> Judging | None:
    """Returns the judging of a run, or ``None`` where none of its metrics has a judge that can be calibrated."""
    names = {str(metric.params[PARAMETER]) for metric in metrics if metric.params.get(PARAMETER) is not None}
    panels = [judge for name in sorted(names) if isinstance(judge := CONNECTIONS.open(name), Panel)]
    return Judging(panels[0], samples, plan, progress) if panels else None
