"""Text that comes in blocks, as blocks of whole lines in UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TypeAlias

from sluice.domain.limits import KIB, MIB

UTF8_BOM = codecs.BOM_UTF8
BLOCK_BYTES = 64 * KIB
"""A block of several lines is about so large, however large the blocks are that come."""
LONG_ROW_BYTES = MIB
OnLongRow: TypeAlias = Callable[[], object]
"""Called whenever a row turns out to have more than ``LONG_ROW_BYTES``, before it is text: then it takes many times
its size. What it raises passes through."""

_UNDECODABLE = "sluice.undecodable"
_NO_TEXT = "\udfff".encode("utf-8", "surrogatepass")
codecs.register_error(_UNDECODABLE, lambda error: ("\udfff", error.end))  # type: ignore[attr-defined]  # of a decoder


class LineTooLongError(Exception):
    """A line is longer than a row may be."""


def no_matter() -> None:
    """An ``OnLongRow`` of readers that are alone."""


def line_blocks(blocks: Iterable[bytes], line_bytes_max: int, *, on_long_row: OnLongRow = no_matter) -> Iterator[bytes]:
    """Yield blocks of whole lines with their line feeds, without a byte order mark before the first.

    Only the last line may lack its line feed. Which lines come does not depend
    on how ``blocks`` were cut. Raises ``LineTooLongError`` once the lines
    before were yielded.
    """
    rest: list[bytes] = []
    size = 0
    for piece in _pieces(_without_bom(blocks), min(BLOCK_BYTES, line_bytes_max)):
        if size + (piece.find(b"\n") + 1 or len(piece)) > line_bytes_max:
            raise LineTooLongError
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join((*rest, piece[:end]))
            rest, size = [], 0
        if end < len(piece):
            rest.append(piece[end:])
            size += len(piece) - end
            if size > LONG_ROW_BYTES:
                on_long_row()
    if size:
        yield b"".join(rest)


def first_line(blocks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first line that is not blank, or as much of it as a block has; and all of ``blocks`` again.

    What it is does not depend on how ``blocks`` were cut.
    """
    left = iter(blocks)
    head = line = b""
    for block in left:
        head += block
        begun = head.removeprefix(UTF8_BOM).lstrip()
        line = begun[: begun.find(b"\n") + 1] or begun[:BLOCK_BYTES]
        if line.endswith(b"\n") or len(head) >= BLOCK_BYTES:
            break
    return line, chain([head] if head else [], left)


def to_utf8(blocks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yield text in ``encoding`` as UTF-8. What is no text in it becomes bytes that are no UTF-8, at its place.

    Behind what a codec does not go on from, such as a begin without the mark
    that UTF-16 and UTF-32 need, nothing is read.
    """
    decoder = codecs.getincrementaldecoder(encoding)(_UNDECODABLE)
    try:
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeError:  # of the text as a whole, for which codecs ask no handler
        yield _NO_TEXT


def _without_bom(blocks: Iterable[bytes]) -> Iterator[bytes]:
    left = iter(blocks)
    head = b""
    for block in left:
        head += block
        if len(head) >= len(UTF8_BOM):
            break
    yield head.removeprefix(UTF8_BOM)
    yield from left


def _pieces(blocks: Iterable[bytes], size_max: int) -> Iterator[bytes]:
    for block in blocks:
        if len(block) <= size_max:
            yield block
        else:
            yield from (block[start : start + size_max] for start in range(0, len(block), size_max))
