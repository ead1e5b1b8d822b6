"""From face boxes to the 224 x 224 pictures that SyncNet sees, frame by frame, without a file in between.

The geometry is that of ``run_pipeline.py`` (joonson/syncnet_python @ 6efbb1c, ``track_shot`` and ``crop_video``). A box
is smoothed by a median over 13 frames and thus final only 6 frames later, or when its track has ended.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench_metrics.av_sync.network import SIDE
from vidchatbench_metrics.faces.timeline import Face

Pixels = NDArray[np.uint8]
Box = NDArray[np.float64]

MEDIAN = 13
AROUND = MEDIAN // 2
SCALE = 0.40
PAD_LEVEL = 110
MIN_IOU = 0.5
MAX_GAP = 25

_MPEG_INTRA = (
    "8 16 19 22 26 27 29 34 16 16 22 24 27 29 34 37 19 22 26 27 29 34 34 38 22 22 26 27 29 34 37 40 "
    "22 26 27 29 32 35 40 48 26 27 29 32 35 40 48 58 26 27 29 34 38 46 56 69 27 29 35 38 46 56 69 83"
)
JPEG_TABLE = (8, *(int(step) * 2 // 8 for step in _MPEG_INTRA.split()[1:]))
"""FFmpeg's quantisation at ``-qscale 2``: MPEG-1's table for intra pictures times 2/8, the first step always 8."""


@dataclass(frozen=True)
class CropRule:
    """Which tracks count and what becomes of their crops.

    Attributes:
        relink: Whether runs are formed as SyncNet's pipeline does, over gaps of up to 25 frames, each a track of its
            own; else a run is a tracklet of ``faces/mtcnn``, and the runs of one person are one track.
        min_run: Frames with a detection that a run must have; in fewer than 7 the median of 13 is a zero from beyond
            the ends, and there is no crop.
        min_frames: Frames with a detection that a track must have.
        min_side: What the mean longer side of a run's box must exceed, in pixels.
        jpeg: Whether the crop goes through a JPEG.
    """

    relink: bool
    min_run: int
    min_frames: int
    min_side: float
    jpeg: bool


RULES = {
    "lossless": CropRule(relink=False, min_run=AROUND + 1, min_frames=25, min_side=0.0, jpeg=False),
    "sgc": CropRule(relink=True, min_run=51, min_frames=51, min_side=100.0, jpeg=True),
}


@dataclass(eq=False)
class Run:
    """One face through consecutive frames.

    Attributes:
        number: Number of the run, in order of appearance.
        start: Index of its first frame.
        boxes: Its box in each frame so far, gaps filled in.
        tracklets: The tracklet of ``faces/mtcnn`` of each detection.
        cropped: Frames of which the crop has been made.
        ended: True once no more detections can follow.
    """

    number: int
    start: int
    boxes: list[Box] = field(default_factory=list)
    tracklets: list[int] = field(default_factory=list)
    cropped: int = 0
    ended: bool = False

    @property
    def last(self) -> int:
        """Index of the last frame so far."""
        return self.start + len(self.boxes) - 1

    @property
    def mean_side(self) -> float:
        """The longer of mean width and mean height in pixels."""
        mean = np.mean(self.boxes, axis=0)
        return float(max(mean[2] - mean[0], mean[3] - mean[1]))

    def add(self, index: int, face: Face) -> None:
        """Appends a detection; the boxes of a gap before it lie on the line between its ends."""
        if self.boxes:
            missing = index - self.last
            before = self.boxes[-1]
            self.boxes += [before + (face.box - before) * step / missing for step in range(1, missing)]
        self.boxes.append(face.box)
        self.tracklets.append(face.tracklet)

    def final(self) -> int:
        """Returns of how many frames, from the first one, the smoothed box is final."""
        return len(self.boxes) if self.ended else max(0, len(self.boxes) - AROUND)

    def smoothed(self, position: int) -> tuple[float, float, float]:
        """Returns centre x, centre y and half of the longer side: medians over 13 frames, zeros beyond the ends."""
        window = np.zeros((MEDIAN, 3))
        for row in range(max(0, position - AROUND), min(len(self.boxes), position + AROUND + 1)):
            left, top, right, bottom = self.boxes[row]
            place = row - position + AROUND
            window[place] = ((left + right) / 2, (top + bottom) / 2, max(bottom - top, right - left) / 2)
        x, y, half = np.sort(window, axis=0)[AROUND]
        return float(x), float(y), float(half)


class Runs:
    """Forms runs from the faces of one frame after the other.

    Args:
        relink: False to take the tracklets of ``faces/mtcnn`` as they are; True to link a face to the oldest run whose
            last box it overlaps by more than half, if that is no more than 25 frames ago.
    """

    def __init__(self, *, relink: bool) -> None:
        self._relink = relink
        self._count = 0
        self.live: list[Run] = []

    def push(self, index: int, faces: Sequence[Face]) -> list[Run]:
        """Continues the runs with the faces of the next frame and returns those that have ended with it."""
        left = list(faces)
        for run in self.live:
            position = next((i for i, face in enumerate(left) if self._continues(run, index, face)), None)
            if position is not None:
                run.add(index, left.pop(position))
        for face in left:
            run = Run(self._count, index)
            self._count += 1
            run.add(index, face)
            self.live.append(run)
        patience = MAX_GAP if self._relink else 1
        return self._end([run for run in self.live if index + 1 - run.last > patience])

    def finish(self) -> list[Run]:
        """Ends all runs and returns them."""
        return self._end(list(self.live))

    def _end(self, over: list[Run]) -> list[Run]:
        for run in over:
            run.ended = True
            self.live.remove(run)
        return over

    def _continues(self, run: Run, index: int, face: Face) -> bool:
        if not self._relink:
            return run.tracklets[-1] == face.tracklet
        return index - run.last <= MAX_GAP and overlap(run.boxes[-1], face.box) > MIN_IOU


def overlap(one: Box, two: Box) -> float:
    """Returns the intersection over union of two boxes, in 0..1."""
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1])
    return float(width * height / (areas - width * height))


def crop_face(picture: Pixels, x: float, y: float, half: float) -> Pixels:
    """Cuts out the lower part of the head: from ``half`` above the centre to 1.8 below it, 1.4 to both sides.

    Beyond the picture lies gray of level 110. Bilinear interpolation of ``cv2.resize``, not antialiased, as the
    reference does.

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        x: Centre of the box in pixels.
        y: Centre of the box in pixels.
        half: Half of the box's longer side in pixels.

    Returns:
        uint8 BGR of shape (224, 224, 3).
    """
    import cv2  # its resize is part of the protocol

    height, width = picture.shape[:2]
    pad = int(half * (1 + 2 * SCALE))
    # The reference pads the picture by `pad` and rounds towards zero there, not in the picture's own coordinates.
    top, bottom = int(y + pad - half) - pad, int(y + pad + half * (1 + 2 * SCALE)) - pad
    left, right = int(x + pad - half * (1 + SCALE)) - pad, int(x + pad + half * (1 + SCALE)) - pad
    top, bottom = max(top, -pad), min(bottom, height + pad)
    left, right = max(left, -pad), min(right, width + pad)
    if top >= 0 and left >= 0 and bottom <= height and right <= width:
        region = picture[top:bottom, left:right]
    else:
        region = np.full((bottom - top, right - left, 3), PAD_LEVEL, np.uint8)
        inside = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        row, column = max(-top, 0), max(-left, 0)
        region[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    resized: Pixels = np.asarray(cv2.resize(region, (SIDE, SIDE)), np.uint8)
    return resized[..., ::-1]


def through_jpeg(crop: Pixels) -> Pixels:
    """Encodes a crop as the JPEG that FFmpeg writes at ``-qscale 2`` (4:2:0), and decodes it.

    Args:
        crop: uint8 BGR of shape (224, 224, 3).

    Returns:
        The same shape.
    """
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(crop[..., ::-1])).save(
        file, "JPEG", qtables=[list(JPEG_TABLE)], subsampling="4:2:0"
    )
    with Image.open(file) as image:
        return np.asarray(image)[..., ::-1]
