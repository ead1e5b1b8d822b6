"""The extractors' side of the contract: how clips become features in one decoding pass.

The engine decodes each clip once and pushes its frames, in time order, to a *session* of every extractor that asked
for the clip. A session keeps what it needs and returns the feature at the end. Three kinds exist: frames of one clip
(:class:`FrameExtractor`), frames of a pair in step (:class:`PairExtractor`), and the whole sound
(:class:`AudioExtractor`). Extractors load models in :meth:`Extractor.setup` and nowhere else, and never aggregate
over samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.features import ExtractorSpec, Feature, Param, number
from vidchatbench.api.judging import Judge

SAMPLE_RATE = 16_000
"""Every audio extractor receives mono sound at this rate, in Hz."""


@dataclass(frozen=True)
class ClipInfo:
    """What an extractor may know of a clip besides its frames.

    Attributes:
        width: Width in pixels, rotation applied.
        height: Height in pixels, rotation applied.
        duration: Duration of the picture in seconds as the container states it; 0 for a still image.
        is_image: True for a still image, which is one frame at time 0.
    """

    width: int
    height: int
    duration: float
    is_image: bool = False


class Frame(Protocol):
    """A decoded picture at a point of an extractor's own time grid.

    Pixels are converted on demand and shared between the extractors that ask for the same form. Returned arrays are
    read-only.
    """

    @property
    def index(self) -> int:
        """Number of the grid point: the frame stands for time ``index / fps``."""
        ...

    @property
    def time(self) -> float:
        """Time of the grid point in seconds from the clip's first picture."""
        ...

    def rgb(self) -> NDArray[np.uint8]:
        """The upright picture, uint8 RGB of shape (height, width, 3), in 0..255."""
        ...

    def cover(self, height: int, width: int) -> NDArray[np.uint8]:
        """The picture scaled to cover ``height`` x ``width`` and centre-cropped: Pillow BICUBIC, antialiased."""
        ...

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> NDArray[np.uint8]:
        """A part of the picture scaled to ``height`` x ``width``: Pillow BICUBIC, antialiased.

        Args:
            box: left, top, right, bottom in widths and heights of the picture, in 0..1.
            height: Height of the result.
            width: Width of the result.
        """
        ...

    def fit(self, longest: int) -> tuple[NDArray[np.uint8], float]:
        """The picture scaled down so that no side exceeds ``longest``, and the factor applied (1.0 if untouched)."""
        ...


@dataclass(frozen=True)
class Audio:
    """The whole sound of a clip.

    Attributes:
        samples: float32 of shape (n,), mono, in -1..1, time 0 at the clip's first picture.
        sample_rate: Always :data:`SAMPLE_RATE`.
    """

    samples: NDArray[np.float32]
    sample_rate: int = SAMPLE_RATE

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


class Timeline(Protocol):
    """A feature that can be read by time while the clip is still being decoded (for instance face tracks)."""

    def horizon(self) -> float:
        """Time in seconds up to which :meth:`at` gives its final answer."""
        ...

    def at(self, time: float) -> object:
        """Returns the feature's value at a time; only called for times up to the horizon."""
        ...

    def result(self) -> Feature:
        """The finished feature; only called at the end of the clip."""
        ...


@dataclass(frozen=True)
class ExtractorContext:
    """What the harness hands an extractor at set-up.

    Attributes:
        device: A torch device string, ``"cpu"`` or ``"cuda:0"``.
        batch_size: Most frames to put through a model at once; it must not change the numbers.
        weights: Verified file of each weight that the extractor names.
        judge: The judge that an extractor of samples names (``judge_name``); ``None`` if it names none.
    """

    device: str
    batch_size: int
    weights: Mapping[str, Path]
    judge: Judge | None = None


