"""A metric out of a function over frames: extractor, feature and metric in one call.

:func:`frame_metric` writes the two classes of the full form, an extractor and a :class:`~vidchatbench.api.Metric`, and
nothing else: the engine plans, caches and blames as for any other. Models, sound, face tracks and everything that is
not a mean over frames need the full form.

What :func:`frame_metric` computes from a function's values is frozen, as every protocol is: stored features and
published protocol ids rest on it. Another computation is another argument with today's as its default.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from numbers import Real
from types import TracebackType
from typing import ClassVar, SupportsFloat, cast

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.extractors import (
    ClipInfo,
    Extractor,
    Frame,
    FrameExtractor,
    FrameSession,
    PairExtractor,
    PairSession,
    Timeline,
)
from vidchatbench.api.features import ExtractorSpec, Feature, Need, Param, as_array
from vidchatbench.api.metrics import Metric
from vidchatbench.api.samples import Role, Sample
from vidchatbench.api.scores import Score
from vidchatbench.api.windows import WINDOW_TEXT, Window, window_details, window_spec
from vidchatbench.errors import MediaError

FrameFunction = Callable[..., SupportsFloat | None]
"""``f(picture, **parameters)`` or ``f(candidate, reference, **parameters)``; see :func:`frame_metric`."""

MIN_SECONDS = 1.0
"""Least length that is scored unless a metric says otherwise; the same as of the built-in paired metrics."""

_ROLES = {(Role.CANDIDATE,): 1, (Role.CANDIDATE, Role.REFERENCE): 2}
_RESERVED = ("fps", "size")
_FIT_FOR_ID = re.compile(r"[a-z0-9_.-]+")
_PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_]*")


def frame_metric(
    function: FrameFunction,
    card: MetricCard,
    *,
    fps: float,
    size: tuple[int, int] | None = None,
    anchored: bool = False,
    min_seconds: float = MIN_SECONDS,
) -> type[FrameMetric]:
    """Makes a metric of a function over frames.

    The card's roles choose the form. With ``(Role.CANDIDATE,)`` the function takes one picture, and the score is the
    mean over the candidate's frames. With ``(Role.CANDIDATE, Role.REFERENCE)`` it takes the pictures of both clips at
    the same time, as far as both go; the part of the reference that the candidate does not show is charged the card's
    ``worst``, by its share of the reference's frames.

    The function gets read-only uint8 RGB of shape (height, width, 3) and returns a finite number, or ``None`` where the
    frame has nothing to measure. What it raises is an error on our side, unless it is a ``MediaError``. Its keyword
    arguments with defaults and ``fps`` are the metric's parameters: they enter the key of the stored feature, and a
    value other than the default is appended to the protocol id, as in ``family/protocol-v1+fps-2``.

    Both classes need a name in their module, so that other processes can import them, and go by the card's id::

        Exposure = frame_metric(exposure, card, fps=5)
        ExposureFrames = Exposure.extractor

        Plugin(metrics={"my/exposure": "module:Exposure"}, extractors={"my/exposure": "module:ExposureFrames"})

    Args:
        function: The function.
        card: The card. Its ``version`` is also the extractor's: raise it with every change of the function that could
            give another value. The text of the protocol is completed with what is frozen here.
        fps: Frames per second that are looked at.
        size: Height and width to which pictures are scaled, to cover them, and centre-cropped; by default each clip's
            own. Pairs need it, because outputs come in any size.
        anchored: Look through a window of the size's shape that is anchored to the responder's face instead of the
            centre, as the built-in metrics of frames do; see :class:`vidchatbench.api.Window`. It needs a size, and the
            card may then name the weights of the face detector.
        min_seconds: A shorter clip, or common part of a pair, is an invalid output.

    Raises:
        ValueError: If the card is of another kind of metric, or the function does not fit it.
    """
    _check_card(card, anchored=anchored)
    paired = len(card.roles) > 1
    _check_geometry(card.id, size, min_seconds, paired=paired, anchored=anchored)
    defaults = {"fps": _checked(card.id, "fps", fps, fps), **_parameters(function, card)}
    recipe = _Recipe(function, card, size, min_seconds, anchored)
    shared = {"__module__": function.__module__, "__doc__": function.__doc__, "_recipe": recipe}
    values = type(
        f"{function.__name__}_values",
        (_PairValues if paired else _FrameValues,),
        {**shared, "id": card.id, "version": card.version, "defaults": {**defaults, "size": recipe.size_name}},
    )
    made = type(
        function.__name__,
        (_PairedFrameMetric if paired else FrameMetric,),
        {**shared, "default_card": card, "defaults": defaults, "extractor": values},
    )
    return cast("type[FrameMetric]", made)


@dataclass(frozen=True)
class _Recipe:
    function: FrameFunction
    card: MetricCard
    size: tuple[int, int] | None
    min_seconds: float
    anchored: bool

    @property
    def size_name(self) -> str:
        if self.size is None:
            return "own"
        return f"{'anchored' if self.anchored else ''}{self.size[0]}x{self.size[1]}"

    @property
    def guides(self) -> dict[str, ExtractorSpec]:
        return {"window": window_spec(*self.size)} if self.anchored and self.size is not None else {}

    def window(self, upstream: Mapping[str, Timeline]) -> Window | None:
        return Window.of(upstream["window"]) if self.anchored else None

    def picture(self, frame: Frame, window: Window | None) -> NDArray[np.uint8]:
        if self.size is None:
            return frame.rgb()
        return frame.cover(*self.size) if window is None else frame.window(window.box, *self.size)


class FrameMetric(Metric):
    """The mean of a function over the frames of the candidate; made by :func:`frame_metric`.

    Class attributes:
        extractor: The extractor that calls the function, to be registered under the same id.
    """

    extractor: ClassVar[type[Extractor]]
    _recipe: ClassVar[_Recipe]

    def __init__(self, **params: Param) -> None:
        super().__init__(**_normalized(self.default_card.id, self.defaults, params))

    def make_card(self) -> MetricCard:
        """Returns the card, its protocol text completed; another value of a parameter is another protocol.

        Raises:
            ValueError: If a text cannot be part of a protocol id.
        """
        card = self.default_card
        text = f"{card.protocol_text.rstrip()}\n{self._frozen()}\n"
        changed = {name: value for name, value in self.params.items() if value != self.defaults[name]}
        for name, value in changed.items():
            if not _FIT_FOR_ID.fullmatch(_text(value)):
                raise ValueError(f"{card.id}: {name} {value!r} must be of a-z, 0-9, '_', '.' and '-' for a protocol id")
        if not changed:
            return card.model_copy(update={"protocol_text": text})
        suffix = "".join(f"+{name}-{_text(value)}" for name, value in changed.items())
        return card.vary(protocol=card.protocol + suffix, protocol_text=text)

    def needs(self) -> tuple[Need, ...]:
        """The function's values."""
        spec, guide = ExtractorSpec.of(self.extractor.id, **self.params), None
        if self._recipe.anchored:
            guide = Role.REFERENCE
        return (Need("frames", spec, self.default_card.roles, guide=guide),)

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages the values over the frames that have one."""
        del sample
        values = features["frames"]
        details = self._details(values)
        if details["seconds"] < self._recipe.min_seconds:
            return Score.invalid(f"the clip has only {self._seconds(details['seconds'])}", **details)
        if len(values["value"]) == 0:
            return Score.invalid(f"none of {details['frames']} frames has anything to measure", **details)
        return Score.ok(float(values["value"].mean()), **details)

    def _details(self, values: Feature) -> dict[str, float]:
        frames = int(values.number("frames"))
        counts = {"seconds": frames / self.number("fps"), "frames": frames, "measured": len(values["value"])}
        return {**counts, **window_details(values)} if self._recipe.anchored else counts

    def _seconds(self, seconds: float, where: str = "") -> str:
        return f"{seconds:.2f} s{where}; {self._recipe.min_seconds:g} s is needed"

    def _frozen(self) -> str:
        """Returns what :func:`frame_metric` freezes, in words."""
        return (
            f"{_text(self.params['fps'])} frames a second from t = 0, nearest frame by timestamp, {self._pictures()}; "
            "mean over the frames that have a value. No such frame, or a clip of under "
            f"{self._recipe.min_seconds:g} s, is an invalid output.{self._parameters()}"
        )

    def _pictures(self) -> str:
        if self._recipe.size is None:
            return "uint8 RGB in the clip's own size"
        height, width = self._recipe.size
        if self._recipe.anchored:
            return (
                f"uint8 RGB, the window scaled to {height} high x {width} wide (Pillow BICUBIC, antialiased; "
                f"{WINDOW_TEXT.format(height=height, width=width)})"
            )
        return (
            f"uint8 RGB scaled to cover {height} high x {width} wide (Pillow BICUBIC, antialiased) and centre-cropped"
        )

    def _parameters(self) -> str:
        own = [f"{name} = {_text(value)}" for name, value in self.params.items() if name != "fps"]
        return f" Parameters: {', '.join(own)}." if own else ""


class _PairedFrameMetric(FrameMetric):
    def needs(self) -> tuple[Need, ...]:
        """The function's values, and how many frames the reference has on the same time line."""
        count = ExtractorSpec.of(FrameCount.id, fps=self.params["fps"])
        return (*super().needs(), Need("reference", count, (Role.REFERENCE,)))

    def score(self, sample: Sample, features: Mapping[str, Feature]) -> Score:
        """Averages over the common part and charges the rest of the reference."""
        del sample
        values, worst = features["frames"], cast("float", self.default_card.worst)
        frames, reference_frames = int(values.number("frames")), int(features["reference"].number("frames"))
        seconds, reference_seconds = frames / self.number("fps"), reference_frames / self.number("fps")
        details = {**self._details(values), "reference_seconds": reference_seconds}
        if reference_seconds < self._recipe.min_seconds:
            return Score.not_applicable(f"the reference has only {self._seconds(reference_seconds)}", **details)
        if seconds < self._recipe.min_seconds:
            return Score.invalid(f"only {self._seconds(seconds, ' in common with the reference')}", **details)
        if len(values["value"]) == 0:
            return Score.invalid(f"none of {frames} frame pairs has anything to measure", **details)
        common = float(values["value"].mean())
        not_shown = (reference_frames - frames) / reference_frames
        return Score.ok(common + not_shown * (worst - common), **details, common=common)

    def _frozen(self) -> str:
        return (
            f"Both clips from t = 0, {_text(self.params['fps'])} frame pairs a second, nearest frame by timestamp, "
            f"{self._pictures()}; mean over the pairs that have a value, as far as both clips go. The part of the "
            f"reference that the candidate does not show is charged {_text(self.default_card.worst)}, by its share of "
            f"the reference's frames. No such pair, or under {self._recipe.min_seconds:g} s in common, is an invalid "
            f"output; a reference of under {self._recipe.min_seconds:g} s is not applicable.{self._parameters()}"
        )


