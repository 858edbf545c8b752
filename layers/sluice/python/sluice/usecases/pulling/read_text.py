"""The text of a file that may be packed, from any byte of it on."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO

from sluice.domain.limits import KIB
from sluice.ports.source import SourceError
from sluice.tables.readers.gunzip import Gunzip
from sluice.tables.readers.lines import to_utf8

_BLOCK_BYTES = 64 * KIB


def read_text(content: IO[bytes], name: str, encoding: str, offset: int) -> Iterator[bytes]:
    """Yield a file's text as UTF-8, without its first ``offset`` bytes.

    Those of a file that is neither packed nor in another encoding are not read; others are unpacked again. Raises
    ``SourceError`` for an archive that is not of one file, ``SluiceError`` for what is damaged.
    """
    packed = name.lower().endswith((".gz", ".zip"))
    is_plain = not packed and encoding == "utf-8"
    content.seek(offset if is_plain else 0)
    with _unpacked(content, name) as blocks:
        yield from blocks if is_plain else _behind(offset, blocks if encoding == "utf-8" else to_utf8(blocks, encoding))


@contextmanager
def _unpacked(content: IO[bytes], name: str) -> Iterator[Iterator[bytes]]:
    blocks = iter(partial(content.read, _BLOCK_BYTES), b"")
    if name.lower().endswith(".gz"):
        yield _gunzipped(blocks)
    elif name.lower().endswith(".zip"):
        try:
            with zipfile.ZipFile(content) as archive, archive.open(_only_file(archive)) as member:
                yield iter(partial(member.read, _BLOCK_BYTES), b"")
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            # Neither error has more to say of a damaged, encrypted or unknown archive than its own words.
            raise SourceError(f"{name} is no archive that can be read: {error}") from None
    else:
        yield blocks


def _gunzipped(blocks: Iterator[bytes]) -> Iterator[bytes]:
    gunzip = Gunzip()
    for block in blocks:
        yield from gunzip.feed(block)
    gunzip.finish()


def _only_file(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
    if len(files) != 1:
        raise SourceError(f"an archive has one file to be read as a table, not {len(files)}: unpack it")
    return files[0]


def _behind(offset: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    for block in blocks:
        if offset >= len(block):
            offset -= len(block)
            continue
        yield block[offset:]
        offset = 0
