"""Face detection with the MTCNN of facenet-pytorch; the one place that knows its interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidchatbench_metrics.faces.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from facenet_pytorch import MTCNN

MIN_SCORE = 0.9
THRESHOLDS = (0.6, 0.7, 0.7)
PYRAMID_FACTOR = 0.709
MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]


@dataclass(frozen=True)
class Detections:
    """The faces of one picture.

    Attributes:
        boxes: float64 of shape (n, 4): left, top, right, bottom in pixels.
        landmarks: float64 of shape (n, 5, 2): eyes, nose, corners of the mouth, the image-left one first.
        scores: float64 of shape (n,), in 0..1.
    """

    boxes: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def none(cls) -> Detections:
        """No face."""
        return cls(np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0))

    def scaled(self, factor: float) -> Detections:
        """Returns the detections with all coordinates multiplied by ``factor``."""
        return Detections(self.boxes * factor, self.landmarks * factor, self.scores)

    def mirrored(self, width: int) -> Detections:
        """Returns the detections as they lie in the mirrored picture, which is ``width`` pixels wide."""
        boxes, landmarks = self.boxes.copy(), self.landmarks[:, MIRRORED_LANDMARKS].copy()
        boxes[:, [0, 2]] = width - self.boxes[:, [2, 0]]
        landmarks[..., 0] = width - landmarks[..., 0]
        return Detections(boxes, landmarks, self.scores)


class FaceDetector:
    """Finds faces in RGB pictures.

    Args:
        device: Torch device string.
        min_face: Side of the smallest face to look for, in pixels.
    """

    def __init__(self, device: str, min_face: int) -> None:
        import_torchvision()
        from facenet_pytorch import MTCNN  # loads torch and torchvision

        self._min_face = min_face
        # On the CPU one picture at a time is faster than a batch, and the batch's composition cannot change a box:
        # the convolutions round differently for other batch sizes, and non-maximum suppression can turn on that.
        self._one_by_one = device.startswith("cpu")
        self._net: MTCNN = MTCNN(
            keep_all=True,
            select_largest=False,
            min_face_size=min_face,
            thresholds=list(THRESHOLDS),
            factor=PYRAMID_FACTOR,
            device=device,
        )

    def detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Finds the faces in each picture.

        Args:
            pictures: uint8 RGB, each of shape (height, width, 3); all of one shape.

        Returns:
            Detections of score 0.9 or more, best first, per picture.
        """
        if not pictures or min(pictures[0].shape[:2]) < self._min_face:
            # Below that size the image pyramid has no level at all.
            return [Detections.none() for _ in pictures]
        if self._one_by_one or len({picture.shape for picture in pictures}) > 1:
            return [self._detect(picture[None])[0] for picture in pictures]
        return self._detect(np.stack(pictures))

    def detect_twice(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Finds the faces in each picture, and looks again at the mirrored picture where there is none.

        The cascade misses single pictures of a face that it finds in the pictures around, as where the picture's edge
        cuts it; the mirrored picture falls differently into the steps of its windows.

        Args:
            pictures: See :meth:`detect`.

        Returns:
            Detections of score 0.9 or more, best first, per picture.
        """
        results = self.detect(pictures)
        missed = [index for index, result in enumerate(results) if len(result.boxes) == 0]
        again = self.detect([np.ascontiguousarray(pictures[index][:, ::-1]) for index in missed])
        for index, result in zip(missed, again, strict=True):
            results[index] = result.mirrored(pictures[index].shape[1])
        return results

    def _detect(self, batch: NDArray[np.uint8]) -> list[Detections]:
        columns: tuple[Any, ...] = self._net.detect(np.array(batch), landmarks=True)
        return [_clean(*row) for row in zip(*columns, strict=True)]


def _clean(boxes: ArrayLike | None, scores: ArrayLike, landmarks: ArrayLike) -> Detections:
    if boxes is None:
        return Detections.none()
    score = np.asarray(scores, np.float64)
    keep = [i for i in np.argsort(-score, kind="stable") if score[i] >= MIN_SCORE]
    if not keep:
        return Detections.none()
    return Detections(np.asarray(boxes, np.float64)[keep], np.asarray(landmarks, np.float64)[keep], score[keep])
