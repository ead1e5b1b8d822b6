"""The built-in metrics; the harness finds them through the entry point ``vidchatbench.metrics``, like anyone's."""

from __future__ import annotations

from vidchatbench.api import Plugin

plugin = Plugin()
