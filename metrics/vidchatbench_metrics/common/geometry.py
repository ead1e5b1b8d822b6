"""The geometry of frame metrics: a window anchored to the face, brought to the paper's generation size."""

from __future__ import annotations

from vidchatbench.api import window_spec

HEIGHT = 480
WIDTH = 768

GUIDES = {"window": window_spec(HEIGHT, WIDTH)}
"""What guides the extractors that look at frames."""

MIN_COMMON_SECONDS = 1.0
"""Seconds that candidate and reference must have in common for a paired metric."""
