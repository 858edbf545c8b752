"""Tasks of several tables: batches name theirs, totals are checked for each, and rows are never mixed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import openpyxl
import pytest

from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.memory.tasks import MemoryTasks
from sluice.cli.task.report import report_task
from sluice.cli.task.text import page_of
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.limits import Limits
from sluice.domain.manifest import Claim, Manifest
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType, TableSpec
from sluice.domain.task import State, Task, TaskFields
from sluice.ports.bundle import Ports
from sluice.tables.batch import Batch
from sluice.tables.formats import filename_of
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import BatchReceipt, put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

ORDERS, LINES = TableSpec("orders", (ColumnSpec("id", ColumnType.NUMBER),)), TableSpec("lines", (ColumnSpec("a"),) * 2)
SHOP = ExportParams(format=ExportFormat.XLSX, filename="shop", sheets=(ORDERS, LINES))


def opened(ports: Ports, params: ExportParams = SHOP) -> TaskRef:
    return open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref


def put(ports: Ports, ref: TaskRef, sequence: int, sheet: int, *rows: Sequence[str]) -> BatchReceipt:
    batch = Batch.of_rows(rows, len(rows[0]))
    return put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=batch, sheet=sheet)


def composed(ports: Ports, ref: TaskRef) -> Task:
    task = close_export(ports, ref, CloseRequest())
    assert compose_export(ports, ManifestRef(ref, task.man_sha)) is Outcome.COMPLETED
    return row_of(ports, ref)


def row_of(ports: Ports, ref: TaskRef) -> Task:
    row = ports.tasks.read(ref)
    assert row is not None
    return row


def values_in(data: bytes) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(io.BytesIO(data))
    return {sheet.title: list(sheet.iter_rows(values_only=True))[1:] for sheet in book.worksheets}


def refusal(request: CloseRequest, *, ports: Ports, ref: TaskRef) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        close_export(ports, ref, request)
    return caught.value


@pytest.mark.parametrize("before", [(), (["1"],)])
@pytest.mark.parametrize("after", [(), (["a", "b"],)])
def test_an_empty_batch_of_any_table_changes_nothing(
    before: tuple[list[str], ...], after: tuple[list[str], ...]
) -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports)
    sent: tuple[tuple[int, tuple[list[str], ...]], ...] = ((1, ()), (0, before), (1, ()), (0, ()), (1, after), (0, ()))
    for sequence, (sheet, rows) in enumerate(sent, start=1):
        batch = Batch.of_rows(rows, (1, 2)[sheet])
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=batch, sheet=sheet)
    task = composed(ports, ref)
    written = values_in(ports.objects.get(task.result_key))
    assert written == {"orders": [(1,)] * len(before), "lines": [("a", "b")] * len(after)}


def test_batches_of_several_tables_may_come_in_any_order() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports)
    put(ports, ref, 4, 0, ["3"])
    put(ports, ref, 1, 1, ["a", "b"], ["c", "d"])
    put(ports, ref, 3, 1, ["e", "f"])
    put(ports, ref, 2, 0, ["1"], ["2"])
    row = composed(ports, ref)
    assert values_in(ports.objects.get(row.result_key)) == {
        "orders": [(1,), (2,), (3,)],
        "lines": [("a", "b"), ("c", "d"), ("e", "f")],
    }
    assert (row.result_rows, row.total_rows, row.rows_done) == (6, 6, 6)


def test_the_same_rows_for_another_table_are_a_conflict() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(
        ports, ExportParams(format=ExportFormat.XLSX, filename="t", sheets=(ORDERS, TableSpec("b", ORDERS.columns)))
    )
    put(ports, ref, 1, 0, ["1"])
    assert put(ports, ref, 1, 0, ["1"]).replayed
    with pytest.raises(SluiceError) as caught:
        put(ports, ref, 1, 1, ["1"])
    assert caught.value.code is ErrorCode.BATCH_CONFLICT
    assert "another sheet" in caught.value.detail


def test_a_batch_has_the_columns_of_its_own_table() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports)
    with pytest.raises(SluiceError) as caught:
        put(ports, ref, 1, 0, ["1", "2"])
    assert (caught.value.code, caught.value.facts["columns"]) == (ErrorCode.ROW_WIDTH_MISMATCH, 1)
    with pytest.raises(SluiceError) as caught:
        put(ports, ref, 1, 0, ["x"])
    assert caught.value.code is ErrorCode.INVALID_VALUE
    put(ports, ref, 1, 1, ["x", "y"])


def test_totals_are_checked_for_each_table() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports)
    put(ports, ref, 1, 0, ["1"], ["2"])
    put(ports, ref, 2, 1, ["a", "b"])
    assert row_of(ports, ref).rows_by_sheet() == {"orders": None, "lines": None}
    wrong = refusal(CloseRequest(rows=3, sheets={"orders": 1, "lines": 2}), ports=ports, ref=ref)
    assert (wrong.code, wrong.facts) == (
        ErrorCode.TOTALS_MISMATCH,
        {"sheet": "orders", "rows_received": 2, "rows_closed": 1},
    )
    unknown = refusal(CloseRequest(sheets={"refunds": 0}), ports=ports, ref=ref)
    assert (unknown.code, unknown.facts) == (ErrorCode.INVALID_REQUEST, {"field": "sheets"})
    negative = refusal(CloseRequest(sheets={"orders": -1}), ports=ports, ref=ref)
    assert negative.code is ErrorCode.INVALID_REQUEST
    assert row_of(ports, ref).state is State.OPEN
    sealed = close_export(ports, ref, CloseRequest(batches=2, rows=3, sheets={"lines": 1, "orders": 2}))
    assert sealed.rows_by_sheet() == {"orders": 2, "lines": 1}


def test_an_operator_sees_the_rows_of_each_table() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports)
    put(ports, ref, 1, 0, ["1"], ["2"])
    put(ports, ref, 2, 0, ["3"])
    report = report_task(ports, ref)
    assert report.sheets == {"orders": 3, "lines": 0}
    assert "sheet orders: 3 rows" in page_of(report)
    assert "sheet lines: 0 rows" in page_of(report)


def test_a_second_close_may_name_the_same_totals_of_a_table_and_no_other() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports)
    put(ports, ref, 1, 0, ["1"])
    close_export(ports, ref, CloseRequest())
    assert close_export(ports, ref, CloseRequest(sheets={"orders": 1, "lines": 0})).state is State.SEALED
    other = refusal(CloseRequest(sheets={"orders": 2}), ports=ports, ref=ref)
    assert (other.code, other.facts) == (ErrorCode.ALREADY_CLOSED, {"sheet": "orders", "rows": 1})


@pytest.mark.parametrize(
    ("sheets", "field"),
    [
        ((TableSpec("", ORDERS.columns),), "sheets[0].name"),
        ((ORDERS, TableSpec("a\nb", ORDERS.columns)), "sheets[1].name"),
        ((TableSpec("x" * 256, ORDERS.columns),), "sheets[0].name"),
        ((TableSpec("\ud800", ORDERS.columns),), "sheets[0].name"),
        ((ORDERS, ORDERS), "sheets[1].name"),
        ((ORDERS, TableSpec("b", ())), "sheets[1].columns"),
        ((TableSpec("b", (ColumnSpec("n", ColumnType.NUMBER, format="[nonsense"),)),), "sheets[0].columns[0].format"),
        (tuple(TableSpec(f"s{number}", ORDERS.columns) for number in range(101)), "sheets"),
    ],
)
def test_sheets_that_cannot_be_are_refused(sheets: tuple[TableSpec, ...], field: str) -> None:
    ports = memory_ports(FakeClock())
    with pytest.raises(SluiceError) as caught:
        opened(ports, ExportParams(format=ExportFormat.XLSX, filename="t", sheets=sheets))
    assert (caught.value.code, caught.value.facts["field"]) == (ErrorCode.INVALID_REQUEST, field)


def test_an_unknown_time_zone_is_refused_for_sheets_too() -> None:
    options = ExportOptions(timezone="Mars/Olympus")
    with pytest.raises(SluiceError) as caught:
        opened(
            memory_ports(FakeClock()),
            ExportParams(format=ExportFormat.XLSX, filename="t", sheets=(ORDERS,), options=options),
        )
    assert caught.value.facts["field"] == "options.timezone"


def test_a_sheet_may_have_any_name_that_people_write() -> None:
    ports = memory_ports(FakeClock())
    names = ["订单　明细", "a\u00a0b", "🎁", "'quoted'", "History", "x" * 255, " ", "../../etc/passwd"]
    sheets = tuple(TableSpec(name, ORDERS.columns) for name in names)
    ref = opened(ports, ExportParams(format=ExportFormat.XLSX, filename="t", sheets=sheets))
    for index in range(len(names)):
        put(ports, ref, index + 1, index, [str(index)])
    found = values_in(ports.objects.get(composed(ports, ref).result_key))
    assert list(found.values()) == [[(index,)] for index in range(len(names))]


@pytest.mark.parametrize("other", [ExportFormat.CSV, ExportFormat.JSONL, ExportFormat.PARQUET])
def test_only_a_workbook_holds_several_tables(other: ExportFormat) -> None:
    ports = memory_ports(FakeClock())
    with pytest.raises(SluiceError) as caught:
        opened(ports, ExportParams(format=other, filename="t", sheets=(ORDERS,)))
    assert caught.value.facts["field"] == "sheets"
    ref = opened(ports)
    put(ports, ref, 1, 0, ["1"])
    close_export(ports, ref, CloseRequest())
    with pytest.raises(SluiceError) as caught:
        render_again(ports, ref, RenderRequest(format=other))
    assert caught.value.facts["field"] == "sheets"


def test_declared_sheets_take_no_name_from_the_options() -> None:
    named = ExportOptions(excel_sheet_name="x")
    with pytest.raises(SluiceError) as caught:
        opened(memory_ports(FakeClock()), msgspec.structs.replace(SHOP, options=named))
    assert caught.value.facts["field"] == "options.excel_sheet_name"


def test_columns_and_sheets_exclude_each_other() -> None:
    both = ExportParams(format=ExportFormat.XLSX, filename="t", columns=ORDERS.columns, sheets=(ORDERS,))
    with pytest.raises(SluiceError) as caught:
        opened(memory_ports(FakeClock()), both)
    assert caught.value.facts["field"] == "columns"


@pytest.mark.parametrize(("params", "name"), [(SHOP, None), (SHOP, ""), (SHOP, "Orders"), (SHOP, "refunds")])
def test_a_batch_of_several_tables_names_one_of_them(params: ExportParams, name: str | None) -> None:
    with pytest.raises(SluiceError) as caught:
        params.find_sheet(name)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.INVALID_REQUEST, {"field": "sheet"})


def test_a_batch_of_one_table_names_none() -> None:
    one = ExportParams(format=ExportFormat.CSV, filename="t", columns=ORDERS.columns)
    assert [one.find_sheet(name) for name in (None, "")] == [0, 0]
    with pytest.raises(SluiceError):
        one.find_sheet("orders")
    assert [SHOP.find_sheet(name) for name in ("orders", "lines")] == [0, 1]


def test_rendering_again_keeps_the_tables_and_the_bytes() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports)
    put(ports, ref, 1, 1, ["a", "b"])
    put(ports, ref, 2, 0, ["1"])
    first = composed(ports, ref)
    again = render_again(ports, ref, RenderRequest()).task
    assert again.rows_by_sheet() == {"orders": 1, "lines": 1}
    assert compose_export(ports, ManifestRef(again.ref, again.man_sha)) is Outcome.COMPLETED
    second = row_of(ports, again.ref)
    assert ports.objects.get(second.result_key) == ports.objects.get(first.result_key)


def test_the_manifest_of_one_table_is_written_as_it_always_was() -> None:
    ref = TaskRef(TenantId("t"), TaskId("i"))
    manifest = Manifest.seal(ref, [Claim(1, "aa", 2, 3)])
    assert manifest.encode() == (
        b'{"tenant":"t","task_id":"i","source_task":"i","rows":2,"chunks":[[1,"aa",2,3]],"version":1}'
    )
    several = Manifest.seal(ref, [Claim(1, "aa", 2, 3, 1), Claim(2, "bb", 5, 6)])
    assert Manifest.decode(several.encode()) == several
    assert several.chunks == (Claim(2, "bb", 5, 6, 0), Claim(1, "aa", 2, 3, 1))


def test_an_attempt_starts_again_when_a_worksheet_turns_out_to_need_zip64() -> None:
    small = replace(memory_ports(FakeClock()), limits=Limits(zip32_bytes_max=20_000))
    roomy = memory_ports(FakeClock())
    rows = [[str(number)] for number in range(2_000)]
    files = []
    for ports in (small, roomy):
        ref = opened(ports, ExportParams(format=ExportFormat.XLSX, filename="t", columns=ORDERS.columns))
        put(ports, ref, 1, 0, *rows)
        row = composed(ports, ref)
        assert (row.rows_done, row.result_rows, row.epoch) == (2_000, 2_000, 1)
        assert list(ports.objects.list_uploads("")) == []
        files.append(ports.objects.get(row.result_key))
    versions = [zipfile.ZipFile(io.BytesIO(data)).getinfo("xl/worksheets/sheet1.xml").extract_version for data in files]
    assert versions == [45, 20]
    assert values_in(files[0]) == values_in(files[1])


class SlowStore(MemoryStore):
    """Every read takes longer than the time between two heartbeats."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self._time = clock

    def get(self, key: str) -> bytes:
        self._time.advance(11)
        return super().get(key)


