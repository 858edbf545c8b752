"""Task rows in one SQLite file, for one machine: any number of threads and processes may share it."""

# ruff: noqa: S608 -- statements are put together from the names of our own columns; values are always bound

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sluice.adapters.page_cursor import Position
from sluice.adapters.sqlite import schema
from sluice.adapters.sqlite.connections import Connections, Synchronous
from sluice.adapters.sqlite.due import find_due
from sluice.adapters.sqlite.free_pages import (
    CONVERTED_BYTES_MAX,
    SPARE_PAGES,
    STEPS_MAX,
    Pages,
    convert,
    count_pages,
    give_back_step,
    shrink,
)
from sluice.adapters.sqlite.packed import LISTED, pack, unpack
from sluice.adapters.task_columns import Columns, Value, columns_of, decode_task, encode_fields, encode_task
from sluice.domain.attempts import LeaseEnds
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.manifest import Claim
from sluice.domain.params import ExportParams
from sluice.domain.reading import Reading
from sluice.domain.task import Attempt, State, Task, TaskFields
from sluice.domain.timestamps import TIME_MAX
from sluice.ports.object_store import ObjectsPlace
from sluice.ports.pool import nothing
from sluice.ports.store_errors import StoreFull
from sluice.ports.task_store import ClaimedTask, DueTasks, TaskPage, pass_by

Rows = TypeVar("Rows")
Changed = TypeVar("Changed")

_SCAN_ROWS = 500
"""Rows that a scan holds at a time at most, so that it needs no transaction that stays open."""
_SCAN_CHARS = 4 << 20
"""Of parameters as they are stored, which may be megabytes in a row; a scan holds no more rows than reach it."""


def _names(struct: type[msgspec.Struct]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns_of(struct))


def _marks(struct: type[msgspec.Struct]) -> str:
    return ", ".join("?" * len(columns_of(struct)))


_TASK = _names(Task)
_LISTED = _TASK.replace(
    '"params"',
    f"""CASE WHEN typeof(params) = 'blob' THEN {LISTED}
    WHEN NOT json_valid(params) THEN substr(params, 1, 99)
    WHEN json_type(params, '$.sheets') = 'array' THEN json_set(params, '$.sheets',
        (SELECT json_group_array(json_remove(value, '$.columns')) FROM json_each(params, '$.sheets')))
    ELSE json_remove(params, '$.columns', '$.pulled.columns', '$.pulled.conditions', '$.pulled.masks') END""",
)
"""The same without the columns of tables, which SQLite takes out before a row reaches us.

Of parameters that are damaged as much as shows it, since they may be as long.
"""
_CLAIM = _names(Claim)
_ATTEMPT = _names(Attempt)
_OF_TASK = "WHERE tenant = ? AND task_id = ?"

_TENANT, _TASK_ID, _CREATED_AT, _PARAMS = map(
    Task.__struct_fields__.index, ("tenant", "task_id", "created_at", "params")
)
"""Where a row has them."""

_CREATE = f"INSERT INTO tasks ({_TASK}) VALUES ({_marks(Task)}) ON CONFLICT DO NOTHING"
_COUNT_BATCH = f"""
UPDATE tasks SET last_batch_at = ?, due_at = ?, batches_received = batches_received + 1,
    rows_received = rows_received + ?, bytes_received = bytes_received + ?, rev = rev + 1{{also}}
{_OF_TASK} {{guard}} AND NOT EXISTS (SELECT 1 FROM claims {_OF_TASK} AND sequence = ?)
"""
_COUNT_SENT = _COUNT_BATCH.format(also="", guard="AND state = 'open'")
_COUNT_READ = _COUNT_BATCH.format(
    also=", cursor = ?, read_at = ?, lease_until = ?, rows_filtered = ?", guard="AND state = 'reading' AND epoch = ?"
)
_ADD_CLAIM = f"INSERT INTO claims (tenant, task_id, {_CLAIM}) VALUES (?, ?, {_marks(Claim)})"
_LOG = f"INSERT OR REPLACE INTO attempts (tenant, task_id, {_ATTEMPT}) VALUES (?, ?, {_marks(Attempt)})"


