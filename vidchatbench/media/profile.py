"""The decode profile: a name for everything in decoding that can change a pixel or a sample."""

from __future__ import annotations

import functools
from importlib.metadata import version


@functools.cache
def decode_profile() -> str:
    """Names the decoder's major version and our policies; part of every feature's key.

    The version is read from the package's metadata, so that scoring from a full store loads no decoder.
    """
    return f"vcb-media-v2/pyav{version('av').split('.')[0]}"
