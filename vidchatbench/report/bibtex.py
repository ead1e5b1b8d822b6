"""BibTeX of everything that a run's numbers rest on: the benchmark's paper and the works that its metrics name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from vidchatbench.api.cards import MetricCard
from vidchatbench.report.drawing.text import printable
from vidchatbench.results.schema import Results

PAPER = """@inproceedings{zhang2026speakervid5m,
  title         = {{SpeakerVid-5M}: A Large-Scale High-Quality Dataset for Audio-Visual Dyadic Interactive Human
                   Generation},
  author        = {Zhang, Youliang and Li, Zhaoyang and Wang, Duomin and Zhang, Jiahe and Zhou, Deyu and Yin, Zixin and
                   Dai, Xili and Yu, Gang and Li, Xiu},
  booktitle     = {The Fourteenth International Conference on Learning Representations (ICLR)},
  year          = {2026},
  eprint        = {2507.09862},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2507.09862}
}"""
"""The paper that defines the benchmark."""

_START = re.compile(r"@\w+\s*\{\s*([^\s,{}]+)\s*,")


def bibliography(results: Results, cards: Mapping[str, MetricCard]) -> str:
    """Returns the entries of a run, one per key, sorted by key after the benchmark's own paper.

    Args:
        results: The run.
        cards: Cards of its metrics; a metric without one is named in a comment.
    """
    kept: dict[str, str] = {}
    users: dict[str, list[str]] = {}
    without: list[str] = []
    for metric in results.metrics:
        card = cards.get(metric.id)
        given = list(entries(card.citation)) if card is not None else []
        if not given:
            without.append(metric.id)
        for key, entry in given:
            name = _keep(key, entry, kept)
            users.setdefault(name, []).append(metric.id)
    parts = [f"% The benchmark; entries with an address need \\usepackage{{url}} or hyperref.\n{PAPER}"]
    parts += [f"% {', '.join(dict.fromkeys(users[key]))}\n{kept[key]}" for key in sorted(kept)]
    if without:
        parts.append(f"% Without a citation that is known here: {', '.join(without)}")
    return printable("\n\n".join(parts)) + "\n"


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Yields key and text of every entry in BibTeX text; what lies between entries, or does not end, is left out."""
    place = 0
    while match := _START.search(text, place):
        end = _closing(text, text.index("{", match.start()))
        if end is None:
            return
        yield match.group(1), text[match.start() : end + 1]
        place = end + 1


def _closing(text: str, opening: int) -> int | None:
    depth = 0
    for place in range(opening, len(text)):
        if text[place] == "\\":
            continue
        escaped = place > 0 and text[place - 1] == "\\"
        if text[place] == "{" and not escaped:
            depth += 1
        elif text[place] == "}" and not escaped:
            depth -= 1
            if depth == 0:
                return place
    return None


def _plain(entry: str) -> str:
    return " ".join(entry.split())


def _keep(key: str, entry: str, kept: dict[str, str]) -> str:
    """Adds an entry and returns its key, which is another where the key stands for another work already."""
    # Two works must not become one because their authors chose the same key.
    candidates = ((key if number == 1 else f"{key}-{number}") for number in itertools.count(1))
    for candidate in candidates:
        renamed = entry.replace(key, candidate, 1)
        if _plain(kept.setdefault(candidate, renamed)) == _plain(renamed):
            return candidate
    raise AssertionError("counting does not end")
