"""The command line: one file per command; stdout carries results only, words for people go to stderr."""

from __future__ import annotations


def main() -> None:
    """Runs the command line and exits with its code."""
    from vidchatbench.cli.app import run  # so that importing the package stays free of the CLI's needs

    run()
