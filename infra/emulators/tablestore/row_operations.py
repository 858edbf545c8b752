"""The operations on rows: one, many, and ranges of them."""

from __future__ import annotations

from collections.abc import Iterator

from infra.emulators.tablestore.instance import Instance, Readable
from infra.emulators.tablestore.limits import (
    BATCH_READ_ROWS_MAX,
    BATCH_WRITTEN_ROWS_MAX,
    RANGE_BYTES_MAX,
    RANGE_ROWS_MAX,
    check_size,
)
from infra.emulators.tablestore.messages import Message, pb
from infra.emulators.tablestore.plainbuffer import ReadRow, write_rows
from infra.emulators.tablestore.plainbuffer_reading import read_key
from infra.emulators.tablestore.refusals import Refused, invalid
from infra.emulators.tablestore.rows import Row, size_bytes
from infra.emulators.tablestore.values import NamedKey, size_of
from infra.emulators.tablestore.views import View, read_view
from infra.emulators.tablestore.writes import Write, apply, read_write

_UNIT_BYTES = 4096


def put_row(instance: Instance, request: Message) -> Message:
    return pb.PutRowResponse(**_written(instance, request, request.row, operation=pb.PUT))


def update_row(instance: Instance, request: Message) -> Message:
    return pb.UpdateRowResponse(**_written(instance, request, request.row_change, operation=pb.UPDATE))


def delete_row(instance: Instance, request: Message) -> Message:
    return pb.DeleteRowResponse(**_written(instance, request, request.primary_key, operation=pb.DELETE))


def _written(instance: Instance, request: Message, row: bytes, *, operation: int) -> dict[str, Message]:
    _refuse_transaction(request)
    write = read_write(request.table_name, row, operation=operation, request=request)
    with instance.lock:
        key = apply(instance, write)
    return _answered(write, key)


def _answered(write: Write, key: NamedKey) -> dict[str, Message]:
    answer: dict[str, Message] = {"consumed": _consumed(write=_units(write.size_bytes))}
    if write.returns_key:
        answer["row"] = write_rows([ReadRow(key, ())])
    return answer


def get_row(instance: Instance, request: Message) -> Message:
    _refuse_transaction(request)
    view, key = read_view(request), read_key(request.primary_key)
    with instance.lock:
        readable = instance.read(request.table_name)
        seen = _seen(readable, key, view)
    return pb.GetRowResponse(consumed=_consumed(read=_units(_seen_bytes(seen))), row=write_rows(_present(seen)))


def batch_get_row(instance: Instance, request: Message) -> Message:
    _check_tables(request)
    if sum(len(table.primary_key) for table in request.tables) > BATCH_READ_ROWS_MAX:
        raise invalid(f"Rows count exceeds the upper limit: {BATCH_READ_ROWS_MAX}.")
    if not request.tables:
        raise invalid("No row specified in the request of BatchGetRow.")
    answer = pb.BatchGetRowResponse()
    read_bytes = 0
    for table in request.tables:
        view = read_view(table)
        rows = answer.tables.add(table_name=table.table_name).rows
        for encoded_key in table.primary_key:
            row, row_bytes = _batch_read(instance, table.table_name, read_key(encoded_key), view)
            rows.append(row)
            read_bytes += row_bytes
            check_size(read_bytes, operation="BatchGetRow")
    return answer


def _batch_read(instance: Instance, table: str, key: NamedKey, view: View) -> tuple[Message, int]:
    """Return one row of the answer and the bytes that were read for it."""
    try:
        with instance.lock:
            seen = _seen(instance.read(table), key, view)
    except Refused as refused:
        return pb.RowInBatchGetRowResponse(is_ok=False, error=_error(refused)), 0
    read_bytes = _seen_bytes(seen)
    consumed = _consumed(read=_units(read_bytes))
    return pb.RowInBatchGetRowResponse(is_ok=True, consumed=consumed, row=write_rows(_present(seen))), read_bytes


def batch_write_row(instance: Instance, request: Message) -> Message:
    _refuse_transaction(request)
    writes = _batch_writes(request)
    answer = pb.BatchWriteRowResponse()
    for table, of_table in zip(request.tables, writes, strict=True):
        rows = answer.tables.add(table_name=table.table_name).rows
        rows.extend(_batch_written(instance, write) for write in of_table)
    return answer


