"""Writes what `vidchatbench demo` ends with into README.md, between its two marks.

Run it as `python docs/generate_demo_excerpt.py demo_run` after `vidchatbench demo`.
"""

from __future__ import annotations

import io
import sys
import textwrap
from pathlib import Path

from rich.console import Console

from vidchatbench.cli.demo import compare_honest, print_summary
from vidchatbench.demo import SYSTEMS
from vidchatbench.leaderboard.schema import LEADERBOARD_FILE, Leaderboard
from vidchatbench.results.schema import load_results

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- demo:", "<!-- end of demo -->"
WIDTH = 116


def excerpt(run: Path) -> str:
    """Returns the summary of a demonstration's folder, as the command prints it, indented as code."""
    board = Leaderboard.model_validate_json((run / "leaderboard" / LEADERBOARD_FILE).read_bytes())
    text = io.StringIO()
    console = Console(file=text, width=WIDTH, color_system=None)
    print_summary(console, {name: load_results(run / name) for name in SYSTEMS}, compare_honest(run), board)
    lines = [wrapped for line in text.getvalue().splitlines() for wrapped in textwrap.wrap(line, WIDTH) or [""]]
    return "\n".join(f"    {line}".rstrip() for line in lines)


def replace_excerpt(readme: str, text: str) -> str:
    """Returns the README with another text between its marks."""
    head, mark, rest = readme.partition(BEGIN)
    comment, newline, _ = rest.partition("\n")
    _, end, tail = rest.partition(END)
    if not (mark and newline and end):
        raise ValueError(f"README.md lacks the marks {BEGIN} and {END}")
    return f"{head}{mark}{comment}\n\n{text}\n\n{end}{tail}"


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo_run")
    README.write_text(replace_excerpt(README.read_text(encoding="utf-8"), excerpt(folder)), encoding="utf-8")
