"""`sluice demo`: the main job end to end, with batches sent twice and a composer that is killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sluice.adapters.system_clock import SystemClock
from sluice.client import Client, Export, Status
from sluice.demo.file_check import as_cells, count_equal_cells, csv_rows, sha256_of, xlsx_rows
from sluice.demo.grpc_sender import COLUMNS as CITY_COLUMNS
from sluice.demo.grpc_sender import city_rows, push_cities
from sluice.demo.http_sender import open_orders, push_orders, save_link
from sluice.demo.order_table import COLUMNS, order_rows
from sluice.demo.service_process import WatchedService, watched_service

CLOCK = SystemClock()
KIND_OF_CITY_COLUMN = {1: "string", 2: "number"}
COMPOSING = "composing"
LONG_ROWS = 500_000
"""A table of this many rows takes seconds, during which the composer says how far it is."""


def demo(
    rows: Annotated[int, typer.Option(min=1, help="Rows of the order table.")] = 1_000_000,
    output: Annotated[Path, typer.Option(help="Folder for the files; made when missing.")] = Path("demo-output"),
) -> None:
    """Push real tables through a real service, kill a composer on the way, read the files back.

    Example: sluice demo --rows 100000
    """
    console = Console(highlight=False, soft_wrap=True)
    output.mkdir(parents=True, exist_ok=True)
    console.print("[bold]Sluice demo[/]: one service on this machine, its files in one folder, nothing else.\n")
    with watched_service(output) as service:
        with Client(f"http://127.0.0.1:{service.http_port}") as client:
            orders(console, service, client, rows=rows, output=output)
        cities(console, service, output=output)
        peaks = [int(entry["fields"]["peak_rss_bytes"]) for entry in service.events("MemorySnapshot")]
        deaths, attempts = len(service.events("WorkerDied")), len(service.events("AttemptStarted"))
        console.print(
            f"\nComposers: {attempts} attempts for 3 files, {deaths} killed; peak memory of a whole composer process"
            f" {max(peaks, default=0) / 2**20:.0f} MiB"
        )
    console.print(f"\nFiles: {', '.join(str(output / name) for name in ('orders.xlsx', 'orders.csv', 'cities.xlsx'))}")
    console.print(f"The service's log: {output / 'service.log'}")


def orders(console: Console, service: WatchedService, client: Client, *, rows: int, output: Path) -> None:
    """Send a generated order table over HTTP, once; get it as XLSX and, from the same chunks, as CSV."""
    export = open_orders(client, rows)
    with _progress(console) as progress:
        bar = progress.add_task("pushing orders over HTTP", total=rows)
        sent = push_orders(export, rows, lambda count: progress.advance(bar, count))
    console.print(
        f"  {sent.rows:,} rows x {len(COLUMNS)} columns in {sent.batches:,} batches, out of order,"
        f" {sent.repeats} of them twice: {sent.seconds:.1f} s, {sent.rows / sent.seconds:,.0f} rows/s"
    )
    export.close(rows=rows, batches=sent.batches)
    done = _follow(console, export, label="composing orders.xlsx", on_progress=_killer(console, service))
    path = output / "orders.xlsx"
    export.save_to(path)
    kinds = [column.type.value for column in COLUMNS]
    header = [column.name for column in COLUMNS]
    with console.status("reading orders.xlsx back with python-calamine"):
        cells = as_cells(order_rows(rows), kinds)
        _check(console, path, done.checksum_sha256, found=xlsx_rows(path), header=header, expected=cells)
    again = export.render(format="csv", filename="orders.csv")
    done = _follow(console, again, label="rendering orders.csv from the same chunks")
    path = output / "orders.csv"
    again.save_to(path)
    with console.status("reading orders.csv back with Python's csv module"):
        _check(console, path, done.checksum_sha256, found=csv_rows(path), header=header, expected=order_rows(rows))


def cities(console: Console, service: WatchedService, *, output: Path) -> None:
    """Send a real public table over gRPC, in one call."""
    rows = city_rows()
    started = CLOCK.monotonic()
    with console.status("streaming the world's cities over gRPC"):
        answer = push_cities(f"127.0.0.1:{service.grpc_port}", rows)
    if answer.error_code:
        raise RuntimeError(f"{answer.error_code}: {answer.error_message}")
    console.print(
        f"[bold]cities.xlsx[/]: {answer.record_count:,} cities (GeoNames) over gRPC, from the first row to the link in"
        f" {CLOCK.monotonic() - started:.1f} s"
    )
    path = output / "cities.xlsx"
    save_link(answer.oss_url, path)
    cells = as_cells(rows, [KIND_OF_CITY_COLUMN[kind] for _, kind in CITY_COLUMNS])
    header = [name for name, _ in CITY_COLUMNS]
    _check(console, path, answer.checksum_sha256, found=xlsx_rows(path), header=header, expected=cells)


def _follow(
    console: Console,
    export: Export,
    *,
    label: str,
    on_progress: Callable[[Status], None] = lambda _: None,
) -> Status:
    """Wait for the file with a progress bar, and say how long it took."""
    started = CLOCK.monotonic()
    with _progress(console) as progress:
        bar = progress.add_task(label, total=None)

        def show(status: Status) -> None:
            progress.update(bar, total=status.rows_received, completed=status.rows_written)
            on_progress(status)

        done = export.wait(poll_s=1, on_progress=show)
    seconds = CLOCK.monotonic() - started
    console.print(
        f"[bold]{done.filename}[/]: {done.rows_written:,} rows, {(done.file_size_bytes or 0) / 1e6:.1f} MB,"
        f" from close to link in {seconds:.1f} s, {done.rows_written / seconds:,.0f} rows/s"
    )
    return done


def _killer(console: Console, service: WatchedService) -> Callable[[Status], None]:
    """Kill the composer once, in the middle of its work; a short table gives no time to wait for the middle."""
    killed: list[int] = []

    def kill(status: Status) -> None:
        is_at_work = status.state == COMPOSING and (status.rows_written or status.rows_received < LONG_ROWS)
        if not killed and is_at_work and service.kill_composer():
            killed.append(status.rows_written)
            console.print(f"  killed the composer (SIGKILL) after about {status.rows_written:,} rows")

    return kill


def _check(console: Console, path: Path, sha256: str | None, *, found: Any, header: list[str], expected: Any) -> None:
    """Compare the file's digest with the service's, and its header and cells with what was sent."""
    if sha256_of(path) != sha256:
        raise RuntimeError(f"{path} does not have the SHA-256 that the service names")
    rows = iter(found)
    if next(rows) != header:
        raise AssertionError("the header differs")
    cells = count_equal_cells(rows, expected)
    console.print(f"  read back: all {cells:,} cells are as sent; SHA-256 is as the service says")


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
