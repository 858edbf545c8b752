"""What a sender may choose about the file, with the default and its reason."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec


class ExportFormat(StrEnum):
    """The file formats that can be composed."""

    XLSX = "xlsx"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How the file looks. Values are checked by the format's own rules when a task is opened.

    Defaults suit files that people open; each ``off`` switch is for machines.
    """

    # Values, every format.
    null_value: str | None = None
    """On gRPC and CSV input, the text that means null; None: no text does."""
    on_invalid: Literal["error", "text"] = "error"
    """A value its column type does not accept: refuse the batch, or keep it as text and count it.

    ``text`` makes every column of a Parquet file a string column, since a column there has one type."""
    timezone: str = ""
    """IANA name; dates with an offset are shown in this zone (UTC when empty), others as sent."""
    compression_enabled: bool = False
    """CSV becomes .csv.gz, JSON Lines .jsonl.gz; XLSX deflates harder; Parquet packs with Zstandard, not Snappy."""

    # CSV.
    csv_delimiter: str = ","
    csv_encoding: str = "utf-8"
    csv_bom: bool = True
    """A byte order mark, without which Excel reads UTF-8 as the local code page."""
    line_ending: Literal["crlf", "lf"] = "crlf"
    """RFC 4180 says CRLF."""
    quote_all: bool = False
    formula_guard: Literal["prefix", "off"] = "prefix"
    """Text that a spreadsheet would run as a formula gets a leading apostrophe."""
    on_unencodable: Literal["error", "replace"] = "error"
    """A character the encoding lacks: refuse the batch, or write a question mark and count it."""
    header: bool = True
    """Write the column names as the first row."""

    # XLSX.
    excel_sheet_name: str = ""
    """Made legal and unique; ``Sheet1`` when empty."""
    excel_start_row: int = 1
    """Row number of the header, from 1."""
    compact: bool = False
    """Leave out cell references: a third smaller and faster, but exceljs cannot read it."""
    on_too_long: Literal["error", "cut"] = "error"
    """Text longer than a cell holds: refuse the batch, or cut it and count it."""
    on_sheet_full: Literal["split", "error"] = "split"
    """More rows than a worksheet holds: go on in the next one, or refuse to close."""
    workbook_rows_max: int = 5_000_000
    """More rows become numbered workbooks in one ZIP archive, since programs hold a whole workbook in memory."""
    index_sheet: bool = True
    """Where rows had to be split, a last worksheet says which are where, so that row 3,000,000 can be found."""
    header_color: str = ""
    """Background of the header row as RRGGBB."""
    banding: bool = False
    right_to_left: bool = False
    freeze_header: bool = True
    autofilter: bool = True
