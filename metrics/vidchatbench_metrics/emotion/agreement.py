"""``emotion/agreement`` and ``/distribution_agreement``: does the face show the real reply's emotions?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import Array, ExtractorSpec, Feature, Metric, MetricCard, Need, Role, Sample, Score, load_card
from vidchatbench_metrics.common.networks import Networks
from vidchatbench_metrics.emotion.common_time import Compared, as_wholes, in_step
from vidchatbench_metrics.emotion.networks import FER, FER_CLASSES, HSEMOTION, HSEMOTION_CLASSES, varied_card


def jensen_shannon_distance(first: Array, second: Array) -> NDArray[np.float64]:
    """Root of the Jensen-Shannon divergence to base 2: a metric in 0..1, 0 for equal distributions.

    Endres and Schindelin 2003, "A new metric for probability distributions".

    Args:
        first: Of shape (n, k), each row sums to 1.
        second: Of shape (n, k), likewise.

    Returns:
        float64 of shape (n,).
    """
    one, two = first.astype(np.float64), second.astype(np.float64)
    middle = (one + two) / 2
    divergence = (_relative_entropy(one, middle) + _relative_entropy(two, middle)) / 2
    # Rounding can carry the sum past either end by the last bit.
    distance: NDArray[np.float64] = np.sqrt(np.clip(divergence, 0.0, 1.0))
    return distance


def _relative_entropy(values: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    there = values > 0
    ratio = np.divide(values, base, out=np.ones_like(values), where=there)
    entropy: NDArray[np.float64] = (values * np.log2(ratio)).sum(axis=1)
    return entropy


class _Emotions(Metric):
    """The base of the agreements.

    Parameters:
        network: The default one, another short name, or ``sha256:<64 hex>`` for any of its interface in the weights
            mirror.
        fps: Frames per second that are read.
    """

    networks: ClassVar[Networks]
    extractor: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]

    def make_card(self) -> MetricCard:
        """Returns the card; another network or frame rate is another protocol."""
        return varied_card(self.networks, self.default_card, self.params, self.number("fps"))

    def needs(self) -> tuple[Need, ...]:
        """Emotions of candidate and reference."""
        spec = ExtractorSpec.of(self.extractor, network=self.params["network"], fps=self.params["fps"])
        return (Need("candidate", spec, (Role.CANDIDATE,)), Need("reference", spec, (Role.REFERENCE,)))

    def _dominant(self, features: Mapping[str, Feature], compared: Compared) -> dict[str, float | str]:
        means = (
            features["candidate"]["probability"][compared.candidate].mean(axis=0, dtype=np.float64),
            features["reference"]["probability"][compared.reference].mean(axis=0, dtype=np.float64),
        )
        ours, theirs = (self.classes[int(mean.argmax())] for mean in means)
        return {**compared.details, "emotion": ours, "reference_emotion": theirs}


class _InStep(_Emotions):
    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the grid points at which both sides show the face."""
        del sample
        compared = in_step(features["candidate"], features["reference"])
        if isinstance(compared, Score):
            return compared
        ours = features["candidate"]["probability"][compared.candidate]
        theirs = features["reference"]["probability"][compared.reference]
        distance = jensen_shannon_distance(ours, theirs)
        same = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
        return Score.ok(1.0 - float(distance.mean()), same_emotion=same, **self._dominant(features, compared))


class _Wholes(_Emotions):
    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Compares the two sides' means over all frames that show the face."""
        del sample
        compared = as_wholes(features["candidate"], features["reference"])
        if isinstance(compared, Score):
            return compared
        ours = features["candidate"]["probability"].mean(axis=0, dtype=np.float64)
        theirs = features["reference"]["probability"].mean(axis=0, dtype=np.float64)
        distance = float(jensen_shannon_distance(ours[None], theirs[None])[0])
        return Score.ok(1.0 - distance, **self._dominant(features, compared))


class Agreement(_InStep):
    """One minus the mean distance of the emotions at the same time, 8 classes, in 0..1, higher is better."""

    default_card = load_card(__package__, "cards/agreement.toml")
    defaults = {"network": HSEMOTION.default, "fps": 5}
    networks = HSEMOTION
    extractor = "emotion/hsemotion_frames"
    classes = HSEMOTION_CLASSES


class DistributionAgreement(_Wholes):
    """One minus the distance of the clips' mean emotions, 8 classes, in 0..1, higher is better."""

    default_card = load_card(__package__, "cards/distribution_agreement.toml")
    defaults = {"network": HSEMOTION.default, "fps": 5}
    networks = HSEMOTION
    extractor = "emotion/hsemotion_frames"
    classes = HSEMOTION_CLASSES


class LightAgreement(_InStep):
    """One minus the mean distance of the emotions at the same time, 7 classes, in 0..1, higher is better."""

    default_card = load_card(__package__, "cards/agreement_fer.toml")
    defaults = {"network": FER.default, "fps": 5}
    networks = FER
    extractor = "emotion/fer_frames"
    classes = FER_CLASSES


class LightDistributionAgreement(_Wholes):
    """One minus the distance of the clips' mean emotions, 7 classes, in 0..1, higher is better."""

    default_card = load_card(__package__, "cards/distribution_agreement_fer.toml")
    defaults = {"network": FER.default, "fps": 5}
    networks = FER
    extractor = "emotion/fer_frames"
    classes = FER_CLASSES