class SqliteTasks:
    """A task store in the file ``path``, made when it does not exist; its folder must.

    Every change is one transaction, on disk when the method returns.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Synchronous = "FULL",
        busy_timeout_s: float = 10,
        make_room: Callable[[], bool] = lambda: False,
        check_room: Callable[[], None] = nothing,
        has_room: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """``check_room`` raises ``StoreFull`` where the disk has no room for one more task: others need what is left.

        ``has_room`` says whether so many bytes more may be written.

        ``make_room`` is called where a full disk is in the way of opening the file, or of a change of a task.

        True: it is tried again, once. New tasks and batches are not, so that tasks can be ended, which makes more room.
        """
        self._make_room = make_room
        self._check_room = check_room
        self._has_room = has_room
        self._is_converted = False
        self._connections = Connections(path, synchronous=synchronous, busy_timeout_s=busy_timeout_s)
        self._with_room(self._prepare)

    def _prepare(self) -> None:
        with self._connections.writing() as db:
            schema.prepare(db)

    def _with_room(self, change: Callable[[], Changed]) -> Changed:
        try:
            return change()
        except StoreFull:
            if not self._make_room():
                raise
        return change()

    def give_back_room(self) -> None:
        """Give pages that no row needs back to the disk, bounded; the rest at the next call. Others write meanwhile.

        A file that an older release made is written anew at the first call, if its rows are not too many. Raises
        ``StoreFull``, once, where the disk has no room for that.
        """
        pages = count_pages(self._connections)
        if not pages.can_go_back:
            self._convert(pages)
        elif pages.free > SPARE_PAGES:
            for _ in range(STEPS_MAX):
                if not self._with_room(partial(give_back_step, self._connections)):
                    break
            shrink(self._connections)

    def _convert(self, pages: Pages) -> None:
        if self._is_converted or pages.row_bytes > CONVERTED_BYTES_MAX:
            return
        self._is_converted = True  # or it was tried
        if not self._has_room(2 * pages.row_bytes):
            raise StoreFull(
                "the file of task rows is of an older release and keeps the room of removed rows for itself: "
                f"{2 * pages.row_bytes:,} bytes must be free to write it anew, which the next start does"
            )
        convert(self._connections)

    def close(self) -> None:
        """Close the file. To be called when no method runs; afterwards none works."""
        self._connections.close()

    def identify(self, proposed: str) -> str:
        """The id of this file, for ever the same: ``proposed`` if it had none."""
        with self._connections.writing() as db:
            return schema.identify(db, proposed)

    def is_empty(self) -> bool:
        """Whether there is no row."""
        with self._connections.reading() as db:
            return db.execute("SELECT 1 FROM tasks LIMIT 1").fetchone() is None

    def read_place(self) -> ObjectsPlace | None:
        """Which store has the objects of these rows; None where it was not noted yet."""
        with self._connections.reading() as db:
            return schema.read_place(db)

    def note_place(self, place: ObjectsPlace) -> None:
        """Write down which store has them from now on."""
        with self._connections.writing() as db:
            schema.note_place(db, place)

    def may_have_objects(self) -> bool:
        """Whether there is a row whose chunks, file or garbage may be there."""
        with self._connections.reading() as db:
            return schema.may_have_objects(db)

    def sample_folders(self, limit: int) -> list[str]:
        """Folders of objects that have to be there unless they were lost, of some rows of each kind."""
        with self._connections.reading() as db:
            return schema.sample_folders(db, limit)

    def read(self, ref: TaskRef) -> Task | None:
        with self._connections.reading() as db:
            return _read(db, ref)

    def read_rev(self, ref: TaskRef) -> int | None:
        with self._connections.reading() as db:
            row = db.execute(f"SELECT rev FROM tasks {_OF_TASK}", ref).fetchone()
            return None if row is None else int(row[0])

    def read_claims(self, ref: TaskRef) -> ClaimedTask | None:
        with self._connections.reading() as db:
            task = _read(db, ref)
            claims = _decode_claims(db.execute(f"SELECT {_CLAIM} FROM claims {_OF_TASK}", ref))
            return None if task is None else ClaimedTask(task, {claim.sequence: claim for claim in claims})

    def read_claim(self, ref: TaskRef, sequence: int) -> Claim | None:
        with self._connections.reading() as db:
            rows = db.execute(f"SELECT {_CLAIM} FROM claims {_OF_TASK} AND sequence = ?", (*ref, sequence))
            return next(iter(_decode_claims(rows)), None)

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        """Name with the first page what has no time: it has no place among the others."""
        query, values = _page_query(tenant, state, Position.read(cursor))
        with self._connections.reading() as db:
            rows = db.execute(query, (*values, limit + 1)).fetchall()
            odd = [] if cursor else db.execute(*_odd_query(tenant, state)).fetchall()
        page, damaged = rows[:limit], [TaskRef(tenant, task_id) for (task_id,) in odd]
        tasks = list(_decode_all(page, damaged.append, listed=True))
        cursor = Position(float(page[-1][_CREATED_AT]), page[-1][_TASK_ID]).encode() if len(rows) > limit else ""
        return TaskPage(tasks, cursor, [ref.task_id for ref in damaged])

    def count(self, tenant: TenantId, state: State) -> int:
        with self._connections.reading() as db:
            (count,) = db.execute(
                "SELECT count(*) FROM tasks WHERE tenant = ? AND state = ?", (tenant, state)
            ).fetchone()
            return int(count)

    def count_leased(self, tenant: TenantId, ends: LeaseEnds) -> int:
        with self._connections.reading() as db:
            query = "SELECT count(*) FROM tasks WHERE tenant = ? AND state = ? AND lease_until BETWEEN ? AND ?"
            (count,) = db.execute(query, (tenant, State.COMPOSING, *ends)).fetchone()
            return int(count)

    def create(self, task: Task) -> bool:
        self._check_room()
        row = tuple(_packed(encode_task(task), task.params).values())
        with self._connections.writing() as db:
            return db.execute(_CREATE, row).rowcount == 1

    def claim(self, ref: TaskRef, claim: Claim, *, at: float, due_at: float, reading: Reading | None = None) -> bool:
        query = _COUNT_SENT if reading is None else _COUNT_READ
        read_on, guard = ((), ref) if reading is None else (reading.fields().values(), (*ref, reading.epoch))
        values = (at, due_at, claim.rows, claim.size, *read_on, *guard, *ref, claim.sequence)
        with self._connections.writing() as db:
            if db.execute(query, values).rowcount == 0:
                return False
            db.execute(_ADD_CLAIM, (*ref, *msgspec.structs.astuple(claim)))
            return True

    def update(self, ref: TaskRef, guard: Guard, fields: TaskFields) -> bool:
        columns = _packed(encode_fields(fields), fields.get("params"))
        settings = "".join(f'"{name}" = ?, ' for name in columns)
        condition, values = _condition(ref, guard)

        def change() -> bool:
            with self._connections.writing() as db:
                updated = db.execute(
                    f"UPDATE tasks SET {settings} rev = rev + 1 WHERE {condition}", (*columns.values(), *values)
                )
                return updated.rowcount == 1

        return self._with_room(change)

    def forget_claims(self, ref: TaskRef) -> None:
        def change() -> None:
            with self._connections.writing() as db:
                db.execute(f"DELETE FROM claims {_OF_TASK}", ref)

        self._with_room(change)

    def remove(self, ref: TaskRef, guard: Guard) -> bool:
        condition, values = _condition(ref, guard)

        def change() -> bool:
            with self._connections.writing() as db:
                if db.execute(f"DELETE FROM tasks WHERE {condition}", values).rowcount == 0:
                    return False
                db.execute(f"DELETE FROM claims {_OF_TASK}", ref)
                db.execute(f"DELETE FROM attempts {_OF_TASK}", ref)
                return True

        return self._with_room(change)

    def due(self, now: float, *, limit: int, latest: float = inf) -> DueTasks:
        with self._connections.reading() as db:
            return find_due(db, now, limit=limit, latest=latest)

    def scan(self, on_damaged: Callable[[TaskRef], object] = pass_by) -> Iterator[Task]:
        query = f"SELECT {_TASK}, rowid FROM tasks WHERE rowid > ? ORDER BY rowid LIMIT {_SCAN_ROWS}"
        after = 0  # not a task's id, which may be damaged too
        while True:
            rows: list[tuple[Any, ...]] = []
            chars = 0
            with self._connections.reading() as db, closing(db.execute(query, (after,))) as found:
                while chars < _SCAN_CHARS and (row := found.fetchone()):
                    rows.append(row)
                    chars += len(row[_PARAMS])
            if not rows:
                return
            yield from _decode_all([row[:-1] for row in rows], on_damaged)
            after = rows[-1][-1]

    def log_attempt(self, ref: TaskRef, attempt: Attempt) -> None:
        with self._connections.writing() as db:
            db.execute(_LOG, (*ref, *msgspec.structs.astuple(attempt)))

    def read_attempts(self, ref: TaskRef) -> list[Attempt]:
        names = Attempt.__struct_fields__
        with self._connections.reading() as db:
            rows = db.execute(f"SELECT {_ATTEMPT} FROM attempts {_OF_TASK} ORDER BY epoch", ref)
            return _convert([dict(zip(names, row, strict=True)) for row in rows], list[Attempt])


def _read(db: sqlite3.Connection, ref: TaskRef) -> Task | None:
    row = db.execute(f"SELECT {_TASK} FROM tasks {_OF_TASK}", ref).fetchone()
    return None if row is None else _decode(row)


def _decode_claims(rows: Iterable[tuple[Any, ...]]) -> list[Claim]:
    return _convert(list(rows), list[Claim])


def _convert(rows: list[Any], kind: type[Rows]) -> Rows:
    """Rows beside a task's own. Raises TASK_DAMAGED for what this release did not write."""
    try:
        return msgspec.convert(rows, kind)
    except msgspec.ValidationError as error:
        raise SluiceError(ErrorCode.TASK_DAMAGED) from error


