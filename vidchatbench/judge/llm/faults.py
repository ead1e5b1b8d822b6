"""Why a language model gave no answer, in words that hold neither keys nor addresses.

A fault is turned into a refusal of one request, never into a result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from vidchatbench.errors import VidChatBenchError

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|hf|gsk|xai|AIza)[-_][A-Za-z0-9_*.-]{8,}|(?i:bearer)\s+[^\s\"']+")
_ADDRESS = re.compile(r"\bhttps?://[^\s\"'<>]+")
_MAX_LENGTH = 300
_MIN_SECRET_LENGTH = 4


class ModelFault(VidChatBenchError):  # noqa: N818 - the model's fault, not an error of this program
    """The model gave no answer. The message holds neither keys nor addresses."""


class BudgetSpent(ModelFault):
    """The next request no longer fits into the budget."""


class EndpointDown(ModelFault):
    """The endpoint cannot be used at all; asking it again in this run is pointless."""


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
