"""Random damage to the files of a bundle: bits, bytes, lengths, and values that a parser may not expect."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

HOSTILE = (
    b"true", b"null", b"-1", b"0", b"1e999", b"-0.0", b"NaN", b"9" * 400, b"1" + b"0" * 5000, b'""', b"[]", b"{}",
    b'"' + b"x" * 5000 + b'"', b'"\\ud800"', b'"\\u0000"', b'"../../x"', b'"2026-01-01"', b"[" * 3000, b'"\xff\xfe"',
    b'"<script>"', b"&a", b"*a", b"!!python/object:os.system x", b"? ", b"- - - -", b"\t", b"\xef\xbb\xbf", b"\0",
)  # fmt: skip
_VALUE = re.compile(rb'-?\d+(?:\.\d+)?(?:e-?\d+)?|"[^"\n]*"|true|false|null')


def flip(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def replace(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content))
    return content[:at] + draw.randbytes(draw.choice((1, 2, 4, 64))) + content[at + draw.choice((0, 1, 4)) :]


def cut(content: bytes, draw: random.Random) -> bytes:
    start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[end:] if draw.random() < 0.5 else content[:start]


def double(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice((1, 16, 256, 4096)))
    return content[:end] + content[start:end] * draw.choice((1, 2, 50)) + content[end:]


def substitute(content: bytes, draw: random.Random) -> bytes:
    places = list(_VALUE.finditer(content))
    if not places:
        return flip(content, draw)
    place = draw.choice(places)
    value = draw.choice((*HOSTILE, draw.choice(places)[0]))
    return content[: place.start()] + value + content[place.end() :]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, replace, cut, double, substitute, substitute)


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Returns the content with one kind of damage."""
    return draw.choice(MUTATIONS)(content, draw) if content else draw.randbytes(16)
