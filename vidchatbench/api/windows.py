"""Windows: the part of a picture that metrics of frames look at, anchored to the responder's face.

The extractor ``faces/window`` of the built-in metrics gives the window of a clip. It serves as a guide (see
:attr:`vidchatbench.api.Extractor.guides`): the reference's window is found once, and the candidate is looked at through
the same one wherever both have one aspect ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.features import ExtractorSpec, Feature, Param, as_array

if TYPE_CHECKING:
    from vidchatbench.api.extractors import Timeline

FACE_HEIGHT = 0.4
"""Where the face's centre stands in the window, from its top, in heights of the window."""

MAX_ASPECT_DIFFERENCE = 0.02
"""Clips whose aspect ratios differ by more than this share are not looked at through one window."""

WINDOW_TEXT = (
    "the window is the largest of ratio {width} : {height} in the real reply's picture, centred across on the mean "
    "centre of the responder's boxes, with that centre at 40 % of its height, moved into the picture where it would "
    "stick out, by faces/mtcnn over the whole clip; a reply whose aspect ratio is within 2 % of the real one's is "
    "looked at through the same window, in widths and heights of its own picture, any other through the window of its "
    "own face; where a clip shows no face, its window is the centre"
)
"""The window in words, for a protocol text."""


@dataclass(frozen=True)
class Window:
    """A part of a clip's pictures.

    Attributes:
        box: left, top, right, bottom in widths and heights of the picture, each in 0..1.
        kept: Share of the picture's area that lies in it, in 0..1.
        face_kept: Share of the responder's boxes that lies in it, mean over the boxes; ``None`` where no face was found
            and the window is the centre.
    """

    box: tuple[float, float, float, float]
    kept: float
    face_kept: float | None = None

    @property
    def anchored(self) -> bool:
        """True where a face placed the window, false where there was none and it is the centre."""
        return self.face_kept is not None

    @classmethod
    def around(cls, boxes: NDArray[np.float64], picture: tuple[int, int], aspect: float) -> Window:
        """Returns the largest window of an aspect ratio in a picture, placed by the responder's face.

        It is centred across on the mean of the boxes' centres, placed so that the mean of their centres stands at 40 %
        of its height, and moved into the picture where it would stick out. Without a box it is the centre.

        Args:
            boxes: Shape (n, 4): left, top, right, bottom of the responder's face in pixels, n >= 0.
            picture: Height and width in pixels.
            aspect: Width over height of the window.
        """
        height, width = picture
        across, down = min(width, height * aspect), min(height, width / aspect)
        left, top = (width - across) / 2, (height - down) / 2
        if len(boxes):
            middle = ((boxes[:, :2] + boxes[:, 2:]) / 2).mean(axis=0)
            left = min(max(float(middle[0]) - across / 2, 0.0), width - across)
            top = min(max(float(middle[1]) - FACE_HEIGHT * down, 0.0), height - down)
        box = (left, top, left + across, top + down)
        shares = (box[0] / width, box[1] / height, min(1.0, box[2] / width), min(1.0, box[3] / height))
        kept = across * down / (width * height)
        return cls(shares, kept, _mean_share(boxes, box) if len(boxes) else None)

    @classmethod
    def of(cls, guide: Timeline | Feature) -> Window:
        """Reads the window that ``faces/window`` gives, as a feature or as the guide of an extractor."""
        feature = guide if isinstance(guide, Feature) else guide.result()
        left, top, right, bottom = feature["box"].tolist()
        face_kept = None if feature.meta["face_kept"] is None else feature.number("face_kept")
        return cls((left, top, right, bottom), feature.number("kept"), face_kept)

    def feature(self) -> Feature:
        """Returns the window as the feature of ``faces/window``."""
        return Feature({"box": as_array(self.box, "float64")}, {"kept": self.kept, "face_kept": self.face_kept})

    def meta(self) -> dict[str, Param]:
        """Returns what a feature made through this window says of it: ``kept``, ``face_kept``, ``anchored``."""
        return {"kept": self.kept, "face_kept": self.face_kept, "anchored": self.anchored}


def window_spec(height: int, width: int) -> ExtractorSpec:
    """Returns the extractor of windows for pictures of ``height`` x ``width``, the guide ``window`` of an extractor."""
    return ExtractorSpec.of("faces/window", height=height, width=width)


def window_details(made: Feature) -> dict[str, float | bool]:
    """Returns the window that a feature was made through, see :meth:`Window.meta`, as details of a score."""
    kept: Mapping[str, Param] = {name: made.meta[name] for name in ("kept", "face_kept", "anchored")}
    return {name: value for name, value in kept.items() if isinstance(value, (bool, float, int))}


def _mean_share(boxes: NDArray[np.float64], window: tuple[float, float, float, float]) -> float:
    inside = np.minimum(boxes[:, 2:], window[2:]) - np.maximum(boxes[:, :2], window[:2])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return float((np.maximum(inside, 0).prod(axis=1) / areas).mean())
