"""Plan a run: what its job says, checked against the source as it is now, as the parameters of a task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from sluice.domain.file_source import AnyFileRows
from sluice.domain.http_source import HttpRows, http_source_of
from sluice.domain.job import (
    Job,
    JobRetry,
    JobSource,
    Mistake,
    ParameterValue,
    SourceTable,
    StoredBatch,
    seconds_of,
)
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.pinned_files import FileSource
from sluice.domain.pulled import Pulled
from sluice.domain.run import DIVERTED, ROWS, Run, RunRetry
from sluice.domain.schema import ColumnSpec, TableSpec
from sluice.domain.step import GatheredSteps, ValidateStep
from sluice.domain.suggestion import did_you_mean
from sluice.domain.timestamps import zone_named
from sluice.ports.bundle import Ports
from sluice.ports.source import SourceColumn, SourceError, SourceUnavailable
from sluice.tables.processors.lookups import InvalidLookup, Lookup
from sluice.tables.processors.step_parsing import StepsError, parse_gathered_steps
from sluice.usecases.pulling.process_rows import Stages, diverted_columns
from sluice.usecases.pulling.read_lookup import read_lookup
from sluice.usecases.running.plan_outputs import plan_outputs
from sluice.usecases.running.run_values import parameters_of, values_of
from sluice.usecases.running.schedule import ScheduleError, mistakes_of_schedule, text_of_tick
from sluice.usecases.sending.open_export import check_params


class PlanError(Exception):
    """A job cannot be run as it is."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{place}: {sentence}" for place, sentence in mistakes))
        self.mistakes = tuple(mistakes)


def no_where(text: str, values: Mapping[str, ParameterValue], columns: Collection[str]) -> str:
    """Say that this process knows no SQL."""
    del text, values, columns
    raise ValueError("conditions take an extra: pip install 'sluice[jobs]'")


def no_files(source: AnyFileRows) -> FileSource:
    """Say that this process reads no files."""
    raise SourceError(f"no definitions are here, and none of the connection {source.connection}")


class Origins(NamedTuple):
    """How a process reaches what a source names."""

    zone: str = "UTC"
    """In which the source has points in time, as ``zone_named`` reads it."""
    render_where: Callable[[str, Mapping[str, ParameterValue], Collection[str]], str] = no_where
    """Checks a condition of the source's own SQL, on these columns if they are known, and puts values into it.
    Raises ValueError."""
    pin_files: Callable[[AnyFileRows], FileSource] = no_files
    """Finds the files that a job names, as they are now. Raises ``SourceError``."""


class RunRequest(NamedTuple):
    """Which run of a job."""

    job: Job
    version: str
    given: Mapping[str, ParameterValue] = {}
    """Parameters."""
    tick: datetime | None = None
    """The time by the job's schedule that it is the run of; None for one that was asked for."""
    origins: Origins = Origins()
    """Of the job's source."""
    lookups: Collection[str] = ()
    """The names of tables that steps may look up in."""


class PlannedRun(NamedTuple):
    """A run that can be opened."""

    params: ExportParams
    source_columns: tuple[ColumnSpec, ...]
    """What is read; what the outputs have is in ``params``."""


def plan_run(ports: Ports, request: RunRequest) -> PlannedRun:
    """Check all that can be checked before a row is read; the source is asked for its columns.

    Raises ``PlanError`` with every mistake that was found.
    """
    job = request.job
    parameters, mistakes = parameters_of(job, request.given)
    mistakes += mistakes_of_schedule(job.schedule) if job.schedule else []
    values: dict[str, ParameterValue] = dict(parameters)
    try:
        now = datetime.fromtimestamp(ports.clock.now(), UTC)
        values = values_of(job, parameters, tick=request.tick, now=now, zone=zone_named(request.origins.zone))
    except ScheduleError as error:
        mistakes.append(Mistake("schedule", str(error)))
    pulled = plan_source(job.source, request.origins, values, mistakes)
    read = _columns_read(ports, request, pulled, values, mistakes) if pulled is not None else ()
    if pulled is None or not read:
        raise PlanError(mistakes)
    planned = _plan_steps(ports, request, read, values, mistakes)
    if planned is None:
        raise PlanError(mistakes)
    steps, columns = planned
    outputs = plan_outputs(ports, job, columns, values, mistakes)
    if steps.gather is not None and pulled.consistency == "split":
        said = "a step that needs all rows takes them of one moment, or by their key"
        mistakes.append(Mistake("source.consistency", said))
    if mistakes:
        raise PlanError(mistakes)
    run = Run(
        job=job.job,
        version=request.version,
        tick=_tick_of(request),
        asked=_asked(request, parameters),
        outputs=tuple(outputs),
    )
    params = _params(request, _pulled_for(request, pulled, read, steps), columns, run)
    return PlannedRun(check_params(params, ports.limits), tuple(read))


