"""A small synthetic benchmark and systems for it, made on the spot and without a network.

Twelve people in six dyads ask each other and answer: a public-domain portrait, painted into twelve faces that talk,
with synthesised voices. :func:`build_demo` writes the benchmark and the outputs of systems of known order, so that the
whole road from outputs to scores can be tried and tested anywhere.
"""

from __future__ import annotations

from pathlib import Path

from vidchatbench.demo.files import SYSTEMS, DemoPaths, DemoSize

__all__ = ["SYSTEMS", "DemoPaths", "DemoSize", "build_demo"]


def build_demo(folder: Path, seed: int = 0, size: DemoSize | None = None) -> DemoPaths:
    """Builds the demonstration, or returns at once if the folder already holds it undamaged.

    Args:
        folder: Where to; created if missing. Only ``benchmark`` and the systems' folders are ever replaced; whatever
            else is in it stays.
        seed: Another seed makes other melodies and movements.
        size: How many dyads and which systems, how long and how large; all of it by default.

    Returns:
        Where everything lies.

    Raises:
        UsageError: If the folder holds a ``benchmark`` or a system of these names that no demonstration has made.
    """
    from vidchatbench.demo.build import build  # brings numpy, Pillow and PyAV

    return build(folder, seed, size or DemoSize())
