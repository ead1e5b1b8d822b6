"""``video_quality/inception_frames`` and ``/inception_faces``: Inception features of 16 frames, or of their faces."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import (
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
from vidchatbench_metrics.faces.timeline import primary_track
from vidchatbench_metrics.torch_weights import fill, load_state
from vidchatbench_metrics.video_quality.even_frames import FPS, EvenFrames, KeptFrame
from vidchatbench_metrics.video_quality.face_square import Picture, track_square
from vidchatbench_metrics.video_quality.networks import weight_of

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
        import torch  # noqa: PLC0415 - heavy, and only extractors that run need it

        from vidchatbench_metrics.video_quality.inception_network import FidInception  # noqa: PLC0415 - loads torch

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
        found: NDArray[np.float32] = values.cpu().numpy()
        return found


class _InceptionExtractor(FrameExtractor):
    defaults = {"network": "pt-inception"}

    @property
    def fps(self) -> float:
        """The grid that the sixteen frames are chosen on."""
        return float(FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (weight_of(str(self.params["network"])),)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._features = InceptionFeatures(context.weights[self.weights[0]], context.device, context.batch_size)


class InceptionFrames(_InceptionExtractor):
    """Inception features of 16 evenly spaced frames, each scaled to cover 480 x 768 and centre-cropped.

    Feature:
        embedding: float32 (n, 2048), n = 16 for every clip of 16 frames or more.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, the number looked at.
    """

    id = "video_quality/inception_frames"

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip, upstream
        return _WholeSession(self._features)


class InceptionFaces(_InceptionExtractor):
    """Inception features of the responder's face in 16 evenly spaced frames.

    The face is cut out of the picture that was scaled to cover 480 x 768, as a square of 1.3 longer sides of its box;
    frames without the responder's face give no row.

    Feature:
        embedding: float32 (n, 2048), or (0, 0) where the face is in none of the frames.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, the number looked at.
    """

    id = "video_quality/inception_faces"

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip
        return _FaceSession(self._features, upstream["faces"])


class _Session(FrameSession):
    def __init__(self, features: InceptionFeatures) -> None:
        self._features = features
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
            "embedding": as_array(self._features([picture for _, picture in pictures]), "float32"),
            "time": as_array([time for time, _ in pictures], "float64"),
        }
        return Feature(arrays, {"frames": self._even.frames, "chosen": len(chosen)})


class _WholeSession(_Session):
    def picture_of(self, kept: KeptFrame) -> Picture:
        return kept.pixels


class _FaceSession(_Session):
    def __init__(self, features: InceptionFeatures, faces: Timeline) -> None:
        super().__init__(features)
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
