"""Columns in their compact form."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.http.routes.stream import read_columns
from sluice.domain.errors import SluiceError
from sluice.domain.schema import ColumnSpec, ColumnType


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("id:number,name,paid:boolean", [("id", "number"), ("name", "string"), ("paid", "boolean")]),
        ("a", [("a", "string")]),
        ("a,", [("a", "string"), ("", "string")]),
        ("", [("", "string")]),
        (r"a\,b:date,c\:d,e\\", [("a,b", "date"), ("c:d", "string"), ("e\\", "string")]),
        (":number", [("", "number")]),
        ("a b:datetime", [("a b", "datetime")]),
    ],
)
def test_names_and_types_are_read(text: str, columns: list[tuple[str, str]]) -> None:
    assert read_columns([text]) == tuple(ColumnSpec(name, ColumnType(kind)) for name, kind in columns)


def test_repeated_parameters_follow_one_another() -> None:
    assert [column.name for column in read_columns(["a,b", "c"])] == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["a:numeral", "a:", "a:b:number", "a\\", "a:Number", "a: number"])
def test_what_is_no_column_is_refused(text: str) -> None:
    with pytest.raises(SluiceError) as caught:
        read_columns([text])
    assert caught.value.facts["field"] == "columns"


@given(st.lists(st.tuples(st.text(max_size=8), st.sampled_from(ColumnType)), min_size=1, max_size=5))
def test_every_name_can_be_written(columns: list[tuple[str, ColumnType]]) -> None:
    text = ",".join(re.sub(r"([\\,:])", r"\\\1", name) + f":{kind}" for name, kind in columns)
    assert read_columns([text]) == tuple(ColumnSpec(name, kind) for name, kind in columns)