def _packed(columns: Columns, params: ExportParams | None) -> dict[str, Value | bytes]:
    """The columns as they are stored: parameters, if they are among them, as ``packed`` has it."""
    return {**columns, "params": pack(str(columns["params"]), params)} if "params" in columns else {**columns}


def _decode(row: Sequence[Any], *, listed: bool = False) -> Task:
    columns = dict(zip(Task.__struct_fields__, row, strict=True))
    return decode_task({**columns, "params": unpack(columns["params"])}, listed=listed)


def _decode_all(
    rows: Sequence[Sequence[Any]], on_damaged: Callable[[TaskRef], object], *, listed: bool = False
) -> Iterator[Task]:
    for row in rows:
        try:
            yield _decode(row, listed=listed)
        except SluiceError:
            on_damaged(_ref_of(row))


def _ref_of(row: Sequence[Any]) -> TaskRef:
    """Whose row it is, as texts also where they lost bits."""
    names = (one if isinstance(one, bytes) else str(one).encode() for one in (row[_TENANT], row[_TASK_ID]))
    tenant, task_id = (name.decode(errors="backslashreplace") for name in names)
    return TaskRef(TenantId(tenant), TaskId(task_id))


def _condition(ref: TaskRef, guard: Guard) -> tuple[str, list[object]]:
    """Say as SQL what the row must be. What the guard leaves out is not compared."""
    compared = {"tenant": ref.tenant, "task_id": ref.task_id, **msgspec.structs.asdict(guard)}
    compared = {name: value for name, value in compared.items() if value is not None}
    return " AND ".join(f"{name} = ?" for name in compared), list(compared.values())


