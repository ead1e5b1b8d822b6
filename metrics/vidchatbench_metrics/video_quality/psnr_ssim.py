"""``video_quality/psnr`` and ``/ssim``: how close the pictures are to those of the real reply."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import ExtractorContext, load_card
from vidchatbench_metrics.video_quality.paired_frames import Measure, PairedFrames, PairedMetric

if TYPE_CHECKING:
    import torch

PEAK = 255.0

PSNR_CAP = 100.0
"""What identical pictures score, in dB; their PSNR is infinite."""

WINDOW = 11
SIGMA = 1.5
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2

BLOCK_ROWS = 16


def squared_error(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean squared difference of two pictures over all pixels and channels.

    Args:
        first: uint8 RGB of shape (height, width, 3).
        second: The same shape.

    Returns:
        Squared grey levels in 0..65025, exact but for the last rounding.
    """
    difference = first.astype(np.int16) - second
    # Squares of uint8 differences fit int32, and summing integers is exact.
    return float(np.mean(np.square(difference, dtype=np.int32), dtype=np.float64))


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio: ``10 log10(255^2 / error)``.

    Args:
        error: Mean squared error in squared grey levels.

    Returns:
        Decibels in 0..100, capped at 100 for identical pictures.
    """
    if error == 0:
        return PSNR_CAP
    return min(PSNR_CAP, 10 * math.log10(PEAK**2 / error))


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
        self._down = taps.view(1, 1, WINDOW, 1).repeat(3, 1, 1, 1)
        self._across = taps.view(1, 1, 1, WINDOW).repeat(3, 1, 1, 1)

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        """Returns the mean SSIM of two pictures.

        Args:
            first: uint8 RGB of shape (height, width, 3), both sides at least 11.
            second: The same shape.

        Returns:
            A value in -1..1.
        """
        if np.array_equal(first, second):
            return 1.0
        with self._torch.inference_mode():
            means = self._local_means(first, second)
            # By blocks of rows, whose float64 stays in the processor's cache.
            total = 0.0
            for start in range(0, means.shape[1], BLOCK_ROWS):
                rows = means[:, start : start + BLOCK_ROWS].double()
                total += float(_ssim_of(rows[0], rows[1], rows[2], rows[3]).sum())
            return total / means[0].numel()

    def _local_means(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> torch.Tensor:
        """Returns the means under the window of x, y, x^2 + y^2 and xy, float32 of shape (4, rows, columns, 3)."""
        # Channels stand last, as they are stored, which is also how the convolution is fastest. Levels are centred on
        # the middle of the range, so that squares lose fewer bits in float32.
        height, width, _ = first.shape
        moments = self._torch.empty((4, height, width, 3), device=self._device)
        x, y, squares, product = moments.unbind(0)
        for plane, picture in ((x, first), (y, second)):
            plane.copy_(self._torch.from_numpy(np.require(picture, requirements=("C", "W")))).sub_(PEAK / 2)
        self._torch.mul(x, x, out=squares).addcmul_(y, y)
        self._torch.mul(x, y, out=product)
        convolve = self._torch.nn.functional.conv2d
        down = convolve(moments.permute(0, 3, 1, 2), self._down, groups=3)
        blurred: torch.Tensor = convolve(down, self._across, groups=3).permute(0, 2, 3, 1)
        return blurred


def _ssim_of(x: torch.Tensor, y: torch.Tensor, squares: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """Returns the similarity at every position; overwrites the local means it is given, whose levels are centred."""
    middle = PEAK / 2
    means_product, means_squares = x * y, x.square().addcmul_(y, y)
    covariance = product.sub_(means_product).mul_(2).add_(C2)
    variances = squares.sub_(means_squares).add_(C2)
    # (x + m)(y + m) = xy + m (x + y) + m^2, and (x + m)^2 + (y + m)^2 likewise.
    shift = x.add_(y).mul_(middle)
    luminance = means_product.add_(shift).mul_(2).add_(2 * middle**2 + C1)
    level = means_squares.add_(shift, alpha=2).add_(2 * middle**2 + C1)
    return luminance.mul_(covariance).div_(level.mul_(variances))


class ErrorFrames(PairedFrames):
    """Mean squared error of every frame pair in squared grey levels; see :func:`squared_error`."""

    id = "video_quality/squared_error_frames"

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return squared_error


class SsimFrames(PairedFrames):
    """SSIM of every frame pair; see :class:`WangSsim`."""

    id = "video_quality/ssim_frames"
    version = 2

    def setup(self, context: ExtractorContext) -> None:
        """Builds the window."""
        self._ssim = WangSsim(context.device)

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return self._ssim


class Psnr(PairedMetric):
    """Peak signal-to-noise ratio of the pooled error against the real reply, in dB, higher is better."""

    default_card = load_card(__package__, "cards/psnr.toml")
    extractor = "video_quality/squared_error_frames"

    def pool(self, values: NDArray[np.float64]) -> float:
        """Returns the ratio of the mean error, in which a few identical pairs weigh no more than others."""
        return psnr(float(values.mean()))


class Ssim(PairedMetric):
    """Structural similarity to the real reply, higher is better."""

    default_card = load_card(__package__, "cards/ssim.toml")
    extractor = "video_quality/ssim_frames"
