"""What verification finds: one sentence per problem, with where it is and the way out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from vidchatbench.core.models import FrozenModel
from vidchatbench.errors import VidChatBenchError

Severity = Literal["error", "warning", "note"]

MAX_ALIKE = 5
"""Findings of one kind that are listed one by one; a broken file would otherwise bury all others."""


class Finding(FrozenModel):
    """One finding.

    Attributes:
        severity: ``error`` keeps a bundle off the board; ``warning`` is for a person to judge; ``note`` says what could
            not be checked.
        code: Machine-readable kind, such as ``value_differs``.
        where: The file, and the metric or sample in it.
        message: What is wrong, in words, and what to do about it.
    """

    severity: Severity
    code: str
    where: str
    message: str


class RefusedFileError(VidChatBenchError):
    """A file of a bundle that is not read any further; carries the finding.

    Args:
        code: Kind of the finding.
        where: The file, and the place in it.
        message: What is wrong, and the way out.
    """

    def __init__(self, code: str, where: str, message: str) -> None:
        self.finding = error(code, where, message)
        super().__init__(f"{where}: {message}")

    def __reduce__(self) -> tuple[type[RefusedFileError], tuple[str, str, str]]:
        return (type(self), (self.finding.code, self.finding.where, self.finding.message))


def error(code: str, where: str, message: str) -> Finding:
    """Returns a finding that keeps the bundle off the board."""
    return Finding(severity="error", code=code, where=where, message=message)


def warning(code: str, where: str, message: str) -> Finding:
    """Returns a finding that a person should look at."""
    return Finding(severity="warning", code=code, where=where, message=message)


def note(code: str, where: str, message: str) -> Finding:
    """Returns what could not be checked, or is worth knowing."""
    return Finding(severity="note", code=code, where=where, message=message)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Returns whether any finding keeps the bundle off the board."""
    return any(finding.severity == "error" for finding in findings)


def shorten(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the findings, errors first; of many alike, the first few and how many more there are."""
    order = {"error": 0, "warning": 1, "note": 2}
    kept: list[Finding] = []
    alike: dict[tuple[str, str], int] = {}
    for finding in sorted(findings, key=lambda f: order[f.severity]):
        kind = (finding.severity, finding.code)
        alike[kind] = alike.get(kind, 0) + 1
        if alike[kind] <= MAX_ALIKE:
            kept.append(finding)
    for (severity, code), count in alike.items():
        if count > MAX_ALIKE:
            message = f"{count - MAX_ALIKE} more findings of this kind are not listed"
            kept.append(Finding(severity=severity, code=code, where="...", message=message))  # type: ignore[arg-type]
    return sorted(kept, key=lambda f: order[f.severity])
