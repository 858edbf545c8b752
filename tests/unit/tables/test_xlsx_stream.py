"""The writer as a stage between batches and bytes: lazy, transparent to errors, exact about counts."""

from __future__ import annotations

import random
import string
import tracemalloc
from collections.abc import Iterator

import pytest

from sluice.demo.order_table import COLUMNS, order_batches
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally, Warned
from sluice.tables.formats import FORMATS
from tests.support.xlsx_tables import batches_of, columns_of, params_of, table_of, write_xlsx

XLSX = FORMATS[ExportFormat.XLSX]
TEXT = columns_of(ColumnType.STRING)
OPTIONS = (ExportOptions(), ExportOptions(compact=True), ExportOptions(compression_enabled=True))


def order_table(rows: int) -> FilePlan:
    return FilePlan(columns=COLUMNS, options=ExportOptions(), rows=rows, size=rows * 200)


def test_batches_are_read_only_as_bytes_are_taken() -> None:
    read = 0

    def batches() -> Iterator[Batch]:
        nonlocal read
        for batch in order_batches(60_000):
            read += 1
            yield batch

    blocks = XLSX.write(batches(), order_table(60_000), Tally())
    assert read == 0
    seen = [read for _block in blocks]
    assert read == 60
    assert seen[0] <= 12
    assert len(set(seen)) > 15


def test_an_error_of_the_source_passes_through_unchanged() -> None:
    error = OSError("the store is gone")

    def batches() -> Iterator[Batch]:
        yield from order_batches(5_000)
        raise error

    with pytest.raises(OSError, match="the store is gone") as caught:
        list(XLSX.write(batches(), order_table(10_000), Tally()))
    assert caught.value is error


def test_closing_the_stream_early_closes_the_source() -> None:
    closed = []

    def batches() -> Iterator[Batch]:
        try:
            yield from order_batches(100_000)
        finally:
            closed.append(True)

    blocks = XLSX.write(batches(), order_table(100_000), Tally())
    assert sum(len(next(blocks)) for _ in range(30)) > 500_000  # the middle of the rows
    del blocks
    assert closed == [True]


@pytest.mark.parametrize("promised", [0, 1, 4, 6, 100])
def test_a_number_of_rows_other_than_promised_is_an_error(promised: int) -> None:
    table = FilePlan(columns=TEXT, options=ExportOptions(), rows=promised, size=50)
    with pytest.raises(SluiceError) as caught:
        list(XLSX.write(batches_of([["a"]] * 5, 1, 2), table, Tally()))
    assert caught.value.code is ErrorCode.ROW_COUNT_MISMATCH
    assert caught.value.facts["rows_sealed"] == promised


def test_rows_beyond_the_promise_are_noticed_even_when_sheets_end_there() -> None:
    table = FilePlan(columns=TEXT, options=ExportOptions(), rows=4, size=50, limits=Limits(sheet_rows_max=3))
    with pytest.raises(SluiceError, match="ROW_COUNT_MISMATCH"):
        list(XLSX.write(batches_of([["a"]] * 5, 1, 1), table, Tally()))


@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 1_000, 1_001, 2_345])
def test_the_rows_written_are_counted(rows: int) -> None:
    tally = Tally()
    list(XLSX.write(order_batches(rows, batch_rows=70), order_table(rows), tally))
    assert tally.rows == rows
    assert not tally.warnings


def test_batches_without_rows_change_nothing() -> None:
    rows = [["a"], ["b"]]
    empty = Batch.of_rows([], 1)
    one, two = batches_of(rows, 1, 1)
    blocks = XLSX.write([empty, one, empty, empty, two, empty], table_of(TEXT, rows), Tally())
    assert b"".join(blocks) == write_xlsx(TEXT, rows).data


def test_too_many_rows_for_one_sheet_are_refused_before_the_first_byte() -> None:
    rows = [["a"]] * 3
    options = ExportOptions(on_sheet_full="error")
    table = table_of(TEXT, rows, options=options, limits=Limits(sheet_rows_max=3))
    with pytest.raises(SluiceError, match="TOO_MANY_ROWS"):
        next(XLSX.write(batches_of(rows, 1), table, Tally()))


