"""What a job says of files that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from sluice.domain.dataset import Identifier, Name
from sluice.domain.pinned_files import FileKind, FileSource, PinnedFile
from sluice.domain.schema import ColumnType


class FileRows(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of files in the folder of a connection."""

    connection: Name
    path: Annotated[str, Meta(min_length=1, max_length=1_000)]
    """Below the folder, its parts divided by ``/``; in each ``*``, ``?`` and ``[…]`` stand for parts of names. Files
    are read in the order of their names; ``.gz`` and ``.zip`` are unpacked."""
    columns: Annotated[tuple[Identifier, ...], Meta(max_length=16_384)] = ()
    """None stands for all that the first file has. Without a header they are the names of all, in order."""
    types: Mapping[Identifier, ColumnType] = {}
    """Of columns whose first rows do not say what the others are."""
    missing: Literal["fail", "empty"] = "fail"
    """What a run is where no file has such a name."""


class CsvRows(FileRows, frozen=True, kw_only=True, tag_field="type", tag="csv"):
    """Comma-separated values."""

    delimiter: Annotated[str, Meta(pattern=r'^[^"\r\n]?$')] = ""
    """Empty: the first line tells."""
    header: bool = True
    encoding: Annotated[str, Meta(min_length=1, max_length=40)] = "utf-8"
    null_value: str | None = ""
    """The cells that have no value."""

    def __post_init__(self) -> None:
        check_columns(self)


class TsvRows(CsvRows, frozen=True, kw_only=True, tag_field="type", tag="tsv"):
    """Values divided by tabs, quoted as those of CSV."""

    delimiter: Literal["\t"] = "\t"


class NdjsonRows(FileRows, frozen=True, kw_only=True, tag_field="type", tag="ndjson"):
    """A JSON object, or an array of cells, on each line. With ``columns`` other names are left out."""


class JsonRows(FileRows, frozen=True, kw_only=True, tag_field="type", tag="json"):
    """One JSON array of objects, or of arrays of cells."""


class ParquetRows(FileRows, frozen=True, kw_only=True, tag_field="type", tag="parquet"):
    """Parquet. Columns have the types that the file says."""


AnyFileRows: TypeAlias = CsvRows | TsvRows | NdjsonRows | JsonRows | ParquetRows
_KINDS: Mapping[type, FileKind] = {NdjsonRows: "ndjson", JsonRows: "json", ParquetRows: "parquet"}


def source_of(rows: AnyFileRows, files: tuple[PinnedFile, ...]) -> FileSource:
    """What a job says, of these files."""
    if not isinstance(rows, CsvRows):
        return FileSource(
            kind=_KINDS[type(rows)], path=rows.path, files=files, is_whole=not rows.columns, types=rows.types
        )
    return FileSource(
        kind="csv",
        path=rows.path,
        files=files,
        header=rows.header,
        delimiter=rows.delimiter,
        encoding=rows.encoding,
        null_value=rows.null_value,
        names=() if rows.header else rows.columns,
        is_whole=not rows.columns,
        types=rows.types,
    )


def check_columns(rows: CsvRows) -> None:
    """Raise ValueError for a file that names its columns nowhere, or for two of one name."""
    if not rows.header and not rows.columns:
        raise ValueError("a file without a header needs columns: the names of all, in order")
    if len(set(rows.columns)) < len(rows.columns):
        raise ValueError("columns has a name twice")