def _page_query(tenant: TenantId, state: State | None, after: Position | None) -> tuple[str, list[object]]:
    """A listing's query with all values but the last, the limit; each form has an index of its own."""
    where, values = _listed_where(tenant, state)
    where += " AND created_at BETWEEN 0 AND ?"
    if after is None:
        values.append(TIME_MAX)
    else:
        where += " AND (created_at < ? OR task_id > ?)"
        values += [after.created_at, after.created_at, after.task_id]
    return f"SELECT {_LISTED} FROM tasks WHERE {where} ORDER BY created_at DESC, task_id LIMIT ?", values


def _odd_query(tenant: TenantId, state: State | None) -> tuple[str, list[object]]:
    """What was created at no time: no page could go on behind it. SQLite sorts texts and bytes behind numbers."""
    where, values = _listed_where(tenant, state)
    odd = (f"SELECT task_id FROM tasks WHERE {where} AND created_at {bound}" for bound in (f"> {TIME_MAX}", "< 0"))
    return f"{' UNION ALL '.join(odd)} LIMIT {_SCAN_ROWS}", [*values, *values]


def _listed_where(tenant: TenantId, state: State | None) -> tuple[str, list[object]]:
    where = "params <> '' AND tenant = ?"
    return (where, [tenant]) if state is None else (f"{where} AND state = ?", [tenant, state])
