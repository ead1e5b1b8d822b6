"""``video_quality/lpips`` and ``/lpips_face``: perceptual distance of the pictures to those of the real reply."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    MetricCard,
    PairExtractor,
    PairSession,
    Sample,
    Score,
    Timeline,
    Window,
    as_array,
    load_card,
)
from vidchatbench_metrics.common.geometry import GUIDES, HEIGHT, MIN_COMMON_SECONDS, WIDTH
from vidchatbench_metrics.common.networks import Network, Networks
from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.faces.timeline import Face, faces_at, responder_tracklets
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.video_quality.face_square import Picture, Square, View, resize_square, square_around
from vidchatbench_metrics.video_quality.paired_frames import (
    Measure,
    PairedFrames,
    PairedMetric,
    pair_meta,
    pair_of_windows,
)

if TYPE_CHECKING:
    import torch

NETWORKS = Networks(
    (Network("alex", "alexnet_imagenet1k_v1", title="alexnet-owt-7be5be79"),), hashed_label="alex-{digits}"
)
"""The backbones."""

LINEAR_WEIGHT = "lpips_alex_v0.1"

FACE_SIDE = 256
"""Pixels a side to which the faces are brought."""

MAX_FACES = 2
"""Faces of a picture that are compared, the largest ones; that makes four distances for a pair of pictures at most."""

MIN_COVERAGE = 0.5
"""Share of the frame pairs in common that must show the responder's face on both sides."""

_SLICE_OF_LAYER = {"0": "slice1", "3": "slice2", "6": "slice3", "8": "slice4", "10": "slice5"}


