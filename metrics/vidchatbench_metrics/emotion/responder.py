"""The base of this family's extractors: one row for each frame that shows the responder's face."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    Array,
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    as_array,
)
from vidchatbench_metrics.common.networks import Networks
from vidchatbench_metrics.faces.timeline import Face, faces_at, responder_tracklets

MIN_COVERAGE = 0.5
"""Share of frames that must show the face."""

Describe = Callable[[NDArray[np.uint8], Face], "NDArray[np.float32] | None"]
"""Takes an upright picture, uint8 RGB (height, width, 3), and a face in it; returns a row, ``None`` if it cannot."""

Arrange = Callable[[NDArray[np.float32]], Mapping[str, Array]]
"""Takes the rows of the responder, float32 (n, d); returns the arrays of the feature."""


class ResponderRows(FrameSession):
    """Describes the faces of a clip and keeps the rows of the responder.

    Besides the arrays that ``arrange`` makes of the rows, the feature has ``index``, int32 (n,), the grid point of each
    row, and the meta values ``frames``, the number of frames read, and ``fps``.

    Args:
        faces: Timeline of ``faces/mtcnn``.
        fps: The grid's rate.
        describe: Makes a row of a face; it sees one face at a time, so that no row depends on another.
        arrange: Makes arrays of the rows.
        width: Length of a row.
    """

    def __init__(self, faces: Timeline, fps: float, describe: Describe, arrange: Arrange, width: int) -> None:
        self._faces = faces
        self._fps = fps
        self._describe = describe
        self._arrange = arrange
        self._width = width
        self._frames = 0
        # Which faces are the responder's is known only at the end, so every face is described.
        self._rows: dict[int, list[tuple[int, NDArray[np.float32]]]] = {}

    def push(self, frame: Frame) -> None:
        """Describes the faces of the next frame."""
        self._frames += 1
        for face in faces_at(self._faces, frame.time):
            row = self._describe(frame.rgb(), face)
            if row is not None:
                self._rows.setdefault(face.tracklet, []).append((frame.index, row))

    def finish(self) -> Feature:
        """Returns the feature; without a face its arrays have no rows."""
        described = [row for tracklet in responder_tracklets(self._faces) for row in self._rows.get(tracklet, [])]
        rows = np.array([row for _, row in described], np.float32).reshape(-1, self._width)
        arrays = {**self._arrange(rows), "index": as_array([index for index, _ in described], "int32")}
        return Feature(arrays, {"frames": self._frames, "fps": self._fps})


class ResponderExtractor(FrameExtractor):
    """An extractor whose feature is made of :class:`ResponderRows`.

    Class attributes:
        networks: The networks it runs with; ``defaults`` has ``network`` and ``fps``.
        width: Length of a row.
    """

    networks: ClassVar[Networks]
    width: ClassVar[int]
    _describe: Describe | None = None

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (self.networks.find(str(self.params["network"])).weight,)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._describe = self.load(context.weights[self.weights[0]], context.device)

    def release(self) -> None:
        """Releases the network."""
        self._describe = None

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> ResponderRows:
        """Starts a clip."""
        del clip
        if self._describe is None:
            raise RuntimeError("setup() comes before begin()")
        return ResponderRows(upstream["faces"], self.fps, self._describe, self.arrange, self.width)

    @abstractmethod
    def load(self, path: Path, device: str) -> Describe:
        """Loads the network and returns what makes a row of a face."""

    @abstractmethod
    def arrange(self, rows: NDArray[np.float32]) -> Mapping[str, Array]:
        """Makes the arrays of the feature of the responder's rows, float32 (n, width)."""


def coverage(feature: Feature) -> float:
    """Returns the share of frames that show the responder's face, in 0..1; 0 for a clip without frames."""
    frames = feature.number("frames")
    return len(feature["index"]) / frames if frames else 0.0


def missing_face(feature: Feature) -> str | None:
    """Returns why a clip shows too little of the responder's face, or ``None`` if half of its frames show it."""
    if len(feature["index"]) and coverage(feature) >= MIN_COVERAGE:
        return None
    seen, frames = len(feature["index"]), int(feature.number("frames"))
    return f"the responder's face was found in {seen} of {frames} frames; at least half is needed"
