"""Reads rows out of requests, with every checksum verified. Shares no code with the SDK that wrote them."""

from __future__ import annotations

import struct
from typing import NamedTuple

from infra.emulators.tablestore.plainbuffer import HEADER, CellOperation, Change, Kind, Tag, WrittenRow, crc8
from infra.emulators.tablestore.refusals import Refused, invalid
from infra.emulators.tablestore.values import Bound, KeyValue, NamedKey, Value


def read_row(data: bytes) -> WrittenRow:
    """Return the one row that ``data`` holds. Raises Refused for anything that is not exactly that."""
    cursor = _Cursor(data)
    if cursor.int32() != HEADER:
        raise invalid("Invalid plain buffer: wrong header.")
    cursor.expect(Tag.KEY)
    key = cursor.cells()
    changes = cursor.cells() if cursor.skip(Tag.DATA) else []
    deleted = cursor.skip(Tag.DELETED_ROW)
    cursor.expect(Tag.ROW_CHECKSUM)
    checksums = bytes([cell.checksum for cell in [*key, *changes]] + [deleted])
    if cursor.byte() != crc8(checksums):
        raise invalid("Invalid plain buffer: the row's checksum is wrong.")
    cursor.expect_end()
    return WrittenRow(_key_of(key), tuple(_change_of(cell) for cell in changes), is_delete_marked=deleted)


def read_key(data: bytes) -> NamedKey:
    """Return the primary key that ``data`` holds."""
    return read_row(data).key


def read_value(data: bytes) -> Value | Bound:
    """Return the value of a type byte and what follows it."""
    if not data:
        raise invalid("Invalid plain buffer: a value without a type.")
    kind, content = data[0], data[1:]
    try:
        return _read_content(kind, content)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise invalid(f"Invalid plain buffer: a value of type {kind} cannot be read.") from error


def _read_content(kind: int, content: bytes) -> Value | Bound:
    match kind:
        case Kind.INTEGER:
            (number,) = struct.unpack("<q", content)
            return int(number)
        case Kind.DOUBLE:
            (real,) = struct.unpack("<d", content)
            return float(real)
        case Kind.BOOLEAN:
            return bool(content[0])
        case Kind.STRING:
            return _measured(content).decode("utf-8")
        case Kind.BINARY:
            return _measured(content)
        case Bound.MIN.value | Bound.MAX.value | Bound.AUTO.value:
            return Bound(kind)
        case _:
            raise invalid(f"Invalid plain buffer: no value has the type {kind}.")


def _measured(content: bytes) -> bytes:
    (size,) = struct.unpack_from("<i", content)
    if size != len(content) - 4:
        raise invalid("Invalid plain buffer: a text of another length than announced.")
    return content[4:]


class _Cell(NamedTuple):
    name: str
    value: Value | Bound | None
    operation: CellOperation
    timestamp: int | None
    checksum: int


def _key_of(cells: list[_Cell]) -> NamedKey:
    return tuple((cell.name, _key_value(cell)) for cell in cells)


def _key_value(cell: _Cell) -> KeyValue:
    if cell.value is None or isinstance(cell.value, bool | float):
        kind = {"bool": "BOOLEAN", "float": "DOUBLE", "NoneType": "NULL"}[type(cell.value).__name__]
        raise invalid(f"{kind} is an invalid type for the primary key.")
    return cell.value


def _change_of(cell: _Cell) -> Change:
    if isinstance(cell.value, Bound):
        raise invalid(f"{cell.value.name} is an invalid type for the attribute column.")
    if cell.value is None and cell.operation in {CellOperation.PUT, CellOperation.INCREMENT}:
        raise invalid(f"The column '{cell.name}' has no value.")
    if cell.operation is CellOperation.DELETE_ONE and cell.timestamp is None:
        raise invalid(f"The version of column '{cell.name}' to delete is not specified.")
    return Change(cell.name, cell.value, cell.operation, cell.timestamp)


class _Cursor:
    """Where in the bytes we are."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def cells(self) -> list[_Cell]:
        cells = []
        while self.skip(Tag.CELL):
            cells.append(self._cell())
        return cells

    def _cell(self) -> _Cell:
        self.expect(Tag.CELL_NAME)
        name = self._take(self.int32())
        content = self._take(self.int32()) if self.skip(Tag.CELL_VALUE) else b""
        operation = self.byte() if self.skip(Tag.CELL_OPERATION) else 0
        timestamp = self._take(8) if self.skip(Tag.CELL_TIMESTAMP) else b""
        # On the wire the operation stands before the time stamp, in the checksum after it.
        checksum = crc8(name + content + timestamp + (bytes([operation]) if operation else b""))
        self.expect(Tag.CELL_CHECKSUM)
        if self.byte() != checksum:
            raise invalid("Invalid plain buffer: a cell's checksum is wrong.")
        return _Cell(
            name=_decoded(name),
            value=read_value(content) if content else None,
            operation=_operation(operation),
            timestamp=struct.unpack("<q", timestamp)[0] if timestamp else None,
            checksum=checksum,
        )

    def skip(self, tag: Tag) -> bool:
        """Step over ``tag`` if it is what comes next."""
        if self._data[self._at : self._at + 1] != bytes([tag]):
            return False
        self._at += 1
        return True

    def expect(self, tag: Tag) -> None:
        if not self.skip(tag):
            raise invalid(f"Invalid plain buffer: {tag.name} expected at byte {self._at}.")

    def expect_end(self) -> None:
        if self._at != len(self._data):
            raise invalid("Invalid plain buffer: bytes after the row.")

    def byte(self) -> int:
        return self._take(1)[0]

    def int32(self) -> int:
        return int.from_bytes(self._take(4), "little", signed=True)

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size] if size >= 0 else b""
        if len(taken) != size:
            raise invalid("Invalid plain buffer: it ends too early.")
        self._at += size
        return taken


def _decoded(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid("Invalid plain buffer: a name that is no UTF-8.") from error


def _operation(number: int) -> CellOperation:
    try:
        return CellOperation(number)
    except ValueError as error:
        raise _unknown_operation(number) from error


def _unknown_operation(number: int) -> Refused:
    return invalid(f"Invalid plain buffer: no operation on a cell has the number {number}.")