def _plan_steps(
    ports: Ports,
    request: RunRequest,
    read: Sequence[ColumnSpec],
    values: Mapping[str, ParameterValue],
    mistakes: list[Mistake],
) -> tuple[GatheredSteps, tuple[ColumnSpec, ...]] | None:
    """The steps and the columns behind them; None where there is a mistake in them."""
    job = request.job
    lookups = _lookups_named(ports, job, request.lookups, mistakes)
    try:
        known = {name: {one.name: one.type for one in lookup.columns} for name, lookup in lookups.items()}
        kinds = {column.name: column.type for column in read}
        steps = parse_gathered_steps(job.steps, kinds, values, lookups=known)
        mistakes += _warnings_in(steps)
        return steps, tuple(Stages(steps, read, ports.find_key, lookups.__getitem__).output())
    except StepsError as error:
        mistakes += [Mistake(place, said) for place, _, said in (one.partition(": ") for one in error.problems)]
    except (SourceError, InvalidLookup) as error:
        mistakes.append(Mistake("steps", str(error)))
    return None


def _warnings_in(steps: GatheredSteps) -> list[Mistake]:
    """Rules that only count: nothing keeps what they count yet, so they are refused rather than dropped."""
    rules = [rule for step in (*steps.before, *steps.behind) if isinstance(step, ValidateStep) for rule in step.rules]
    said = "severity: warn is counted nowhere yet: take divert or fail"
    return [Mistake("steps", f"validate, {rule.reason}: {said}") for rule in rules if rule.severity == "warn"]


def _pulled_for(request: RunRequest, pulled: Pulled, read: Sequence[ColumnSpec], steps: GatheredSteps) -> Pulled:
    """What a worker reads, and what it does to the rows."""
    job = request.job
    batch = job.source.batch if isinstance(job.source, SourceTable) else StoredBatch()
    is_gathered_by_key = steps.gather is not None and pulled.consistency == "key"
    return msgspec.structs.replace(
        pulled,
        dataset=job.job,
        version=request.version,
        columns=tuple(column.name for column in read),
        kinds=tuple(column.type for column in read),
        steps=steps.before,
        gather=steps.gather,
        behind=steps.behind,
        snapshot_max_s=0 if is_gathered_by_key else pulled.snapshot_max_s,  # nothing is stored before all is read
        rows_max=job.limits.rows,
        batch_rows=batch.rows,
        batch_chars=batch.size(),
        duration_max_s=seconds_of(job.limits.duration) if job.limits.duration else 0,
        rows_per_s=job.limits.rows_per_s or 0,
        diverts=job.on_error.rows == "divert",
        diverted_max=-1 if job.on_error.max_rows is None else job.on_error.max_rows,
        diverted_share_max=1.0 if job.on_error.max_share is None else float(job.on_error.max_share),
    )


def _params(request: RunRequest, pulled: Pulled, columns: tuple[ColumnSpec, ...], run: Run) -> ExportParams:
    tables = (TableSpec(ROWS, columns), TableSpec(DIVERTED, diverted_columns(pulled))) if pulled.diverts else ()
    return ExportParams(
        format=ExportFormat.JSONL,
        filename=request.job.job,
        columns=() if tables else columns,
        sheets=tables,
        pulled=pulled,
        run=run,
        retry=_retry(request.job.retry),
    )


