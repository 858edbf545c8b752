"""How many rows a second go through the relay, over gRPC, to a durable chunk and claim.

    python -m tests.bench.bench_grpc [--batches 300]

A real `sluice serve`; each sender is a process that streams its own export and waits for the acknowledgement of its
last batch. Messages are made before the clock starts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import grpc

from sluice.api.gen import export_pb2, export_pb2_grpc
from sluice.streams.order_table import BATCH_ROWS, COLUMNS, order_columns
from tests.support.running_service import serving


class Load(NamedTuple):
    """What one sender sends."""

    target: str
    batches: int


def main() -> None:
    """Measure one and four senders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=300)
    batches = parser.parse_args().batches
    print(f"{batches} batches of {BATCH_ROWS:,} rows x {len(COLUMNS)} columns, StreamExport, directory stores")
    print(f"{'senders':>7} {'rows/s':>10}")
    for senders in (1, 4):
        with TemporaryDirectory() as folder, serving(Path(folder) / "data") as service:
            loads = [Load(service.grpc_target, batches // senders)] * senders
            with ProcessPoolExecutor(senders) as pool:
                spans = list(pool.map(push, loads))
        seconds = max(end for _, end in spans) - min(start for start, _ in spans)
        print(f"{senders:7} {sum(load.batches for load in loads) * BATCH_ROWS / seconds:10,.0f}", flush=True)


def push(load: Load) -> tuple[float, float]:
    """Stream the batches; returns when the first was sent and the last was acknowledged."""
    messages = list(requests(load.batches))
    with grpc.insecure_channel(load.target) as channel:
        stub = export_pb2_grpc.ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
        grpc.channel_ready_future(channel).result(timeout=30)
        started = time.time()
        acknowledged = 0.0
        for response in stub.StreamExport(iter(messages), timeout=300):
            if response.batch_ack.batch_sequence:
                acknowledged = time.time()
    return started, acknowledged


def requests(batches: int) -> Iterator[export_pb2.ExportRequest]:
    columns = [export_pb2.ColumnDefinition(name=column.name) for column in COLUMNS]
    yield export_pb2.ExportRequest(
        metadata=export_pb2.ExportMetadata(
            format=export_pb2.FORMAT_CSV, filename="bench", columns=columns, ack_batches=True, wait=False
        )
    )
    for sequence in range(1, batches + 1):
        rows = zip(*order_columns((sequence - 1) * BATCH_ROWS, sequence * BATCH_ROWS), strict=True)
        records = [export_pb2.Record(values=row) for row in rows]
        yield export_pb2.ExportRequest(batch=export_pb2.DataBatch(records=records, batch_sequence=sequence))


if __name__ == "__main__":
    main()
