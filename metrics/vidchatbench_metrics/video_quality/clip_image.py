"""``video_quality/clip_image_frames`` and ``/clip_image_faces``: CLIP embeddings of 16 frames, or of their faces."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
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
    as_array,
)
from vidchatbench_metrics.faces.timeline import primary_track
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.torch_weights import fill, load_state
from vidchatbench_metrics.video_quality.even_frames import FPS, EvenFrames, KeptFrame
from vidchatbench_metrics.video_quality.face_square import Picture, track_square
from vidchatbench_metrics.video_quality.networks import weight_of

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training pictures, per RGB channel in 0..1."""

HEAD_SIZE = 64
"""Channels of an attention head, the same in every CLIP; a state dict does not tell."""

_OTHER_TOWER = ("text_model.", "text_projection.", "logit_scale", "vision_model.embeddings.position_ids")


class ClipImageEncoder:
    """The image side of CLIP.

    Args:
        path: State dict of transformers' ``CLIPModel`` or ``CLIPVisionModelWithProjection``; the sizes of the network
            follow from it.
        device: Torch device string.
    """

    def __init__(self, path: Path, device: str) -> None:
        import_torchvision()  # transformers imports it
        import torch  # noqa: PLC0415 - heavy, and only extractors that run need it
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection  # noqa: PLC0415 - likewise

        self._torch = torch
        self._device = device
        state = load_state(path)
        sizes = vision_sizes(state)
        config = CLIPVisionConfig.from_dict({**sizes, "hidden_act": "quick_gelu"})
        model: Any = CLIPVisionModelWithProjection  # its methods have no types
        self._network = model(config)
        fill(self._network, state, superfluous=_OTHER_TOWER)
        self._network.eval().requires_grad_(requires_grad=False).to(device)
        self._size = sizes["image_size"]
        self._mean, self._std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Returns the embedding of one picture, float32 of shape (d,), of length 1.

        Args:
            picture: uint8 RGB of shape (height, width, 3). It is scaled to the network's square without regard to its
                shape: torch's bicubic interpolation without antialiasing, as CMMD's port to torch does.
        """
        torch = self._torch
        with torch.inference_mode():
            values = torch.tensor(picture, device=self._device).permute(2, 0, 1)[None].to(torch.float32) / 255
            values = torch.nn.functional.interpolate(values, size=(self._size, self._size), mode="bicubic")
            embedding = self._network(pixel_values=(values - self._mean) / self._std).image_embeds[0]
            unit: NDArray[np.float32] = (embedding / torch.linalg.vector_norm(embedding)).cpu().numpy()
        return unit


def vision_sizes(state: Mapping[str, Any]) -> dict[str, int]:
    """Returns the sizes of a CLIP image network, as ``CLIPVisionConfig`` names them, from the shapes of its weights.

    Args:
        state: A state dict of transformers.

    Raises:
        ValueError: If it is none of CLIP's image side.
    """
    try:
        projection, width = state["visual_projection.weight"].shape
        patch = state["vision_model.embeddings.patch_embedding.weight"].shape[-1]
        positions = state["vision_model.embeddings.position_embedding.weight"].shape[0]
        inner = state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise ValueError(f"these weights are not of CLIP's image network: {error} is missing") from error
    layers = sum(name.endswith("mlp.fc1.weight") and name.startswith("vision_model.") for name in state)
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": projection,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD_SIZE,
        "image_size": patch * math.isqrt(positions - 1),
        "patch_size": patch,
    }


class _ClipExtractor(FrameExtractor):
    defaults = {"network": "clip-vit-l14-336"}

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
        self._encoder = ClipImageEncoder(context.weights[self.weights[0]], context.device)


class ClipImageFrames(_ClipExtractor):
    """CLIP embeddings of 16 evenly spaced frames, each scaled to cover 480 x 768 and centre-cropped.

    Feature:
        embedding: float32 (n, d), each row of length 1, n = 16 for every clip of 16 frames or more.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, the number looked at.
    """

    id = "video_quality/clip_image_frames"

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip, upstream
        return _WholeSession(self._encoder)


class ClipImageFaces(_ClipExtractor):
    """CLIP embeddings of the responder's face in 16 evenly spaced frames.

    The face is cut out of the picture that was scaled to cover 480 x 768, as a square of 1.3 longer sides of its box;
    frames without the responder's face give no row.

    Feature:
        embedding: float32 (n, d), each row of length 1, or (0, 0) where the face is in none of the frames.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, the number looked at.
    """

    id = "video_quality/clip_image_faces"

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip
        return _FaceSession(self._encoder, upstream["faces"])


class _Session(FrameSession):
    def __init__(self, encoder: ClipImageEncoder) -> None:
        self._encoder = encoder
        self._even = EvenFrames()

    def push(self, frame: Frame) -> None:
        self._even.push(frame)

    @abstractmethod
    def picture_of(self, kept: KeptFrame) -> Picture | None:
        """The picture that is embedded, ``None`` where the frame has none."""

    def finish(self) -> Feature:
        chosen = self._even.chosen().values()
        pictures = [(kept.time, picture) for kept in chosen if (picture := self.picture_of(kept)) is not None]
        # One at a time: what a batch gains is little beside a network of this size, and no number depends on it.
        rows = [self._encoder(picture) for _, picture in pictures]
        arrays = {
            "embedding": np.stack(rows) if rows else np.zeros((0, 0), np.float32),
            "time": as_array([time for time, _ in pictures], "float64"),
        }
        return Feature(arrays, {"frames": self._even.frames, "chosen": len(chosen)})


class _WholeSession(_Session):
    def picture_of(self, kept: KeptFrame) -> Picture:
        return kept.pixels


class _FaceSession(_Session):
    def __init__(self, encoder: ClipImageEncoder, faces: Timeline) -> None:
        super().__init__(encoder)
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