class NotedTasks(MemoryTasks):
    """Notes what each update says of the progress."""

    def __init__(self) -> None:
        super().__init__()
        self.progress: list[tuple[str, int]] = []

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        if "phase" in fields:
            self.progress.append((fields["phase"], fields["rows_done"]))
        return super().update(ref, guard, fields)


def test_an_attempt_that_starts_again_keeps_its_lease_and_shows_it() -> None:
    clock, tasks = FakeClock(), NotedTasks()
    ports = replace(memory_ports(clock), objects=SlowStore(clock), tasks=tasks, limits=Limits(zip32_bytes_max=9_000))
    ref = opened(ports, ExportParams(format=ExportFormat.XLSX, filename="t", columns=ORDERS.columns))
    for sequence in (1, 2, 3):
        put(ports, ref, sequence, 0, *([str(number)] for number in range(200)))
    assert composed(ports, ref).epoch == 1
    once = [("rendering", 200), ("rendering", 400), ("rendering", 600)]
    assert tasks.progress == [("rendering", 0), *once, *once]


def test_the_same_rows_give_the_same_bytes_however_numbered_cut_and_mixed() -> None:
    clock = FakeClock()
    files = set()
    orders, lines = [[str(number)] for number in range(6)], [[f"a{number}", "b"] for number in range(5)]
    for sent in (
        [(1, 0, orders), (2, 1, lines)],
        [(4, 1, lines[3:]), (1, 1, lines[:3]), (3, 0, orders[1:]), (2, 0, orders[:1])],
        [(1, 1, lines[:1]), (2, 0, orders[:5]), (3, 1, lines[1:]), (4, 0, orders[5:])],
    ):
        ports = memory_ports(clock)
        ref = opened(ports)
        for sequence, sheet, rows in sent:
            put(ports, ref, sequence, sheet, *rows)
        files.add(ports.objects.get(composed(ports, ref).result_key))
    assert len(files) == 1


