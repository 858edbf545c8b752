"""Any table comes back from its JSON Lines, however it was cut into batches."""

from __future__ import annotations

import gzip
import json
import math
import re
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.domain.options import ExportFormat
from sluice.domain.schema import ColumnType
from tests.support.csv_files import Row, strings
from tests.support.format_files import FormatFiles, one

JSONL = FormatFiles(ExportFormat.JSONL)
ODD = st.sampled_from([*'"\\/\b\f\n\r\t\0\x01\x1f\x7f\x85', "\u2028", "\u2029", "\ufeff", "é", "张", "🎁", "u"])
CELL = st.none() | st.text(ODD, max_size=6) | st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


class Number(NamedTuple):
    """A JSON number as it stands in the file."""

    text: str


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    width = draw(st.integers(1, 5))
    return draw(st.lists(st.tuples(*[CELL] * width), min_size=1, max_size=12))


def read(data: bytes) -> list[dict[str, object]]:
    """Read strictly: one object on each line, in the eyes of the program that sees the most line ends."""
    text = data.decode()
    assert text.count("\n") == len(text.splitlines())
    return [
        json.loads(line, parse_int=Number, parse_float=Number, object_pairs_hook=_once)
        for line in text.split("\n")[:-1]
    ]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@given(rows=tables(), batch_rows=st.integers(1, 13), packed=st.booleans())
def test_any_table_comes_back_and_its_cutting_leaves_no_trace(
    rows: list[Row], batch_rows: int, *, packed: bool
) -> None:
    columns = strings(*"abcde"[: len(rows[0])])
    whole = JSONL.write(rows, columns, compression_enabled=packed)
    assert JSONL.write(rows, columns, compression_enabled=packed, batch_rows=batch_rows) == whole
    plain = gzip.decompress(whole.data) if packed else whole.data
    assert [list(line) for line in read(plain)] == [[column.name for column in columns]] * len(rows)
    assert [tuple(line.values()) for line in read(plain)] == rows
    assert len(whole.data) <= JSONL.bound(rows, columns, compression_enabled=packed)


@pytest.mark.slow
@given(st.lists(NUMBERS | st.none(), min_size=1, max_size=20), st.integers(1, 7))
def test_every_number_keeps_every_digit(sent: list[str | None], batch_rows: int) -> None:
    rows = [(value,) for value in sent]
    written = JSONL.write(rows, one(ColumnType.NUMBER), batch_rows=batch_rows)
    assert written.data == JSONL.write(rows, one(ColumnType.NUMBER)).data
    for value, line in zip(sent, read(written.data), strict=True):
        got = line["value"]
        if isinstance(got, Number):
            assert value is not None
            assert got.text == value.removeprefix("+")
            assert _same(got.text, float(got.text))
        else:
            assert got == value


def _same(text: str, number: float) -> bool:
    """Whether a program that reads ``number`` can show every digit of ``text`` again."""
    digits = re.sub(r"[eE].*", "", text).lstrip("-").replace(".", "").strip("0")
    shown = Decimal(f"{number:.{max(len(digits), 1) - 1}e}") if math.isfinite(number) else None
    return shown == Decimal(text)


@given(st.lists(st.datetimes() | st.none(), min_size=1, max_size=20), st.sampled_from([" ", "T"]))
def test_every_datetime_is_read_by_the_standard_library(sent: list[object], separator: str) -> None:
    rows = [(value.isoformat(separator) if value else None,) for value in sent]  # type: ignore[attr-defined]  # a datetime
    lines = read(JSONL.write(rows, one(ColumnType.DATETIME)).data)
    assert [line["value"] for line in lines] == [value and value.isoformat() for value in sent]  # type: ignore[attr-defined]  # a datetime
