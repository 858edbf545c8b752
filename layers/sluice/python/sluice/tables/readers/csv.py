"""Reads rows from CSV (RFC 4180): one pass over blocks of bytes, for a whole body as for one that is still arriving."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import chain

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.tables.readers.batching import TOO_LARGE, Hints, ReadRows, TableBatch, cut_batches, one_batch
from sluice.tables.readers.lines import (
    BLOCK_BYTES,
    LONG_ROW_BYTES,
    LineTooLongError,
    OnLongRow,
    first_line,
    line_blocks,
    no_matter,
    to_utf8,
)
from sluice.tables.readers.records import RowShape, batch_of_texts, too_wide

csv.field_size_limit(sys.maxsize)
# The module's limit is one for the process, set here only, and too low for a long text. Ours is on the whole record.

_NONE = sys.maxsize
_CELL = r'(?:"(?:[^"]++|"")*+(?:"|\Z))?+[^{delimiter}\r\n]*+({delimiter})?'
"""A cell, and whether another follows in its row; within it delimiters and line ends stand only in quotes."""
_QUOTED_REST = re.compile(r'(?:[^"]++|"")*+(?:"|\Z)')


DELIMITERS = ",\t;|"
_SAID = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)


class RowTooWideError(Exception):
    """A row has more cells than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """How the CSV is written."""

    delimiter: str = ""
    """Empty to take it from the first line: a line ``sep=;`` as Excel writes it, else whichever of , tab ; | divides
    it into ``names``, or as many cells, or else most often."""
    encoding: str = "utf-8"
    """Of Python's codecs."""
    has_header: bool = True
    """Whether the first line is the names of the columns, in order."""
    names: tuple[str, ...] = ()
    """What the columns are called, where that is known."""


class CsvTable:
    """Implements ``TableReader``. Reads the header, if there is one, when it is made.

    A blank line is a row only of a table of one column. ``shape.null_value``
    is null. ``line`` in an error is where the row begins, also of a row that is never ended.
    """

    def __init__(
        self,
        blocks: Iterable[bytes],
        limits: Limits,
        options: CsvOptions | None = None,
        *,
        hints: Hints | None = None,
        on_long_row: OnLongRow = no_matter,
    ) -> None:
        """Raises INVALID_REQUEST with ``field: header`` for a header that is missing or blank."""
        self._limits = limits
        self._options = options or CsvOptions()
        self._hints = hints or Hints()
        text = blocks if self._options.encoding == "utf-8" else to_utf8(blocks, self._options.encoding)
        line, text = first_line(text)
        self.delimiter, is_said = find_delimiter(line.decode(errors="replace"), self._options)
        self._lines = _CountedLines(
            text,
            limits.input_bytes_max,
            delimiter=self.delimiter,
            width_max=limits.columns_max,
            on_long_row=on_long_row,
        )
        self._records = csv.reader(self._lines, delimiter=self.delimiter, strict=True)
        self._header_line = 1 + is_said
        if is_said and not next(self._records):
            raise self._no_header("The first line is blank: it is the names of the columns")
        self._names = self._read_header() if self._options.has_header else None

    def read_names(self) -> tuple[str, ...]:
        if self._names is None:
            detail = f"The input does not name its columns: {self._hints.names}."
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field="columns")
        return self._names

    def batches(self, shape: RowShape) -> Iterator[TableBatch]:
        self._check_header(shape)
        return cut_batches(self._groups(shape.width), shape, self._limits, batch_of_texts)

    def batch(self, shape: RowShape) -> TableBatch:
        self._check_header(shape)
        return one_batch(self._groups(shape.width), shape, batch_of_texts)

    def _read_header(self) -> tuple[str, ...]:
        try:
            names = next(self._records, None)
        except RowTooWideError:
            raise SluiceError(ErrorCode.TOO_MANY_COLUMNS, columns_max=self._limits.columns_max) from None
        except (csv.Error, UnicodeDecodeError, LineTooLongError) as error:
            raise self._refusal(error, line=self._header_line) from None
        if names is None:
            raise self._no_header("The input is empty: CSV begins with the names of the columns")
        if not names:
            raise self._no_header("The first line is blank: it is the names of the columns")
        return tuple(names)

    def _check_header(self, shape: RowShape) -> None:
        if self._names is not None and self._names != shape.names:
            raise self._no_header("The first line is not the names of the columns, in order")

    def _no_header(self, detail: str) -> SluiceError:
        return SluiceError(
            ErrorCode.INVALID_REQUEST, f"{detail}; {self._hints.no_header}.", field="header", line=self._header_line
        )

    def _groups(self, width: int) -> Iterator[ReadRows]:
        """Yield the rows of a block of lines whenever it is used up, and those before an error before it is raised."""
        records, lines = self._records, self._lines
        lines.width_max = width
        rows: list[list[str]] = []
        begins: list[int] = []
        done, begin, mark = 0, records.line_num + 1, 0
        lines.take(records.line_num)
        try:
            for record in records:
                if record or width == 1:
                    rows.append(record or [""])
                    begins.append(begin)
                begin = records.line_num + 1
                if begin <= mark:
                    continue
                mark = lines.mark
                if begin > mark:
                    yield ReadRows(rows, begins, lines.take(begin - 1))
                    done += len(rows)
                    rows, begins, mark = [], [], 0
        except RowTooWideError:
            yield ReadRows(rows, begins, lines.take(0))
            raise too_wide(width, row=done + len(rows) + 1, line=begin) from None
        except (csv.Error, UnicodeDecodeError, LineTooLongError) as error:
            yield ReadRows(rows, begins, lines.take(0))
            raise self._refusal(error, row=done + len(rows) + 1, line=begin) from None
        except Exception:
            yield ReadRows(rows, begins, lines.take(0))
            raise
        yield ReadRows(rows, begins, lines.take(0))

    def _refusal(self, error: Exception, **place: int) -> SluiceError:
        """Say what is wrong with the text that begins at ``place``."""
        match error:
            case LineTooLongError():
                return SluiceError(ErrorCode.BATCH_TOO_LARGE, TOO_LARGE, **place)
            case UnicodeDecodeError():
                hint = f"; {self._hints.encoding}" if self._hints.encoding else ""
                detail = f"The input is not text in {self._options.encoding.upper()}{hint}."
                return SluiceError(ErrorCode.INVALID_TEXT, detail, **place)
            case _:
                detail = "The input is not CSV: a quote or a line end is where none may be."
                return SluiceError(ErrorCode.INVALID_REQUEST, detail, **place)


