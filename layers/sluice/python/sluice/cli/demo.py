"""`sluice demo`: the main job end to end, with the trouble that a real day brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sluice.adapters.system_clock import SystemClock
from sluice.demo.file_check import as_cells, count_equal_cells, csv_rows, sha256_of, xlsx_rows
from sluice.demo.grpc_sender import COLUMNS as CITY_COLUMNS
from sluice.demo.grpc_sender import city_rows, push_cities
from sluice.demo.http_sender import HttpSender, fetch
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
        orders(console, service, rows=rows, output=output)
        cities(console, service, output=output)
        _print_memory(console, service)
    console.print(f"\nFiles: {', '.join(str(output / name) for name in ('orders.xlsx', 'orders.csv', 'cities.xlsx'))}")
    console.print(f"The service's log: {output / 'service.log'}")


def orders(console: Console, service: WatchedService, *, rows: int, output: Path) -> None:
    """Send a generated order table over HTTP, once; get it as XLSX and, from the same chunks, as CSV."""
    sender = HttpSender("127.0.0.1", service.http_port)
    task_id = sender.open_orders(rows)
    with _progress(console) as progress:
        bar = progress.add_task("pushing orders over HTTP", total=rows)
        sent = sender.push_orders(task_id, rows, lambda count: progress.advance(bar, count))
    console.print(
        f"  {sent.rows:,} rows x {len(COLUMNS)} columns in {sent.batches:,} batches, out of order,"
        f" {sent.repeats} of them twice: {sent.seconds:.1f} s, {sent.rows / sent.seconds:,.0f} rows/s"
    )
    sender.request("POST", f"/v1/exports/{task_id}/close", {"rows": rows, "batches": sent.batches})
    task, seconds = _follow(console, sender, task_id, label="composing orders.xlsx", trouble=_killer(console, service))
    _tell_composed(console, task, seconds)
    sender.download(task_id, output / "orders.xlsx")
    kinds = [column.type.value for column in COLUMNS]
    header = [column.name for column in COLUMNS]
    with console.status("reading orders.xlsx back with python-calamine"):
        found = xlsx_rows(output / "orders.xlsx")
        _check(
            console, task, output / "orders.xlsx", lambda: _compare(found, header, as_cells(order_rows(rows), kinds))
        )
    again = sender.request("POST", f"/v1/exports/{task_id}/render", {"format": "csv", "filename": "orders.csv"})
    task, seconds = _follow(console, sender, str(again["task_id"]), label="rendering orders.csv from the same chunks")
    _tell_composed(console, task, seconds)
    sender.download(str(again["task_id"]), output / "orders.csv")
    with console.status("reading orders.csv back with Python's csv module"):
        lines = csv_rows(output / "orders.csv")
        _check(console, task, output / "orders.csv", lambda: _compare(lines, header, order_rows(rows)))


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
    fetch(answer.oss_url, output / "cities.xlsx")
    kinds = [KIND_OF_CITY_COLUMN[kind] for _, kind in CITY_COLUMNS]
    task = {"checksum_sha256": answer.checksum_sha256}
    found = xlsx_rows(output / "cities.xlsx")
    header = [name for name, _ in CITY_COLUMNS]
    _check(console, task, output / "cities.xlsx", lambda: _compare(found, header, as_cells(rows, kinds)))


def _follow(
    console: Console,
    sender: HttpSender,
    task_id: str,
    *,
    label: str,
    trouble: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> tuple[dict[str, Any], float]:
    """Wait for a task with a progress bar; returns it and the seconds since now."""
    started = CLOCK.monotonic()
    with _progress(console) as progress:
        bar = progress.add_task(label, total=None)

        def show(task: Mapping[str, Any]) -> None:
            progress.update(bar, total=task["rows_received"], completed=task["rows_written"])
            trouble(task)

        task = sender.wait(task_id, show)
    if task["state"] != "completed":
        raise RuntimeError(f"the export ended {task['state']}: {task['error']}")
    return task, CLOCK.monotonic() - started


def _killer(console: Console, service: WatchedService) -> Callable[[Mapping[str, Any]], None]:
    """Kill the composer once, in the middle of its work; a short table gives no time to wait for the middle."""
    killed: list[int] = []

    def kill(task: Mapping[str, Any]) -> None:
        is_at_work = task["state"] == COMPOSING and (task["rows_written"] or task["rows_received"] < LONG_ROWS)
        if not killed and is_at_work and service.kill_composer():
            killed.append(task["rows_written"])
            console.print(f"  killed the composer (SIGKILL) after about {task['rows_written']:,} rows")

    return kill


def _tell_composed(console: Console, task: Mapping[str, Any], seconds: float) -> None:
    console.print(
        f"[bold]{task['filename']}[/]: {task['rows_written']:,} rows, {task['file_size_bytes'] / 1e6:.1f} MB,"
        f" from close to link in {seconds:.1f} s, {task['rows_written'] / seconds:,.0f} rows/s"
    )


def _compare(found: Any, header: list[str], expected: Any) -> int:
    """Compare the header and then every row."""
    rows = iter(found)
    if next(rows) != header:
        raise AssertionError("the header differs")
    return count_equal_cells(rows, expected)


def _check(console: Console, task: Mapping[str, Any], path: Path, compare: Callable[[], int]) -> None:
    """Compare the file's digest with the service's, and its cells with what was sent."""
    if sha256_of(path) != task["checksum_sha256"]:
        raise RuntimeError(f"{path} does not have the SHA-256 that the service names")
    cells = compare()
    console.print(f"  read back: all {cells:,} cells are as sent; SHA-256 is as the service says")


def _print_memory(console: Console, service: WatchedService) -> None:
    peaks = [int(entry["fields"]["peak_rss_bytes"]) for entry in service.events("MemorySnapshot")]
    deaths, attempts = len(service.events("WorkerDied")), len(service.events("AttemptStarted"))
    console.print(
        f"\nComposers: {attempts} attempts for 3 files, {deaths} killed; peak memory of a whole composer process"
        f" {max(peaks, default=0) / 2**20:.0f} MiB"
    )


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
