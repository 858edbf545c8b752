"""A column option that is added to the domain reaches every interface, or a test here fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.api.grpc.requests import COLUMN_FIELDS, read_open
from sluice.api.http.bodies.models import ColumnBody, OpenBody, read_model
from sluice.cli.export.params_from_flags import read_types
from sluice.client.rows import encode_columns
from sluice.domain.limits import Limits
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.proto import export_pb2 as pb

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = {field.name: field for field in msgspec.structs.fields(ColumnSpec)}
SAMPLES: dict[type, Any] = {str: "0.00", int: 42, bool: True, float: 4.5, ColumnType: ColumnType.NUMBER}
"""A value for each kind of option that is no kind's default."""
IN_SHORT = {"name", "type", "format"}
"""What `name=type:format` can say; the other options need the JSON object."""


def chosen() -> dict[str, Any]:
    """Each option with a value that is not its default."""
    return {name: SAMPLES[field.type] for name, field in OPTIONS.items()}


def test_every_option_has_a_value_here_that_is_not_its_default() -> None:
    assert [name for name, field in OPTIONS.items() if chosen()[name] == field.default] == []


def test_every_option_comes_through_http() -> None:
    body = json.dumps({"format": "xlsx", "columns": [chosen()]}).encode()
    assert read_model(body, OpenBody).to_params().columns == (ColumnSpec(**chosen()),)
    sheets = json.dumps({"format": "xlsx", "sheets": [{"name": "a", "columns": [chosen()]}]}).encode()
    assert read_model(sheets, OpenBody).to_params().sheets[0].columns == (ColumnSpec(**chosen()),)


def test_every_option_comes_through_grpc() -> None:
    wire = {COLUMN_FIELDS[name]: value for name, value in chosen().items()} | {"data_type": pb.DATA_TYPE_NUMBER}
    metadata = pb.ExportMetadata(
        format=pb.FORMAT_EXCEL, columns=[pb.ColumnDefinition(**wire)], sheets=[{"name": "a", "columns": [wire]}]
    )
    params = read_open(metadata, Limits(), request_id="", trace_parent="").params
    assert params.columns == params.sheets[0].columns == (ColumnSpec(**chosen()),)


def test_the_contract_of_grpc_has_every_option_and_no_other() -> None:
    assert {field.name for field in pb.ColumnDefinition.DESCRIPTOR.fields} == set(COLUMN_FIELDS.values())


def test_the_document_of_http_has_every_option() -> None:
    _, schemas = msgspec.json.schema_components([ColumnBody], ref_template="{name}")
    assert schemas["ColumnBody"]["properties"].keys() == OPTIONS.keys()


def test_every_option_comes_through_the_command_line_and_the_client() -> None:
    others = {name: value for name, value in chosen().items() if name != "name"}
    (read,) = read_types([json.dumps({"0.00": others})], ["0.00"])
    assert read == ColumnSpec(**chosen())
    assert encode_columns([chosen()]) == [chosen()]


def test_the_short_form_of_the_command_line_says_what_it_can() -> None:
    (read,) = read_types(["id=number:0.00"], ["id"])
    spoken = {name for name, field in OPTIONS.items() if getattr(read, name) != field.default}
    assert spoken == IN_SHORT


@pytest.mark.parametrize("option", OPTIONS)
def test_the_page_says_what_an_option_does(option: str) -> None:
    page = (ROOT / "docs/adding-a-column-option.md").read_text(encoding="utf-8")
    assert f"| `{option}` |" in page
