"""Which types are seen in the texts of a table that declares none."""

from __future__ import annotations

import pytest

from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch
from sluice.tables.readers.typed_table import tolerant
from sluice.tables.values.type_detection import detect_types


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2.50", "0", "0.1", "", None], ColumnType.NUMBER),
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
        (["2025-03-14", "2025-03-14 09:26"], ColumnType.DATETIME),
        (["2025-03-14T09:26:53+08:00"], ColumnType.DATETIME),
        (["2025-02-30"], ColumnType.STRING),
        (["0000-00-00"], ColumnType.STRING),
        (["20250314"], ColumnType.NUMBER),
        (["true", "FALSE"], ColumnType.BOOLEAN),
        (["1", "0"], ColumnType.NUMBER),
        (["yes", "no"], ColumnType.STRING),
        (["", None], ColumnType.STRING),
        ([], ColumnType.STRING),
    ],
)
def test_a_column_has_the_type_that_all_its_values_have_beyond_doubt(texts: list[str | None], kind: ColumnType) -> None:
    assert detect_types(("a",), Batch.of_columns([texts], len(texts))) == (ColumnSpec("a", kind),)


def test_what_comes_later_is_kept_except_where_a_column_has_one_type() -> None:
    params = ExportParams(format=ExportFormat.XLSX, filename="a.xlsx")
    assert tolerant(params).options.on_invalid == "text"
    parquet = ExportParams(format=ExportFormat.PARQUET, filename="a.parquet")
    assert tolerant(parquet) == parquet
    chosen = ExportParams(format=ExportFormat.CSV, filename="a", options=ExportOptions(on_invalid="null"))
    assert tolerant(chosen) == chosen
