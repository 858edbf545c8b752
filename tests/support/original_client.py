"""A client generated from the original contract, doing what the commissioned PHP example does, call by call.

A program of its own, since one process can hold only one contract of a name:
``original_client.py STUBS_FOLDER TARGET ROWS ID_OF_LAST_ROW``. Prints what it
saw as JSON. Imports nothing of Sluice.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import grpc

BATCH_ROWS = 1000


class PhpCall:
    """The calls of PHP's bidirectional stream: write, read, writesDone, getStatus."""

    def __init__(self, method: Any) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._call = method(iter(self._queue.get, None), timeout=60)

    def write(self, request: Any) -> None:
        self._queue.put(request)

    def writes_done(self) -> None:
        self._queue.put(None)

    def read(self) -> Any:
        """The next response; None when there is none, as in PHP."""
        try:
            return next(self._call, None)
        except grpc.RpcError:
            return None

    def status(self) -> str:
        return str(self._call.code().name)


def users(count: int, last_id: str) -> Iterator[list[str]]:
    for number in range(1, count):
        yield [str(number), f"Name {number} 王", f"user{number}@example.com"]
    yield [last_id, "Last", "last@example.com"]


def run(stubs: str, target: str, rows: int, last_id: str) -> dict[str, object]:
    sys.path.insert(0, stubs)
    pb = importlib.import_module("original_export_pb2")
    service = importlib.import_module("original_export_pb2_grpc")
    with grpc.insecure_channel(target) as channel:
        client = service.ExportServiceStub(channel)
        call = PhpCall(client.StreamExport)
        columns = [
            pb.ColumnDefinition(name="ID", data_type=pb.DATA_TYPE_NUMBER),
            pb.ColumnDefinition(name="Name", data_type=pb.DATA_TYPE_STRING),
            pb.ColumnDefinition(name="Email", data_type=pb.DATA_TYPE_STRING),
        ]
        metadata = pb.ExportMetadata(
            request_id="65a1b2c3d4e5f", format=pb.FORMAT_CSV, filename="export_2026-01-09.csv", columns=columns
        )
        call.write(pb.ExportRequest(metadata=metadata))
        first = call.read()

        sequence, batch = 1, []
        for row in users(rows, last_id):
            batch.append(pb.Record(values=row))
            if len(batch) >= BATCH_ROWS:
                call.write(pb.ExportRequest(batch=pb.DataBatch(records=batch, batch_sequence=sequence)))
                sequence, batch = sequence + 1, []
        if batch:
            call.write(pb.ExportRequest(batch=pb.DataBatch(records=batch, batch_sequence=sequence)))

        call.writes_done()
        final = call.read()
        after = call.read()
        query = client.QueryTaskStatus(pb.TaskStatusRequest(task_id=first.task_id), timeout=60)
        return {
            "first": _seen(first),
            "final": _seen(final),
            "after": after,
            "status": call.status(),
            "query": _seen(query),
        }


def _seen(message: Any) -> dict[str, object]:
    """The fields this contract knows; enums by name, as far as it has names."""
    seen: dict[str, object] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        seen[field.name] = field.enum_type.values_by_number[value].name if field.enum_type else value
    return seen


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))
