"""Recipes that only have their place in the order of scores: honest replies, replies without work, damage, copies."""

from __future__ import annotations

from vidchatbench.api.cards import Dimension
from vidchatbench.audit.recipe import Operation, Params, Recipe, made

PICTURE = (Dimension.VIDEO_QUALITY,)
SEEN = (Dimension.VIDEO_QUALITY, Dimension.EMOTION, Dimension.AV_SYNC, Dimension.INTERACTION)
HEARD = (Dimension.VOICE, Dimension.DIALOGUE)
WORDS = (Dimension.DIALOGUE, Dimension.AV_SYNC, Dimension.VOICE)
ALL_BUT_SYNC = (
    *(Dimension.VIDEO_QUALITY, Dimension.IDENTITY, Dimension.EMOTION, Dimension.VOICE, Dimension.DIALOGUE),
    *(Dimension.INTERACTION, Dimension.MULTI_PERSON),
)

MOVES = {
    "pan": "held, and panned slowly to and fro",
    "zoom": "held, and zoomed in by 8 %",
    "wobble": "held, and moved about by up to 2 % as a hand would hold it",
    "noise": "held, with fresh noise of sigma 8 in every picture",
    "sharpen": "held and sharpened",
    "pulse": "held, brighter where the sound is louder",
    "flap": "held, its lower half stretched where the sound is louder, as if the jaw moved",
}
"""What may be done to a picture that is held; see :func:`vidchatbench.audit.effects.moved`."""

SOUNDS = {
    "real": "the real voice",
    "silence": "silence",
    "initiator": "the initiator’s voice",
    "sentence": "one fixed synthetic sentence",
}
"""Which sound a held picture may have."""


def _still(motion: str, sound: str) -> Recipe:
    does = f"The reference image {MOVES[motion] if motion else 'held still'}; {SOUNDS[sound]}."
    title = f"{motion or 'still'} image, {SOUNDS[sound]}"
    hurts = (*SEEN, Dimension.IDENTITY) if sound == "real" else (*SEEN, Dimension.IDENTITY, *HEARD)
    name = f"{motion or 'still'}_{sound}"
    return made("no_work", name, title, "freeze", does, hurts, {"motion": motion, "sound": sound})


NO_WORK: tuple[Recipe, ...] = (
    # With the real voice: nothing but the picture may give them away.
    *(_still(motion, "real") for motion in MOVES),
    # All that a system without work can do by itself.
    *(_still(motion, "sentence") for motion in ("", "wobble", "flap")),
    *(_still(motion, "initiator") for motion in ("", "flap")),
    Recipe(
        *("one_clip", "one_clip", 0, "", "one clip for all ids", "order", "no_work", "copy"),
        "The first sample’s real reply for every sample, byte for byte; that identity gets another’s.",
        *("fixed", {}, ALL_BUT_SYNC),
    ),
    made(
        *("no_work", "static", "noise and hiss", "static"),
        "Every picture and the sound are noise.",
        (*SEEN, Dimension.IDENTITY, *HEARD),
        {"noise": True},
    ),
    made(
        *("no_work", "black", "black and silent", "static"),
        "Black pictures and silence.",
        (*SEEN, Dimension.IDENTITY, *HEARD),
        {"noise": False},
    ),
)

HONEST: tuple[Recipe, ...] = (
    made(
        *("honest", "half_size", "half size", "resize"),
        "The picture of the real reply at half its width and height.",
        PICTURE,
        {"scale": 0.5},
    ),
    made(
        *("honest", "fps_15", "15 fps", "resample"),
        "Fifteen pictures a second of the real reply.",
        PICTURE,
        {"fps": 15},
    ),
    Recipe(
        *("another_moment", "another_moment", 0, "", "the same person at another moment", "order", "honest", "copy"),
        "Another clip of the same identity, byte for byte: what they reply to somebody else, or say as initiator.",
        *("sibling", {}, (Dimension.DIALOGUE, Dimension.AV_SYNC, Dimension.INTERACTION)),
    ),
)


def _damaged(
    name: str,
    title: str,
    operation: Operation,
    does: str,
    hurts: tuple[Dimension, ...],
    params: Params | None = None,
) -> Recipe:
    return made("damaged", name, title, operation, does, hurts, params)


def _shift(frames: int) -> Recipe:
    seconds = f"{abs(frames) / 25:g} s {'late' if frames > 0 else 'early'}"
    name = f"shift_{'p' if frames > 0 else 'm'}{abs(frames):02d}"
    does = f"The sound {seconds}; its length is kept, silence fills what becomes free."
    return _damaged(name, f"sound {seconds}", "shift", does, (Dimension.AV_SYNC,), {"frames": frames})


DAMAGED: tuple[Recipe, ...] = (
    *(_shift(frames) for frames in (5, -5, 25, -25)),
    _damaged(
        *("half_silent", "half of the sound silent", "half_silence"),
        "The real picture; the second half of the sound is silent.",
        (*HEARD, Dimension.AV_SYNC),
    ),
    _damaged(
        *("speech_reversed", "speech reversed", "reverse_sound"),
        "The real picture with the sound from its end to its beginning.",
        WORDS,
    ),
    _damaged(
        *("loud", "sound 40 dB louder", "gain"),
        "The real picture; the sound 100 times as loud and cut off at full scale.",
        HEARD,
        {"decibels": 40},
    ),
    _damaged(
        *("noisy_sound", "sound in noise of its own power", "add_noise"),
        "The real picture; white noise as strong as the sound.",
        HEARD,
        {"decibels": 0},
    ),
    _damaged(
        *("loop_second", "one second looped", "loop"),
        "The first second of the real reply again and again, picture and sound.",
        (Dimension.VIDEO_QUALITY, Dimension.DIALOGUE, Dimension.INTERACTION),
        {"seconds": 1},
    ),
    _damaged(
        *("checkerboard", "checkerboard", "checker"),
        "Every other pixel of the real picture brighter by 12 levels, the rest darker.",
        PICTURE,
        {"levels": 12},
    ),
    _damaged(
        *("oversharpened", "oversharpened", "sharpen"),
        "The real picture after an unsharp mask of radius 2 and 300 %.",
        PICTURE,
        {"percent": 300},
    ),
    _damaged(
        *("fps_5", "5 fps", "resample"),
        "Five pictures a second of the real reply.",
        (Dimension.VIDEO_QUALITY, Dimension.AV_SYNC),
        {"fps": 5},
    ),
    _damaged(
        *("hidden_mouth", "lower half of the picture covered", "cover_mouth"),
        "The lower half of the real picture is grey.",
        (Dimension.VIDEO_QUALITY, Dimension.AV_SYNC, Dimension.EMOTION),
    ),
)

COPIES: tuple[Recipe, ...] = (
    made("copy", "remuxed", "copy, remuxed", "remux", "The packets of the real reply in a new file."),
    made(
        *("copy", "sped", "copy, 1 % faster", "speed"),
        "The real reply 1 % faster, picture and sound.",
        (),
        {"factor": 1.01},
    ),
    made("copy", "mirrored", "copy, mirrored", "mirror", "The real picture mirrored, with the real voice."),
    made(
        *("copy", "cropped", "copy, cropped", "crop"),
        "The real picture without 2.5 % at each side, scaled back to its size, with the real voice.",
        (),
        {"share": 0.05},
    ),
)
