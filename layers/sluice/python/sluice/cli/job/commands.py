"""`sluice job`: jobs that read, change and deliver rows, from their files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sluice.adapters.system_clock import SystemClock
from sluice.app.definitions import Definitions
from sluice.app.job_files import JobFile, job_schema, load_job
from sluice.app.jobs import definitions_of, folder_of, load_jobs, plan_job
from sluice.app.settings.yaml_tree import read_yaml, yaml_of
from sluice.cli.data_options import AsJson
from sluice.cli.export.progress import shown_progress
from sluice.cli.formatting import counted, json_of, lines_of, printable, say
from sluice.cli.job.conversion import LANDING, convert_job
from sluice.cli.job.local_run import open_runs, planning_ports
from sluice.cli.job.report import run_as_json, run_as_text
from sluice.domain.dataset import DefinitionsError
from sluice.domain.job import ParameterValue
from sluice.ports.bundle import Ports
from sluice.usecases.running.plan_run import PlannedRun
from sluice.usecases.running.preview_run import preview_run
from sluice.usecases.running.run_values import read_parameter
from sluice.usecases.running.schedule import ScheduleError, last_tick, next_tick, zone_of

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Read, change and deliver rows by jobs.\n\nExamples:\n"
    "  sluice job check jobs/orders-daily.yaml\n"
    "  sluice job run jobs/orders-daily.yaml --data /var/lib/sluice-jobs",
)

File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The job's YAML file.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--definitions",
        metavar="DIR",
        help="Where connections/ is; beside the job's file, or beside its folder, by default.",
    ),
]
Given = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be given again.")
]
Tick = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="The time by the schedule that it is the run of, as 2026-12-01T02:30; the last by default."
    ),
]


@commands.command("check")
def check(file: File, definitions: Folder = None, given: Given = None, tick: Tick = None) -> None:
    """Say every mistake in a job, also what its source says to it; nothing is written."""
    found, planned = _planned(file, definitions, given, tick)
    columns, outputs = len(planned.params.tables[0].columns), len(found.job.outputs)
    say(f"{found.job.job}: no mistakes; {counted(columns, 'column')} to {counted(outputs, 'output')}")


@commands.command("plan")
def plan(
    file: File, definitions: Folder = None, given: Given = None, tick: Tick = None, *, as_json: AsJson = False
) -> None:
    """Show what a run would read, make of it, and deliver; nothing is written."""
    found, planned = _planned(file, definitions, given, tick)
    if as_json:
        say(json_of(planned.params))
        return
    pulled, run = planned.params.pulled, planned.params.run
    assert pulled is not None  # as it was planned
    assert run is not None
    facts = [
        ("job", f"{found.job.job} ({found.version})"),
        ("reads", f"{printable(pulled.table)} of {pulled.connection}, {pulled.consistency}"),
        *([("where", printable(pulled.where))] if pulled.where else []),
        *((f"  {printable(one.name)}", one.type.value) for one in planned.source_columns),
        ("steps", counted(len(pulled.steps), "step")),
        *((f"  {printable(one.name)}", one.type.value) for one in planned.params.tables[0].columns),
        *((f"to {one.name}", printable(one.target.table if one.target else one.filename)) for one in run.outputs),
        *_next_facts(found),
    ]
    say("\n".join(lines_of(facts)))


@commands.command("preview")
def preview(
    file: File,
    definitions: Folder = None,
    given: Given = None,
    tick: Tick = None,
    rows: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 20,
) -> None:
    """Print the first rows as a run would deliver them, as JSON, one in each line; nothing is written."""
    found = load_job(file)
    folder = definitions_of(definitions or folder_of(file))
    with planning_ports(folder) as ports:
        planned = _plan(ports, folder, found, given, tick)
        headers = [column.name for column in planned.params.tables[0].columns]
        for row in islice(preview_run(ports, planned.params), rows):
            say(json_of(dict(zip(headers, row, strict=True)), is_line=True))


@commands.command("run")
def run(
    file: File,
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where runs are kept until they are over, and files as long.")
    ],
    definitions: Folder = None,
    given: Given = None,
    tick: Tick = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where files are put; here by default.")
    ] = Path(),
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Another run of a time by the schedule that has one, failed or not.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a job here, without a service, until all of it is delivered.

    A run that was cut off, by a kill at any moment, goes on when the same command is given again.
    The exit code is 0 if every output has all rows.
    """
    found = load_job(file)
    folder = definitions_of(definitions or folder_of(file))
    with open_runs(folder, data) as runs, shown_progress() as progress:
        planned = _plan(runs.ports, folder, found, given, tick)
        ref = runs.begin(planned.params, is_again=again)
        status, saved = runs.finish(ref, output, progress)
        say(json_of(run_as_json(status, saved)) if as_json else run_as_text(status, saved))
        runs.end_was_said(ref)
    if status.state != "succeeded":
        raise typer.Exit(1)


