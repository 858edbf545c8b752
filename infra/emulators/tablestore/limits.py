"""The published limits of the service, and the checks of names and sizes that come with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from infra.emulators.tablestore.plainbuffer import Change
from infra.emulators.tablestore.refusals import invalid
from infra.emulators.tablestore.values import Bound, KeyValue, NamedKey, size_of

KEY_COLUMNS_MAX = 4
KEY_VALUE_BYTES_MAX = 1024
NAME_BYTES_MAX = 255
CELL_BYTES_MAX = 2 * 1024 * 1024
CHANGED_COLUMNS_MAX = 1024
REQUEST_BYTES_MAX = 4 * 1024 * 1024
"""That one request writes, or reads of rows that it names one by one."""
BODY_BYTES_MAX = 8 * 1024 * 1024
"""Beyond this, a body is not even looked at."""
BATCH_READ_ROWS_MAX = 100
BATCH_WRITTEN_ROWS_MAX = 200
RANGE_ROWS_MAX = 5000
RANGE_BYTES_MAX = 4 * 1024 * 1024
READ_COLUMNS_MAX = 128
SUBCONDITIONS_MAX = 32
TABLES_MAX = 64
DEFINED_COLUMNS_MAX = 32
INDEXES_MAX = 5
INDEX_COLUMNS_MAX = 4
INDEX_KEY_COLUMNS_MAX = 8
INDEX_ATTRIBUTES_MAX = 32
LIFE_S_MIN = 86_400

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def check_name(name: str, *, what: str) -> None:
    """Raise Refused unless ``name`` may be a table's or a column's."""
    if not _NAME.fullmatch(name) or len(name) > NAME_BYTES_MAX:
        raise invalid(f"Invalid {what} name: '{name}'.")


def check_key_sizes(key: NamedKey) -> None:
    for name, value in key:
        if _too_long(value):
            raise invalid(
                f"The length of primary key column: '{name}' exceeds the MaxLength: {KEY_VALUE_BYTES_MAX} "
                f"with CurrentLength: {size_of(value)}."
            )


def check_changes(key: NamedKey, changes: Sequence[Change], *, operation: str) -> None:
    """Raise Refused if one request changes more, or longer, columns than it may."""
    key_names = {name for name, _ in key}
    for change in changes:
        _check_change(change)
        if change.name in key_names:
            raise invalid(f"Duplicated attribute column name with primary key column: '{change.name}'.")
    columns = len({change.name for change in changes})
    if columns > CHANGED_COLUMNS_MAX:
        raise invalid(
            f"The number of attribute columns exceeds the limit, limit count: {CHANGED_COLUMNS_MAX}, "
            f"column count: {columns}."
        )
    check_size(written_bytes(key, changes), operation=operation)


def check_size(size: int, *, operation: str) -> None:
    """Raise Refused if a request writes, or reads of rows that it names, more bytes than it may."""
    if size > REQUEST_BYTES_MAX:
        raise invalid(
            f"The total data size of {operation} request exceeds the limit, "
            f"limit size: {REQUEST_BYTES_MAX}, data size: {size}."
        )


def written_bytes(key: NamedKey, changes: Iterable[Change]) -> int:
    """Return what a change counts for in limits and in capacity units."""
    columns = sum(len(change.name) + (0 if change.value is None else size_of(change.value)) for change in changes)
    return sum(len(name) + size_of(value) for name, value in key) + columns


def _check_change(change: Change) -> None:
    check_name(change.name, what="column")
    if isinstance(change.value, float) and not math.isfinite(change.value):
        what = "NaN" if math.isnan(change.value) else "Infinity"
        raise invalid(f"{what} can't be set to double value.")
    if isinstance(change.value, str | bytes) and size_of(change.value) > CELL_BYTES_MAX:
        raise invalid(
            f"The length of attribute column: '{change.name}' exceeded the MaxLength: {CELL_BYTES_MAX} "
            f"with CurrentLength: {size_of(change.value)}."
        )


def _too_long(value: KeyValue) -> bool:
    return not isinstance(value, Bound) and size_of(value) > KEY_VALUE_BYTES_MAX
