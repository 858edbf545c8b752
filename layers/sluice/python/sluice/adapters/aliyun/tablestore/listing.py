"""Which tasks there are: the due, a tenant's, all of them. Indexes lag, so they only propose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sluice.adapters.aliyun.tablestore.client import ROWS_PER_BATCH_READ, FoundRow, TablestoreClient
from sluice.adapters.aliyun.tablestore.rows import (
    TASK_COLUMNS,
    Key,
    behind_task,
    is_task_key,
    listing_of,
    microseconds,
    read_key,
    read_task,
    task_key,
)
from sluice.adapters.aliyun.tablestore.schema import DUE, DUE_SHARDS, LISTING, STATE_LISTING, TASKS, Index
from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.adapters.page_cursor import Position
from sluice.domain.keys import TASK_ID, TaskId, TaskRef, TenantId
from sluice.domain.task import State, Task
from sluice.ports.task_store import TaskPage

_SCAN_ROWS = 500
"""Rows that a scan holds at a time."""
_MICROSECONDS_MAX = 2**62
"""No time of ours is later; a key of the service holds no more than 64 bits."""


class TablestoreListing:
    """Reads the table's indexes, and the rows that they name."""

    def __init__(self, client: TablestoreClient, *, table: str) -> None:
        self._client = client
        self._table = table

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        """Read the rows that an index names, and keep those that are still listed."""
        index = STATE_LISTING if state else LISTING
        part = listing_of(tenant, state=state)
        position, end = _start(index, part, Position.read(cursor)), _key(index, [part], sdk.INF_MAX)
        tasks: list[Task] = []
        start: Key | None = position
        while start is not None and len(tasks) <= limit:
            wanted = limit + 1 - len(tasks)
            found = self._client.read_range(start, end, index=index.name_in(self._table), limit=wanted)
            tasks += [task for task in self._read(found.rows) if task.params and state in (None, task.state)]
            start = found.next_key
        page = tasks[:limit]
        return TaskPage(page, Position.of(page[-1]).encode() if len(tasks) > limit else "")

    def count(self, tenant: TenantId, state: State) -> int:
        """Count entries of an index. Only an ended task can be a tombstone, which has an entry elsewhere."""
        parts = [listing_of(tenant, state=state)]
        if state.terminal:
            parts.append(listing_of(tenant, state=state, gone=True))
        index = STATE_LISTING.name_in(self._table)
        bounds = ([_key(STATE_LISTING, [part], end) for end in (sdk.INF_MIN, sdk.INF_MAX)] for part in parts)
        return sum(1 for start, end in bounds for _ in self._client.read_rows(start, end, index=index))

    def due(self, now: float, *, limit: int) -> list[TaskRef]:
        """Merge the shards. An entry that is being moved may be seen at both places."""
        due: dict[TaskRef, int] = {}
        for shard in range(DUE_SHARDS):
            start, end = _key(DUE, [shard], sdk.INF_MIN), _key(DUE, [shard, microseconds(now) + 1], sdk.INF_MIN)
            for row in self._client.read_rows(start, end, index=DUE.name_in(self._table), limit=limit):
                due.setdefault(read_key(row.key), dict(row.key)["due_us"])
        return sorted(due, key=lambda ref: (due[ref], ref))[:limit]

    def scan(self) -> Iterator[Task]:
        """Walk the table itself; attempts lie among the tasks."""
        start, end = ([(column.name, bound) for column in TASKS.key] for bound in (sdk.INF_MIN, sdk.INF_MAX))
        for row in self._client.read_rows(start, end, columns=TASK_COLUMNS, part_rows=_SCAN_ROWS):
            if is_task_key(row.key):
                yield read_task(row.columns)

    def _read(self, entries: Sequence[FoundRow]) -> Iterator[Task]:
        """Read the rows that the entries name, in their order; those that are gone are left out."""
        keys = [task_key(read_key(entry.key)) for entry in entries]
        for start in range(0, len(keys), ROWS_PER_BATCH_READ):
            rows = self._client.read_many(keys[start : start + ROWS_PER_BATCH_READ], columns=TASK_COLUMNS)
            yield from (read_task(row.columns) for row in rows if row is not None)


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
