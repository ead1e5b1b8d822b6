"""The speech sounds of American English, by their ARPABET symbols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Manner = Literal["vowel", "glide", "nasal", "fricative", "stop", "breath"]


@dataclass(frozen=True)
class Sound:
    """One speech sound.

    Attributes:
        manner: How it is made.
        formants: The first three resonances in Hz, for an adult male vocal tract (Peterson and Barney 1952).
        opening: How far the mouth opens, 0 (lips closed) to 1.
        rounding: 1 for rounded lips, negative for spread ones.
        seconds: Its usual length.
        voicing: Level of the glottal source, 0 to 1.
        noise: Level of the hiss made in the mouth, 0 to 1.
        noise_hz: Where that hiss is strongest.
    """

    manner: Manner
    formants: tuple[float, float, float]
    opening: float
    rounding: float = 0.0
    seconds: float = 0.12
    voicing: float = 1.0
    noise: float = 0.0
    noise_hz: float = 4000.0


REST = Sound("stop", (500, 1500, 2500), 0.0)
"""The mouth closed and silent."""

_IY = Sound("vowel", (270, 2290, 3010), 0.35, -0.5)
_IH = Sound("vowel", (390, 1990, 2550), 0.45, -0.3, 0.09)
_EH = Sound("vowel", (530, 1840, 2480), 0.62, -0.2, 0.11)
_AE = Sound("vowel", (660, 1720, 2410), 0.88, -0.3, 0.14)
_AA = Sound("vowel", (730, 1090, 2440), 1.00, 0.0, 0.14)
_AO = Sound("vowel", (570, 840, 2410), 0.80, 0.7, 0.13)
_UH = Sound("vowel", (440, 1020, 2240), 0.45, 0.6, 0.09)
_UW = Sound("vowel", (300, 870, 2240), 0.30, 1.0, 0.12)
_AH = Sound("vowel", (640, 1190, 2390), 0.70, 0.0, 0.09)
_ER = Sound("vowel", (490, 1350, 1690), 0.45, 0.5, 0.11)
_T = Sound("stop", (400, 1600, 2600), 0.2, 0.0, 0.08, 0.0, 0.5, 4400)
_D = Sound("stop", (200, 1600, 2600), 0.2, 0.0, 0.06, 0.25, 0.3, 3900)
_SH = Sound("fricative", (300, 1840, 2750), 0.22, 0.5, 0.09, 0.0, 0.6, 3300)
_ZH = Sound("fricative", (300, 1840, 2750), 0.22, 0.5, 0.07, 0.4, 0.3, 3300)

SOUNDS: Mapping[str, tuple[Sound, ...]] = {
    "IY": (_IY,),
    "IH": (_IH,),
    "EH": (_EH,),
    "AE": (_AE,),
    "AA": (_AA,),
    "AO": (_AO,),
    "UH": (_UH,),
    "UW": (_UW,),
    "AH": (_AH,),
    "ER": (_ER,),
    "EY": (_EH, _IY),
    "AY": (_AA, _IY),
    "OY": (_AO, _IY),
    "AW": (_AA, _UW),
    "OW": (_AO, _UW),
    "M": (Sound("nasal", (250, 1100, 2200), 0.0, 0.0, 0.07, 0.45),),
    "N": (Sound("nasal", (250, 1500, 2500), 0.25, 0.0, 0.065, 0.45),),
    "NG": (Sound("nasal", (250, 2000, 2700), 0.3, 0.0, 0.075, 0.45),),
    "L": (Sound("glide", (360, 1300, 2700), 0.35, 0.0, 0.06, 0.7),),
    "R": (Sound("glide", (310, 1060, 1380), 0.30, 0.5, 0.06, 0.7),),
    "W": (Sound("glide", (290, 610, 2150), 0.12, 1.0, 0.06, 0.7),),
    "Y": (Sound("glide", (260, 2070, 3020), 0.28, -0.4, 0.06, 0.7),),
    "S": (Sound("fricative", (320, 1390, 2530), 0.20, -0.2, 0.09, 0.0, 0.55, 5600),),
    "SH": (_SH,),
    "F": (Sound("fricative", (340, 1100, 2080), 0.08, 0.0, 0.08, 0.0, 0.2, 4800),),
    "TH": (Sound("fricative", (320, 1290, 2540), 0.2, 0.0, 0.08, 0.0, 0.2, 5200),),
    "Z": (Sound("fricative", (240, 1390, 2530), 0.20, -0.2, 0.07, 0.4, 0.3, 5600),),
    "ZH": (_ZH,),
    "V": (Sound("fricative", (220, 1100, 2080), 0.08, 0.0, 0.06, 0.5, 0.1, 4800),),
    "DH": (Sound("fricative", (270, 1290, 2540), 0.2, 0.0, 0.05, 0.5, 0.08, 5200),),
    "HH": (Sound("breath", (500, 1500, 2500), 0.4, 0.0, 0.06, 0.0),),
    "P": (Sound("stop", (350, 1100, 2150), 0.0, 0.0, 0.085, 0.0, 0.35, 1100),),
    "T": (_T,),
    "K": (Sound("stop", (300, 1990, 2850), 0.3, 0.0, 0.085, 0.0, 0.45, 2100),),
    "B": (Sound("stop", (200, 1100, 2150), 0.0, 0.0, 0.065, 0.25, 0.2, 900),),
    "D": (_D,),
    "G": (Sound("stop", (200, 1990, 2850), 0.3, 0.0, 0.065, 0.25, 0.3, 1900),),
    "CH": (_T, _SH),
    "JH": (_D, _ZH),
}
"""What each symbol is made of: one sound, or two in turn."""