def test_too_many_rows_for_one_sheet_can_be_refused_at_close() -> None:
    params = params_of(ColumnSpec("a"), on_sheet_full="error")
    XLSX.check_rows(params, [2], Limits(sheet_rows_max=3))
    with pytest.raises(SluiceError, match="TOO_MANY_ROWS"):
        XLSX.check_rows(params, [3], Limits(sheet_rows_max=3))
    XLSX.check_rows(params_of(ColumnSpec("a")), [3], Limits(sheet_rows_max=3))


def test_a_split_is_announced() -> None:
    written = write_xlsx(TEXT, [["a"]] * 5, limits=Limits(sheet_rows_max=3))
    assert written.warnings == {Warned.SHEET_SPLIT: 2}


def worst_rows() -> list[list[str | None]]:
    alphabet = string.ascii_letters + string.digits
    rng = random.Random(7)
    empty: list[str | None] = [None, None]
    noise: list[list[str | None]] = [["".join(rng.choices(alphabet, k=300)), None] for _ in range(300)]
    return [*noise, ["\x01" * 3_000, " "], ["&" * 3_000, "\ufffe" * 1_000], *[empty] * 500]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("limits", [Limits(), Limits(sheet_rows_max=50)])
def test_a_file_never_exceeds_its_bound(options: ExportOptions, limits: Limits) -> None:
    columns = columns_of(ColumnType.STRING, ColumnType.STRING)
    for rows in ([], [["a", "b"]], worst_rows()):
        written = write_xlsx(columns, rows, options=options, limits=limits)
        assert len(written.data) <= XLSX.size_bound(table_of(columns, rows, options=options, limits=limits))


def test_the_memory_bound_counts_names_as_long_as_the_header_row_has_them() -> None:
    def measured(name: str) -> tuple[int, int]:
        columns = (ColumnSpec(name),) * 20
        return XLSX.memory_bound(table_of(columns, []), 0), len(write_xlsx(columns, []).sheet_xml())

    (bound, size), (least, smallest) = measured("\x07" * 255), measured("a")
    assert bound - least > size - smallest > 20 * 250 * len("_x0007_")


@pytest.mark.slow
@pytest.mark.parametrize(
    "rows",
    [[["x"] * 5_000] * 3, [["\x07" * 2_500]] * 200, [[None] * 100] * 1_000],
    ids=["columns", "escaped text", "empty cells"],
)
def test_the_memory_bound_grows_as_memory_does(rows: list[list[str | None]]) -> None:
    def measured(rows: list[list[str | None]]) -> tuple[int, int]:
        width = len(rows[0])
        plan = table_of(columns_of(*[ColumnType.STRING] * width), rows)
        batches = list(batches_of(rows, width))
        tracemalloc.start()
        try:
            for _ in XLSX.write(iter(batches), plan, Tally()):
                pass
            return XLSX.memory_bound(plan, plan.size), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    measured([["x"]])  # what is imported and kept for good
    (least, smallest), (bound, peak) = measured([["x"]]), measured(rows)
    assert bound - least > peak - smallest > 0


def test_a_text_may_be_as_long_as_a_cell_and_not_longer() -> None:
    limits = Limits(cell_units_max=10)
    XLSX.check_batch(Batch.of_rows([["y"], ["x" * 10]], 1), TEXT, ExportOptions(), limits)
    with pytest.raises(SluiceError) as caught:
        XLSX.check_batch(Batch.of_rows([["y"], ["x" * 11]], 1), TEXT, ExportOptions(), limits)
    assert (caught.value.code, caught.value.facts["row"]) == (ErrorCode.CELL_TOO_LONG, 2)


def test_the_bound_for_a_large_ordinary_table_keeps_parts_small() -> None:
    table = FilePlan(columns=COLUMNS, options=ExportOptions(), rows=2_000_000, size=300_000_000)
    assert XLSX.size_bound(table) <= 9_000 * 1024 * 1024
