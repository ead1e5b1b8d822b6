"""How the people of the demonstration differ to the eye: proportions, colours, spectacles, clothes, backdrop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = tuple[float, float, float]
"""Red, green and blue as factors of a grey picture, or of the portrait."""


@dataclass(frozen=True)
class Shape:
    """Proportions of a face, as displacements in pixels of the 512 x 512 portrait; all 0 is the portrait itself.

    Attributes:
        jaw: How much wider the jaw is, on each side.
        chin: How much lower the chin.
        cheeks: How much wider the cheekbones, on each side.
        nose: How much lower the tip of the nose.
        nostrils: How much wider the nose, on each side.
        mouth: How much lower the mouth.
        smile: How much wider the mouth, on each side.
        eyes: How much further apart the eyes, on each side.
        gaze: How much lower the eyes.
        sight: How much larger the eyes, as a share.
        brows: How much lower the brows.
        temples: How much wider the head, on each side.
        crown: How much lower the top of the head.
    """

    jaw: float = 0.0
    chin: float = 0.0
    cheeks: float = 0.0
    nose: float = 0.0
    nostrils: float = 0.0
    mouth: float = 0.0
    smile: float = 0.0
    eyes: float = 0.0
    gaze: float = 0.0
    sight: float = 0.0
    brows: float = 0.0
    temples: float = 0.0
    crown: float = 0.0


@dataclass(frozen=True)
class Look:
    """One person to be painted.

    Attributes:
        name: Speaker id in the manifest.
        shape: Proportions.
        mirrored: Whether the portrait is shown mirrored.
        skin: Factor of the skin's colour.
        hair: Factor of the hair's grey; ``None`` keeps the portrait's hair.
        brow: Opacity of darker brows.
        beard: Opacity of a beard.
        moustache: Opacity of a moustache.
        spectacles: Their form.
        lips: Opacity of painted lips.
        age: Depth of folds and of shadows under the eyes.
        suit: Colour of the suit.
        backdrop: Colour of the backdrop; ``None`` keeps the portrait's.
        light: Brightness at the left and at the right edge.
    """

    name: str
    shape: Shape
    mirrored: bool = False
    skin: Colour = (1.0, 1.0, 1.0)
    hair: Colour | None = None
    brow: float = 0.0
    beard: float = 0.0
    moustache: float = 0.0
    spectacles: Literal["none", "square", "round"] = "none"
    lips: float = 0.0
    age: float = 0.0
    suit: Colour = (1.0, 0.42, 0.16)
    backdrop: Colour | None = None
    light: tuple[float, float] = (1.0, 1.0)


LOOKS = (
    Look(
        "ada",
        Shape(3.9, -7.0, 0.3, 2.1, 2.8, -6.5, 5.1, 2.8, -2.4, 0.02, 2.9, 3.4, -2.1),
        mirrored=True, skin=(0.82, 0.7, 0.6), hair=(0.55, 0.54, 0.53), brow=0.6, lips=0.7, age=0.8,
        suit=(0.2, 0.36, 0.8), backdrop=(0.8, 0.86, 0.9), light=(1.12, 0.85),
    ),
    Look(
        "bo",
        Shape(-4.0, -2.7, -7.8, 9.0, -3.6, -2.3, 3.0, -3.0, 1.2, -0.02, 4.6, -10.0, -2.0),
        skin=(0.9, 0.82, 0.74), hair=(0.3, 0.22, 0.17), brow=0.7, beard=0.75, spectacles="round", age=0.5,
        suit=(0.2, 0.5, 0.3), backdrop=(0.48, 0.66, 0.7), light=(1.1, 0.82),
    ),
    Look(
        "cleo",
        Shape(-2.4, 9.0, -1.6, 6.2, -3.4, 7.3, -4.5, -0.8, 5.0, -0.07, -3.3, 7.6, 18.9),
        mirrored=True, skin=(0.98, 0.92, 0.87), hair=(0.85, 0.42, 0.2), brow=0.2,
        suit=(0.62, 0.62, 0.66), backdrop=(0.62, 0.68, 0.55),
    ),
    Look(
        "dan",
        Shape(-4.4, 14.0, -4.5, -2.7, 7.8, 0.8, 7.7, 3.7, -4.6, -0.09, -1.4, 4.7, 0.7),
        mirrored=True, skin=(0.7, 0.56, 0.46), hair=(0.24, 0.21, 0.2), brow=0.8, beard=0.6, moustache=0.7,
        suit=(0.75, 0.2, 0.18), backdrop=(0.95, 0.86, 0.7),
    ),
    Look(
        "eve",
        Shape(7.8, 11.5, 7.5, -1.6, 4.5, 5.8, -5.4, -5.0, 1.8, -0.07, -3.7, -9.7, -9.5),
        mirrored=True, skin=(1.0, 0.93, 0.84), hair=(0.22, 0.19, 0.19), brow=0.4,
        backdrop=(0.5, 0.52, 0.72),
    ),
    Look(
        "finn",
        Shape(-7.1, -8.4, 2.8, -8.2, -3.4, -0.8, -0.4, 4.4, -4.5, 0.19, -1.1, 3.9, -5.2),
        mirrored=True, skin=(1.0, 0.92, 0.84), hair=(0.36, 0.28, 0.22), brow=0.7, beard=0.2, moustache=0.75,
        spectacles="round", suit=(0.3, 0.3, 0.36), backdrop=(0.72, 0.6, 0.5), light=(0.85, 1.1),
    ),
    Look(
        "gia",
        Shape(2.4, 5.7, 4.9, -7.3, -3.3, -6.5, -6.2, -4.2, -5.4, 0.08, 0.9, -7.3, -9.7),
        mirrored=True, skin=(0.68, 0.54, 0.44), hair=(0.3, 0.2, 0.15), brow=0.6, lips=0.4, age=0.4,
        spectacles="round", suit=(0.85, 0.7, 0.2), backdrop=(0.66, 0.8, 0.72),
    ),
    Look(
        "hugo",
        Shape(10.9, -2.5, 4.0, 9.5, -3.5, 5.3, -4.0, 4.0, 1.7, 0.16, -1.2, -7.4, 19.6),
        mirrored=True, skin=(0.72, 0.58, 0.48), hair=(0.62, 0.62, 0.62), brow=0.5, beard=0.7, moustache=0.7,
        suit=(0.16, 0.5, 0.55), backdrop=(0.4, 0.42, 0.5), light=(0.85, 1.1),
    ),
    Look(
        "iris",
        Shape(-3.7, 9.0, -3.0, 0.7, 7.8, 7.4, 4.3, 0.1, -2.7, -0.11, 5.6, -5.6, -6.3),
        skin=(0.97, 0.9, 0.85), hair=(0.98, 0.95, 0.9), brow=0.2, lips=0.8, spectacles="round",
        suit=(0.5, 0.25, 0.6), backdrop=(0.9, 0.78, 0.8),
    ),
    Look(
        "jon",
        Shape(7.9, -6.0, 6.5, 7.6, -1.9, 2.4, -4.7, -4.4, -0.1, 0.04, -0.3, -4.9, -3.2),
        mirrored=True, skin=(0.92, 0.82, 0.72), hair=(0.5, 0.5, 0.52), brow=0.4, age=0.9,
        suit=(0.9, 0.9, 0.92), backdrop=(0.3, 0.4, 0.38),
    ),
    Look(
        "kim",
        Shape(-5.1, -1.7, 0.3, 7.0, 3.9, -6.4, 0.2, -5.2, 4.3, 0.2, 0.7, 0.6, 12.0),
        mirrored=True, skin=(0.7, 0.57, 0.47), hair=(0.28, 0.23, 0.22), brow=0.3, lips=0.8, age=0.8,
        spectacles="square", suit=(0.25, 0.65, 0.85), backdrop=(0.86, 0.72, 0.5),
    ),
    Look(
        "lea",
        Shape(-9.9, -2.7, -0.4, -6.9, 3.6, -1.3, 4.3, 1.8, -0.8, 0.19, 1.6, 2.7, 0.9),
        mirrored=True, skin=(1.0, 0.95, 0.9), hair=(0.72, 0.56, 0.34),
        suit=(0.9, 0.45, 0.6), backdrop=(0.55, 0.5, 0.45),
    ),
)  # fmt: skip
"""The people, in the order of the dyads; their proportions were chosen so that no two faces are alike to ArcFace."""
