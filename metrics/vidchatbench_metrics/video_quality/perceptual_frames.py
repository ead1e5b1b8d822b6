"""``video_quality/lpips_frames`` and ``/lpips_faces``: perceptual distance of two clips, frame by frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    PairExtractor,
    PairSession,
    Timeline,
    as_array,
)
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH
from vidchatbench_metrics.faces.timeline import Face, faces_at, primary_track
from vidchatbench_metrics.video_quality.face_square import Picture, Square, resize_square, square_around
from vidchatbench_metrics.video_quality.paired_frames import Measure, _PairedFrames
from vidchatbench_metrics.video_quality.perceptual_network import LINEAR_WEIGHT, NETWORKS, LpipsDistance

FACE_SIDE = 256
"""Pixels a side to which the faces are brought."""

MOST_FACES = 2
"""Faces of a picture that are compared, the largest ones; that makes four distances for a pair of pictures at most."""


class LpipsFrames(_PairedFrames):
    """LPIPS of every frame pair, both scaled to cover 480 x 768 and centre-cropped.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex``, or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``.

    Feature:
        value: float64 (n,), one per grid point ``k / fps``.
        meta: ``fps``, ``seconds`` (the common part that was compared).
    """

    id = "video_quality/lpips_frames"
    defaults = {"fps": 25, "network": "alex"}
    packages = ("lpips",)

    @property
    def weights(self) -> tuple[str, ...]:
        """The backbone and the linear layers."""
        network = str(self.params["network"])
        return (NETWORKS.get(network, network), LINEAR_WEIGHT)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        backbone, linear = (context.weights[name] for name in self.weights)
        self._distance = LpipsDistance(backbone, linear, context.device)

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return self._distance


class LpipsFaces(PairExtractor):
    """LPIPS of the responders' faces of every frame pair.

    Each face is cut out of the picture that was scaled to cover 480 x 768, as a square of 1.3 longer sides of its box,
    and scaled to 256 x 256 (Pillow BICUBIC, antialiased). Of each picture the two faces with the largest boxes are
    compared; a frame pair has a value if both clips' responders are among them.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex``, or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``.

    Feature:
        value: float64 (n,), one per frame pair with the responder's face in both pictures.
        time: float64 (n,), seconds.
        meta: ``fps``; ``seconds``, the common part, and ``frames``, the frame pairs in it; ``first_faces`` and
            ``second_faces``, in how many of them the first and the second clip show their responder's face.
    """

    id = "video_quality/lpips_faces"
    defaults = {"fps": 25, "network": "alex"}
    packages = ("lpips",)

    @property
    def fps(self) -> float:
        """Frame pairs per second."""
        return self.number("fps")

    @property
    def weights(self) -> tuple[str, ...]:
        """The backbone and the linear layers."""
        network = str(self.params["network"])
        return (NETWORKS.get(network, network), LINEAR_WEIGHT)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks of either clip."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        backbone, linear = (context.weights[name] for name in self.weights)
        self._distance = LpipsDistance(backbone, linear, context.device)

    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]
    ) -> PairSession:
        """Starts a pair."""
        del first, second
        return _FaceSession(self._distance, self.fps, (upstream[0]["faces"], upstream[1]["faces"]))


class _FaceSession(PairSession):
    # Which tracks are the responders' is known only at the end. Every pair of tracks is compared until then, because to
    # keep the faces themselves would take gigabytes.
    def __init__(self, distance: Measure, fps: float, faces: tuple[Timeline, Timeline]) -> None:
        self._distance = distance
        self._fps = fps
        self._faces = faces
        self._frames = 0
        self._seen: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self._values: dict[tuple[int, int], list[tuple[float, float]]] = {}

    def push(self, first: Frame, second: Frame) -> None:
        self._frames += 1
        squares = [largest_squares(faces, frame) for faces, frame in zip(self._faces, (first, second), strict=True)]
        for seen, found in zip(self._seen, squares, strict=True):
            seen.update(found.keys())
        if not all(squares):
            return
        ours, theirs = _faces_in(first, squares[0]), _faces_in(second, squares[1])
        for track, picture in ours.items():
            for other, real in theirs.items():
                row = (first.time, self._distance(picture, real))
                self._values.setdefault((track, other), []).append(row)

    def finish(self) -> Feature:
        first, second = (primary_track(faces) for faces in self._faces)
        rows = [] if first is None or second is None else self._values.get((first, second), [])
        arrays = {
            "value": as_array([value for _, value in rows], "float64"),
            "time": as_array([time for time, _ in rows], "float64"),
        }
        meta = {
            "fps": self._fps,
            "seconds": self._frames / self._fps,
            "frames": self._frames,
            "first_faces": 0 if first is None else self._seen[0][first],
            "second_faces": 0 if second is None else self._seen[1][second],
        }
        return Feature(arrays, meta)


def largest_squares(faces: Timeline, frame: Frame) -> dict[int, Square]:
    """Returns the squares around the two faces of a frame with the largest boxes, by track.

    Faces without a square (see :func:`vidchatbench_metrics.video_quality.face_square.square_around`) do not count; of
    two equally large ones the lower track number goes first.
    """
    height, width = frame.rgb().shape[:2]
    found: dict[int, Square] = {}
    for face in sorted(faces_at(faces, frame.time), key=lambda face: (-_area(face), face.track)):
        square = square_around(face.box, (height, width), (HEIGHT, WIDTH))
        if square is not None and len(found) < MOST_FACES:
            found[face.track] = square
    return found


def _area(face: Face) -> float:
    return float((face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))


def _faces_in(frame: Frame, squares: Mapping[int, Square]) -> dict[int, Picture]:
    whole = frame.cover(HEIGHT, WIDTH)
    return {track: resize_square(square.cut(whole), FACE_SIDE) for track, square in squares.items()}
