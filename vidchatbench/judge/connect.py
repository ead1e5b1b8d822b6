"""What a metric package sees of the judge: a request, an answer, and a judge that is opened by its name.

Everything here is light, for ``vidchatbench.api`` offers it. Endpoints have addresses, and addresses have no place in
results; so a judge is *connected* once by the text that the user gave, and goes by its public name (the models' names)
from then on: in parameters, protocol ids, feature keys and results.
"""

from __future__ import annotations

from pathlib import Path

from vidchatbench.api.judging import _CONNECTED, _LOCK


def connect_judge(text: str, *, budget: str | None = None, cache: Path | None = None) -> str:
    """Makes a judge known in this process and returns its public name; nothing is sent.

    Args:
        text: ``URL#MODEL``, several separated by commas, or the path of a TOML file.
        budget: Most that may be spent in this process, such as ``200k tokens`` or ``5 USD``.
        cache: Folder of the responses; the usual one if ``None``.

    Raises:
        InputError: If the text or the file is not understood; all problems are listed, no address or key is repeated.
        UsageError: If the budget is not understood, or is money where a judge has no price.
    """
    from vidchatbench.judge.llm.settings import read_settings
    from vidchatbench.judge.panel import Panel  # pulls in what the public names must not

    settings = read_settings(text)
    with _LOCK:
        known = _CONNECTED.get(settings.name)
        # What has been spent and learnt stays with a judge that is named again.
        if not isinstance(known, Panel) or known.settings != settings or budget is not None or cache is not None:
            _CONNECTED[settings.name] = Panel(settings, budget=budget, cache=cache)
    return settings.name
