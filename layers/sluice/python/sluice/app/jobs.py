"""Jobs over the connections of a folder of definitions: checked, planned, and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sluice.app.definitions import Definitions, load_connections
from sluice.app.job_files import JobFile, load_job
from sluice.app.where import render_where
from sluice.app.where_rules import WhereDialect, WhereError
from sluice.domain.dataset import Connection, DefinitionsError, ServerConnection
from sluice.domain.http_source import HttpRows
from sluice.domain.job import (
    JobSource,
    Mistake,
    MysqlRows,
    OutputTable,
    ParameterValue,
    PostgresqlRows,
    SourceTable,
    SqliteRows,
)
from sluice.domain.suggestion import did_you_mean
from sluice.ports.bundle import Ports
from sluice.usecases.running.plan_run import PlanError, PlannedRun, RunRequest, no_where, plan_run

JOBS_FOLDER = "jobs"


def folder_of(job: Path) -> Path:
    """The folder of definitions that a job's file is of: it has connections/, beside the file or beside its folder."""
    near = job.absolute().parent
    return near.parent if not (near / "connections").is_dir() and (near.parent / "connections").is_dir() else near


def load_jobs(folder: Path) -> dict[str, JobFile]:
    """The jobs of a folder of definitions, by name. Raises ``DefinitionsError`` with every mistake in their files."""
    found: dict[str, JobFile] = {}
    problems: list[str] = []
    for path in sorted([*(folder / JOBS_FOLDER).glob("*.yaml"), *(folder / JOBS_FOLDER).glob("*.yml")]):
        try:
            one = load_job(path)
        except DefinitionsError as error:
            problems += error.problems
            continue
        if one.job.job != path.stem:
            problems.append(f"{path.name}: defines {one.job.job}; the file of that is {one.job.job}.yaml")
        found[one.job.job] = one
    if problems:
        raise DefinitionsError(problems)
    return found


def plan_job(
    ports: Ports,
    definitions: Definitions,
    file: JobFile,
    *,
    given: Mapping[str, ParameterValue] | None = None,
    tick: datetime | None = None,
) -> PlannedRun:
    """Check a job against its connections and its source. Raises ``DefinitionsError`` with every mistake."""
    mistakes = _mistakes_of_connections(file, definitions.connections)
    if mistakes:
        raise DefinitionsError(file.worded(mistakes))
    source = file.job.source
    zone = timezone_of(definitions.connections[source.connection])
    request = RunRequest(file.job, file.version, given or {}, tick, zone, _renders_where(source), definitions.pinned)
    try:
        return plan_run(ports, request)
    except PlanError as error:
        raise DefinitionsError(file.worded(error.mistakes)) from error


def _renders_where(source: JobSource) -> Callable[[str, Mapping[str, ParameterValue]], str]:
    """What checks a condition of the source's own SQL, and puts values into it."""
    match source:
        case PostgresqlRows():
            return partial(_where, "postgresql")
        case MysqlRows():
            return partial(_where, "mysql")
        case SqliteRows():
            return partial(_where, "sqlite")
        case _:
            return no_where


def _where(dialect: WhereDialect, text: str, values: Mapping[str, ParameterValue]) -> str:
    try:
        return render_where(text, dialect, values)
    except WhereError as error:
        raise ValueError(str(error)) from error


def _mistakes_of_connections(file: JobFile, connections: Mapping[str, Connection]) -> list[Mistake]:
    job = file.job
    found = []
    named: list[tuple[str, str, JobSource | OutputTable]] = [("source", job.source.connection, job.source)]
    named += [
        (f"outputs[{index}]", output.connection, output)
        for index, output in enumerate(job.outputs)
        if isinstance(output, OutputTable)
    ]
    for place, name, part in named:
        wanted = str(type(part).__struct_config__.tag)
        connection = connections.get(name)
        if connection is None:
            near = did_you_mean(name, connections)
            found.append(Mistake(f"{place}.connection", f"there is no connection {name}{near}"))
            continue
        kind = str(type(connection).__struct_config__.tag)
        is_files = not isinstance(part, SourceTable | OutputTable | HttpRows)
        if kind not in ({"folder", "bucket"} if is_files else {wanted}):
            found.append(Mistake(f"{place}.type", f"is {wanted}, and the connection {name} is of {kind}"))
        elif isinstance(part, OutputTable) and not getattr(connection, "writes", False):
            said = f"the connection {name} is for reading: writes: true there lets jobs load tables through it"
            found.append(Mistake(f"{place}.connection", said))
    return found


def timezone_of(connection: Connection) -> tzinfo:
    """In which time zone a connection has points in time."""
    if not isinstance(connection, ServerConnection):
        return UTC
    name = connection.timezone
    if name[:1] in {"+", "-"}:
        hours, _, minutes = name[1:].partition(":")
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(offset if name[0] == "+" else -offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def definitions_of(folder: Path, *, slots: Path | None = None) -> Definitions:
    """The connections of a folder, without its datasets. Raises ``DefinitionsError``."""
    return Definitions(folder, load_connections(folder), {}, slots)
