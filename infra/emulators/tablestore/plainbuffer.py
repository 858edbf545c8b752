"""The numbers of the row format, its checksum, and a cell as requests carry it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import crcmod

from infra.emulators.tablestore.values import NamedKey, Value

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
    """A row as a request spells it."""

    key: NamedKey
    changes: tuple[Change, ...]
    is_delete_marked: bool
