"""Why a judge gave no answer; each is turned into a refusal of one sample, never into a score."""

from __future__ import annotations

from vidchatbench.errors import VidChatBenchError


class JudgeFault(VidChatBenchError):  # noqa: N818 - what the judge is at fault for, not an error of this program
    """No answer could be had. Its text holds neither keys nor addresses."""


class BudgetSpent(JudgeFault):
    """The next request no longer fits into the budget."""


class EndpointDown(JudgeFault):
    """The endpoint cannot be used at all; asking it again in this run is pointless."""


class NoVerdict(JudgeFault):
    """The judge answered, but not with a verdict: it refused, or kept to no schema."""
