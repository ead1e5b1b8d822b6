"""Tables for people: a column that does not fit stands under its row, and no number, id or heading is broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2
_INDENT = 4
_MIN_TEXT = 24
_MAX_LINES = 3
_BETWEEN = " · "


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: The heading; never broken.
        right: Numbers stand to the right.
        wraps: The cells are text, which may go on in another line between two words.
        rank: Which columns leave a table that is too wide: the greatest first; 0 only where nothing else helps.
        drops: A column that leaves is left out, because the row says it elsewhere; otherwise it stands under the row.
        bare: A cell under its row needs no name before it.
        style: How the cells are printed.
    """

    name: str
    right: bool = False
    wraps: bool = False
    rank: int = 0
    drops: bool = False
    bare: bool = False
    style: str = ""


@dataclass(frozen=True)
class Heading:
    """A line between rows that names those below it."""

    text: str


Row = tuple[str, ...]


def print_table(
    console: Console,
    title: str,
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[str] | Heading],
    whole: Sequence[str] = (),
) -> None:
    """Prints a table as wide as the console allows.

    Columns without a cell are left out. Those that do not fit stand under their rows, the greatest rank first; where
    not even the rest fits, every row becomes a paragraph.

    Args:
        console: Where to print.
        title: The line above.
        columns: Columns, or names of columns of text of which the last leave first.
        rows: The cells of each row, or headings.
        whole: Names among ``columns`` whose cells are never broken.
    """
    made = [_column(column, place, whole) for place, column in enumerate(columns)]
    content = [row if isinstance(row, Heading) else tuple(row) for row in rows]
    cells = [row for row in content if not isinstance(row, Heading)]
    console.print(title, style="italic", markup=False, highlight=False)
    kept = [place for place in range(len(made)) if place == 0 or any(row[place] for row in cells)]
    layout = _Layout.of(made, cells, kept, console.width)
    if layout.widths:
        _print_line(console, [_padded(made[k], [made[k].name], w)[0] for k, w in layout.widths.items()], "bold")
        rule = sum(layout.widths.values()) + _GAP * (len(layout.widths) - 1)
        console.print("─" * rule, highlight=False)
    for row in content:
        if isinstance(row, Heading):
            console.print(row.text, style="bold", markup=False, highlight=False)
        else:
            _print_row(console, made, row, layout)
    console.print()


def _column(column: str | Column, place: int, whole: Sequence[str]) -> Column:
    if isinstance(column, Column):
        return column
    return Column(column, wraps=column not in whole, rank=place)


@dataclass(frozen=True)
class _Layout:
    """Where each column stands: in the table with its width, or under the row."""

    widths: dict[int, int]
    below: list[int]

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Sequence[Row], kept: Sequence[int], width: int) -> _Layout:
        inside, below = list(kept), []
        leaving = sorted((k for k in kept if columns[k].rank), key=lambda k: (columns[k].rank, k))
        while True:
            shown, cells = [columns[k] for k in inside], [[row[k] for row in rows] for k in inside]
            widths = _widths(shown, cells, width)
            if widths is None and not leaving:
                widths = _widths(shown, cells, width, breaking=True)
            if widths is not None or not leaving:
                break
            rank = columns[leaving[-1]].rank
            while leaving and columns[leaving[-1]].rank == rank:  # columns of one rank are read together
                inside.remove(gone := leaving.pop())
                if not columns[gone].drops:
                    below.append(gone)
        if widths is None:
            return cls({}, [k for k in kept if k in inside or k in below])
        return cls(dict(zip(inside, widths, strict=True)), sorted(below))


