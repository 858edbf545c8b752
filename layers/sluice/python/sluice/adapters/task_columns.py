"""How tasks, claims and attempts are stored as columns of text and numbers: the one codec of every store of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from msgspec import inspect

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Readings
from sluice.domain.task import State, Task, TaskFields

Value = str | int | float
Columns = dict[str, Value]


class Column(NamedTuple):
    """One column, as a field of a struct asks for it. It keeps one type: 0 and 0.0 are not equal in every store."""

    name: str
    kind: type[Value]
    default: Value | None
    """What a row that an older release wrote has instead; None: every row has the column."""


def columns_of(struct: type[msgspec.Struct]) -> tuple[Column, ...]:
    """The columns of a struct's fields, in their order. Raises TypeError for a field that no column can hold."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return tuple(_column(field) for field in info.fields)


def _column(field: inspect.Field) -> Column:
    if field.name in _ENCODERS:
        return Column(field.name, str, "")
    default = None if field.default is msgspec.NODEFAULT else field.default
    match field.type:
        case inspect.IntType():
            return Column(field.name, int, default)
        case inspect.FloatType():
            return Column(field.name, float, default)
        case inspect.StrType() | inspect.EnumType():
            return Column(field.name, str, default)
        case other:
            raise TypeError(f"no column type for {field.name}: {other}")


def encode_params(params: ExportParams | None) -> str:
    """Canonical JSON; empty for a tombstone."""
    return "" if params is None else params.encode()


def encode_sheet_rows(rows: tuple[int, ...]) -> str:
    """``[rows, …]``; empty before the seal and for a task of one table."""
    return msgspec.json.encode(rows).decode() if rows else ""


def encode_warnings(warnings: Mapping[str, int]) -> str:
    """``{"kind": count, …}`` by kind."""
    return msgspec.json.encode(warnings, order="sorted").decode()


def encode_times(times: Mapping[str, float]) -> str:
    """``{"task": time, …}`` by task; empty for none."""
    return msgspec.json.encode(times, order="sorted").decode() if times else ""


def encode_readings(readings: Readings) -> str:
    """JSON; empty for a task whose rows are not read, or in one reading."""
    return "" if readings == Readings() else msgspec.json.encode(readings).decode()


_ENCODERS: Mapping[str, Callable[[Any], str]] = {
    "params": encode_params,
    "readings": encode_readings,
    "sheet_rows": encode_sheet_rows,
    "renders": encode_times,
    "shared_with": encode_times,
    "warnings": encode_warnings,
}
"""The fields of a task that are more than a text or a number."""

_JSON = {
    "readings": Readings,
    "renders": dict[str, float],
    "sheet_rows": tuple[int, ...],
    "shared_with": dict[str, float],
    "warnings": dict[str, int],
}
"""The fields that are kept as JSON, with what it holds; an empty text is their default."""
_TASK = {column.name: column.kind for column in columns_of(Task)}
_BURIED = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED})
"""States in which a task may be a tombstone without having been deleted."""
_shared: WeakValueDictionary[tuple[str, int], ExportParams] = WeakValueDictionary()
"""Parameters that are in use, by their digest and their text's hash: a row that is read again is not decoded again."""


def encode_task(task: Task) -> Columns:
    """A new row. It has no warnings yet, which is not the same as a result without any."""
    columns = _encode(msgspec.structs.asdict(task))
    return columns if task.warnings else columns | {"warnings": ""}


def encode_fields(fields: TaskFields) -> Columns:
    """What a step sets. Raises ValueError for a field that no step may set."""
    if not TaskFields.__optional_keys__.issuperset(fields):
        raise ValueError("a field that a transition may not set")
    return _encode(fields)


def decode_task(columns: Mapping[str, Any], *, listed: bool = False) -> Task:
    """Read a row back; other columns among its own are left out. Raises TASK_DAMAGED for one that is none of ours.

    For a listing its parameters come without the columns of its tables.
    """
    try:
        return _decode_task(columns, listed=listed)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        column = str(error).rpartition("$.")[2].rstrip("`") if "$." in str(error) else ""
        raise SluiceError(ErrorCode.TASK_DAMAGED, **({"column": column} if column in _TASK else {})) from error


def _decode_task(columns: Mapping[str, Any], *, listed: bool) -> Task:
    known = {name: columns[name] for name in _TASK if name in columns}
    for name, kind in _JSON.items():
        text = known.pop(name, "")
        if text:
            known[name] = msgspec.json.decode(text, type=kind)
    text = known.pop("params", "")
    params: ExportParams | None = None
    if text and listed:
        params = ExportParams.decode_without_columns(text)
    elif text:
        # The process may hold equal parameters already: to decode those of 16,384 columns takes as long as the rest.
        shared_by = (known.get("params_sha", ""), hash(text))
        params = _shared.get(shared_by)
        if params is None:
            params = _shared[shared_by] = ExportParams.decode(text)
    known["params"] = params
    task = msgspec.convert(known, Task)
    if task.sheet_rows and task.params and len(task.sheet_rows) != len(task.params.sheets):
        raise msgspec.ValidationError("another number of sheets than declared - at `$.sheet_rows`")
    if task.params is None and not task.deleted_at and task.state not in _BURIED:
        raise msgspec.ValidationError("a task without parameters is over - at `$.params`")
    return task


def _encode(values: Mapping[str, Any]) -> Columns:
    return {name: _ENCODERS[name](value) if name in _ENCODERS else _TASK[name](value) for name, value in values.items()}
