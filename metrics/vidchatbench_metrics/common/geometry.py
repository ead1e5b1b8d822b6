"""The geometry of frame metrics: the paper's generation size, which every clip is brought to."""

from __future__ import annotations

HEIGHT = 480
WIDTH = 768

MIN_COMMON_SECONDS = 1.0
"""Seconds that candidate and reference must have in common for a paired metric."""
