"""Open the runs that schedules ask for: one for each tick, whichever process asks for it, and however often."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from sluice.domain.dataset import DefinitionsError
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.job import Job, Schedule
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.limits import DAY_S
from sluice.domain.run import run_id_of
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.ports.pool import nothing
from sluice.ports.source import SourceError, SourceUnavailable
from sluice.usecases.running.find_jobs import KnownJob
from sluice.usecases.running.find_runs import has_run
from sluice.usecases.running.open_run import open_run, read_run
from sluice.usecases.running.schedule import ScheduleError, next_tick, text_of_tick, ticks_back, zone_of

BACK_MAX = 100
"""Ticks that are looked back over, and that wait at most."""
LATE_S = 300.0
"""How late a run begins at most whose job catches nothing up."""
AGAIN_S = 60.0
"""Between two tries to plan the run of a tick."""
LOOK_S = 5.0
"""Between two looks whether a run that has to wait may begin."""
PLAN_S = 10.0
"""For how long runs are planned before the caller has its other work: each asks its source, which may be slow."""
CLOCK_BACK_S = 60.0
"""A clock that is set back by more makes what is known of ticks worthless."""


class DueTick(NamedTuple):
    """A tick whose run is still to be opened."""

    at: datetime
    is_missed: bool
    """It was due while nothing looked, or comes behind one that was and waits: its run waits for the one before it,
    whatever ``overlap`` says."""
    seen_at: float
    """Wall clock."""


@dataclass
class _Ticks:
    """What is known of the ticks of one job."""

    version: str
    schedule: Schedule
    tenant: str
    seen_at: float
    """Up to when ticks were looked for; wall clock, as ``next_at``."""
    next_at: float
    waiting: deque[DueTick] = field(default_factory=deque)
    again_at: float = 0
    """When the first of those that wait is tried again; monotonic."""
    noted: datetime | None = None
    """The tick whose mistake was recorded last."""


class DueRuns:
    """The ticks of all jobs, as one process knows them. Used by one thread at a time.

    The next tick of a job is computed once and kept: between ticks a job costs a comparison. Which ticks have runs is
    in no memory: the id of a run is made of its job and tick, so that two processes make one run.
    """

    def __init__(self, jobs: Callable[[], Mapping[str, KnownJob]]) -> None:
        self._jobs = jobs
        self._ticks: dict[str, _Ticks] = {}
        self._first = ""
        """The job that is looked at first, since the time was up before it came to its turn."""

    def open_due(self, ports: Ports, on_step: Callable[[], object] = nothing) -> int:
        """Open the runs that are due now and need not wait; gives how many. Calls ``on_step`` before each job's.

        A job that cannot be planned is recorded and tried again, and keeps no other from its run. Raises as a store.
        """
        jobs, opened = self._jobs(), 0
        for gone in self._ticks.keys() - jobs.keys():
            del self._ticks[gone]
        give_up_at = ports.clock.monotonic() + PLAN_S
        away: set[str] = set()
        names = [*(name for name in jobs if name >= self._first), *(name for name in jobs if name < self._first)]
        self._first = ""
        for name in names:
            ticks = self._look(ports, jobs[name])
            if ticks is None or not ticks.waiting or ports.clock.monotonic() < ticks.again_at:
                continue
            on_step()
            if ports.clock.monotonic() >= give_up_at:
                self._first = name
                break
            if jobs[name].job.source.connection not in away:
                opened += self._open_first(ports, jobs, name, ticks, away)
        return opened

    def _look(self, ports: Ports, known: KnownJob) -> _Ticks | None:
        """The job's ticks, with those that have become due; None for a job that has none."""
        job, now = known.job, ports.clock.now()
        if job.schedule is None or not job.enabled:
            self._ticks.pop(job.job, None)
            return None
        ticks = self._ticks.get(job.job)
        is_new = ticks is None or (ticks.schedule, ticks.tenant) != (job.schedule, job.tenant)
        if ticks is None or is_new or now < ticks.seen_at - CLOCK_BACK_S:
            try:
                ticks = self._ticks[job.job] = _first_look(ports, known, job.schedule)
            except ScheduleError as error:
                _note_error(ports, job, None, str(error))
                self._ticks[job.job] = _Ticks(known.version, job.schedule, job.tenant, now, now + DAY_S)
                return None
        if ticks.version != known.version:
            ticks.version, ticks.again_at, ticks.noted = known.version, 0, None
        if now >= ticks.next_at:
            _add_due(ports, job, ticks, now)
        return ticks

    def _open_first(self, ports: Ports, jobs: Mapping[str, KnownJob], name: str, ticks: _Ticks, away: set[str]) -> int:
        """Open the runs of the ticks that wait, in their order, up to one that has to wait on; gives how many."""
        known, opened = jobs[name], 0
        while ticks.waiting:
            tick = ticks.waiting[0]
            try:
                made = _open_or_leave(ports, jobs, known, tick)
            except (DefinitionsError, ScheduleError, SluiceError, SourceError) as error:
                if isinstance(error, SourceUnavailable):
                    away.add(known.job.source.connection)
                if ticks.noted != tick.at:
                    _note_error(ports, known.job, tick.at, str(error))
                ticks.noted, ticks.again_at = tick.at, ports.clock.monotonic() + AGAIN_S
                break
            if made is None:
                ticks.again_at = ports.clock.monotonic() + LOOK_S
                break
            ticks.waiting.popleft()
            opened += made
        return opened


