"""Connects judges: from the text that the user gave to a panel that goes by its public name."""

from __future__ import annotations

from pathlib import Path

from vidchatbench.api.judging import CONNECTIONS, Judge
from vidchatbench.judge.llm.settings import read_settings


def public_judge_name(text: str) -> str:
    """Returns the public name of the judges that a text names; nothing is connected.

    Args:
        text: ``URL#MODEL``, several separated by commas, or the path of a TOML file.

    Raises:
        InputError: If the text or the file is not understood; all problems are listed, no address or key is repeated.
    """
    return read_settings(text).name


def connect_judge(text: str, *, budget: str | None = None, cache: Path | None = None) -> str:
    """Connects a judge in this process and returns its public name; nothing is sent.

    Args:
        text: ``URL#MODEL``, several separated by commas, or the path of a TOML file.
        budget: Most that may be spent in this process, such as ``200k tokens`` or ``5 USD``.
        cache: Folder of the responses; the usual one if ``None``.

    Raises:
        InputError: If the text or the file is not understood; all problems are listed, no address or key is repeated.
        UsageError: If the budget is not understood, or is money where a judge has no price.
    """
    from vidchatbench.judge.panel import Panel  # loads the clients of the endpoints, which a name does not need

    settings = read_settings(text)

    def choose(connected: Judge | None) -> Judge:
        # What has been spent and learnt stays with a judge that is named again.
        if isinstance(connected, Panel) and connected.settings == settings and budget is None and cache is None:
            return connected
        return Panel(settings, budget=budget, cache=cache)

    CONNECTIONS.connect(settings.name, choose)
    return settings.name