class Extractor(ABC):
    """A model or algorithm that turns a clip into a feature.

    Class attributes:
        id: ``family/name``.
        version: Raised whenever the same parameters could give another feature.
        defaults: Every parameter with its default; others are refused.
        packages: Import names of optional packages that :meth:`setup` needs.
    """

    id: ClassVar[str]
    version: ClassVar[int] = 1
    defaults: ClassVar[Mapping[str, Param]] = {}
    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **params: Param) -> None:
        unknown = sorted(set(params) - set(self.defaults))
        if unknown:
            raise ValueError(f"extractor {self.id!r} has no parameter {', '.join(unknown)}")
        self.params: Mapping[str, Param] = {**self.defaults, **params}

    def number(self, name: str) -> float:
        """Returns a numeric parameter.

        Raises:
            TypeError: If it is not a number.
        """
        return number(self.params, name)

    @property
    def spec(self) -> ExtractorSpec:
        """The complete specification, defaults included."""
        return ExtractorSpec.of(self.id, **self.params)

    @property
    def weights(self) -> tuple[str, ...]:
        """Names, in the weights table, of the files that :meth:`setup` needs."""
        return ()

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Extractors of the same clip whose :class:`Timeline` or feature this one reads, by local name.

        For a :class:`PairExtractor`: extractors of each of its two clips.
        """
        return {}

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        """Extractors whose features are whole before the first frame comes, by local name; none by default.

        A guide says how a clip is to be looked at, as a window does. It is a feature of the clip of the role that
        :attr:`Need.guide` names, where it :meth:`serves`, and of the clip itself where not. It lies in ``upstream``
        beside what :attr:`requires` names, so names must differ; it is read by ``result()``, or is the feature itself
        in an :class:`AudioExtractor`.
        """
        return {}

    def serves(self, clip: ClipInfo, other: ClipInfo) -> bool:
        """Whether this extractor's feature of ``clip`` can guide how ``other`` is looked at; asked of guides only."""
        del clip, other
        return True

    def lack(self) -> tuple[str, str] | None:
        """Returns what this extractor lacks besides packages and weights, and what would bring it; usually nothing."""
        return None

    def setup(self, context: ExtractorContext) -> None:
        """Loads models; called once per process, before the first clip. Heavy imports belong here."""

    def release(self) -> None:
        """Lets go of models; called when the process has no more clips for this extractor."""


class Session(ABC):
    """The state of one extractor on one clip."""

    @property
    def done(self) -> bool:
        """True once the session wants no more frames; decoding stops early when all sessions are done."""
        return False

    @abstractmethod
    def finish(self) -> Feature:
        """Returns the feature after the last frame.

        Raises:
            MediaError: If the clip cannot give this feature and that is the clip's fault.
        """


class FrameSession(Session):
    """Receives the frames of one clip, in time order, on the extractor's own grid."""

    @abstractmethod
    def push(self, frame: Frame) -> None:
        """Takes the next frame."""


class TimelineSession(FrameSession):
    """A frame session whose feature others read while the clip is being decoded; it is a :class:`Timeline`."""

    @abstractmethod
    def horizon(self) -> float:
        """Time in seconds up to which :meth:`at` gives its final answer."""

    @abstractmethod
    def at(self, time: float) -> object:
        """Returns the feature's value at a time; only called for times up to the horizon."""

    @abstractmethod
    def result(self) -> Feature:
        """The finished feature; only called after :meth:`finish`."""


class FrameExtractor(Extractor):
    """An extractor that reads pictures of one clip.

    Frames come on the grid ``k / fps`` from time 0; each grid point gets the nearest decoded picture, the earlier
    one where two are equally near. A clip of another rate is thus resampled by timestamp, never by counting.
    """

    @property
    @abstractmethod
    def fps(self) -> float:
        """Grid rate in frames per second."""

    @abstractmethod
    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip; ``upstream`` has one entry per name in :attr:`requires`.

        The engine pushes a frame only once the horizon of every upstream timeline has passed it.
        """

    def replay(self, feature: Feature) -> Timeline:
        """Rebuilds the timeline from a stored feature, for extractors that others require.

        Raises:
            NotImplementedError: If no extractor is meant to require this one.
        """
        raise NotImplementedError(f"extractor {self.id!r} offers no timeline")


class PairSession(Session):
    """Receives the frames of two clips in step."""

    @abstractmethod
    def push(self, first: Frame, second: Frame) -> None:
        """Takes the next pair of frames, both of the same grid point."""


class PairExtractor(Extractor):
    """An extractor that reads two clips in step on the grid ``k / fps``, as far as both of them go."""

    @property
    @abstractmethod
    def fps(self) -> float:
        """Grid rate in frames per second."""

    @abstractmethod
    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]
    ) -> PairSession:
        """Starts a pair of clips; ``upstream`` has, for either clip, one entry per name in :attr:`requires`.

        The engine pushes a pair of frames only once the horizons of the upstream timelines of both clips have passed
        it. Where both clips are the same, both mappings hold the same timelines.
        """


class AudioExtractor(Extractor):
    """An extractor that reads the whole sound of one clip."""

    @abstractmethod
    def extract(self, audio: Audio, upstream: Mapping[str, Feature]) -> Feature:
        """Returns the feature of one clip; ``upstream`` has one entry per name in :attr:`requires`.

        Raises:
            MediaError: If the sound cannot give this feature and that is the clip's fault.
        """