def _widths(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int, *, breaking: bool = False
) -> list[int] | None:
    """Returns the widths of columns side by side; ``None`` where they do not fit.

    With ``breaking``, a word of a text, such as a path, may be longer than its column.
    """
    natural = [max(map(_cell_width, (column.name, *texts))) for column, texts in zip(columns, cells, strict=True)]
    least = [
        min(wide, max(_MIN_TEXT, _cell_width(column.name), 0 if breaking else _longest_word(texts)))
        if column.wraps
        else wide
        for column, texts, wide in zip(columns, cells, natural, strict=True)
    ]
    spare = width - _GAP * (len(columns) - 1) - sum(least)
    if spare < 0:
        return None
    wanted = [wide - low for wide, low in zip(natural, least, strict=True)]
    share = min(1.0, spare / max(1, sum(wanted)))
    widths = [low + int(more * share) for low, more in zip(least, wanted, strict=True)]
    for column, texts, wide in zip(columns, cells, widths, strict=True):
        if column.rank and column.wraps and any(len(_wrapped(text, wide)) > _MAX_LINES for text in texts):
            return None
    return widths


def _print_row(console: Console, columns: Sequence[Column], row: Row, layout: _Layout) -> None:
    below = layout.below
    if layout.widths:
        parts = {k: _padded(columns[k], _wrapped(row[k], w), w) for k, w in layout.widths.items()}
        for line in range(max(len(lines) for lines in parts.values())):
            texts = [lines[line] if line < len(lines) else (" " * layout.widths[k], "") for k, lines in parts.items()]
            _print_line(console, texts)
    else:
        # A paragraph opens with what names the row.
        first = next((k for k in below if row[k]), below[0])
        for text in _wrapped(row[first], console.width):
            _print_line(console, [(text, "bold")])
        below = [k for k in below if k != first]
    print_below(console, [_labelled(columns[k], row[k]) for k in below if row[k]])


def _labelled(column: Column, cell: str) -> str:
    if column.bare or not column.name:
        return cell
    return f"{column.name}: {cell}" if column.wraps else f"{column.name} {cell}"


def print_below(console: Console, items: Sequence[str]) -> None:
    """Prints what stands under a row; an item is broken only where it is longer than a line."""
    room = max(1, console.width - _INDENT)
    lines: list[str] = []
    for item in items:
        if lines and _cell_width(lines[-1] + _BETWEEN + item) <= room:
            lines[-1] += _BETWEEN + item
        else:
            lines.append(item)
    for text in lines:
        for part in _wrapped(text, room):
            _print_line(console, [(" " * _INDENT + part, "dim")])


def _print_line(console: Console, parts: Sequence[tuple[str, str]], style: str = "") -> None:
    from rich.text import Text

    text = Text((" " * _GAP).join(["{}"] * len(parts)).format(*(part for part, _ in parts)).rstrip(), style=style)
    start = 0
    for part, its in parts:
        if its:
            text.stylize(its, start, start + len(part))
        start += len(part) + _GAP
    console.print(text, soft_wrap=True)


def _padded(column: Column, lines: Sequence[str], width: int) -> list[tuple[str, str]]:
    padded = []
    for line in lines:
        space = " " * max(0, width - _cell_width(line))
        padded.append((space + line if column.right else line + space, column.style))
    return padded


def _wrapped(text: str, width: int) -> list[str]:
    """Returns lines of at most ``width`` cells, broken between words; a longer word is broken after a separator."""
    lines = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split(" "):
            if not line or _cell_width(f"{line} {word}") <= width:
                line = f"{line} {word}" if line else word
            else:
                lines.append(line)
                line = word
            while _cell_width(line) > width:
                head = _head(line, width)
                lines.append(head.rstrip())
                line = line[len(head) :]
        lines.append(line)
    return lines


def _head(line: str, width: int) -> str:
    """Returns the longest beginning that fits, up to the last separator of a path or an id where there is one."""
    end = 0
    while end < len(line) and _cell_width(line[: end + 1]) <= width:
        end += 1
    end = max(1, end)
    separator = max(line.rfind(mark, 0, end) for mark in " /-,;_.=")
    return line[: separator + 1] if separator > end // 2 else line[:end]


def _longest_word(texts: Iterable[str]) -> int:
    return max((_cell_width(word) for text in texts for word in text.split()), default=0)


def _cell_width(text: str) -> int:
    from rich.cells import cell_len

    return max((cell_len(line) for line in text.splitlines()), default=0)
