"""Strangers' JSON and YAML, read strictly: no name twice, no NaN, nothing that takes long to refuse."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping
from typing import Any, NoReturn

import yaml

MAX_YAML_TOKENS = 4_000
MAX_YAML_DEPTH = 8
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
# The parser in C where there is one; tests run both.
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_json(content: bytes | str) -> None:
    """Makes sure that a JSON text says one thing: parsers differ in which of two equal names they take.

    Raises:
        ValueError: If it is no JSON, is nested too deeply, holds a name twice, or a number that is none.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        json.loads(text, object_pairs_hook=_unique, parse_float=_number, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:50]!r} stands there twice")
    return content


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text[:50])


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no finite number")


class _Loader(_BASE):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Mapping[Hashable, object]:
        names = [str(key.value) for key, _ in node.value]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the name {twice[:50]!r} stands there twice")
        mapping: Mapping[Hashable, object] = super().construct_mapping(node, deep=deep)
        return mapping


def load_yaml(text: str) -> object:
    """Reads a flat and small YAML text.

    Raises:
        ValueError: If it has anchors, aliases or tags, is large or nested too deeply, or holds a name twice.
        yaml.YAMLError: If it is no YAML.
    """
    depth = 0
    # Token by token and before it is parsed, because one alias of an alias can stand for gigabytes.
    for count, token in enumerate(yaml.scan(text, Loader=_BASE)):
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            raise ValueError("anchors and aliases are not read; write the text out")
        if isinstance(token, yaml.TagToken):
            raise ValueError("tags are not read; write the text out")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_YAML_DEPTH:
            raise ValueError("the text is nested too deeply; a description is flat")
        if count > MAX_YAML_TOKENS:
            raise ValueError("the text has thousands of entries; a description is short")
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of the safe loader
