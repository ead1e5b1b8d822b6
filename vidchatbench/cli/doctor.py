"""``vidchatbench doctor``: what works on this computer and what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from vidchatbench.cli.exit_codes import INPUT
from vidchatbench.cli.tables import Column, print_table
from vidchatbench.errors import UsageError

_PACKAGES = ("av", "numpy", "pillow", "pyarrow", "onnxruntime", "torch", "torchvision", "facenet-pytorch")
_EXTRAS = {
    "yt_dlp": "data",
    "faster_whisper": "asr",
    "pyiqa": "iqa",
    "ray": "ray",
    "vl_convert": "report",
    "sigstore": "sign",
}
_COLUMNS = (Column(""), Column("what"), Column("result", wraps=True))
_MAX_NAMED = 4
_MIN_FREE_BYTES = 2 * 10**9


class Finding(NamedTuple):
    """One thing that was looked at."""

    topic: str
    ok: bool
    required: bool
    text: str


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings on stdout.")] = False,
) -> None:
    """Looks at packages, device, cache, weights and plugins; exits with 1 if something required is missing.

    Example: vidchatbench doctor
    """
    from vidchatbench.cli.output import print_json, stderr_console

    findings = [*_packages(), _device(), *_cache(), _test_set(), *_metrics()]
    if as_json:
        print_json({"findings": [finding._asdict() for finding in findings]})
    else:
        rows = [(_mark(finding), finding.topic, finding.text) for finding in findings]
        print_table(stderr_console(), "vidchatbench doctor", _COLUMNS, rows)
    if any(finding.required and not finding.ok for finding in findings):
        raise typer.Exit(INPUT)


def _mark(finding: Finding) -> str:
    if finding.ok:
        return "ok"
    return "missing" if finding.required else "note"


def _packages() -> list[Finding]:
    findings = [Finding("python", True, True, platform.python_version())]
    for name in _PACKAGES:
        try:
            findings.append(Finding(name, True, True, version(name)))
        except PackageNotFoundError:
            findings.append(Finding(name, False, True, f"not installed; to fix: pip install {name}"))
    for name, extra in _EXTRAS.items():
        here = importlib.util.find_spec(name) is not None
        text = "installed" if here else f"not installed (optional); to fix: pip install 'vidchatbench[{extra}]'"
        findings.append(Finding(name, here, False, text))
    return findings


def _device() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("device", False, True, "torch is not installed")
    import torch  # only asked for its devices

    cores = os.cpu_count() or 1
    if not torch.cuda.is_available():
        return Finding("device", True, False, f"cpu, {cores} cores; no CUDA device")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("device", True, False, f"cpu, {cores} cores; cuda: {', '.join(names)}")


def _cache() -> list[Finding]:
    from vidchatbench.core import paths

    root = paths.cache_root()
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    free = shutil.disk_usage(existing).free
    fix = "" if writable else f"; not writable, set {paths.CACHE_VARIABLE} to a folder that is"
    low = "" if free >= _MIN_FREE_BYTES else "; little space left"
    mirror = paths.mirror_root()
    text = "not set (optional)" if mirror is None else str(mirror)
    text += "" if mirror is None or mirror.is_dir() else ", which is not a folder"
    return [
        Finding("cache", writable and free >= _MIN_FREE_BYTES, False, f"{root}, {free / 1e9:.0f} GB free{fix}{low}"),
        Finding("weights mirror", mirror is None or Path(mirror).is_dir(), True, f"{paths.MIRROR_VARIABLE}: {text}"),
    ]


def _metrics() -> list[Finding]:
    from vidchatbench.engine.suites import choose_metrics
    from vidchatbench.plugins.availability import Availability
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.weights.resolver import WeightResolver

    catalogue = load_catalogue()
    findings = [Finding(f"plugin {b.name}", False, False, f"broken: {b.reason}") for b in catalogue.broken]
    try:
        resolver = WeightResolver(catalogue.weights)
    except UsageError:
        return findings  # the weights mirror is no folder, as a finding of its own says
    for name in sorted(catalogue.suites):
        try:
            metrics = choose_metrics(catalogue, name, None).metrics
        except UsageError as error:
            findings.append(Finding(f"suite {name}", False, False, str(error)))
            continue
        groups: dict[tuple[str, str], list[str]] = {}
        availability = Availability.of(metrics, catalogue, resolver)
        for metric, missing in availability.missing.items():
            groups.setdefault((missing.reason, missing.fix), []).append(metric.card.id)
        lines = [f"{len(availability.runnable)} of {len(metrics)} metrics can run"]
        lines += [f"{_some(ids)}: {reason}; to fix: {fix}" for (reason, fix), ids in groups.items()]
        findings.append(Finding(f"suite {name}", not groups, False, "\n".join(lines)))
    return findings


def _some(ids: list[str]) -> str:
    more = len(ids) - _MAX_NAMED
    return ", ".join(ids[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _test_set() -> Finding:
    from vidchatbench.benchmark.load import PACKAGED, load_benchmark
    from vidchatbench.errors import InputError

    (name,) = PACKAGED
    try:
        benchmark = load_benchmark(name)
    except UsageError:
        return Finding(name, False, False, f"not prepared on this computer; to fix: vidchatbench data prepare {name}")
    except InputError as error:
        return Finding(name, False, False, f"{error}; to fix: vidchatbench data prepare {name}")
    listed = benchmark.header.n_listed or len(benchmark)
    text = f"{len(benchmark)} of {listed} samples are there; for more: vidchatbench data status {name}"
    return Finding(name, True, False, text)
