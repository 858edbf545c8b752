"""What a batch costs the processor is bounded by one turn, over both APIs, and the stores are waited for outside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sluice.api.service import DECODED_MAX
from sluice.proto import export_pb2 as pb
from sluice.tables.values import nulled_cells
from sluice.tables.writers.csv.format import CsvFormat
from sluice.tables.writers.xlsx.format import XlsxFormat
from sluice.usecases.sending import put_batch
from tests.support.grpc_client import GrpcClient, metadata_of, serving
from tests.support.http_client import ApiClient, http_relay
from tests.support.memory_service import MemoryService

Result = TypeVar("Result")
COLUMNS = [{"name": "n", "type": "number"}, {"name": "d", "type": "date"}]
ROWS = [["1", "2025-03-14"], ["n/a\0", "0000-00-00"]]
"""No CSV file can have the NUL, so that what becomes null is looked for before it is refused."""


class Turns:
    """How many turns are free whenever work is begun, by the name of the work."""

    def __init__(self, memory: MemoryService, monkeypatch: pytest.MonkeyPatch) -> None:
        self._decoding = memory.service.decoding
        self._monkeypatch = monkeypatch
        self.free: dict[str, set[int]] = {}
        for owner in (CsvFormat, XlsxFormat):
            self.watch(owner, "check_batch")
        self.watch(nulled_cells, "_prepare")
        self.watch(put_batch, "encode_batch")
        self.watch(type(memory.store), "put")
        self.watch(type(memory.tasks), "claim")

    def watch(self, owner: Any, name: str) -> None:
        work: Callable[..., object] = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> object:
            self.free.setdefault(name, set()).add(self._count())
            return work(*arguments, **named)

        self._monkeypatch.setattr(owner, name, watched)

    def _count(self) -> int:
        free = sum(self._decoding.acquire(blocking=False) for _ in range(DECODED_MAX))
        for _ in range(free):
            self._decoding.release()
        return free


IN_A_TURN = {DECODED_MAX - 1}
EXPECTED = {
    "check_batch": IN_A_TURN,
    "_prepare": IN_A_TURN,
    "encode_batch": IN_A_TURN,
    "put": {DECODED_MAX},
    "claim": {DECODED_MAX},
}


def test_a_batch_over_http_is_checked_and_encoded_in_its_turn_and_stored_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_relay(tmp_path, paused=True) as relay:
        client: ApiClient = relay.client()
        body = {"format": "csv", "columns": COLUMNS, "options": {"on_invalid": "null"}}
        task_id = client.post("/v1/exports", json=body).json()["task_id"]
        turns = Turns(relay.memory, monkeypatch)
        assert client.put_rows(task_id, 1, ROWS).status_code == 200
        assert turns.free == EXPECTED
        monkeypatch.undo()
        relay.memory.invoker.release()


def test_a_batch_over_grpc_is_checked_and_encoded_in_its_turn_and_stored_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving(memory) as target, closing(GrpcClient(target, memory.token())) as client:
        metadata = metadata_of(())
        metadata.format = pb.FORMAT_CSV
        metadata.options.on_invalid = "null"
        metadata.columns.add(name="n", data_type=pb.DATA_TYPE_NUMBER)
        metadata.columns.add(name="d", data_type=pb.DATA_TYPE_DATE)
        task_id = client.call("OpenExport", metadata).task_id
        turns = Turns(memory, monkeypatch)
        batch = pb.DataBatch(batch_sequence=1, records=[pb.Record(values=row) for row in ROWS])
        assert client.call("PutBatch", pb.PutBatchRequest(task_id=task_id, batch=batch)).records == 2
        assert turns.free == EXPECTED
        monkeypatch.undo()
