"""``video_quality/i3d_clip``: what the action recognition network I3D makes of sixteen frames."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ClipInfo, ExtractorContext, Feature, Frame, FrameExtractor, FrameSession, Timeline
from vidchatbench_metrics.geometry import HEIGHT, WIDTH
from vidchatbench_metrics.video_quality.even_frames import FPS, FRAMES_PER_CLIP
from vidchatbench_metrics.video_quality.networks import weight_of


class I3dNetwork:
    """StyleGAN-V's packaging of I3D (Kinetics-400), a TorchScript archive.

    Unlike a state dict, a TorchScript archive carries code, though only code of torch's own operators. It comes here by
    its hash: the one of the weights table, or one that the user wrote down.

    Args:
        path: The archive.
        device: Torch device string.
    """

    def __init__(self, path: Path, device: str) -> None:
        import torch  # noqa: PLC0415 - heavy, and only extractors that run need it

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
    """I3D logits of 16 frames from the beginning of a clip, each scaled to cover 480 x 768 and centre-cropped.

    Parameters:
        network: ``i3d-sgv``, or ``sha256:<64 hex>`` for any TorchScript archive of that interface in the mirror.
        every: Distance of the frames on the 25 fps grid: 0, every, 2 every, ..., of ``16 every`` frames.

    Feature:
        embedding: float32 (1, 400); (0, 0) where the clip has fewer frames than the ``16 every`` that are spanned.
        meta: ``frames``, the number of frames of the clip at 25 a second, counted to the end of the span and to one
            second at least.
    """

    id = "video_quality/i3d_clip"
    defaults = {"network": "i3d-sgv", "every": 1}

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (weight_of(str(self.params["network"])),)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._network = I3dNetwork(context.weights[self.weights[0]], context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip, upstream
        return _Session(self._network, int(self.number("every")))


class _Session(FrameSession):
    def __init__(self, network: I3dNetwork, every: int) -> None:
        self._network = network
        self._every = every
        self._span = FRAMES_PER_CLIP * every
        self._frames = 0
        self._pictures: list[NDArray[np.uint8]] = []

    @property
    def done(self) -> bool:
        return self._frames >= max(self._span, FPS)

    def push(self, frame: Frame) -> None:
        if self._frames < self._span and self._frames % self._every == 0:
            self._pictures.append(frame.cover(HEIGHT, WIDTH))
        self._frames += 1

    def finish(self) -> Feature:
        whole = self._frames >= self._span
        embedding = self._network(self._pictures) if whole else np.zeros((0, 0), np.float32)
        return Feature({"embedding": embedding}, {"frames": self._frames})
