"""Rows as a CSV file: RFC 4180, in the encoding and with the separators a sender chooses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from sluice.domain.errors import ErrorCode
from sluice.domain.limits import KIB, MIB, Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch, Cells, is_text
from sluice.tables.bytes.gzip import gzip_bound, gzipped
from sluice.tables.file_plan import FilePlan, Tally, Warned
from sluice.tables.values.cell_checks import cell_error, check_declaration, check_values, refuse
from sluice.tables.values.slices import SLICE_CELLS, first_index, slice_bytes_max, slices
from sluice.tables.writers.csv.columns import CsvColumn, Quoting, in_dialect, rewrite_for
from sluice.tables.writers.csv.encodings import BOM, encoding_of
from sluice.tables.writers.format import Format
from sluice.tables.writers.sealed_rows import row_count_error

_NO_DELIMITER = f'"\r\n\0{BOM}'
_NO_GUARDED_DELIMITER = "=+-@\uff1d\uff0b\uff0d\uff20'"
"""What starts a formula, so that the line itself would, and the guard, which would be a delimiter."""
_FIELD_EXTRA_BYTES = len('"\'"')
"""What guard and quotes add to a cell, its doubled quotes apart."""
_DATE_TOKEN_BYTES_MAX = len("Wednesday")
"""The longest text that one letter of a date format may become."""
_KEPT_BYTES = 2 * MIB
"""Tables of the encoding, the compressor, the blocks before it."""
_SLICE_COPIES = 3
_FIELD_OBJECTS = 64
"""A field's bytes object, its text apart, and its place in a list."""
_COLUMN_OBJECTS = 2 * KIB
"""A column's cells of a batch and of a slice, and what writes them."""


