"""Metric parameters that a run chooses: ``--set METRIC.PARAM=VALUE``, ``--asr SIZE``, and ``evaluate(params=...)``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vidchatbench.api.features import Param
from vidchatbench.core.suggest import did_you_mean
from vidchatbench.errors import UsageError
from vidchatbench.plugins.catalogue import Catalogue

MetricParams = Mapping[str, Mapping[str, Param]]
"""Parameters by metric id."""

TRANSCRIPTS = "transcripts"
"""The parameter by which metrics name where their transcripts come from."""

_TRUTH = {"true": True, "false": False}


def read_settings(texts: Sequence[str]) -> dict[str, dict[str, Param]]:
    """Returns the parameters in texts of the form ``family/name.parameter=value``.

    Raises:
        UsageError: If a text has another form, or a parameter is given twice.
    """
    params: dict[str, dict[str, Param]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        metric, dot, name = place.strip().rpartition(".")
        if not (equals and dot and metric and name):
            raise UsageError(
                f"--set takes METRIC.PARAM=VALUE, such as dialogue/wer.transcripts=whisper-base, not {text!r}"
            )
        if name in params.setdefault(metric, {}):
            raise UsageError(f"--set gives {metric}.{name} twice")
        params[metric][name] = value.strip()
    return params


def check_params(catalogue: Catalogue, chosen: Collection[str], params: MetricParams) -> dict[str, dict[str, Param]]:
    """Returns parameters in the types that their metrics have them in.

    Args:
        catalogue: Where metrics come from.
        chosen: Ids of the metrics that run.
        params: Parameters by metric id; a text stands for the number or truth value that it spells.

    Raises:
        UsageError: If a metric is unknown or not chosen, has no such parameter, or a value is of another type.
    """
    return {metric: _checked(catalogue, chosen, metric, values) for metric, values in params.items()}


def asr_params(catalogue: Catalogue, chosen: Collection[str], size: str) -> dict[str, dict[str, Param]]:
    """Returns the parameters that let every chosen metric with transcripts have them from one Whisper.

    Raises:
        UsageError: If no chosen metric has transcripts.
    """
    params: dict[str, dict[str, Param]] = {
        name: {TRANSCRIPTS: f"whisper-{size}"} for name in chosen if TRANSCRIPTS in catalogue.metric(name).defaults
    }
    if not params:
        raise UsageError("--asr is of use to dialogue metrics only, and none of them is among those chosen")
    return params


def merged(*layers: MetricParams) -> dict[str, dict[str, Param]]:
    """Returns parameters by metric id; a later layer goes before an earlier one."""
    names = dict.fromkeys(name for layer in layers for name in layer)
    return {name: {key: value for layer in layers for key, value in layer.get(name, {}).items()} for name in names}


def _checked(
    catalogue: Catalogue, chosen: Collection[str], metric: str, values: Mapping[str, Param]
) -> dict[str, Param]:
    defaults = catalogue.metric(metric).defaults
    if metric not in chosen:
        raise UsageError(f"parameters of {metric!r} are given, which is not among the metrics chosen")
    for name in values:
        if name not in defaults:
            has = ", ".join(sorted(defaults)) or "none"
            raise UsageError(
                f"metric {metric!r} has no parameter {name!r}{did_you_mean(name, defaults)} (it has: {has})"
            )
    return {name: _typed(f"{metric}.{name}", value, defaults[name]) for name, value in values.items()}


def _typed(place: str, value: Param, default: Param) -> Param:
    text = value.strip() if isinstance(value, str) else None
    if isinstance(default, bool):
        result = _TRUTH.get(text.lower()) if text is not None else value
        if isinstance(result, bool):
            return result
        raise UsageError(f"{place} must be true or false, not {value!r}")
    if isinstance(default, (int, float)):
        return _number(place, value if text is None else text)
    if default is None and text is not None:
        return None if text.lower() == "none" else text
    if isinstance(default, str) and text is None:
        raise UsageError(f"{place} must be text, not {value!r}")
    return value


def _number(place: str, value: Param) -> int | float:
    try:
        if isinstance(value, bool) or value is None:
            raise ValueError
        result = float(value)
    except ValueError:
        raise UsageError(f"{place} must be a number, not {value!r}") from None
    if result - result != 0:  # infinite or no number
        raise UsageError(f"{place} must be finite, not {value!r}")
    return int(result) if result.is_integer() else result