class LpipsDistance:
    """LPIPS 0.1 with AlexNet between two pictures, ``lpips.LPIPS(net="alex", version="0.1")``.

    Source: Zhang et al. 2018, arXiv 1801.03924; richzhang/PerceptualSimilarity @ 082bb24, ``lpips/lpips.py``.

    Args:
        backbone: State dict of torchvision's ``alexnet``, with or without its classifier.
        linear: State dict of the linear layers, ``lpips/weights/v0.1/alex.pth`` of the package.
        device: Torch device string.

    Raises:
        ValueError: If one of the files is of another network.
    """

    def __init__(self, backbone: Path, linear: Path, device: str) -> None:
        import_torchvision()
        import torch  # heavy, and only extractors that run need it
        from lpips import LPIPS

        self._torch = torch
        self._device = torch.device(device)
        with warnings.catch_warnings():
            # The package asks torchvision for an untrained network by a parameter that torchvision has renamed.
            warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
            network = LPIPS(net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False)
        constants = {key: value for key, value in network.state_dict().items() if key.startswith("scaling_layer.")}
        fill(network, {**constants, **_backbone_state(load_state(backbone)), **_linear_state(load_state(linear))})
        self._network = network.eval().to(self._device)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        """Returns the distance of two pictures.

        Args:
            first: uint8 RGB of shape (height, width, 3), both sides at least 63.
            second: The same shape.

        Returns:
            A value of 0 or more; 0 for identical pictures.
        """
        if np.array_equal(first, second):
            return 0.0
        # One pair at a time, so that no number depends on which pairs came together.
        with self._torch.inference_mode():
            return float(self._network(self._tensor(first), self._tensor(second)))

    def _tensor(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        values = self._torch.from_numpy(picture.copy()).to(self._device).permute(2, 0, 1)[None]
        tensor: torch.Tensor = values.to(self._torch.float32) / 127.5 - 1.0
        return tensor


def _backbone_state(state: dict[str, Any]) -> dict[str, Any]:
    # The package cuts torchvision's layers into five slices and keeps their numbers.
    renamed: dict[str, Any] = {}
    for key, value in state.items():
        part, _, rest = key.partition(".")
        layer, _, kind = rest.partition(".")
        if part != "classifier":
            known = part == "features" and layer in _SLICE_OF_LAYER
            renamed[f"net.{_SLICE_OF_LAYER[layer]}.{layer}.{kind}" if known else key] = value
    return renamed


def _linear_state(state: dict[str, Any]) -> dict[str, Any]:
    # Each linear layer is registered twice, as ``lin0`` and in the list ``lins``.
    twice = {key.replace("lin", "lins.", 1): value for key, value in state.items() if key.startswith("lin")}
    return {**state, **twice}


class LpipsFrames(PairedFrames):
    """LPIPS of every frame pair, both seen through their window and scaled to 480 x 768.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex``, or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``.

    Feature:
        value: float64 (n,), one per grid point ``k / fps``.
        time: float64 (n,), seconds.
        meta: ``fps``, ``seconds`` (the common part that was compared).
    """

    id = "video_quality/lpips_frames"
    version = 2
    defaults = {"fps": 25, "network": "alex"}
    packages = ("lpips",)

    @property
    def weights(self) -> tuple[str, ...]:
        """The backbone and the linear layers."""
        return (NETWORKS.weight_of(str(self.params["network"])), LINEAR_WEIGHT)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        backbone, linear = (context.weights[name] for name in self.weights)
        self._distance = LpipsDistance(backbone, linear, context.device)

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return self._distance


class LpipsFaces(PairExtractor):
    """LPIPS of the responders' faces of every frame pair.

    Each face is cut out of the window of the picture, scaled to 480 x 768, as a square of 1.3 longer sides of its box,
    and scaled to 256 x 256 (Pillow BICUBIC, antialiased). Of each picture the two faces with the largest boxes are
    compared; a frame pair has a value if both clips' responders are among them.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex``, or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``.

    Feature:
        value: float64 (n,), one per frame pair with the responder's face in both pictures.
        time: float64 (n,), seconds.
        meta: ``fps``; ``seconds``, the common part, and ``frames``, the frame pairs in it; ``first_faces`` and
            ``second_faces``, in how many of them the first and the second clip show their responder's face; and the
            window of the second clip, as in :class:`~vidchatbench_metrics.video_quality.paired_frames.PairedFrames`.
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
        return (NETWORKS.weight_of(str(self.params["network"])), LINEAR_WEIGHT)

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window of either clip."""
        return GUIDES

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
        faces = (upstream[0]["faces"], upstream[1]["faces"])
        return _FaceSession(self._distance, self.fps, faces, pair_of_windows(upstream))


class _FaceSession(PairSession):
    # Which faces are the responders' is known only at the end. Every pair of them is compared until then, because to
    # keep the faces themselves would take gigabytes.
    def __init__(
        self, distance: Measure, fps: float, faces: tuple[Timeline, Timeline], windows: tuple[Window, Window]
    ) -> None:
        self._distance = distance
        self._fps = fps
        self._faces = faces
        self._windows = windows
        self._frames = 0
        self._seen: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self._values: dict[tuple[int, int], list[tuple[float, float]]] = {}

    def push(self, first: Frame, second: Frame) -> None:
        self._frames += 1
        sides = zip(self._faces, (first, second), self._windows, strict=True)
        squares = [largest_squares(faces, frame, window) for faces, frame, window in sides]
        for seen, shown in zip(self._seen, squares, strict=True):
            seen.update(shown.keys())
        if not all(squares):
            return
        ours, theirs = (
            _faces_in(frame, window, shown)
            for frame, window, shown in zip((first, second), self._windows, squares, strict=True)
        )
        for tracklet, picture in ours.items():
            for other, real in theirs.items():
                row = (first.time, self._distance(picture, real))
                self._values.setdefault((tracklet, other), []).append(row)

    def finish(self) -> Feature:
        first, second = (responder_tracklets(faces) for faces in self._faces)
        rows = sorted(row for pair in product(first, second) for row in self._values.get(pair, []))
        arrays = {
            "value": as_array([value for _, value in rows], "float64"),
            "time": as_array([time for time, _ in rows], "float64"),
        }
        meta = {
            "fps": self._fps,
            "seconds": self._frames / self._fps,
            "frames": self._frames,
            "first_faces": sum(self._seen[0][tracklet] for tracklet in first),
            "second_faces": sum(self._seen[1][tracklet] for tracklet in second),
            **pair_meta(self._windows),
        }
        return Feature(arrays, meta)


def largest_squares(faces: Timeline, frame: Frame, window: Window) -> dict[int, Square]:
    """Returns the squares around the two faces of a frame with the largest boxes, by tracklet.

    Faces without a square (see :func:`vidchatbench_metrics.video_quality.face_square.square_around`) do not count; of
    two equally large ones the lower tracklet number goes first.
    """
    height, width = frame.rgb().shape[:2]
    squares: dict[int, Square] = {}
    for face in sorted(faces_at(faces, frame.time), key=lambda face: (-_area(face), face.tracklet)):
        square = square_around(face.box, View((height, width), window))
        if square is not None and len(squares) < MAX_FACES:
            squares[face.tracklet] = square
    return squares


def _area(face: Face) -> float:
    return float((face.box[2] - face.box[0]) * (face.box[3] - face.box[1]))


def _faces_in(frame: Frame, window: Window, squares: Mapping[int, Square]) -> dict[int, Picture]:
    whole = frame.window(window.box, HEIGHT, WIDTH)
    return {number: resize_square(square.cut(whole), FACE_SIDE) for number, square in squares.items()}


class Lpips(PairedMetric):
    """LPIPS (AlexNet, version 0.1) against the real reply, 0 or more, lower is better.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex`` (the official one), or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``
            that lies in the weights mirror.
    """

    default_card = load_card(__package__, "cards/lpips.toml")
    defaults = {"fps": 25, "network": "alex"}
    extractor = "video_quality/lpips_frames"

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate or backbone is another protocol.

        Raises:
            ValueError: If the network is neither known nor named by its hash.
        """
        return NETWORKS.card(self.default_card, str(self.params["network"]), fps=str(int(self.number("fps"))))


class LpipsFace(Lpips):
    """LPIPS of the responder's face against that of the real reply, 0 or more, lower is better.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex`` (the official one), or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``
            that lies in the weights mirror.
    """

    default_card = load_card(__package__, "cards/lpips_face.toml")
    extractor = "video_quality/lpips_faces"

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the frame pairs with both faces; where they are too few, the side without its face decides.

        A real reply that shows its face in under half of the pairs cannot give the score. Otherwise it is the reply's
        fault if it shows its own in fewer pairs than the real one does.
        """
        frames = features["frames"]
        counts = {
            "pairs": int(frames.number("frames")),
            "faces": int(frames.number("first_faces")),
            "reference_faces": int(frames.number("second_faces")),
        }
        pairs, needed = len(frames["value"]), MIN_COVERAGE * counts["pairs"]
        if frames.number("seconds") >= MIN_COMMON_SECONDS and pairs < needed:
            rest = f"of {counts['pairs']} frames in common; at least half is needed"
            if counts["reference_faces"] < needed:
                reason = f"the real reply shows the responder's face in {counts['reference_faces']} {rest}"
                return Score.not_applicable(reason, **counts)
            if counts["faces"] < counts["reference_faces"]:
                reason = f"the reply shows the responder's face in {counts['faces']}, together with the real one in"
                return Score.invalid(f"{reason} {pairs}, {rest}", **counts)
            return Score.not_applicable(f"both replies show the responder's face in {pairs} {rest}", **counts)
        score = super().score(sample, features)
        return replace(score, details={**score.details, **counts})
