"""``faces/mtcnn``: the faces of a clip, detected on key frames, tracked and interpolated between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ClipInfo, ExtractorContext, Feature, Frame, FrameExtractor, Timeline, TimelineSession
from vidchatbench_metrics.faces.mtcnn import Detections, FaceDetector
from vidchatbench_metrics.faces.timeline import Face, FaceTimeline

KEY_FPS = 5
MAX_SIDE = 640
MIN_FACE = 32
MTCNN_WEIGHTS = ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet")

EmbedFace = Callable[[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float32]]
"""From a picture, uint8 RGB, and the box and landmarks of a face in it to an embedding of shape (d,) and length 1, or 0
where there is nothing to look at."""


class FaceTracks(FrameExtractor):
    """Face tracks of a clip.

    Key frames are the grid ``k / fps``. Each is scaled down until its longest side is at most ``longest`` pixels, and
    faces of at least ``min_face`` pixels there are kept if their score is 0.9 or more; where there is none, the
    mirrored picture is looked at. A detection continues the tracklet whose last box it overlaps most (intersection
    over union of 0.3 or more); one missed key frame is bridged, unless a new face turns up in it. Tracklets that
    never coexist are one person, a track (:func:`vidchatbench_metrics.faces.linking.link`).

    Feature, with one row per detection, ordered by tracklet and key frame:
        tracklet: int32 (n,), number of the tracklet, in order of appearance.
        track: int32 (n,), number of the track, in order of appearance.
        key: int32 (n,), number of the key frame.
        box: float64 (n, 4), left, top, right, bottom in pixels of the upright picture.
        landmarks: float64 (n, 5, 2), in the same pixels.
        score: float64 (n,), in 0..1.
        meta: ``fps``, ``n_keys``, ``n_tracks``, ``primary`` (the track with the largest summed area, or ``None``).
    """

    id = "faces/mtcnn"
    version = 2
    defaults = {"fps": KEY_FPS, "longest": MAX_SIDE, "min_face": MIN_FACE}
    packages = ("facenet_pytorch",)

    embed_face: EmbedFace | None = None
    """Looks at whose face it is, in extractors that link faces by that too."""

    @property
    def fps(self) -> float:
        """Key frames per second."""
        return self.number("fps")

    @property
    def weights(self) -> tuple[str, ...]:
        """The three networks of the cascade."""
        return MTCNN_WEIGHTS

    def setup(self, context: ExtractorContext) -> None:
        """Loads the detector."""
        self._detector = FaceDetector(context.device, int(self.number("min_face")))
        self._batch_size = 1 if context.device.startswith("cpu") else context.batch_size

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip, upstream
        return _Session(self._detector, self.fps, int(self.number("longest")), self._batch_size, self.embed_face)

    def replay(self, feature: Feature) -> Timeline:
        """Rebuilds the tracks from a stored feature."""
        return FaceTimeline.from_feature(feature)


class _Session(TimelineSession):
    def __init__(
        self, detector: FaceDetector, fps: float, longest: int, batch_size: int, embed_face: EmbedFace | None
    ) -> None:
        self._detector = detector
        self._timeline = FaceTimeline(fps)
        self._longest = longest
        self._batch_size = batch_size
        self._embed_face = embed_face
        self._waiting: list[tuple[NDArray[np.uint8], float]] = []

    def push(self, frame: Frame) -> None:
        self._waiting.append(frame.fit(self._longest))
        if len(self._waiting) >= self._batch_size:
            self._detect()

    def _detect(self) -> None:
        results = self._detector.detect_twice([pixels for pixels, _ in self._waiting])
        for detections, (pixels, scale) in zip(results, self._waiting, strict=True):
            embeddings = self._embed(pixels, detections)
            full = detections.scaled(1 / scale)
            self._timeline.add_key(full.boxes, full.landmarks, full.scores, embeddings)
        self._waiting.clear()

    def _embed(self, pixels: NDArray[np.uint8], faces: Detections) -> NDArray[np.float32] | None:
        if self._embed_face is None or not len(faces.boxes):
            return None
        rows = [self._embed_face(pixels, *face) for face in zip(faces.boxes, faces.landmarks, strict=True)]
        return np.stack(rows)

    def finish(self) -> Feature:
        self._detect()
        self._timeline.close()
        return self._timeline.to_feature()

    def horizon(self) -> float:
        return self._timeline.horizon()

    def at(self, time: float) -> list[Face]:
        return self._timeline.at(time)

    def result(self) -> Feature:
        return self._timeline.to_feature()
