"""A sender over gRPC: it streams an export of its own and waits for the acknowledgement of its last batch."""

from __future__ import annotations

import itertools
import time
from queue import SimpleQueue

import grpc

from sluice.demo.order_table import COLUMNS
from sluice.proto import export_pb2, export_pb2_grpc
from tests.bench.bound_service import wait_for_the_others
from tests.bench.relay_load import VARIETY, Load, Span, order_rows_of

CALL_S = 300


def push_grpc(load: Load) -> Span:
    """Stream the batches; messages are made before the clock starts, which it does when the first is acknowledged."""
    records = [
        [export_pb2.Record(values=row) for row in order_rows_of(index)]
        for index in range(VARIETY if load.batches else 1)
    ]
    first, *others = [
        export_pb2.ExportRequest(
            batch=export_pb2.DataBatch(records=records[number % len(records)], batch_sequence=number)
        )
        for number in range(1, load.batches + 2)
    ]
    with grpc.insecure_channel(load.address) as channel:
        stub = export_pb2_grpc.ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        stream = Stream(stub)
        stream.send(_metadata(), first)
        stream.acknowledged(1)
        wait_for_the_others()
        started = time.monotonic()
        stream.send(*others)
        moments = [started, *(stream.acknowledged(number) for number in range(2, load.batches + 2))]
        stream.give_up()
    latencies = [after - before for before, after in itertools.pairwise(moments)]
    return Span(started, moments[-1], load.batches, latencies)


class Stream:
    """A StreamExport call that stays open until it is given up: nothing is sealed, no composer starts."""

    def __init__(self, stub: export_pb2_grpc.ExportServiceStub) -> None:
        self._messages: SimpleQueue[export_pb2.ExportRequest | None] = SimpleQueue()
        self._responses = stub.StreamExport(iter(self._messages.get, None), timeout=CALL_S)

    def send(self, *messages: export_pb2.ExportRequest) -> None:
        for message in messages:
            self._messages.put(message)

    def acknowledged(self, sequence: int) -> float:
        """Wait for a batch's acknowledgement; returns the moment."""
        for response in self._responses:
            if response.batch_ack.batch_sequence == sequence:
                break
        return time.monotonic()

    def give_up(self) -> None:
        self._responses.cancel()
        self._messages.put(None)  # frees the thread that gRPC feeds the call with


def _metadata() -> export_pb2.ExportRequest:
    columns = [
        export_pb2.ColumnDefinition(
            name=column.name,
            data_type=f"DATA_TYPE_{column.type.name}",
            format=column.format,
        )
        for column in COLUMNS
    ]
    return export_pb2.ExportRequest(
        metadata=export_pb2.ExportMetadata(
            format=export_pb2.FORMAT_EXCEL,
            filename="bench",
            columns=columns,
            ack_batches=True,
            wait=False,
            totals_follow=True,
        )
    )
