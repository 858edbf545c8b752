"""The sample table of the demo and the benchmarks."""

from __future__ import annotations

from sluice.demo.order_table import COLUMNS, order_batches, order_rows
from sluice.domain.limits import Limits
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.tables.formats import FORMATS


def test_the_table_is_the_same_however_it_is_cut() -> None:
    rows = list(order_rows(2_345))
    for batch_rows in (1, 7, 1_000, 5_000):
        assert [row for batch in order_batches(2_345, batch_rows=batch_rows) for row in batch.to_rows()] == rows


def test_the_table_has_what_breaks_writers() -> None:
    notes = [row[9] for row in order_rows(1_000)]
    for troublesome in ('"', ",", "\n", "&", "<", ">", "🎁", "请"):
        assert any(troublesome in note for note in notes), troublesome
    assert all(len(row[1]) == 18 and row[1].isdigit() for row in order_rows(1_000))
    assert len({row[2] for row in order_rows(1_000)}) > 100


def test_every_format_accepts_the_table() -> None:
    for export_format in ExportFormat:
        for batch in order_batches(2_000):
            FORMATS[export_format].check_batch(batch, COLUMNS, ExportOptions(), Limits())
