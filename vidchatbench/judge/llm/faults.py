"""Why a language model gave no answer, in words that hold neither keys nor addresses.

A fault is turned into a refusal of one request, never into a result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from html.entities import html5
from urllib.parse import urlsplit

from vidchatbench.errors import VidChatBenchError

_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|hf|gsk|xai|AIza)[-_][A-Za-z0-9_*.-]{8,}|(?i:bearer)\s+[^\s\"']+")
_ADDRESS = re.compile(
    r"\bhttps?(?::|%3A|&colon;|&#58;|&#x3A;)(?:\\{0,8}/|%2F|&sol;|&#47;|&#x2F;){2}[^\s\"'<>]+", re.IGNORECASE
)
_MAX_LENGTH = 300
_MIN_SECRET_LENGTH = 4
_LAST_OF_A_BYTE = 0xFF


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
        text = without_secret(text, secret)
    text = _ADDRESS.sub("<address>", _KEY_LIKE.sub("***", text))
    if base_url is not None and (host := urlsplit(base_url).hostname):
        text = re.sub(_escaped(host), "<host>", text)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"


def without_secret(text: str, secret: str) -> str:
    """Returns a text without a secret, also where it is escaped for JSON, for an address or for HTML, in any mixture.

    Args:
        text: Any text.
        secret: What must not show; under four characters it is no secret.
    """
    return text if len(secret) < _MIN_SECRET_LENGTH else re.sub(_escaped(secret), "***", text)


@lru_cache(maxsize=64)
def _escaped(secret: str) -> re.Pattern[str]:
    return re.compile("".join(map(_forms_of, secret)))


def _forms_of(letter: str) -> str:
    """Returns a pattern of every way to write a character: as it is, or escaped once or more often."""
    # Every repetition has a bound, so that no text takes long to search.
    units = letter.encode("utf-16-be", "surrogatepass")
    escapes = "".join(rf"\\{{1,8}}u{_hex(units[k : k + 2], 4)}" for k in range(0, len(units), 2))
    percent = "".join(f"%(?:25){{0,4}}{_hex(bytes([byte]), 2)}" for byte in letter.encode("utf-8", "surrogatepass"))
    number = ord(letter)
    forms = [rf"\\{{0,8}}{re.escape(letter)}", escapes, percent, f"&(?:amp;){{0,4}}#0{{0,6}}{number};?"]
    forms.append(f"&(?:amp;){{0,4}}#[xX]0{{0,6}}{_hex(number.to_bytes(3, 'big'), 0)};?")
    forms += [f"&(?:amp;){{0,4}}{name}" for name, meaning in html5.items() if meaning == letter and name.endswith(";")]
    if number <= _LAST_OF_A_BYTE:
        forms.append(rf"\\{{1,8}}x{_hex(bytes([number]), 2)}")
    return f"(?:{'|'.join(forms)})"


def _hex(content: bytes, digits: int) -> str:
    plain = content.hex().lstrip("0").rjust(digits, "0")
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in plain)
