"""A metric's page in Markdown, made of its card: the same text in the documentation and in ``metrics show``."""

from __future__ import annotations

from vidchatbench.api.cards import MetricCard

_AGGREGATION = {
    "mean": "mean over the samples, cluster bootstrap (BCa) over identities",
    "set": "distance between the set of candidates and the set of references, delete-a-group jackknife over identities",
}


def metric_page(card: MetricCard) -> str:
    """Returns the page: what is measured, formula, protocol, weights, how to read it, failure modes, citation."""
    parts = [f"# {card.id}: {card.title}", _flow(card.description)]
    for title, text in (("Formula", card.formula), ("How to read it", card.reading)):
        if text.strip():
            parts += [f"## {title}", _flow(text)]
    if card.failure_modes.strip():
        parts += ["## Known failure modes", _flow(card.failure_modes)]
    parts += ["## Facts", "\n".join(f"- {fact}" for fact in _facts(card))]
    parts += [f"## Protocol `{card.protocol}`, version {card.version}", _flow(card.protocol_text)]
    parts += ["## Weights and licences", "\n".join(f"- {fact}" for fact in _licences(card))]
    parts += ["## Source", _flow(card.source), "## Citation", f"```bibtex\n{card.citation.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _flow(text: str) -> str:
    # Cards are wrapped for their editors; a paragraph ends at an empty line only.
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _facts(card: MetricCard) -> list[str]:
    least = "-∞" if card.minimum is None else f"{card.minimum:g}"
    most = "∞" if card.maximum is None else f"{card.maximum:g}"
    facts = [
        f"dimension: {_words(card.dimension.value)}; {card.direction} is better",
        f"range: {least} to {most}{' ' + card.unit if card.unit else ''}",
        "a missing or invalid output "
        + ("leaves the set" if card.worst is None else f"is charged {card.worst:g} and counts"),
        f"one number from many samples: {_AGGREGATION[card.aggregation]}",
    ]
    if card.ideal is not None:
        facts.append(f"a perfect reply scores {card.ideal:g}")
    if card.null is not None:
        facts.append(f"floor of the anchored scale: {_words(card.null)}")
    if card.ceiling == "reencoded_reply":
        facts.append("ceiling of the anchored scale: what the real reply scores after an encoding at crf 18")
    facts.append(f"a sample must offer: {', '.join(_words(role.value) for role in card.roles)}")
    facts.append(f"tasks: {', '.join(_words(task) for task in card.tasks)}")
    return facts


def _licences(card: MetricCard) -> list[str]:
    facts = [f"code: {card.code_license}"]
    if not card.weights:
        return [*facts, "no weights"]
    use = "commercial use permitted" if card.commercial_use else "not for commercial use"
    return [*facts, f"weights: {', '.join(f'`{name}`' for name in card.weights)} ({card.weights_license}; {use})"]


def _words(name: str) -> str:
    return name.replace("_", " ")