class CsvFormat(Format):
    """RFC 4180, in the encoding and with the separators that a sender chooses."""

    name = ExportFormat.CSV

    def extension(self, options: ExportOptions, _rows: int) -> str:
        return "csv.gz" if options.compression_enabled else "csv"

    def media_type(self, options: ExportOptions, _rows: int) -> str:
        if options.compression_enabled:
            return "application/gzip"
        return f"text/csv; charset={encoding_of(options).charset}"

    def check_table(self, params: ExportParams, limits: Limits) -> None:
        """Refuse columns and options that a CSV file cannot honour."""
        check_declaration(params, limits)
        params = msgspec.structs.replace(params, options=in_dialect(params.options))
        encoding = encoding_of(params.options)
        delimiter = params.options.csv_delimiter
        if len(delimiter) != 1 or delimiter in _NO_DELIMITER or not is_text(delimiter) or not encoding.holds(delimiter):
            raise refuse(
                "options.csv_delimiter", "A delimiter is one character of the encoding, not a quote, line end or NUL."
            )
        is_in_values = delimiter in _NO_GUARDED_DELIMITER or delimiter.isalnum()
        if params.options.formula_guard == "prefix" and is_in_values:
            raise refuse(
                "options.csv_delimiter",
                "This delimiter needs `formula_guard` to be `off`: it is in formulas, numbers or the guard.",
            )
        for index, column in enumerate(params.columns):
            _check_column(f"columns[{index}]", column, params.options)

    def check_batch(
        self, batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions, limits: Limits
    ) -> None:
        """Refuse values of the wrong type, and text that the file would not give back: NUL, what the encoding lacks.

        Many readers end a text at a NUL, so no cell may have one.
        """
        del limits
        check_values(batch, columns, options)
        encoding = encoding_of(options)
        is_picky = options.on_unencodable == "error" and not encoding.is_unicode
        for cells, column in zip(batch.columns, columns, strict=True):
            check_nul(cells, column, rows_before=0)
            if is_picky and isinstance(cells.text, str) and not encoding.holds(cells.text):
                index = first_index(cells.texts(batch.rows), lambda text: not encoding.holds(text))
                raise cell_error(ErrorCode.INVALID_TEXT, index or 0, column, reason="unencodable")

    def write(self, batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
        """Yield the file in blocks, one for each slice of a batch, as batches come.

        Null is written as nothing between two delimiters, the empty text as a pair
        of quotes; where a row is one field, both are a pair of quotes, so that the
        row survives. ``tally`` counts cells and column names that were guarded,
        replaced or kept as text. Raises INVALID_TEXT for a cell with a NUL or,
        unless they are replaced, with characters the encoding lacks;
        ROW_COUNT_MISMATCH unless exactly ``plan.rows`` rows came.
        """
        blocks = _write_plain(batches, plan, tally)
        return gzipped(blocks) if plan.options.compression_enabled else blocks

    def size_bound(self, plan: FilePlan) -> int:
        """Bound the file's bytes by the canonical bytes of its rows."""
        encoding = encoding_of(plan.options)
        delimiter_bytes = len(plan.options.csv_delimiter.encode())
        per_row = sum(_FIELD_EXTRA_BYTES + delimiter_bytes + _rewritten_bytes(column) for column in plan.columns) + 2
        header = sum(2 * len(column.name.encode()) for column in plan.columns) + per_row
        plain = (2 * plan.size + plan.rows * per_row + header) * encoding.bytes_per_byte + len(encoding.begin(bom=True))
        return gzip_bound(plain) if plan.options.compression_enabled else plain

    def memory_bound(self, plan: FilePlan, batch_bytes: int) -> int:
        """Bound the memory of ``write``.

        It has no term for the rows: a slice as text, as fields and as lines, with
        its quotes doubled. A row alone may be a slice of all of a batch; a
        delimiter, an encoding or a compressor that is not the usual one adds a copy.
        """
        growth = 2 * encoding_of(plan.options).bytes_per_byte
        slice_bytes = max(growth * batch_bytes, slice_bytes_max(batch_bytes, growth=growth))
        cells = min(SLICE_CELLS, plan.rows * len(plan.columns))
        return _KEPT_BYTES + _SLICE_COPIES * slice_bytes + cells * _FIELD_OBJECTS + len(plan.columns) * _COLUMN_OBJECTS


CSV = CsvFormat()


def _check_column(field: str, column: ColumnSpec, options: ExportOptions) -> None:
    encoding = encoding_of(options)
    if options.on_unencodable == "error":
        if options.header and not encoding.holds(column.name.lstrip(BOM)):
            raise refuse(f"{field}.name", "The encoding cannot hold this name.")
        if column.type is not ColumnType.STRING and not encoding.holds(column.format):
            raise refuse(f"{field}.format", "The encoding cannot hold this format.")
    try:
        rewrite_for(column, options)
    except ValueError:
        raise refuse(f"{field}.format", "A CSV file cannot show dates in this format.") from None


def _rewritten_bytes(column: ColumnSpec) -> int:
    """How many bytes the text of a cell may have that was not sent."""
    match column.type:
        case ColumnType.STRING | ColumnType.NUMBER:
            return 0
        case ColumnType.DATE | ColumnType.DATETIME:
            return 2 * _DATE_TOKEN_BYTES_MAX * len(column.format.encode())
        case ColumnType.BOOLEAN:
            return 2 * len((column.format or "false").encode())


def _write_plain(batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[bytes]:
    lines = CsvLines(replace(plan, options=in_dialect(plan.options)), tally)
    begin = lines.begin()
    if begin:
        yield begin
    for parts in map(slices, batches):  # no name is bound to a batch, so none outlives its slices
        for rows in parts:
            if rows.rows:
                yield lines.write(rows)
            del rows  # it may be a whole batch
    if tally.rows != plan.rows:
        raise row_count_error(tally.rows, plan.rows)


_LINE_ENDS = {"crlf": b"\r\n", "lf": b"\n"}
_LONE_FIELDS = {b"": b'""', b"\\.": b'"\\."'}
"""A row of one field: an empty line is skipped by many readers, and PostgreSQL ends its data at the other."""


class CsvLines:
    """Writes slices of a table as lines of one file."""

    def __init__(self, plan: FilePlan, tally: Tally) -> None:
        options = plan.options
        quoting = Quoting.of(options)
        self._plan = plan
        self._tally = tally
        self._encoding = encoding_of(options)
        self._columns = [CsvColumn(column, options, quoting=quoting) for column in plan.columns]
        self._names = CsvColumn(ColumnSpec(""), options, quoting=quoting)
        self._delimiter = options.csv_delimiter.encode()
        self._line_end = _LINE_ENDS[options.line_ending]
        self._has_mark = bool(self._encoding.begin(bom=options.csv_bom))
        # PostgreSQL reads an empty line of a table of one column as null.
        keeps_empty = options.csv_dialect == "postgresql"
        self._lone_fields = _LONE_FIELDS | ({b"": b""} if keeps_empty else {})
        self._at_start = True

    def begin(self) -> bytes:
        """Write the byte order mark and the header."""
        mark = self._encoding.begin(bom=self._plan.options.csv_bom)
        if not self._plan.options.header:
            return mark
        first, *others = (column.name for column in self._plan.columns)
        names = Cells.of([first.lstrip(BOM), *others])  # a name copied with its file's mark must not make two
        fields = self._names.fields(names, self._tally.warnings)
        return mark + self._join([[field] for field in fields], rows_before=-1)

    def write(self, rows: Batch) -> bytes:
        """Write a slice of at least one row."""
        rows_before = self._tally.rows
        if rows_before + rows.rows > self._plan.rows:
            raise row_count_error(rows_before + rows.rows, self._plan.rows)
        columns = []
        for cells, column, declared in zip(rows.columns, self._columns, self._plan.columns, strict=True):
            check_nul(cells, declared, rows_before=rows_before)
            columns.append(column.fields(cells, self._tally.warnings))
        block = self._join(columns, rows_before=rows_before)
        self._tally.rows += rows.rows
        return block

    def _join(self, columns: list[list[bytes]], *, rows_before: int) -> bytes:
        if len(columns) == 1:
            columns = [[self._lone_fields.get(field, field) for field in columns[0]]]
        if self._at_start:
            self._at_start = False
            first = columns[0][0]
            # Without quotes a reader would drop a mark at the start of a file, and Excel take `ID` for one of SYLK.
            if first.startswith(BOM.encode()) or (first.startswith(b"ID") and not self._has_mark):
                columns[0][0] = b'"%b"' % first
        lines = self._line_end.join(map(self._delimiter.join, zip(*columns, strict=True))) + self._line_end
        if self._encoding.codec == "utf-8":
            return lines
        try:
            return self._encoding.encode(lines.decode())
        except UnicodeEncodeError:
            return self._replace(lines.decode(), columns, rows_before=rows_before)

    def _replace(self, lines: str, columns: list[list[bytes]], *, rows_before: int) -> bytes:
        for declared, fields in zip(self._plan.columns, columns, strict=True):
            odd = [index for index, field in enumerate(fields) if not self._encoding.holds(field.decode())]
            if odd and self._plan.options.on_unencodable == "error":
                raise cell_error(ErrorCode.INVALID_TEXT, rows_before + odd[0], declared, reason="unencodable")
            if odd:
                self._tally.warnings[Warned.CHARACTER_REPLACED] += len(odd)
        return self._encoding.encode_replacing(lines)


def check_nul(cells: Cells, column: ColumnSpec, *, rows_before: int) -> None:
    """Raise INVALID_TEXT if a cell has a NUL."""
    if cells.has_nul:
        index = first_index(list(cells.text), lambda text: "\0" in text) or 0
        raise cell_error(ErrorCode.INVALID_TEXT, rows_before + index, column, reason="nul")
