"""Types and options are read from the command line's text; a mistake is wrong usage, and says what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from sluice.cli.export.command import read_delimiter, read_names
from sluice.cli.export.params_from_flags import format_of, make_params, read_options, read_types
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType


def params(output: str, *, options: tuple[str, ...] = (), format_name: ExportFormat | None = None) -> ExportParams:
    return make_params(Path(output), ["a"], types=(), options=options, format_name=format_name)


def test_columns_are_strings_unless_a_type_is_given() -> None:
    assert read_types(["id=number,paid=boolean:yes/no", "at = datetime"], ["id", "at", "paid", "name"]) == (
        ColumnSpec("id", ColumnType.NUMBER),
        ColumnSpec("at", ColumnType.DATETIME),
        ColumnSpec("paid", ColumnType.BOOLEAN, format="yes/no"),
        ColumnSpec("name"),
    )


def test_names_may_hold_commas_and_equals_signs() -> None:
    assert read_types(["last, first=string,a=b=number"], ["last, first", "a=b"]) == (
        ColumnSpec("last, first"),
        ColumnSpec("a=b", ColumnType.NUMBER),
    )


def test_json_may_say_everything_about_a_column() -> None:
    given = '{"sum": {"type": "number", "format": "#,##0.00", "width": 12}, "id": "number"}'
    assert read_types([given], ["id", "sum"]) == (
        ColumnSpec("id", ColumnType.NUMBER),
        ColumnSpec("sum", ColumnType.NUMBER, width=12, format="#,##0.00"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nmae=number", "did you mean 'name'"),
        ("name=int", "one of string, number, date"),
        ("name", "not name=value"),
        ('{"name": 5}', "one of string"),
        ('{"name": ', "not a JSON object"),
    ],
)
def test_a_wrong_type_is_wrong_usage(text: str, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        read_types([text], ["name"])


def test_options_become_what_their_types_say() -> None:
    given = ["csv_delimiter=;,csv_bom=false,excel_start_row=3", "null_value=null,style=dark", '{"banding": true}']
    assert read_options(given) == ExportOptions(
        csv_delimiter=";", csv_bom=False, excel_start_row=3, null_value="null", banding=True, style="dark"
    )


def test_a_tab_can_be_written_in_letters() -> None:
    assert read_options(["csv_delimiter=\\t"]).csv_delimiter == "\t"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bandin=true", "did you mean 'banding'"),
        ("banding=perhaps", "banding"),
        ("line_ending=cr", "line_ending"),
        ("style=gold", "style"),
        ("excel_start_row=two", "excel_start_row"),
        ("banding", "not name=value"),
    ],
)
def test_a_wrong_option_is_wrong_usage(text: str, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        read_options([text])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.xlsx", ExportFormat.XLSX),
        ("a.CSV", ExportFormat.CSV),
        ("a.b.csv.gz", ExportFormat.CSV),
        ("a.jsonl", ExportFormat.JSONL),
        ("a.jsonl.gz", ExportFormat.JSONL),
        ("a.parquet", ExportFormat.PARQUET),
    ],
)
def test_the_name_tells_the_format(name: str, expected: ExportFormat) -> None:
    assert format_of(Path(name)) is expected


@pytest.mark.parametrize("name", ["a.xls", "a", "a.xlsx.gz", "a.pdf"])
def test_a_name_that_tells_no_format_is_wrong_usage(name: str) -> None:
    with pytest.raises(typer.BadParameter, match="--format"):
        format_of(Path(name))


def test_a_name_ending_in_gz_packs_the_file() -> None:
    assert params("a.csv.gz").options.compression_enabled
    assert params("a.jsonl.gz").options.compression_enabled
    assert not params("a.csv").options.compression_enabled


def test_a_packed_file_is_not_named_as_if_it_were_not() -> None:
    with pytest.raises(typer.BadParameter, match=r"\.csv\.gz"):
        params("a.csv", options=("compression_enabled=true",))
    with pytest.raises(typer.BadParameter, match=r"\.jsonl\.gz"):
        params("a.jsonl", options=("compression_enabled=true",))


def test_a_file_that_packs_itself_keeps_its_name() -> None:
    assert params("a.parquet", options=("compression_enabled=true",)).options.compression_enabled


def test_a_named_format_wins_over_the_name() -> None:
    assert params("a.data", format_name=ExportFormat.XLSX).format is ExportFormat.XLSX


@pytest.mark.parametrize(("text", "delimiter"), [(";", ";"), ("\\t", "\t"), ("tab", "\t"), ("\t", "\t"), ("|", "|")])
def test_a_delimiter_is_one_character(text: str, delimiter: str) -> None:
    assert read_delimiter(text) == delimiter


@pytest.mark.parametrize("text", ["", ";;", '"', "\n", "\r"])
def test_what_cannot_delimit_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_delimiter(text)


def test_column_names_are_a_line_of_csv() -> None:
    assert read_names('id,"last, first",') == ("id", "last, first", "")
    assert read_names(None) == ()
