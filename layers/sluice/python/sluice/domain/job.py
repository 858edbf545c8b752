"""What a job says: which rows are read, what becomes of each, where they go, and when. One YAML file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Struct

from sluice.domain.dataset import Count, Identifier, Name, TableSource
from sluice.domain.file_source import AnyFileRows
from sluice.domain.http_source import HttpRows
from sluice.domain.keys import TENANT_ID
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.pulled import Consistency
from sluice.domain.run import DIVERTED, OutputName
from sluice.domain.target import Mode, TableTarget, mistakes_of

ParameterName = Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Duration = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}(s|m|h|d)$")]
"""As 30s, 5m, 2h or 7d."""
Tenant = Annotated[str, Meta(pattern=rf"^(?:{TENANT_ID.pattern})$")]
ParameterValue: TypeAlias = str | int | float | bool
EXPIRES_MIN_S = 60
BATCH_BYTES_MAX = 4 << 20
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_of(duration: str) -> float:
    """How long a duration is."""
    return float(int(duration[:-1]) * _SECONDS[duration[-1]])


class Parameter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that each run may be given; it is put where the job names it, as a value and never as text of it."""

    type: Literal["string", "number", "boolean"] = "string"
    default: ParameterValue | None = None
    """None: each run has to be given one."""

    def fits(self, value: ParameterValue) -> bool:
        """Whether a value is of the type."""
        match self.type:
            case "string":
                return isinstance(value, str)
            case "boolean":
                return isinstance(value, bool)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool)


class Schedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When runs begin by themselves."""

    cron: Annotated[str, Meta(min_length=1, max_length=100)]
    timezone: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+:/-]{1,64}$")] = "UTC"
    overlap: Literal["skip", "queue"] = "skip"
    """What becomes of a run that is due while the one before goes on: it is left out, or begins behind it."""
    catch_up: Literal["latest", "all", "none"] = "latest"
    """Which of the runs are made that were due while no scheduler ran."""
    after: tuple[Name, ...] = ()
    """Jobs whose runs of the same day, in the time zone, have to have succeeded before."""


class StoredBatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of what the steps leave is stored as one batch, at least; the last one is what is left."""

    rows: Annotated[int, Meta(ge=1, le=20_000)] = 4_000
    bytes: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}(KiB|MiB)$")] = "2MiB"
    """Of the texts, about: with so many a batch is stored though it has fewer rows."""

    def size(self) -> int:
        """``bytes`` as a number."""
        return int(self.bytes[:-3]) * {"KiB": 1 << 10, "MiB": 1 << 20}[self.bytes[-3:]]


class SourceTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a database; which kind of database, its connection says."""

    connection: Name
    table: Identifier
    columns: Annotated[tuple[Identifier, ...], Meta(max_length=16_384)] = ()
    """None stands for all that the table has when the run is planned."""
    where: Annotated[str, Meta(max_length=10_000)] = ""
    """A condition as the database's own SQL writes it; ``:name`` stands for a parameter."""
    key: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=16)]
    splits: Annotated[int, Meta(ge=1, le=64)] = 1
    consistency: Consistency = "snapshot"
    batch: StoredBatch = StoredBatch()

    def source(self) -> TableSource:
        """The table and how it is read."""
        splits = self.splits if self.consistency == "split" and self.splits > 1 else None
        return TableSource(
            connection=self.connection, table=self.table, key=self.key, consistency=self.consistency, splits=splits
        )


class PostgresqlRows(SourceTable, frozen=True, kw_only=True, tag_field="type", tag="postgresql"):
    """Of a PostgreSQL server."""


class MysqlRows(SourceTable, frozen=True, kw_only=True, tag_field="type", tag="mysql"):
    """Of a MySQL or MariaDB server."""


class SqliteRows(SourceTable, frozen=True, kw_only=True, tag_field="type", tag="sqlite"):
    """Of a file of SQLite."""


JobSource: TypeAlias = PostgresqlRows | MysqlRows | SqliteRows | AnyFileRows | HttpRows


class LookupTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small table that steps look up in; it is read whole by each worker that takes up a run."""

    lookup: Name
    source: JobSource


class OutputFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="file"):
    """The rows as a file behind a link."""

    name: OutputName
    format: ExportFormat
    filename: Annotated[str, Meta(max_length=255)] = ""
    """``{run.date}`` and the like, and ``{name}`` of a parameter, stand for their values."""
    expires: Duration | None = None
    columns: tuple[Identifier, ...] = ()
    """Which columns it has, in this order; none stands for all."""
    drop: tuple[Identifier, ...] = ()
    """Which it does not have."""
    options: ExportOptions = ExportOptions()


class OutputTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows in a table of a database that a connection with ``writes: true`` reaches."""

    name: OutputName
    connection: Name
    table: Identifier
    mode: Mode = "append"
    key: Annotated[tuple[Identifier, ...], Meta(max_length=16)] = ()
    create: Literal["never", "if_missing"] = "never"
    schema: Literal["freeze", "evolve"] = "freeze"
    columns: tuple[Identifier, ...] = ()
    drop: tuple[Identifier, ...] = ()

    def target(self) -> TableTarget:
        return TableTarget(
            connection=self.connection,
            table=self.table,
            mode=self.mode,
            key=self.key,
            create=self.create,
            schema=self.schema,
        )


