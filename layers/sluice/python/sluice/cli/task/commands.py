"""`sluice task`: where an export is, who must act, and the few things an operator may do by hand."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from sluice.api.task_view import view_task
from sluice.cli.data_options import AsJson, Config, Data, find_ref, open_data
from sluice.cli.formatting import counted, json_of, say, span
from sluice.cli.server_options import Token
from sluice.cli.task.remote import called, find_export, list_remotely, page_of_status
from sluice.cli.task.report import report_task
from sluice.cli.task.text import page_of, table_of
from sluice.client import SluiceApiError
from sluice.domain.attempts import free_at, is_leased
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskRef
from sluice.domain.limits import DAY_S
from sluice.domain.task import LIVE, TERMINAL, State
from sluice.ports.bundle import Ports
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.collect_garbage import keeps_chunks
from sluice.usecases.upkeep.repair_task import check_chunks, release_lease, trigger_again, verify_result

commands = typer.Typer(
    help="See where exports are, and repair them. Safe beside a running service.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_ENDED_BY = {
    ErrorCode.ALREADY_COMPLETED: State.COMPLETED,
    ErrorCode.TASK_CLOSED: State.FAILED,
    ErrorCode.EXPIRED: State.EXPIRED,
}
"""What a task has become that is not cancelled, by why."""
_LOST = frozenset({ErrorCode.RESULT_MISSING, ErrorCode.RESULT_DAMAGED})

TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="The task's id, or as much of it as no other has.")]

Server = Annotated[
    str | None, typer.Option(metavar="URL", help="Ask this service, for the tenant of the key, instead of its data.")
]
ServerOnly = Annotated[str, typer.Option("--server", metavar="URL", help="The service.")]


def _refuse_server(given: str | None) -> None:
    if given is not None:
        way_out = "run it on the service's machine, with --data DIR or --config FILE"
        raise typer.BadParameter(f"this command works on the service's stores, which no call reaches: {way_out}")


NotByServer = Annotated[str | None, typer.Option("--server", hidden=True, callback=_refuse_server)]


@contextmanager
def _opened(task: str, data: Data, config: Config) -> Iterator[tuple[Ports, TaskRef]]:
    with open_data(data, config) as ports:
        yield ports, find_ref(ports, task)


def _say(sentence: str, *, as_json: bool, **facts: object) -> None:
    say(json_of(facts) if as_json else sentence)


def _refused(sentence: str) -> typer.Exit:
    """Say why nothing was done."""
    say(f"sluice: {sentence}", is_error=True)
    return typer.Exit(1)


@commands.command("list")
def list_(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's tasks.")] = None,
    state: Annotated[State | None, typer.Option(help="Only tasks in this state.")] = None,
    request: Annotated[str | None, typer.Option(help="Only tasks that the request with this id opened.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
    server: Server = None,
    token: Token = None,
) -> None:
    """List tasks of all tenants, newest first; with --server those of the key's tenant.

    Examples:
      sluice task list --data /var/lib/sluice
      sluice task list --state failed --tenant shop --json
      SLUICE_TOKEN=slc_… sluice task list --server https://exports.example.com
    """
    if server is not None:
        if tenant is not None:
            raise typer.BadParameter("a service shows the tenant of the key alone", param_hint="--tenant")
        with called(server, token, data) as client:
            typer.echo(list_remotely(client, state=state, request=request, limit=limit, as_json=as_json))
        return
    damaged: list[TaskRef] = []
    with open_data(data, config) as ports:
        scanned = ports.tasks.scan(damaged.append)
        wanted = (
            task.without_columns()  # those of many wide tables would fill the memory
            for task in scanned
            if tenant in {None, task.tenant}
            and state in {None, task.state}
            and request in {None, task.client_request_id}
        )
        newest = heapq.nlargest(limit, wanted, key=lambda task: task.created_at)
        now = ports.clock.now()
    if as_json:
        say(json_of([{"tenant": task.tenant, "task": view_task(task, now)} for task in newest]))
    else:
        typer.echo(table_of(newest, now))
    for ref in damaged:
        say(f"sluice: the record of task {ref.task_id} of {ref.tenant} cannot be read", is_error=True)


@commands.command()
def show(
    task: TaskArgument,
    *,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
    server: Server = None,
    token: Token = None,
) -> None:
    """Say where a task is, since when, who acts next and when, and why attempts failed; with --server what it tells.

    Example: sluice task show bq3vx5k2m7wabq3vx5k2m7waxy --data /var/lib/sluice
    """
    if server is not None:
        with called(server, token, data) as client:
            status = find_export(client, task).status()
        typer.echo(json_of(asdict(status)) if as_json else page_of_status(status))
        return
    with _opened(task, data, config) as (ports, ref):
        report = report_task(ports, ref)
    typer.echo(json_of(report) if as_json else page_of(report))


@commands.command()
def retry(
    task: TaskArgument, *, as_json: AsJson = False, data: Data = None, config: Config = None, _: NotByServer = None
) -> None:
    """Make a new task from the rows of one that failed, or whose file is missing or damaged. The old one stays.

    The rows are read first: without them another attempt could not end better.

    Example: sluice task retry bq3vx5k2m7wabq3vx5k2m7waxy --data /var/lib/sluice
    """
    with _opened(task, data, config) as (ports, ref):
        state = find_task(ports, ref).state
        if state is State.COMPLETED and _has_whole_file(ports, ref):
            raise _refused(f"task {task} has its file, which is whole; there is nothing to retry")
        if not state.terminal:
            raise _refused(f"task {task} has not failed; it is {state}")
        if state in {State.COMPLETED, State.FAILED}:
            check_chunks(ports, ref)
        made = render_again(ports, ref, RenderRequest(is_repair=True)).task
    _say(
        f"Task {made.task_id} composes the {counted(made.total_rows, 'row')} of {task} again, "
        "as soon as the service's sweeper runs.",
        as_json=as_json,
        task_id=made.task_id,
        source_task=task,
        state=made.state,
    )


@commands.command()
def cancel(
    task: TaskArgument,
    *,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
    server: Server = None,
    token: Token = None,
) -> None:
    """Stop a task that has not ended. It never gets a file; repeatable.

    Example: sluice task cancel bq3vx5k2m7wabq3vx5k2m7waxy --data /var/lib/sluice
    """
    if server is not None:
        with called(server, token, data) as client:
            export = find_export(client, task)
            with _refused_if_ended(export.id):
                state = export.cancel().state
            task = export.id
    else:
        with _opened(task, data, config) as (ports, ref):
            state = cancel_export(ports, ref).state.value
    _say(f"Task {task} is cancelled.", as_json=as_json, task_id=task, state=state)


@commands.command()
def delete(
    task: TaskArgument,
    *,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
    server: Server = None,
    token: Token = None,
) -> None:
    """Remove a task that has ended, with its file and its rows; links to it end. Repeatable.

    Example: sluice task delete bq3vx5k2m7wabq3vx5k2m7waxy --data /var/lib/sluice
    """
    if server is not None:
        with called(server, token, data) as client:
            export = find_export(client, task)
            with _deleted_already():
                _check_ended(task, export.status().state)
            export.delete()
            task = export.id
    else:
        with _opened(task, data, config) as (ports, ref):
            with _deleted_already():
                _check_ended(task, find_task(ports, ref).state)
            delete_export(ports, ref)
    _say(f"Task {task} is deleted.", as_json=as_json, task_id=task)


@contextmanager
def _refused_if_ended(task: str) -> Iterator[None]:
    """Say of a service's refusal to cancel what became of the task, and the way out."""
    try:
        yield
    except SluiceApiError as error:
        if error.code not in _ENDED_BY:
            raise
        state = _ENDED_BY[ErrorCode(error.code)]
        raise _refused(f"task {task} has ended, it is {state}; `sluice task delete` removes it") from None


