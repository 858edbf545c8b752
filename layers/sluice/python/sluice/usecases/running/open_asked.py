"""Runs that a caller asks for: opened once, or previewed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple

from sluice.domain.dataset import DefinitionsError
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.job import Job, ParameterValue
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.run import run_id_of
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.source import SourceUnavailable
from sluice.usecases.pulling.open_pull import rows_shown
from sluice.usecases.running.find_jobs import KnownJob
from sluice.usecases.running.open_run import open_run
from sluice.usecases.running.plan_run import PlannedRun, digest_of_asked
from sluice.usecases.running.preview_run import preview_run
from sluice.usecases.running.run_values import parameters_of
from sluice.usecases.running.schedule import ScheduleError, last_tick, text_of_tick, window_of, zone_of
from sluice.usecases.sending.open_export import Opened, OpenRequest, choose_task_id

LAST = "last"
"""In place of a tick: the last one by the schedule."""
SHOWN_MAX = 20
"""Mistakes that an answer has."""


class RunAsked(NamedTuple):
    """Which run of a job is asked for."""

    given: Mapping[str, ParameterValue] = {}
    """Parameters."""
    tick: str = ""
    """The time by the schedule that it is the run of, as ISO 8601, without an offset in the schedule's time zone; or
    ``LAST``; empty for a run that is of no time."""


def open_asked(ports: Ports, known: KnownJob, tenant: TenantId, asked: RunAsked, request: OpenRequest) -> Opened:
    """Open the run, whose rows are read next; its source is asked for its columns before.

    Repeatable: a tick has one run, and so has an idempotency key, whatever has become of the job's file meanwhile.
    Raises INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED where that run was given other parameters, TASK_DELETED,
    SOURCE_INVALID with the mistakes of the job, SOURCE_UNAVAILABLE and what ``open_run`` raises.
    """
    tick = _tick_of(ports, known.job, asked.tick)
    key = request.idempotency_key
    if tick is not None:
        ref = TaskRef(tenant, run_id_of(tenant, known.job.job, text_of_tick(tick)))
    else:
        ref = TaskRef(tenant, choose_task_id(ports, tenant, key))
    existing = ports.tasks.read(ref) if tick is not None or key is not None else None
    if existing is None:
        opened = open_run(ports, tenant, _plan(ports, known, asked, tick).params, request)
        if not opened.replayed:
            return opened
        existing = opened.task
    _check_again(existing, known.job, asked, tick)
    return Opened(existing, replayed=True)


def preview_asked(
    ports: Ports, known: KnownJob, asked: RunAsked, rows: int
) -> tuple[list[str], list[tuple[str | None, ...]]]:
    """The columns and first rows as the run would deliver them, as texts; nothing is stored.

    Raises as ``open_asked``, ROW_REFUSED, and INVALID_REQUEST for rows that are too long for one answer.
    """
    params = _plan(ports, known, asked, _tick_of(ports, known.job, asked.tick)).params
    columns = [column.name for column in params.columns]
    with closing(preview_run(ports, params)) as shown:
        return columns, rows_shown(shown, columns, rows)


def _plan(ports: Ports, known: KnownJob, asked: RunAsked, tick: datetime | None) -> PlannedRun:
    job = known.job
    _, mistakes = parameters_of(job, asked.given)
    if mistakes:
        said = "; ".join(f"{place} {sentence}" for place, sentence in mistakes)
        raise SluiceError(ErrorCode.INVALID_REQUEST, said, field=mistakes[0].place)
    try:
        return known.plan(ports, asked.given, tick)
    except DefinitionsError as error:
        _note(ports, job, tick, "; ".join(error.problems))
        shown = error.problems[:SHOWN_MAX]
        detail = f"The job cannot be run as it is: {'; '.join(shown)}"
        raise SluiceError(ErrorCode.SOURCE_INVALID, detail, job=job.job, mistakes=list(shown)) from error
    except SourceUnavailable as error:
        _note(ports, job, tick, str(error))
        raise SluiceError(ErrorCode.SOURCE_UNAVAILABLE, job=job.job) from error


def _note(ports: Ports, job: Job, tick: datetime | None, reason: str) -> None:
    at = text_of_tick(tick) if tick else None
    ports.journal.record(Event.RUN_NOT_PLANNED, job=job.job, tenant=job.tenant, tick=at, reason=reason)


def _tick_of(ports: Ports, job: Job, text: str) -> datetime | None:
    """Raises INVALID_REQUEST for what is no time by the schedule, or is yet to come."""
    if not text:
        return None
    if job.schedule is None:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The job has no schedule, so no times.", field="tick")
    now = datetime.fromtimestamp(ports.clock.now(), UTC)
    try:
        if text == LAST:
            return last_tick(job.schedule, now)
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=zone_of(job.schedule))
        window_of(job.schedule, at)
    except (ScheduleError, ValueError, OverflowError) as error:
        raise SluiceError(ErrorCode.INVALID_REQUEST, str(error), field="tick") from None
    if at > now:
        raise SluiceError(ErrorCode.INVALID_REQUEST, f"{text} is yet to come.", field="tick")
    return at


def _check_again(existing: Task, job: Job, asked: RunAsked, tick: datetime | None) -> None:
    """Raise unless a run that is there is what is asked for; its job's file may be another by now."""
    if existing.deleted_at or existing.params is None:
        raise SluiceError(ErrorCode.TASK_DELETED)
    run, (parameters, _) = existing.params.run, parameters_of(job, asked.given)
    at = text_of_tick(tick) if tick else ""
    if run is None or run.asked != digest_of_asked(job.job, run.version, parameters, at):
        detail = "The run of this time was given other parameters." if tick else ""
        raise SluiceError(ErrorCode.IDEMPOTENCY_KEY_REUSED, detail or None)
