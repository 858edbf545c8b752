"""The whole service: from close to link, and what a composer's process holds, at several sizes.

    python tests/bench/bench_service.py [ROWS ...]

A real `sluice serve` with its default settings; the table is pushed over HTTP, closed, and polled until its link
is there; then rendered again as CSV from the same chunks.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from sluice.demo.http_sender import HttpSender, order_body
from sluice.streams.order_table import BATCH_ROWS
from tests.support.running_service import ServiceProcess, serving

MIB = 1024 * 1024
DEBUG = {"SLUICE_LOGGING_LEVEL": "DEBUG"}
SIZES = (10_000, 100_000, 1_000_000)


def main() -> None:
    """Measure every size with a service of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=SIZES)
    print(f"{'rows':>10} {'close to link: xlsx':>20} {'csv':>8} {'composer peak':>14}")
    for rows in parser.parse_args().rows:
        with TemporaryDirectory() as folder, serving(Path(folder) / "data", env=DEBUG) as service:
            report(service, rows)


def report(service: ServiceProcess, rows: int) -> None:
    sender = HttpSender("127.0.0.1", service.http_port)
    task_id = sender.open_orders(rows)
    for sequence in range(1, -(-rows // BATCH_ROWS) + 1):
        sender.request("PUT", f"/v1/exports/{task_id}/batches/{sequence}", json.loads(order_body(sequence, rows)))
    started = time.perf_counter()
    sender.request("POST", f"/v1/exports/{task_id}/close", {"rows": rows})
    xlsx_s = until_link(sender, task_id, started)
    started = time.perf_counter()
    again = sender.request("POST", f"/v1/exports/{task_id}/render", {"format": "csv"})
    csv_s = until_link(sender, str(again["task_id"]), started)
    peak = max(peak_bytes(line) for line in service.events("MemorySnapshot"))
    print(f"{rows:10,} {xlsx_s:18.2f} s {csv_s:6.2f} s {peak / MIB:10.1f} MiB", flush=True)


def until_link(sender: HttpSender, task_id: str, started: float) -> float:
    """Seconds from ``started`` until there is a link."""
    task = sender.wait(task_id, lambda _: None)
    if task["state"] != "completed":
        raise RuntimeError(task["error"])
    sender.request("GET", f"/v1/exports/{task_id}/file?redirect=false")
    return time.perf_counter() - started


def peak_bytes(line: dict[str, object]) -> int:
    fields = line["fields"]
    assert isinstance(fields, dict)
    return int(fields["peak_rss_bytes"])


if __name__ == "__main__":
    main()