def test_a_file_that_an_older_release_made_keeps_the_name_of_what_it_is() -> None:
    """It put any number of rows into one workbook."""
    ports = memory_ports(FakeClock())
    ref = opened(ports, ExportParams(format=ExportFormat.XLSX, filename="b.xlsx", columns=ORDERS.columns))
    put(ports, ref, 1, 0, ["1"])
    row = msgspec.structs.replace(composed(ports, ref), total_rows=6_000_000)
    assert filename_of(row) == "b.xlsx"


def test_the_workbooks_of_an_archive_have_names_that_stay_in_its_folder() -> None:
    ports = replace(memory_ports(FakeClock()), limits=Limits(workbook_rows_least=1))
    names = []
    for filename in ("../../etc/passwd", "C:\\con.xlsx", "..", "a/b\0.zip"):
        params = ExportParams(
            format=ExportFormat.XLSX,
            filename=filename,
            columns=ORDERS.columns,
            options=ExportOptions(workbook_rows_max=1),
        )
        ref = opened(ports, params)
        put(ports, ref, 1, 0, ["1"], ["2"])
        with zipfile.ZipFile(io.BytesIO(ports.objects.get(composed(ports, ref).result_key))) as archive:
            names += archive.namelist()[1:]
    assert names == ["etcpasswd-2.xlsx", "Ccon-2.xlsx", "export-2.xlsx", "ab-2.xlsx"]


