"""What is refused when a table is declared and when a batch arrives, whatever the format."""

from __future__ import annotations

from typing import Any

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Tally, Warned
from sluice.tables.values.cell_checks import check_declaration, check_values
from sluice.tables.values.nulled_cells import prepared
from sluice.tables.values.number_formats import is_number_format, quote_foreign
from tests.support.csv_files import table_of
from tests.support.xlsx_tables import params_of

SECRET = "s3cret-value"


def refusal(params: ExportParams, limits: Limits | None = None) -> SluiceError:
    with pytest.raises(SluiceError) as caught:
        check_declaration(params, limits or Limits())
    return caught.value


def value_refusal(column: ColumnSpec | ColumnType, values: list[str | None], **options: Any) -> SluiceError:
    spec = column if isinstance(column, ColumnSpec) else ColumnSpec("price", column)
    with pytest.raises(SluiceError) as caught:
        check_values(Batch.of_columns([values], len(values)), (spec,), ExportOptions(**options))
    return caught.value


@pytest.mark.parametrize(("columns", "is_refused"), [(1, False), (3, False), (4, True)])
def test_columns_are_limited(columns: int, is_refused: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    params = params_of(*[ColumnSpec("a")] * columns)
    if not is_refused:
        check_declaration(params, Limits(columns_max=3))
        return
    error = refusal(params, Limits(columns_max=3))
    assert (error.code, error.facts) == (ErrorCode.TOO_MANY_COLUMNS, {"columns": 4, "columns_max": 3})


def test_a_table_without_columns_is_refused() -> None:
    assert refusal(params_of()).facts == {"field": "columns"}


def test_a_workbook_may_have_16384_columns_and_not_one_more() -> None:
    check_declaration(params_of(*[ColumnSpec("")] * 16_384), Limits())
    assert refusal(params_of(*[ColumnSpec("")] * 16_385)).code is ErrorCode.TOO_MANY_COLUMNS


def test_column_names_may_be_empty_or_repeated() -> None:
    check_declaration(params_of(ColumnSpec(""), ColumnSpec("a"), ColumnSpec("a"), ColumnSpec("")), Limits())


def test_column_names_are_limited_in_length() -> None:
    check_declaration(params_of(ColumnSpec("x" * 255)), Limits())
    assert refusal(params_of(ColumnSpec("a"), ColumnSpec("x" * 256))).facts == {"field": "columns[1].name"}


@pytest.mark.parametrize(
    ("column", "field"),
    [
        (ColumnSpec("a\0b"), "columns[0].name"),
        (ColumnSpec("\ud800"), "columns[0].name"),
        (ColumnSpec("a", width=-1), "columns[0].width"),
        (ColumnSpec("a", format="x" * 256), "columns[0].format"),
        (ColumnSpec("a", ColumnType.BOOLEAN, format="yes"), "columns[0].format"),
        (ColumnSpec("a", ColumnType.BOOLEAN, format="yes/Yes"), "columns[0].format"),
        (ColumnSpec("a", ColumnType.DATE, format="Y-m-d H:i:s"), "columns[0].format"),
        (ColumnSpec("a", ColumnType.NUMBER, format='0.00"'), "columns[0].format"),
    ],
)
def test_a_column_that_cannot_be_is_refused_with_its_field(column: ColumnSpec, field: str) -> None:
    error = refusal(params_of(column))
    assert (error.code, error.facts) == (ErrorCode.INVALID_REQUEST, {"field": field})


def test_an_unknown_time_zone_is_refused() -> None:
    assert refusal(params_of(ColumnSpec("a"), timezone="Mars/Olympus")).facts == {"field": "options.timezone"}
    check_declaration(params_of(ColumnSpec("a"), timezone="Asia/Shanghai"), Limits())


@pytest.mark.parametrize(
    "code",
    [
        "", "0", "0.00", "#,##0.00", "0%", "0.00E+00", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss.000", "d.m.yy h:mm AM/PM",
        "@", '"¥"#,##0.00', "¥#,##0.00", "€ #,##0", "yyyy年mm月dd日", '#,##0;[Red]-#,##0;"-";@', "[$-409]mmm d",
        "[h]:mm:ss", "_-* #,##0.00_-", "General", "# ?/?", "0\\x", "[>=100]0;0.0", "[Color10]0", "上午/下午h:mm",
        "#\u00a0##0",
    ],
)  # fmt: skip
def test_number_formats_of_excel_are_accepted(code: str) -> None:
    assert is_number_format(code)


@pytest.mark.parametrize(
    "code",
    [
        "Y-m-d H:i:s",
        "%d.%m.%Y",
        '"open',
        "[Red",
        "0;0;0;0;0",
        "0\\",
        "_",
        "d\nm",
        '"a\nb"',
        "kg",
        "[Pink]0",
        "\0",
        "[Color0]0",
        "[Color 57]0",
    ],
)
def test_formats_that_excel_would_repair_are_refused(code: str) -> None:
    assert not is_number_format(code)


def test_a_hostile_format_is_refused_in_linear_time() -> None:
    assert not is_number_format("y" * 255 + "!" * 9 + "Q")
    assert not is_number_format("上午/下午" * 50 + "Q")


def test_foreign_text_in_a_format_is_quoted_once() -> None:
    assert quote_foreign('yyyy年m"月"d\\日 ¥0') == 'yyyy"年"m"月"d\\日 "¥"0'
    assert quote_foreign("上午/下午h:mm") == "上午/下午h:mm"


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        (ColumnType.NUMBER, SECRET),
        (ColumnType.NUMBER, "1,000"),
        (ColumnType.NUMBER, "1e309"),
        (ColumnType.DATE, "1900-02-29"),
        (ColumnType.DATETIME, "2025-03-14 25:00:00"),
        (ColumnType.BOOLEAN, "maybe"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_row_and_column_but_not_itself(column: ColumnType, bad: str) -> None:
    good = {ColumnType.NUMBER: "1", ColumnType.BOOLEAN: "yes"}.get(column, "2025-03-14")
    error = value_refusal(column, [good, None, "", bad, good, bad])
    assert error.code is ErrorCode.INVALID_VALUE
    assert error.facts == {"row": 4, "column": "price", "column_type": column.value}
    assert bad not in str(error)


@pytest.mark.parametrize("column", list(ColumnType))
def test_null_and_empty_fit_every_type(column: ColumnType) -> None:
    check_values(Batch.of_columns([[None, "", None]], 3), (ColumnSpec("a", column),), ExportOptions())


@pytest.mark.parametrize("column", list(ColumnType))
def test_a_batch_without_rows_is_accepted(column: ColumnType) -> None:
    check_values(Batch.of_rows([], 1), (ColumnSpec("a", column),), ExportOptions())


@pytest.mark.parametrize("column", [kind for kind in ColumnType if kind is not ColumnType.STRING])
def test_a_text_with_nul_is_no_value_of_another_type(column: ColumnType) -> None:
    good = {ColumnType.NUMBER: "1", ColumnType.BOOLEAN: "yes"}.get(column, "2025-03-14")
    assert value_refusal(column, [good, f"{good}\0{good}"]).facts["row"] == 2


@pytest.mark.parametrize("column", list(ColumnType))
def test_a_lone_surrogate_is_refused_in_every_column_even_when_invalid_values_are_kept(column: ColumnType) -> None:
    error = value_refusal(column, ["", "", "a\ud800b"], on_invalid="text")
    assert (error.code, error.facts) == (ErrorCode.INVALID_TEXT, {"row": 3, "column": "price"})


def test_a_lone_surrogate_is_found_beside_a_nul() -> None:
    assert value_refusal(ColumnType.STRING, ["a\0b", "\udfff"]).facts["row"] == 2


def test_invalid_values_are_accepted_when_they_are_kept_as_text() -> None:
    batch = Batch.of_columns([["x", "1"], ["32.13.2025", ""]], 2)
    columns = (ColumnSpec("a", ColumnType.NUMBER), ColumnSpec("b", ColumnType.DATE))
    check_values(batch, columns, ExportOptions(on_invalid="text"))


def test_formats_are_limited_in_length() -> None:
    check_declaration(params_of(ColumnSpec("a", format=f'"{"x" * 253}"')), Limits())
    assert refusal(params_of(ColumnSpec("a", format=f'"{"x" * 254}"'))).facts == {"field": "columns[0].format"}


@pytest.mark.parametrize("on_invalid", ["error", "text", "null"])
def test_what_no_type_accepts_becomes_null_only_where_that_was_asked_for(on_invalid: str) -> None:
    columns = (ColumnSpec("a", ColumnType.NUMBER), ColumnSpec("b", ColumnType.DATE))
    rows = [("x", "2025-03-14"), ("1", "0000-00-00"), (None, "")]
    plan, tally = table_of(rows, columns, on_invalid=on_invalid), Tally()
    (made,) = prepared([Batch.of_rows(rows, 2)], plan, tally)
    if on_invalid == "null":
        assert made.to_rows() == [(None, "2025-03-14"), ("1", None), (None, "")]
        assert tally.warnings == {Warned.INVALID_AS_NULL: 2}
    else:
        assert (made.to_rows(), tally.warnings) == (rows, {})


def test_a_declared_pair_of_words_is_accepted() -> None:
    column = ColumnSpec("paid", ColumnType.BOOLEAN, format="是/否")
    check_values(Batch.of_columns([["是", "否", "true", ""]], 4), (column,), ExportOptions())
    assert value_refusal(column, ["是", "对"]).facts["row"] == 2
