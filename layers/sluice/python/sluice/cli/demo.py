"""`sluice demo`: the main job end to end, with batches sent twice and a composer that is killed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.app.settings.validation import environment
from sluice.client import Client, Export, Status
from sluice.demo.file_check import as_cells, count_equal_cells, csv_rows, sha256_of, xlsx_rows
from sluice.demo.grpc_sender import COLUMNS as CITY_COLUMNS
from sluice.demo.grpc_sender import city_rows, push_cities
from sluice.demo.http_sender import open_orders, push_orders, save_link
from sluice.demo.order_table import COLUMNS, order_rows
from sluice.demo.pulled_orders import about_errors, define_orders, masked_rows, pull_orders, user_token
from sluice.demo.service_process import WatchedService, watched_service

CLOCK = SystemClock()
KIND_OF_CITY_COLUMN = {1: "string", 2: "number"}
COMPOSING = "composing"
USERS_ROWS = 300_000
"""Of the table that the service reads itself."""
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
    secret = SystemRandomness().bytes(32).hex() if find_spec("jwt") else ""
    users_rows = min(rows, USERS_ROWS)
    definitions = define_orders(output, users_rows) if secret else None
    made = ("orders.xlsx", "orders.csv", "cities.xlsx", *(("users-orders.xlsx",) if secret else ()))
    variables = {**environment(), "SLUICE_SECURITY_JWT_SECRET": secret}
    with watched_service(output, definitions=definitions, variables=variables) as service:
        with Client(f"http://127.0.0.1:{service.http_port}") as client:
            orders(console, service, client, rows=rows, output=output)
        cities(console, service, output=output)
        if secret:
            users_orders(console, service, user_token(secret), rows=users_rows, output=output)
        peaks = [int(entry["fields"]["peak_rss_bytes"]) for entry in service.events("MemorySnapshot")]
        deaths, attempts = len(service.events("WorkerDied")), len(service.events("AttemptStarted"))
        console.print(
            f"\nWorkers: {attempts} attempts for {len(made)} files, {deaths} killed; peak memory of a whole one"
            f" {max(peaks, default=0) / 2**20:.0f} MiB"
        )
    console.print(f"\nFiles: {', '.join(str(output / name) for name in made)}")
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


def users_orders(console: Console, service: WatchedService, token: str, *, rows: int, output: Path) -> None:
    """Have the service read a table itself, for a user who may not see e-mails; what reads it is killed half-way."""
    killed: list[int] = []

    def kill(read: int) -> None:
        if not killed and read >= rows // 3:
            service.kill_workers()
            killed.append(read)
            console.print(f"  killed what reads the table (SIGKILL) after {read:,} rows")

    path = output / "users-orders.xlsx"
    with console.status("pulling a table of SQLite for a user"):
        pulled = pull_orders(f"http://127.0.0.1:{service.http_port}", token, path, kill)
    console.print(
        f"[bold]{path.name}[/]: {pulled.rows:,} rows that no program sent, from the click to the file in"
        f" {pulled.seconds:.1f} s, {pulled.attempts} attempts"
    )
    header, kinds = [column.name for column in COLUMNS], [column.type.value for column in COLUMNS]
    with console.status(f"reading {path.name} back with python-calamine"):
        cells = as_cells(masked_rows(rows), kinds)
        _check(console, path, pulled.sha256, found=xlsx_rows(path), header=header, expected=cells)
        if missing := about_errors(path, rows):
            raise AssertionError(f"the last worksheet does not say: {'; '.join(missing)}")
    console.print("  its last worksheet says whose rows they are, for whom, and that e-mails are masked")


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