def _retry(said: JobRetry) -> RunRetry | None:
    if said == JobRetry():
        return None
    pauses = (seconds_of(one) if one else 0 for one in (said.backoff, said.give_up))
    return RunRetry(said.attempts or 0, *pauses)


def plan_source(
    source: JobSource, origins: Origins, values: Mapping[str, ParameterValue], mistakes: list[Mistake]
) -> Pulled | None:
    """What is read, of a job or a lookup; None where that cannot be said, and ``mistakes`` says why."""
    if isinstance(source, SourceTable):
        where = ""
        if source.where:
            try:
                where = origins.render_where(source.where, values, ())
            except ValueError as error:
                mistakes.append(Mistake("source.where", str(error)))
        table = source.source()
        return Pulled(
            dataset="",
            version="",
            connection=table.connection,
            table=table.table,
            key=table.key,
            consistency=table.consistency,
            splits=table.splits or 1,
            snapshot_max_s=float(table.snapshot_max_s),
            columns=source.columns,
            where=where,
        )
    # What is no table is read on behind a cursor, whatever has become of it meanwhile.
    made = Pulled(
        dataset="",
        version="",
        connection=source.connection,
        table=source.path or "/",
        consistency="key",
        columns=source.columns,
    )
    try:
        if isinstance(source, HttpRows):
            return msgspec.structs.replace(made, pages=http_source_of(source, values))
        return msgspec.structs.replace(made, files=origins.pin_files(source))
    except SourceUnavailable:
        raise
    except (SourceError, ValueError) as error:
        mistakes.append(Mistake("source.path" if isinstance(error, SourceError) else "source", str(error)))
        return None


def _lookups_named(ports: Ports, job: Job, known: Collection[str], mistakes: list[Mistake]) -> dict[str, Lookup]:
    """The tables that the steps look up in, read whole: what is wrong with them is known before a run."""
    found = {}
    for index, step in enumerate(job.steps):
        enrich = step.get("enrich")
        name = enrich.get("lookup") if isinstance(enrich, Mapping) else None
        if not isinstance(name, str) or name in found:
            continue
        if name not in known:
            said = f"there is no lookups/{name}.yaml{did_you_mean(name, known)}"
            mistakes.append(Mistake(f"steps[{index}].enrich.lookup", said))
            continue
        try:
            found[name] = read_lookup(ports, name)
        except SourceUnavailable:
            raise
        except (SourceError, InvalidLookup) as error:
            mistakes.append(Mistake(f"steps[{index}].enrich.lookup", str(error)))
    return found


def _columns_read(
    ports: Ports,
    request: RunRequest,
    pulled: Pulled,
    values: Mapping[str, ParameterValue],
    mistakes: list[Mistake],
) -> tuple[ColumnSpec, ...]:
    """What the source has of the columns that are named, or all that it has."""
    try:
        source = ports.open_source(msgspec.structs.replace(pulled, columns=()))
        found = {column.name: column for column in source.describe()}
    except SourceUnavailable:
        raise
    except SourceError as error:
        mistakes.append(Mistake("source", str(error)))
        return ()
    if isinstance(request.job.source, SourceTable) and pulled.where:
        try:
            request.origins.render_where(request.job.source.where, values, list(found))
        except ValueError as error:
            mistakes.append(Mistake("source.where", str(error)))
    chosen: list[SourceColumn] = []
    for index, name in enumerate(pulled.columns):
        if name not in found:
            mistakes.append(Mistake(f"source.columns[{index}]", f"the table has no {name}{did_you_mean(name, found)}"))
        else:
            chosen.append(found[name])
    return tuple(ColumnSpec(column.name, column.kind) for column in (chosen if pulled.columns else found.values()))


def _tick_of(request: RunRequest) -> str:
    return text_of_tick(request.tick) if request.tick else ""


def _asked(request: RunRequest, parameters: Mapping[str, ParameterValue]) -> str:
    return digest_of_asked(request.job.job, request.version, parameters, _tick_of(request))


def digest_of_asked(job: str, version: str, parameters: Mapping[str, ParameterValue], tick: str) -> str:
    """What ``Run.asked`` has."""
    said = (job, version, parameters, tick)
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()[:16]
