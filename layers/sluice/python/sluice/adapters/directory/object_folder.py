"""Which file holds which object, and all of them in order of key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sluice.adapters.directory.atomic_file import unknown_when_disk_fails
from sluice.adapters.directory.object_file import open_object
from sluice.adapters.object_names import check_key, check_prefix
from sluice.ports.object_store import ListedObject
from sluice.ports.store_errors import NoSuchObject

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
        """Yield the objects in order of key; holds the names of one folder at a time."""
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
            if entry.name.endswith(_ENDING):
                names.append(entry.name.removesuffix(_ENDING))
            elif entry.is_dir(follow_symlinks=False):
                names.append(f"{entry.name}/")
    return tuple(sorted(names))
