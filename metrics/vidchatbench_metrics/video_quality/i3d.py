"""``video_quality/i3d_clip`` and ``/i3d_faces``: features of sixteen frames by the action recognition network I3D."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    Window,
)
from vidchatbench_metrics.common.geometry import GUIDES, HEIGHT, WIDTH
from vidchatbench_metrics.faces.timeline import responder_tracklets
from vidchatbench_metrics.video_quality.even_frames import FPS, FRAMES_PER_CLIP, KeptFrame
from vidchatbench_metrics.video_quality.face_square import Square, View, resize_square, track_square
from vidchatbench_metrics.video_quality.networks import I3D

SIDE = 224
"""Pixels a side of what the network looks at."""


class I3dNetwork:
    """StyleGAN-V's packaging of I3D (Kinetics-400), a TorchScript archive.

    Unlike a state dict, a TorchScript archive carries code, though only code of torch's own operators. It comes here by
    its hash: the one of the weights table, or one that the user wrote down.

    Args:
        path: The archive.
        device: Torch device string.
    """

    def __init__(self, path: Path, device: str) -> None:
        import torch  # heavy, and only extractors that run need it

        self._torch = torch
        self._jit: Any = torch.jit  # without types
        self._device = device
        with warnings.catch_warnings():
            # torch means to give up TorchScript some day; the only published file of this network is in it.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            self._network = self._jit.load(str(path), map_location=device).eval()

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Returns the 400 numbers before the softmax, float32 of shape (1, 400).

        Args:
            pictures: uint8 RGB of shape (height, width, 3) each. The network itself scales them to 224 x 224 (without
                regard to their shape) and to -1..1.
        """
        torch = self._torch
        clip = torch.from_numpy(np.stack(pictures)).to(self._device).permute(3, 0, 1, 2)[None].to(torch.float32)
        # An interpreter that rewrites what it runs could answer otherwise the second time than the first.
        with torch.inference_mode(), self._jit.optimized_execution(should_optimize=False):
            values = self._network(clip, rescale=True, resize=True, return_features=True)
        logits: NDArray[np.float32] = values.to(torch.float32).cpu().numpy().reshape(1, -1)
        return logits


class I3dClip(FrameExtractor):
    """I3D logits of 16 frames from the beginning of a clip, each seen through its window and scaled to 480 x 768.

    Parameters:
        network: ``i3d-sgv``, or ``sha256:<64 hex>`` for any TorchScript archive of that interface in the mirror.
        every: Distance of the frames on the 25 fps grid: 0, every, 2 every, ..., of ``16 every`` frames.

    Feature:
        embedding: float32 (1, 400); (0, 0) where the clip has fewer frames than the ``16 every`` that are spanned.
        meta: ``frames``, the number of frames of the clip at 25 a second, counted to the end of the span and to one
            second at least.
    """

    id = "video_quality/i3d_clip"
    defaults = {"network": I3D.default, "every": 1}

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (I3D.weight_of(str(self.params["network"])),)

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window."""
        return GUIDES

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._network = I3dNetwork(context.weights[self.weights[0]], context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip
        return _Session(self._network, Window.of(upstream["window"]), int(self.number("every")))


class I3dFaces(FrameExtractor):
    """I3D logits of the responder's face in the first 16 frames of a clip.

    The face is cut out of the picture's window, scaled to 480 x 768, as a square of 1.3 longer sides of its box,
    frame by frame, and scaled to 224 x 224 (Pillow BICUBIC, antialiased), which the network's own scaling leaves as it
    is. A frame without the responder's face takes the square of the nearest of the 16 frames that has one, of two
    equally near the earlier.

    Parameters:
        network: ``i3d-sgv``, or ``sha256:<64 hex>`` for any TorchScript archive of that interface in the mirror.

    Feature:
        embedding: float32 (1, 400); (0, 0) where the clip has fewer than 16 frames, or none of the 16 shows the face.
        meta: ``frames``, the number of frames of the clip at 25 a second; ``chosen``, the number of frames read,
            16 at most; ``faces``, in how many of them the responder's face was found.
    """

    id = "video_quality/i3d_faces"
    defaults = {"network": I3D.default}

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (I3D.weight_of(str(self.params["network"])),)

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """The window."""
        return GUIDES

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._network = I3dNetwork(context.weights[self.weights[0]], context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip
        return _FaceSession(self._network, Window.of(upstream["window"]), upstream["faces"])


class _Session(FrameSession):
    def __init__(self, network: I3dNetwork, window: Window, every: int) -> None:
        self._network = network
        self._window = window
        self._every = every
        self._span = FRAMES_PER_CLIP * every
        self._frames = 0
        self._pictures: list[NDArray[np.uint8]] = []

    @property
    def done(self) -> bool:
        return self._frames >= max(self._span, FPS)

    def push(self, frame: Frame) -> None:
        if self._frames < self._span and self._frames % self._every == 0:
            self._pictures.append(frame.window(self._window.box, HEIGHT, WIDTH))
        self._frames += 1

    def finish(self) -> Feature:
        whole = self._frames >= self._span
        embedding = self._network(self._pictures) if whole else np.zeros((0, 0), np.float32)
        return Feature({"embedding": embedding}, {"frames": self._frames, **self._window.meta()})


class _FaceSession(FrameSession):
    # Never done before the clip's end: only the whole clip tells which faces are the responder's.
    def __init__(self, network: I3dNetwork, window: Window, faces: Timeline) -> None:
        self._network = network
        self._window = window
        self._faces = faces
        self._frames = 0
        self._kept: list[KeptFrame] = []

    def push(self, frame: Frame) -> None:
        self._frames += 1
        if self._frames <= FRAMES_PER_CLIP:
            height, width = frame.rgb().shape[:2]
            pixels = frame.window(self._window.box, HEIGHT, WIDTH)
            self._kept.append(KeptFrame(frame.time, pixels, (height, width)))

    def finish(self) -> Feature:
        responder = responder_tracklets(self._faces)
        squares = [
            track_square(self._faces, responder, kept.time, View(kept.source, self._window)) for kept in self._kept
        ]
        filled = fill_from_nearest(squares)
        pairs = zip(self._kept, filled, strict=True)
        pictures = [resize_square(square.cut(kept.pixels), SIDE) for kept, square in pairs if square is not None]
        whole = len(pictures) == FRAMES_PER_CLIP
        embedding = self._network(pictures) if whole else np.zeros((0, 0), np.float32)
        faces = sum(square is not None for square in squares)
        meta = {"frames": self._frames, "chosen": len(squares), "faces": faces, **self._window.meta()}
        return Feature({"embedding": embedding}, meta)


def fill_from_nearest(squares: Sequence[Square | None]) -> list[Square | None]:
    """Gives every place without a square that of the nearest place that has one, of two equally near the earlier.

    Args:
        squares: One per frame; ``None`` where no face was found.

    Returns:
        As many squares; all ``None`` if there was none at all.
    """
    known = [index for index, square in enumerate(squares) if square is not None]
    if not known:
        return list(squares)
    return [squares[min(known, key=lambda at: (abs(at - index), at))] for index in range(len(squares))]
