"""Builds small tables, writes them as XLSX, and reads workbooks back with programs that share no code with ours."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree as ET

import openpyxl
from openpyxl.worksheet.worksheet import Worksheet
from python_calamine import CalamineWorkbook

from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, PlannedTable, Replan, Tally
from sluice.tables.formats import FORMATS

Row = Sequence[str | None]
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")


@dataclass(frozen=True)
class Written:
    """A workbook and what its writer counted."""

    data: bytes
    tally: Tally

    @property
    def warnings(self) -> dict[str, int]:
        return dict(self.tally.warnings)

    def parts(self) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    def sheet_xml(self, number: int = 1) -> str:
        return self.parts()[f"xl/worksheets/sheet{number}.xml"].decode()

    def openpyxl_sheets(self) -> list[Worksheet]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            book = openpyxl.load_workbook(io.BytesIO(self.data))
        return list(book.worksheets)

    def openpyxl_rows(self, number: int = 1) -> list[list[Any]]:
        """The values by openpyxl, which leaves Excel's escapes in inline text to its caller."""
        rows = self.openpyxl_sheets()[number - 1].iter_rows(values_only=True)
        return [[unescaped(value) for value in row] for row in rows]

    def calamine_rows(self, number: int = 1) -> list[list[Any]]:
        """The values by calamine, which shows null as the empty string and leaves only U+FFFE and U+FFFF escaped."""
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(self.data)).get_sheet_by_index(number - 1)
        return [[_with_non_characters(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]


def unescaped(value: Any) -> Any:
    """Read a text as Excel reads it: one pass from the left."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), value) if isinstance(value, str) else value


def _with_non_characters(value: Any) -> Any:
    return value.replace("_xFFFE_", "\ufffe").replace("_xFFFF_", "\uffff") if isinstance(value, str) else value


def columns_of(*types: ColumnType) -> tuple[ColumnSpec, ...]:
    """Columns of these types, named ``c1``, ``c2`` …"""
    return tuple(ColumnSpec(f"c{number}", column) for number, column in enumerate(types, 1))


def table_of(
    columns: tuple[ColumnSpec, ...],
    rows: Sequence[Row],
    *,
    options: ExportOptions | None = None,
    limits: Limits | None = None,
    stem: str = "orders",
) -> FilePlan:
    size = sum(len((value or "").encode("utf-8", "replace")) + 1 for row in rows for value in row)
    return FilePlan(
        columns=columns,
        options=options or ExportOptions(),
        rows=len(rows),
        size=size,
        stem=stem,
        limits=limits or Limits(),
    )


def batches_of(rows: Sequence[Row], width: int, batch_rows: int = 1_000) -> Iterator[Batch]:
    for first in range(0, len(rows), batch_rows):
        yield Batch.of_rows(rows[first : first + batch_rows], width)


def write_xlsx(
    columns: tuple[ColumnSpec, ...],
    rows: Sequence[Row],
    *,
    options: ExportOptions | None = None,
    limits: Limits | None = None,
    batch_rows: int = 1_000,
) -> Written:
    """Write ``rows`` under ``columns``."""
    tally = Tally()
    table = table_of(columns, rows, options=options, limits=limits)
    blocks = FORMATS[ExportFormat.XLSX].write(batches_of(rows, len(columns), batch_rows), table, tally)
    return Written(b"".join(blocks), tally)


@dataclass(frozen=True)
class NamedTable:
    """One of several tables of a workbook."""

    name: str
    columns: tuple[ColumnSpec, ...]
    rows: Sequence[Row]

    def plan(self) -> PlannedTable:
        size = table_of(self.columns, self.rows).size
        return PlannedTable(name=self.name, columns=self.columns, rows=len(self.rows), size=size)


def plan_of(
    tables: Sequence[NamedTable], *, options: ExportOptions | None = None, limits: Limits | None = None
) -> FilePlan:
    """The plan of a file of several tables."""
    plans = tuple(table.plan() for table in tables)
    return replace(
        table_of((), [], options=options, limits=limits),
        sheets=plans,
        rows=sum(plan.rows for plan in plans),
        size=sum(plan.size for plan in plans),
    )


def write_tables(
    tables: Sequence[NamedTable],
    *,
    options: ExportOptions | None = None,
    limits: Limits | None = None,
    batch_rows: int = 1_000,
) -> Written:
    """Write several tables; a writer that asks for another plan gets it."""
    plan = plan_of(tables, options=options, limits=limits)
    while True:
        tally = Tally()
        batches = (batch for table in tables for batch in batches_of(table.rows, len(table.columns), batch_rows))
        try:
            return Written(b"".join(FORMATS[ExportFormat.XLSX].write(batches, plan, tally)), tally)
        except Replan as asked:
            plan = asked.plan


def write_column(column: ColumnType | ColumnSpec, values: Sequence[str | None], **options: Any) -> Written:
    """Write one column of values; keyword arguments are export options."""
    spec = column if isinstance(column, ColumnSpec) else ColumnSpec("c", column)
    return write_xlsx((spec,), [[value] for value in values], options=ExportOptions(**options))


def params_of(*columns: ColumnSpec, **options: Any) -> ExportParams:
    return ExportParams(format=ExportFormat.XLSX, filename="a.xlsx", columns=columns, options=ExportOptions(**options))


def raw_values(written: Written) -> list[str | None]:
    """The text of every ``<v>`` and ``<t>`` of the first column below the header, as it stands in the file."""
    found = []
    for row in list(ET.fromstring(written.sheet_xml()).iter(f"{MAIN}row"))[1:]:
        content = next((part for part in row[0].iter() if part.tag in (f"{MAIN}v", f"{MAIN}t")), None)
        found.append(None if content is None else content.text or "")
    return found
