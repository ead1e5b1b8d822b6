"""Errors of the hub's clients as ours: what went wrong, what was kept, and how to go on."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from vidchatbench.errors import UnavailableError, UsageError, VidChatBenchError

_T = TypeVar("_T")
_FORBIDDEN, _TOO_MANY, _SERVER_FAULT = 403, 429, 500
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


class HubUnreachableError(UnavailableError):
    """The hub does not answer: no network, offline mode, or a fault on its side."""


def client_errors() -> tuple[type[Exception], ...]:
    """Returns the classes of errors that a request to the hub can end in."""
    # The hub's client has changed its HTTP library more than once; errors of those that are loaded are meant.
    classes: list[type[Exception]] = [OSError]
    for module in ("httpx", "httpx2"):
        kind = getattr(sys.modules.get(module), "HTTPError", None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            classes.append(kind)
    return tuple(classes)


@contextlib.contextmanager
def in_our_words(dataset: str, revision: str | None, kept: Callable[[], str] | None = None) -> Generator[None]:
    """Turns errors of the hub's clients into ours.

    Args:
        dataset: ``user/name``.
        revision: The revision that was asked for, if one was.
        kept: Returns what remains of the work so far.

    Raises:
        UsageError: If there is no such dataset, revision or file, or it is hidden from this user.
        UnavailableError: If the dataset wants a login, or the hub does not answer.
    """
    try:
        yield
    except client_errors() as error:
        raise _explain(error, dataset, revision, kept() if kept is not None else "") from error


def guarded(items: Iterator[_T], dataset: str, revision: str | None, kept: Callable[[], str]) -> Iterator[_T]:
    """Yields the items of an iterator that reads from the hub; see :func:`in_our_words`.

    Errors of the caller's own code pass unchanged.
    """
    while True:
        with in_our_words(dataset, revision, kept):
            try:
                item = next(items)
            except StopIteration:
                return
        yield item


def _explain(error: Exception, dataset: str, revision: str | None, kept: str) -> VidChatBenchError:
    from huggingface_hub import constants  # the hub's client takes a while to import

    page = f"{constants.ENDPOINT}/datasets/{dataset}"
    refused = _refusal(error, dataset, revision, page)
    if refused is not None:
        return refused
    if constants.HF_HUB_OFFLINE:
        return HubUnreachableError(
            f"benchmark {dataset!r} is no local path and not whole in the cache, and HF_HUB_OFFLINE forbids to ask "
            "the hub",
            "unset HF_HUB_OFFLINE, or give the path of a local copy",
        )
    silent = f"the hub ({constants.ENDPOINT}) does not answer"
    if kept:
        text = f"{silent} for dataset {dataset!r} any more ({_first_line(error)}); {kept}"
        return HubUnreachableError(text, "run the same command again, it goes on from there")
    text = f"{dataset!r} is no local path, and {silent} for a dataset of that name: {_first_line(error)}"
    return HubUnreachableError(text, "check the network and run the same command again, or give a local path")


def _refusal(error: Exception, dataset: str, revision: str | None, page: str) -> VidChatBenchError | None:
    """Returns what the hub's answer means, or ``None`` where it gave none that will last."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return UnavailableError(
            f"dataset {dataset!r} of the hub is gated, and this computer's user has not been let in",
            f"accept its conditions on {page}, then {_LOGIN}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return UsageError(
            f"there is no benchmark or dataset {dataset!r}: neither a folder or file of that path, nor a prepared "
            f"benchmark, nor a dataset that this computer's user may see ({page}); if it is private, {_LOGIN}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UsageError(f"dataset {dataset!r} of the hub has no revision {revision!r}; {page} lists them")
    if isinstance(error, (errors.EntryNotFoundError, FileNotFoundError)):
        return UsageError(f"dataset {dataset!r} of the hub lacks a file that it lists: {_first_line(error)}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None or status >= _SERVER_FAULT or status == _TOO_MANY:
        return None
    reason = "access is refused" if status == _FORBIDDEN else f"the request is refused ({_first_line(error)})"
    return UnavailableError(f"dataset {dataset!r} of the hub: {reason}", f"look at {page}, and {_LOGIN}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