def _open_or_leave(ports: Ports, jobs: Mapping[str, KnownJob], known: KnownJob, tick: DueTick) -> bool | None:
    """Open the run of a tick. False: it has one, or never will, which is recorded; None: it has to wait."""
    tenant = TenantId(known.job.tenant)
    if ports.tasks.read(_ref(tenant, known.job.job, tick.at)) is not None:
        return False
    answer = _may_open(ports, jobs, known, tick)
    if answer is False:
        return None
    if answer is not True:
        _note_left_out(ports, known.job, tick.at, str(answer))
        return False
    return not open_run(ports, tenant, known.plan(ports, {}, tick.at).params).replayed


def _first_look(ports: Ports, known: KnownJob, schedule: Schedule) -> _Ticks:
    now = ports.clock.now()
    at = datetime.fromtimestamp(now, UTC)
    missed = deque(DueTick(tick, True, now) for tick in _missed(ports, known.job, schedule, at))
    return _Ticks(known.version, schedule, known.job.tenant, now, next_tick(schedule, at).timestamp(), missed)


def _missed(ports: Ports, job: Job, schedule: Schedule, now: datetime) -> list[datetime]:
    """The ticks up to now that have no run and are to have one, in their order."""
    if schedule.catch_up == "none":
        return []
    tenant = TenantId(job.tenant)
    missed: list[datetime] = []
    for tick in _back(ports, schedule, now, 1 if schedule.catch_up == "latest" else BACK_MAX):
        if ports.tasks.read(_ref(tenant, job.job, tick)) is not None:
            return missed[::-1]
        missed.append(tick)
    # None was found: of a job that never ran all that it has missed would be all that its schedule ever said.
    return missed[::-1] if len(missed) > 1 and has_run(ports, tenant, job.job) else missed[:1]


def _back(ports: Ports, schedule: Schedule, begin: datetime, count: int) -> Iterator[datetime]:
    """The ticks at or before ``begin``, the latest first, as far back as rows of ended runs are kept for certain."""
    oldest = datetime.fromtimestamp(ports.clock.now() - ports.timings.tombstone_s, UTC)
    return takewhile(lambda tick: tick >= oldest, islice(ticks_back(schedule, begin), count))


