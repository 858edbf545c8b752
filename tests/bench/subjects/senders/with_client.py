"""The Python client, as run.php runs the PHP clients: the job comes as JSON on standard input."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluice.client import Client
from tests.bench.apart import PROC, resident_bytes


def main() -> None:
    job = json.load(sys.stdin)
    table = json.loads(Path(job["table"]).read_bytes())
    before_s = time.process_time()
    for _ in rows(job, table):
        pass
    of_rows_s = time.process_time() - before_s
    (PROC / "clear_refs").write_text("5")  # the peak starts at what is resident now
    resting = resident_bytes("VmRSS")
    started, before_s = time.perf_counter(), time.process_time()
    with Client(job["url"]) as client:
        export = client.send_table(rows(job, table), format="xlsx", filename="orders.xlsx", columns=table["columns"])
        pushed = time.perf_counter()
        export.wait()
    taken = {
        "pushed_s": pushed - started,
        "finished_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - before_s - of_rows_s,
        "peak_bytes": 0,
        "grown_bytes": resident_bytes("VmHWM") - resting,
    }
    print(json.dumps(taken))


def rows(job: dict[str, Any], table: dict[str, Any]) -> Iterator[list[object]]:
    """The rows of the block again and again, each with a number of its own."""
    block = table["rows"]
    for index in range(job["rows"]):
        row = block[index % len(block)].copy()
        row[0] = job["first"] + index
        yield row


if __name__ == "__main__":
    main()