@commands.command("convert")
def convert(
    file: File,
    name: Annotated[str, typer.Option(help="Of the new job.")],
    definitions: Annotated[
        Path, typer.Option("--definitions", metavar="DIR", help="Where connections/ and jobs/ are made.")
    ],
) -> None:
    """Translate a job that has input, pipeline and output into one of this form. No file is written over."""
    problems: list[str] = []
    tree = read_yaml(file, file.name, problems)
    if problems:
        raise DefinitionsError(problems)
    made = convert_job(tree, name)
    files = {
        definitions / "jobs" / f"{name}.yaml": made.job,
        definitions / "connections" / f"{LANDING}.yaml": made.connection,
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as target:
            target.write(yaml_of(content))
        say(f"wrote {printable(str(path))}")


@commands.command("list")
def list_(
    definitions: Annotated[
        Path, typer.Option("--definitions", metavar="DIR", help="Where jobs/ is; here by default.")
    ] = Path(),
    *,
    as_json: AsJson = False,
) -> None:
    """List the jobs of a folder, and when the next run of each is due."""
    found = load_jobs(definitions)
    if as_json:
        say(json_of([{"version": one.version, **msgspec.to_builtins(one.job)} for one in found.values()]))
        return
    rows = [
        (name, one.version, "yes" if one.job.enabled else "no", *(said for _, said in _next_facts(one)))
        for name, one in sorted(found.items())
    ]
    head = ("JOB", "VERSION", "ENABLED", "NEXT RUN")
    say("\n".join(lines_of([head, *((*row, "-")[:4] for row in rows)])) if rows else "There are no jobs.")


@commands.command("schema")
def schema() -> None:
    """Print the JSON Schema of a job's file, for editors."""
    say(json_of(job_schema()))


def _planned(
    file: Path, definitions: Path | None, given: list[str] | None, tick: str | None
) -> tuple[JobFile, PlannedRun]:
    found = load_job(file)
    folder = definitions_of(definitions or folder_of(file))
    with planning_ports(folder) as ports:
        return found, _plan(ports, folder, found, given, tick)


def _plan(
    ports: Ports, folder: Definitions, found: JobFile, given: Sequence[str] | None, tick: str | None
) -> PlannedRun:
    return plan_job(ports, folder, found, given=_given(found, given or ()), tick=_tick(found, tick))


def _given(found: JobFile, texts: Sequence[str]) -> dict[str, ParameterValue]:
    values: dict[str, ParameterValue] = {}
    for text in texts:
        name, is_pair, value = text.partition("=")
        if not is_pair:
            raise typer.BadParameter(f"{text} is no NAME=VALUE", param_hint="--set")
        try:
            values[name] = read_parameter(found.job, name, value)
        except ValueError:
            kind = found.job.parameters[name].type
            raise typer.BadParameter(f"{name} is a {kind}, and {value!r} is none", param_hint="--set") from None
    return values


def _tick(found: JobFile, text: str | None) -> datetime | None:
    """The tick that is asked for, or the last one by the schedule; None for a job without one."""
    schedule = found.job.schedule
    if schedule is None:
        if text is not None:
            raise typer.BadParameter("the job has no schedule, so no times", param_hint="--tick")
        return None
    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    if text is None:
        try:
            return last_tick(schedule, now)
        except ScheduleError:
            return None  # what is wrong with the schedule is said with its line, beside all other mistakes
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=zone_of(schedule))
    except (ScheduleError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--tick") from None
    if at > now:
        raise typer.BadParameter("is yet to come: its rows are not all there", param_hint="--tick")
    return at


def _next_facts(found: JobFile) -> list[tuple[str, str]]:
    schedule = found.job.schedule
    if schedule is None:
        return []
    return [("next run", next_tick(schedule, datetime.fromtimestamp(SystemClock().now(), UTC)).isoformat())]
