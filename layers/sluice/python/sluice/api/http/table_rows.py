"""Cuts a body into batches: always at the same rows, wherever the network cut it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sluice.api.http.rows_csv import check_header, csv_records, not_utf8, without_blanks
from sluice.api.http.rows_ndjson import decode_lines
from sluice.api.rows import RowShape, batch_of_records, batch_of_texts
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import KIB, Limits
from sluice.tables.batch import Batch

UTF8_BOM = b"\xef\xbb\xbf"
RECORD_BYTES_FACTOR = 3
"""A record is at most so many times a batch's limit; an unclosed quote would otherwise hold everything after it."""
CELL_BYTES = 2
"""What a null costs in a chunk, whatever it costs in the body."""

ShapeFor = Callable[[list[str] | None], RowShape]


class Size(NamedTuple):
    """When a batch is full: at this many rows, or at this many bytes. No second row takes it beyond ``size_max``."""

    rows: int
    size: int
    size_max: int


_GROWTH = ((4_000, 1_000, 256 * KIB), (7_000, 4_000, 1_024 * KIB), (10_000, 33_000, 3_072 * KIB))
"""Up to which sequence, rows, bytes. Small batches first; then larger, for 100 million rows to fit into 10,000."""


def batch_size(sequence: int, limits: Limits) -> Size:
    """The size of batch ``sequence``; depends on nothing else, so that a body sent again gives the same batches."""
    _, rows, size = next((step for step in _GROWTH if sequence <= step[0]), _GROWTH[-1])
    size_max = limits.batch_bytes_max * 3 // 4
    return Size(min(rows, limits.batch_rows_max), min(size, size_max), size_max)


@dataclass(slots=True)
class Cut:
    """The rows of one batch."""

    shape: RowShape
    decode: Callable[[list[Any], RowShape], Batch]
    records: list[Any] = field(default_factory=list)
    size: int = 0

    @property
    def rows(self) -> int:
        return len(self.records)

    def to_batch(self) -> Batch:
        return self.decode(self.records, self.shape)


def csv_cuts(body: Iterable[bytes], limits: Limits, shape_for: ShapeFor, *, has_header: bool) -> Iterator[Cut]:
    """Cut a CSV body. Its header, if it has one, tells ``shape_for`` the names."""
    lines = _CsvLines(_lines(body, limits), limits)
    records = csv_records(lines)
    header = next(records, None) if has_header else None
    lines.take()
    if has_header and header is None:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The body has no header.", field="header")
    shape = shape_for(header)
    if has_header:
        check_header(header, shape)
    sized = ((record, lines.take()) for record in without_blanks(records, shape.width))
    return _cuts(sized, limits, Cut(shape, batch_of_texts))


def ndjson_cuts(body: Iterable[bytes], limits: Limits, shape_for: ShapeFor, *, has_header: bool) -> Iterator[Cut]:
    """Cut an NDJSON body. If its first row is an object, its names are told to ``shape_for``."""
    del has_header  # of CSV
    lines = (line for line in _lines(body, limits) if not line.isspace())
    first = next(lines, None)
    names = _names(first) if first is not None else None
    shape = shape_for(names)
    return _cuts(_sized(first, lines), limits, Cut(shape, _batch_of_lines))


def _sized(first: bytes | None, lines: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    if first is not None:
        yield first, len(first)
    for line in lines:
        yield line, len(line)


def _names(line: bytes) -> list[str] | None:
    record = decode_lines([line])[0]
    return list(record) if isinstance(record, dict) else None


def _batch_of_lines(lines: list[bytes], shape: RowShape) -> Batch:
    return batch_of_records(decode_lines(lines), shape)


def _cuts(records: Iterable[tuple[Any, int]], limits: Limits, empty: Cut) -> Iterator[Cut]:
    """Gather records until a batch is full, or the next one would make it too large to be stored."""
    row_bytes = CELL_BYTES * empty.shape.width
    sequence, cut = 1, empty
    limit = batch_size(sequence, limits)
    for record, record_bytes in records:
        size = record_bytes + row_bytes
        if cut.rows >= limit.rows or cut.size >= limit.size or (cut.rows and cut.size + size > limit.size_max):
            yield cut
            sequence += 1
            limit = batch_size(sequence, limits)
            cut = Cut(empty.shape, empty.decode)
        cut.records.append(record)
        cut.size += size
    if cut.records:
        yield cut


class _CsvLines:
    """Lines as text, and how many bytes of them the record just read took."""

    def __init__(self, lines: Iterator[bytes], limits: Limits) -> None:
        self._lines = lines
        self._size_max = limits.batch_bytes_max * RECORD_BYTES_FACTOR
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self._size += len(line)
            _check_record(self._size, self._size_max)
            try:
                yield line.decode()
            except UnicodeDecodeError:
                raise not_utf8() from None

    def take(self) -> int:
        size, self._size = self._size, 0
        return size


def _lines(body: Iterable[bytes], limits: Limits) -> Iterator[bytes]:
    """Yield lines with their ends, without a byte order mark before the first."""
    size_max = limits.batch_bytes_max * RECORD_BYTES_FACTOR
    rest: list[bytes] = []
    size = 0
    for block in _without_bom(body):
        *lines, tail = block.split(b"\n")
        for line in lines:
            yield b"".join((*rest, line, b"\n"))
            rest, size = [], 0
        rest.append(tail)
        size += len(tail)
        _check_record(size, size_max)
    if size:
        yield b"".join(rest)


def _without_bom(body: Iterable[bytes]) -> Iterator[bytes]:
    blocks = iter(body)
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(UTF8_BOM):
            break
    yield head.removeprefix(UTF8_BOM)
    yield from blocks


def _check_record(size: int, size_max: int) -> None:
    if size > size_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, "One row is larger than a batch may be.")
