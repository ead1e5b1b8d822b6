"""``video_quality/lpips_frames``: perceptual distance of candidate and reference, frame by frame."""

from __future__ import annotations

from vidchatbench.api import ExtractorContext
from vidchatbench_metrics.video_quality.paired_frames import Measure, _PairedFrames
from vidchatbench_metrics.video_quality.perceptual_network import LINEAR_WEIGHT, NETWORKS, LpipsDistance


class LpipsFrames(_PairedFrames):
    """LPIPS of every frame pair, both scaled to cover 480 x 768 and centre-cropped.

    Parameters:
        fps: Frame pairs per second.
        network: ``alex``, or ``sha256:<64 hex>`` for any state dict of torchvision's ``alexnet``.

    Feature:
        value: float64 (n,), one per grid point ``k / fps``.
        meta: ``fps``, ``seconds`` (the common part that was compared).
    """

    id = "video_quality/lpips_frames"
    defaults = {"fps": 25, "network": "alex"}
    packages = ("lpips",)

    @property
    def weights(self) -> tuple[str, ...]:
        """The backbone and the linear layers."""
        network = str(self.params["network"])
        return (NETWORKS.get(network, network), LINEAR_WEIGHT)

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        backbone, linear = (context.weights[name] for name in self.weights)
        self._distance = LpipsDistance(backbone, linear, context.device)

    def measure(self) -> Measure:
        """Returns the function that compares two pictures."""
        return self._distance
