"""Kinds of work that is done under a lease, one worker at a time, and how many attempts it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from sluice.domain.limits import Timings
from sluice.domain.task import LIVE, Phase, State, Task, TaskFields

DOUBLINGS_MAX = 64
"""More would only be a larger number."""
ATTEMPTS_IN_OUTAGE_MAX = 1_000
"""Attempts of one task, whatever the pauses between them are set to."""
STORE_FAULTS = frozenset({"OutcomeUnknown", "StoreRefused", "StoreFull"})
"""How ``last_error`` begins for an attempt that no other worker could have ended better."""
SOURCES_AWAY = frozenset({"SOURCE_UNAVAILABLE", "TARGET_UNAVAILABLE"})
"""Codes of attempts that no other worker could have ended better either: a database is away, as a store may be."""
LEASES_AHEAD_MAX = 2
"""A lease that ends later than so many whole ones from now was not taken by a clock that is right."""
POSTPONE_S = 15.0
"""How long a task waits whose tenant has its share of composers."""
DEATHS_WITHOUT_PAUSE = 2
"""Deaths at one place after which the next attempt begins at once."""


class Progress(Protocol):
    """How far an attempt is."""

    def columns(self) -> TaskFields:
        """What a heartbeat shows of it in the row."""

    def kept(self) -> TaskFields:
        """What the row keeps of an attempt that gave it back, beside how far it was."""


P_co = TypeVar("P_co", bound=Progress, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkKind(Generic[P_co]):
    """One kind of work on a row: in which state the row waits for a worker, and in which a worker holds its lease."""

    waiting: State
    running: State
    begin: Callable[[], P_co]
    """The progress of an attempt that has just begun."""


@dataclass(slots=True)
class ComposeProgress:
    """How far a file is."""

    rows_done: int = 0
    parts_done: int = 0
    phase: Phase = Phase.RENDERING
    bytes_done: int = 0
    """Of the parts that were put."""
    room_needed: int = 0
    """As in the row, where the store had no room for the file; so ``full_since``."""
    full_since: float = 0

    def columns(self) -> TaskFields:
        return {"rows_done": self.rows_done, "parts_done": self.parts_done, "phase": self.phase.value}

    def kept(self) -> TaskFields:
        return {"room_needed": self.room_needed, "full_since": self.full_since} if self.room_needed else {}


COMPOSE = WorkKind(waiting=State.SEALED, running=State.COMPOSING, begin=ComposeProgress)
"""The chunks of a sealed task become its file."""


@dataclass(slots=True)
class PullProgress:
    """How far a reading is: its batches say it."""

    is_kept: bool = False
    """Whether the next attempt goes on behind something that this one has stored."""

    def columns(self) -> TaskFields:
        return {}

    def kept(self) -> TaskFields:
        return {}


PULL = WorkKind(waiting=State.WAITING, running=State.READING, begin=PullProgress)
"""The rows of a source become the chunks of a task."""


class Failure(NamedTuple):
    """Why an attempt failed, as the row keeps it: our own words, never a vendor's text or a path."""

    code: str
    summary: str


class LeaseEnds(NamedTuple):
    """Between which times, both among them, the lease ends of a worker that may be alive."""

    earliest: float
    latest: float


def lease_ends(now: float, timings: Timings) -> LeaseEnds:
    """A lease further ahead than any can be was taken by a clock that was wrong: it has lapsed."""
    return LeaseEnds(now - timings.skew_s, now + LEASES_AHEAD_MAX * (timings.lease_s + timings.skew_s))


def is_leased(task: Task, *, now: float, timings: Timings) -> bool:
    """Whether a worker may be alive that holds the row, or the row has a pause; asked of a row that is worked on."""
    return now <= free_at(task, timings) and task.lease_until <= lease_ends(now, timings).latest


def free_at(task: Task, timings: Timings) -> float:
    """When a row whose worker is not heard of may be taken over.

    Deaths at one place that no process saw may each have taken a service with
    them: from the third on the others have longer and longer without the task.
    """
    deaths = _deaths(task)
    pause_s = backoff_s(deaths - DEATHS_WITHOUT_PAUSE, timings) if deaths > DEATHS_WITHOUT_PAUSE else 0
    return task.lease_until + timings.skew_s + pause_s


def died(task: Task, *, alone: bool) -> TaskFields:
    """What a row keeps of an attempt that ended without a report.

    ``alone``: the service saw its worker die, and lives. That counts against
    the task if the attempt before died at the same place. A death that no
    process saw is one of the whole service, or of the platform, and does not count.
    """
    deaths = _deaths(task)
    return {
        "deaths": deaths,
        "died_at": _place(task),
        "strikes": task.strikes + (1 if alone and deaths > 1 else 0),
    }


def strikes_after(strikes: int, failure: Failure) -> int:
    """How many attempts count against a task of ``strikes`` once one more gave it back for ``failure``."""
    is_away = failure.code in SOURCES_AWAY or failure.summary.partition(":")[0] in STORE_FAULTS
    return strikes + (0 if is_away else 1)


def has_attempts_left(task: Task, *, now: float, timings: Timings, has_room: bool = True) -> bool:
    """Whether another attempt may begin: few enough count against the task.

    Those that do not count (a store was away, a service was killed) are made
    for ``outage_s`` after the seal, and ``attempts_max`` of them at least. One
    without room for its file is not begun to be given back; it waits as long
    from when room was first missing, however late that was.
    """
    if task.strikes >= timings.attempts_max:
        return False
    is_early = now < max(task.sealed_at or task.created_at, task.full_since) + timings.outage_s
    if is_early:
        return task.epoch < ATTEMPTS_IN_OUTAGE_MAX
    return has_room and task.epoch < timings.attempts_max


def room_needed(written: int, *, before: int, part_bytes: int, size_bound: int) -> int:
    """How much must be free before a file is begun again that met a full disk once ``written`` bytes of it were there.

    More than was free for it, by a quarter: as long as there is no more, it would only fill the disk again. Never
    less than ``before``, which was free when this attempt began, nor more than joining the largest file takes.
    """
    return min((max(written, before) + part_bytes) * 5 // 4, 2 * size_bound + part_bytes)


def _deaths(task: Task) -> int:
    """How many attempts in a row died at one place, if the one that the row shows died too."""
    return task.deaths + 1 if task.deaths and task.died_at == _place(task) else 1


def _place(task: Task) -> str:
    if task.state in {PULL.waiting, PULL.running}:
        return f"{task.batches_received} batches"
    return f"{task.rows_done} rows, {task.parts_done} parts"


def due_latest(now: float, timings: Timings) -> float:
    """The latest time at which a live row can be due that a clock near ours wrote; twice that, to be on the safe side.

    Live is what a worker moves on: no step makes it wait longer than its longest pause.
    """
    lease_s = timings.lease_s + timings.skew_s + timings.backoff_max_s
    return now + 2 * max(lease_s, timings.trigger_grace_s, timings.backoff_max_s, POSTPONE_S)


def is_due(task: Task, *, now: float, timings: Timings) -> bool:
    """Whether the sweeper takes the task's next step now, also because a wrong clock put it off for too long."""
    is_live = task.state in LIVE
    return task.due_at <= now or (is_live and task.due_at > due_latest(now, timings))


def backoff_s(epoch: int, timings: Timings) -> float:
    """How long a row waits after its attempt ``epoch`` was given back: doubles with each."""
    return min(timings.backoff_s * 2.0 ** min(epoch - 1, DOUBLINGS_MAX), timings.backoff_max_s)
