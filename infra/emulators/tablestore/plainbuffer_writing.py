"""Writes rows into answers. Shares no code with the SDK that reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from infra.emulators.tablestore.plainbuffer import HEADER, Kind, Tag, crc8
from infra.emulators.tablestore.values import KeyValue, NamedKey, Value

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
    spelled = name.encode()
    checksum = crc8(spelled + content + timestamp)
    checksums.append(checksum)
    pieces += [
        struct.pack("<BBi", Tag.CELL, Tag.CELL_NAME, len(spelled)),
        spelled,
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
            spelled = value.encode()
            return struct.pack("<Bi", Kind.STRING, len(spelled)) + spelled
        case bytes():
            return struct.pack("<Bi", Kind.BINARY, len(value)) + value
        case _:
            return bytes([value.value])
