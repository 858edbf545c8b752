"""Reads rows from JSON Lines (NDJSON): one JSON array or object on each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.tables.readers.batching import TOO_LARGE, Hints, ReadRows, TableBatch, cut_batches, one_batch
from sluice.tables.readers.json import exact_json, has_commas, is_exact
from sluice.tables.readers.lines import BLOCK_BYTES, LineTooLongError, line_blocks
from sluice.tables.readers.records import RowShape, batch_of_rows, rows_of_records, too_wide

_fast = msgspec.json.Decoder(float_hook=str)


class _LineBlock(NamedTuple):
    texts: list[bytes]
    numbers: Sequence[int]
    bytes: int


class JsonLinesTable:
    """Implements ``TableReader``. Reads the first row when it is made: it decides whether rows are arrays or objects.

    Blank lines are no rows. A line holds one value, whole.
    """

    def __init__(self, blocks: Iterable[bytes], limits: Limits, *, hints: Hints | None = None) -> None:
        self._limits = limits
        self._hints = hints or Hints()
        self._lines = _lines_of(blocks, limits)
        self._first: dict[str, object] | None = None
        lines = next(self._lines, None)
        if lines is not None:
            self._lines = chain([lines], self._lines)
            if _is_wider(lines, limits.columns_max):
                raise SluiceError(ErrorCode.TOO_MANY_COLUMNS, columns_max=limits.columns_max)
            first = _decode_exactly(lines.texts[0], row=1, line=lines.numbers[0])
            self._first = first if isinstance(first, dict) else None

    def read_names(self) -> tuple[str, ...]:
        if not self._first:
            detail = f"The input does not name its columns, as a first row that is an object does: {self._hints.names}."
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field="columns")
        return tuple(self._first)

    def batches(self, shape: RowShape) -> Iterator[TableBatch]:
        return cut_batches(self._groups(shape), shape, self._limits, batch_of_rows)

    def batch(self, shape: RowShape) -> TableBatch:
        return one_batch(self._groups(shape), shape, batch_of_rows)

    def _groups(self, shape: RowShape) -> Iterator[ReadRows]:
        done = 0
        for lines in self._lines:
            if _is_wider(lines, shape.width):
                raise too_wide(shape.width, row=done + 1, line=lines.numbers[0])
            group = self._fast_group(lines, shape)
            if group is not None:
                yield group
            else:
                yield from self._exact_groups(lines, shape, done)
            done += len(lines.texts)

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
        cells = sum(map(len, records))
        syntax_bytes = cells  # a bracket or a comma for each
        if are_objects and cells == shape.width * len(records):
            syntax_bytes = 4 * cells + shape.names_size * len(records)  # a name, its quotes and a colon
        return ReadRows(rows, lines.numbers, lines.bytes - syntax_bytes)

    def _exact_groups(self, lines: _LineBlock, shape: RowShape, done: int) -> Iterator[ReadRows]:
        """Decode line by line. The rows before an error are yielded before it is raised."""
        rows: list[Any] = []
        for text, number in zip(lines.texts, lines.numbers, strict=True):
            row = done + len(rows) + 1
            try:
                record = _decode_exactly(text, row=row, line=number)
                rows += rows_of_records([record], shape, are_objects=self._first is not None)
            except SluiceError as error:
                yield ReadRows(rows, lines.numbers[: len(rows)], lines.bytes)
                raise SluiceError(error.code, error.detail, **{**error.facts, "row": row, "line": number}) from None
        yield ReadRows(rows, lines.numbers, lines.bytes)


def _lines_of(blocks: Iterable[bytes], limits: Limits) -> Iterator[_LineBlock]:
    """Yield the lines that are not blank, some at a time. Raises BATCH_TOO_LARGE for one that is too long."""
    rows = count = 0
    try:
        for block in line_blocks(blocks, limits.input_bytes_max):
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


def _is_wider(lines: _LineBlock, width: int) -> bool:
    """Whether the first line has more values than ``width``; asked before a line of megabytes becomes as many objects.

    Only the first line of a block can be long, and short ones are many objects only together.
    """
    text = lines.texts[0]
    return len(text) > BLOCK_BYTES and has_commas(text, width)


def _decode_exactly(text: bytes, *, row: int, line: int) -> Any:
    try:
        return exact_json(text, numbers=str)
    except SluiceError as error:
        raise SluiceError(error.code, error.detail, **{**error.facts, "row": row, "line": line}) from None
