"""Puts the fields of a table's columns together as the lines of one CSV file."""

from __future__ import annotations

from sluice.domain.errors import ErrorCode
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch, Cells
from sluice.tables.file_plan import FilePlan, Tally, Warned
from sluice.tables.values.cell_checks import cell_error
from sluice.tables.values.cells import first_index
from sluice.tables.writers.csv.columns import CsvColumn, Quoting
from sluice.tables.writers.csv.encodings import BOM, encoding_of
from sluice.tables.writers.sealed_rows import row_count_error

_LINE_ENDS = {"crlf": b"\r\n", "lf": b"\n"}


class CsvLines:
    """Writes slices of a table as lines of one file."""

    def __init__(self, table: FilePlan, tally: Tally) -> None:
        options = table.options
        quoting = Quoting.of(options)
        self._table = table
        self._tally = tally
        self._encoding = encoding_of(options)
        self._columns = [CsvColumn(column, options, quoting=quoting) for column in table.columns]
        self._names = CsvColumn(ColumnSpec(""), options, quoting=quoting)
        self._delimiter = options.csv_delimiter.encode()
        self._line_end = _LINE_ENDS[options.line_ending]
        self._at_start = True

    def begin(self) -> bytes:
        """Write the byte order mark and the header."""
        mark = self._encoding.begin(bom=self._table.options.csv_bom)
        if not self._table.options.header:
            return mark
        first, *others = (column.name for column in self._table.columns)
        names = Cells.of([first.lstrip(BOM), *others])  # a name copied with its file's mark must not make two
        fields = self._names.fields(names, self._tally.warnings)
        return mark + self._join([[field] for field in fields], rows_before=-1)

    def write(self, rows: Batch) -> bytes:
        """Write a slice of at least one row."""
        rows_before = self._tally.rows
        if rows_before + rows.rows > self._table.rows:
            raise row_count_error(rows_before + rows.rows, self._table.rows)
        columns = []
        for cells, column, declared in zip(rows.columns, self._columns, self._table.columns, strict=True):
            check_nul(cells, declared, rows_before=rows_before)
            columns.append(column.fields(cells, self._tally.warnings))
        block = self._join(columns, rows_before=rows_before)
        self._tally.rows += rows.rows
        return block

    def _join(self, columns: list[list[bytes]], *, rows_before: int) -> bytes:
        if len(columns) == 1:
            columns = [[field or b'""' for field in columns[0]]]
        if self._at_start:
            self._at_start = False
            columns[0][0] = _protect_mark(columns[0][0])
        lines = self._line_end.join(map(self._delimiter.join, zip(*columns, strict=True))) + self._line_end
        if self._encoding.codec == "utf-8":
            return lines
        try:
            return self._encoding.encode(lines.decode())
        except UnicodeEncodeError:
            return self._replace(lines.decode(), columns, rows_before=rows_before)

    def _replace(self, lines: str, columns: list[list[bytes]], *, rows_before: int) -> bytes:
        for declared, fields in zip(self._table.columns, columns, strict=True):
            odd = [index for index, field in enumerate(fields) if not self._encoding.holds(field.decode())]
            if odd and self._table.options.on_unencodable == "error":
                raise cell_error(ErrorCode.INVALID_TEXT, rows_before + odd[0], declared, reason="unencodable")
            if odd:
                self._tally.warnings[Warned.CHARACTER_REPLACED] += len(odd)
        return self._encoding.encode_replacing(lines)


def _protect_mark(field: bytes) -> bytes:
    """Quote a text that begins like a byte order mark, which a reader would drop at the start of a file."""
    return b'"%b"' % field if field.startswith(BOM.encode()) else field


def check_nul(cells: Cells, column: ColumnSpec, *, rows_before: int) -> None:
    """Raise INVALID_TEXT if a cell has a NUL."""
    if cells.has_nul:
        index = first_index(list(cells.text), lambda text: "\0" in text) or 0
        raise cell_error(ErrorCode.INVALID_TEXT, rows_before + index, column, reason="nul")
