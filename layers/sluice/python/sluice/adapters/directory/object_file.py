"""Objects as files: which file holds which object, and in each the content and after it a label.

One file means one rename, so no reader ever sees new content with an old
label. The content comes first, so a range of it is a range of the file, and
parts can be written before their total is known.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec

from sluice.adapters.crc64 import crc64_of, join_crc64
from sluice.adapters.directory.atomic_file import NO_FILE, open_file, unknown_when_disk_fails
from sluice.adapters.object_names import check_key, check_prefix, is_component
from sluice.domain.limits import KIB, MIB
from sluice.ports.object_store import ListedObject, OnUnreadable
from sluice.ports.store_errors import DamagedObject, NoSuchObject, OutcomeUnknown

_FOOTER = struct.Struct(">I8s")
"""Length of the label before it, and the mark of the format."""
_MARK = b"sluice\x00\x01"
BLOCK_BYTES = 64 * KIB
"""What a download that is not read holds, a few times over: in the reader, in the server and in its connection."""
CHECKED_BYTES_MAX = 32 * MIB
"""Parts up to this size are checked before their first byte goes out."""
_TAIL_BYTES = 1024
"""Read at once from a file's end; nearly every label fits in it."""


class Label(msgspec.Struct, frozen=True):
    """What is known of an object without reading it."""

    size: int
    crc64: int
    metadata: dict[str, str]
    parts: tuple[tuple[int, int], ...] = ()
    """Size and CRC-64 of each part, in order, of an object that was put in several."""

    def encode(self) -> bytes:
        """Encode the bytes that go after the content."""
        text = msgspec.json.encode(self)
        return text + _FOOTER.pack(len(text), _MARK)


@contextmanager
def open_object(path: Path) -> Iterator[tuple[BinaryIO, Label]]:
    """Open an object's file and read its label. Raises ``NoSuchObject``, also for a file with a damaged label.

    What is read is one version of the object, even if it is replaced or deleted meanwhile.
    """
    with unknown_when_disk_fails():
        try:
            file = os.fdopen(open_file(path), "rb")
        except NO_FILE:
            raise NoSuchObject("there is no file") from None
        with file:
            yield file, _read_label(file)


def read_verified(file: BinaryIO, label: Label, start: int, end: int) -> Generator[bytes]:
    """Yield bytes ``start`` to ``end``, each after its part's checksum was found right. Raises ``DamagedObject``.

    A part is read twice, in blocks, so that a slow receiver holds a block and no part. What changes in between is
    found before the last of its part's bytes goes out. Of a part that is too large to be read twice and is read
    whole, the last block comes when the others are found right; a range of one is not checked. Parts of that size
    are in no file that we make now.
    """
    at = 0
    for size, crc64 in label.parts or ((label.size, label.crc64),):
        first, last = max(start, at), min(end, at + size)
        if first < last:
            expected: int | None = crc64
            if size <= CHECKED_BYTES_MAX:
                expected = _checked_crc64(file, (at, first, last, at + size), crc64)
            elif last - first < size:
                expected = None
            yield from _read_span(file, first, last, expected)
        at += size


def _checked_crc64(file: BinaryIO, places: tuple[int, int, int, int], crc64: int) -> int:
    """The CRC-64 of the middle one of three spans that follow each other, once that of all three is found right."""
    found = middle = 0
    for number, (first, last) in enumerate(pairwise(places)):
        piece = 0
        for block in _blocks(file, first, last):
            piece = crc64_of(block, piece)
        found = join_crc64(found, piece, second_size=last - first)
        middle = piece if number == 1 else middle
    _check(found, crc64)
    return middle


