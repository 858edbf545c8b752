"""A task is completed only with the whole file, and says what its file is; the same chunks give the same file."""

from __future__ import annotations

import csv
import hashlib
import io

import pytest

from sluice.domain.batch import Batch
from sluice.domain.columns import ColumnSpec
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.ports.outside import Outside
from sluice.usecases.close_export import CloseRequest, close_export
from sluice.usecases.compose_export import compose_export
from sluice.usecases.find_task import Definitions
from sluice.usecases.open_export import OpenRequest, open_export
from sluice.usecases.put_batch import put_batch
from sluice.usecases.render_again import RenderRequest, render_again
from tests.contracts.crc64_oracle import crc64_oracle
from tests.support.fake_clock import FakeClock
from tests.support.memory_outside import memory_outside

ROWS: dict[int, list[tuple[str | None, str | None]]] = {
    1: [("1", "a"), ("2", "=b")],
    2: [("3", None)],
    3: [("4", ""), ("5", "é"), ("6", "x\r\ny")],
}
BATCHES, TOTAL = len(ROWS), sum(map(len, ROWS.values()))


def opened(outside: Outside, file_format: ExportFormat) -> TaskRef:
    params = ExportParams(format=file_format, filename="t", columns=(ColumnSpec("n"), ColumnSpec("s")))
    ref = open_export(outside, TenantId("acme"), OpenRequest(params)).task.ref
    for sequence in (3, 1, 2, 1):
        batch = Batch.of_rows(ROWS[sequence], 2)
        put_batch(outside, Definitions(outside), ref, sequence=sequence, batch=batch)
    return ref


def composed(outside: Outside, sealed: Task) -> Task:
    compose_export(outside, ManifestRef(sealed.ref, sealed.man_sha))
    row = outside.tasks.read(sealed.ref)
    assert row is not None
    return row


@pytest.mark.parametrize("file_format", [ExportFormat.XLSX, ExportFormat.CSV, ExportFormat.JSONL])
def test_a_completed_task_carries_rows_size_sha_256_and_crc_64_of_its_file(file_format: ExportFormat) -> None:
    outside = memory_outside(FakeClock())
    row = composed(outside, close_export(outside, opened(outside, file_format), CloseRequest(BATCHES, TOTAL)))
    file = outside.objects.get(row.result_key)
    assert row.state is State.COMPLETED
    assert (row.result_rows, row.result_size) == (TOTAL, len(file))
    assert row.result_sha256 == hashlib.sha256(file).hexdigest()
    assert row.result_crc64 == crc64_oracle(file)


def test_the_file_has_the_rows_of_all_batches_in_order_once() -> None:
    outside = memory_outside(FakeClock())
    row = composed(outside, close_export(outside, opened(outside, ExportFormat.CSV), CloseRequest(BATCHES, TOTAL)))
    text = outside.objects.get(row.result_key).decode("utf-8-sig")
    assert [line[0] for line in csv.reader(io.StringIO(text, newline=""))] == ["n", *"123456"]


@pytest.mark.parametrize(
    ("batches", "rows", "code"),
    [
        (BATCHES + 1, None, ErrorCode.BATCHES_MISSING),
        (BATCHES - 1, None, ErrorCode.BATCHES_EXTRA),
        (BATCHES, TOTAL + 1, ErrorCode.TOTALS_MISMATCH),
        (None, TOTAL - 1, ErrorCode.TOTALS_MISMATCH),
    ],
)
def test_a_close_whose_totals_are_not_what_was_received_is_refused(
    batches: int | None, rows: int | None, code: ErrorCode
) -> None:
    outside = memory_outside(FakeClock())
    ref = opened(outside, ExportFormat.CSV)
    with pytest.raises(SluiceError) as caught:
        close_export(outside, ref, CloseRequest(batches, rows))
    assert caught.value.code is code
    row = outside.tasks.read(ref)
    assert row is not None
    assert row.state is State.OPEN


def test_a_chunk_that_is_not_what_was_acknowledged_makes_no_file() -> None:
    outside = memory_outside(FakeClock())
    sealed = close_export(outside, opened(outside, ExportFormat.CSV), CloseRequest())
    chunks = sorted(entry.key for entry in outside.objects.list("") if entry.key.endswith(".chunk"))
    assert len(chunks) == BATCHES
    outside.objects.put(chunks[0], outside.objects.get(chunks[1]))
    row = composed(outside, sealed)
    assert (row.state, row.last_error_code) == (State.FAILED, ErrorCode.CHUNK_CORRUPT)
    assert not row.result_key


@pytest.mark.parametrize("file_format", [ExportFormat.XLSX, ExportFormat.CSV])
def test_rendering_again_gives_the_same_bytes(file_format: ExportFormat) -> None:
    clock = FakeClock()
    outside = memory_outside(clock)
    first = composed(outside, close_export(outside, opened(outside, file_format), CloseRequest()))
    clock.advance(3_600)
    again = composed(outside, render_again(outside, first.ref, RenderRequest()).task)
    assert again.task_id != first.task_id
    assert outside.objects.get(again.result_key) == outside.objects.get(first.result_key)
    other = ExportFormat.XLSX if file_format is ExportFormat.CSV else ExportFormat.CSV
    there = composed(outside, render_again(outside, first.ref, RenderRequest(format=other)).task)
    back = render_again(outside, there.ref, RenderRequest(format=file_format, options=ExportOptions()))
    assert outside.objects.get(composed(outside, back.task).result_key) == outside.objects.get(first.result_key)
