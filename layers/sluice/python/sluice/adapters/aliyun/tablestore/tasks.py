"""Task rows in Tablestore: one row is one task, and everything that becomes true becomes so in one update of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf

from sluice.adapters.aliyun.tablestore.client import (
    COLUMNS_PER_WRITE,
    ROWS_PER_BATCH_READ,
    ROWS_PER_BATCH_WRITE,
    Change,
    FoundRow,
    TablestoreClient,
    read_parts,
    read_whole,
)
from sluice.adapters.aliyun.tablestore.conditions import any_row, guarded, guarded_without, no_row, some_row
from sluice.adapters.aliyun.tablestore.rows import (
    CLAIMS,
    LISTED_COLUMNS,
    TASK_COLUMNS,
    Key,
    attempt_key,
    attempts_from,
    behind_task,
    claim_column,
    is_task_key,
    listing_of,
    microseconds,
    read_attempt,
    read_claims,
    read_key,
    read_listed,
    task_key,
    write_attempt,
    write_claim,
    write_fields,
    write_task,
)
from sluice.adapters.aliyun.tablestore.schema import (
    DUE,
    LISTING,
    LIVE_SHARDS,
    OTHER_SHARDS,
    STATE_LISTING,
    TASKS,
    Index,
    TablestoreAccess,
)
from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.adapters.page_cursor import Position
from sluice.adapters.task_columns import Columns, decode_task, encode_fields
from sluice.adapters.tenant_turns import take_turns
from sluice.domain.attempts import LeaseEnds
from sluice.domain.errors import SluiceError
from sluice.domain.keys import TASK_ID, TaskId, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.reading import Reading
from sluice.domain.task import Attempt, State, Task, TaskFields
from sluice.ports.task_store import ClaimedTask, DueTasks, TaskPage, pass_by

_SCAN_ROWS = 500
"""Rows that a scan holds at a time."""
_MICROSECONDS_MAX = 2**62
"""No time of ours is later; a key of the service holds no more than 64 bits."""


class TablestoreTasks:
    """A task store in the table that ``access`` names, which exists. Nothing is tried twice in here.

    Reading a task, claiming and updating are one call to the service each. A
    call gives up after ``timeout_s``, which should be shorter than what the
    callers of the service wait.
    """

    def __init__(self, access: TablestoreAccess, *, timeout_s: float) -> None:
        self._client = TablestoreClient(access, timeout_s=timeout_s)
        self._table = access.table

    def close(self) -> None:
        self._client.close()

    # Reading one task.

    def read(self, ref: TaskRef) -> Task | None:
        row = self._client.read(task_key(ref), columns=TASK_COLUMNS)
        return None if row is None else decode_task(row.columns)

    def read_rev(self, ref: TaskRef) -> int | None:
        row = self._client.read(task_key(ref), columns=["rev"])
        return None if row is None else int(row.columns["rev"])

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        row = read_whole(self._client, task_key(ref))
        return None if row is None else ClaimedTask(decode_task(row.columns), read_claims(row.columns))

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        row = self._client.read(task_key(ref), columns=[claim_column(sequence)])
        return None if row is None else read_claims(row.columns).get(sequence)

    # Changing one task.

    def create(self, task: Task) -> bool:
        return self._client.put(task_key(task.ref), write_task(task), no_row())

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        guard = Guard(state=State.OPEN) if reading is None else reading.guard
        column = claim_column(claim.sequence)
        put: Columns = {
            column: write_claim(claim),
            "last_batch_at": float(at),
            "due_at": float(due_at),
            "due_us": microseconds(due_at),
            **({} if reading is None else encode_fields(reading.fields())),
        }
        add = {"rev": 1, "batches_received": 1, "rows_received": claim.rows, "bytes_received": claim.size}
        return self._client.update(task_key(ref), Change(put, add), guarded_without(guard, column))

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        change = Change(write_fields(ref, guard.state, fields), {"rev": 1})
        return self._client.update(task_key(ref), change, guarded(guard))

    def forget_claims(self, ref: TaskRef) -> None:
        """Take several calls for many claims. Leaves ``rev``, which only guards what a reader may have relied on."""
        row = read_parts(self._client, task_key(ref), between=CLAIMS)
        columns = sorted(row.columns) if row is not None else []
        for start in range(0, len(columns), COLUMNS_PER_WRITE):
            drop = Change(drop=columns[start : start + COLUMNS_PER_WRITE])
            self._client.update(task_key(ref), drop, some_row())

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        """Remove the attempts first, so that a crash leaves the row, by which the removal is found and repeated.

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

    # Which tasks there are. Indexes lag, so they only propose.

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        """Read the rows that an index names, and keep those that are still listed."""
        index = STATE_LISTING if state else LISTING
        part = listing_of(tenant, state=state)
        position, end = _start(index, part, Position.read(cursor)), _key(index, [part], sdk.INF_MAX)
        tasks: list[Task] = []
        damaged: list[TaskRef] = []
        start: Key | None = position
        while start is not None and len(tasks) <= limit:
            wanted = limit + 1 - len(tasks)
            found = self._client.read_range(start, end, index=index.name_in(self._table), limit=wanted)
            listed = self._decode_listed(self._read_many(found.rows), damaged.append)
            tasks += [task for task in listed if task.params and state in (None, task.state)]
            start = found.next_key
        page = tasks[:limit]
        cursor = Position.of(page[-1]).encode() if len(tasks) > limit else ""
        return TaskPage(page, cursor, [ref.task_id for ref in damaged])

    def count(self, tenant: TenantId, state: State) -> int:
        """Count entries of an index."""
        return sum(1 for _ in self._entries(tenant, state))

    def count_leased(self, tenant: TenantId, ends: LeaseEnds) -> int:
        """Read one column of each row that an index names; a composer may read rows one by one."""
        count = 0
        for entry in self._entries(tenant, State.COMPOSING):
            row = self._client.read(task_key(read_key(entry.key)), columns=["state", "lease_until"])
            is_composing = row is not None and row.columns.get("state") == State.COMPOSING
            count += row is not None and is_composing and ends.earliest <= row.columns["lease_until"] <= ends.latest
        return count

    def _entries(self, tenant: TenantId, state: State) -> Iterator[FoundRow]:
        """Only an ended task can be a tombstone, which has an entry elsewhere."""
        parts = [listing_of(tenant, state=state)]
        if state.terminal:
            parts.append(listing_of(tenant, state=state, gone=True))
        for part in parts:
            start, end = (_key(STATE_LISTING, [part], bound) for bound in (sdk.INF_MIN, sdk.INF_MAX))
            yield from self._client.read_rows(start, end, index=STATE_LISTING.name_in(self._table))

    def due(self, now: float, *, limit: int, latest: float = inf) -> DueTasks:
        """Merge the shards of each kind; tenants take turns among what the shards have first, ``limit`` each.

        What is due after ``latest`` is left to the weekly walk. A live row that an
        earlier release wrote is among the others until its state changes.
        """
        del latest
        return DueTasks(*(self._due_in(shards, now, limit) for shards in (LIVE_SHARDS, OTHER_SHARDS)))

    def _due_in(self, shards: Iterable[int], now: float, limit: int) -> list[TaskRef]:
        """An entry that is being moved may be seen at both places."""
        due: dict[TaskRef, int] = {}
        for shard in shards:
            start, end = _key(DUE, [shard], sdk.INF_MIN), _key(DUE, [shard, microseconds(now) + 1], sdk.INF_MIN)
            for row in self._client.read_rows(start, end, index=DUE.name_in(self._table), limit=limit):
                due.setdefault(read_key(row.key), dict(row.key)["due_us"])
        return take_turns(sorted(due, key=lambda ref: (due[ref], ref)), limit)

    def scan(self, on_damaged: Callable[[TaskRef], object] = pass_by) -> Iterator[Task]:
        """Walk the table itself; attempts lie among the tasks."""
        start, end = ([(column.name, bound) for column in TASKS.key] for bound in (sdk.INF_MIN, sdk.INF_MAX))
        rows = self._client.read_rows(start, end, columns=LISTED_COLUMNS, part_rows=_SCAN_ROWS)
        return self._decode_listed((row for row in rows if is_task_key(row.key)), on_damaged)

    # The attempt log.

    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        self._client.put(attempt_key(ref, attempt.epoch), write_attempt(attempt), any_row())

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        rows = self._client.read_rows(attempts_from(ref), task_key(ref))
        return [read_attempt(row.columns) for row in rows]

    def _read_many(self, entries: Sequence[FoundRow]) -> Iterator[FoundRow]:
        """Read the rows that the entries name, in their order; those that are gone are left out."""
        keys = [task_key(read_key(entry.key)) for entry in entries]
        for start in range(0, len(keys), ROWS_PER_BATCH_READ):
            rows = self._client.read_many(keys[start : start + ROWS_PER_BATCH_READ], columns=LISTED_COLUMNS)
            yield from filter(None, rows)

    def _decode_listed(self, rows: Iterable[FoundRow], on_damaged: Callable[[TaskRef], object]) -> Iterator[Task]:
        """Tasks as a listing has them. A row that has nothing less than all its parameters is read by itself."""
        for row in rows:
            columns = read_listed(row.columns)
            whole = FoundRow(row.key, columns) if columns else self._client.read(row.key, columns=TASK_COLUMNS)
            if whole is None:
                continue
            try:
                task = decode_task(whole.columns, listed=True)
            except SluiceError:
                on_damaged(read_key(row.key))
            else:
                yield task


def _is_as(guard: Guard, row: FoundRow) -> bool:
    """Whether the row was as ``guard`` says when it was read; a missing column equals nothing."""
    expected = {"state": guard.state, "rev": guard.rev, "epoch": guard.epoch}
    return all(row.columns.get(name) == value for name, value in expected.items() if value is not None)


def _key(index: Index, values: Sequence[str | int], rest: object) -> Key:
    """A key of an index that begins with ``values``; its other columns are the first or the last there is."""
    return [(name, values[place] if place < len(values) else rest) for place, name in enumerate(index.key)]


def _start(index: Index, part: str, after: Position | None) -> Key:
    """Where a page starts: with the newest, or behind the last task of the page before."""
    if after is None:
        return _key(index, [part], sdk.INF_MIN)
    created_us = microseconds(after.created_at) if abs(after.created_at) < _MICROSECONDS_MAX / 1_000_000 else None
    if created_us is None or not TASK_ID.fullmatch(after.task_id):
        raise ValueError("the cursor is not one of ours")
    behind = dict(behind_task(TaskRef(TenantId(""), TaskId(after.task_id))))["sk"]
    return _key(index, [part, -created_us, behind], sdk.INF_MIN)
