"""Looking a weight up: in the table, in the record of what was seen first, or as any file by its hash."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api.plugins import WeightSpec
from vidchatbench.core.suggest import did_you_mean
from vidchatbench.errors import UsageError
from vidchatbench.weights.lock import Pin, read_lock

BY_HASH = "sha256:"
_HEX_DIGITS = 64


def cache_name(spec: WeightSpec) -> str:
    """Returns the name of a weight's file in the cache; two files of one name must not drive each other out."""
    return f"{(spec.sha256 or 'unpinned')[:12]}-{spec.file_name}"


def weight_spec(table: Mapping[str, WeightSpec], name: str) -> WeightSpec:
    """Returns the table's entry, or for ``sha256:<64 hex digits>`` an entry for whatever file has that hash.

    An entry for which nobody has published a hash gets the one that was recorded when the file first came to this
    computer; until then its ``sha256`` is ``None``. A file named by its hash is found in the weights mirror only, and
    its licence is unknown.

    Raises:
        UsageError: If the table has no such entry and the name is no hash.
    """
    if name in table:
        spec = table[name]
        if spec.sha256 is None and (locked := read_lock().get(name)) is not None:
            return spec.model_copy(update={"sha256": locked.sha256, "size": locked.size})
        return spec
    digits = name.removeprefix(BY_HASH)
    if name.startswith(BY_HASH) and len(digits) == _HEX_DIGITS and set(digits) <= set("0123456789abcdef"):
        return WeightSpec(
            name=name.replace(":", "-"),
            file_name=digits,
            sha256=digits,
            size=None,
            license="unknown: the file was named by its hash",
            commercial_use=False,
            origin="named by the user",
        )
    guess = did_you_mean(name, table) or f"; known: {', '.join(sorted(table)) or 'none'}"
    raise UsageError(f"the weights table has no entry {name!r}{guess}")


def pin_of(table: Mapping[str, WeightSpec], name: str) -> Pin:
    """Returns on whose word a weight is known to be the right one."""
    if name not in table:
        return Pin.NAMED
    if table[name].sha256 is not None:
        return Pin.PUBLISHED
    locked = read_lock().get(name)
    return Pin.FIRST_DOWNLOAD if locked is None else locked.pin