def _batch_writes(request: Message) -> list[list[Write]]:
    """Return the changes by table. Raises Refused if one of them is one that no table would take."""
    _check_tables(request)
    if not request.tables:
        raise invalid("No row is specified in BatchWriteRow.")
    for table in request.tables:
        if not table.rows:
            raise invalid(f"No operation is specified for table: '{table.table_name}'.")
    if sum(len(table.rows) for table in request.tables) > BATCH_WRITTEN_ROWS_MAX:
        raise invalid(f"Rows count exceeds the upper limit: {BATCH_WRITTEN_ROWS_MAX}.")
    writes = [
        [read_write(table.table_name, row.row_change, operation=row.type, request=row) for row in table.rows]
        for table in request.tables
    ]
    for of_table in writes:
        _check_repeated(of_table)
    check_size(sum(write.size_bytes for of_table in writes for write in of_table), operation="BatchWriteRow")
    return writes


def _batch_written(instance: Instance, write: Write) -> Message:
    try:
        with instance.lock:
            key = apply(instance, write)
    except Refused as refused:
        return pb.RowInBatchWriteRowResponse(is_ok=False, error=_error(refused))
    return pb.RowInBatchWriteRowResponse(is_ok=True, **_answered(write, key))


def _check_repeated(writes: list[Write]) -> None:
    keys = [write.key for write in writes]
    for write in writes:
        if keys.count(write.key) == 1:
            continue
        if write.row_existence != pb.IGNORE:
            raise invalid("Repeated rows do not support row exist expectation check in BatchModify.")
        if write.is_conditional:
            raise invalid("Repeated rows do not support row condition check in BatchModify.")


def _check_tables(request: Message) -> None:
    names = [table.table_name for table in request.tables]
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Duplicated table name: '{name}'.")


def get_range(instance: Instance, request: Message) -> Message:
    _refuse_transaction(request)
    view = read_view(request)
    if request.HasField("limit") and request.limit < 1:
        raise invalid("The limit must be greater than 0.")
    start, end = read_key(request.inclusive_start_primary_key), read_key(request.exclusive_end_primary_key)
    with instance.lock:
        rows = _between(instance.read(request.table_name), start, end, direction=request.direction)
        seen, read_bytes, following = _walked(rows, view, limit=request.limit or RANGE_ROWS_MAX)
    answer = pb.GetRangeResponse(consumed=_consumed(read=_units(read_bytes)), rows=write_rows(seen))
    if following is not None:
        answer.next_start_primary_key = write_rows([ReadRow(following, ())])
    return answer


def _between(readable: Readable, start: NamedKey, end: NamedKey, *, direction: int) -> Iterator[Row]:
    from_place, to_place = readable.key.edge(start), readable.key.edge(end)
    if direction == pb.FORWARD:
        if from_place >= to_place:
            raise invalid("Begin key must less than end key in FORWARD")
        return readable.rows.forward(from_place, to_place)
    if from_place <= to_place:
        raise invalid("Begin key must more than end key in BACKWARD")
    return readable.rows.backward(from_place, to_place)


def _walked(rows: Iterator[Row], view: View, *, limit: int) -> tuple[list[ReadRow], int, NamedKey | None]:
    """Return what is seen of ``rows``, what reading them cost, and where to go on if not all were looked at."""
    seen: list[ReadRow] = []
    read_bytes = 0
    for count, row in enumerate(rows):
        if len(seen) >= limit or count >= RANGE_ROWS_MAX or read_bytes > RANGE_BYTES_MAX:
            return seen, read_bytes, row.key
        view_of = view.of(row)
        read_bytes += size_bytes(row) if view_of is None else _read_bytes(view_of)
        if view_of is not None:
            seen.append(view_of)
    return seen, read_bytes, None


def _seen(readable: Readable, key: NamedKey, view: View) -> ReadRow | None:
    row = readable.rows.get(readable.key.place(key))
    return None if row is None else view.of(row)


def _present(row: ReadRow | None) -> list[ReadRow]:
    return [] if row is None else [row]


def _seen_bytes(row: ReadRow | None) -> int:
    return 0 if row is None else _read_bytes(row)


def _read_bytes(row: ReadRow) -> int:
    cells = sum(len(cell.name) + size_of(cell.value) for cell in row.cells)
    return cells + sum(len(name) + size_of(value) for name, value in row.key)


def _units(size: int) -> int:
    return max(1, -(-size // _UNIT_BYTES))


def _consumed(*, read: int = 0, write: int = 0) -> Message:
    return pb.ConsumedCapacity(capacity_unit=pb.CapacityUnit(read=read, write=write))


def _error(refused: Refused) -> Message:
    return pb.Error(code=refused.code, message=refused.message)


def _refuse_transaction(request: Message) -> None:
    if request.transaction_id:
        raise Refused("OTSUnsupportOperation", "This server has no transactions.")
