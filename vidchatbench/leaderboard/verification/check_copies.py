"""Replies that are too near to the real ones to be anybody's own: told from the bundle alone, without its media."""

from __future__ import annotations

from statistics import median

from vidchatbench.api.scores import Status
from vidchatbench.leaderboard.verification.context import Context
from vidchatbench.leaderboard.verification.findings import Finding, warning
from vidchatbench.results.sample_rows import SampleRow
from vidchatbench.results.schema import RESULTS_FILE

COPY = "copy_of_reference"
MAX_MEDIANS = {"psnr": 40.0, "ssim": 0.97}
"""Medians over the samples above which the replies are the real ones, encoded anew; in dB, and of 0 to 1.

A reply of the same person at another moment reaches 15 to 25 dB, the real one at crf 32 about 36.
"""


def check_copies(context: Context) -> list[Finding]:
    """Returns a warning for every metric by which the replies look like copies of the real ones."""
    findings = []
    for result in context.bundle.results.metrics:
        limit = MAX_MEDIANS.get(result.id.rpartition("/")[2])
        middle = _median(context.rows.get(result.id, ()))
        if limit is None or middle is None or middle <= limit:
            continue
        unit = f" {result.unit}" if result.unit else ""
        message = (
            f"{result.title} is {middle:.4g}{unit} in the median, over {limit:g}{unit}: the replies look like copies "
            "of the real ones"
        )
        findings.append(warning(COPY, f"{RESULTS_FILE}: {result.id:.120}", message))
    return findings


def _median(rows: tuple[SampleRow, ...]) -> float | None:
    values = [row.value for row in rows if row.status == Status.OK.value and row.value is not None]
    return median(values) if values else None
