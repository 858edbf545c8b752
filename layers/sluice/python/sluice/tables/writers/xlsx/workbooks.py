"""A file of tables: one workbook, or an archive of numbered ones when one does not hold the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sluice.domain.filenames import cut_stem
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally, Warned
from sluice.tables.writers.xlsx.index_sheet import needs_index
from sluice.tables.writers.xlsx.package import Member, archive
from sluice.tables.writers.xlsx.sheets import Worksheet, check_rows_fit, plan_workbooks
from sluice.tables.writers.xlsx.workbook import SheetFeed, workbook_members


def file_blocks(batches: Iterable[Batch], table: FilePlan, tally: Tally) -> Iterator[bytes]:
    """Yield the file's bytes; the contract is that of ``xlsx_writer.write``."""
    tables = table.tables
    check_rows_fit([part.rows for part in tables], [part.name for part in tables], table.options, table.limits)
    workbooks = plan_workbooks(table)
    _count_splits(workbooks, tally)
    feed = SheetFeed(batches, table, tally)
    if len(workbooks) == 1:
        yield from _workbook(feed, table, workbooks[0])
    else:
        yield from archive(_numbered(feed, table, workbooks), table, stored=True)


def _count_splits(workbooks: Sequence[Sequence[Worksheet]], tally: Tally) -> None:
    extra_sheets = sum(len(sheets) - len({sheet.table for sheet in sheets}) for sheets in workbooks)
    if extra_sheets:
        tally.warnings[Warned.SHEET_SPLIT] += extra_sheets
    if len(workbooks) > 1:
        tally.warnings[Warned.WORKBOOK_SPLIT] += len(workbooks) - 1


def _workbook(feed: SheetFeed, table: FilePlan, sheets: Sequence[Worksheet], *, folder: str = "") -> Iterator[bytes]:
    indexed = needs_index(table, sheets, alone=not folder)
    return archive(workbook_members(feed, table, sheets, indexed=indexed), table, folder=folder)


def _numbered(feed: SheetFeed, table: FilePlan, workbooks: Sequence[Sequence[Worksheet]]) -> Iterator[Member]:
    """The workbooks, numbered so that they sort in the order of their rows; their names are no longer than any."""
    digits = len(str(len(workbooks)))
    stem = cut_stem(table.title, table.limits.filename_bytes_max - len("-.xlsx") - digits)
    for number, sheets in enumerate(workbooks, 1):
        name = f"{stem}-{number:0{digits}}.xlsx"
        yield Member(name, _workbook(feed, table, sheets, folder=f"{name}/"))