def find_delimiter(line: str, options: CsvOptions) -> tuple[str, bool]:
    """What divides the cells of a table that begins with ``line``, and whether the line says nothing else."""
    # In a table of one column without a header, such a line is a row.
    said = _SAID.fullmatch(line) if options.has_header or len(options.names) != 1 else None
    if said or options.delimiter:
        delimiter = options.delimiter or (said[1] if said else ",")
        return delimiter, said is not None and said[1] == delimiter
    divided = {delimiter: _cells(line, delimiter) for delimiter in DELIMITERS if delimiter in line}
    for delimiter, cells in divided.items():
        fits = cells == list(options.names) if options.has_header else len(cells) == len(options.names)
        if fits and len(cells) > 1:
            return delimiter, False
    if not options.has_header or not divided or [line.rstrip("\r\n")] == list(options.names):
        return ",", False
    return max(divided, key=lambda delimiter: len(divided[delimiter])), False


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


class _CountedLines:
    """The lines that ``csv.reader`` asks for, and how many it was given.

    ``csv.reader`` makes a list of all cells of a row before anyone can look at
    it, so a row of more than ``width_max`` cells is refused here.
    """

    def __init__(
        self,
        blocks: Iterable[bytes],
        row_bytes_max: int,
        *,
        delimiter: str,
        width_max: int,
        on_long_row: OnLongRow,
    ) -> None:
        self.width_max = width_max
        self._cell = re.compile(_CELL.format(delimiter=re.escape(delimiter)))
        self._delimiter = delimiter
        self._open_cells = 0
        """Of the row that has not ended: those counted so far, none of the block in which it began behind another."""
        self._blocks = line_blocks(blocks, row_bytes_max, on_long_row=on_long_row)
        self._on_long_row = on_long_row
        self._row_bytes_max = row_bytes_max
        self._given = 0
        """Lines."""
        self.mark = _NONE
        """The lines that were given when the last rows were taken; none were left over if there is no mark."""
        self._bytes = self._taken = 0
        """Bytes of the lines that were given, and of those that belong to rows that were taken."""
        self._last = 0
        self._open = 0
        """Bytes of the blocks since the one in which a row began that has not ended."""

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._lists())

    def take(self, used: int) -> int:
        """Begin to count anew, when so many lines were used; returns a bound of what the rows since then have."""
        size = self._bytes - self._taken
        has_left = self._given > used
        self._taken = self._bytes - self._last if has_left else self._bytes
        self.mark = self._given if has_left else _NONE
        self._open = self._open_cells = 0
        return size

    def _check_width(self, text: str) -> None:
        """Raise ``RowTooWideError`` if the row that begins, or goes on, in ``text`` has too many cells.

        A block of lines is small, so that only a line of megabytes and a row of many blocks can have millions of
        cells. The row goes on where the lines that were given are not used up: then a quote is open.
        """
        is_open = self.mark != _NONE
        if not is_open and text.count(self._delimiter) < self.width_max:
            return
        opened = _QUOTED_REST.match(text) if is_open else None
        place = opened.end() if opened else 0
        cells = self._open_cells if is_open else 0
        while (cell := self._cell.match(text, place)) and cell[1]:
            place = cell.end()
            cells += 1
            if cells >= self.width_max:
                raise RowTooWideError
        assert cell is not None  # any text begins with a cell, an empty one at the least
        self._open_cells = cells if cell.end() == len(text) else 0  # else the row ends here, and another is counted

    def _lists(self) -> Iterator[list[str]]:
        for block in self._blocks:
            try:
                yield self._give(block)
            except UnicodeDecodeError as error:
                whole = block[: block.rfind(b"\n", 0, error.start) + 1]
                if whole:
                    yield self._give(whole)
                raise

    def _give(self, block: bytes) -> list[str]:
        text = block.decode()
        if len(block) > BLOCK_BYTES or self.mark != _NONE:
            self._check_width(text)
        lines = StringIO(text, newline="\n").readlines()
        self._given += len(lines)
        self._bytes += len(block)
        self._last = len(block)
        if self.mark == _NONE:
            self.mark = self._given
        elif self._open > self._row_bytes_max:
            raise LineTooLongError
        else:
            self._open += len(block)
            if self._open > LONG_ROW_BYTES:
                self._on_long_row()
        return lines