def test_totals_of_tables_are_refused_where_there_is_one() -> None:
    """Also under the empty name: the same close again, after a lost answer, could not be told from another."""
    ports = memory_ports(FakeClock())
    ref = opened(ports, ExportParams(format=ExportFormat.CSV, filename="t", columns=ORDERS.columns))
    put(ports, ref, 1, 0, ["1"])
    for name in ("", "orders"):
        error = refusal(CloseRequest(sheets={name: 1}), ports=ports, ref=ref)
        assert (error.code, error.facts) == (ErrorCode.INVALID_REQUEST, {"field": "sheet"})


def test_the_columns_of_all_tables_together_are_bounded() -> None:
    sheets = tuple(TableSpec(f"s{number}", (ColumnSpec("a"),) * 10) for number in range(3))
    params = ExportParams(format=ExportFormat.XLSX, filename="t", sheets=sheets)
    ports = memory_ports(FakeClock())
    opened(replace(ports, limits=Limits(all_columns_max=30)), params)
    with pytest.raises(SluiceError) as caught:
        opened(replace(ports, limits=Limits(all_columns_max=29)), params)
    assert (caught.value.code, caught.value.facts) == (ErrorCode.TOO_MANY_COLUMNS, {"columns": 30, "columns_max": 29})


def test_rows_that_need_more_worksheets_than_a_program_opens_are_refused_at_the_close() -> None:
    ports = memory_ports(FakeClock())
    options = ExportOptions(excel_start_row=1_048_574)
    params = ExportParams(format=ExportFormat.XLSX, filename="t", columns=ORDERS.columns, options=options)
    fits, too_many = opened(ports, params), opened(ports, params)
    put(ports, fits, 1, 0, *([str(number)] for number in range(2_000)))
    put(ports, too_many, 1, 0, *([str(number)] for number in range(2_001)))
    assert close_export(ports, fits, CloseRequest()).state is State.SEALED
    error = refusal(CloseRequest(), ports=ports, ref=too_many)
    assert (error.code, error.facts) == (ErrorCode.TOO_MANY_ROWS, {"rows": 2_001, "rows_max": 2_000})


