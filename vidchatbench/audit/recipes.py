"""The reference submissions: ladders of known faults, cheats, and what else has its place in the order of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidchatbench.api.cards import Dimension
from vidchatbench.audit.extra_recipes import ALL_BUT_SYNC, COPIES, DAMAGED, HEARD, HONEST, NO_WORK, PICTURE, SEEN
from vidchatbench.audit.recipe import HOUSE, Group, Operation, Params, Recipe, copied, made
from vidchatbench.errors import UsageError

HONEST_STEPS = {"blur": 2.0, "compression": 38.0}
"""The last step of a ladder that an honest system could be at; what is stronger is damage."""


def _cheat(
    group: Group,
    name: str,
    title: str,
    operation: Operation,
    does: str,
    hurts: tuple[Dimension, ...],
    params: Params | None = None,
) -> Recipe:
    return made(group, name, title, operation, does, hurts, params, "cheat")


def _group(family: str, step: float) -> Group:
    return "honest" if step <= HONEST_STEPS[family] else "damaged"


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
        "damaged",
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
    return Recipe(
        *(name, "blur", sigma, "px", title, "degradation", _group("blur", sigma), "blur", does, "reply"),
        {"sigma": sigma},
        PICTURE,
    )


def _compress(crf: int) -> Recipe:
    does = f"The picture is compressed by x264 with a constant rate factor of {crf}; the sound is that of the house."
    name, title = f"compress_{crf}", f"compression, CRF {crf}"
    return Recipe(
        *(name, "compression", crf, "CRF", title, "degradation", _group("compression", crf), "compress", does, "reply"),
        {"crf": crf},
        PICTURE,
    )


ORACLE, REENCODED, SHUFFLED, OTHER_VOICE = "oracle", "reencoded", "shuffled", "other_voice"
NEAREST = "nearest_training"

RECIPES: tuple[Recipe, ...] = (
    copied(ORACLE, "real replies", "The real replies, byte for byte.", "reply", (), "oracle", "identity"),
    Recipe(
        *(REENCODED, REENCODED, 0, "", "real replies, re-encoded", "identity", "oracle", "reencode"),
        f"The real replies in the house encoding (x264 CRF {HOUSE.crf}, 64 kbit/s AAC, 16 kHz mono): what the codec of "
        "all the others costs by itself, and step 0 of every ladder.",
    ),
    *(_shift(frames) for frames in (2, 4, 6, 8, 10)),
    *(_shift(-frames) for frames in (2, 4, 6, 8, 10)),
    *(_blur(sigma) for sigma in (0.5, 1.0, 2.0, 4.0, 8.0)),
    *(_compress(crf) for crf in (26, 32, 38, 44, 50)),
    _cheat(
        *("no_work", "frozen", "frozen image, real voice", "freeze"),
        "The reference image (without one, the first picture of the real reply) held still, with the real voice.",
        (*SEEN, Dimension.IDENTITY),
    ),
    _cheat(
        *("no_work", "frozen_silent", "reference image and silence", "freeze"),
        "The reference image held still, and silence: what a system was given, returned.",
        (*SEEN, Dimension.IDENTITY, *HEARD),
        {"motion": "", "sound": "silence"},
    ),
    _cheat(
        *("damaged", "silent", "real picture, silence", "silence"),
        "The picture of the real reply with a silent sound of the same length.",
        (*HEARD, Dimension.AV_SYNC, Dimension.INTERACTION),
    ),
    _cheat(
        *("damaged", "reversed", "reversed picture", "reverse"),
        "The pictures of the real reply from the last to the first, with the real voice.",
        (Dimension.VIDEO_QUALITY, Dimension.AV_SYNC, Dimension.EMOTION, Dimension.INTERACTION),
    ),
    _cheat(
        *("damaged", "other_face", "another identity’s picture", "swap_picture"),
        "The whole picture of another identity’s real reply, cut or held to the length of this one, with this reply’s "
        "voice. Not a face put onto this body: background, clothes and framing are the other’s too.",
        (*SEEN, Dimension.IDENTITY),
    ),
    _cheat(
        *("damaged", OTHER_VOICE, "another identity’s voice", "swap_sound"),
        "The picture of the real reply with the sound of another identity’s, cut or filled with silence to its length.",
        (*HEARD, Dimension.AV_SYNC),
    ),
    copied(
        SHUFFLED,
        "another identity’s reply",
        "Another identity’s real reply, picture and voice, byte for byte; nobody gets a reply of their own.",
        "partner",
        ALL_BUT_SYNC,
        "no_work",
        "cheat",
    ),
    copied(
        "echo",
        "echo of the initiator",
        "The initiator’s own clip, byte for byte, as the reply.",
        "initiator",
        ALL_BUT_SYNC,
        "no_work",
        "cheat",
    ),
    _cheat(
        *("damaged", "one_second", "one second only", "shorten"),
        "The first second of the real reply, and nothing after it.",
        (Dimension.VIDEO_QUALITY, Dimension.DIALOGUE, Dimension.INTERACTION),
        {"seconds": 1},
    ),
    copied(
        NEAREST,
        "nearest training clip",
        "The clip of the training folder whose first picture is nearest to the reference image (32 × 32 luma, mean and "
        "contrast removed, Euclidean distance), byte for byte.",
        "training",
        ALL_BUT_SYNC,
        "no_work",
        "cheat",
    ),
    *HONEST,
    *NO_WORK,
    *DAMAGED,
    *COPIES,
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


FLOORS = (
    *("frozen", "flap_real", "frozen_silent", "still_sentence", "flap_sentence", "still_initiator"),
    *("echo", "one_clip", SHUFFLED),
)
"""Replies without work that a board shows: each alone tells something, and together they cost as little as can be."""


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
