"""Imports torchvision where its compiled part does not fit the installed torch.

A machine may keep a CPU build of torch, for which the index offers no torchvision: the one it gets is built for CUDA
and its compiled operators cannot be loaded. torchvision then fails at import, and facenet-pytorch, lpips and timm with
it, though all that they use of those operators is non-maximum suppression. Here that one is defined in plain torch.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# The operators that torchvision describes to torch without asking whether its compiled part was loaded.
_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> None:
    """Makes sure that torchvision and what is built on it can be imported.

    Raises:
        ImportError: If torchvision is not installed, or fails for another reason.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise ImportError(f"torchvision cannot be imported: {error}") from error
        _import_without_operators()


def plain_nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression in plain torch, equal to ``torchvision.ops.nms``.

    Args:
        boxes: float of shape (n, 4): left, top, right, bottom.
        scores: float of shape (n,).
        iou_threshold: Boxes that overlap a better one by more than this are dropped.

    Returns:
        int64 of shape (m,): indices of the boxes kept, best first.
    """
    import torch  # heavy

    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = scores.argsort(descending=True, stable=True)
    kept: list[torch.Tensor] = []
    while order.numel() > 0:
        best, order = order[0], order[1:]
        kept.append(best)
        corners_low = torch.maximum(boxes[order, :2], boxes[best, :2])
        corners_high = torch.minimum(boxes[order, 2:], boxes[best, 2:])
        shared = (corners_high - corners_low).clamp(min=0).prod(dim=1)
        overlap = shared / (areas[order] + areas[best] - shared)
        order = order[overlap <= iou_threshold]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.int64, device=boxes.device)


def _import_without_operators() -> None:
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # the halves that the failed import left behind
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        library.define(f"{name}{_SCHEMA}")
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        raise ImportError(f"torchvision does not fit torch {torch.__version__}: {error}") from error
    boxes: Any = importlib.import_module("torchvision.ops.boxes")
    boxes.nms = plain_nms
    boxes._vidchatbench_library = library  # a library that is collected takes its operators with it
