"""When runs of a job are due, by its cron expression in its time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sluice.domain.job import Mistake, Schedule

_JUST_BEFORE = timedelta(seconds=1)


class ScheduleError(Exception):
    """A schedule says no time."""


def mistakes_of_schedule(schedule: Schedule) -> list[Mistake]:
    """What is wrong with a schedule beyond its form."""
    try:
        zone_of(schedule)
    except ScheduleError as error:
        return [Mistake("schedule.timezone", str(error))]
    try:
        next(_ticks(schedule, datetime(2024, 1, 1, tzinfo=UTC)))
    except ScheduleError as error:
        return [Mistake("schedule.cron", str(error))]
    return []


def zone_of(schedule: Schedule) -> ZoneInfo:
    """The time zone. Raises ``ScheduleError`` for a name of none."""
    try:
        return ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ScheduleError(f"{schedule.timezone} is the name of no time zone, as Asia/Shanghai is one") from None


def last_tick(schedule: Schedule, at: datetime) -> datetime:
    """The latest time at or before ``at`` that a run is due at."""
    return next(_ticks(schedule, at, is_back=True))


def next_tick(schedule: Schedule, after: datetime) -> datetime:
    """The earliest time behind ``after`` that a run is due at."""
    return next(_ticks(schedule, after))


def ticks_back(schedule: Schedule, begin: datetime) -> Iterator[datetime]:
    """The times at or before ``begin`` that runs are due at, the latest first."""
    return _ticks(schedule, begin, is_back=True)


def text_of_tick(tick: datetime) -> str:
    """A tick as a run has it: one text for each moment."""
    return tick.astimezone(UTC).isoformat()


def window_of(schedule: Schedule, tick: datetime) -> tuple[datetime, datetime]:
    """What the run of a tick is about: from the tick before it on, until the tick, which is left out."""
    ticks = _ticks(schedule, tick, is_back=True)
    if next(ticks) != tick:
        raise ScheduleError(f"no run is due at {tick.isoformat()} by {schedule.cron} in {schedule.timezone}")
    return next(ticks), tick


def _ticks(schedule: Schedule, begin: datetime, *, is_back: bool = False) -> Iterator[datetime]:
    """Times that runs are due at, behind ``begin``; or from it, if it is one, back."""
    try:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415  # an extra, of use to those who have jobs
    except ModuleNotFoundError as error:
        raise ScheduleError("schedules take an extra: pip install 'sluice[jobs]'") from error
    local = begin.astimezone(zone_of(schedule))
    try:
        found = CronSim(schedule.cron, local, reverse=is_back)
        if is_back and local.second == local.microsecond == 0:
            # The iterator leaves out where it begins. A second before it, the clock may have shown another hour.
            before = (local.astimezone(UTC) - _JUST_BEFORE).astimezone(zone_of(schedule))
            forward = CronSim(schedule.cron, before)
            first = next(forward, None)
            if first is not None and first == local:
                yield local
    except CronSimError as error:
        raise ScheduleError(f"{schedule.cron!r} is no cron expression of five fields: {error}") from None
    yield from found
