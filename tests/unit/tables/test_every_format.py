"""What the registry promises of every format; a new one is held to it by its entry alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sluice.demo.order_table import COLUMNS, order_batches, order_rows
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.filenames import sanitise_filename
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import encode_batch
from sluice.tables.file_plan import Tally
from sluice.tables.formats import EXTENSIONS, FORMATS
from tests.support.csv_files import batches_of, strings, table_of
from tests.support.format_files import FormatFiles, refusal

AB = strings("a", "b")
OPTIONS = (ExportOptions(), ExportOptions(compression_enabled=True))
ROW = ("x", "y")


@pytest.fixture(params=list(ExportFormat))
def files(request: pytest.FixtureRequest) -> FormatFiles:
    return FormatFiles(request.param)


def test_every_format_that_can_be_asked_for_is_in_the_registry() -> None:
    assert set(FORMATS) == set(ExportFormat)


def test_an_extension_tells_one_format() -> None:
    endings = [{entry.extension(options, 0) for options in OPTIONS} for entry in FORMATS.values()]
    assert sum(map(len, endings)) == len(set().union(*endings))


def test_a_file_named_for_one_format_loses_that_ending_in_another(files: FormatFiles) -> None:
    for options in OPTIONS:
        name = f"orders.{files.format.extension(options, 0)}"
        assert sanitise_filename(name, extension="zip", replaced=EXTENSIONS, limits=Limits()) == "orders.zip"


def test_the_media_type_is_one_that_a_header_can_carry(files: FormatFiles) -> None:
    for options in OPTIONS:
        kind, _, parameters = files.format.media_type(options, 0).partition("; ")
        assert kind.count("/") == 1
        assert kind.isascii()
        assert parameters in {"", "charset=utf-8"}


def test_the_order_table_is_accepted(files: FormatFiles) -> None:
    files.check_table(COLUMNS)
    files.check_rows_of(list(order_rows(1_000)), COLUMNS)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ColumnType.NUMBER, "1,000"),
        (ColumnType.NUMBER, "NaN"),
        (ColumnType.NUMBER, " 1"),
        (ColumnType.DATE, "2023-02-29"),
        (ColumnType.DATETIME, "14.03.2025"),
        (ColumnType.BOOLEAN, "perhaps"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_place(files: FormatFiles, kind: ColumnType, value: str) -> None:
    columns = (ColumnSpec("a"), ColumnSpec("b", kind))
    rows = [("x", ""), ("x", None), ("x", value), ("x", value)]
    error = refusal(lambda: files.check_rows_of(rows, columns))
    assert error.code is ErrorCode.INVALID_VALUE
    assert (error.facts["row"], error.facts["column"]) == (3, "b")
    assert error.facts["column_type"] == kind.value
    assert value not in str(error.facts)
    files.check_rows_of(rows, columns, on_invalid="text")


@pytest.mark.parametrize("batches", [[], [Batch.of_rows([], 2)]])
def test_a_table_without_rows_is_a_file(files: FormatFiles, batches: list[Batch]) -> None:
    tally = Tally()
    table = table_of([], AB)
    data = b"".join(files.format.write(batches, table, tally))
    assert tally.rows == 0
    assert len(data) <= files.format.size_bound(table)


def test_an_empty_batch_between_others_changes_nothing(files: FormatFiles) -> None:
    empty = Batch.of_rows([], 2)
    batches = [empty, *batches_of([ROW], 2), empty, *batches_of([ROW], 2), empty]
    assert b"".join(files.format.write(batches, table_of([ROW, ROW], AB), Tally())) == files.write([ROW] * 2, AB).data


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 3, 4])
def test_another_number_of_rows_than_sealed_is_an_error(files: FormatFiles, rows: int, *, compressed: bool) -> None:
    table = table_of([ROW] * 2, AB, compression_enabled=compressed)
    error = refusal(lambda: list(files.format.write(batches_of([ROW] * rows, 2, 1), table, Tally())))
    assert error.code is ErrorCode.ROW_COUNT_MISMATCH


def test_a_source_with_too_many_rows_is_not_read_to_its_end(files: FormatFiles) -> None:
    def source() -> Iterator[Batch]:
        yield from batches_of([ROW] * 201, 2, 1)
        raise AssertionError("the last row was one too many")

    error = refusal(lambda: list(files.format.write(source(), table_of([ROW] * 200, AB), Tally())))
    assert error.code is ErrorCode.ROW_COUNT_MISMATCH


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("error", [OSError("gone"), SluiceError(ErrorCode.CHUNK_MISSING, sequence=2)])
def test_an_exception_of_the_source_passes_through(files: FormatFiles, error: Exception, *, compressed: bool) -> None:
    def source() -> Iterator[Batch]:
        yield from batches_of([ROW], 2)
        raise error

    table = table_of([ROW] * 2, AB, compression_enabled=compressed)
    with pytest.raises(type(error)) as caught:
        list(files.format.write(source(), table, Tally()))
    assert caught.value is error


def test_no_batch_is_asked_for_before_a_block_is_and_an_abandoned_file_lets_its_source_go(files: FormatFiles) -> None:
    asked: list[int] = []
    left = []

    def source() -> Iterator[Batch]:
        try:
            for number, batch in enumerate(order_batches(200_000)):
                asked.append(number)
                yield batch
        finally:
            left.append(True)

    table = replace(table_of([], COLUMNS), rows=200_000, size=200_000 * 150)
    blocks = files.format.write(source(), table, Tally())
    assert asked == []
    while not asked:
        next(blocks)
    for _ in range(3):
        next(blocks)
    assert len(asked) < 100
    del blocks
    assert left == [True]


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_the_same_rows_give_the_same_bytes_however_they_were_cut(files: FormatFiles, *, compressed: bool) -> None:
    rows = list(order_rows(3_210))
    written = [
        files.write(rows, COLUMNS, batch_rows=batch_rows, compression_enabled=compressed)
        for batch_rows in (7, 999, 1_001, 3_210)
    ]
    assert all(one == written[0] for one in written)
    assert written[0].tally.rows == 3_210


def test_the_bound_is_above_the_file_and_not_absurd(files: FormatFiles) -> None:
    size = sum(encode_batch(batch).size for batch in order_batches(3_000))
    written = files.write(list(order_rows(3_000)), COLUMNS)
    bound = files.bound(list(order_rows(3_000)), COLUMNS)
    assert len(written.data) <= bound <= 16 * size
