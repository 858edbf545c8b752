"""How fast the writers are, beside XlsxWriter and Python's csv module.

    python tests/bench/bench_writers.py [ROWS] [--rounds N]

Every subject runs in a process of its own, with its input in memory before
the clock starts; rounds go through all subjects in turn and the best of each
counts. Ours start from stored chunks and include the checks of every chunk,
decoding, deflating, SHA-256 and CRC-64; the others start from lists of texts.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from xlsxwriter import Workbook

from sluice.domain.batch import Batch
from sluice.domain.limits import Limits
from sluice.domain.manifest import Claim
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.table import Table, Tally
from sluice.streams.chunk_codec import decode_chunk, encode_batch
from sluice.streams.digests import Digest, digested
from sluice.streams.formats import FORMATS
from sluice.streams.order_table import COLUMNS, order_batches, order_rows
from sluice.streams.xlsx import workbook  # noqa: F401 -- what the writer would import at its first block

MIB = 1024 * 1024
PROC = Path("/proc/self")


class Measured(NamedTuple):
    """One run of one subject."""

    seconds: float
    file_bytes: int
    grown_bytes: int
    """Peak resident memory above what was resident when the clock started."""


Run = Callable[[], int]
"""Writes the file and returns its size."""


def ours(export_format: ExportFormat, options: ExportOptions) -> Callable[[int], Run]:
    """From stored chunks to a digested file whose blocks are dropped."""

    def prepare(rows: int) -> Run:
        chunks = [encode_batch(batch) for batch in order_batches(rows)]
        bodies = [
            (Claim(number, chunk.sha, chunk.rows, chunk.size), chunk.body) for number, chunk in enumerate(chunks, 1)
        ]
        size = sum(chunk.size for chunk in chunks)
        table = Table(columns=COLUMNS, options=options, rows=rows, size=size, created_at=1.7e9, title="orders")

        def batches() -> Iterator[Batch]:
            for claim, body in bodies:
                yield decode_chunk(body, claim, size_max=Limits().batch_bytes_max)

        def run() -> int:
            digest = Digest()
            for _block in digested(FORMATS[export_format].write(batches(), table, Tally()), digest):
                pass
            return digest.size

        return run

    return prepare


def xlsxwriter_typed(rows: int) -> Run:
    """XlsxWriter in constant memory, writing the same types as ours."""
    table = list(order_rows(rows))

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "orders.xlsx")
            book = Workbook(str(path), {"constant_memory": True})
            sheet = book.add_worksheet()
            money = book.add_format({"num_format": "#,##0.00"})
            moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
            for column, spec in enumerate(COLUMNS):
                sheet.write_string(0, column, spec.name)
            for number, row in enumerate(table, 1):
                sheet.write_number(number, 0, int(row[0]))
                sheet.write_string(number, 1, row[1])
                sheet.write_string(number, 2, row[2])
                sheet.write_string(number, 3, row[3])
                sheet.write_number(number, 4, float(row[4]), money)
                sheet.write_number(number, 5, int(row[5]))
                sheet.write_datetime(number, 6, datetime.fromisoformat(row[6]), moment)
                sheet.write_boolean(number, 7, row[7] == "true")
                sheet.write_string(number, 8, row[8])
                sheet.write_string(number, 9, row[9])
            book.close()
            return path.stat().st_size

    return run


def xlsxwriter_texts(rows: int) -> Run:
    """XlsxWriter in constant memory, everything as text, by its shortest call."""
    table = list(order_rows(rows))

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "orders.xlsx")
            plain = {"constant_memory": True, "strings_to_urls": False, "strings_to_formulas": False}
            book = Workbook(str(path), plain)
            sheet = book.add_worksheet()
            for number, row in enumerate(table):
                sheet.write_row(number, 0, row)
            book.close()
            return path.stat().st_size

    return run


def csv_writer(rows: int) -> Run:
    """Python's csv.writer, one call for all rows."""
    table = list(order_rows(rows))

    def run() -> int:
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
            return file.tell()

    return run


XLSXWRITER = ("XlsxWriter typed", "XlsxWriter texts")
SUBJECTS: dict[str, Callable[[int], Run]] = {
    "ours XLSX": ours(ExportFormat.XLSX, ExportOptions()),
    "ours XLSX compact": ours(ExportFormat.XLSX, ExportOptions(compact=True)),
    "XlsxWriter typed": xlsxwriter_typed,
    "XlsxWriter texts": xlsxwriter_texts,
    "ours CSV": ours(ExportFormat.CSV, ExportOptions()),
    "csv.writer": csv_writer,
}
RIVALS = {"ours XLSX": XLSXWRITER, "ours XLSX compact": XLSXWRITER, "ours CSV": ("csv.writer",)}


def measure(subject: str, rows: int) -> Measured:
    """Run ``subject`` once in this process."""
    run = SUBJECTS[subject](rows)
    (PROC / "clear_refs").write_text("5")  # the peak starts at what is resident now
    before = _resident("VmRSS")
    started = time.perf_counter()
    file_bytes = run()
    return Measured(time.perf_counter() - started, file_bytes, _resident("VmHWM") - before)


def _resident(line_name: str) -> int:
    lines = (PROC / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(line_name))


def measure_apart(subject: str, rows: int) -> Measured:
    """Run ``subject`` once in a process of its own."""
    command = [sys.executable, __file__, str(rows), "--subject", subject]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Measured(*json.loads(done.stdout))


def report(best: dict[str, Measured], rows: int) -> None:
    """Print one line per subject, and how many times faster ours are than the fastest rival."""
    print(f"{'subject':20} {'rows/s':>10} {'seconds':>8} {'file MiB':>9} {'memory +MiB':>12}  ratio")
    for subject, got in best.items():
        rivals = [best[rival].seconds for rival in RIVALS.get(subject, ())]
        ratio = f"{min(rivals) / got.seconds:.1f} x" if rivals else ""
        print(
            f"{subject:20} {rows / got.seconds:10,.0f} {got.seconds:8.2f} {got.file_bytes / MIB:9.1f}"
            f" {got.grown_bytes / MIB:12.1f}  {ratio}"
        )


def main() -> None:
    """Measure every subject, or the one named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subject", choices=list(SUBJECTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.subject:
        print(json.dumps(measure(options.subject, options.rows)))
        return
    print(
        f"{datetime.now(UTC):%Y-%m-%d} Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.machine()}"
    )
    print(f"python tests/bench/bench_writers.py {options.rows} --rounds {options.rounds}")
    runs = [{subject: measure_apart(subject, options.rows) for subject in SUBJECTS} for _ in range(options.rounds)]
    report({subject: min(run[subject] for run in runs) for subject in SUBJECTS}, options.rows)


if __name__ == "__main__":
    main()
