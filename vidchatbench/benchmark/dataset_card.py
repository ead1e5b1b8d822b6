"""The ``README.md`` of an export: metadata that the hub and ``datasets`` read, and a text for people."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import yaml

from vidchatbench.api.samples import TASKS
from vidchatbench.benchmark.format import BenchmarkHeader
from vidchatbench.benchmark.tables import MEDIA_COLUMNS

PUBLISHABLE = {
    # Licences that let anyone pass the media on, by the identifiers of the hub.
    name: name
    for name in (
        "apache-2.0", "bsd-3-clause", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "odc-by", "unlicense",
    )
} | {"cc0": "cc0-1.0"}  # fmt: skip
"""Identifiers of the hub, by how a header may begin."""

_ABOUT_COLUMNS = {
    "id": "the sample's name; a system's reply to it is `<id>.mp4`",
    "task": f"{', '.join(f'`{task}`' for task in TASKS[:-1])} or `{TASKS[-1]}`",
    "language": "ISO 639",
    "initiator": "what the system sees and hears: media path, sha256, speaker, transcript",
    "responder": "the real reply, in the same form; may be empty",
    "reference_image": "path of the face that the system is given; empty: first frame of the reply that shows one",
    "reference_image_sha256": "its hash",
    "history": "earlier turns: role and transcript",
    "ladder": "candidate replies of graded quality, with their scores",
    "source": "where the sample comes from; a JSON object as text",
    "tags": "further properties; a JSON object as text",
    "manifest_line": "the sample's line in `manifest.jsonl`; joined in order, the lines are that file",
    "responder_media": "the real reply's clip: content and path",
    "reference_image_media": "the reference image: content and path",
}


def hub_license(header: BenchmarkHeader) -> str | None:
    """Returns the hub's identifier of a licence that lets the media be passed on, else ``None``."""
    return PUBLISHABLE.get(re.split(r"[;,\s]", header.license.strip().lower(), maxsplit=1)[0])


def dataset_card(header: BenchmarkHeader, schema: pa.Schema, *, rows_config: bool) -> str:
    """Returns the text of ``README.md``.

    Args:
        header: The benchmark's header.
        schema: The table's schema.
        rows_config: Whether the rows lie a second time, without media, in the configuration ``manifest``.
    """
    has_media = MEDIA_COLUMNS[0] in schema.names
    configs = [("default", "data/test-*.parquet", schema)]
    if rows_config:
        rows = pa.schema([field for field in schema if field.name not in MEDIA_COLUMNS])
        configs.append(("manifest", "manifest/test-*.parquet", rows))
    front: dict[str, Any] = {"pretty_name": header.name}
    if (known := hub_license(header)) is not None:
        front["license"] = known
    else:
        front |= {"license": "other", "license_name": "see-text", "license_link": "LICENSE"}
    front["tags"] = ["vidchatbench", "benchmark", "audio-visual", "talking-head"]
    front["configs"] = [
        {"config_name": name, "data_files": [{"split": "test", "path": path}]} for name, path, _ in configs
    ]
    front["dataset_info"] = [
        {
            "config_name": name,
            "features": [{"name": field.name, **_feature(field.type)} for field in fields],
        }
        for name, _, fields in configs
    ]
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n\n{_for_people(header, schema, has_media=has_media, rows_config=rows_config)}"


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name, **_feature(field.type)} for field in kind]}
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner["struct"] if "struct" in inner else inner["dtype"]}
    return {"dtype": "float64" if pa.types.is_float64(kind) else str(kind)}


def _for_people(header: BenchmarkHeader, schema: pa.Schema, *, has_media: bool, rows_config: bool) -> str:
    columns = "\n".join(f"| `{name}` | {_about(name)} |" for name in schema.names)
    media = (
        "Clips are stored as the files they were, byte for byte: `initiator_media` and `responder_media` hold content "
        "and path, and nothing is decoded on loading."
        if has_media
        else "This is the list of samples. It holds no clips."
    )
    look = "\n\nThe configuration `manifest` has the rows without media, for a look." if rows_config else ""
    use = (
        "    pip install vidchatbench\n    vidchatbench evaluate outputs/ --benchmark USER/NAME\n\n"
        "with this dataset's name on the hub, or the path of this folder, in place of `USER/NAME`."
        if has_media
        else "    from vidchatbench.benchmark.load import iterate_samples\n\n"
        '    for sample in iterate_samples("USER/NAME"):\n        ...'
    )
    return (
        f"# {_plain(header.name)} {_plain(header.version)}\n\n{_plain(header.description)}\n\n"
        f"A benchmark of audio-visual dyadic virtual humans, {header.n_samples} samples, made for VidChatBench.\n\n"
        f"## Use\n\n{use}\n\n"
        f"## Content\n\n{media}{look}\n\n| column | what |\n| --- | --- |\n{columns}\n\n"
        f"`benchmark.json` binds the rows: the sha256 of the manifest is `{header.manifest_sha256}`. "
        f"`SHA256SUMS` has the hash of every file.\n\n"
        f"## Licence\n\n{_plain(header.license)}\n"
    )


def _about(column: str) -> str:
    """Returns what a column holds; the words for a further side follow from its name."""
    if column in _ABOUT_COLUMNS:
        return _ABOUT_COLUMNS[column]
    side = column.removesuffix("_media").replace("_", " ")
    return f"the {side}'s clip: content and path" if column in MEDIA_COLUMNS else f"the {side}, in the same form"


def _plain(text: str) -> str:
    return " ".join(text.split())
