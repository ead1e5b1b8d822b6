"""A drawing and its parts as SVG text; every text and attribute is escaped here and nowhere else.

Parts carry classes, no colours: the page colours them by its variables, so that they follow its theme, and a file gets
a palette of its own, because programs that draw SVG files know no variables. That palette has no see-through colour and
one weight of type: with more of either, the package that draws PDF orders them by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from vidchatbench.report.drawing.text import printable

_STYLE = """
text { font-family: "Liberation Sans", Arial, Helvetica, sans-serif; font-size: 11px; fill: #1d2430 }
.p-muted { fill: #566071; font-size: 10px }
.p-strong { font-size: 12px }
.p-title { font-size: 13px }
.p-middle { text-anchor: middle }
.p-end { text-anchor: end }
.p-grid { fill: none; stroke: #d5dae2; stroke-width: 1 }
.p-axis { fill: none; stroke: #8a94a3; stroke-width: 1 }
.p-dots { fill: none; stroke: #5a96c8; stroke-linecap: round }
.p-failed { fill: none; stroke: #b3261e; stroke-width: 1.4; stroke-linecap: round }
.p-band { fill: #f6e2bb }
.p-limit { fill: none; stroke: #b08a4a; stroke-width: 1 }
.p-mean { fill: none; stroke: #8a5a00; stroke-width: 2 }
.p-track { fill: #e7ebf0 }
.p-interval { fill: none; stroke: #9dc0dd; stroke-width: 6; stroke-linecap: butt }
.p-point { fill: #0b62a8 }
.p-point-line { fill: none; stroke: #0b62a8; stroke-width: 2; stroke-linejoin: round }
.p-area { fill: #dfeaf4 }
.p-anchor { fill: #3f4a5a }
.p-anchor-null { fill: #ffffff; stroke: #3f4a5a; stroke-width: 1.2 }
""".strip()


@dataclass(frozen=True)
class Plot:
    """A drawing.

    Attributes:
        name: Stem of its file name.
        title: What it shows, in a few words.
        description: The same in words and numbers, for people who do not see it.
        width: Width in pixels.
        height: Height in pixels.
        body: The parts, as SVG text.
    """

    name: str
    title: str
    description: str
    width: int
    height: int
    body: str

    def inline(self) -> str:
        """Returns the drawing for the page, in the colours of its theme."""
        # An image has one name; a label that repeats the drawing's own texts would be read out twice.
        label = f"{self.title}. {self.description}" if self.description else self.title
        box = f"0 0 {self.width} {self.height}"
        return element("svg", self.body, class_="plot", viewBox=box, role="img", aria_label=label)

    def document(self) -> str:
        """Returns the drawing as a file of its own, with the title above it."""
        head = 26
        size = {"width": self.width, "height": self.height + head}
        parts = [
            element("title", text(self.title)),
            element("desc", text(self.description)),
            element("style", _STYLE),
            element("rect", fill="#ffffff", **size),
            label(10, 17, self.title, "p-title"),
            element("g", self.body, transform=f"translate(0 {head})"),
        ]
        box = f"0 0 {self.width} {self.height + head}"
        root = element("svg", "\n".join(parts), xmlns="http://www.w3.org/2000/svg", viewBox=box, **size)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'


def text(content: str) -> str:
    """Returns text as it may stand in a document."""
    return escape(printable(content), quote=True)


def element(tag: str, body: str = "", /, **attributes: str | float) -> str:
    """Returns an element; ``body`` is SVG text already, attributes are escaped.

    ``class_`` stands for ``class``, and other underscores for hyphens.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(coordinate(value) if isinstance(value, float) else str(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{given}>{body}</{tag}>" if body else f"<{tag}{given}/>"


def label(x: float, y: float, content: str, class_: str = "") -> str:
    """Returns a line of text with its baseline at ``y``."""
    return element("text", text(content), x=float(x), y=float(y), **({"class_": class_} if class_ else {}))


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """Returns a straight line."""
    return element("path", d=f"M{coordinate(x1)} {coordinate(y1)}L{coordinate(x2)} {coordinate(y2)}", class_=class_)


def polygon(points: Sequence[tuple[float, float]], class_: str) -> str:
    """Returns a closed shape."""
    return element("path", d="M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points) + "Z", class_=class_)


def dots(points: Sequence[tuple[float, float]], size: float, class_: str) -> str:
    """Returns round dots as one path, which is a tenth of the size of as many circles."""
    path = "".join(f"M{coordinate(x)} {coordinate(y)}h0" for x, y in points)
    return element("path", d=path, class_=class_, stroke_width=float(size)) if points else ""


def crosses(points: Sequence[tuple[float, float]], size: float, class_: str) -> str:
    """Returns diagonal crosses as one path."""
    half, whole = coordinate(size / 2), coordinate(size)
    path = "".join(
        f"M{coordinate(x)} {coordinate(y)}m-{half} -{half}l{whole} {whole}m0 -{whole}l-{whole} {whole}"
        for x, y in points
    )
    return element("path", d=path, class_=class_) if points else ""


def coordinate(value: float) -> str:
    """Returns a coordinate with at most one place after the point; equal drawings have equal bytes everywhere."""
    rounded = f"{value:.1f}".removesuffix(".0")
    return "0" if rounded == "-0" else rounded
