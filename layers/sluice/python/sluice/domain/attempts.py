"""Kinds of work that is done under a lease, one worker at a time, and how many attempts it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from sluice.domain.limits import Timings
from sluice.domain.task import Phase, State, Task, TaskFields

DOUBLINGS_MAX = 64
"""More would only be a larger number."""
ATTEMPTS_IN_OUTAGE_MAX = 1_000
"""Attempts of one task, whatever the pauses between them are set to."""
STORE_FAULTS = frozenset({"OutcomeUnknown", "StoreRefused"})
"""``last_error`` of an attempt that no other worker could have ended better."""


class Progress(Protocol):
    """How far an attempt is."""

    def columns(self) -> TaskFields:
        """What a heartbeat shows of it in the row."""


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

    def columns(self) -> TaskFields:
        return {"rows_done": self.rows_done, "parts_done": self.parts_done, "phase": self.phase.value}


COMPOSE = WorkKind(waiting=State.SEALED, running=State.COMPOSING, begin=ComposeProgress)
"""The chunks of a sealed task become its file."""


class Failure(NamedTuple):
    """Why an attempt failed, as the row keeps it: our own words, never a vendor's text or a path."""

    code: str
    summary: str


def is_leased(task: Task, *, now: float, timings: Timings) -> bool:
    """Whether a worker may still be alive that holds the row; asked of a row in a kind's running state."""
    return task.lease_until + timings.skew_s >= now


def has_attempts_left(kind: WorkKind[Progress], task: Task, *, now: float, timings: Timings) -> bool:
    """Whether another attempt may begin: some are left, or the last one was given back because of a store, lately.

    An attempt whose process ended without a report was not given back because of a store.
    """
    if task.epoch < timings.attempts_max:
        return True
    if task.state is not kind.waiting or task.last_error not in STORE_FAULTS:
        return False
    return task.epoch < ATTEMPTS_IN_OUTAGE_MAX and now < (task.sealed_at or task.created_at) + timings.outage_s


def backoff_s(epoch: int, timings: Timings) -> float:
    """How long a row waits after its attempt ``epoch`` was given back: doubles with each."""
    return min(timings.backoff_s * 2.0 ** min(epoch - 1, DOUBLINGS_MAX), timings.backoff_max_s)
