"""Reads CSV text row by row, refusing what is not a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from sluice.domain.errors import ErrorCode, SluiceError

CELL_CHARS_MAX = 8 * 1024 * 1024
"""Longer than any batch may be; a quote that is never closed is noticed here instead of filling the memory."""


class CsvRows:
    """The rows below the header. Read once; any fault raises with the line it was found in."""

    def __init__(
        self,
        lines: Iterable[str],
        *,
        delimiter: str = ",",
        columns: tuple[str, ...] = (),
        null_value: str | None = None,
    ) -> None:
        csv.field_size_limit(CELL_CHARS_MAX)
        self._reader = csv.reader(lines, delimiter=delimiter, strict=True)
        self._null_value = null_value
        self.columns = columns or self._read_header()

    def __iter__(self) -> Iterator[list[str | None]]:
        """Yield the rows. A blank line is no row, except in a table of one column, where it is an empty cell."""
        width = len(self.columns)
        null_value = self._null_value
        row_number = 0
        for row in self._read():
            if not row:
                if width > 1:
                    continue
                row = [""]  # noqa: PLW2901 - the csv module's word for a blank line is an empty list
            row_number += 1
            if len(row) != width:
                raise SluiceError(
                    ErrorCode.ROW_WIDTH_MISMATCH, row=row_number, line=self._line, cells=len(row), columns=width
                )
            yield row if null_value is None else [None if cell == null_value else cell for cell in row]  # type: ignore[misc]  # a list of str is one of str | None to whoever only reads it

    @property
    def _line(self) -> int:
        return int(self._reader.line_num)

    def _read_header(self) -> tuple[str, ...]:
        for row in self._read():
            if row:
                return tuple(row)
        raise SluiceError(ErrorCode.INVALID_REQUEST, "the input is empty: a CSV file begins with the column names")

    def _read(self) -> Iterator[list[str]]:
        try:
            yield from self._reader
        except csv.Error as error:
            detail = f"the input is not CSV with this delimiter and these quotes: {error}"
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, line=self._line) from None
        except UnicodeDecodeError as error:
            detail = f"the input is not text in {error.encoding}; --encoding names another"
            raise SluiceError(ErrorCode.INVALID_TEXT, detail, after_line=self._line) from None
