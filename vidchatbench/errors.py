"""Every error a user can cause, as a class that says what is wrong and how to get out of it."""

from __future__ import annotations

from collections.abc import Sequence


class VidChatBenchError(Exception):
    """Base of all errors raised on purpose by this library; its text is meant for people."""


class UsageError(VidChatBenchError):
    """A call or a command line that cannot mean anything: an unknown metric, suite, device or option value."""


class InputError(VidChatBenchError):
    """A benchmark, submission or results file with problems; all of them are listed at once.

    Args:
        subject: What was read, as a path or a name.
        problems: One line per problem, each naming the file or line it is in.
        hint: The way out, if one sentence can give it.
    """

    def __init__(self, subject: str, problems: Sequence[str], hint: str | None = None) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        self.hint = hint
        lines = [f"{subject}: {len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"]
        lines += [f"  - {problem}" for problem in self.problems]
        if hint:
            lines.append(f"  {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, tuple[str, ...], str | None]]:
        return (type(self), (self.subject, self.problems, self.hint))


class MediaError(VidChatBenchError):
    """A media file that cannot be used: unreadable, truncated, without the stream that is needed.

    Args:
        path: The file.
        reason: What is wrong with it, without the file's name.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str]]:
        return (type(self), (self.path, self.reason))


class UnavailableError(VidChatBenchError):
    """Something a metric needs is not on this computer: a weight, an optional package, a device.

    Args:
        what: The thing that is missing.
        fix: The command or step that would bring it.
    """

    def __init__(self, what: str, fix: str) -> None:
        self.what = what
        self.fix = fix
        super().__init__(f"{what} (to fix: {fix})")

    def __reduce__(self) -> tuple[type[UnavailableError], tuple[str, str]]:
        return (type(self), (self.what, self.fix))


class WeightsError(VidChatBenchError):
    """A weights file whose content is not what its table entry says; never used, never only a warning."""
