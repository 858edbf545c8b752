"""The worksheet that says which rows are where, in a workbook whose rows had to be split."""

from __future__ import annotations

from collections.abc import Sequence

from xlsxwriter import Workbook

from sluice.tables.file_plan import FilePlan
from sluice.tables.writers.xlsx.sheets import Worksheet, free_name, same_name

INDEX_NAME = "Index"
_NAME_WIDTH = 34
_NUMBER_WIDTH = 14


def needs_index(plan: FilePlan, sheets: Sequence[Worksheet], *, alone: bool) -> bool:
    """Whether rows of a table stand on several worksheets, of this workbook or of several."""
    is_split = not alone or len({sheet.table for sheet in sheets}) < len(sheets)
    return is_split and plan.options.index_sheet


def add_index(workbook: Workbook, plan: FilePlan, sheets: Sequence[Worksheet]) -> None:
    """Add it as the last worksheet, so that programs which read the first one find the rows.

    Rows count from 1 within their table, through all worksheets and workbooks.
    A column names the table where there are several.
    """
    worksheet = workbook.add_worksheet(free_name(INDEX_NAME, {same_name(sheet.name) for sheet in sheets}))
    bold = workbook.add_format({"bold": True})
    titles = ["Sheet", *(["Table"] if plan.sheets else []), "First row", "Last row", "Rows"]
    worksheet.set_column(0, len(titles) - 4, _NAME_WIDTH)
    worksheet.set_column(len(titles) - 3, len(titles) - 1, _NUMBER_WIDTH)
    worksheet.freeze_panes(1, 0)
    for column, title in enumerate(titles):
        worksheet.write_string(0, column, title, bold)
    for row, sheet in enumerate(sheets, 1):
        place = sheet.name.replace("'", "''")
        worksheet.write_url(row, 0, f"internal:'{place}'!A{sheet.start_row}", string=sheet.name)
        if plan.sheets:
            worksheet.write_string(row, 1, plan.tables[sheet.table].name)
        first, last = sheet.rows_before + 1, sheet.rows_before + sheet.rows
        for column, number in enumerate((first, last) if sheet.rows else (), len(titles) - 3):
            worksheet.write_number(row, column, number)
        worksheet.write_number(row, len(titles) - 1, sheet.rows)
