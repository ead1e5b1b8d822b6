"""Why a judge gave no answer; each is turned into a refusal of one sample, never into a score."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from vidchatbench.errors import VidChatBenchError

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|hf|gsk|xai|AIza)[-_][A-Za-z0-9_*.-]{8,}|(?i:bearer)\s+[^\s\"']+")
_ADDRESS = re.compile(r"\bhttps?://[^\s\"'<>]+")
_MAX_LENGTH = 300
_MIN_SECRET_LENGTH = 4


def redact(text: str, secrets: Iterable[str] = (), base_url: str | None = None) -> str:
    """Returns a message fit to be kept: without keys, without addresses, on one line, not too long.

    Args:
        text: Any text, such as an endpoint's error message, which may well repeat the key it was sent.
        secrets: Texts that must not show.
        base_url: An address whose host must not show either.
    """
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_LENGTH:
            text = text.replace(secret, "***")
    text = _ADDRESS.sub("<address>", _KEY_LIKE.sub("***", text))
    if base_url is not None and (host := urlsplit(base_url).hostname):
        text = text.replace(host, "<host>")
    text = " ".join(text.split())
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


class JudgeFault(VidChatBenchError):  # noqa: N818 - what the judge is at fault for, not an error of this program
    """No answer could be had. Its text holds neither keys nor addresses."""


class BudgetSpent(JudgeFault):
    """The next request no longer fits into the budget."""


class EndpointDown(JudgeFault):
    """The endpoint cannot be used at all; asking it again in this run is pointless."""


class NoVerdict(JudgeFault):
    """The judge answered, but not with a verdict: it refused, or kept to no schema."""
