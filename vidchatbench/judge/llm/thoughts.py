"""Finds the parts of a model's text that are its reasoning, in whatever marks a server leaves them.

Known are XML-like tags with or without a namespace or bars (``<think>``, ``<reasoning>``, ``<seed:think>``,
``<|begin_of_thought|>``, ``<|START_THINKING|>``), brackets (``[THINK]``, ``◁think▷``), and the channels of harmony
(``<|channel|>analysis<|message|>``) and of Gemma (``<|channel>thought``). In doubt a text counts as reasoning: what is
overlooked there is asked for again, what is taken from there would be a verdict that nobody gave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int]
"""Positions of a part of a text: its first character, and the one after its last."""

_NAMES = "think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?|analysis|scratchpad|deliberation|rationale"
_MARK = re.compile(
    rf"""
    <\|?\s*(?P<slash>/?)\s*(?:[a-z_]+:)?(?P<tag>{_NAMES})(?:\s[^<>]*)?\s*\|?>
    | [\[◁]\s*(?P<bracket_slash>/?)\s*(?P<bracket>think(?:ing)?)\s*[\]▷]
    | <\|?(?P<edge>begin|start|end)_?(?:of_?)?(?P<bar>{_NAMES})\|?>
    | (?P<channel><\|channel\|>)\s*(?P<channel_name>\w*)
    | (?P<gemma><\|channel>|<channel\|>)
    | \A\s*(?P<bare>analysis(?=[A-Z{{"]))
    | (?P<bare_final>assistantfinal)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FINAL_CHANNEL = "final"


@dataclass(frozen=True)
class _Mark:
    kind: str
    opens: bool
    start: int
    end: int


@dataclass(frozen=True)
class Thoughts:
    """The reasoning in a text.

    Attributes:
        spans: Its parts, in order, apart from each other.
        open: Whether the last part does not end, so that the text is a thought that was broken off.
    """

    spans: tuple[Span, ...]
    open: bool

    def hold(self, position: int) -> bool:
        """Returns whether a position lies in a thought."""
        return any(start <= position < end for start, end in self.spans)


def find_thoughts(text: str, quoted: Sequence[Span] = ()) -> Thoughts:
    """Returns the reasoning in a text.

    A mark that ends what did not begin ends a thought that began with the text, or with the end of the thought before:
    many servers put the first mark into the prompt. Marks of one kind nest.

    Args:
        text: What the model wrote.
        quoted: Parts whose marks are no marks, such as the strings of a JSON object.
    """
    spans: list[Span] = []
    under_way: list[_Mark] = []
    boundary = 0
    for mark in _marks(text, quoted):
        if mark.opens:
            # A channel ends the one before it; everything else nests.
            if not (mark.kind == "channel" and any(one.kind == "channel" for one in under_way)):
                under_way.append(mark)
            continue
        begun = next((k for k in range(len(under_way) - 1, -1, -1) if under_way[k].kind == mark.kind), None)
        if begun is None:
            if not under_way:
                spans.append((boundary, mark.end))
                boundary = mark.end
            continue
        first = under_way[begun]
        del under_way[begun:]
        if not under_way:
            spans.append((first.start, mark.end))
            boundary = mark.end
    if under_way:
        spans.append((under_way[0].start, len(text)))
    return Thoughts(tuple(spans), bool(under_way))


def _marks(text: str, quoted: Sequence[Span]) -> list[_Mark]:
    marks, at = [], 0
    for match in _MARK.finditer(text):
        while at < len(quoted) and quoted[at][1] <= match.start():
            at += 1
        if at < len(quoted) and quoted[at][0] <= match.start():
            continue
        marks.append(_Mark(*_meaning(match), *match.span()))
    return marks


def _meaning(match: re.Match[str]) -> tuple[str, bool]:
    if match["tag"] is not None:
        return match["tag"].lower(), not match["slash"]
    if match["bracket"] is not None:
        return match["bracket"].lower(), not match["bracket_slash"]
    if match["bar"] is not None:
        return match["bar"].lower(), match["edge"].lower() != "end"
    if match["channel"] is not None:
        return "channel", match["channel_name"].lower() != _FINAL_CHANNEL
    if match["gemma"] is not None:
        return "gemma", match["gemma"] == "<|channel>"
    return "bare", match["bare"] is not None
