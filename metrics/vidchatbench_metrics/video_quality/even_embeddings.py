"""Embeddings of sixteen evenly spaced frames of a clip, or of the responder's face in them, for any image network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    as_array,
)
from vidchatbench_metrics.faces.timeline import primary_track
from vidchatbench_metrics.video_quality.even_frames import FPS, EvenFrames, KeptFrame
from vidchatbench_metrics.video_quality.face_square import Picture, track_square
from vidchatbench_metrics.video_quality.networks import weight_of

Embed = Callable[[Sequence[Picture]], NDArray[np.float32]]
"""Pictures, uint8 RGB of shape (height, width, 3), to float32 of shape (n, d); (0, 0) where there are none."""


class EvenEmbeddings(FrameExtractor):
    """What the extractors of sixteen frames have in common; subclasses set :attr:`embed` in their set-up.

    Class attributes:
        faces_only: Whether the responder's face is cut out of each frame; frames without it then give no row.
    """

    faces_only: ClassVar[bool] = False
    embed: Embed

    @property
    def fps(self) -> float:
        """The grid that the sixteen frames are chosen on."""
        return float(FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (weight_of(str(self.params["network"])),)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks, where the face is cut out."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")} if self.faces_only else {}

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip
        return _FaceSession(self.embed, upstream["faces"]) if self.faces_only else _WholeSession(self.embed)


class _Session(FrameSession):
    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._even = EvenFrames()

    def push(self, frame: Frame) -> None:
        self._even.push(frame)

    @abstractmethod
    def picture_of(self, kept: KeptFrame) -> Picture | None:
        """The picture that is embedded, ``None`` where the frame has none."""

    def finish(self) -> Feature:
        chosen = self._even.chosen().values()
        pictures = [(kept.time, picture) for kept in chosen if (picture := self.picture_of(kept)) is not None]
        arrays = {
            "embedding": as_array(self._embed([picture for _, picture in pictures]), "float32"),
            "time": as_array([time for time, _ in pictures], "float64"),
        }
        return Feature(arrays, {"frames": self._even.frames, "chosen": len(chosen)})


class _WholeSession(_Session):
    def picture_of(self, kept: KeptFrame) -> Picture:
        return kept.pixels


class _FaceSession(_Session):
    def __init__(self, embed: Embed, faces: Timeline) -> None:
        super().__init__(embed)
        self._faces = faces
        self._primary: int | None = None

    def finish(self) -> Feature:
        # Which track is the responder's is known only at the end, when all tracks can still be asked for any time.
        self._primary = primary_track(self._faces)
        return super().finish()

    def picture_of(self, kept: KeptFrame) -> Picture | None:
        height, width = kept.pixels.shape[:2]
        square = track_square(self._faces, self._primary, kept.time, kept.source, (height, width))
        return None if square is None else square.cut(kept.pixels)
