"""A task is completed only with the whole file, and says what its file is; the same chunks give the same file."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import replace
from typing import cast
from urllib.parse import unquote

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import ManifestRef, TaskRef, TenantId, parse_manifest_key
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.object_store import FILENAME
from sluice.ports.task_store import ClaimedTask, TaskStore
from sluice.tables.batch import Batch
from sluice.tables.formats import filename_of
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.read_task import batch_ranges
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from tests.contracts.crc64_oracle import crc64_oracle
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

ROWS: dict[int, list[tuple[str | None, str | None]]] = {
    1: [("1", "a"), ("2", "=b")],
    2: [("3", None)],
    3: [("4", ""), ("5", "é"), ("6", "x\r\ny")],
}
ITS_OWN_FILE = ExportOptions(reuse=False)
BATCHES, TOTAL = len(ROWS), sum(map(len, ROWS.values()))


def opened(ports: Ports, file_format: ExportFormat) -> TaskRef:
    columns = (ColumnSpec("n"), ColumnSpec("s"))
    params = ExportParams(format=file_format, filename="t", columns=columns, options=ITS_OWN_FILE)
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    for sequence in (3, 1, 2, 1):
        batch = Batch.of_rows(ROWS[sequence], 2)
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=batch)
    return ref


def composed(ports: Ports, sealed: Task) -> Task:
    compose_export(ports, ManifestRef(sealed.ref, sealed.man_sha))
    row = ports.tasks.read(sealed.ref)
    assert row is not None
    return row


@pytest.mark.parametrize("gzip", [False, True])
def test_the_object_of_a_result_says_the_name_that_links_say(gzip: bool) -> None:  # noqa: FBT001 - an example
    """For stores whose links cannot say it."""
    ports = memory_ports(FakeClock())
    columns, options = (ColumnSpec("n"), ColumnSpec("s")), ExportOptions(compression_enabled=gzip)
    params = ExportParams(format=ExportFormat.JSONL, filename="报表 (1)", columns=columns, options=options)
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    row = composed(ports, close_export(ports, ref, CloseRequest()))
    assert unquote(ports.objects.head(row.result_key).metadata[FILENAME]) == filename_of(row)
    assert filename_of(row) == ("报表 (1).jsonl.gz" if gzip else "报表 (1).jsonl")


@pytest.mark.parametrize("file_format", [ExportFormat.XLSX, ExportFormat.CSV, ExportFormat.JSONL])
def test_a_completed_task_carries_rows_size_sha_256_and_crc_64_of_its_file(file_format: ExportFormat) -> None:
    ports = memory_ports(FakeClock())
    row = composed(ports, close_export(ports, opened(ports, file_format), CloseRequest(BATCHES, TOTAL)))
    file = ports.objects.get(row.result_key)
    assert row.state is State.COMPLETED
    assert (row.result_rows, row.result_size) == (TOTAL, len(file))
    assert row.result_sha256 == hashlib.sha256(file).hexdigest()
    assert row.result_crc64 == crc64_oracle(file)


def test_the_file_has_the_rows_of_all_batches_in_order_once() -> None:
    ports = memory_ports(FakeClock())
    row = composed(ports, close_export(ports, opened(ports, ExportFormat.CSV), CloseRequest(BATCHES, TOTAL)))
    text = ports.objects.get(row.result_key).decode("utf-8-sig")
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
    ports = memory_ports(FakeClock())
    ref = opened(ports, ExportFormat.CSV)
    with pytest.raises(SluiceError) as caught:
        close_export(ports, ref, CloseRequest(batches, rows))
    assert caught.value.code is code
    row = ports.tasks.read(ref)
    assert row is not None
    assert row.state is State.OPEN


def test_a_close_names_the_batches_that_are_missing_also_the_first() -> None:
    ports = memory_ports(FakeClock())
    params = ExportParams(format=ExportFormat.CSV, filename="t", columns=(ColumnSpec("n"), ColumnSpec("s")))
    ref = open_export(ports, TenantId("acme"), OpenRequest(params)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=2, batch=Batch.of_rows(ROWS[2], 2))
    with pytest.raises(SluiceError) as caught:
        close_export(ports, ref, CloseRequest(batches=3))
    assert (caught.value.code, caught.value.facts["missing"]) == (ErrorCode.BATCHES_MISSING, [1, 3])


def test_the_batches_that_are_stored_are_listed_as_ranges() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports, ExportFormat.CSV)
    for sequence in (5, 6, 9, 12, 11):
        put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=Batch.of_rows(ROWS[1], 2))
    assert batch_ranges(ports, ref) == [(1, 3), (5, 6), (9, 9), (11, 12)]


def test_a_batch_that_comes_during_the_close_makes_it_start_over() -> None:
    ports = memory_ports(FakeClock())
    ref = opened(ports, ExportFormat.CSV)

    class OvertakenTasks:
        """Once, a batch is acknowledged after the claims were read."""

        def __init__(self) -> None:
            self._late = [BATCHES + 1]

        def __getattr__(self, name: str) -> object:
            return getattr(ports.tasks, name)

        def read_claims(self, of: TaskRef) -> ClaimedTask | None:
            claimed = ports.tasks.read_claims(of)
            while self._late:
                put_batch(ports, ParamsCache(ports), ref, sequence=self._late.pop(), batch=Batch.of_rows(ROWS[1], 2))
            return claimed

    task = close_export(replace(ports, tasks=cast("TaskStore", OvertakenTasks())), ref, CloseRequest())
    assert (task.state, task.total_batches) == (State.SEALED, BATCHES + 1)
    assert sum(parse_manifest_key(item.key) is not None for item in ports.objects.list("in/")) == 1


def test_a_chunk_that_is_not_what_was_acknowledged_makes_no_file() -> None:
    ports = memory_ports(FakeClock())
    sealed = close_export(ports, opened(ports, ExportFormat.CSV), CloseRequest())
    chunks = sorted(entry.key for entry in ports.objects.list("") if entry.key.endswith(".chunk"))
    assert len(chunks) == BATCHES
    ports.objects.put(chunks[0], ports.objects.get(chunks[1]))
    row = composed(ports, sealed)
    assert (row.state, row.last_error_code) == (State.FAILED, ErrorCode.CHUNK_CORRUPT)
    assert not row.result_key


@pytest.mark.parametrize("file_format", [ExportFormat.XLSX, ExportFormat.CSV])
def test_rendering_again_gives_the_same_bytes(file_format: ExportFormat) -> None:
    clock = FakeClock()
    ports = memory_ports(clock)
    first = composed(ports, close_export(ports, opened(ports, file_format), CloseRequest()))
    clock.advance(3_600)
    again = composed(ports, render_again(ports, first.ref, RenderRequest()).task)
    assert again.task_id != first.task_id
    assert ports.objects.get(again.result_key) == ports.objects.get(first.result_key)
    other = ExportFormat.XLSX if file_format is ExportFormat.CSV else ExportFormat.CSV
    there = composed(ports, render_again(ports, first.ref, RenderRequest(format=other)).task)
    back = render_again(ports, there.ref, RenderRequest(format=file_format, options=ITS_OWN_FILE))
    assert ports.objects.get(composed(ports, back.task).result_key) == ports.objects.get(first.result_key)
