"""Which types the columns of a table have that were not declared, by its first batch."""

from __future__ import annotations

import re

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch, Cells
from sluice.tables.values.dates import DateFault, read_date
from sluice.tables.values.numbers import SIGNIFICANT_DIGITS_MAX

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_DAY_CHARS = len("2025-03-14")
_WORDS = frozenset({"true", "false"})


def detect_types(names: tuple[str, ...], batch: Batch) -> tuple[ColumnSpec, ...]:
    """Declare the columns of a table that begins with ``batch``.

    A number has no leading zero, sign of plus or exponent, and at most 15 digits: whatever else looks like
    one may be an id. A boolean is ``true`` or ``false`` alone. Without any value, or with one of another
    form, a column is one of texts.
    """
    cells = zip(names, batch.columns, strict=True)
    return tuple(ColumnSpec(name, _type_of(column, batch.rows)) for name, column in cells)


def _type_of(cells: Cells, rows: int) -> ColumnType:
    texts = {text for text in cells.texts(rows) if text}
    if not texts:
        return ColumnType.STRING
    if all(_NUMBER.fullmatch(text) and sum(map(str.isdigit, text)) <= SIGNIFICANT_DIGITS_MAX for text in texts):
        return ColumnType.NUMBER
    if {text.lower() for text in texts} <= _WORDS:
        return ColumnType.BOOLEAN
    if not any(isinstance(read_date(text), DateFault) for text in texts):
        has_time = any(len(text) > _DAY_CHARS for text in texts)
        return ColumnType.DATETIME if has_time else ColumnType.DATE
    return ColumnType.STRING
