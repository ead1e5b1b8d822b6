"""A small synthetic benchmark and three systems for it, made on the spot and without a network.

Two speakers answer each other: a public-domain portrait that is made to talk, and a second person derived from it, with
synthesised voices. :func:`build_demo` writes the benchmark and the outputs of three systems of known order, so that
the whole road from outputs to scores can be tried and tested anywhere.
"""

from __future__ import annotations

from pathlib import Path

from vidchatbench.demo.files import SYSTEMS, DemoPaths

__all__ = ["SYSTEMS", "DemoPaths", "build_demo"]


def build_demo(folder: Path, seed: int = 0) -> DemoPaths:
    """Builds the demonstration, or returns at once if the folder already holds it undamaged.

    Args:
        folder: Where to; created if missing. Only ``benchmark`` and the three systems' folders are
            ever replaced; whatever else is in it stays.
        seed: Another seed makes other sentences and movements.

    Returns:
        Where everything lies.

    Raises:
        UsageError: If the folder holds a ``benchmark`` or a system of these names that no demonstration has made.
    """
    from vidchatbench.demo.build import build  # brings numpy, Pillow and PyAV

    return build(folder, seed)
