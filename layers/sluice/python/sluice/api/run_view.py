"""Jobs and runs as JSON, one form for every call that answers with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from sluice.api.task_view import MomentView
from sluice.domain.task import State
from sluice.domain.timestamps import iso_time
from sluice.usecases.running.certificate import certificate_of, heading_of
from sluice.usecases.running.find_jobs import KnownJob
from sluice.usecases.running.open_run import Delivered, RunStatus
from sluice.usecases.running.schedule import ScheduleError, next_tick, text_of_tick


class RunErrorView(Struct, frozen=True):
    code: str
    message: str


class RunSummary(Struct, frozen=True, kw_only=True):
    """A run in a list. `tick` is the time by the job's schedule that it is the run of; null for one of no time."""

    run: str
    job: str
    version: str
    """Digest of the job's file, as it was."""
    tick: str | None
    state: str
    """``waiting``, ``reading``, ``delivering``, ``succeeded``, ``failed``, ``cancelled`` or ``expired``."""
    error: RunErrorView | None
    """Why it has failed; where an output has, the run has the error in its own place."""
    created_at: str | None
    finished_at: str | None


class RunSourceView(Struct, frozen=True):
    """Where rows were read, and of which moments they are."""

    connection: str | None
    table: str | None
    consistency: str | None
    moments: list[MomentView]


class RunRowsView(Struct, frozen=True):
    """Null before all rows are read. `refused` were set aside: they are an output of their own."""

    read: int | None
    filtered: int
    refused: int | None
    out: int | None


class RunOutputView(Struct, frozen=True, kw_only=True):
    """What became of the rows in one place: a file, with the path of its link once it is whole, or a table."""

    name: str
    state: str
    task: str | None = None
    """The id of the export that makes it."""
    rows: int | None = None
    error: RunErrorView | None = None
    format: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    download_path: str | None = None
    connection: str | None = None
    table: str | None = None
    mode: str | None = None


class RunView(RunSummary, frozen=True, kw_only=True):
    """A run with its certificate. `content` is the digest of the stored rows, which all outputs were made from."""

    source: RunSourceView
    rows: RunRowsView
    content: str | None
    outputs: list[RunOutputView]


class JobSummary(Struct, frozen=True, kw_only=True):
    """A job as its file says it now."""

    job: str
    version: str
    description: str
    enabled: bool
    schedule: dict[str, Any] | None
    next_tick: str | None
    """When the next run is due; null for a job that begins none by itself."""
    last_run: RunSummary | None


class JobView(JobSummary, frozen=True, kw_only=True):
    """With all that its file says."""

    definition: dict[str, Any]


def summary_of_run(status: RunStatus) -> RunSummary:
    return msgspec.convert(_facts(status), RunSummary)


def view_run(status: RunStatus) -> RunView:
    """The run with its certificate, and where its files are."""
    certificate = {**certificate_of(status), **_facts(status)}
    certificate["outputs"] = [
        {**one, "download_path": _path_of(delivered)}
        for one, delivered in zip(certificate["outputs"], status.outputs, strict=True)
    ]
    return msgspec.convert(certificate, RunView)


def _path_of(one: Delivered) -> str | None:
    task = one.task
    is_there = task is not None and task.params is not None and task.state is State.COMPLETED and task.params.is_file
    return f"/v1/exports/{one.task_id}/file" if is_there else None


def _facts(status: RunStatus) -> dict[str, Any]:
    task = status.task
    ends = [task.finished_at, *(one.task.finished_at for one in status.outputs if one.task is not None)]
    return {
        **heading_of(status),
        "created_at": iso_time(task.created_at),
        "finished_at": iso_time(max(ends)) if status.is_over and max(ends) else None,
    }


def view_job(known: KnownJob, last: RunStatus | None, now: float) -> JobView:
    return JobView(**_job_facts(known, last, now), definition=msgspec.to_builtins(known.job))


def summary_of_job(known: KnownJob, last: RunStatus | None, now: float) -> JobSummary:
    return JobSummary(**_job_facts(known, last, now))


def _job_facts(known: KnownJob, last: RunStatus | None, now: float) -> dict[str, Any]:
    job = known.job
    return {
        "job": job.job,
        "version": known.version,
        "description": job.description,
        "enabled": job.enabled,
        "schedule": msgspec.to_builtins(job.schedule),
        "next_tick": _next_tick(known, now),
        "last_run": summary_of_run(last) if last is not None else None,
    }


def _next_tick(known: KnownJob, now: float) -> str | None:
    if known.job.schedule is None or not known.job.enabled:
        return None
    try:
        return text_of_tick(next_tick(known.job.schedule, datetime.fromtimestamp(now, UTC)))
    except (ScheduleError, StopIteration):
        return None