def _add_due(ports: Ports, job: Job, ticks: _Ticks, now: float) -> None:
    """Have the ticks wait that have become due since the last look, as far as they are to have runs."""
    at = datetime.fromtimestamp(now, UTC)
    since = datetime.fromtimestamp(ticks.seen_at, UTC)
    due = list(takewhile(lambda tick: tick > since, islice(ticks_back(ticks.schedule, at), BACK_MAX)))
    left_out: list[datetime] = []
    match ticks.schedule.catch_up:
        case "none":
            left_out = [tick for tick in due if now - tick.timestamp() > LATE_S]
        case "latest":
            left_out = due[1:]
            if due and ticks.schedule.overlap == "skip":
                left_out += [tick.at for tick in ticks.waiting]
                ticks.waiting.clear()
    new = [tick for tick in reversed(due) if tick not in left_out]
    is_behind = ticks.schedule.catch_up == "all" and any(tick.is_missed for tick in ticks.waiting)
    for tick in new:
        is_missed = is_behind or now - tick.timestamp() > LATE_S
        is_behind = is_missed and ticks.schedule.catch_up == "all"
        ticks.waiting.append(DueTick(tick, is_missed, now))
    while len(ticks.waiting) > BACK_MAX:
        left_out.append(ticks.waiting.popleft().at)
    ticks.seen_at, ticks.next_at = now, next_tick(ticks.schedule, at).timestamp()
    if new:
        ticks.again_at = 0
    for tick in left_out:
        _note_left_out(ports, job, tick, "a later one is due")


def _may_open(ports: Ports, jobs: Mapping[str, KnownJob], known: KnownJob, tick: DueTick) -> bool | str:
    """True; False where it may later; or why the tick never has a run."""
    schedule = _schedule_of(known)
    if _goes_on_before(ports, known, tick.at):
        return False if schedule.overlap == "queue" or tick.is_missed else "the run before goes on"
    if not _have_succeeded(ports, jobs, schedule, tick.at):
        is_too_late = ports.clock.now() > max(tick.at.timestamp(), tick.seen_at) + DAY_S
        return "no run of that day of the jobs that it comes after has succeeded" if is_too_late else False
    return True


def _goes_on_before(ports: Ports, known: KnownJob, tick: datetime) -> bool:
    """Whether the run of an earlier tick is not over: the last one, for none begins before it is."""
    tenant = TenantId(known.job.tenant)
    for earlier in _back(ports, _schedule_of(known), tick, BACK_MAX + 1):
        ref = _ref(tenant, known.job.job, earlier)
        task = ports.tasks.read(ref) if earlier < tick else None
        if task is not None:
            return task.params is not None and not read_run(ports, ref).is_over
    return False


def _have_succeeded(ports: Ports, jobs: Mapping[str, KnownJob], schedule: Schedule, tick: datetime) -> bool:
    """Whether each of the jobs that this comes after had a run of the same day that succeeded."""
    zone = zone_of(schedule)
    begin = tick.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    end = (begin + timedelta(days=1)).astimezone(UTC) - timedelta(microseconds=1)
    for name in schedule.after:
        other = jobs.get(name)
        if other is None or other.job.schedule is None:
            raise ScheduleError(f"after names {name}, which is no job here that has a schedule")
        of_day = takewhile(lambda at: at >= begin, islice(ticks_back(other.job.schedule, end), BACK_MAX))
        tenant = TenantId(other.job.tenant)
        if not any(_has_succeeded(ports, _ref(tenant, name, at)) for at in of_day):
            return False
    return True


def _has_succeeded(ports: Ports, ref: TaskRef) -> bool:
    task = ports.tasks.read(ref)
    is_done = task is not None and task.params is not None and task.state is State.COMPLETED and not task.deleted_at
    return is_done and read_run(ports, ref).state == "succeeded"


def _ref(tenant: TenantId, job: str, tick: datetime) -> TaskRef:
    return TaskRef(tenant, run_id_of(tenant, job, text_of_tick(tick)))


def _schedule_of(known: KnownJob) -> Schedule:
    assert known.job.schedule is not None  # else it had no ticks
    return known.job.schedule


def _note_error(ports: Ports, job: Job, tick: datetime | None, reason: str) -> None:
    at = text_of_tick(tick) if tick else None
    ports.journal.record(Event.RUN_NOT_PLANNED, job=job.job, tenant=job.tenant, tick=at, reason=reason)


def _note_left_out(ports: Ports, job: Job, tick: datetime, reason: str) -> None:
    ports.journal.record(Event.RUN_LEFT_OUT, job=job.job, tenant=job.tenant, tick=text_of_tick(tick), reason=reason)
