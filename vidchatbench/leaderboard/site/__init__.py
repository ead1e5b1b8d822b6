"""The page of the leaderboard: static files that need no server and ask nothing of any other site."""

from __future__ import annotations

from vidchatbench.leaderboard.site.build import build_site

__all__ = ["build_site"]
