"""The tabular form of a benchmark: one sample a row, typed columns, media as bytes; for Parquet and the hub.

The manifest's own lines travel too, in ``manifest_line``: joined in order they are ``manifest.jsonl`` byte for byte, so
that a benchmark keeps its identity on the way. ``source`` and ``tags`` are JSON text, because their keys differ.
"""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from vidchatbench.api.samples import MEDIA_FIELDS, SIDE_FIELDS, Sample, sample_media
from vidchatbench.benchmark.format import HEADER_FILE, MANIFEST_FILE, BenchmarkHeader
from vidchatbench.core.validation import describe_validation
from vidchatbench.errors import InputError

HEADER_KEY = b"vidchatbench.benchmark"
"""Key of the header in the metadata of a table's schema."""
LINE = "manifest_line"
IMAGE_SHA256 = "reference_image_sha256"
CARRIED_FILES = ("anchors.json",)
"""Files that lie beside ``benchmark.json``, if they do, in every form."""
RESERVED_NAMES = frozenset({HEADER_FILE, MANIFEST_FILE, "complete.json", *CARRIED_FILES})

_SIDE = pa.struct(
    [("media", pa.string()), ("sha256", pa.string()), ("speaker_id", pa.string()), ("transcript", pa.string())]
)
_MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_IMAGE = "reference_image"
# Types of the fields that are no text.
_TYPES: Mapping[str, pa.DataType] = {
    "history": pa.list_(pa.struct([("role", pa.string()), ("transcript", pa.string())])),
    "ladder": pa.list_(pa.struct([("text", pa.string()), ("score", pa.float64())])),
    **dict.fromkeys(SIDE_FIELDS, _SIDE),
}


def _manifest_columns() -> Iterator[tuple[str, pa.DataType]]:
    for name in Sample.model_fields:
        yield name, _TYPES.get(name, pa.string())
        if name == _IMAGE:
            yield IMAGE_SHA256, pa.string()
    yield LINE, pa.string()


def _media_column(field: str) -> str:
    return f"{field}_media"


MANIFEST_TYPES: Mapping[str, pa.DataType] = dict(_manifest_columns())
MEDIA_TYPES: Mapping[str, pa.DataType] = {_media_column(name): _MEDIA for name in MEDIA_FIELDS}
MANIFEST_COLUMNS = tuple(MANIFEST_TYPES)
MEDIA_COLUMNS = tuple(MEDIA_TYPES)
_OPTIONAL = frozenset(
    {LINE, IMAGE_SHA256, *(name for name, field in Sample.model_fields.items() if not field.is_required())}
)
_MAX_NAME_BYTES = 255


@dataclass(frozen=True)
class MediaFile:
    """A media file that a sample names.

    Attributes:
        column: The column of the table that holds its bytes.
        path: Where it lies in the benchmark's folder.
        sha256: Its hash; ``None`` for a reference image whose hash is not known.
    """

    column: str
    path: str
    sha256: str | None


@dataclass(frozen=True)
class TableRow:
    """A row without its media.

    Attributes:
        sample: The sample.
        line: Its text in the manifest, with the end of the line.
        image_sha256: Hash of the reference image, if the sample names one and the row gives it.
    """

    sample: Sample
    line: str
    image_sha256: str | None

    def media(self) -> tuple[MediaFile, ...]:
        """Returns the media files of the sample."""
        return tuple(
            MediaFile(_media_column(name), media.path, self.image_sha256 if name == _IMAGE else media.sha256)
            for name, media in sample_media(self.sample).items()
        )


def table_schema(header: BenchmarkHeader, *, media: bool) -> pa.Schema:
    """Returns the schema of a benchmark's table; its metadata holds the header."""
    types = {**MANIFEST_TYPES, **(MEDIA_TYPES if media else {})}
    return pa.schema(types, metadata={HEADER_KEY: header.model_dump_json().encode()})


def header_of_schema(schema: pa.Schema, subject: str) -> BenchmarkHeader | None:
    """Returns the header in a schema's metadata, if there is one.

    Raises:
        InputError: If it is not a header.
    """
    text = (schema.metadata or {}).get(HEADER_KEY)
    return None if text is None else parse_header(text, subject)


