"""``faces/window``: the part of a clip's pictures that metrics of frames look at, placed by the responder's face."""

from __future__ import annotations

from collections.abc import Mapping

from vidchatbench.api import (
    MAX_ASPECT_DIFFERENCE,
    ClipInfo,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    Window,
)
from vidchatbench_metrics.faces.timeline import responder_boxes


class FaceWindow(FrameExtractor):
    """The largest window of a size's aspect ratio, anchored to the responder's face; see :meth:`Window.around`.

    Parameters:
        height: Height of the pictures that the window will be scaled to.
        width: Their width.

    Feature:
        box: float64 (4,), left, top, right, bottom in widths and heights of the picture.
        meta: ``kept``, the share of the picture that lies in it; ``face_kept``, that of the responder's boxes, mean
            over the key frames, ``None`` where there is no face and the window is the centre.
    """

    id = "faces/window"
    defaults = {"height": 480, "width": 768}

    @property
    def fps(self) -> float:
        """The pictures themselves are not looked at."""
        return 1.0

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def serves(self, clip: ClipInfo, other: ClipInfo) -> bool:
        """Whether both aspect ratios agree within 2 %, so that one window means the same in both."""
        if min(clip.height, clip.width, other.height, other.width) == 0:
            return False
        ratios = (clip.width / clip.height, other.width / other.height)
        return max(ratios) <= min(ratios) * (1 + MAX_ASPECT_DIFFERENCE)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        return _Session(upstream["faces"], (clip.height, clip.width), self.number("width") / self.number("height"))


class _Session(FrameSession):
    def __init__(self, faces: Timeline, picture: tuple[int, int], aspect: float) -> None:
        self._faces = faces
        self._picture = picture
        self._aspect = aspect

    def push(self, frame: Frame) -> None:
        del frame

    def finish(self) -> Feature:
        return Window.around(responder_boxes(self._faces), self._picture, self._aspect).feature()