def test_an_archive_of_workbooks_is_delivered_under_the_name_of_one() -> None:
    ports = replace(memory_ports(FakeClock()), limits=Limits(workbook_rows_least=1))
    options = ExportOptions(workbook_rows_max=2)
    ref = opened(
        ports, ExportParams(format=ExportFormat.XLSX, filename="b.xlsx", columns=ORDERS.columns, options=options)
    )
    assert filename_of(row_of(ports, ref)) == "b.xlsx"
    put(ports, ref, 1, 0, ["1"], ["2"], ["3"])
    row = composed(ports, ref)
    assert filename_of(row) == "b.zip"
    assert row.result_key.endswith("/export.zip")
    with zipfile.ZipFile(io.BytesIO(ports.objects.get(row.result_key))) as archive:
        assert archive.namelist() == ["b-1.xlsx", "b-2.xlsx"]
        assert values_in(archive.read("b-2.xlsx"))["Sheet1"] == [(3,)]


def test_a_workbook_that_would_be_full_at_once_is_refused() -> None:
    options = ExportOptions(workbook_rows_max=9_999)
    with pytest.raises(SluiceError) as caught:
        opened(
            memory_ports(FakeClock()),
            ExportParams(format=ExportFormat.XLSX, filename="b", columns=ORDERS.columns, options=options),
        )
    assert caught.value.facts["field"] == "options.workbook_rows_max"
