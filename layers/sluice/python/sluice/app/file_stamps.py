"""Sees which files of a folder have changed, without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """What changes with a file's content, its name or its mode."""

    inode: int
    changed_ns: int
    modified_ns: int
    size: int


def stamps_of(folder: Path, parts: Sequence[str]) -> dict[Path, FileStamp]:
    """The stamps of the YAML files in these parts of a folder, in the order of their paths."""
    found = {}
    for path in sorted(path for part in parts for path in (folder / part).glob("*.y*ml")):
        try:
            status = path.stat()
        except OSError:
            continue  # it goes away at this moment
        found[path] = FileStamp(status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)
    return found
