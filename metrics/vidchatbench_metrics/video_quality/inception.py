"""``video_quality/inception_frames`` and ``/inception_faces``: Inception features of 16 frames, or of their faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import ExtractorContext
from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.video_quality.even_frames import EvenEmbeddings
from vidchatbench_metrics.video_quality.face_square import Picture
from vidchatbench_metrics.video_quality.networks import INCEPTION

if TYPE_CHECKING:
    from vidchatbench_metrics.video_quality.inception_network import FidInception

SIDE = 299


def resize_clean(picture: Picture) -> NDArray[np.float32]:
    """Scales a picture to 299 x 299 as clean-fid does.

    Each channel alone, as float32, Pillow's BICUBIC (antialiased), cut off at 0 and 255 and not rounded; equal to
    ``cleanfid.resize.build_resizer("clean")``.

    Args:
        picture: uint8 RGB of shape (height, width, 3).

    Returns:
        float32 of shape (299, 299, 3), in 0..255.
    """
    channels = [Image.fromarray(picture[:, :, channel].astype(np.float32)) for channel in range(3)]
    resized = [np.asarray(channel.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for channel in channels]
    return np.stack(resized, axis=2).clip(0, 255).astype(np.float32)


class InceptionFeatures:
    """Pictures to the 2048 numbers of the last pooling, ``(x - 128) / 128`` before the network.

    Args:
        path: State dict of the port to torch.
        device: Torch device string.
        batch_size: Pictures at a time on a GPU. On the CPU it is one, so that no number depends on its neighbours.
    """

    def __init__(self, path: Path, device: str, batch_size: int) -> None:
        import torch  # heavy, and only extractors that run need it

        from vidchatbench_metrics.video_quality.inception_network import FidInception  # loads torch

        self._torch = torch
        self._device = device
        self._batch_size = 1 if device.startswith("cpu") else batch_size
        self._network: FidInception = FidInception()
        fill(self._network, load_state(path), superfluous=("fc.",))
        self._network.eval().requires_grad_(requires_grad=False).to(device)

    def __call__(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """Returns float32 of shape (n, 2048).

        Args:
            pictures: uint8 RGB, each of shape (height, width, 3).
        """
        rows = [self._embed(pictures[at : at + self._batch_size]) for at in range(0, len(pictures), self._batch_size)]
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)

    def _embed(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        batch = np.stack([(resize_clean(picture) - 128) / 128 for picture in pictures]).transpose(0, 3, 1, 2)
        with self._torch.inference_mode():
            values = self._network(self._torch.from_numpy(np.ascontiguousarray(batch)).to(self._device))
        features: NDArray[np.float32] = values.cpu().numpy()
        return features


class _InceptionExtractor(EvenEmbeddings):
    networks = INCEPTION
    defaults = {"network": INCEPTION.default}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self.embed = InceptionFeatures(context.weights[self.weights[0]], context.device, context.batch_size)


class InceptionFrames(_InceptionExtractor):
    """Inception features of 16 evenly spaced frames, each seen through its window and scaled to 480 x 768.

    Feature:
        embedding: float32 (n, 2048), n = 16 for every clip of 16 frames or more.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, how many of them are embedded;
            and the window, see :meth:`vidchatbench.api.Window.meta`.
    """

    id = "video_quality/inception_frames"


class InceptionFaces(_InceptionExtractor):
    """Inception features of the responder's face in 16 evenly spaced frames.

    The face is cut out of the picture's window, scaled to 480 x 768, as a square of 1.3 longer sides of its box;
    frames without the responder's face give no row.

    Feature:
        embedding: float32 (n, 2048), or (0, 0) where the face is in none of the frames.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, how many of them are embedded;
            and the window, see :meth:`vidchatbench.api.Window.meta`.
    """

    id = "video_quality/inception_faces"
    faces_only = True
