"""The store of task rows: the only place where something becomes true.

Every change is one conditional update of one row: it happens whole, or not at
all, and two at once happen one after the other (linearizable). Every method
may raise ``OutcomeUnknown``. Reading one row raises TASK_DAMAGED when it is none
that this release knows; a row like that does not keep others from being listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from math import inf
from typing import NamedTuple, Protocol

from sluice.domain.attempts import LeaseEnds
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.reading import Reading
from sluice.domain.task import Attempt, State, Task, TaskFields


class ClaimedTask(NamedTuple):
    """A row with its claims, read in one piece."""

    task: Task
    claims: dict[int, Claim]
    """By sequence."""

    def valid(self) -> Iterator[Claim]:
        """Those whose rows are in the file."""
        return (claim for claim in self.claims.values() if self.task.has_batch(claim.sequence))


class TaskPage(NamedTuple):
    """Part of a listing."""

    tasks: list[Task]
    cursor: str
    """Where the next page starts; empty at the end. Opaque; only for the same tenant and state."""
    damaged: Sequence[TaskId] = ()
    """Tasks that belong here and whose rows cannot be read."""


class DueTasks(NamedTuple):
    """Rows that want to be looked at. A row that is being moved from one kind to the other may be in both."""

    live: list[TaskRef]
    """Rows that a worker moves on, for whose files callers wait."""
    others: list[TaskRef]
    """Ended rows, with what is left of them, and open ones whose time is over."""

    def alternating(self, limit: int) -> list[TaskRef]:
        """One of each kind in turn, at most ``limit``. Either kind has half of the turns, or what the other leaves."""
        pairs = zip_longest(self.live, self.others)
        return list(islice(dict.fromkeys(ref for pair in pairs for ref in pair if ref is not None), limit))


def pass_by(ref: TaskRef) -> None:
    """Do nothing about a row that cannot be read."""


class ReadsTasks(Protocol):
    def read(self, ref: TaskRef) -> Task | None:
        """The row as of now, never stale. Costs the same however many batches it has: claims are not read."""

    def read_rev(self, ref: TaskRef) -> int | None:
        """``rev`` of the row as of now, None where there is none. Nothing else is read, however wide its tables are."""

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        """The row and all its claims as of one moment."""

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        """One claim as of now."""

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        """The tenant's tasks, newest first, tombstones left out, their parameters ``without_columns``.

        May lag behind by a little. Memory does not depend on how wide their tables are.

        Raises ValueError for a cursor this store did not make.
        """

    def count(self, tenant: TenantId, state: State) -> int:
        """How many of the tenant's tasks are in ``state``. May lag behind by a little."""

    def count_leased(self, tenant: TenantId, ends: LeaseEnds) -> int:
        """How many of the tenant's tasks are COMPOSING under a lease that ends then. May lag behind by a little."""


class ChangesTasks(Protocol):
    def create(self, task: Task) -> bool:
        """Add the row if none exists under its ref. False: one exists, nothing was changed."""

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        """Record a batch, if the state is OPEN and the sequence is not taken.

        One that a reader adds is recorded if the row is as ``reading.guard`` says, and ``cursor`` and
        ``lease_until`` are set with it: how far was read is never ahead of what is there.

        Sets ``last_batch_at`` and ``due_at``, adds to ``batches_received``,
        ``rows_received`` and ``bytes_received``, raises ``rev``. False: the
        condition did not hold, nothing was changed. Costs the same however
        many batches the row has.
        """

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        """Set ``fields`` and raise ``rev`` if the row exists and is as ``guard`` says.

        A column that is missing from the row never equals anything. False:
        the condition did not hold, nothing was changed.
        """

    def forget_claims(self, ref: TaskRef) -> None:
        """Drop the claims of an ended task. Repeating it is harmless."""

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        """Remove the row, its claims and its attempts, if it is as ``guard`` says."""


class ProposesTasks(Protocol):
    def due(self, now: float, *, limit: int, latest: float = inf) -> DueTasks:
        """Rows whose ``due_at`` is at or before ``now``, at most ``limit`` of each kind. May lag: it only proposes.

        Tenants take turns: the most overdue row of each, then the second of
        each and so on, so that no backlog of one keeps another's from being
        proposed. A store that has no cheap way to ask for each tenant's lets
        them take turns among the most overdue, several times ``limit``.

        ``live`` ones due after ``latest``, which a wrong clock put off, count
        as due and as the most overdue. A store that has no cheap way to find
        them leaves them to who scans.
        """

    def scan(self, on_damaged: Callable[[TaskRef], object] = pass_by) -> Iterator[Task]:
        """Every row, in any order, not through an index. Memory does not depend on their number.

        Their parameters may be ``without_columns``, where it is costly to read
        the others. Calls ``on_damaged`` for one that cannot be read, and goes on.
        """


class LogsAttempts(Protocol):
    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        """Write or overwrite the log entry of one attempt. Never decides anything."""

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        """The attempts by epoch."""


class TaskStore(ReadsTasks, ChangesTasks, ProposesTasks, LogsAttempts, Protocol):
    """Everything the service asks of a task store."""
