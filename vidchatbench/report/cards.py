"""The cards of a run's metrics, where the installed packages have them in the same version and protocol."""

from __future__ import annotations

from vidchatbench.api.cards import MetricCard
from vidchatbench.errors import UsageError
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.results.schema import MetricResult, Results


def cards_of(results: Results, catalogue: Catalogue) -> dict[str, MetricCard]:
    """Returns the cards of a run's metrics by id.

    A metric that is not installed, or stands for another protocol or version today, has no card here: its text would
    describe another number.
    """
    cards = {}
    for metric in results.metrics:
        card = _card(metric, catalogue)
        if card is not None and (card.protocol, card.version) == (metric.protocol, metric.version):
            cards[metric.id] = card
    return cards


def _card(metric: MetricResult, catalogue: Catalogue) -> MetricCard | None:
    try:
        return catalogue.metric(metric.id, **metric.params).card
    except UsageError:
        return None