def _read_span(file: BinaryIO, start: int, end: int, crc64: int | None) -> Iterator[bytes]:
    """The last block comes when the checksum of all is found right."""
    found = 0
    for place, block in zip(range(start, end, BLOCK_BYTES), _blocks(file, start, end), strict=True):
        found = crc64_of(block, found)
        if crc64 is not None and place + BLOCK_BYTES >= end:
            _check(found, crc64)
        yield block


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    file.seek(start)
    for place in range(start, end, BLOCK_BYTES):
        block = file.read(min(BLOCK_BYTES, end - place))
        if len(block) < min(BLOCK_BYTES, end - place):
            raise DamagedObject("the file ends within a part")
        yield block


def _check(found: int, crc64: int) -> None:
    if found != crc64:
        raise DamagedObject("a part does not have its checksum")


def _read_label(file: BinaryIO) -> Label:
    file_size = os.fstat(file.fileno()).st_size
    tail = _read_tail(file, min(file_size, _TAIL_BYTES))
    if len(tail) < _FOOTER.size:
        raise NoSuchObject("the file is too short to have a label")
    text_size, mark = _FOOTER.unpack(tail[-_FOOTER.size :])
    label_size = text_size + _FOOTER.size
    if mark != _MARK or label_size > file_size:
        raise NoSuchObject("the file has no label")
    if label_size > len(tail):
        tail = _read_tail(file, label_size)
    try:
        label = msgspec.json.decode(tail[-label_size : -_FOOTER.size], type=Label)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NoSuchObject("the file's label is damaged") from error
    if label.size + label_size != file_size:
        raise NoSuchObject("the file's label is for another size")
    return label


def _read_tail(file: BinaryIO, size: int) -> bytes:
    file.seek(-size, os.SEEK_END)
    return file.read(size)


_ENDING = "@"
"""Ends the name of every object's file. No key contains it, so ``a`` and ``a/b`` can both be objects."""


class ObjectFolder:
    """The folder of all objects' files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where the object's file is. Raises ValueError for a key that is not plain, so none leads outside."""
        check_key(key)
        return self.root / (key + _ENDING)

    def list(self, prefix: str, on_unreadable: OnUnreadable | None = None) -> Iterator[ListedObject]:
        """Yield the objects in order of key; holds the names of one folder at a time.

        What has the name of an object and is none is left out. With ``on_unreadable`` it is named,
        as is a file or folder that cannot be opened, which otherwise ends the listing.
        """
        check_prefix(prefix)
        folder, slash, start = prefix.rpartition("/")
        return self._walk(folder + slash, start, on_unreadable)

    def _walk(self, folder: str, start: str, on_unreadable: OnUnreadable | None) -> Iterator[ListedObject]:
        try:
            names = _sorted_names(self.root / folder)
        except OutcomeUnknown:
            if on_unreadable is None:
                raise
            on_unreadable(folder)
            return
        for name in names:
            if not name.startswith(start):
                continue
            key = folder + name
            if key.endswith("/"):
                yield from self._walk(key, "", on_unreadable)
            elif (listed := self._look(key, on_unreadable)) is not None:
                yield listed

    def _look(self, key: str, on_unreadable: OnUnreadable | None) -> ListedObject | None:
        try:
            with open_object(self.path(key)) as (file, label):
                return ListedObject(key, label.size, os.fstat(file.fileno()).st_mtime)
        except NoSuchObject:
            if on_unreadable is not None and os.path.lexists(self.path(key)):
                on_unreadable(key)
        except OutcomeUnknown:
            if on_unreadable is None:
                raise
            on_unreadable(key)
        return None


def _sorted_names(folder: Path) -> tuple[str, ...]:
    """Read the names in ``folder`` in the order of keys: a folder sorts with the slash that follows it in a key."""
    names = []
    with unknown_when_disk_fails(), suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not is_component(entry.name.removesuffix(_ENDING)):
                continue  # another program's
            if entry.name.endswith(_ENDING):
                names.append(entry.name.removesuffix(_ENDING))
            elif _is_folder(entry):
                names.append(f"{entry.name}/")
    return tuple(sorted(names))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return True  # listing what is in it will tell
