"""What a run may spend on judging: read from ``200k tokens`` or ``5 USD``, reserved before and settled after a request.

A request is begun only if what it could cost at most (the estimate of what is read, and all the tokens it may write)
still fits. So the limit is not passed by a server that keeps to ``max_tokens`` and counts as we estimate; by one that
does not, it is passed by the excess of the requests under way, and no further request is begun.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from vidchatbench.errors import UsageError
from vidchatbench.judge.llm.settings import JudgeSettings

_BUDGET = re.compile(r"^\s*(\d[\d_,]*(?:\.\d+)?)\s*([kKmM]?)\s+([A-Za-z]+)\s*$")
_FACTOR = {"": 1.0, "k": 1e3, "m": 1e6}
_BYTES_PER_TOKEN = 3.0
"""Of UTF-8; common tokenizers have 3 to 5 for English and about 3 for Chinese, so this errs on the dear side."""
_TOKENS_PER_MESSAGE = 8
TOKENS_PER_PICTURE = 800
MILLION = 1e6


@dataclass(frozen=True)
class Limit:
    """A limit on spending: ``unit`` is ``tokens`` or a currency."""

    amount: float
    unit: str


def read_budget(text: str, judges: Sequence[JudgeSettings]) -> Limit:
    """Reads ``--judge-budget``.

    Raises:
        UsageError: If it is not understood, or is money and a judge has no price in that currency.
    """
    match = _BUDGET.match(text)
    if match is None:
        raise UsageError(f"judge budget {text!r}: say how much of what, such as '200k tokens' or '5 USD'")
    amount = float(re.sub("[_,]", "", match[1])) * _FACTOR[match[2].lower()]
    unit = match[3]
    if unit.lower() in {"token", "tokens"}:
        return Limit(amount, "tokens")
    unit = unit.upper()
    if not re.fullmatch("[A-Z]{3}", unit):
        raise UsageError(f"judge budget {text!r}: the unit is 'tokens' or a currency such as USD")
    for judge in judges:
        if judge.price_in is None or judge.price_out is None or judge.currency != unit:
            raise UsageError(
                f"judge budget {text!r}: judge {judge.model!r} has no price in {unit}; "
                "give price_in and price_out (per million tokens) in the judges' TOML file, or a budget in tokens"
            )
    return Limit(amount, unit)


def estimate_tokens(texts: Sequence[str], pictures: int = 0) -> int:
    """Estimates the tokens of a prompt from its length in bytes, on the dear side."""
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return int(size / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(texts) + TOKENS_PER_PICTURE * pictures


def cost_of(judge: JudgeSettings, unit: str, tokens_in: int, tokens_out: int) -> float:
    """What a number of tokens costs with a judge: in tokens, or in the currency of its prices."""
    if unit == "tokens":
        return float(tokens_in + tokens_out)
    return (tokens_in * (judge.price_in or 0.0) + tokens_out * (judge.price_out or 0.0)) / MILLION


class Budget:
    """What has been spent, and what is reserved for requests under way; safe between threads.

    Args:
        limit: The limit, or ``None`` for counting only.
    """

    def __init__(self, limit: Limit | None) -> None:
        self.limit = limit
        self.spent = 0.0
        self._reserved = 0.0
        self._lock = threading.Lock()

    @property
    def unit(self) -> str:
        """``tokens`` or the currency."""
        return self.limit.unit if self.limit else "tokens"

    def reserve(self, most: float) -> bool:
        """Sets aside what a request may cost at most; returns whether that fits."""
        with self._lock:
            if self.limit is not None and self.spent + self._reserved + most > self.limit.amount:
                return False
            self._reserved += most
            return True

    def could_ever(self, most: float) -> bool:
        """Whether the amount would fit if every request under way cost nothing."""
        with self._lock:
            return self.limit is None or self.spent + most <= self.limit.amount

    def settle(self, reserved: float, actual: float) -> None:
        """Replaces a reservation by what the request has cost."""
        with self._lock:
            self._reserved -= reserved
            self.spent += actual

    def __str__(self) -> str:
        if self.limit is None:
            return f"{self.spent:,.0f} {self.unit}"
        digits = 0 if self.unit == "tokens" else 4
        return f"{self.spent:,.{digits}f} of {self.limit.amount:,.{digits}f} {self.unit}"
