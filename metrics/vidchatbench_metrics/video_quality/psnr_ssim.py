"""``video_quality/psnr`` and ``/ssim``: how close the pictures are to those of the real reply."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.common.geometry import MIN_COMMON_SECONDS

if TYPE_CHECKING:
    import torch


from abc import abstractmethod
from collections.abc import Callable

from vidchatbench.api import ClipInfo, ExtractorContext, Frame, PairExtractor, PairSession, Timeline, as_array
from vidchatbench_metrics.common.geometry import HEIGHT, WIDTH

Measure = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]


class _PairedFrames(PairExtractor):
    """One value per grid point that both clips reach, both scaled to cover 480 x 768 and centre-cropped.

    Feature:
        value: float64 (n,), one per grid point ``k / fps``.
        meta: ``fps``, ``seconds`` (the common part that was compared).
    """

    defaults = {"fps": 25}

    @property
    def fps(self) -> float:
        """Frame pairs per second."""
        return self.number("fps")

    @abstractmethod
    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""

    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]
    ) -> _Session:
        """Starts a pair."""
        del first, second, upstream
        return _Session(self.measure(), self.fps)


class _Session(PairSession):
    def __init__(self, measure: Measure, fps: float) -> None:
        self._measure = measure
        self._fps = fps
        self._values: list[float] = []

    def push(self, first: Frame, second: Frame) -> None:
        self._values.append(self._measure(first.cover(HEIGHT, WIDTH), second.cover(HEIGHT, WIDTH)))

    def finish(self) -> Feature:
        seconds = len(self._values) / self._fps
        return Feature({"value": as_array(self._values, "float64")}, {"fps": self._fps, "seconds": seconds})


class PsnrFrames(_PairedFrames):
    """PSNR in dB of every frame pair; see :func:`vidchatbench_metrics.video_quality.psnr_ssim.psnr`."""

    id = "video_quality/psnr_frames"

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return psnr


class SsimFrames(_PairedFrames):
    """SSIM of every frame pair; see :class:`vidchatbench_metrics.video_quality.psnr_ssim.WangSsim`."""

    id = "video_quality/ssim_frames"

    def setup(self, context: ExtractorContext) -> None:
        """Builds the window."""
        self._ssim = WangSsim(context.device)

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return self._ssim


PEAK = 255.0
PSNR_CAP = 100.0
"""What identical pictures score, in dB; their PSNR is infinite."""

WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two pictures: ``10 log10(255^2 / MSE)`` over all pixels and channels.

    Args:
        first: uint8 RGB of shape (height, width, 3).
        second: The same shape.

    Returns:
        Decibels in 0..100, capped at 100 for identical pictures.
    """
    difference = first.astype(np.int16) - second
    # Squares of uint8 differences fit int32, and summing integers is exact.
    mse = float(np.mean(np.square(difference, dtype=np.int32), dtype=np.float64))
    if mse == 0:
        return PSNR_CAP
    return min(PSNR_CAP, 10 * math.log10(PEAK**2 / mse))


class WangSsim:
    """Structural similarity with the settings of Wang et al. 2004, per RGB channel.

    Gaussian window of 11 x 11 with sigma 1.5, K = (0.01, 0.03), L = 255, population covariance, only positions where
    the window lies inside the picture, mean over positions and channels. Equal to scikit-image's
    ``structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)``.

    Args:
        device: Torch device string.
    """

    def __init__(self, device: str) -> None:
        import torch  # heavy

        self._torch = torch
        self._device = torch.device(device)
        offsets = np.arange(WINDOW) - WINDOW // 2
        weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
        taps = torch.tensor(weights / weights.sum(), dtype=torch.float32, device=self._device)
        # Four statistics of three channels go through one depthwise convolution.
        self._down = taps.view(1, 1, WINDOW, 1).repeat(12, 1, 1, 1)
        self._across = taps.view(1, 1, 1, WINDOW).repeat(12, 1, 1, 1)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        """Returns the mean SSIM of two pictures.

        Args:
            first: uint8 RGB of shape (height, width, 3), both sides at least 11.
            second: The same shape.

        Returns:
            A value in -1..1.
        """
        torch = self._torch
        if np.array_equal(first, second):
            return 1.0
        with torch.inference_mode():
            # Centred on the middle of the range, so that squares lose fewer bits in float32.
            x, y = (self._tensor(picture) for picture in (first, second))
            moments = self._blur(torch.cat([x, y, x * x + y * y, x * y], dim=1))
            mean_x, mean_y, squares, product = torch.tensor_split(moments.double(), 4, dim=1)
            covariance = product - mean_x * mean_y
            variances = squares - mean_x**2 - mean_y**2
            mean_x, mean_y = mean_x + PEAK / 2, mean_y + PEAK / 2
            top = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
            bottom = (mean_x**2 + mean_y**2 + C1) * (variances + C2)
            return float((top / bottom).mean())

    def _tensor(self, picture: NDArray[np.uint8]) -> torch.Tensor:
        # A picture is stored with its channels last, which is also how the convolution is fastest.
        values = self._torch.from_numpy(picture.copy()).to(self._device)
        centred: torch.Tensor = values.permute(2, 0, 1)[None].to(self._torch.float32) - PEAK / 2
        return centred

    def _blur(self, maps: torch.Tensor) -> torch.Tensor:
        maps = maps.contiguous(memory_format=self._torch.channels_last)
        convolve = self._torch.nn.functional.conv2d
        down = convolve(maps, self._down, groups=12)
        blurred: torch.Tensor = convolve(down, self._across, groups=12)
        return blurred


class _Paired(Metric):
    """Mean over frame pairs of the common part; under one second in common is the submission's fault."""

    defaults = {"fps": 25}
    extractor: ClassVar[str]
    family: ClassVar[str]

    def make_card(self) -> MetricCard:
        """Returns the card; another frame rate is another protocol."""
        fps = int(self.number("fps"))
        if fps == self.defaults["fps"]:
            return self.default_card
        text = self.default_card.protocol_text.replace("25 frame pairs a second", f"{fps} frame pairs a second")
        return self.default_card.vary(protocol=f"{self.family}/cover480x768-{fps}fps-v1", protocol_text=text)

    def needs(self) -> tuple[Need, ...]:
        """Frame-wise values of candidate and reference."""
        spec = ExtractorSpec.of(self.extractor, fps=self.params["fps"])
        return (Need("frames", spec, (Role.CANDIDATE, Role.REFERENCE)),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the frame-wise values."""
        del sample
        frames = features["frames"]
        seconds = frames.number("seconds")
        if seconds < MIN_COMMON_SECONDS:
            return Score.invalid(
                f"only {seconds:.2f} s in common with the reference; {MIN_COMMON_SECONDS:g} s is needed",
                seconds=seconds,
            )
        values = frames["value"]
        return Score.ok(float(values.mean()), seconds=seconds, frames=len(values), lowest=float(values.min()))


class Psnr(_Paired):
    """Peak signal-to-noise ratio against the real reply, in dB, higher is better."""

    default_card = load_card(__package__, "cards/psnr.toml")
    extractor = "video_quality/psnr_frames"
    family = "psnr"


class Ssim(_Paired):
    """Structural similarity to the real reply, higher is better."""

    default_card = load_card(__package__, "cards/ssim.toml")
    extractor = "video_quality/ssim_frames"
    family = "ssim"
