"""Which types are seen in the texts of a table that declares none."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import pytest

from sluice.domain.errors import SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.formats import FORMATS
from sluice.tables.values.nulled_cells import as_written
from sluice.tables.values.type_detection import detect_types
from tests.support.xlsx_tables import params_of


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2.5", "0", "0.1", "", None], ColumnType.NUMBER),
        (["1.10", "-2.50", "3.00"], ColumnType.NUMBER),
        (["1.0", "2.5", "0.125"], ColumnType.NUMBER),
        (["1", "-2.50", "0", "0.1"], ColumnType.STRING),
        (["1.9", "1.10"], ColumnType.STRING),
        (["-0"], ColumnType.STRING),
        (["1.00", "-0.00"], ColumnType.STRING),
        (["0.0001"], ColumnType.NUMBER),
        (["0.00001", "1.5", "0"], ColumnType.STRING),
        (["123456789012345"], ColumnType.NUMBER),
        (["1234567890123456"], ColumnType.STRING),
        (["1", "0.1234567890123456"], ColumnType.STRING),
        (["1", "007"], ColumnType.STRING),
        (["+1"], ColumnType.STRING),
        (["1e5"], ColumnType.STRING),
        (["1,5"], ColumnType.STRING),
        (["\u0661"], ColumnType.STRING),
        (["1", "n/a"], ColumnType.STRING),
        (["2025-03-14", ""], ColumnType.DATE),
        (["2025-03-14", "2025-03-14 09:26"], ColumnType.STRING),
        (["2025-03-14 09:26", "2025-03-14 09:26:53"], ColumnType.STRING),
        (["2025-03-14 09:26:53", "2025-03-14T09:26:53.123456"], ColumnType.DATETIME),
        (["2025-03-14 09:26:53.5", "2025-03-14T09:26:53.000"], ColumnType.STRING),
        (["2025-03-14T09:26:53+08:00"], ColumnType.STRING),
        (["2025-03-14T09:26:53Z", "2025-03-14T09:26:53"], ColumnType.STRING),
        (["2025-03-14T09:26:53Z", "2025-03-14T09:26:53+00:00"], ColumnType.STRING),
        (["2025-03-14T09:26:53Z", "2024-02-29T09:26:53.5Z"], ColumnType.DATETIME),
        (["2024-02-29", "1900-01-01"], ColumnType.DATE),
        (["2025-02-29"], ColumnType.STRING),
        (["1899-12-31"], ColumnType.STRING),
        (["2025-02-30"], ColumnType.STRING),
        (["0000-00-00"], ColumnType.STRING),
        (["20250314"], ColumnType.NUMBER),
        (["true", "FALSE"], ColumnType.BOOLEAN),
        (["1", "0"], ColumnType.NUMBER),
        (["yes", "no"], ColumnType.STRING),
        (["true", "tRUE"], ColumnType.STRING),
        (["true", "fal\u017fe"], ColumnType.STRING),
        (["", None], ColumnType.STRING),
        ([], ColumnType.STRING),
    ],
)
def test_a_column_has_the_type_that_all_its_values_have_beyond_doubt(texts: list[str | None], kind: ColumnType) -> None:
    (column,) = detect_types(("a",), Batch.of_columns([texts], len(texts)))
    assert (column.type, column.detected) == (kind, kind is not ColumnType.STRING)


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (["1", "2.5"], ""),
        (["1.10", "2.50", "3.00"], "0.00"),
        (["12.99", "5.49"], "0.00"),
        (["0.5", "2.5"], ""),
        (["1.0", "2.5"], "0.0#############"),
        (["1.0", "0.00001"], "0.0#############"),
        (["99999999999"], ""),
        (["1", "5901234123457"], "0"),
        (["2025-03-14"], ""),
        (["2025-03-14 09:26"], "yyyy-mm-dd hh:mm"),
        (["2025-03-14T09:26:53"], ""),
        (["2025-03-14 09:26:53.123456", "2025-03-14 09:26:53"], ""),
        (["2025-03-14 09:26:53.000", "2025-03-14 09:26:53.120"], "yyyy-mm-dd hh:mm:ss.000"),
        (["2025-03-14T09:26:53Z"], 'yyyy-mm-dd hh:mm:ss"Z"'),
        (["2025-03-14T09:26:53.120Z"], 'yyyy-mm-dd hh:mm:ss.000"Z"'),
        (["2025-03-14T09:26:53+00:00"], 'yyyy-mm-dd hh:mm:ss"+00:00"'),
    ],
)
def test_a_column_has_the_format_that_shows_its_values_as_they_were_sent(texts: list[str], code: str) -> None:
    (column,) = detect_types(("a",), Batch.of_columns([texts], len(texts)))
    assert (column.detected, column.format) == (True, code)
    FORMATS[ExportFormat.XLSX].check_table(params_of(column), Limits())


def test_an_offset_is_read_where_a_zone_was_chosen_to_show_it_in() -> None:
    batch = Batch.of_columns([["2025-03-14T01:26:53+08:00", "2025-03-14 09:26:53", "2025-03-14T09:26:53Z"]], 3)
    assert detect_types(("a",), batch, "Europe/Berlin") == (ColumnSpec("a", ColumnType.DATETIME, detected=True),)
    assert detect_types(("a",), batch) == (ColumnSpec("a"),)


def test_a_zone_that_is_none_is_left_to_the_open_to_refuse() -> None:
    batch = Batch.of_columns([["2025-03-14 09:26:53"], ["1"]], 1)
    columns = detect_types(("a", "b"), batch, "Nowhere/At_All")
    assert [column.type for column in columns] == [ColumnType.DATETIME, ColumnType.NUMBER]


LATER = Batch.of_columns([["1", "n/a"]], 2)
DETECTED_NUMBER = (ColumnSpec("a", ColumnType.NUMBER, detected=True),)


@pytest.mark.parametrize("kind", ExportFormat)
@pytest.mark.parametrize("on_invalid", ["", "text", "null", "error"])
def test_what_comes_later_is_kept_unless_the_sender_said_otherwise_or_a_column_has_one_type(
    kind: ExportFormat, on_invalid: Literal["", "text", "null", "error"]
) -> None:
    options = ExportOptions(on_invalid=on_invalid)
    batch = as_written(LATER, DETECTED_NUMBER, options)
    is_refused = on_invalid == "error" or (on_invalid == "" and kind is ExportFormat.PARQUET)
    with pytest.raises(SluiceError, match="INVALID_VALUE") if is_refused else nullcontext():
        FORMATS[kind].check_batch(batch, DETECTED_NUMBER, options, Limits())


def test_a_declared_column_refuses_what_is_none_of_its_type() -> None:
    declared = (ColumnSpec("a", ColumnType.NUMBER),)
    with pytest.raises(SluiceError, match="INVALID_VALUE"):
        FORMATS[ExportFormat.CSV].check_batch(LATER, declared, ExportOptions(), Limits())
