"""What a recipe is: what a reference submission does to the real reply, how far, and whom it must hurt.

Recipes are data, so that the audit knows which of them are steps of one ladder and which class they belong to, and so
that a clip can be told to be of this recipe or another by a hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from vidchatbench.api.cards import Dimension
from vidchatbench.media.encode import Encoding

HOUSE = Encoding(crf=18, audio_bits=64_000)
"""How every clip is compressed that is not a copy, unless compression is the fault."""

TRANSFORMS_VERSION = 1
"""Raised with every change that makes other clips of the same recipe."""

Kind = Literal["identity", "degradation", "cheat", "order"]
Group = Literal["oracle", "honest", "no_work", "damaged", "copy"]
Params = dict[str, float | int | bool | str]
Operation = Literal[
    "copy",
    "remux",
    "reencode",
    "freeze",
    "static",
    "reverse",
    "blur",
    "compress",
    "resize",
    "resample",
    "speed",
    "mirror",
    "crop",
    "checker",
    "sharpen",
    "cover_mouth",
    "swap_picture",
    "shorten",
    "loop",
    "shift",
    "swap_sound",
    "silence",
    "half_silence",
    "reverse_sound",
    "gain",
    "add_noise",
]
Source = Literal["reply", "partner", "sibling", "fixed", "initiator", "training"]

SOUND_OPERATIONS = frozenset({"shift", "swap_sound", "silence", "half_silence", "reverse_sound", "gain", "add_noise"})
"""Operations that take the picture of the re-encoded reply as it is."""

COPYING = frozenset({"copy", "remux"})
"""Operations that keep the packets of the clip."""


@dataclass(frozen=True)
class Recipe:
    """One reference submission.

    Attributes:
        name: Name of its folder.
        family: The ladder it is a step of, or its own name.
        step: How strong the fault is, in ``unit``; 0 is none.
        unit: Unit of the step.
        title: What to print.
        kind: How it is looked at metric by metric: ``identity`` is the real reply itself, ``degradation`` a step of a
            ladder, ``cheat`` a reply that must not pay, ``order`` one that only has its place in the order.
        group: Its class in the order of scores: ``oracle`` is the real reply, ``honest`` what a system could reach,
            ``no_work`` what can be made of a system's inputs, ``damaged`` the real reply with a fault, ``copy`` the
            real reply in disguise.
        operation: What is done; see :mod:`vidchatbench.audit.transforms`.
        source: Whose clip it is made of: ``partner`` is another identity's real reply, ``sibling`` another clip of the
            same identity, ``fixed`` one clip for all samples.
        params: Parameters of the operation.
        hurts: Dimensions whose metrics must see it, the one that it damages most first. A metric of another dimension
            is not at fault if it does not.
        does: What the reply is, in a sentence.
    """

    name: str
    family: str
    step: float
    unit: str
    title: str
    kind: Kind
    group: Group
    operation: Operation
    does: str
    source: Source = "reply"
    params: Params = field(default_factory=dict)
    hurts: tuple[Dimension, ...] = ()

    @property
    def encoding(self) -> Encoding | None:
        """How the clip is compressed; ``None`` where it is a copy."""
        if self.operation in COPYING:
            return None
        return Encoding(int(self.params["crf"]), HOUSE.audio_bits) if self.operation == "compress" else HOUSE

    @property
    def keeps_picture(self) -> bool:
        """Whether the picture is that of the re-encoded reply, bit for bit, and only the sound is another."""
        return self.operation in SOUND_OPERATIONS

    @property
    def needs_partner(self) -> bool:
        """Whether a reply of another identity takes part."""
        return self.source == "partner" or self.operation in {"swap_picture", "swap_sound"}

    @property
    def needs_initiator(self) -> bool:
        """Whether the initiator's clip takes part."""
        return self.source == "initiator" or self.params.get("sound") == "initiator"

    @property
    def sha256(self) -> str:
        """Hash of all that decides what the clips are, besides the clips they are made of."""
        identity = {
            "version": TRANSFORMS_VERSION,
            "operation": self.operation,
            "source": self.source,
            "params": self.params,
            "encoding": None if self.encoding is None else asdict(self.encoding),
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def copied(
    name: str, title: str, does: str, source: Source, hurts: tuple[Dimension, ...], group: Group, kind: Kind
) -> Recipe:
    """Returns a recipe that copies a clip byte for byte."""
    return Recipe(name, name, 0, "", title, kind, group, "copy", does, source, {}, hurts)


def made(
    group: Group,
    name: str,
    title: str,
    operation: Operation,
    does: str,
    hurts: tuple[Dimension, ...] = (),
    params: Params | None = None,
    kind: Kind = "order",
) -> Recipe:
    """Returns a recipe that makes a clip of the real reply, which is no step of a ladder."""
    return Recipe(name, name, 1, "", title, kind, group, operation, does, "reply", params or {}, hurts)
