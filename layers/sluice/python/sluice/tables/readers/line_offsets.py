"""Text on its way to a reader, of which is known at which byte a line begins: where a later reading can begin."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class _Block(NamedTuple):
    line: int
    """The number of the line that its first byte is in, from 1."""
    offset: int
    data: bytes
    feeds: int

    @property
    def last_line(self) -> int:
        return self.line + self.feeds


class CountedText:
    """Blocks of UTF-8, given on as they come. Memory is what was given on since the last line that was asked for."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = blocks
        self._given: deque[_Block] = deque()

    def __iter__(self) -> Iterator[bytes]:
        line, offset = 1, 0
        for data in self._blocks:
            block = _Block(line, offset, data, data.count(b"\n"))
            self._given.append(block)
            line, offset = block.last_line, offset + len(data)
            yield data

    def offset_of(self, line: int) -> int:
        """At which byte a line begins that was given on. Lines are asked for in their order."""
        while self._given and self._given[0].last_line < line:
            self._given.popleft()
        if not self._given or self._given[0].line > line:
            raise ValueError("no such line was given on")
        first = self._given[0]
        place = 0
        for _ in range(line - first.line):
            place = first.data.index(b"\n", place) + 1
        return first.offset + place
