"""``python -m vidchatbench`` is the command line."""

from __future__ import annotations

from vidchatbench.cli import main

if __name__ == "__main__":
    main()
