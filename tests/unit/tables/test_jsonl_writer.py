"""JSON Lines: one object per row, every value as what it is, no digit lost."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from sluice.domain.errors import ErrorCode
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.file_plan import Tally, Warned
from tests.support.csv_files import Row, batches_of, strings, table_of
from tests.support.format_files import FormatFiles, one, refusal

JSONL = FormatFiles(ExportFormat.JSONL)
AB = strings("a", "b")


def text(rows: list[Row], columns: tuple[ColumnSpec, ...] = AB, **options: Any) -> str:
    return JSONL.write(rows, columns, **options).data.decode()


def values(kind: ColumnType, *cells: str | None, column_format: str = "", **options: Any) -> list[str]:
    """The cells of one column as they stand in the file, their quotes included."""
    lines = text([(cell,) for cell in cells], one(kind, column_format), **options).splitlines()
    assert all(line.startswith('{"value":') and line.endswith("}") for line in lines)
    return [line.removeprefix('{"value":')[:-1] for line in lines]


def warnings(kind: ColumnType, *cells: str, **options: Any) -> dict[str, int]:
    return dict(JSONL.write([(cell,) for cell in cells], one(kind), **options).tally.warnings)


def test_a_row_is_an_object_in_the_order_of_the_columns_and_ends_in_a_line_feed() -> None:
    columns = (ColumnSpec("z"), ColumnSpec("id", ColumnType.NUMBER), ColumnSpec("a", ColumnType.BOOLEAN))
    assert text([("x", "1", "yes"), ("张伟", "-2.50", "0")], columns) == (
        '{"z":"x","id":1,"a":true}\n{"z":"张伟","id":-2.50,"a":false}\n'
    )


def test_a_table_of_one_column_has_objects_of_one_member() -> None:
    assert text([("x",), (None,), ("",)], strings("a")) == '{"a":"x"}\n{"a":null}\n{"a":""}\n'


def test_a_table_without_rows_has_no_bytes() -> None:
    assert text([]) == ""
    assert gzip.decompress(JSONL.write([], AB, compression_enabled=True).data) == b""


def test_null_and_the_empty_text_differ() -> None:
    assert text([(None, ""), ("", None)]) == '{"a":null,"b":""}\n{"a":"","b":null}\n'


@pytest.mark.parametrize("kind", [ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME, ColumnType.BOOLEAN])
def test_outside_string_columns_the_empty_text_is_null(kind: ColumnType) -> None:
    assert values(kind, "", None, "") == ["null"] * 3


@pytest.mark.parametrize("name", ["", " ", 'say "hi"', "a\\b", "a\nb", "名称", "\u2028", "\x07", "a.b", "__proto__"])
def test_any_name_is_a_key(name: str) -> None:
    JSONL.check_table([ColumnSpec(name)])
    line = text([("x",)], (ColumnSpec(name),))
    assert json.loads(line) == {name: "x"}
    assert len(line.splitlines()) == 1


def test_two_columns_of_one_name_are_refused_when_the_task_is_opened() -> None:
    error = refusal(lambda: JSONL.check_table(strings("a", "A", "b", "a")))
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.facts == {"field": "columns[3].name"}


@pytest.mark.parametrize(
    ("cell", "escaped"),
    [
        ('say "hi"', r"say \"hi\""),
        ("a\\b", r"a\\b"),
        ('\\"', r"\\\""),
        ("a\nb\r\nc\td", r"a\nb\r\nc\td"),
        ("\b\f", r"\b\f"),
        ("\x01\x1f", r"\u0001\u001f"),
        ("a\0b", r"a\u0000b"),
        ("\x85\u2028\u2029", r"\u0085\u2028\u2029"),
        ("/ < > & ' \x7f", "/ < > & ' \x7f"),
        ("\\n \\u0041 \\u0000", r"\\n \\u0041 \\u0000"),
        ("é张🎁\ufeff\uffff", "é张🎁\ufeff\uffff"),
    ],
)
def test_only_what_a_json_string_or_a_line_cannot_hold_is_escaped(cell: str, escaped: str) -> None:
    assert values(ColumnType.STRING, cell, "plain", cell) == [f'"{escaped}"', '"plain"', f'"{escaped}"']
    assert json.loads(f'"{escaped}"') == cell


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("0", "0"),
        ("-12", "-12"),
        ("0.10", "0.10"),
        ("-0.0", "-0.0"),
        ("1e5", "1e5"),
        ("1E+05", "1E+05"),
        ("123456789012345", "123456789012345"),
        ("1.50000000000000000000", "1.50000000000000000000"),
        ("+5", "5"),
        ("+1.5e-3", "1.5e-3"),
    ],
)
def test_a_number_that_a_double_keeps_stands_digit_for_digit(sent: str, written: str) -> None:
    assert values(ColumnType.NUMBER, sent, "1", sent) == [written, "1", written]
    assert warnings(ColumnType.NUMBER, sent, "1") == {}
    assert json.loads(written) == float(sent)


@pytest.mark.parametrize(
    "sent",
    [
        "1234567890123456",
        "202300000000000001",
        "-9007199254740993",
        "+9007199254740993",
        "0.30000000000000004",
        "007",
        "-00.5",
        "1e-400",
        "9" * 300,
    ],
)
def test_a_number_that_a_double_would_change_is_a_string_and_counted(sent: str) -> None:
    assert values(ColumnType.NUMBER, sent, "1", "", sent) == [f'"{sent}"', "1", "null", f'"{sent}"']
    assert values(ColumnType.NUMBER, sent, sent) == [f'"{sent}"'] * 2
    assert warnings(ColumnType.NUMBER, sent, "1", sent) == {Warned.NUMBER_AS_TEXT: 2}
    assert warnings(ColumnType.NUMBER, sent, sent) == {Warned.NUMBER_AS_TEXT: 2}


@pytest.mark.parametrize("kind", [ColumnType.DATE, ColumnType.DATETIME])
@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("2025-03-14", "2025-03-14"),
        ("2025-03-14 09:26", "2025-03-14T09:26"),
        ("2025-03-14 09:26:53.123456789", "2025-03-14T09:26:53.123456789"),
        ("2025-03-14T09:26:53Z", "2025-03-14T09:26:53Z"),
        ("2025-03-14 09:26:53+08:00", "2025-03-14T09:26:53+08:00"),
        ("2024-02-29 00:00:00", "2024-02-29T00:00:00"),
        ("1066-10-14", "1066-10-14"),
        ("12025-01-01", "12025-01-01"),
    ],
)
def test_a_date_is_what_was_sent_with_a_t(kind: ColumnType, sent: str, written: str) -> None:
    for options in ({}, {"timezone": "Asia/Shanghai"}):
        shown = values(kind, sent, "", "2025-01-01", column_format="dd.mm.yyyy", **options)
        assert shown == [f'"{written}"', "null", '"2025-01-01"']
    assert warnings(kind, sent) == {}


def test_a_boolean_is_true_or_false_whatever_its_words() -> None:
    assert values(ColumnType.BOOLEAN, "true", "FALSE", "1", "0", "Yes", "no", "", None) == [
        "true", "false", "true", "false", "true", "false", "null", "null",
    ]  # fmt: skip
    assert values(ColumnType.BOOLEAN, "是", "否", "0", column_format="是/否") == ["true", "false", "false"]
    assert values(ColumnType.BOOLEAN, "yes", "", None, column_format="yes/") == ["true", "false", "null"]


@pytest.mark.parametrize(
    ("kind", "odd", "written"),
    [
        (ColumnType.NUMBER, "n/a", '"n/a"'),
        (ColumnType.NUMBER, "1\0002", r'"1\u00002"'),
        (ColumnType.DATE, "on a Friday", '"on a Friday"'),
        (ColumnType.DATETIME, '"', r'"\""'),
        (ColumnType.BOOLEAN, "perhaps", '"perhaps"'),
    ],
)
def test_an_invalid_value_is_kept_as_a_string_or_refused_with_its_row(kind: ColumnType, odd: str, written: str) -> None:
    good = {ColumnType.BOOLEAN: "1", ColumnType.NUMBER: "1"}.get(kind, "2025-01-01")
    shown = values(kind, good, odd, None, on_invalid="text")
    assert shown[1:] == [written, "null"]
    assert shown[0] != f'"{good}"' or kind in {ColumnType.DATE, ColumnType.DATETIME}
    assert warnings(kind, good, odd, odd, on_invalid="text") == {Warned.INVALID_AS_TEXT: 2}
    rows = [(good,)] * 1_500 + [(odd,)]
    error = refusal(lambda: JSONL.write(rows, one(kind)))
    assert error.code is ErrorCode.INVALID_VALUE
    assert error.facts == {"row": 1_501, "column": "value", "column_type": kind.value}


def test_any_text_is_accepted() -> None:
    JSONL.check_rows_of([("a\0b", "=1"), (None, "\ufeff")], AB)


def test_options_of_other_formats_change_nothing() -> None:
    rows: list[Row] = [("=1", "a,b"), (None, "é")]
    plain = text(rows)
    others: dict[str, Any] = {
        "csv_bom": False,
        "line_ending": "lf",
        "header": False,
        "quote_all": True,
        "csv_encoding": "gbk",
    }
    assert text(rows, **others) == plain
    assert text(rows, banding=True, excel_start_row=3, compact=True, formula_guard="off") == plain
    assert "'" not in plain


def test_batches_are_asked_for_one_by_one() -> None:
    asked = []

    def source() -> Iterator[Batch]:
        for number in range(3):
            asked.append(number)
            yield Batch.of_rows([(str(number), "x")], 2)

    blocks = JSONL.format.write(source(), table_of([("1", "x")] * 3, AB), Tally())
    assert next(blocks) == b'{"a":"0","b":"x"}\n'
    assert asked == [0]
    assert next(blocks) == b'{"a":"1","b":"x"}\n'
    assert asked == [0, 1]


def test_a_large_batch_comes_in_blocks_of_bounded_size() -> None:
    rows = [(str(number), "x" * 50) for number in range(20_000)]
    blocks = list(JSONL.format.write(batches_of(rows, 2), table_of(rows, AB), Tally()))
    assert len(blocks) > 10
    assert max(map(len, blocks)) < 300_000


def test_a_large_text_beside_values_of_other_types_leaves_them_what_they_are() -> None:
    kinds = (ColumnType.STRING, ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.DATE, ColumnType.STRING)
    columns = tuple(ColumnSpec(kind.value[0] + str(place), kind) for place, kind in enumerate(kinds))
    large = "x\n" * 200_000
    written = text([(large, "1.50", "yes", "2025-03-14", None)], columns)
    assert written == f'{{"s0":"{large}","n1":1.50,"b2":true,"d3":"2025-03-14","s4":null}}\n'.replace("x\n", "x\\n")


def test_a_compressed_file_is_one_gzip_member_without_a_time() -> None:
    rows = [(str(number), "x") for number in range(5_000)]
    data = JSONL.write(rows, AB, compression_enabled=True).data
    assert gzip.decompress(data) == JSONL.write(rows, AB).data
    stream = zlib.decompressobj(wbits=31)
    stream.decompress(data)
    assert (stream.eof, stream.unused_data) == (True, b"")
    assert data[4:8] == bytes(4)


def test_the_format_names_its_extension_and_media_type() -> None:
    packed = ExportOptions(compression_enabled=True)
    assert [JSONL.format.extension(options, 0) for options in (ExportOptions(), packed)] == ["jsonl", "jsonl.gz"]
    assert [JSONL.format.media_type(options, 0) for options in (ExportOptions(), packed)] == [
        "application/x-ndjson",
        "application/gzip",
    ]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (ColumnSpec("a"), "\x07" * 200),
        (ColumnSpec("a"), '"' * 200),
        (ColumnSpec("a"), "\u2028" * 200),
        (ColumnSpec("a"), None),
        (ColumnSpec('"' * 250), "x"),
        (ColumnSpec("a", ColumnType.BOOLEAN), "0"),
        (ColumnSpec("a", ColumnType.NUMBER), ""),
        (ColumnSpec("a", ColumnType.NUMBER), "1234567890123456"),
        (ColumnSpec("a", ColumnType.DATE), "2025-03-14"),
    ],
    ids=str,
)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 300])
def test_no_file_is_larger_than_its_bound(column: ColumnSpec, cell: str | None, rows: int, *, compressed: bool) -> None:
    table = [(cell,)] * rows
    written = JSONL.write(table, [column], compression_enabled=compressed)
    assert len(written.data) <= JSONL.bound(table, [column], compression_enabled=compressed)
