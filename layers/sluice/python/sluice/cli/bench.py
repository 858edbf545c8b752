"""`sluice bench`: how fast this machine composes files, and with how much memory."""

from __future__ import annotations

import os
import platform
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

from sluice import __version__
from sluice.api.auth import LOCAL_TENANT
from sluice.app.backends import open_ports
from sluice.app.settings.schema import Storage
from sluice.app.settings.validation import Settings
from sluice.cli.data_options import AsJson
from sluice.cli.export.local_export import LastError, RecordingInvoker
from sluice.cli.export.progress import ProgressDisplay, shown_progress
from sluice.cli.formatting import counted, iso, json_of, lines_of, say, size
from sluice.demo.order_table import COLUMNS, order_batches
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.task import State
from sluice.domain.task_errors import failure_of
from sluice.ports.bundle import Ports
from sluice.ports.clock import Clock
from sluice.tables.readers.batching import TableBatch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.sending.ingest_table import ingest_table
from sluice.usecases.sending.open_export import OpenRequest
from sluice.usecases.upkeep.repair_task import verify_result


class Measured(msgspec.Struct, frozen=True):
    """One file, composed once."""

    format: str
    rows: int
    batches: int
    put_s: float
    """Checking and storing the batches, rows made beforehand batch by batch and not counted."""
    compose_s: float
    """From the trigger to the verified, named file."""
    compose_rows_per_s: int
    put_rows_per_s: int
    bytes: int
    sha256: str
    peak_bytes: int
    """Of this whole process while composing."""


class Bench(msgspec.Struct, frozen=True):
    date: str
    machine: str
    version: str
    peak_is_of_compose_only: bool
    measured: list[Measured]


class BenchStores(NamedTuple):
    ports: Ports
    trigger: RecordingInvoker
    errors: LastError


def bench(
    *,
    rows: Annotated[int, typer.Option(min=1, max=10_000_000, help="Rows of the order table.")] = 200_000,
    directory: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Where the temporary store lies.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure composing an order table of 10 columns to CSV and to XLSX, once each, in this process.

    Composing reads stored batches, writes and checksums the file, stores it in parts and verifies it.
    The files are read back and checked afterwards, which is not counted.

    Examples:
      sluice bench
      sluice bench --rows 1000000 --json
    """
    with tempfile.TemporaryDirectory(prefix=".sluice-bench-", dir=directory) as folder, shown_progress() as progress:
        trigger, errors = RecordingInvoker(), LastError()
        settings = Settings(storage=Storage(data_directory=folder))
        with open_ports(settings, errors, invoker=trigger) as ports:
            stores = BenchStores(ports, trigger, errors)
            resets = forget_peak()
            measured = [_measure(stores, chosen, rows, progress) for chosen in (ExportFormat.CSV, ExportFormat.XLSX)]
            date = iso(ports.clock.now())
    report = Bench(date, describe_machine(), __version__, resets, measured)
    say(json_of(report) if as_json else page_of(report))


def _measure(stores: BenchStores, chosen: ExportFormat, rows: int, progress: ProgressDisplay) -> Measured:
    ports, trigger = stores.ports, stores.trigger
    params = ExportParams(format=chosen, filename=f"orders.{chosen.value}", columns=COLUMNS)
    progress.stage(f"{chosen.value}: storing {counted(rows, 'row')}", rows)
    orders = _TimedOrders(rows, ports.clock, progress)
    ref = ingest_table(ports, ParamsCache(ports), LOCAL_TENANT, OpenRequest(params), orders).ref
    progress.stage(f"{chosen.value}: composing", None)
    forget_peak()
    started = ports.clock.monotonic()
    compose_export(ports, trigger.taken())
    compose_s = ports.clock.monotonic() - started
    peak = peak_bytes()
    task = find_task(ports, ref)
    if task.state is State.FAILED:
        raise failure_of(task)
    if task.state is not State.COMPLETED:
        raise stores.errors.error or SluiceError(ErrorCode.INTERNAL)
    verify_result(ports, ref)  # so that no speed is printed for a file that is wrong
    return Measured(
        format=chosen.value,
        rows=task.result_rows,
        batches=task.total_batches,
        put_s=round(orders.seconds, 3),
        compose_s=round(compose_s, 3),
        compose_rows_per_s=round(rows / compose_s),
        put_rows_per_s=round(rows / orders.seconds),
        bytes=task.result_size,
        sha256=task.result_sha256,
        peak_bytes=peak,
    )


class _TimedOrders:
    """The order table in batches; counts the seconds between giving one away and being asked for the next."""

    def __init__(self, rows: int, clock: Clock, progress: ProgressDisplay) -> None:
        self._rows = rows
        self._clock = clock
        self._progress = progress
        self.seconds = 0.0

    def __iter__(self) -> Iterator[TableBatch]:
        done = 0
        for batch in order_batches(self._rows):
            started = self._clock.monotonic()
            yield TableBatch(batch)
            self.seconds += self._clock.monotonic() - started
            done += batch.rows
            self._progress.reach(done)


def page_of(report: Bench) -> str:
    """What was measured, on what and when."""
    head = ("FORMAT", "COMPOSE", "ROWS/S", "STORE", "ROWS/S", "FILE", "PEAK MEMORY")
    lines = [
        (
            one.format,
            f"{one.compose_s:.2f} s",
            f"{one.compose_rows_per_s:,}",
            f"{one.put_s:.2f} s",
            f"{one.put_rows_per_s:,}",
            f"{one.bytes:,} B",
            size(one.peak_bytes),
        )
        for one in report.measured
    ]
    first = report.measured[0]
    note = "" if report.peak_is_of_compose_only else " This system cannot reset the peak: it includes storing."
    return "\n".join(
        [
            f"{report.date}, sluice {report.version}, {report.machine}",
            f"{counted(first.rows, 'row')} x {len(COLUMNS)} columns in {first.batches:,} batches, one run each.",
            *lines_of([head, *lines]),
            "COMPOSE is from the trigger to the verified file, STORE is checking and storing the batches.",
            f"PEAK MEMORY is this whole process while composing.{note}",
        ]
    )


def describe_machine() -> str:
    """Processor, cores, load, system, Python."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{_processor()}, {cores} core{'' if cores == 1 else 's'}{load}, "
        f"{platform.system()} {platform.release()}, {platform.python_implementation()} {platform.python_version()}"
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def forget_peak() -> bool:
    """Let the peak start anew from what is used now. False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """The most memory this process has had resident, since ``forget_peak`` where that works."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
