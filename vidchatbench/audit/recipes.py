"""Recipes of the reference submissions: what each does to the real reply, how far, and whom it must hurt.

They are data, so that the audit knows which of them are steps of one ladder, and so that a clip can be told to be of
this recipe or another by a hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from vidchatbench.api.cards import Dimension
from vidchatbench.errors import UsageError
from vidchatbench.media.encode import Encoding

HOUSE = Encoding(crf=18, audio_bits=64_000)
"""How every clip is compressed that is not a copy, unless compression is the fault."""

TRANSFORMS_VERSION = 1
"""Raised with every change that makes other clips of the same recipe."""

Kind = Literal["identity", "degradation", "cheat"]
Operation = Literal[
    "copy",
    "reencode",
    "freeze",
    "shift",
    "reverse",
    "blur",
    "compress",
    "swap_picture",
    "swap_sound",
    "silence",
    "shorten",
]
Source = Literal["reply", "partner", "initiator", "training"]

_PICTURE = (Dimension.VIDEO_QUALITY,)
_SEEN = (Dimension.VIDEO_QUALITY, Dimension.EMOTION, Dimension.AV_SYNC, Dimension.INTERACTION)
_HEARD = (Dimension.VOICE, Dimension.DIALOGUE)
_ALL_BUT_SYNC = (
    *(Dimension.VIDEO_QUALITY, Dimension.IDENTITY, Dimension.EMOTION, Dimension.VOICE, Dimension.DIALOGUE),
    *(Dimension.INTERACTION, Dimension.MULTI_PERSON),
)


@dataclass(frozen=True)
class Recipe:
    """One reference submission.

    Attributes:
        name: Name of its folder.
        family: The ladder it is a step of, or its own name.
        step: How strong the fault is, in ``unit``; 0 is none.
        unit: Unit of the step.
        title: What to print.
        kind: ``identity`` is the real reply itself, ``degradation`` a fault of known size, ``cheat`` a reply that costs
            no skill and must not pay.
        operation: What is done; see :mod:`vidchatbench.audit.transforms`.
        source: Whose clip the picture is of; ``partner`` is another identity's real reply.
        params: Parameters of the operation.
        hurts: Dimensions whose metrics must see it. A metric of another dimension is not at fault if it does not.
        does: What the reply is, in a sentence.
    """

    name: str
    family: str
    step: float
    unit: str
    title: str
    kind: Kind
    operation: Operation
    does: str
    source: Source = "reply"
    params: dict[str, float | int | bool] = field(default_factory=dict)
    hurts: tuple[Dimension, ...] = ()

    @property
    def encoding(self) -> Encoding | None:
        """How the clip is compressed; ``None`` where it is a copy."""
        if self.operation == "copy":
            return None
        return Encoding(int(self.params["crf"]), HOUSE.audio_bits) if self.operation == "compress" else HOUSE

    @property
    def keeps_picture(self) -> bool:
        """Whether the picture is that of the re-encoded reply, bit for bit, and only the sound is another."""
        return self.operation in {"shift", "silence", "swap_sound"}

    @property
    def needs_partner(self) -> bool:
        """Whether a reply of another identity takes part."""
        return self.source == "partner" or self.operation in {"swap_picture", "swap_sound"}

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


def _copy(name: str, title: str, does: str, source: Source, hurts: tuple[Dimension, ...]) -> Recipe:
    kind: Kind = "identity" if source == "reply" else "cheat"
    return Recipe(name, name, 0, "", title, kind, "copy", does, source, {}, hurts)


def _made(
    name: str,
    title: str,
    operation: Operation,
    does: str,
    hurts: tuple[Dimension, ...],
    params: dict[str, float | int | bool] | None = None,
) -> Recipe:
    return Recipe(name, name, 1, "", title, "cheat", operation, does, "reply", params or {}, hurts)


def _shift(frames: int) -> Recipe:
    family, sign = ("sound_late", "p") if frames > 0 else ("sound_early", "m")
    way = "late" if frames > 0 else "early"
    does = (
        f"The sound comes {abs(frames)} frames of 40 ms {way}. Its length is kept: silence fills what becomes free, "
        "what leaves the clip is lost. Positive is late."
    )
    return Recipe(
        f"shift_{sign}{abs(frames):02d}",
        family,
        abs(frames),
        "frames",
        f"sound {abs(frames)} frames {way}",
        "degradation",
        "shift",
        does,
        "reply",
        {"frames": frames},
        (Dimension.AV_SYNC,),
    )


def _blur(sigma: float) -> Recipe:
    does = (
        f"Every picture is blurred by a Gaussian of sigma {sigma:g} pixels at a short side of 480; sigma grows with "
        "the picture (Pillow's GaussianBlur: three box filters in each direction)."
    )
    name = f"blur_{sigma:04.1f}".replace(".", "_")
    title = f"blur, sigma {sigma:g} px"
    return Recipe(name, "blur", sigma, "px", title, "degradation", "blur", does, "reply", {"sigma": sigma}, _PICTURE)


def _compress(crf: int) -> Recipe:
    does = f"The picture is compressed by x264 with a constant rate factor of {crf}; the sound is that of the house."
    name, title = f"compress_{crf}", f"compression, CRF {crf}"
    return Recipe(
        name, "compression", crf, "CRF", title, "degradation", "compress", does, "reply", {"crf": crf}, _PICTURE
    )


ORACLE, REENCODED, SHUFFLED, OTHER_VOICE = "oracle", "reencoded", "shuffled", "other_voice"
NEAREST = "nearest_training"

RECIPES: tuple[Recipe, ...] = (
    _copy(ORACLE, "real replies", "The real replies, byte for byte.", "reply", ()),
    Recipe(
        *(REENCODED, REENCODED, 0, "", "real replies, re-encoded", "identity", "reencode"),
        f"The real replies in the house encoding (x264 CRF {HOUSE.crf}, 64 kbit/s AAC, 16 kHz mono): what the codec of "
        "all the others costs by itself, and step 0 of every ladder.",
    ),
    *(_shift(frames) for frames in (2, 4, 6, 8, 10)),
    *(_shift(-frames) for frames in (2, 4, 6, 8, 10)),
    *(_blur(sigma) for sigma in (0.5, 1.0, 2.0, 4.0, 8.0)),
    *(_compress(crf) for crf in (26, 32, 38, 44, 50)),
    _made(
        *("frozen", "frozen image, real voice", "freeze"),
        "The reference image (without one, the first picture of the real reply) held still, with the real voice.",
        (*_SEEN, Dimension.IDENTITY),
    ),
    _made(
        *("frozen_silent", "reference image and silence", "freeze"),
        "The reference image held still, and silence: what a system was given, returned.",
        (*_SEEN, Dimension.IDENTITY, *_HEARD),
        {"silent": True},
    ),
    _made(
        *("silent", "real picture, silence", "silence"),
        "The picture of the real reply with a silent sound of the same length.",
        (*_HEARD, Dimension.AV_SYNC, Dimension.INTERACTION),
    ),
    _made(
        *("reversed", "reversed picture", "reverse"),
        "The pictures of the real reply from the last to the first, with the real voice.",
        (Dimension.AV_SYNC, Dimension.VIDEO_QUALITY, Dimension.EMOTION, Dimension.INTERACTION),
    ),
    _made(
        *("other_face", "another identity’s picture", "swap_picture"),
        "The whole picture of another identity’s real reply, cut or held to the length of this one, with this reply’s "
        "voice. Not a face put onto this body: background, clothes and framing are the other’s too.",
        (*_SEEN, Dimension.IDENTITY),
    ),
    _made(
        *(OTHER_VOICE, "another identity’s voice", "swap_sound"),
        "The picture of the real reply with the sound of another identity’s, cut or filled with silence to its length.",
        (*_HEARD, Dimension.AV_SYNC),
    ),
    _copy(
        SHUFFLED,
        "another identity’s reply",
        "Another identity’s real reply, picture and voice, byte for byte; nobody gets a reply of their own.",
        "partner",
        _ALL_BUT_SYNC,
    ),
    _copy(
        "echo",
        "echo of the initiator",
        "The initiator’s own clip, byte for byte, as the reply.",
        "initiator",
        _ALL_BUT_SYNC,
    ),
    _made(
        *("one_second", "one second only", "shorten"),
        "The first second of the real reply, and nothing after it.",
        (Dimension.VIDEO_QUALITY, Dimension.DIALOGUE, Dimension.INTERACTION),
        {"seconds": 1},
    ),
    _copy(
        NEAREST,
        "nearest training clip",
        "The clip of the training folder whose first picture is nearest to the reference image (32 × 32 luma, mean and "
        "contrast removed, Euclidean distance), byte for byte.",
        "training",
        _ALL_BUT_SYNC,
    ),
)


@dataclass(frozen=True)
class Ladder:
    """Steps of one fault, weakest first; step 0 is the re-encoded reply."""

    family: str
    title: str
    unit: str
    steps: tuple[Recipe, ...]

    @property
    def hurts(self) -> tuple[Dimension, ...]:
        """Dimensions whose metrics must see it."""
        return self.steps[0].hurts


_LADDER_TITLES = {
    "sound_late": "sound comes late",
    "sound_early": "sound comes early",
    "blur": "blur",
    "compression": "compression",
}


def ladders() -> tuple[Ladder, ...]:
    """Returns the ladders of known faults."""
    families: dict[str, list[Recipe]] = {}
    for recipe in RECIPES:
        if recipe.kind == "degradation":
            families.setdefault(recipe.family, []).append(recipe)
    return tuple(
        Ladder(family, _LADDER_TITLES[family], steps[0].unit, tuple(sorted(steps, key=lambda one: one.step)))
        for family, steps in families.items()
    )


def cheats() -> tuple[Recipe, ...]:
    """Returns the cheats."""
    return tuple(recipe for recipe in RECIPES if recipe.kind == "cheat")


def find_recipes(names: Sequence[str] | None, *, training: bool) -> tuple[Recipe, ...]:
    """Returns recipes by name or by family, in the order of :data:`RECIPES`.

    Args:
        names: Recipes or families; all of them if not given.
        training: Whether there is a training folder; without one, the recipe that needs it is left out.

    Returns:
        The recipes, and with a recipe that keeps the re-encoded picture also the re-encoded reply.

    Raises:
        UsageError: If a name is unknown, or asks for a training folder that is not given.
    """
    known = {recipe.name for recipe in RECIPES} | {recipe.family for recipe in RECIPES}
    strange = [name for name in names or () if name not in known]
    if strange or (names is not None and not names):
        listed = ", ".join(dict.fromkeys(recipe.family for recipe in RECIPES))
        problem = f"there is no reference submission {', '.join(map(repr, strange))}" if strange else "none is named"
        raise UsageError(f"{problem}; there are {listed}, or single steps such as {RECIPES[2].name}")
    if names is not None and NEAREST in names and not training:
        raise UsageError(f"{NEAREST} needs a folder of training clips: give --training DIR")
    chosen = [r for r in RECIPES if names is None or r.name in names or r.family in names]
    chosen = [recipe for recipe in chosen if recipe.source != "training" or training]
    wanted = {recipe.name for recipe in chosen}
    if any(recipe.keeps_picture for recipe in chosen):
        wanted.add(REENCODED)
    return tuple(recipe for recipe in RECIPES if recipe.name in wanted)