def _check_ended(task: str, state: str) -> None:
    if state not in TERMINAL:
        raise _refused(f"task {task} has not ended, it is {state}; `sluice task cancel` stops it")


@contextmanager
def _deleted_already() -> Iterator[None]:
    """Go on where the task is deleted already."""
    try:
        yield
    except (SluiceError, SluiceApiError) as error:
        if error.code != ErrorCode.TASK_DELETED:
            raise


@commands.command()
def wait(
    task: TaskArgument,
    *,
    server: ServerOnly,
    token: Token = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, max=DAY_S * 365, metavar="SECONDS", help="Without: until it has ended.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Wait until a service has the file of a task; fails when there will be none, or the time is up.

    Example: sluice task wait bq3vx5k2m7wabq3vx5k2m7waxy --server https://exports.example.com
    """
    with called(server, token) as client:
        status = find_export(client, task).wait(timeout)
    typer.echo(json_of(asdict(status)) if as_json else page_of_status(status))


@commands.command()
def link(task: TaskArgument, *, server: ServerOnly, token: Token = None, as_json: AsJson = False) -> None:
    """Print a link to the file of a task; anyone who has it may read the file for a while.

    Example: sluice task link bq3vx5k2m7wabq3vx5k2m7waxy --server https://exports.example.com
    """
    with called(server, token) as client:
        made = find_export(client, task).link()
    _say(made.url, as_json=as_json, **asdict(made))


@commands.command("release-lease")
def release_lease_(
    task: TaskArgument, *, as_json: AsJson = False, data: Data = None, config: Config = None, _: NotByServer = None
) -> None:
    """Take a task from a composer that has its lease but will not finish.

    Safe at any time: a composer that is alive after all cannot finish the task any more.

    Example: sluice task release-lease bq3vx5k2m7wabq3vx5k2m7waxy --data /var/lib/sluice
    """
    with _opened(task, data, config) as (ports, ref):
        released = release_lease(ports, ref)
        state = find_task(ports, ref).state
    if not released:
        raise _refused(f"no composer holds task {task}; it is {state}")
    _say(
        f"Task {task} is free for another composer: the next sweep of a running service starts one. A service whose "
        "own composer has the task, and hangs, ends that one first.",
        as_json=as_json,
        task_id=task,
        state=state,
    )


@commands.command()
def trigger(
    task: TaskArgument, *, as_json: AsJson = False, data: Data = None, config: Config = None, _: NotByServer = None
) -> None:
    """Ask for a composer now instead of when the sweeper would have; refused while one is at work.

    Example: sluice task trigger bq3vx5k2m7wabq3vx5k2m7waxy --data /var/lib/sluice
    """
    with _opened(task, data, config) as (ports, ref):
        found = find_task(ports, ref)
        state, now = found.state, ports.clock.now()
        if state not in LIVE:
            raise _refused(f"there is nothing to compose in task {task}; it is {state}")
        if state in {State.COMPOSING, State.READING} and is_leased(found, now=now, timings=ports.timings):
            left_s = max(0.0, free_at(found, ports.timings) - now)
            raise _refused(
                f"attempt {found.epoch} has task {task}, for {span(left_s)} if nothing more is heard of it; "
                f"nothing was done. `sluice task release-lease {task}` takes the task from it"
            )
        trigger_again(ports, ref)
    _say(
        f"Task {task} is due now; the service's sweeper starts a composer.",
        as_json=as_json,
        task_id=task,
        state=state,
    )


@commands.command(hidden=True)
def ring(task: TaskArgument, *, as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Do what `sluice task trigger` does; the former name."""
    say("sluice: `sluice task ring` is called `sluice task trigger` now; the old name will go", is_error=True)
    trigger(task, as_json=as_json, data=data, config=config)


def _has_whole_file(ports: Ports, ref: TaskRef) -> bool:
    try:
        verify_result(ports, ref)
    except SluiceError as error:
        if error.code in _LOST:
            return False
        raise
    return True


@commands.command()
def verify(
    task: TaskArgument, *, as_json: AsJson = False, data: Data = None, config: Config = None, _: NotByServer = None
) -> None:
    """Read a finished file whole and compare its size and SHA-256 with what was recorded.

    Example: sluice task verify bq3vx5k2m7wabq3vx5k2m7waxy --data /var/lib/sluice
    """
    with _opened(task, data, config) as (ports, ref):
        try:
            found = verify_result(ports, ref)
        except SluiceError as error:
            if error.code in _LOST and keeps_chunks(find_task(ports, ref), ports.clock.now()):
                say(f"sluice: its rows are kept: `sluice task retry {task}` makes the file again", is_error=True)
            raise
    _say(
        f"Task {task}: the file is whole, {found.size:,} bytes, sha256 {found.sha256}.",
        as_json=as_json,
        task_id=task,
        bytes=found.size,
        sha256=found.sha256,
    )
