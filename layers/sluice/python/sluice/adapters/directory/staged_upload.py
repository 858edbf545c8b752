"""The files of one upload in parts, and how they become one object."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from sluice.adapters.crc64 import crc64_of, join_crc64
from sluice.adapters.directory.atomic_file import Sync
from sluice.adapters.directory.object_file import Label
from sluice.adapters.directory.parts_ledger import Part, PartsLedger, Place
from sluice.ports.object_store import PartReceipt

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
    copied at the end.
    """

    def __init__(self, folder: Path, body: BinaryIO) -> None:
        self._folder = folder
        self._body = body

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
        in_place = all(part.place is Place.SPILL or part.offset == at for part, at in zip(parts, offsets, strict=False))
        label = Label(offsets[-1], _joined_crc64(parts), metadata)
        if in_place and not leftovers:
            spilled = [(part, at) for part, at in zip(parts, offsets, strict=False) if part.place is Place.SPILL]
            self._finish(self._body, spilled, label, sync)
            return self._folder / BODY
        with (self._folder / _WHOLE).open("w+b", buffering=0) as whole:
            self._finish(whole, list(zip(parts, offsets, strict=False)), label, sync)
        return self._folder / _WHOLE

    def end(self) -> None:
        """Make the upload be over, if completing it has not done so already."""
        (self._folder / BODY).unlink(missing_ok=True)

    def _place(self, part_number: int, data: bytes, *, crc64: int, slot_bytes: int) -> Part:
        if len(data) <= slot_bytes:
            offset = (part_number - 1) * slot_bytes
            _write_at(self._body, offset, data)
            return Part(Place.BODY, offset, len(data), crc64)
        with (self._folder / _SPILL).open("ab", buffering=0) as spill:
            offset = spill.seek(0, os.SEEK_END)
            _write_at(spill, offset, data)
        return Part(Place.SPILL, offset, len(data), crc64)

    def _finish(self, target: BinaryIO, copies: Sequence[tuple[Part, int]], label: Label, sync: Sync) -> None:
        """Copy parts to their offsets in ``target``, put the label after them, and bring it all to the disk."""
        for part, offset in copies:
            self._copy(part, target, offset)
        target.truncate(label.size)
        _write_at(target, label.size, label.encode())
        sync(target.fileno())

    def _copy(self, part: Part, target: BinaryIO, offset: int) -> None:
        name = BODY if part.place is Place.BODY else _SPILL
        with (self._folder / name).open("rb", buffering=0) as source:
            for done in range(0, part.size, _COPY_BYTES):
                source.seek(part.offset + done)
                _write_at(target, offset + done, source.read(min(_COPY_BYTES, part.size - done)))


def _joined_crc64(parts: Sequence[Part]) -> int:
    crc64 = 0
    for part in parts:
        crc64 = join_crc64(crc64, part.crc64, second_size=part.size)
    return crc64


def _write_at(file: BinaryIO, offset: int, data: bytes) -> None:
    """Write all of ``data``; an unbuffered file may take less at a time."""
    file.seek(offset)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
