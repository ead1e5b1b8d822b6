"""The lists beside the annotations: the test set, the high-quality tier, and everything there is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from vidchatbench.curation.speakervid.loose import spelled
from vidchatbench.curation.speakervid.names import ClipName, bare, is_clip_name
from vidchatbench.errors import InputError

_PAIR = 2
_CHUNK = 1024 * 1024
_MAX_TEST_LIST_BYTES = 64 * 1024 * 1024
_MAX_STRING_LENGTH = 64 * 1024
_MAX_LISTED = 20
_AHEAD = 64
_AGAIN = "Fetch the file again."
_INITIATOR_KEYS = ("initiator", "initiatorfilename", "input", "source", "question", "user", "first")
_RESPONDER_KEYS = ("responder", "responderfilename", "output", "target", "answer", "reply", "second")
_NAME_KEYS = ("filename", "file", "name", "clip", "clipname", "jsonname")
_WRAPPERS = ("test", "testset", "data", "pairs", "samples", "entries", "list")
# Strings, and the brackets that give their depth; numbers and words are ignored.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?:(?P<end>")|\\?\Z)|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class TestEntry:
    """One entry of the test list.

    Attributes:
        initiator: Name of the initiator's clip; ``None`` if the list gives none.
        responder: Name of the responder's clip.
    """

    __test__ = False

    initiator: str | None
    responder: str


@dataclass(frozen=True, slots=True)
class TestList:
    """A test list.

    Attributes:
        form: Whether every entry is a pair, a name, or some of each.
        entries: The entries in their order, none twice.
        not_understood: One line for everything that was left out.
        sha256: sha256 of the file.
    """

    __test__ = False

    form: Literal["pairs", "names", "mixed"]
    entries: tuple[TestEntry, ...]
    not_understood: tuple[str, ...]
    sha256: str


def read_test_list(path: Path) -> TestList:
    """Reads ``testset.json``: names, lists of two, objects that name both sides, or a mapping of these.

    Raises:
        InputError: If it cannot be read, is no JSON, or holds no clip.
    """
    try:
        if path.stat().st_size > _MAX_TEST_LIST_BYTES:
            raise InputError(str(path), ["too large for a test list"])
        content = path.read_bytes()
        value = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(str(path), [f"not JSON: {error}"], _AGAIN) from error
    except OSError as error:
        raise InputError(str(path), [error.strerror or "cannot be read"]) from error
    not_understood: list[str] = []
    seen: dict[TestEntry, None] = {}
    for entry in _entries(value, not_understood):
        if entry in seen:
            not_understood.append(f"{entry.responder}: stands there twice")
        seen[entry] = None
    entries = tuple(seen)
    if not entries:
        raise InputError(str(path), ["there is no clip in it", *not_understood[:_MAX_LISTED]])
    paired = sum(entry.initiator is not None for entry in entries)
    form: Literal["pairs", "names", "mixed"] = (
        "pairs" if paired == len(entries) else "names" if paired == 0 else "mixed"
    )
    return TestList(form, entries, tuple(not_understood), hashlib.sha256(content).hexdigest())


def _entries(value: object, problems: list[str]) -> Iterator[TestEntry]:
    if isinstance(value, Mapping):
        yield from _mapping_entries(value, problems)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _item_entries(item, f"entry {place}", problems)
    else:
        problems.append(f"{_shown(value)}: neither a list nor a mapping")


def _mapping_entries(value: Mapping[str, object], problems: list[str]) -> Iterator[TestEntry]:
    wrapped = [item for key, item in value.items() if spelled(key) in _WRAPPERS and isinstance(item, list | dict)]
    if len(wrapped) == 1:
        yield from _entries(wrapped[0], problems)
        return
    if _sides(value) is not None:
        yield from _item_entries(value, "the only entry", problems)
        return
    lists = [item for item in value.values() if isinstance(item, list)]
    # A key with two names each is a list of pairs; keys with more are lists of names.
    pairs = len(lists) > 1 and all(len(item) == _PAIR for item in lists)
    for key, item in value.items():
        if isinstance(item, str) and is_clip_name(key) and is_clip_name(item):
            yield from _item_entries([key, item], key, problems)
        elif isinstance(item, list) and not pairs:
            for place, inner in enumerate(item):
                yield from _item_entries(inner, f"{key[:80]}, entry {place}", problems)
        elif isinstance(item, dict) and _sides(item) is None and is_clip_name(key):
            yield from _item_entries(key, key, problems)
        else:
            yield from _item_entries(item, key[:80], problems)


def _item_entries(item: object, where: str, problems: list[str]) -> Iterator[TestEntry]:
    sides: tuple[object, object] | None = None
    if isinstance(item, str):
        sides = (None, item)
    elif isinstance(item, list) and len(item) == _PAIR:
        sides = (_named(item[0]), _named(item[1]))
    elif isinstance(item, dict):
        sides = _sides(item)
    if sides is None:
        problems.append(f"{where}: {_shown(item)} is neither a name nor a pair")
        return
    names: list[str | None] = []
    for side in sides:
        try:
            names.append(None if side is None else ClipName.parse(side if isinstance(side, str) else repr(side)).text)
        except ValueError as error:
            problems.append(f"{where}: {error}")
            return
    initiator, responder = names
    if responder is None:
        problems.append(f"{where}: no responder")
    elif initiator == responder:
        problems.append(f"{where}: {responder} is on both sides")
    else:
        yield TestEntry(initiator, responder)


def _sides(item: Mapping[str, object]) -> tuple[object, object] | None:
    """Returns both sides that an object names; the first may be ``None``."""
    fields = {spelled(key): value for key, value in item.items()}
    responder = next((fields[key] for key in _RESPONDER_KEYS if fields.get(key) is not None), None)
    if responder is not None:
        return _named(next((fields[key] for key in _INITIATOR_KEYS if key in fields), None)), _named(responder)
    name = next((fields[key] for key in _NAME_KEYS if fields.get(key) is not None), None)
    return None if name is None else (None, _named(name))


def _named(value: object) -> object:
    if isinstance(value, Mapping):
        fields = {spelled(key): item for key, item in value.items()}
        return next((fields[key] for key in _NAME_KEYS if key in fields), value)
    return value


def _shown(value: object) -> str:
    return repr(value)[:80]


# --- long lists -----------------------------------------------------------------------------------------------------


def read_clip_list(path: Path, *, not_understood: list[str] | None = None) -> Iterator[str]:
    """Yields the clip names of ``all_data_list.json``, ``SFT_set.json`` or a plain list, one line a name.

    The file is read as a stream: five million names need no more memory than one chunk of text. A name that stands in
    it twice is yielded twice.

    Args:
        path: The file.
        not_understood: Gets the first texts that are no names of clips; keys of mappings and video ids beside a name
            are not among them.

    Raises:
        InputError: If it cannot be read, or if JSON is cut off; after the names before the cut have been yielded.
    """
    messages = not_understood if not_understood is not None else []
    for text, is_name in clip_list_strings(path):
        if is_clip_name(text):
            yield bare(text)
        elif is_name and len(messages) < _MAX_LISTED:
            messages.append(text[:120])


def clip_list_strings(path: Path) -> Iterator[tuple[str, bool]]:
    """Yields every text of a list, and whether it stands where a name is expected: in a list or on a line of its own.

    Raises:
        InputError: If it cannot be read, or if JSON is cut off.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.read(_CHUNK)
            start = first.lstrip()[:1]
            if start and start in '[{"':
                yield from _json_strings(path, chain([first], iter(lambda: file.read(_CHUNK), "")))
            else:
                file.seek(0)
                for line in file:
                    if text := line.strip():
                        yield text, True
    except UnicodeDecodeError as error:
        raise InputError(str(path), [f"not UTF-8 text: {error}"]) from error
    except OSError as error:
        raise InputError(str(path), [error.strerror or "cannot be read"]) from error


