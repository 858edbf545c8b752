"""Writes a zip that depends on nothing but what is in it: no clock, no user, no order of a file system."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can say."""
_FILE = 0o100644
_LIBRARY = 0o100755
_UNIX = 3


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` by their paths; replaces ``path`` when all is written.

    The same files give the same bytes, as long as zlib compresses the same way.
    """
    unfinished = path.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=zlib.Z_BEST_COMPRESSION) as archive:
        for name in sorted(files):
            archive.writestr(_entry(name), files[name])
    unfinished.replace(path)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = (_LIBRARY if name.endswith(".so") else _FILE) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
