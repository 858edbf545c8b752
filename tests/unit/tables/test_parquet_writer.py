"""Parquet: types by declaration, nothing lost to a type, read by a program that did not write the file."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.errors import ErrorCode
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.file_plan import Warned
from sluice.tables.writers.parquet.kinds import declared_decimals
from tests.support.csv_files import Row, strings
from tests.support.format_files import FormatFiles, ParquetRead, one, read_parquet, refusal

PARQUET = FormatFiles(ExportFormat.PARQUET)
AB = strings("a", "b")
NUMBER, BOOLEAN = ColumnType.NUMBER, ColumnType.BOOLEAN
DATE, DATETIME = ColumnType.DATE, ColumnType.DATETIME


def read(folder: Path, rows: list[Row], columns: tuple[ColumnSpec, ...], **options: Any) -> ParquetRead:
    return read_parquet(PARQUET.write(rows, columns, **options).data, folder)


def column(folder: Path, spec: tuple[ColumnSpec, ...], *cells: str | None, **options: Any) -> tuple[str, list[Any]]:
    """The type and the values of one column."""
    found = read(folder, [(cell,) for cell in cells], spec, **options)
    return found.types["value"], [row[0] for row in found.rows]


def test_every_column_has_the_type_that_its_declaration_says(tmp_path: Path) -> None:
    columns = (
        ColumnSpec("text"),
        ColumnSpec("number", NUMBER),
        ColumnSpec("whole", NUMBER, format="0"),
        ColumnSpec("amount", NUMBER, format="#,##0.00"),
        ColumnSpec("day", DATE),
        ColumnSpec("moment", DATETIME),
        ColumnSpec("paid", BOOLEAN, format="yes/no"),
    )
    found = read(tmp_path, [], columns)
    assert found.rows == []
    assert found.types == {
        "text": "VARCHAR",
        "number": "VARCHAR",
        "whole": "BIGINT",
        "amount": "DECIMAL(38,2)",
        "day": "DATE",
        "moment": "TIMESTAMP",
        "paid": "BOOLEAN",
    }
    assert set(read(tmp_path, [], columns, on_invalid="text").types.values()) == {"VARCHAR"}


@pytest.mark.parametrize(
    ("code", "decimals"),
    [
        ("0", 0),
        ("#", 0),
        ("#,##0", 0),
        ("00000", 0),
        ("0.00", 2),
        ("0.0#?", 3),
        (".00", 2),
        ("0.", 0),
        ('"€" #,##0.00;[Red]-#,##0.00', 2),
        ("[$¥-804]#,##0.000", 3),
        ("¥#,##0.00_);(¥#,##0.00)", 2),
        ("0.00元", 2),
        ('0" "", 00"', 0),
        ("0." + "0" * 30, 30),
        ("0." + "0" * 31, None),
        ("", None),
        ("General", None),
        ("@", None),
        ("0%", None),
        ("0.00E+00", None),
        ("# ?/?", None),
        ("#,##0,", None),
        ("0,,", None),
        ("[>=100]0;0.00", None),
        ("yyyy-mm-dd", None),
        ("[h]:mm", None),
        ("-", None),
        ('"0.00"', None),
    ],
)
def test_a_number_format_declares_decimals_where_it_shows_the_number_as_it_is(code: str, decimals: int | None) -> None:
    assert declared_decimals(code) == decimals


def test_text_comes_back_with_null_apart_from_empty(tmp_path: Path) -> None:
    rows: list[Row] = [("x", None), ("", "a\0b"), (None, "张🎁\u2028\r\n"), ('"', "=1+1"), ("a\0", "")]
    assert read(tmp_path, rows, AB).rows == rows


@pytest.mark.parametrize(
    "spec", [one(NUMBER), one(NUMBER, "0"), one(NUMBER, "0.00"), one(DATE), one(DATETIME), one(BOOLEAN)]
)
@pytest.mark.parametrize("options", [{}, {"on_invalid": "text"}])
def test_outside_string_columns_the_empty_text_is_null(
    tmp_path: Path, spec: tuple[ColumnSpec, ...], options: dict[str, Any]
) -> None:
    assert column(tmp_path, spec, "", None, "", **options)[1] == [None] * 3


def test_a_number_without_a_format_is_the_text_that_was_sent(tmp_path: Path) -> None:
    sent = ["007", "+5", "0.30000000000000004", "12345678901234567890", "1e-400", "-0.0", "1E+05"]
    assert column(tmp_path, one(NUMBER), *sent) == ("VARCHAR", sent)


def test_whole_numbers_are_exact_to_the_last_of_64_bits(tmp_path: Path) -> None:
    sent = ["0", "-12", "+5", "5.000", "1.5e1", "1200e-2", "-0", None, "9223372036854775807", "-9223372036854775808"]
    whole = [0, -12, 5, 5, 15, 12, 0, None, 2**63 - 1, -(2**63)]
    assert column(tmp_path, one(NUMBER, "0"), *sent) == ("BIGINT", whole)
    assert column(tmp_path, one(NUMBER, "0"), "1", "202300000000000001", "")[1] == [1, 202300000000000001, None]


def test_decimals_are_exact_to_the_last_of_38_digits(tmp_path: Path) -> None:
    sent = ["12.5", "-0.01", "+3", "1.5e1", "2.50000", "9" * 36 + ".99", "-" + "9" * 36 + ".99", None, "1e-2", "0e999"]
    values = [None if text is None else Decimal(text) for text in [*sent[:-1], "0"]]
    assert column(tmp_path, one(NUMBER, "0.00"), *sent) == ("DECIMAL(38,2)", values)
    assert column(tmp_path, one(NUMBER, "0.00"), "1.25", "", "-7")[1] == [Decimal("1.25"), None, Decimal(-7)]


def test_days_and_moments_are_exact(tmp_path: Path) -> None:
    days = ["2025-03-14", None, "2024-02-29", "2025-03-31 00:00", "0001-01-01", "9999-12-31"]
    exact_days = [date(2025, 3, 14), None, date(2024, 2, 29), date(2025, 3, 31), date(1, 1, 1), date(9999, 12, 31)]
    assert column(tmp_path, one(DATE), *days) == ("DATE", exact_days)
    noon = datetime(2025, 3, 14, 9, 26)  # noqa: DTZ001 -- wall-clock time
    sent = [
        "2025-03-14 09:26",
        "2025-03-14T09:26:00.5",
        "2025-03-14 09:26:00.123456",
        "2025-03-14 09:26:00.123456000",
        "",
    ]
    exact = [noon, noon.replace(microsecond=500_000), *[noon.replace(microsecond=123_456)] * 2, None]
    assert column(tmp_path, one(DATETIME), *sent) == ("TIMESTAMP", exact)
    assert column(tmp_path, one(DATETIME), *sent[:3], "")[1] == [*exact[:3], None]


def test_a_moment_with_an_offset_is_the_wall_clock_of_the_declared_zone(tmp_path: Path) -> None:
    sent = ["2025-03-14T09:26:00Z", "2025-03-14 09:26:00", "2025-03-14 09:26+02:00"]
    noon = datetime(2025, 3, 14, 9, 26)  # noqa: DTZ001 -- wall-clock time
    hours = timedelta(hours=1)
    assert column(tmp_path, one(DATETIME), *sent)[1] == [noon, noon, noon - 2 * hours]
    shanghai = column(tmp_path, one(DATETIME), *sent, timezone="Asia/Shanghai")[1]
    assert shanghai == [noon + 8 * hours, noon, noon + 6 * hours]


def test_booleans_are_booleans_whatever_their_words(tmp_path: Path) -> None:
    sent = ["true", "FALSE", "1", "0", "Yes", "no", "", None]
    truths = [True, False, True, False, True, False, None, None]
    assert column(tmp_path, one(BOOLEAN), *sent) == ("BOOLEAN", truths)
    assert column(tmp_path, one(BOOLEAN, "yes/"), "yes", "", None, "0")[1] == [True, False, None, False]


@pytest.mark.parametrize(
    ("kind", "code", "misfit", "reason"),
    [
        (NUMBER, "0", "1.5", "decimals"),
        (NUMBER, "0", "5e-1", "decimals"),
        (NUMBER, "0", "007", "leading_zeros"),
        (NUMBER, "0", "9223372036854775808", "range"),
        (NUMBER, "0", "-9223372036854775809", "range"),
        (NUMBER, "0", "1e300", "range"),
        (NUMBER, "0", "1e-99999999999999999999", "decimals"),
        pytest.param(NUMBER, "0", "1e-" + "9" * 5_000, "decimals", id="a long exponent below 0"),
        (NUMBER, "0.00", "0.125", "decimals"),
        (NUMBER, "0.00", "1e-3", "decimals"),
        (NUMBER, "0.00", "-00.5", "leading_zeros"),
        (NUMBER, "0.00", "1" + "0" * 36, "range"),
        (NUMBER, "0.00", "1e36", "range"),
        (DATE, "", "2025-03-14 09:26", "time_of_day"),
        (DATE, "", "2025-03-14 00:00:00.000001", "time_of_day"),
        (DATE, "", "2025-03-14 00:00-01:00", "time_of_day"),
        (DATE, "", "0000-01-01", "range"),
        (DATETIME, "", "10000-01-01", "range"),
        (DATETIME, "", "0001-01-01 00:00+01:00", "range"),
        (DATETIME, "", "2025-03-14 09:26:00.1234561", "fraction"),
        (DATETIME, "", "2025-03-14 09:26:00.000000001+08:00", "fraction"),
        (DATE, "", "2025-03-14 00:00:00.0000001", "fraction"),
    ],
)
def test_a_value_that_a_type_would_shorten_is_refused_at_once_and_again_when_written(
    kind: ColumnType, code: str, misfit: str, reason: str
) -> None:
    good = "2025-03-14" if kind in {DATE, DATETIME} else "1"
    rows: list[Row] = [(good,), (None,), (misfit,)]
    error = refusal(lambda: PARQUET.check_rows_of(rows, one(kind, code)))
    assert error.code is ErrorCode.INVALID_VALUE
    assert error.facts == {"row": 3, "column": "value", "column_type": kind.value, "reason": reason}
    assert misfit not in str(error)
    late = refusal(lambda: PARQUET.write([(good,)] * 1_500 + rows, one(kind, code)))
    assert (late.code, late.facts) == (error.code, error.facts | {"row": 1_503})
    PARQUET.check_rows_of(rows, one(kind, code), on_invalid="text")


def test_where_invalid_values_become_null_so_do_those_that_a_type_would_shorten_and_all_are_counted(
    tmp_path: Path,
) -> None:
    columns = (ColumnSpec("n", NUMBER, format="0.00"), ColumnSpec("w", NUMBER, format="0"), ColumnSpec("d", DATE))
    rows: list[Row] = [
        ("1.5", "2", "2025-01-01"),
        ("1.234", "9223372036854775808", "2025-01-01 10:00"),
        ("n/a", "1.5", None),
        (None, "3", "0000-00-00"),
    ]
    PARQUET.check_rows_of(rows, columns, on_invalid="null")
    written = PARQUET.write(rows, columns, on_invalid="null")
    day = date(2025, 1, 1)
    kept = [(Decimal("1.50"), 2, day), (None, None, None), (None, None, None), (None, 3, None)]
    assert read_parquet(written.data, tmp_path).rows == kept
    assert written.tally.warnings == {Warned.INVALID_AS_NULL: 6}


@pytest.mark.parametrize("on_invalid", ["error", "null"])
def test_a_later_value_of_a_detected_type_in_another_form_is_refused_and_never_null(on_invalid: str) -> None:
    column = (ColumnSpec("value", BOOLEAN, detected=True),)
    rows: list[Row] = [("true",), ("yes",)]
    for tried in (PARQUET.check_rows_of, PARQUET.write):
        error = refusal(lambda: tried(rows, column, on_invalid=on_invalid))  # noqa: B023  # called at once
        assert (error.code, error.facts["row"], error.facts["reason"]) == (ErrorCode.INVALID_VALUE, 2, "form")


@pytest.mark.parametrize("code", ["", "0", "0.00"])
@pytest.mark.parametrize("invalid", ["n/a", "1\0002", "1e400"])
def test_a_value_that_is_no_number_is_refused_also_when_it_was_stored_for_another_format(
    code: str, invalid: str
) -> None:
    error = refusal(lambda: PARQUET.write([("1",), (invalid,)], one(NUMBER, code)))
    assert error.facts == {"row": 2, "column": "value", "column_type": "number"}


def test_invalid_values_are_kept_in_columns_of_texts_and_counted(tmp_path: Path) -> None:
    columns = (ColumnSpec("n", NUMBER, format="0"), ColumnSpec("d", DATE), ColumnSpec("b", BOOLEAN), ColumnSpec("s"))
    rows: list[Row] = [("1", "2025-03-14", "yes", "x"), ("n/a", "soon", "perhaps", None), ("007", "", None, "")]
    written = PARQUET.write(rows, columns, on_invalid="text")
    assert read_parquet(written.data, tmp_path).rows == [*rows[:2], ("007", None, None, "")]
    assert written.tally.warnings == {Warned.INVALID_AS_TEXT: 3}


@pytest.mark.parametrize(
    ("columns", "field"), [(strings("a", "b", "a"), "columns[2].name"), (strings("a", ""), "columns[1].name")]
)
def test_columns_that_readers_could_not_tell_apart_are_refused(columns: tuple[ColumnSpec, ...], field: str) -> None:
    error = refusal(lambda: PARQUET.check_table(columns))
    assert (error.code, error.facts) == (ErrorCode.INVALID_REQUEST, {"field": field})


def test_any_other_name_is_kept(tmp_path: Path) -> None:
    columns = strings("a.b", "名称", 'say "hi"', "a b,c;{}()=\t\n", "x" * 255)
    PARQUET.check_table(columns)
    assert list(read(tmp_path, [("1",) * 5], columns).types) == [spec.name for spec in columns]


def test_compression_makes_the_same_table_smaller(tmp_path: Path) -> None:
    rows = [(f"customer number {number} of many", str(number)) for number in range(5_000)]
    plain, packed = PARQUET.write(rows, AB), PARQUET.write(rows, AB, compression_enabled=True)
    assert len(packed.data) < len(plain.data)
    assert read_parquet(packed.data, tmp_path) == read_parquet(plain.data, tmp_path)
    assert read_parquet(plain.data, tmp_path).rows == rows


def test_the_format_names_its_extension_and_media_type() -> None:
    for options in (ExportOptions(), ExportOptions(compression_enabled=True)):
        assert PARQUET.format.extension(options, 0) == "parquet"
        assert PARQUET.format.media_type(options, 0) == "application/vnd.apache.parquet"


LONG = "".join(chr(33 + index * 7919 % 90) for index in range(5_000))


@pytest.mark.parametrize(
    ("columns", "cell"),
    [
        (strings("a"), "x"),
        (strings("a"), LONG),
        (strings("\u00c0" * 250), None),
        (one(NUMBER, "0.00"), "1"),
        (one(BOOLEAN), "1"),
        (one(DATETIME), "2025-03-14"),
        (strings(*map(str, range(500))), ""),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 300])
def test_no_file_is_larger_than_its_bound(
    columns: tuple[ColumnSpec, ...], cell: str | None, rows: int, *, packed: bool
) -> None:
    table = [(cell,) * len(columns)] * rows
    written = PARQUET.write(table, columns, compression_enabled=packed)
    assert len(written.data) <= PARQUET.bound(table, columns, compression_enabled=packed)


def test_no_file_of_many_row_groups_is_larger_than_its_bound() -> None:
    rows = [(f"{number * 2654435761 % 2**64:x}" + LONG[: number % 5_000],) for number in range(9_000)]
    written = PARQUET.write(rows, strings("a"))
    assert len(written.data) <= PARQUET.bound(rows, strings("a"))


WITHOUT = """
import sys
{hide}
from sluice.tables.batch import Batch
from sluice.domain.schema import ColumnSpec
from sluice.domain.errors import SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS

