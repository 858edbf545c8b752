"""What was asked for when a task was opened; fixed for the task's life."""

from __future__ import annotations

import hashlib

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.pulled import Pulled
from sluice.domain.run import Run, RunRetry
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.target import TableTarget


class ExportParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, weakref=True):
    """The parameters whose equality decides whether an idempotency key is replayed or reused."""

    format: ExportFormat
    filename: str
    """Already sanitised, with the format's extension."""
    columns: tuple[ColumnSpec, ...] = ()
    """Of the one table; empty when ``sheets`` declares several."""
    sheets: tuple[TableSpec, ...] = ()
    """Tables of their own columns, each on worksheets of its own; a batch says which one it belongs to."""
    options: ExportOptions = ExportOptions()
    expected_rows: int | None = None
    source_task: str = ""
    """The task whose chunks are rendered again; empty for a task with batches of its own."""
    source_created_at: float = 0
    """When that task was created. No file depends on it; it stays because the digests of stored parameters do."""
    pulled: Pulled | None = None
    """What its rows are read from; None for a task whose sender sends them."""
    run: Run | None = None
    """Of a task that reads the rows of a job: it becomes no file, and they are delivered by tasks of their own."""
    output: str = ""
    """Of a task that delivers rows of a run: the output's name."""
    picked: tuple[int, ...] = ()
    """Of a task that makes something of another's chunks: which of their columns, by index; none stands for all."""
    retry: RunRetry | None = None
    """Of a run and of what delivers it: how often it is tried again, where that is said."""
    sheet_of_run: int = 0
    """Of the same: which of the run's tables it has."""
    target: TableTarget | None = None
    """The table that the rows are loaded into; None for a task that becomes a file."""

    @property
    def is_file(self) -> bool:
        """Whether the task becomes a file."""
        return self.run is None and self.target is None

    @property
    def is_read(self) -> bool:
        """Whether the rows are read by a worker, and none are sent."""
        return self.pulled is not None and not self.pulled.is_sent

    @property
    def has_about(self) -> bool:
        """Whether the file says what it is, in a worksheet of its own."""
        chosen = self.options.about_sheet
        is_default = self.pulled is not None and not self.output  # files of jobs with equal rows are equal
        return self.format is ExportFormat.XLSX and (is_default if chosen is None else chosen)

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """The declared tables, or the only one, in the order they have in the file."""
        return self.sheets or (TableSpec(self.options.excel_sheet_name, self.columns),)

    @property
    def column_count(self) -> int:
        """Columns of all tables together."""
        return sum(len(table.columns) for table in self.tables)

    def find_sheet(self, name: str | None) -> int:
        """The index in ``tables`` of the table that a batch names. Raises INVALID_REQUEST when it names none.

        A task of one table takes no name, one of several always takes one.
        """
        if not self.sheets:
            if name:
                raise _no_sheet("This task has one table, which has no name here.")
            return 0
        for index, sheet in enumerate(self.sheets):
            if sheet.name == name:
                return index
        raise _no_sheet(
            "There is no such sheet; names are case-sensitive."
            if name
            else "This task has several sheets: say which one."
        )

    def without_columns(self) -> ExportParams:
        """What a listing has of a task: everything but the columns of its tables, which may be a megabyte."""
        sheets = tuple(TableSpec(sheet.name, ()) for sheet in self.sheets)
        pulled = self.pulled and self.pulled.listed()
        return msgspec.structs.replace(self, columns=(), sheets=sheets, pulled=pulled)

    def encode(self) -> str:
        """Canonical JSON: equal parameters give equal text."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @classmethod
    def decode(cls, text: str) -> ExportParams:
        return msgspec.json.decode(text, type=cls)

    @classmethod
    def decode_without_columns(cls, text: str) -> ExportParams:
        """As ``decode`` and ``without_columns``, at a small part of the cost: no object is made for a column."""
        listed = msgspec.json.decode(text, type=_Listed)
        fields = {name: getattr(listed, name) for name in listed.__struct_fields__ if name not in {"sheets", "pulled"}}
        sheets = tuple(TableSpec(sheet.name, ()) for sheet in listed.sheets)
        return cls(**fields, sheets=sheets, pulled=listed.pulled and listed.pulled.listed())

    def digest(self) -> str:
        """Hexadecimal SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.encode().encode()).hexdigest()


class _ListedSheet(msgspec.Struct, frozen=True):
    name: str


class _Listed(msgspec.Struct, frozen=True, kw_only=True):
    """``ExportParams`` without columns; a test compares the fields."""

    format: ExportFormat
    filename: str
    sheets: tuple[_ListedSheet, ...] = ()
    options: ExportOptions = ExportOptions()
    expected_rows: int | None = None
    source_task: str = ""
    source_created_at: float = 0
    pulled: Pulled | None = None
    run: Run | None = None
    output: str = ""
    picked: tuple[int, ...] = ()
    retry: RunRetry | None = None
    sheet_of_run: int = 0
    target: TableTarget | None = None


def _no_sheet(detail: str) -> SluiceError:
    return SluiceError(ErrorCode.INVALID_REQUEST, detail, field="sheet")
