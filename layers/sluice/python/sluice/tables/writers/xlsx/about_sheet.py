"""The worksheet that says what the file is: a table like any other, of lines that were known before the first row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Batch
from sluice.tables.file_plan import AboutLine, FilePlan, PlannedTable
from sluice.tables.writers.xlsx.sheets import Worksheet, free_name, same_name

ABOUT_NAME = "About"
COLUMNS = tuple(map(ColumnSpec, ("What", "Value", "Notes")))


class AboutSheet(NamedTuple):
    """The worksheet, and what a feed needs for it that has no other rows."""

    sheet: Worksheet
    plan: FilePlan
    """That of the file with one more table, the last one. Its rows are those of this table alone."""
    lines: Batch


def about_sheet(plan: FilePlan, sheets: Sequence[Worksheet], *, number: int, of: int) -> AboutSheet | None:
    """That of workbook ``number`` ``of`` so many, whose tables have these ``sheets``. None where there is to be none.

    It begins in the first row whatever the tables do, and has a header and no filter. Text is text in it as in any
    cell: what is too long for one is cut, as no row of a sender is.
    """
    if not plan.about:
        return None
    lines = [*plan.about]
    if of > 1:
        rows = sum(sheet.rows for sheet in sheets)
        lines += [AboutLine("Workbook", f"{number} of {of}"), AboutLine("Rows in this workbook", str(rows))]
    cells = [[text.encode("utf-8", "replace").decode() if text else None for text in line] for line in lines]
    name = free_name(ABOUT_NAME, {same_name(sheet.name) for sheet in sheets})
    table = PlannedTable(name=name, columns=COLUMNS, rows=len(lines), size=text_bytes(lines))
    options = msgspec.structs.replace(
        plan.options, excel_start_row=1, header=True, autofilter=False, on_too_long="cut", about_sheet=None
    )
    described = replace(
        plan, columns=(), sheets=(*plan.tables, table), rows=table.rows, size=table.size, options=options, about=()
    )
    index = len(plan.tables)
    sheet = Worksheet(name, start_row=1, header=True, rows=table.rows, columns=len(COLUMNS), table=index)
    return AboutSheet(sheet, described, Batch.of_rows(cells, len(COLUMNS)))


def text_bytes(lines: Sequence[AboutLine]) -> int:
    """Of all their texts, in UTF-8."""
    return sum(len(text.encode("utf-8", "replace")) for line in lines for text in line)
