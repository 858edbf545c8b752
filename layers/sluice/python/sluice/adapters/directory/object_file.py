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
from pathlib import Path
from typing import BinaryIO

import msgspec

from sluice.adapters.crc64 import crc64_of
from sluice.adapters.directory.atomic_file import NO_FILE, Sync, private_opener, unknown_when_disk_fails
from sluice.adapters.object_names import check_key, check_prefix, is_component
from sluice.ports.object_store import ListedObject
from sluice.ports.store_errors import DamagedObject, NoSuchObject

_FOOTER = struct.Struct(">I8s")
"""Length of the label before it, and the mark of the format."""
_MARK = b"sluice\x00\x01"
BLOCK_BYTES = 1 << 20
CHECKED_BYTES_MAX = 32 * BLOCK_BYTES
"""Parts up to this size are in memory while they are read, and checked before their first byte goes out."""
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


def write_object(path: Path, data: bytes, label: Label, *, sync: Sync) -> None:
    """Write a new file and bring its content to the disk; its name is not on the disk yet."""
    with open(path, "xb", opener=private_opener) as file:
        file.write(data)
        file.write(label.encode())
        file.flush()
        sync(file.fileno())


@contextmanager
def open_object(path: Path) -> Iterator[tuple[BinaryIO, Label]]:
    """Open an object's file and read its label. Raises ``NoSuchObject``, also for a file with a damaged label.

    What is read is one version of the object, even if it is replaced or deleted meanwhile.
    """
    with unknown_when_disk_fails():
        try:
            file = path.open("rb")
        except NO_FILE:
            raise NoSuchObject("there is no file") from None
        with file:
            yield file, _read_label(file)


def read_verified(file: BinaryIO, label: Label, start: int, end: int) -> Generator[bytes]:
    """Yield bytes ``start`` to ``end``, each after its part's checksum was found right. Raises ``DamagedObject``.

    Of a part too large for memory that is read whole, the last block comes when
    the others are found right; a range of one is not checked. Parts of that size are in no file that we make now.
    """
    at = 0
    for size, crc64 in label.parts or ((label.size, label.crc64),):
        first, last = max(start, at), min(end, at + size)
        if first < last:
            file.seek(at if size <= CHECKED_BYTES_MAX else first)
            if size <= CHECKED_BYTES_MAX:
                data = file.read(size)
                _check(crc64_of(data), crc64, size=len(data) - size)
                view = memoryview(data)[first - at : last - at]
                yield from (bytes(view[place : place + BLOCK_BYTES]) for place in range(0, len(view), BLOCK_BYTES))
            else:
                yield from _read_large(file, last - first, crc64 if last - first == size else None)
        at += size


def _read_large(file: BinaryIO, size: int, crc64: int | None) -> Iterator[bytes]:
    so_far = 0
    for place in range(0, size, BLOCK_BYTES):
        block = file.read(min(BLOCK_BYTES, size - place))
        so_far = crc64_of(block, so_far)
        if crc64 is not None and place + BLOCK_BYTES >= size:
            _check(so_far, crc64, size=0)
        yield block


def _check(found: int, crc64: int, *, size: int) -> None:
    if found != crc64 or size:
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

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """Yield the objects in order of key; holds the names of one folder at a time. What is no object is left out."""
        check_prefix(prefix)
        folder, slash, start = prefix.rpartition("/")
        return self._walk(folder + slash, start)

    def _walk(self, folder: str, start: str) -> Iterator[ListedObject]:
        for name in _sorted_names(self.root / folder):
            if not name.startswith(start):
                continue
            key = folder + name
            if key.endswith("/"):
                yield from self._walk(key, "")
                continue
            with suppress(NoSuchObject), open_object(self.path(key)) as (file, label):
                yield ListedObject(key, label.size, os.fstat(file.fileno()).st_mtime)


def _sorted_names(folder: Path) -> tuple[str, ...]:
    """Read the names in ``folder`` in the order of keys: a folder sorts with the slash that follows it in a key."""
    names = []
    with unknown_when_disk_fails(), suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not is_component(entry.name.removesuffix(_ENDING)):
                continue  # another program's
            if entry.name.endswith(_ENDING):
                names.append(entry.name.removesuffix(_ENDING))
            elif entry.is_dir(follow_symlinks=False):
                names.append(f"{entry.name}/")
    return tuple(sorted(names))
