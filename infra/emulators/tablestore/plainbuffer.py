"""The row format: its numbers and checksum, a cell as requests carry it, and writing rows."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

import crcmod

from infra.emulators.tablestore.values import KeyValue, NamedKey, Value

HEADER = 0x75
crc8 = crcmod.mkCrcFun(0x107, initCrc=0, rev=False)


class Tag(IntEnum):
    KEY = 1
    DATA = 2
    CELL = 3
    CELL_NAME = 4
    CELL_VALUE = 5
    CELL_OPERATION = 6
    CELL_TIMESTAMP = 7
    DELETED_ROW = 8
    ROW_CHECKSUM = 9
    CELL_CHECKSUM = 10


class Kind(IntEnum):
    """Which type a value has; the bounds have their own numbers."""

    INTEGER = 0
    DOUBLE = 1
    BOOLEAN = 2
    STRING = 3
    BINARY = 7


class CellOperation(IntEnum):
    PUT = 0
    """Never on the wire: what a cell without an operation means."""
    DELETE_ALL = 1
    DELETE_ONE = 3
    INCREMENT = 4


class Change(NamedTuple):
    """What one cell of a request asks for."""

    name: str
    value: Value | None
    operation: CellOperation
    timestamp: int | None
    """Milliseconds; None lets the service choose."""


class WrittenRow(NamedTuple):
    """A row in the encoding of requests."""

    key: NamedKey
    changes: tuple[Change, ...]
    is_delete_marked: bool


_HEADER = struct.pack("<i", HEADER)


class ReadCell(NamedTuple):
    """One version of one column of an answer."""

    name: str
    value: Value
    timestamp: int


class ReadRow(NamedTuple):
    """What an answer says of one row."""

    key: NamedKey
    cells: Sequence[ReadCell]


def write_rows(rows: Iterable[ReadRow]) -> bytes:
    """Return the rows one after the other behind one header; nothing at all for no rows."""
    written = b"".join(_written(row) for row in rows)
    return _HEADER + written if written else b""


def _written(row: ReadRow) -> bytes:
    pieces = [bytes([Tag.KEY])]
    checksums = bytearray()
    for name, value in row.key:
        _add_cell(pieces, checksums, name=name, content=_content(value), timestamp=b"")
    if row.cells:
        pieces.append(bytes([Tag.DATA]))
    for cell in row.cells:
        timestamp = struct.pack("<q", cell.timestamp)
        _add_cell(pieces, checksums, name=cell.name, content=_content(cell.value), timestamp=timestamp)
    checksums.append(0)  # not a deleted row
    pieces.append(bytes([Tag.ROW_CHECKSUM, crc8(bytes(checksums))]))
    return b"".join(pieces)


def _add_cell(pieces: list[bytes], checksums: bytearray, *, name: str, content: bytes, timestamp: bytes) -> None:
    encoded = name.encode()
    checksum = crc8(encoded + content + timestamp)
    checksums.append(checksum)
    pieces += [
        struct.pack("<BBi", Tag.CELL, Tag.CELL_NAME, len(encoded)),
        encoded,
        struct.pack("<Bi", Tag.CELL_VALUE, len(content)),
        content,
        bytes([Tag.CELL_TIMESTAMP]) + timestamp if timestamp else b"",
        bytes([Tag.CELL_CHECKSUM, checksum]),
    ]


def _content(value: Value | KeyValue) -> bytes:
    match value:
        case bool():
            return struct.pack("<B?", Kind.BOOLEAN, value)
        case int():
            return struct.pack("<Bq", Kind.INTEGER, value)
        case float():
            return struct.pack("<Bd", Kind.DOUBLE, value)
        case str():
            encoded = value.encode()
            return struct.pack("<Bi", Kind.STRING, len(encoded)) + encoded
        case bytes():
            return struct.pack("<Bi", Kind.BINARY, len(value)) + value
        case _:
            return bytes([value.value])
