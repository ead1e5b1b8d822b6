"""A frame metric: one function over a picture, and the card; extractor, feature and metric come of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Dimension, MetricCard, Role, frame_metric


def exposure(picture: NDArray[np.uint8], *, low: int = 8, high: int = 247) -> float:
    """Share of the pixels whose mean of red, green and blue lies in ``low..high``: neither crushed nor blown out."""
    grey = picture.mean(axis=2)
    return float(np.mean((grey >= low) & (grey <= high)))


Exposure = frame_metric(
    exposure,
    MetricCard(
        id="brightness/exposure",
        version=1,
        title="Exposure",
        dimension=Dimension.VIDEO_QUALITY,
        direction="higher",
        unit="",
        minimum=0.0,
        maximum=1.0,
        worst=0.0,
        ideal=1.0,
        roles=(Role.CANDIDATE,),
        aggregation="mean",
        protocol="exposure/rgbmean-5fps-v1",
        protocol_text="Share of the pixels whose mean of R, G and B lies in low..high.",
        description="Whether the picture keeps detail in shadows and lights. A plain grey picture scores 1.",
        code_license="Apache-2.0",
        commercial_use=True,
        citation="",
        source="A definition made up for this example.",
    ),
    fps=5,
)
ExposureFrames = Exposure.extractor
