"""The files of one upload in parts: where its parts lie, and how they become one object."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from sluice.adapters.crc64 import crc64_of, join_crc64
from sluice.adapters.directory.atomic_file import Sync, open_file, private_opener
from sluice.adapters.directory.object_file import Label
from sluice.adapters.object_names import PARTS_MAX, check_order
from sluice.ports.object_store import PartReceipt
from sluice.ports.store_errors import InvalidParts

_RECORD = struct.Struct("<4Q")
_ABSENT = bytes(_RECORD.size)
_HEADER = 0
"""The record before part 1; its size is the distance between the places of two neighbours."""


class PartFile(IntEnum):
    """Which file holds a part."""

    BODY = 1
    """The file that becomes the object."""
    SPILL = 2
    """The file for parts that do not fit where their number says they belong."""


_PLACES = frozenset(PartFile)


class Part(NamedTuple):
    """One part that was put."""

    file: PartFile
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
            header = Part(PartFile.BODY, 0, size, 0)
            self.write(_HEADER, header)
        return header.size

    def read(self, part_number: int) -> Part | None:
        self._file.seek(part_number * _RECORD.size)
        record = self._file.read(_RECORD.size)
        if len(record) < _RECORD.size or record == _ABSENT:
            return None  # also one that a power failure cut short
        place, offset, size, crc64 = _RECORD.unpack(record)
        return Part(PartFile(place), offset, size, crc64) if place in _PLACES else None

    def write(self, part_number: int, part: Part) -> None:
        self._replace(part_number, _RECORD.pack(*part))

    def erase(self, part_number: int) -> None:
        self._replace(part_number, _ABSENT)

    def select(self, receipts: Sequence[PartReceipt]) -> list[Part]:
        """Find the parts that ``receipts`` name. Raises ``InvalidParts`` unless each is exactly what was put."""
        check_order(receipts)
        parts = []
        for receipt in receipts:
            part = self.read(receipt.part_number)
            if part is None or (part.etag, part.size) != (receipt.etag, receipt.size):
                raise InvalidParts(f"part {receipt.part_number} is not what the receipt says")
            parts.append(part)
        return parts

    def count(self) -> int:
        """Count the parts."""
        self._file.seek(_RECORD.size)
        records = self._file.read(PARTS_MAX * _RECORD.size)
        records = records[: len(records) - len(records) % _RECORD.size]
        return sum(place != 0 for place, *_ in _RECORD.iter_unpack(records))

    def _replace(self, part_number: int, record: bytes) -> None:
        self._file.seek(part_number * _RECORD.size)
        self._file.write(record)


BODY = "body"
LEDGER = "ledger"
_SPILL = "spill"
_WHOLE = "whole"
_COPY_BYTES = 1 << 20


class StagedUpload:
    """An upload whose lock we hold.

    All parts but the last are normally of one size, so a part is written where
    it belongs in the object, in whatever order parts come: completing then
    copies nothing. A part that does not fit its place is spilled beside it and
    copied at the end. ``check_room`` is called before so many bytes are written, and may raise.
    """

    def __init__(self, folder: Path, body: BinaryIO, check_room: Callable[[int], object]) -> None:
        self._folder = folder
        self._body = body
        self._check_room = check_room

    def put_part(self, part_number: int, data: bytes) -> PartReceipt:
        """Keep a part; the last put of a number wins."""
        crc64 = crc64_of(data)
        with PartsLedger(self._folder / LEDGER) as ledger:
            part = ledger.read(part_number)
            if part is None or (part.crc64, part.size) != (crc64, len(data)):
                if part is not None:
                    ledger.erase(part_number)  # first, so that a half-overwritten part is no part
                part = self._place(part_number, data, crc64=crc64, slot_bytes=ledger.slot_bytes(len(data)))
                ledger.write(part_number, part)
        return PartReceipt(part_number, part.etag, part.size)

    def assemble(self, receipts: Sequence[PartReceipt], metadata: dict[str, str], sync: Sync) -> Path:
        """Make the object's file from the named parts, on disk but not under its key. May be repeated."""
        with PartsLedger(self._folder / LEDGER) as ledger:
            parts = ledger.select(receipts)
            leftovers = ledger.count() > len(parts)
        offsets = [0, *accumulate(part.size for part in parts)]
        in_place = all(
            part.file is PartFile.SPILL or part.offset == at for part, at in zip(parts, offsets, strict=False)
        )
        crc64 = 0
        for part in parts:
            crc64 = join_crc64(crc64, part.crc64, second_size=part.size)
        label = Label(offsets[-1], crc64, metadata, tuple((part.size, part.crc64) for part in parts))
        if in_place and not leftovers:
            spilled = [(part, at) for part, at in zip(parts, offsets, strict=False) if part.file is PartFile.SPILL]
            self._finish(self._body, spilled, label, sync)
            return self._folder / BODY
        with open(self._folder / _WHOLE, "w+b", buffering=0, opener=private_opener) as whole:
            self._finish(whole, list(zip(parts, offsets, strict=False)), label, sync)
        return self._folder / _WHOLE

    def end(self) -> None:
        """Make the upload be over, if completing it has not done so already."""
        (self._folder / BODY).unlink(missing_ok=True)

    def _place(self, part_number: int, data: bytes, *, crc64: int, slot_bytes: int) -> Part:
        self._check_room(len(data))
        if len(data) <= slot_bytes:
            offset = (part_number - 1) * slot_bytes
            _write_at(self._body, offset, data)
            return Part(PartFile.BODY, offset, len(data), crc64)
        with open(self._folder / _SPILL, "ab", buffering=0, opener=private_opener) as spill:
            offset = spill.seek(0, os.SEEK_END)
            _write_at(spill, offset, data)
        return Part(PartFile.SPILL, offset, len(data), crc64)

    def _finish(self, target: BinaryIO, copies: Sequence[tuple[Part, int]], label: Label, sync: Sync) -> None:
        """Copy parts to their offsets in ``target``, put the label after them, and bring it all to the disk."""
        for part, offset in copies:
            name = BODY if part.file is PartFile.BODY else _SPILL
            with os.fdopen(open_file(self._folder / name), "rb", buffering=0) as source:
                for done in range(0, part.size, _COPY_BYTES):
                    source.seek(part.offset + done)
                    copied = source.read(min(_COPY_BYTES, part.size - done))
                    self._check_room(len(copied))
                    _write_at(target, offset + done, copied)
        target.truncate(label.size)
        _write_at(target, label.size, label.encode())
        sync(target.fileno())


def _write_at(file: BinaryIO, offset: int, data: bytes) -> None:
    """Write all of ``data``; an unbuffered file may take less at a time."""
    file.seek(offset)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