def parse_header(text: bytes, subject: str) -> BenchmarkHeader:
    """Returns the header in a JSON text.

    Raises:
        InputError: If it is not a header.
    """
    try:
        return BenchmarkHeader.model_validate_json(text.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        raise InputError(subject, describe_validation(error)) from error


def check_schema(schema: pa.Schema, subject: str, columns: Iterable[str] = MANIFEST_COLUMNS) -> tuple[str, ...]:
    """Checks that a table has the columns of a benchmark, and returns those of ``columns`` that it has.

    Raises:
        InputError: Listing missing columns and columns of another type.
    """
    wanted = {**MANIFEST_TYPES, **MEDIA_TYPES}
    present, problems = [], []
    for name in columns:
        if name not in schema.names:
            if name not in _OPTIONAL and name not in MEDIA_COLUMNS:
                problems.append(f"column {name!r} is missing")
            continue
        actual = schema.field(name).type
        if not _fits(actual, wanted[name]):
            problems.append(f"column {name!r} is of type {actual}, expected {wanted[name]}")
        present.append(name)
    if problems:
        hint = "`vidchatbench data export` writes tables of the right form."
        raise InputError(subject, problems, hint)
    return tuple(present)


def check_media_columns(schema: pa.Schema, subject: str) -> tuple[str, ...]:
    """Returns the columns of ``id`` and media that a table has.

    Raises:
        InputError: If it has no media at all, or columns of another type.
    """
    columns = check_schema(schema, subject, ("id", *MEDIA_COLUMNS))
    if len(columns) == 1:
        hint = "Its rows can be read with iterate_samples; a test set's media come by `vidchatbench data prepare`."
        raise InputError(subject, ["the table holds the rows alone, without media"], hint)
    return columns


def _fits(actual: pa.DataType, wanted: pa.DataType) -> bool:
    types = pa.types
    if types.is_null(actual):
        return True
    if types.is_struct(wanted):
        have = {field.name: field.type for field in actual} if types.is_struct(actual) else {}
        return all(field.name in have and _fits(have[field.name], field.type) for field in wanted)
    if types.is_list(wanted):
        return (types.is_list(actual) or types.is_large_list(actual)) and _fits(actual.value_type, wanted.value_type)
    accepted = {
        pa.string(): (pa.string(), pa.large_string()),
        pa.binary(): (pa.binary(), pa.large_binary()),
        pa.float64(): (pa.float64(), pa.float32(), pa.int64()),
    }
    return actual in accepted[wanted]


def to_row(row: TableRow) -> dict[str, Any]:
    """Returns the manifest columns of a row."""
    sample = row.sample
    values = sample.model_dump(mode="json")
    values["source"], values["tags"] = _json_text(values["source"]), _json_text(values["tags"])
    return {**values, IMAGE_SHA256: row.image_sha256, LINE: row.line}


def _json_text(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def from_row(values: Mapping[str, Any], where: str, line: str | None = None) -> TableRow:
    """Returns the row that a mapping of columns holds.

    Args:
        values: Values by column; media are ignored, empty values take the manifest's defaults.
        where: The row, for messages.
        line: Its text in the manifest, where ``values`` has none.

    Raises:
        InputError: If the columns are no sample, or describe another than ``manifest_line``.
    """
    fields = {name: value for name, value in values.items() if value is not None and name not in MEDIA_COLUMNS}
    image_sha256, written = fields.pop(IMAGE_SHA256, None), fields.pop(LINE, None)
    try:
        for name in ("source", "tags"):
            if isinstance(fields.get(name), str):
                fields[name] = json.loads(fields[name])
        sample = Sample.model_validate(fields)
        if isinstance(written, str):
            meant = Sample.model_validate(json.loads(written.removeprefix("\ufeff")))
            if meant != sample:
                raise InputError(where, [f"sample {sample.id}: the columns and {LINE} tell two different samples"])
            line = written
    except ValidationError as error:
        raise InputError(where, describe_validation(error)) from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(where, [f"not JSON: {error}"]) from error
    if image_sha256 is not None and not _is_sha256(image_sha256):
        raise InputError(where, [f"sample {sample.id}: {IMAGE_SHA256} is not a sha256"])
    return TableRow(sample, line if line is not None else sample.model_dump_json() + "\n", image_sha256)


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")  # noqa: PLR2004


def check_media_files(rows: Sequence[TableRow]) -> list[str]:
    """Returns the problems that forbid writing the media of these rows into one folder, one line each.

    Rows are untrusted: a path must name one file of one content, inside the folder, on every system.
    """
    problems: list[str] = []
    hashes: dict[str, str | None] = {}
    spelt: dict[str, str] = {}
    for row in rows:
        for file in row.media():
            where = f"sample {row.sample.id}: media path {file.path!r}"
            if reason := _why_unsafe(file.path):
                problems.append(f"{where} {reason}")
                continue
            path = plain_path(file.path)
            if spelt.setdefault(path.casefold(), path) != path:
                problems.append(f"{where} differs from {spelt[path.casefold()]!r} in case alone")
            known = hashes.setdefault(path, file.sha256)
            if known is None:
                hashes[path] = file.sha256
            elif file.sha256 not in {None, known}:
                problems.append(f"{where} stands for two different contents")
    folded = set(spelt)
    problems += [
        f"media path {spelt[path]!r} is a file and a folder"
        for path in sorted({str(parent) for path in folded for parent in PurePosixPath(path).parents} & folded)
    ]
    return problems


def plain_path(path: str) -> str:
    """Returns a media path without empty parts and single dots: what the file system makes of it."""
    return str(PurePosixPath(path))


def _why_unsafe(path: str) -> str | None:
    parts = PurePosixPath(path).parts
    if not parts:
        return "names no file"
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in path):
        return "holds control characters"
    if any(part.startswith(".") or part[-1] in ". " for part in parts):
        return "has a part that starts or ends with a dot, or ends with a space"
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        return f"has a part of more than {_MAX_NAME_BYTES} bytes"
    return "is a name of the benchmark's own" if parts[0].casefold() in RESERVED_NAMES else None
