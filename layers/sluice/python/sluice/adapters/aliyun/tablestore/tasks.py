"""Task rows in Tablestore: one row is one task, and everything that becomes true becomes so in one update of it."""

from __future__ import annotations

from collections.abc import Iterator

from sluice.adapters.aliyun.tablestore.client import (
    COLUMNS_PER_WRITE,
    ROWS_PER_BATCH_WRITE,
    Change,
    FoundRow,
    TablestoreClient,
    read_parts,
    read_whole,
)
from sluice.adapters.aliyun.tablestore.conditions import any_row, guarded, no_row, open_without, some_row
from sluice.adapters.aliyun.tablestore.listing import TablestoreListing
from sluice.adapters.aliyun.tablestore.rows import (
    CLAIMS,
    TASK_COLUMNS,
    attempt_key,
    attempts_from,
    behind_task,
    claim_column,
    is_task_key,
    microseconds,
    read_attempt,
    read_claims,
    read_task,
    task_key,
    write_attempt,
    write_claim,
    write_fields,
    write_task,
)
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.task_columns import Columns
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.task import Attempt, State, Task, TaskFields
from sluice.ports.task_store import ClaimedTask, TaskPage


class TablestoreTasks:
    """A task store in the table that ``access`` names, which exists. Nothing is tried twice in here.

    Reading a task, claiming and updating are one call to the service each. A
    call gives up after ``timeout_s``, which should be shorter than what the
    callers of the service wait.
    """

    def __init__(self, access: TablestoreAccess, *, timeout_s: float) -> None:
        self._client = TablestoreClient(access, timeout_s=timeout_s)
        self._listing = TablestoreListing(self._client, table=access.table)

    def close(self) -> None:
        self._client.close()

    # Reading one task.

    def read(self, ref: TaskRef) -> Task | None:
        row = self._client.read(task_key(ref), columns=TASK_COLUMNS)
        return None if row is None else read_task(row.columns)

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        row = read_whole(self._client, task_key(ref))
        return None if row is None else ClaimedTask(read_task(row.columns), read_claims(row.columns))

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        row = self._client.read(task_key(ref), columns=[claim_column(sequence)])
        return None if row is None else read_claims(row.columns).get(sequence)

    # Changing one task.

    def create(self, task: Task) -> bool:
        return self._client.put(task_key(task.ref), write_task(task), no_row())

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float) -> bool:
        column = claim_column(claim.sequence)
        put: Columns = {
            column: write_claim(claim),
            "last_batch_at": float(at),
            "due_at": float(due_at),
            "due_us": microseconds(due_at),
        }
        add = {"rev": 1, "batches_received": 1, "rows_received": claim.rows, "bytes_received": claim.size}
        return self._client.update(task_key(ref), Change(put, add), open_without(column))

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        change = Change(write_fields(ref.tenant, guard.state, fields), {"rev": 1})
        return self._client.update(task_key(ref), change, guarded(guard))

    def forget_claims(self, ref: TaskRef) -> None:
        """Take several calls for many claims. Leaves ``rev``, which only guards what a reader may have relied on."""
        row = read_parts(self._client, task_key(ref), between=CLAIMS)
        columns = sorted(row.columns) if row is not None else []
        for start in range(0, len(columns), COLUMNS_PER_WRITE):
            drop = Change(drop=columns[start : start + COLUMNS_PER_WRITE])
            self._client.update(task_key(ref), drop, some_row())

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        """Remove the attempts first, so that a crash leaves the row, and with it whoever comes to repeat this.

        If the row changes in between, it stays, and only its log is lost.
        """
        rows = self._client.read_rows(attempts_from(ref), behind_task(ref), columns=["state", "rev", "epoch"])
        attempts, task = [], None
        for row in rows:
            if is_task_key(row.key):
                task = row
            else:
                attempts.append(row.key)
        if task is None or not _is_as(guard, task):
            return False
        for start in range(0, len(attempts), ROWS_PER_BATCH_WRITE):
            self._client.delete_many(attempts[start : start + ROWS_PER_BATCH_WRITE])
        return self._client.delete(task_key(ref), guarded(guard))

    # Proposals.

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        return self._listing.page(tenant, state=state, limit=limit, cursor=cursor)

    def count(self, tenant: TenantId, state: State) -> int:
        return self._listing.count(tenant, state)

    def due(self, now: float, *, limit: int) -> list[TaskRef]:
        return self._listing.due(now, limit=limit)

    def scan(self) -> Iterator[Task]:
        return self._listing.scan()

    # The attempt log.

    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        self._client.put(attempt_key(ref, attempt.epoch), write_attempt(attempt), any_row())

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        rows = self._client.read_rows(attempts_from(ref), task_key(ref))
        return [read_attempt(row.columns) for row in rows]


def _is_as(guard: Guard, row: FoundRow) -> bool:
    """Whether the row was as ``guard`` says when it was read; a missing column equals nothing."""
    expected = {"state": guard.state, "rev": guard.rev, "epoch": guard.epoch}
    return all(row.columns.get(name) == value for name, value in expected.items() if value is not None)
