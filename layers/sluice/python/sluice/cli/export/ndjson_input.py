"""Reads NDJSON, one object or array a line, row by row; digits stay as they were sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NoReturn

from sluice.domain.errors import ErrorCode, SluiceError

LINE_BYTES_MAX = 16 * 1024 * 1024
"""Longer than any batch may be."""


class NdjsonRows:
    """The rows of a stream of JSON lines. Without ``columns`` the keys of the first object are the columns."""

    def __init__(self, content: IO[bytes], *, columns: tuple[str, ...] = ()) -> None:
        self._lines = _numbered_lines(content)
        self._first = next(self._lines, None)
        self.columns = columns or self._columns_of_first()
        self._places = {name: place for place, name in enumerate(self.columns)}

    def __iter__(self) -> Iterator[list[str | None]]:
        """Yield the rows. A key that an object lacks is null; a key that is no column is refused."""
        if self._first is not None:
            yield self._row(*self._first)
        for number, value in self._lines:
            yield self._row(number, value)

    def _columns_of_first(self) -> tuple[str, ...]:
        if self._first is None:
            raise SluiceError(
                ErrorCode.INVALID_REQUEST, "the input is empty; --columns names the columns of an empty table"
            )
        number, value = self._first
        if not isinstance(value, dict) or not value:
            raise _refused(number, "rows that are arrays need --columns")
        return tuple(value)

    def _row(self, number: int, value: object) -> list[str | None]:
        if isinstance(value, dict):
            return self._row_of_object(number, value)
        if isinstance(value, list):
            return self._row_of_array(number, value)
        raise _refused(number, "a row is a JSON object or array")

    def _row_of_object(self, number: int, value: Mapping[str, object]) -> list[str | None]:
        unknown = value.keys() - self._places.keys()
        if unknown:
            raise _refused(number, "the row has a key that is no column", keys=sorted(unknown)[:10])
        return [_text(number, value.get(name)) for name in self.columns]

    def _row_of_array(self, number: int, value: Sequence[object]) -> list[str | None]:
        if len(value) != len(self.columns):
            raise SluiceError(ErrorCode.ROW_WIDTH_MISMATCH, line=number, cells=len(value), columns=len(self.columns))
        return [_text(number, cell) for cell in value]


def _numbered_lines(content: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Decode the lines that are not blank, each with its number."""
    number = 0
    while line := content.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise SluiceError(ErrorCode.BATCH_TOO_LARGE, "a line is longer than a batch may be", line=number)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, _decode(number, line)


def _decode(number: int, line: bytes) -> object:
    try:
        return json.loads(
            line.decode(),
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object_without_doubles,
        )
    except UnicodeDecodeError:
        raise SluiceError(ErrorCode.INVALID_TEXT, "the line is not UTF-8", line=number) from None
    except (ValueError, RecursionError) as error:
        words = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _refused(number, f"the line is not JSON: {words}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _object_without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a key that comes twice, of which one value would be lost."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key comes twice")
    return made


def _text(number: int, value: object) -> str | None:
    """A value as the text of a cell. Numbers were never parsed."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    raise _refused(number, "a cell is a string, a number, true, false or null")


def _refused(number: int, detail: str, **facts: object) -> SluiceError:
    return SluiceError(ErrorCode.INVALID_REQUEST, detail, line=number, **facts)
