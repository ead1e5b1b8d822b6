"""Windows for extractors that are tried without the engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Timeline, Window
from vidchatbench.engine.extraction.lanes import Whole
from vidchatbench_metrics.video_quality.face_square import View, square_around


def guide(*box: float, face_kept: float | None = 1.0) -> dict[str, Timeline]:
    """Upstream of a clip whose window has this box; the whole picture by default."""
    left, top, right, bottom = box or (0.0, 0.0, 1.0, 1.0)
    kept = (right - left) * (bottom - top)
    return {"window": Whole(Window((left, top, right, bottom), kept, face_kept).feature())}


WHOLE = {"kept": 1.0, "face_kept": 1.0, "anchored": True}
"""What a feature says that was made through :func:`guide`'s default."""


def cover_window(height: int, width: int) -> Window:
    """The window of a clip without a face: the centre."""
    return Window.around(np.zeros((0, 4)), (height, width), 768 / 480)


def cut_face(picture: NDArray[np.uint8], box: NDArray[np.float64], source: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Cuts the square around a face of a picture of size ``source`` out of its centre, scaled to 480 x 768."""
    square = square_around(box, View(source, cover_window(*source)))
    return None if square is None else square.cut(picture)