class PostgresqlOutput(OutputTable, frozen=True, kw_only=True, tag_field="type", tag="postgresql"):
    """Of a PostgreSQL server."""


class MysqlOutput(OutputTable, frozen=True, kw_only=True, tag_field="type", tag="mysql"):
    """Of a MySQL or MariaDB server."""


JobOutput: TypeAlias = OutputFile | PostgresqlOutput | MysqlOutput


class OnError(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a row that a step cannot take, or that has a value which is none of its column's type."""

    rows: Literal["fail", "divert"] = "fail"
    """The run fails at the first; or such rows are a file of their own, with the reasons."""
    max_rows: Annotated[int, Meta(ge=0)] | None = None
    """More of them fail the run."""
    max_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    """A larger share of the rows that were read fails the run, once all are read."""


class JobLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run takes at most."""

    rows: Count = 100_000_000
    """That are stored; more fail the run."""
    duration: Duration | None = None
    """From when the run is opened until all of its rows are read; longer fails the run."""
    rows_per_s: Count | None = None
    """How fast the source is read, on average over an attempt."""


class JobRetry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what fails for a time is tried again; what nothing is said of is as the service's settings say."""

    attempts: Annotated[int, Meta(ge=1, le=100)] | None = None
    """That count against a run, or an output."""
    backoff: Duration | None = None
    """The first pause; it doubles with each."""
    give_up: Duration | None = None
    """How long a source or a target may be away."""


class Job(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job, as its file says it."""

    job: Name
    version: Count = 1
    description: Annotated[str, Meta(max_length=1_000)] = ""
    tenant: Tenant = "local"
    """Whose its runs are in a service, and whose API keys see it. Where there are no keys every caller is ``local``."""
    enabled: bool = True
    """Whether its schedule holds. It may be run by hand either way."""
    parameters: Mapping[ParameterName, Parameter] = {}
    schedule: Schedule | None = None
    source: JobSource
    steps: tuple[Mapping[str, object], ...] = ()
    """Read where the columns are known."""
    on_error: OnError = OnError()
    outputs: Annotated[tuple[JobOutput, ...], Meta(min_length=1, max_length=16)]
    limits: JobLimits = JobLimits()
    retry: JobRetry = JobRetry()


def decode_job(tree: object) -> Job:
    """Read a job from the values of its file. Raises ``msgspec.ValidationError`` at the first mistake."""
    return msgspec.convert(tree, Job)


class Mistake(NamedTuple):
    """What is wrong with a job."""

    place: str
    """As ``outputs[1].mode``; empty for the job as a whole."""
    sentence: str


def mistakes_of_job(job: Job) -> list[Mistake]:
    """What is wrong with a job beyond the form of its parts, as far as it is seen without its source."""
    found = [
        Mistake(f"parameters.{name}.default", f"is no {parameter.type}")
        for name, parameter in job.parameters.items()
        if parameter.default is not None and not parameter.fits(parameter.default)
    ]
    found += [
        Mistake(f"parameters.{name}", "is the name of what a run has") for name in job.parameters if name == "run"
    ]
    names = [output.name for output in job.outputs]
    found += [
        Mistake(f"outputs[{index}].name", f"{DIVERTED} is the name of the file of rows that were refused")
        for index, name in enumerate(names)
        if name == DIVERTED
    ]
    found += [
        Mistake(f"outputs[{index}].name", f"{name} is given twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    for index, output in enumerate(job.outputs):
        place = f"outputs[{index}]"
        if output.columns and output.drop:
            found.append(Mistake(f"{place}.drop", "is of no use beside columns"))
        if isinstance(output, OutputTable):
            found += [Mistake(f"{place}.{where}", said) for where, said in mistakes_of(output.target())]
        elif output.expires is not None and seconds_of(output.expires) < EXPIRES_MIN_S:
            found.append(Mistake(f"{place}.expires", f"a file is kept for {EXPIRES_MIN_S} s at least"))
    source = job.source
    found += [Mistake("source.columns", f"{name} is given twice") for name in _twice(source.columns)]
    if isinstance(source, SourceTable):
        if source.batch.size() > BATCH_BYTES_MAX:
            found.append(Mistake("source.batch.bytes", "is 4MiB at most"))
        if source.splits > 1 and source.consistency == "key":
            found.append(Mistake("source.splits", "is of no use with consistency: key"))
        found += [Mistake("source.key", f"{name} is given twice") for name in _twice(source.key)]
    if job.on_error.rows == "fail" and (job.on_error.max_rows, job.on_error.max_share) != (None, None):
        found.append(Mistake("on_error", "max_rows and max_share are of use with rows: divert"))
    return found


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
