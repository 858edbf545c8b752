"""Reads rows from JSON Lines (NDJSON), one JSON array or object on each line, and from one JSON array of rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.tables.readers.batching import TOO_LARGE, Hints, ReadRows, TableBatch, cut_batches, one_batch
from sluice.tables.readers.json import exact_json, has_commas, is_exact
from sluice.tables.readers.lines import (
    BLOCK_BYTES,
    LONG_ROW_BYTES,
    UTF8_BOM,
    LineTooLongError,
    OnLongRow,
    first_line,
    line_blocks,
    no_matter,
)
from sluice.tables.readers.records import (
    RowShape,
    batch_of_rows,
    check_missing,
    missing_cells,
    rows_of_records,
    too_wide,
)

_fast = msgspec.json.Decoder(float_hook=str)
_CELLS_AT_ONCE = 500_000
"""Cells that lines of objects may become at a time."""


_STRING = r'"(?:[^"\\]|\\.)*+"'
_FLAT = rf"[\[{{](?:[^\"\[\]{{}}]++|{_STRING})*+[\]}}]"
_NESTED = rf"[\[{{](?:[^\"\[\]{{}}]++|{_STRING}|{_FLAT})*+[\]}}]"
_ELEMENT = rf"\s*+(?P<element>{_FLAT}|{_NESTED}|{_STRING}|[^\s\[\]{{}}\",]++)\s*+(?P<then>[,\]])"


def _expect(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode(), re.DOTALL)


_BEGIN = _expect(r"(?P<element>)\s*+(?P<then>\[)")
_END = _expect(r"(?P<element>)(?P<then>(?!))")
_NEXT = {
    b"[": _expect(rf"{_ELEMENT}|\s*+(?P<end>\])"),
    b",": _expect(_ELEMENT),
    b"]": _END,
    b"": _END,
}
"""What may come behind a bracket or a comma of the outer array."""


class _LineBlock(NamedTuple):
    texts: list[bytes]
    numbers: Sequence[int]
    """Of the lines; empty where rows are not lines."""
    bytes: int

    def place(self, index: int) -> dict[str, int]:
        return {"line": self.numbers[index]} if self.numbers else {}


class JsonLinesTable:
    """Implements ``TableReader``. Reads the first row when it is made: it decides whether rows are arrays or objects.

    Blank lines are no rows. A line holds one value, whole. With ``is_array`` the input is one array of rows,
    in which an error has no ``line``.
    """

    def __init__(
        self,
        blocks: Iterable[bytes],
        limits: Limits,
        *,
        hints: Hints | None = None,
        is_array: bool = False,
        on_long_row: OnLongRow = no_matter,
    ) -> None:
        self._limits = limits
        self._hints = hints or Hints()
        self.kind_name = "a JSON array" if is_array else "JSON Lines"
        self._lines = (_elements_of if is_array else _lines_of)(blocks, limits, on_long_row)
        self._first: dict[str, object] | None = None
        self._missing: int | None = None
        """Cells that the objects of one batch have left out so far."""
        lines = next(self._lines, None)
        if lines is not None:
            self._lines = chain([lines], self._lines)
            if _is_wider(lines, limits.columns_max):
                raise SluiceError(ErrorCode.TOO_MANY_COLUMNS, columns_max=limits.columns_max)
            try:
                first = exact_json(lines.texts[0], numbers=str)
            except SluiceError as error:
                raise SluiceError(error.code, error.detail, **{**error.facts, "row": 1, **lines.place(0)}) from None
            self._first = first if isinstance(first, dict) else None

    def read_names(self) -> tuple[str, ...]:
        if not self._first:
            detail = f"The input does not name its columns, as a first row that is an object does: {self._hints.names}."
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field="columns")
        return tuple(self._first)

    def batches(self, shape: RowShape) -> Iterator[TableBatch]:
        # JSON has a null of its own: the text that means null elsewhere is a text here, and weighs as one.
        return cut_batches(self._groups(shape), replace(shape, null_value=None), self._limits, batch_of_rows)

    def batch(self, shape: RowShape) -> TableBatch:
        return one_batch(self._groups(shape, is_one=True), shape, batch_of_rows)

    def _groups(self, shape: RowShape, *, is_one: bool = False) -> Iterator[ReadRows]:
        """Decode some lines at a time; ``is_one`` when all are one batch."""
        done = 0
        self._missing = 0 if is_one else None
        for lines in self._line_blocks(shape):
            if not shape.leaves_others and _is_wider(lines, shape.width):
                raise too_wide(shape.width, row=done + 1, **lines.place(0))
            group = self._fast_group(lines, shape)
            if group is not None:
                yield group
            else:
                yield from self._exact_groups(lines, shape, done)
            done += len(lines.texts)

    def _line_blocks(self, shape: RowShape) -> Iterator[_LineBlock]:
        """The lines, objects in smaller blocks: each becomes a row of all columns, though it may name none."""
        rows = max(1, _CELLS_AT_ONCE // shape.width)
        for lines in self._lines:
            if self._first is None or len(lines.texts) <= rows:
                yield lines
                continue
            for start in range(0, len(lines.texts), rows):
                texts = lines.texts[start : start + rows]
                yield _LineBlock(texts, lines.numbers[start : start + rows], sum(map(len, texts)) + len(texts))

    def _count_missing(self, records: Sequence[Any], shape: RowShape) -> None:
        if self._missing is not None and self._first is not None:
            self._missing += missing_cells(records, shape)
            check_missing(self._missing)

    def _fast_group(self, lines: _LineBlock, shape: RowShape) -> ReadRows | None:
        """Decode all lines by the fast decoder; None where it refuses one, or cannot be trusted."""
        are_objects = self._first is not None
        try:
            records: list[Any] = [_fast.decode(text) for text in lines.texts]
            rows = rows_of_records(records, shape, are_objects=are_objects)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, SluiceError):
            return None
        if not is_exact(records, b"\n".join(lines.texts)):
            return None
        self._count_missing(records, shape)
        cells = sum(map(len, records))
        syntax_bytes = cells  # a bracket or a comma for each
        if are_objects and cells == shape.width * len(records):
            syntax_bytes = 4 * cells + shape.names_size * len(records)  # a name, its quotes and a colon
        return ReadRows(rows, lines.numbers, lines.bytes - syntax_bytes)

    def _exact_groups(self, lines: _LineBlock, shape: RowShape, done: int) -> Iterator[ReadRows]:
        """Decode line by line. The rows before an error are yielded before it is raised."""
        rows: list[Any] = []
        for index, text in enumerate(lines.texts):
            place = {"row": done + index + 1, **lines.place(index)}
            try:
                record = exact_json(text, numbers=str)
                rows += rows_of_records([record], shape, are_objects=self._first is not None)
                self._count_missing([record], shape)
            except SluiceError as error:
                yield ReadRows(rows, lines.numbers[: len(rows)], lines.bytes)
                raise SluiceError(error.code, error.detail, **{**error.facts, **place}) from None
        yield ReadRows(rows, lines.numbers, lines.bytes)


def _lines_of(blocks: Iterable[bytes], limits: Limits, on_long_row: OnLongRow) -> Iterator[_LineBlock]:
    """Yield the lines that are not blank, some at a time. Raises BATCH_TOO_LARGE for one that is too long."""
    rows = count = 0
    try:
        for block in line_blocks(blocks, limits.input_bytes_max, on_long_row=on_long_row):
            texts = block.split(b"\n")
            if not texts[-1]:
                texts.pop()
            kept = [text for text in texts if text and not text.isspace()]
            numbers: Sequence[int] = range(count + 1, count + 1 + len(texts))
            if len(kept) < len(texts):
                numbers = [number for number, text in zip(numbers, texts, strict=True) if text and not text.isspace()]
            if kept:
                yield _LineBlock(kept, numbers, len(block))
            count += len(texts)
            rows += len(kept)
    except LineTooLongError:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, TOO_LARGE, row=rows + 1, line=count + 1) from None


def _elements_of(blocks: Iterable[bytes], limits: Limits, on_long_row: OnLongRow) -> Iterator[_LineBlock]:
    """Yield the elements of one array, some at a time, before what is wrong behind them is raised."""
    reader = _ArrayReader(limits.input_bytes_max, on_long_row)
    _, blocks = first_line(blocks)
    yield from reader.feed(next(blocks, b"").removeprefix(UTF8_BOM))
    for block in blocks:
        yield from reader.feed(block)
    yield from reader.finish()


class _ArrayReader:
    """Finds the elements of an array in a text that comes in pieces; what they hold is for their decoder to judge."""

    def __init__(self, element_bytes_max: int, on_long_row: OnLongRow) -> None:
        self._element_bytes_max = element_bytes_max
        self._on_long_row = on_long_row
        self._text = bytearray()
        self._wait_for = 0
        """Bytes below which a part of an element is not looked at again: however long, it costs a few looks."""
        self._expected = _BEGIN
        self._rows = 0

    def feed(self, data: bytes) -> Iterator[_LineBlock]:
        """Yield the elements that are whole."""
        self._text += data
        if len(self._text) < self._wait_for:
            if len(self._text) > LONG_ROW_BYTES:
                self._on_long_row()
            return
        place = 0
        texts: list[bytes] = []
        while found := self._expected.match(self._text, place):
            place = found.end()
            if found["element"]:
                texts.append(bytes(found["element"]))
            self._expected = _NEXT[bytes(found["then"] or b"")]
        del self._text[:place]
        self._wait_for = 2 * len(self._text)
        if self._wait_for > LONG_ROW_BYTES:
            self._on_long_row()
        self._rows += len(texts)
        if texts:
            yield _LineBlock(texts, (), sum(map(len, texts)))
        if len(self._text) > self._element_bytes_max:
            raise SluiceError(ErrorCode.BATCH_TOO_LARGE, TOO_LARGE, row=self._rows + 1)

    def finish(self) -> Iterator[_LineBlock]:
        """Yield the last elements. Raises INVALID_REQUEST unless the array ended with its text."""
        self._wait_for = 0
        yield from self.feed(b"")
        if self._expected is not _END or self._text.strip():
            detail = "The input is no JSON array of rows, or it is cut short."
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, row=self._rows + 1)


def _is_wider(lines: _LineBlock, width: int) -> bool:
    """Whether the first line has more values than ``width``; asked before a line of megabytes becomes as many objects.

    Only the first line of a block can be long, and short ones are many objects only together.
    """
    text = lines.texts[0]
    return len(text) > BLOCK_BYTES and has_commas(text, width)
