"""Which kind of table an input is, known by its first line; what is no table of text is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.tables.readers.batching import Hints, TableReader
from sluice.tables.readers.csv import CsvOptions, CsvTable
from sluice.tables.readers.json_lines import JsonLinesTable
from sluice.tables.readers.lines import BLOCK_BYTES, UTF8_BOM, OnLongRow, first_line, no_matter


class TableKind(StrEnum):
    """How a table is written."""

    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"


_SIGNATURES = (
    (re.compile(rb"PK\x03\x04"), "an Excel workbook, or another ZIP archive: save it as CSV in UTF-8"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an Excel workbook of the old kind: save it as CSV in UTF-8"),
    (re.compile(rb"PAR1[^\x20-\x7e]"), "a Parquet file: write it as CSV or JSON Lines"),
    (re.compile(rb"SQLite format 3\0"), "an SQLite database: write its table as CSV"),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"\s*<(?:!doctype|html|\?xml)", re.IGNORECASE), "a page in HTML or XML, perhaps that of an error"),
)
_MARKED = (
    (re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"), "UTF-32"),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "UTF-16"),
)
"""How texts begin that say of themselves what they are written in."""
_OBJECT = re.compile(rb'\{\s*(?:["}]|\Z)')
_ROWS = re.compile(rb"\[\s*(?:[\[{]|\]?\s*\Z)")
_CELLS = re.compile(rb'\[\s*(?:["0-9tfn-])')


def open_reader(
    blocks: Iterable[bytes],
    kind: TableKind | None,
    limits: Limits,
    *,
    options: CsvOptions,
    hints: Hints,
    otherwise: TableKind = TableKind.CSV,
    on_long_row: OnLongRow = no_matter,
) -> TableReader:
    """Begin to read a table of ``kind``; without one its first line tells, and ``otherwise`` is what it may also be.

    Raises UNSUPPORTED_ENCODING, with ``found``, for what is no table of text, and for JSON that is said to be
    CSV. Raises what the kind's reader raises.
    """
    head, blocks = first_line(blocks)
    _refuse_files(head, options, hints)
    seen = kind_of(head)
    if kind is None:
        kind = seen or otherwise
    elif kind is TableKind.CSV and seen is not None and options.has_header and not options.names:
        detail = f"The input is JSON, not CSV as it is said to be; {hints.kind}."
        raise SluiceError(ErrorCode.UNSUPPORTED_ENCODING, detail, found=seen.value)
    if kind is TableKind.CSV:
        return CsvTable(blocks, limits, options, hints=hints, on_long_row=on_long_row)
    is_array = kind is TableKind.JSON
    return JsonLinesTable(blocks, limits, hints=hints, is_array=is_array, on_long_row=on_long_row)


def kind_of(line: bytes) -> TableKind | None:
    """The kind of JSON that begins with this line; None where it is none."""
    text = line.removeprefix(UTF8_BOM).strip()
    if _OBJECT.match(text):
        return TableKind.NDJSON
    if _ROWS.match(text):
        return TableKind.JSON
    return TableKind.NDJSON if _CELLS.match(text) and (len(line) >= BLOCK_BYTES or _is_json(text)) else None


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _refuse_files(head: bytes, options: CsvOptions, hints: Hints) -> None:
    """Raise UNSUPPORTED_ENCODING for the files of other programs, INVALID_TEXT for UTF-16 or -32 taken for UTF-8."""
    for signature, found in _SIGNATURES:
        if signature.match(head):
            detail = f"The input is no table of text but {found}."
            raise SluiceError(ErrorCode.UNSUPPORTED_ENCODING, detail, found=found.partition(":")[0])
    marked = next((name for mark, name in _MARKED if mark.match(head)), None)
    if options.encoding == "utf-8" and marked is not None:
        hint = hints.encoding or "send it as UTF-8"
        raise SluiceError(
            ErrorCode.INVALID_TEXT, f"The input is text in {marked}, not in UTF-8; {hint}.", row=1, line=1
        )
