"""Verification of a bundle: the same code on the submitter's computer and in continuous integration.

Everything that follows from the published files is computed again, and everything that can be compared is compared:
with the schema, the installed metrics, the benchmark, and the other bundles. Checks that need the media are reported as
not done.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from vidchatbench.api.cards import MetricCard
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.isolation import Failure, attempt
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError
from vidchatbench.leaderboard.verification.bundle import row_id
from vidchatbench.leaderboard.verification.check_copies import check_copies
from vidchatbench.leaderboard.verification.check_media import (
    check_media,
    check_outputs,
    check_private_paths,
    check_signature,
)
from vidchatbench.leaderboard.verification.check_results import check_results
from vidchatbench.leaderboard.verification.check_samples import check_samples
from vidchatbench.leaderboard.verification.context import Context, Others, make_context
from vidchatbench.leaderboard.verification.findings import Finding, error, shorten
from vidchatbench.leaderboard.verification.reading import Bundle, read_bundle, read_run
from vidchatbench.leaderboard.verification.recompute import recompute
from vidchatbench.plugins.catalogue import Catalogue, load_catalogue
from vidchatbench.results.anchors import ANCHORS_FILE, AnchorEntry, AnchorTable

_BESIDE_OTHERS = {"copy_of_submission", "applies_to_others"}
_ROWS_UNFIT = {"nan", "bad_row", "bad_status", "status_and_value", "wrong_charge"}


def verify_bundle(
    folder: Path,
    *,
    benchmark: Benchmark | None = None,
    others: Others | None = None,
    outputs: Path | None = None,
    catalogue: Catalogue | None = None,
) -> list[Finding]:
    """Verifies a bundle.

    Args:
        folder: ``submissions/<system>/<revision>``.
        benchmark: The board's benchmark; without it, ids and identities are not compared.
        others: What the other bundles hold; without it, copies of them go unseen.
        outputs: The folder of outputs; with it, every scored file is hashed again.
        catalogue: The installed metrics; the process's own by default.

    Returns:
        The findings, errors first. A bundle without an error belongs on the board.

    Raises:
        OSError: If the folder cannot be read.
        InputError: If the benchmark's anchors are damaged.
    """
    bundle, findings = read_bundle(folder)
    if bundle is not None:
        more = verify_content(bundle, benchmark=benchmark, others=others, outputs=outputs, catalogue=catalogue)
        findings = [*findings, *more]
    return shorten(findings)


def verify_run(
    folder: Path,
    *,
    benchmark: Benchmark | None = None,
    others: Others | None = None,
    outputs: Path | None = None,
    catalogue: Catalogue | None = None,
) -> list[Finding]:
    """Verifies what `vidchatbench evaluate` wrote as the bundle that it would make; see :func:`verify_bundle`.

    Raises:
        OSError: If the folder cannot be read.
        InputError: If the benchmark's anchors are damaged.
    """
    bundle, findings = read_run(folder)
    if bundle is not None:
        more = verify_content(bundle, benchmark=benchmark, others=others, outputs=outputs, catalogue=catalogue)
        findings = [*findings, *more]
    return shorten(findings)


def verify_content(
    bundle: Bundle,
    *,
    benchmark: Benchmark | None = None,
    others: Others | None = None,
    outputs: Path | None = None,
    catalogue: Catalogue | None = None,
) -> list[Finding]:
    """Verifies a bundle that has been read; arguments as of :func:`verify_bundle`.

    Raises:
        OSError: If an output cannot be read.
        InputError: If the benchmark's anchors are damaged.
    """
    anchors = None if benchmark is None else read_anchors(benchmark.root / ANCHORS_FILE, benchmark)

    def check() -> tuple[Context, list[Finding]]:
        context = make_context(
            row_id(bundle.system),
            bundle,
            catalogue or load_catalogue(),
            benchmark=benchmark,
            anchors=anchors,
            others=others or Others(),
        )
        return context, _check(context)

    checked = attempt(check)
    if isinstance(checked, Failure):
        # A bundle that nobody foresaw is refused; it must not end the verification of the others.
        message = f"it could not be verified ({checked.reason[:300]}); submit the run as it was written"
        return [error("not_verified", row_id(bundle.system), message)]
    context, findings = checked
    if outputs is not None:
        findings += check_outputs(context, outputs)
    return findings


def _check(context: Context) -> list[Finding]:
    findings = [*check_results(context), *check_samples(context), *check_media(context), *check_copies(context)]
    findings += [*check_signature(context), *check_private_paths(context)]
    # Rows that contradict themselves have no sum; the counts are compared as soon as they can be.
    if not any(finding.code in _ROWS_UNFIT for finding in findings):
        findings += recompute(context)
    return findings


def compare_with_others(bundle: Bundle, others: Others, catalogue: Catalogue) -> list[Finding]:
    """Returns the findings that arise only beside other bundles."""
    context = make_context(row_id(bundle.system), bundle, catalogue, benchmark=None, anchors=None, others=others)
    findings = [*check_media(context), *check_samples(context)]
    return [finding for finding in findings if finding.code in _BESIDE_OTHERS]


def read_anchors(path: Path, benchmark: Benchmark | None) -> Mapping[str, tuple[AnchorEntry, ...]] | None:
    """Reads a file of published anchors, by metric.

    Returns:
        The anchors; ``None`` if there is no such file.

    Raises:
        InputError: If the file is damaged or belongs to another benchmark.
    """
    if not path.is_file():
        return None
    try:
        table = AnchorTable.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(str(path), describe_validation(error), "Build them again with `anchors build`.") from error
    if benchmark is not None and table.manifest_sha256 != benchmark.header.manifest_sha256:
        raise InputError(str(path), ["these anchors belong to another manifest"], "Give those of the benchmark.")
    by_metric: dict[str, list[AnchorEntry]] = defaultdict(list)
    for entry in table.anchors:
        by_metric[entry.metric].append(entry)
    return {metric: tuple(entries) for metric, entries in by_metric.items()}


def installed_cards(bundle: Bundle, catalogue: Catalogue | None = None) -> Mapping[str, MetricCard]:
    """Returns the cards of a bundle's metrics, as far as they are installed."""
    context = make_context(
        row_id(bundle.system), bundle, catalogue or load_catalogue(), benchmark=None, anchors=None, others=Others()
    )
    return context.cards