parquet = FORMATS[ExportFormat.PARQUET]
columns = (ColumnSpec("a"),)
params = ExportParams(format=ExportFormat.PARQUET, filename="a", columns=columns)
table = FilePlan(columns=columns, options=ExportOptions(), rows=1, size=2)
batch = Batch.of_rows([("x",)], 1)

def tried(call):
    try:
        call()
    except SluiceError as error:
        return f"{{error.code}} {{error.facts['extra']}} {{'sluice[parquet]' in error.detail}}"
    return "done"

print(tried(lambda: parquet.check_table(params, Limits())))
parquet.check_batch(batch, columns, ExportOptions(), Limits())
parquet.size_bound(table)
print("pyarrow.lib" in sys.modules)
print(tried(lambda: list(parquet.write([batch], table, Tally()))))
print("pyarrow.lib" in sys.modules)
"""


def in_a_process_of_its_own(hide: str) -> list[str]:
    program = WITHOUT.format(hide=hide)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split(
        "\n"
    )


def test_the_library_is_imported_only_to_write() -> None:
    assert in_a_process_of_its_own("") == ["done", "False", "done", "True", ""]


def test_without_the_library_an_open_is_refused_and_told_what_is_missing() -> None:
    missing = "UNSUPPORTED_FORMAT parquet True"
    assert in_a_process_of_its_own("sys.modules['pyarrow'] = None") == [missing, "False", missing, "False", ""]
