"""``vidchatbench data export``: a benchmark as a dataset of Parquet, for the Hugging Face hub or any other place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def export(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="Folder, table, name or dataset of the hub.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write; an earlier export is replaced.")],
    without_media: Annotated[bool, typer.Option("--without-media", help="Export the list of samples alone.")] = False,
    shard_size: Annotated[str, typer.Option(help="Size at which a Parquet file is closed.")] = "500MB",
    push: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="Also offer it to this dataset as a pull request.")
    ] = None,
    i_may_publish: Annotated[
        bool,
        typer.Option("--i-may-publish", help="You hold the right to publish the clips, whatever the licence says."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written on stdout.")] = False,
) -> None:
    """Writes a benchmark as a dataset: Parquet with clips inside, a card, the header, checksums.

    The folder can be uploaded to the Hugging Face hub as it is; `--benchmark` takes it, and the dataset's name there.
    --push follows HF_ENDPOINT and HF_TOKEN.

    Example: vidchatbench data export path/to/benchmark --out exported/
    """
    from vidchatbench.benchmark.dataset_card import hub_license
    from vidchatbench.benchmark.export import export_benchmark
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.cli.output import interruptible, print_json, stderr_console

    shard_bytes = _bytes(shard_size)
    with interruptible():
        loaded = load_benchmark(benchmark)
        if push is not None:
            from vidchatbench.benchmark.hub_push import check_may_push

            known = hub_license(loaded.header)
            check_may_push(push, known, media=not without_media, may_publish=i_may_publish)
        written = export_benchmark(loaded, out, media=not without_media, shard_bytes=shard_bytes)
        offered = None
        if push is not None:
            from vidchatbench.benchmark.hub_push import push_export

            offered = push_export(written, push, may_publish=i_may_publish)
    what = f"{written.n_samples} samples, {written.n_shards} Parquet files, {written.n_bytes / 1e6:.1f} MB"
    console = stderr_console()
    console.print(f"written: {written.folder} ({what})", markup=False, highlight=False, soft_wrap=True)
    if offered is not None:
        console.print(f"offered: {offered}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(
            {
                "folder": str(written.folder),
                "n_samples": written.n_samples,
                "n_shards": written.n_shards,
                "n_bytes": written.n_bytes,
                "media": written.media,
                "pull_request": offered,
            }
        )


def _bytes(text: str) -> int:
    """Reads a size such as ``500MB``; the units are powers of ten."""
    from vidchatbench.errors import UsageError

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size <= 0:
        raise UsageError(f"--shard-size {text!r} is no size; write it as in 500MB or 2GB")
    return size
