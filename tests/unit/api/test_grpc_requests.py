"""What messages mean: every field of the contract, and nothing guessed."""

from __future__ import annotations

import pytest

from sluice.api.grpc.requests import (
    COLUMN_TYPES,
    WIRE_FORMATS,
    read_options,
    read_params,
    read_render,
    read_totals,
)
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import metadata_of


def test_metadata_becomes_parameters() -> None:
    column = pb.ColumnDefinition(name="Paid", data_type=pb.DATA_TYPE_BOOLEAN, width=9, format="yes/no")
    metadata = pb.ExportMetadata(
        format=pb.FORMAT_EXCEL, filename="../x", columns=[column], expected_records=0, options={"compact": True}
    )
    params = read_params(metadata, Limits())
    assert params.format is ExportFormat.XLSX
    assert params.filename == "../x"  # made safe by the use case
    assert params.columns == (ColumnSpec("Paid", ColumnType.BOOLEAN, 9, "yes/no"),)
    assert params.expected_rows == 0
    assert params.options == ExportOptions(compact=True)


def test_the_columns_of_clients_that_name_no_type_are_texts() -> None:
    assert [column.type for column in read_params(metadata_of(["a"]), Limits()).columns] == [ColumnType.STRING]


def test_no_expected_records_are_not_0_records() -> None:
    assert read_params(metadata_of(), Limits()).expected_rows is None


def test_every_type_of_the_contract_is_read() -> None:
    assert set(COLUMN_TYPES) == set(pb.DataType.values())
    assert set(COLUMN_TYPES.values()) == set(ColumnType)


def test_a_type_of_a_newer_contract_is_refused() -> None:
    metadata = metadata_of(["a", "b"])
    metadata.columns[1].data_type = 99  # type: ignore[assignment]  # what a newer client may send
    with pytest.raises(SluiceError) as caught:
        read_params(metadata, Limits())
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts == {"field": "columns[1].data_type"}


def test_every_format_has_its_number() -> None:
    assert set(WIRE_FORMATS) == set(ExportFormat)
    assert set(WIRE_FORMATS.values()) | {pb.FORMAT_UNSPECIFIED} == set(pb.ExportFormat.values())


@pytest.mark.parametrize("number", [0, max(pb.ExportFormat.values()) + 1, 99, -1])
def test_row_6_a_format_without_a_meaning_is_refused(number: int) -> None:
    with pytest.raises(SluiceError) as caught:
        read_params(metadata_of(kind=number), Limits())  # type: ignore[arg-type]  # what a newer client may send
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT
    assert caught.value.facts == {"formats": [known.value for known in ExportFormat]}


def test_options_that_were_not_sent_have_their_defaults() -> None:
    assert read_options(pb.FormatOptions()) == ExportOptions()
    assert read_options(pb.ExportMetadata().options) == ExportOptions()


def test_the_contract_has_every_option_and_no_other() -> None:
    on_the_wire = {field.name for field in pb.FormatOptions.DESCRIPTOR.fields}
    assert on_the_wire == set(ExportOptions.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("null_value", ""), ("null_value", "NULL"), ("on_invalid", "text"), ("timezone", "Asia/Shanghai"),
        ("compression_enabled", True), ("csv_dialect", "mysql"), ("csv_delimiter", ";"),
        ("csv_encoding", "gb18030"), ("csv_bom", False),
        ("line_ending", "lf"), ("quote_all", True), ("formula_guard", "off"), ("on_unencodable", "replace"),
        ("header", False), ("excel_sheet_name", "Orders"), ("excel_start_row", 3), ("compact", True),
        ("on_too_long", "cut"), ("on_sheet_full", "error"), ("header_color", "FFCC00"), ("banding", True),
        ("banding", False), ("right_to_left", True), ("freeze_header", False), ("autofilter", False), ("style", "dark"),
    ],
)  # fmt: skip
def test_an_option_that_was_sent_holds(name: str, value: object) -> None:
    sent = pb.FormatOptions(**{name: value})  # type: ignore[arg-type]  # one field by its name
    assert read_options(sent) == ExportOptions(**{name: value})  # type: ignore[arg-type]  # one option by its name
    assert read_options(sent) != ExportOptions()


@pytest.mark.parametrize(
    "name", ["on_invalid", "line_ending", "formula_guard", "on_unencodable", "on_too_long", "on_sheet_full", "style"]
)
def test_a_choice_that_there_is_not_is_named_without_its_value(name: str) -> None:
    with pytest.raises(SluiceError) as caught:
        read_options(pb.FormatOptions(**{name: "sideways"}))  # type: ignore[arg-type]  # one field by its name
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts == {"field": f"options.{name}"}
    assert "sideways" not in caught.value.detail


def test_totals_that_were_not_sent_are_not_0() -> None:
    assert read_totals(pb.CloseTotals(), Limits()) == (None, None, {})
    assert read_totals(pb.CloseTotals(batches=0, records=0), Limits()) == (0, 0, {})
    assert read_totals(pb.CloseTotals(batches=2, records=7, sheet_records={"a": 0}), Limits()) == (2, 7, {"a": 0})


def test_a_render_that_says_nothing_keeps_everything() -> None:
    kept = read_render(pb.RenderExportRequest(task_id="t"), request_id="r", trace_parent="")
    assert (kept.format, kept.filename, kept.options, kept.idempotency_key, kept.request_id) == (
        None, None, None, None, "r",
    )  # fmt: skip


def test_a_render_says_what_differs() -> None:
    request = pb.RenderExportRequest(
        task_id="t", format=pb.FORMAT_CSV, filename="f", options=pb.FormatOptions(), request_id="key"
    )
    differing = read_render(request, request_id="r", trace_parent="")
    assert (differing.format, differing.filename, differing.idempotency_key) == (ExportFormat.CSV, "f", "key")
    assert differing.options == ExportOptions()
