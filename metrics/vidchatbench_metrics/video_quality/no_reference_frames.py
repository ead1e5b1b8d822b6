"""``iqa/frame_quality``: what a model without a reference thinks of single pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    as_array,
)
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH
from vidchatbench_metrics.video_quality.no_reference_network import MODELS, QualityModel


class FrameQuality(FrameExtractor):
    """Ratings of the frames of a clip, scaled to cover 480 x 768 and centre-cropped.

    Parameters:
        model: ``musiq``, ``niqe``, ``clipiqa`` or ``topiq_nr``.
        fps: Frames per second.
        network: ``official``, or ``sha256:<64 hex>`` for any file that the model can be made of.

    Feature:
        value: float64 (n,), on the model's own scale, one per frame that the model could rate.
        meta: ``frames``, the number of frames looked at.
    """

    id = "iqa/frame_quality"
    defaults = {"model": "musiq", "fps": 1, "network": "official"}
    packages = ("pyiqa",)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.number("fps")

    @property
    def weights(self) -> tuple[str, ...]:
        """The model's one file."""
        network = str(self.params["network"])
        return (MODELS[str(self.params["model"])].weight if network == "official" else network,)

    def setup(self, context: ExtractorContext) -> None:
        """Makes the model."""
        self._model = QualityModel(str(self.params["model"]), context.weights[self.weights[0]], context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip, upstream
        return _Session(self._model)


class _Session(FrameSession):
    def __init__(self, model: QualityModel) -> None:
        self._model = model
        self._frames = 0
        self._values: list[float] = []

    def push(self, frame: Frame) -> None:
        self._frames += 1
        value = self._model(frame.cover(HEIGHT, WIDTH))
        if math.isfinite(value):
            self._values.append(value)

    def finish(self) -> Feature:
        return Feature({"value": as_array(self._values, "float64")}, {"frames": self._frames})
