"""``video_quality/clip_image_frames`` and ``/clip_image_faces``: CLIP embeddings of 16 frames, or of their faces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ExtractorContext
from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.video_quality.even_frames import EvenEmbeddings
from vidchatbench_metrics.video_quality.face_square import Picture
from vidchatbench_metrics.video_quality.networks import CLIP_IMAGE

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
        import torch  # heavy, and only extractors that run need it
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection  # likewise

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


class _ClipExtractor(EvenEmbeddings):
    networks = CLIP_IMAGE
    defaults = {"network": CLIP_IMAGE.default}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        self._encoder = ClipImageEncoder(context.weights[self.weights[0]], context.device)
        self.embed = self._embed_all

    def _embed_all(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        # One at a time: what a batch gains is little beside a network of this size, and no number depends on it.
        rows = [self._encoder(picture) for picture in pictures]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float32)


class ClipImageFrames(_ClipExtractor):
    """CLIP embeddings of 16 evenly spaced frames, each seen through its window and scaled to 480 x 768.

    Feature:
        embedding: float32 (n, d), each row of length 1, n = 16 for every clip of 16 frames or more.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, how many of them are embedded;
            and the window, see :meth:`vidchatbench.api.Window.meta`.
    """

    id = "video_quality/clip_image_frames"


class ClipImageFaces(_ClipExtractor):
    """CLIP embeddings of the responder's face in 16 evenly spaced frames.

    The face is cut out of the picture's window, scaled to 480 x 768, as a square of 1.3 longer sides of its box;
    frames without the responder's face give no row.

    Feature:
        embedding: float32 (n, d), each row of length 1, or (0, 0) where the face is in none of the frames.
        time: float64 (n,), seconds.
        meta: ``frames``, the number of frames of the clip at 25 a second, ``chosen``, how many of them are embedded;
            and the window, see :meth:`vidchatbench.api.Window.meta`.
    """

    id = "video_quality/clip_image_faces"
    faces_only = True
