"""A table of texts, as plain text for a terminal and as Markdown for a page."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple


class PageTable(NamedTuple):
    """Cells are texts; the first ``left`` columns are aligned to the left, the others to the right."""

    name: str
    """Of the marked block that it stands in."""
    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int = 1

    def as_text(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(_width(line[index]) for line in lines) for index in range(len(self.head))]
        return "\n".join([self.title, *("  ".join(self._cells(line, widths)).rstrip() for line in lines)])

    def as_markdown(self) -> str:
        if not self.rows:
            return "Not measured in this run."
        rule = ["---"] * self.left + ["--:"] * (len(self.head) - self.left)
        return "\n".join("| " + " | ".join(line) + " |" for line in (self.head, rule, *self.rows))

    def _cells(self, line: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            _padded(cell, width, to_the_left=index < self.left)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]


def _padded(cell: str, width: int, *, to_the_left: bool) -> str:
    space = " " * (width - _width(cell))
    return cell + space if to_the_left else space + cell


def _width(text: str) -> int:
    """In columns of a terminal, where a combining character takes none."""
    return sum(not unicodedata.combining(character) for character in text)
