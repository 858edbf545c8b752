"""Any table comes back from its Parquet file, in the eyes of DuckDB, however it was cut into batches."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Cells
from sluice.tables.writers.parquet.columns import ParquetColumn
from tests.support.format_files import FormatFiles, read_parquet

PARQUET = FormatFiles(ExportFormat.PARQUET)
pytestmark = pytest.mark.slow


class Kind(NamedTuple):
    """A declared column, with what may be sent and what is then read."""

    spec: ColumnSpec
    values: st.SearchStrategy[tuple[str, Any]]


def _both(made: st.SearchStrategy[Any], spelling: Any) -> st.SearchStrategy[tuple[str, Any]]:
    return made.map(lambda value: (spelling(value), value))


def _moment(value: datetime) -> str:
    """One of the spellings of a moment, chosen by itself."""
    text = value.isoformat(" T"[value.second % 2])
    return text if value.minute % 3 else f"{text}Z"


CENTS = st.integers(-(10**37), 10**37).map(lambda cents: Decimal(cents).scaleb(-2, Context(prec=60)))


KINDS = (
    Kind(ColumnSpec("text"), _both(st.text(st.characters(codec="utf-8"), max_size=12), str)),
    Kind(
        ColumnSpec("number", ColumnType.NUMBER),
        _both(st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{1,9})?(e-?[0-9])?", fullmatch=True), str),
    ),
    Kind(
        ColumnSpec("whole", ColumnType.NUMBER, format="#,##0"),
        _both(st.integers(-(2**63), 2**63 - 1), lambda value: f"{value}.0" if value % 3 == 0 else str(value)),
    ),
    Kind(
        ColumnSpec("amount", ColumnType.NUMBER, format="0.00"),
        _both(CENTS, lambda value: f"{value:f}" if value >= 0 else f"{value:f}000"),
    ),
    Kind(ColumnSpec("day", ColumnType.DATE), _both(st.dates(), lambda value: value.isoformat())),
    Kind(ColumnSpec("moment", ColumnType.DATETIME), _both(st.datetimes(), _moment)),
    Kind(ColumnSpec("truth", ColumnType.BOOLEAN), _both(st.booleans(), lambda value: ("no", "TRUE")[value])),
)
NULL = st.just((None, None))
ROWS = st.lists(st.tuples(*[NULL | kind.values for kind in KINDS]), min_size=1, max_size=15)


@given(rows=ROWS, batch_rows=st.integers(1, 16), packed=st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_comes_back_and_its_cutting_leaves_no_trace(
    tmp_path: Path, rows: list[Any], batch_rows: int, *, packed: bool
) -> None:
    columns = tuple(kind.spec for kind in KINDS)
    sent = [tuple(text for text, _ in row) for row in rows]
    whole = PARQUET.write(sent, columns, compression_enabled=packed)
    assert PARQUET.write(sent, columns, compression_enabled=packed, batch_rows=batch_rows) == whole
    PARQUET.check_rows_of(sent, columns)
    assert read_parquet(whole.data, tmp_path).rows == [tuple(value for _, value in row) for row in rows]
    assert len(whole.data) <= PARQUET.bound(sent, columns, compression_enabled=packed)


@given(rows=ROWS, options=st.sampled_from([ExportOptions(), ExportOptions(on_invalid="text")]))
def test_what_becomes_of_a_cell_does_not_depend_on_its_neighbours(rows: list[Any], options: ExportOptions) -> None:
    """Else the place where a row group ends would depend on how the rows were cut."""
    for index, kind in enumerate(KINDS):
        column = ParquetColumn(kind.spec, options)
        texts = [row[index][0] for row in rows]
        together = column.fields(Cells.of(texts), len(texts), rows_before=0, warnings=Counter())
        alone = [column.fields(Cells.of([text]), 1, rows_before=0, warnings=Counter()) for text in texts]
        assert together.values == [field.values[0] for field in alone]
        assert together.nulls == b"".join(field.nulls for field in alone)
