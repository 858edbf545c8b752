"""`sluice run`: the runs of jobs in a service's data, or in a directory of `sluice job run`."""

from __future__ import annotations

import heapq
from typing import Annotated

import typer

from sluice.cli.data_options import AsJson, Config, Data, find_ref, open_data
from sluice.cli.formatting import iso, json_of, lines_of, say
from sluice.cli.job.report import run_as_json, run_as_text
from sluice.usecases.running.open_run import cancel_run, read_run, run_of, status_of_run

commands = typer.Typer(
    help="See the runs of jobs, and end them. Safe beside a running service.\n\nExamples:\n"
    "  sluice run list --job orders --data /var/lib/sluice\n"
    "  sluice run show RUN --data /var/lib/sluice",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or as much of it as no other has.")]


@commands.command("list")
def list_(
    *,
    job: Annotated[str | None, typer.Option(help="Only runs of this job.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """List runs of all tenants, newest first.

    Examples:
      sluice run list --data /var/lib/sluice
      sluice run list --job orders --json
    """
    with open_data(data, config) as ports:
        wanted = (
            task.without_columns()
            for task in ports.tasks.scan()
            if task.params is not None and task.params.run is not None and job in {None, task.params.run.job}
        )
        newest = heapq.nlargest(limit, wanted, key=lambda task: task.created_at)
        runs = [status_of_run(ports, task) for task in newest]
    if as_json:
        say(json_of([run_as_json(one) for one in runs]))
        return
    rows = []
    for one in runs:
        assert one.task.params is not None  # as it was found
        run = run_of(one.task.params)
        rows.append((one.task.task_id, run.job, one.state, run.tick or "-", iso(one.task.created_at)))
    say("\n".join(lines_of([("RUN", "JOB", "STATE", "TICK", "CREATED"), *rows])) if rows else "There are no runs.")


@commands.command()
def show(run: RunArgument, *, as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """Show a run with its certificate, and how each of its outputs is."""
    with open_data(data, config) as ports:
        status = read_run(ports, find_ref(ports, run))
    say(json_of(run_as_json(status)) if as_json else run_as_text(status))


@commands.command()
def cancel(run: RunArgument, *, as_json: AsJson = False, data: Data = None, config: Config = None) -> None:
    """End a run and what is under way of its outputs; what is delivered stays. Repeating it is harmless."""
    with open_data(data, config) as ports:
        status = cancel_run(ports, find_ref(ports, run))
    say(json_of(run_as_json(status)) if as_json else run_as_text(status))
