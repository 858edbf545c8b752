"""`sluice task … --server URL`: what the HTTP API offers, of the tenant of the key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import typer

from sluice.cli.data_options import BEGINNING, only_one
from sluice.cli.formatting import counted, json_of, lines_of, say, size
from sluice.cli.server_options import open_client
from sluice.cli.task.text import colored, short
from sluice.client import Client, Export, Status
from sluice.client.status import ENDED
from sluice.domain.keys import TASK_ID
from sluice.domain.task import State
from sluice.usecases.reading.read_task import PAGE_MAX


@contextmanager
def called(server: str, token: str | None, data: Path | None = None) -> Iterator[Client]:
    """Call a service until the block ends; pauses before a repeated call are said on standard error.

    Raises ``typer.BadParameter`` where its ``data`` is given too.
    """
    if data is not None:
        raise typer.BadParameter("the service has its own data: leave out --data", param_hint="--server")
    with open_client(server, token, lambda reason: say(f"sluice: {reason}", is_error=True)) as client:
        yield client


def find_export(client: Client, task: str) -> Export:
    """The export with this id, or the one of the tenant whose id begins so.

    Raises TASK_NOT_FOUND, and INVALID_REQUEST for the beginning of several ids.
    """
    if TASK_ID.fullmatch(task) or not BEGINNING.fullmatch(task):
        return client.export(task)
    found = [one.task_id for one in client.list(page=PAGE_MAX) if one.task_id.startswith(task)]
    return client.export(only_one(found, "no task of this key's tenant has an id that begins so"))


def list_remotely(client: Client, *, state: State | None, request: str | None = None, limit: int, as_json: bool) -> str:
    """The newest tasks of the key's tenant, as a table or as JSON."""
    tasks = list(islice(client.list(state=state, request_id=request, page=min(limit, PAGE_MAX)), limit))
    if as_json:
        return json_of([{"task": asdict(one)} for one in tasks])
    head = ("TASK", "STATE", "FORMAT", "ROWS", "SIZE", "CREATED", "FILE", "NOTE")
    rows = [
        (
            one.task_id,
            one.state,
            one.format or "",
            f"{one.rows_received:,}",
            "" if one.file_size_bytes is None else size(one.file_size_bytes),
            one.created_at or "",
            short(one.filename or ""),
            str((one.error or one.attempt_error or one.refusal or {}).get("code", "")),
        )
        for one in tasks
    ]
    return "\n".join(lines_of([head, *rows])) if rows else "There are no tasks."


def page_of_status(status: Status) -> str:
    """What the service says of a task. Colours are for ``typer.echo``, which drops them unless on a terminal."""
    return "\n".join(lines_of(list(_facts(status))))


def _facts(status: Status) -> Iterator[tuple[str, str]]:
    yield "Task", status.task_id
    yield "State", colored(status.state)
    for title, error in (
        ("Error", status.error),
        (f"Attempt {status.attempts}", status.attempt_error),
        ("Refused", status.refusal),
    ):
        if error:
            yield title, f"{error['code']}: {error.get('message', '')}"
            yield "", f"who must act: {error.get('who', '')} (sluice explain {error['code']})"
    if status.format:
        yield "File", f"{status.format}, {status.filename or ''}"
    yield "Batches", f"{status.batches} received, {counted(status.rows_received, 'row')}"
    for name, rows in status.sheets.items():
        yield "", f"sheet {name}" + ("" if rows is None else f": {counted(rows, 'row')}")
    if status.state not in ENDED:
        eta = "" if status.eta_seconds is None else f", about {status.eta_seconds} s to go"
        yield "Progress", f"{status.progress_percent} %{eta}"
    if status.file_size_bytes is not None:
        yield "Result", f"{counted(status.rows_written, 'row')}, {counted(status.file_size_bytes, 'byte')}"
        yield "", f"sha256 {status.checksum_sha256}"
    if status.warnings:
        yield "Warnings", ", ".join(f"{kind} {count:,}" for kind, count in sorted(status.warnings.items()))
    times = {name: getattr(status, f"{name}_at") for name in ("created", "sealed", "finished", "expires")}
    yield "Times", ", ".join(f"{name} {at}" for name, at in times.items() if at)
    if status.request_id:
        yield "Request", status.request_id