def _json_strings(path: Path, chunks: Iterator[str]) -> Iterator[tuple[str, bool]]:
    depth: list[str] = []
    rest = ""
    for chunk in chunks:
        text = rest + chunk
        rest = ""
        for token in _TOKEN.finditer(text):
            if token[0][0] == '"' and token.end() > len(text) - _AHEAD:
                # Its end, or the colon that makes it a key, is in the next chunk.
                rest = text[token.start() :]
                break
            yield from _read_token(path, token, depth)
        if len(rest) > _MAX_STRING_LENGTH:
            raise InputError(str(path), ["a text in it is longer than any name"])
    for token in _TOKEN.finditer(rest):
        if token[0][0] == '"' and token["end"] is None:
            raise InputError(str(path), ["cut off in the middle of a text"], _AGAIN)
        yield from _read_token(path, token, depth)
    if depth:
        raise InputError(str(path), ["cut off: a list or an object has no end"], _AGAIN)


def _read_token(path: Path, token: re.Match[str], depth: list[str]) -> Iterator[tuple[str, bool]]:
    text = token[0]
    if text in {"[", "{"}:
        depth.append(text)
    elif text in {"]", "}"}:
        if not depth or depth.pop() != ("[" if text == "]" else "{"):
            raise InputError(str(path), [f"not JSON: {text!r} closes nothing"], _AGAIN)
    else:
        is_key = token.string[token.end() : token.end() + _AHEAD].lstrip()[:1] == ":"
        in_list = not depth or depth[-1] == "["
        try:
            plain = json.loads(text, strict=False) if "\\" in text else text[1:-1]
        except json.JSONDecodeError as error:
            raise InputError(str(path), [f"not JSON: {error}"], _AGAIN) from error
        yield plain, in_list and not is_key
