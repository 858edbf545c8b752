"""One change of one row: what a request asks for, and its happening under the instance's lock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from infra.emulators.tablestore.conditions import Predicate, always, read_predicate
from infra.emulators.tablestore.instance import Instance, Table
from infra.emulators.tablestore.limits import check_changes, written_bytes
from infra.emulators.tablestore.messages import Message, pb
from infra.emulators.tablestore.plainbuffer import CellOperation, Change
from infra.emulators.tablestore.plainbuffer_reading import read_row
from infra.emulators.tablestore.refusals import Refused, condition_failed, invalid
from infra.emulators.tablestore.rows import Row, replaced, updated
from infra.emulators.tablestore.schemas import Options
from infra.emulators.tablestore.values import Bound, NamedKey

OPERATION_NAMES = {pb.PUT: "PutRow", pb.UPDATE: "UpdateRow", pb.DELETE: "DeleteRow"}


class Write(NamedTuple):
    """A change that was read and checked as far as it can be without the table."""

    operation: int
    table: str
    key: NamedKey
    changes: Sequence[Change]
    row_existence: int
    predicate: Predicate
    is_conditional: bool
    """Whether there is a condition on columns."""
    returns_key: bool

    @property
    def size_bytes(self) -> int:
        return written_bytes(self.key, self.changes)


def read_write(table: str, row: bytes, *, operation: int, request: Message) -> Write:
    """Return the change that ``row`` asks for; ``request`` carries its condition."""
    written = read_row(row)
    name = OPERATION_NAMES[operation]
    _check_operation(written.changes, operation, is_delete_marked=written.is_delete_marked)
    check_changes(written.key, written.changes, operation=name)
    condition = request.condition
    if operation != pb.PUT and condition.row_existence == pb.EXPECT_NOT_EXIST:
        verb = "updating" if operation == pb.UPDATE else "deleting"
        raise invalid(f"Invalid condition: EXPECT_NOT_EXIST while {verb} row.")
    if request.return_content.return_type == pb.RT_AFTER_MODIFY:
        raise Refused("OTSUnsupportOperation", "This server does not return rows as they are after a change.")
    conditional = condition.HasField("column_condition")
    return Write(
        operation=operation,
        table=table,
        key=written.key,
        changes=written.changes,
        row_existence=condition.row_existence,
        predicate=read_predicate(condition.column_condition) if conditional else always,
        is_conditional=conditional,
        returns_key=request.return_content.return_type == pb.RT_PK,
    )


def _check_operation(changes: Sequence[Change], operation: int, *, is_delete_marked: bool) -> None:
    if is_delete_marked != (operation == pb.DELETE):
        what = "missing" if operation == pb.DELETE else "unexpected"
        raise invalid(f"Invalid request: {what} RowDeleteMarker in request.")
    if operation == pb.UPDATE and not changes:
        raise invalid("Invalid update row request: missing cells in request.")
    if operation == pb.DELETE and changes:
        raise invalid("Invalid delete row request: unexpected cells in request.")
    if operation == pb.PUT:
        for change in changes:
            if change.operation is not CellOperation.PUT:
                raise invalid(f"OpType cannot be given for column name: {change.name} in PutRow.")


def apply(instance: Instance, write: Write) -> NamedKey:
    """Make the change, whole or not at all, and return the row's key. The caller holds the lock."""
    table = instance.written(write.table)
    if write.operation == pb.UPDATE and not table.options.updatable:
        raise invalid("The table does not allow update operation.")
    key = _numbered(table, write)
    place = table.key.place(key)
    row = table.rows.get(place)
    _check_condition(row, write)
    now = time.time_ns() // 1_000_000
    _check_timestamps(write.changes, now, table.options)
    changed = _changed(row, Row(key, {}), write, now=now, versions_max=table.options.versions_max)
    if changed is not row:
        table.replace(place, changed)
    return key


def _numbered(table: Table, write: Write) -> NamedKey:
    if all(value is not Bound.AUTO for _, value in write.key):
        return write.key
    if write.operation == pb.DELETE:
        raise invalid("Invalid row to delete which with pk auto increment.")
    if write.is_conditional or write.row_existence != pb.IGNORE:
        raise invalid("Can't set condition when modify row with pk auto increment.")
    return table.key.numbered(write.key, table.next_number())


def _check_condition(row: Row | None, write: Write) -> None:
    if write.row_existence == pb.EXPECT_EXIST and row is None:
        raise condition_failed()
    if write.row_existence == pb.EXPECT_NOT_EXIST and row is not None:
        raise condition_failed()
    if not write.predicate(row.versions_of if row is not None else _nothing):
        raise condition_failed()


def _nothing(_: str) -> Sequence[int]:
    return ()


def _check_timestamps(changes: Sequence[Change], now: int, options: Options) -> None:
    """See that versions which a writer numbers are near enough to now."""
    furthest = options.deviation_s * 1000
    for change in changes:
        if change.timestamp is None or change.operation is CellOperation.DELETE_ONE:
            continue
        if not now - furthest <= change.timestamp < now + furthest:
            raise invalid(f"Invalid timestamp. Cell: {change.name}.")


def _changed(before: Row | None, empty: Row, write: Write, *, now: int, versions_max: int) -> Row | None:
    """Return the row after the change; None for no row."""
    if write.operation == pb.DELETE:
        return None
    if write.operation == pb.PUT:
        return Row(empty.key, replaced(write.changes, now=now, versions_max=versions_max))
    only_deletes = all(change.value is None for change in write.changes)
    if before is None and only_deletes:
        return None  # there is nothing to delete from, and deleting makes no row
    columns = before.columns if before is not None else {}
    return Row(empty.key, updated(columns, write.changes, now=now, versions_max=versions_max))
