"""What all offline pages share: the template environment, its filters, and the content security policy."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from vidchatbench.report.drawing import text

_JOINT = re.compile(r"([/_-])")


def environment_of(package: str, filters: Mapping[str, Callable[..., object]]) -> Environment:
    """Returns the environment of the templates in a package's folder ``templates``.

    Args:
        package: The package.
        filters: Filters of its own, besides those that all pages have.
    """
    environment = Environment(
        loader=FunctionLoader(lambda name: resource(package, "templates", name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared: dict[str, Callable[..., object]] = {
        "number": lambda value, decimals: text.typeset(text.number(value, decimals)),
        "figure": lambda value: text.typeset(text.number(value, text.decimals_for([value]))),
        "words": text.words,
        "dimension": text.dimension_title,
        "plural": text.plural,
        "arrow": text.arrow,
        "p_value": text.p_value,
        "inline": lambda plot: Markup(plot.inline()),  # noqa: S704 - every text in a plot is escaped
        "moment": _moment,
        "breakable": _breakable,
    }
    environment.filters.update({**shared, **filters})
    # Control characters have no place in HTML, wherever they come from.
    environment.finalize = _finalize
    return environment


def content_policy(style: str, script: str | None = None, *, media: bool = False) -> str:
    """Returns the content security policy of a page that runs only its own script and loads nothing from elsewhere.

    Args:
        style: The page's style sheet.
        script: Its script, if it has one.
        media: Whether it shows pictures within it and clips beside it.
    """
    rules = {"default-src": "'none'"}
    rules |= {"script-src": _hash_source(script)} if script is not None else {}
    rules["style-src"] = _hash_source(style)
    rules |= {"img-src": "data:", "media-src": "'self' file: data:"} if media else {}
    rules |= {"base-uri": "'none'", "form-action": "'none'"}
    rules |= {"require-trusted-types-for": "'script'", "trusted-types": "'none'"}
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


def resource(package: str, folder: str, name: str) -> str:
    """Returns the text of a file of a package."""
    return (importlib.resources.files(package) / folder / name).read_text(encoding="utf-8")


def _hash_source(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _finalize(value: object) -> object:
    return text.printable(value) if type(value) is str else value


def _breakable(value: str) -> Markup:
    """Returns an identifier that may be broken into lines where its parts end."""
    # As plain text, for escaped text would escape what is put between its parts.
    return Markup(_JOINT.sub(r"\1<wbr>", str(escape(text.printable(value)))))  # noqa: S704 - escaped here


def _moment(time: datetime) -> str:
    moment = time if time.tzinfo is None else time.astimezone(timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
