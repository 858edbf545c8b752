"""Reads the files back with readers that share no code with the writers, and compares every cell."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path

from python_calamine import CalamineWorkbook

Cell = object
MIDNIGHT = time()


def count_equal_cells(found: Iterable[Sequence[Cell]], expected: Iterable[Sequence[Cell]]) -> int:
    """Compare two tables cell by cell; returns how many cells were compared. Raises AssertionError at a difference."""
    cells = 0
    for row_number, (got, want) in enumerate(zip(found, expected, strict=True), start=1):
        if list(got) != list(want):
            raise AssertionError(f"row {row_number}: the file has {got!r}, sent was {want!r}")
        cells += len(want)
    return cells


def xlsx_rows(path: Path) -> Iterator[list[Cell]]:
    """The rows of the first sheet as python-calamine reads them; a date, which is how it gives midnights, is undone."""
    for row in CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).iter_rows():
        yield [datetime.combine(cell, MIDNIGHT) if type(cell) is date else cell for cell in row]


def csv_rows(path: Path) -> Iterator[list[str]]:
    """The rows as Python's csv module reads them; the byte order mark is not part of the first cell."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.reader(file)


def as_cells(rows: Iterable[Sequence[str]], kinds: Sequence[str]) -> Iterator[list[Cell]]:
    """What a spreadsheet should hold for the texts that were sent."""
    for row in rows:
        yield [_as_cell(text, kind) for text, kind in zip(row, kinds, strict=True)]


def _as_cell(text: str, kind: str) -> Cell:
    match kind:
        case "number":
            return float(text)
        case "boolean":
            return text == "true"
        case "date" | "datetime":
            return datetime.fromisoformat(text)
        case _:
            return text


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