class _Values:
    """The values of one clip, or of one pair, so far."""

    def __init__(self, recipe: _Recipe, params: Mapping[str, Param], *windows: Window | None) -> None:
        self._recipe = recipe
        self._windows = windows
        self._params = {name: value for name, value in params.items() if name not in _RESERVED}
        self._frames = 0
        self._values: list[float] = []

    def take(self, *frames: Frame) -> None:
        self._frames += 1
        seen = zip(frames, self._windows, strict=True)
        pictures = [self._recipe.picture(frame, window) for frame, window in seen]
        where = f"{self._recipe.card.id}, frame at {frames[0].time:.2f} s"
        with _Named(where):
            value = self._recipe.function(*pictures, **self._params)
        if value is None:
            return
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{where}: the function must return a finite number or None, not {value!r}")
        self._values.append(float(value))

    def feature(self) -> Feature:
        values = {"value": as_array(self._values, "float64")}
        windows = [window for window in self._windows if window is not None]
        if not windows:
            return Feature(values, {"frames": self._frames})
        # Of a pair the window of the second clip, the reference, is told.
        anchored = all(window.anchored for window in windows)
        return Feature(values, {"frames": self._frames, **windows[-1].meta(), "anchored": anchored})


class _Named(AbstractContextManager[None]):
    """Says which metric and which frame an exception of the author's function belongs to."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A MediaError keeps its meaning; reasons of an OSError are published without the file's place.
        if isinstance(error, Exception) and not isinstance(error, (MediaError, OSError)):
            raise RuntimeError(f"{self._where}: {type(error).__name__}: {error}") from error


class _FrameValues(FrameExtractor):
    _recipe: ClassVar[_Recipe]

    @property
    def fps(self) -> float:
        return self.number("fps")

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        return self._recipe.guides

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _FrameSession:
        del clip
        params = _normalized(self.id, self.defaults, self.params)
        return _FrameSession(_Values(self._recipe, params, self._recipe.window(upstream)))


class _FrameSession(FrameSession):
    def __init__(self, values: _Values) -> None:
        self._values = values

    def push(self, frame: Frame) -> None:
        self._values.take(frame)

    def finish(self) -> Feature:
        return self._values.feature()


class _PairValues(PairExtractor):
    _recipe: ClassVar[_Recipe]

    @property
    def fps(self) -> float:
        return self.number("fps")

    @property
    def guides(self) -> Mapping[str, ExtractorSpec]:
        return self._recipe.guides

    def begin(
        self, first: ClipInfo, second: ClipInfo, upstream: tuple[Mapping[str, Timeline], Mapping[str, Timeline]]
    ) -> _PairSession:
        del first, second
        params, windows = _normalized(self.id, self.defaults, self.params), map(self._recipe.window, upstream)
        return _PairSession(_Values(self._recipe, params, *windows))


class _PairSession(PairSession):
    def __init__(self, values: _Values) -> None:
        self._values = values

    def push(self, first: Frame, second: Frame) -> None:
        self._values.take(first, second)

    def finish(self) -> Feature:
        return self._values.feature()


class FrameCount(FrameExtractor):
    """How many frames a clip has on a grid; announced lengths are not trusted. Every catalogue has it.

    Feature:
        meta: ``frames``, the number of grid points ``k / fps`` that the clip reaches.
    """

    id = "frames/count"
    defaults: ClassVar[Mapping[str, Param]] = {"fps": 25}

    @property
    def fps(self) -> float:
        """Grid points per second."""
        return self.number("fps")

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _CountSession:
        """Starts a clip."""
        del clip, upstream
        return _CountSession()


class _CountSession(FrameSession):
    def __init__(self) -> None:
        self._frames = 0

    def push(self, frame: Frame) -> None:
        self._frames = frame.index + 1

    def finish(self) -> Feature:
        return Feature({}, {"frames": self._frames})


def _check_card(card: MetricCard, *, anchored: bool) -> None:
    if card.aggregation != "mean" or card.roles not in _ROLES:
        raise ValueError(
            f"{card.id}: a frame metric has the aggregation 'mean' and the roles (candidate,) or "
            f"(candidate, reference), not {card.aggregation!r} and ({', '.join(role.value for role in card.roles)})"
        )
    if card.weights and not anchored:
        raise ValueError(f"{card.id}: a metric with weights needs an extractor of its own, which loads them in setup")


def _check_geometry(
    name: str, size: tuple[int, int] | None, min_seconds: float, *, paired: bool, anchored: bool
) -> None:
    if size is None and paired:
        raise ValueError(f"{name}: frame pairs need size=(height, width), for outputs come in any size")
    if size is None and anchored:
        raise ValueError(f"{name}: a window that is anchored to the face needs a size")
    if size is not None and min(size) < 1:
        raise ValueError(f"{name}: size must be (height, width) in pixels, not {size!r}")
    if not (math.isfinite(min_seconds) and min_seconds >= 0):
        raise ValueError(f"{name}: min_seconds must be 0 or more, not {min_seconds!r}")


def _parameters(function: FrameFunction, card: MetricCard) -> dict[str, Param]:
    """Returns the keyword parameters of a function with their defaults."""
    if not inspect.isfunction(function):
        raise ValueError(f"{card.id}: a frame metric is made of a function, not of {function!r}")
    given = inspect.signature(function).parameters.values()
    frames = [p for p in given if p.default is p.empty]
    positional = all(p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} for p in frames)
    keywords = [p for p in given if p.default is not p.empty]
    fit = all(
        p.kind is not p.POSITIONAL_ONLY
        and isinstance(p.default, (bool, int, float, str))
        and p.name not in _RESERVED
        and _PARAMETER_NAME.fullmatch(p.name)
        for p in keywords
    )
    if not (positional and fit and len(frames) == _ROLES[card.roles]):
        raise ValueError(
            f"{card.id}: {function.__name__}{inspect.signature(function)} does not fit: it must take "
            f"{', '.join(role.value for role in card.roles)} (a picture each), then only keyword arguments with a "
            f"number, a truth value or a text as default, in lower case and not named {' or '.join(_RESERVED)}"
        )
    return {p.name: _checked(card.id, p.name, p.default, p.default) for p in keywords}


def _normalized(name: str, defaults: Mapping[str, Param], params: Mapping[str, Param]) -> dict[str, Param]:
    """Returns the parameters in the type of their defaults; unknown ones are left to whoever refuses them."""
    return {k: _checked(name, k, defaults[k], v) if k in defaults else v for k, v in params.items()}


def _checked(name: str, parameter: str, default: Param, value: Param) -> Param:
    wanted: type | tuple[type, ...] = (int, float) if _is_number(default) else type(default)
    finite = not isinstance(value, float) or math.isfinite(value)
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool) or not finite:
        kind = "a finite number" if _is_number(default) else f"of type {type(default).__name__}"
        raise ValueError(f"{name}: {parameter} must be {kind}, not {value!r}")
    if parameter == "fps" and isinstance(value, (int, float)) and value <= 0:
        raise ValueError(f"{name}: fps must be more than 0, not {value!r}")
    # A spec turns 5.0 into 5; the function gets the type that its author wrote.
    return float(value) if isinstance(default, float) and isinstance(value, int) else value


def _is_number(value: Param) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Param) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
