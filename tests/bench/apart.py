"""Runs one subject in a process of its own: `python -m tests.bench.apart SUBJECT ROWS COLUMNS`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.orders import Orders
from tests.bench.subject_table import Subject, prepare_of, subject_named

ROOT = Path(__file__).resolve().parents[2]
PHP_PROGRAM = Path(__file__).with_name("subjects") / "fputcsv.php"
PROC = Path("/proc/self")


class Measured(NamedTuple):
    """One run of one subject."""

    seconds: float
    file_bytes: int
    grown_bytes: int
    cpu_s: float = 0
    """0 of a program in another language."""


def measure_apart(subject: Subject, orders: Orders) -> Measured:
    """Run ``subject`` once, in a process that has imported nothing of the others."""
    if not subject.function:
        return _measure_php(orders)
    command = [sys.executable, "-m", "tests.bench.apart", subject.name, str(orders.rows), str(orders.columns)]
    return _answer(command)


def measure_here(subject: Subject, orders: Orders, folder: Path) -> Measured:
    """Run ``subject`` once in this process: its modules and its input are there before the clock starts."""
    run = prepare_of(subject)(orders, folder)
    (PROC / "clear_refs").write_text("5")  # the peak starts at what is resident now
    before = resident_bytes("VmRSS")
    started, cpu_before = time.perf_counter(), time.process_time()
    file_bytes = run()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_before
    return Measured(seconds, file_bytes, resident_bytes("VmHWM") - before, cpu_s)


def _measure_php(orders: Orders) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "rows.jsonl")
        with rows.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in [orders.names, *orders.texts()])
        return _answer(["php", "-d", "memory_limit=-1", str(PHP_PROGRAM), str(rows), str(Path(folder, "orders.csv"))])


def _answer(command: list[str]) -> Measured:
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout))


def resident_bytes(line_name: str) -> int:
    lines = (PROC / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(line_name))


def main(name: str, rows: str, columns: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        measured = measure_here(subject_named(name), Orders(int(rows), int(columns)), Path(folder))
    print(json.dumps(measured._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
