"""FaceNet as facenet-pytorch publishes it: its crop of a face and its Inception-ResNet-v1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench_metrics.common.torch_weights import fill, load_state
from vidchatbench_metrics.faces.torchvision_import import import_torchvision

SIZE = 160


def crop_face(picture: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """Cuts a face out as ``extract_face`` of facenet-pytorch does with a Pillow image and no margin.

    The box is cut off at the picture, its edges are rounded towards zero, and what it holds is scaled to a square
    without regard to its shape (Pillow BILINEAR, antialiased).

    Args:
        picture: uint8 RGB of shape (height, width, 3).
        box: Shape (4,): left, top, right, bottom in pixels.

    Returns:
        uint8 RGB of shape (160, 160, 3); ``None`` where no whole pixel of the box lies inside the picture.
    """
    height, width = picture.shape[:2]
    left, top = int(max(box[0], 0)), int(max(box[1], 0))
    right, bottom = int(min(box[2], width)), int(min(box[3], height))
    if right <= left or bottom <= top:
        return None
    face = Image.fromarray(picture[top:bottom, left:right])
    return np.asarray(face.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def standardised(face: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the network's input for one face, ``(x - 127.5) / 128``.

    Args:
        face: uint8 RGB of shape (160, 160, 3).

    Returns:
        float32 of shape (1, 3, 160, 160).
    """
    values = (face.astype(np.float32) - np.float32(127.5)) / np.float32(128.0)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


class FacenetEncoder:
    """Inception-ResNet-v1 behind facenet-pytorch's crop.

    Args:
        path: State dict of facenet-pytorch's ``InceptionResnetV1``, with or without the classifier ``logits``.
        device: Torch device string.

    Raises:
        ValueError: If the file is of another network.
    """

    def __init__(self, path: Path, device: str) -> None:
        import_torchvision()
        import torch  # heavy, and only extractors that run need it
        from facenet_pytorch import InceptionResnetV1

        self._torch = torch
        self._device = torch.device(device)
        # Without the name of a data set the package downloads nothing.
        network = InceptionResnetV1(pretrained=None, classify=False)
        fill(network, load_state(path), superfluous=("logits.",))
        self._network = network.eval().to(self._device)

    def encode(
        self, picture: NDArray[np.uint8], box: NDArray[np.float64], landmarks: NDArray[np.float64]
    ) -> NDArray[np.float32] | None:
        """Returns the embedding of a face, located by its box alone; see :class:`FaceEncoder`."""
        del landmarks
        face = crop_face(picture, box)
        if face is None:
            return None
        # One face at a time, so that no number depends on which faces came together.
        with self._torch.inference_mode():
            batch = self._torch.from_numpy(standardised(face)).to(self._device)
            embedding: NDArray[np.float32] = self._network(batch)[0].cpu().numpy()
        return embedding
