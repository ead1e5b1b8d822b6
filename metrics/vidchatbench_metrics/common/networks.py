"""Networks that a parameter names: by a short name, or any other of the same interface by the hash of its file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vidchatbench.api import MetricCard

BY_HASH = "sha256:"
DIGITS_SHOWN = 12
"""Digits of a hash that protocol ids and protocol texts give."""

_HASH = re.compile(f"{BY_HASH}[0-9a-f]{{64}}")


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        name: Its short name, or ``sha256:<64 hex digits>``.
        weight: Its name in the weights table.
        label: Its name in protocol ids, the short name if empty.
        title: Its name in protocol texts, the short name if empty.
        license: Licence of all weights of a metric that runs with it; ``None`` if it is the one on the card.
        commercial_use: Whether that licence permits commercial use; ``None`` likewise.
    """

    name: str
    weight: str
    label: str = ""
    title: str = ""
    license: str | None = None
    commercial_use: bool | None = None

    @property
    def in_protocol(self) -> str:
        """What protocol ids call it."""
        return self.label or self.name

    @property
    def in_text(self) -> str:
        """What protocol texts call it."""
        return self.title or self.name


@dataclass(frozen=True)
class Networks:
    """Networks of one interface: those with a short name, and any other by its hash.

    Attributes:
        known: Those with a short name; the first is the default.
        hashed_label: Label of a network that is named by its hash; ``{digits}`` stands for the first of the hash.
        hashed_title: Its title, likewise; its label if empty.
        hashed_license: Licence on the card of a metric that runs with it.
        kind: What messages call one of them.
    """

    known: tuple[Network, ...]
    hashed_label: str = "net-{digits}"
    hashed_title: str = ""
    hashed_license: str = "unknown, the network was named by its hash"
    kind: str = "network"

    @property
    def default(self) -> str:
        """Short name of the default."""
        return self.known[0].name

    @property
    def names(self) -> tuple[str, ...]:
        """All short names."""
        return tuple(network.name for network in self.known)

    def weight_of(self, name: str) -> str:
        """Returns the weights table's name of a network; a name that is no short name is taken for that itself."""
        return next((network.weight for network in self.known if network.name == name), name)

    def find(self, name: str, owner: str | None = None) -> Network:
        """Returns the network of a name.

        Args:
            name: A short name, or ``sha256:<64 hex digits>`` for any file in the weights mirror.
            owner: Id of the metric that is to run with it, for the message.

        Raises:
            ValueError: If it is neither.
        """
        for network in self.known:
            if network.name == name:
                return network
        if not _HASH.fullmatch(name):
            subject = "there is" if owner is None else f"{owner} has"
            choices = f"{', '.join(self.names)} or {BY_HASH}<64 hex digits>"
            raise ValueError(f"{subject} no {self.kind} {name!r}; use {choices}")
        digits = name.removeprefix(BY_HASH)[:DIGITS_SHOWN]
        label = self.hashed_label.format(digits=digits)
        title = self.hashed_title.format(digits=digits) or label
        return Network(name, name, label, title, self.hashed_license, commercial_use=False)

    def card(self, card: MetricCard, name: str, **fields: str) -> MetricCard:
        """Returns the card of a metric that runs with a network.

        Args:
            card: The card for the default network, which is the first of its weights. Its fields ``label`` and
                ``network``, where it has them, are filled with the network's names in protocol ids and texts.
            name: A short name, or ``sha256:<64 hex digits>``.
            fields: Further fields of the card.

        Raises:
            ValueError: If there is no such network.
        """
        network = self.find(name, card.id)
        names = {"label": network.in_protocol, "network": network.in_text}
        terms = {"weights_license": network.license, "commercial_use": network.commercial_use}
        return card.vary(
            fields={**{field: value for field, value in names.items() if field in card.fields}, **fields},
            weights=(network.weight, *card.weights[1:]),
            **{attribute: value for attribute, value in terms.items() if value is not None},
        )
