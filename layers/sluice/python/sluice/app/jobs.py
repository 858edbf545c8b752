"""Jobs over the connections of a folder of definitions: checked, planned, and read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from sluice.app.definitions import Definitions, load_connections
from sluice.app.job_files import JobFile, load_job
from sluice.app.settings.yaml_tree import read_yaml
from sluice.app.where import render_where
from sluice.app.where_rules import WhereDialect, WhereError
from sluice.domain.dataset import Connection, DefinitionsError, ServerConnection
from sluice.domain.http_source import HttpRows
from sluice.domain.job import (
    JobSource,
    LookupTable,
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
from sluice.ports.source import Source, SourceError
from sluice.usecases.running.plan_run import Origins, PlanError, PlannedRun, RunRequest, no_where, plan_run, plan_source
from sluice.usecases.running.schedule import mistakes_of_schedule

JOBS_FOLDER = "jobs"
LOOKUPS_FOLDER = "lookups"


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
            one = load_job_of_folder(path)
        except DefinitionsError as error:
            problems += error.problems
        else:
            found[one.job.job] = one
    if problems:
        raise DefinitionsError(problems)
    return found


def load_job_of_folder(path: Path) -> JobFile:
    """As ``load_job``, of a file that stands among others and begins runs by its schedule, which is checked too."""
    one = load_job(path)
    if one.job.job != path.stem:
        raise DefinitionsError([f"{path.name}: defines {one.job.job}; the file of that is {one.job.job}.yaml"])
    if one.job.schedule is not None:
        mistakes = mistakes_of_schedule(one.job.schedule)
        if mistakes:
            raise DefinitionsError(one.worded(mistakes))
    return one


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
    origins = _origins_of(definitions, file.job.source)
    request = RunRequest(file.job, file.version, given or {}, tick, origins, lookup_names(definitions.folder))
    try:
        return plan_run(ports, request)
    except PlanError as error:
        raise DefinitionsError(file.worded(error.mistakes)) from error


def _renders_where(source: JobSource) -> Callable[[str, Mapping[str, ParameterValue], Collection[str]], str]:
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


def _where(dialect: WhereDialect, text: str, values: Mapping[str, ParameterValue], columns: Collection[str]) -> str:
    try:
        return render_where(text, dialect, values, columns)
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


def _zone_of(connection: Connection) -> str:
    """In which time zone a connection has points in time."""
    return connection.timezone if isinstance(connection, ServerConnection) else "UTC"


def _origins_of(definitions: Definitions, source: JobSource) -> Origins:
    connection = definitions.connections.get(source.connection)
    zone = _zone_of(connection) if connection is not None else "UTC"
    return Origins(zone, _renders_where(source), definitions.pinned)


def lookup_names(folder: Path) -> list[str]:
    """The tables that steps may look up in, by the files of a folder of definitions."""
    return sorted(path.stem for path in (folder / LOOKUPS_FOLDER).glob("*.yaml"))


def open_lookup(definitions: Definitions, name: str) -> Source:
    """A table that steps look up in, as its file says it now. Raises ``SourceError``."""
    path = definitions.folder / LOOKUPS_FOLDER / f"{name}.yaml"
    if name not in lookup_names(definitions.folder):
        raise SourceError(f"there is no {LOOKUPS_FOLDER}/{name}.yaml")
    problems: list[str] = []
    tree = read_yaml(path, f"{LOOKUPS_FOLDER}/{path.name}", problems)
    try:
        found = msgspec.convert(tree, LookupTable) if tree is not None else None
    except msgspec.ValidationError as error:
        problems.append(f"{LOOKUPS_FOLDER}/{path.name}: {error}")
        found = None
    if found is None:
        raise SourceError("; ".join(problems))
    mistakes: list[Mistake] = []
    pulled = plan_source(found.source, _origins_of(definitions, found.source), {}, mistakes)
    if pulled is None or mistakes:
        raise SourceError(f"{LOOKUPS_FOLDER}/{path.name}: {'; '.join(map(': '.join, mistakes))}")
    return definitions.open_pulled(pulled)


def definitions_of(folder: Path, *, slots: Path | None = None) -> Definitions:
    """The connections of a folder, without its datasets. Raises ``DefinitionsError``."""
    return Definitions(folder, load_connections(folder), {}, slots)
