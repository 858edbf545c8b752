"""Where the parts of one staged upload lie: a file with one fixed record per part number."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from sluice.ports.object_store import PartReceipt
from sluice.ports.store_errors import InvalidParts

PARTS_MAX = 10_000
"""As OSS has it."""

_RECORD = struct.Struct("<4Q")
_ABSENT = bytes(_RECORD.size)
_HEADER = 0
"""The record before part 1; its size is the distance between the places of two neighbours."""


class Place(IntEnum):
    """Which file holds a part."""

    BODY = 1
    """The file that becomes the object."""
    SPILL = 2
    """The file for parts that do not fit where their number says they belong."""


class Part(NamedTuple):
    """One part that was put."""

    place: Place
    offset: int
    size: int
    crc64: int

    @property
    def etag(self) -> str:
        return f"{self.crc64:016x}"


class PartsLedger:
    """The parts put so far. A part costs the same however many there are.

    The caller holds the upload's lock. A record is one small write, so a killed
    process leaves it either old or new.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("r+b", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def slot_bytes(self, size: int) -> int:
        """Return the distance between the places of two neighbours: ``size`` if this is the upload's first part."""
        header = self.read(_HEADER)
        if header is None:
            header = Part(Place.BODY, 0, size, 0)
            self.write(_HEADER, header)
        return header.size

    def read(self, part_number: int) -> Part | None:
        self._file.seek(part_number * _RECORD.size)
        record = self._file.read(_RECORD.size)
        if record in (b"", _ABSENT):
            return None
        place, offset, size, crc64 = _RECORD.unpack(record)
        return Part(Place(place), offset, size, crc64)

    def write(self, part_number: int, part: Part) -> None:
        self._replace(part_number, _RECORD.pack(*part))

    def erase(self, part_number: int) -> None:
        self._replace(part_number, _ABSENT)

    def select(self, receipts: Sequence[PartReceipt]) -> list[Part]:
        """Find the parts that ``receipts`` name. Raises ``InvalidParts`` unless each is exactly what was put."""
        numbers = [receipt.part_number for receipt in receipts]
        if not numbers or numbers != sorted(set(numbers)):
            raise InvalidParts("parts are named in order, once each, and at least one")
        return [self._match(receipt) for receipt in receipts]

    def count(self) -> int:
        """Count the parts."""
        self._file.seek(_RECORD.size)
        records = self._file.read(PARTS_MAX * _RECORD.size)
        return sum(place != 0 for place, *_ in _RECORD.iter_unpack(records))

    def _match(self, receipt: PartReceipt) -> Part:
        part = self.read(receipt.part_number) if 1 <= receipt.part_number <= PARTS_MAX else None
        if part is None or (part.etag, part.size) != (receipt.etag, receipt.size):
            raise InvalidParts(f"part {receipt.part_number} is not what the receipt says")
        return part

    def _replace(self, part_number: int, record: bytes) -> None:
        self._file.seek(part_number * _RECORD.size)
        self._file.write(record)
