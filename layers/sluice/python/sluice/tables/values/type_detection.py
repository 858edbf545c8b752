"""Which types the columns of a table have that were not declared, by its first batch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch, Cells
from sluice.tables.values.dates import OFFSET, DateFault, read_date
from sluice.tables.values.number_formats import DATETIME_FORMAT
from sluice.tables.values.shown_forms import (
    FLOAT_FORMAT,
    WHOLE_FORMAT,
    datetime_format,
    fixed_format,
    form_check,
)

_DECIMALS_MAX = 14
_TIME = re.compile(
    r"[0-9-]{10}[ T][0-9:]{5}(?P<seconds>:[0-9]{2}(?:\.(?P<fraction>[0-9]++))?+)?+"
    rf"(?:(?P<utc>Z|\+00(?::?00)?+)|{OFFSET})?+"
)
_SHOWN_FRACTION_MAX = 3


def detect_types(names: tuple[str, ...], batch: Batch, timezone: str = "") -> tuple[ColumnSpec, ...]:
    """Declare the columns of a table that begins with ``batch``.

    A column has a type, and a format if it needs one, with which every value is
    shown as it was sent (``shown_forms``). Where there is none, and without any
    value, it is one of texts. ``timezone`` is the option of the file: where it
    is chosen, times with an offset are times.
    """
    cells = zip(names, batch.columns, strict=True)
    return tuple(_column_of(name, column, batch.rows, timezone) for name, column in cells)


def _column_of(name: str, cells: Cells, rows: int, timezone: str) -> ColumnSpec:
    texts = {text for text in cells.texts(rows) if text}
    for kind, code in _candidates(texts, timezone):
        column = ColumnSpec(name, kind, format=code, detected=True)
        if not any(map(_oddness(column, timezone), texts)):
            return column
    return ColumnSpec(name)


def _oddness(column: ColumnSpec, timezone: str) -> Callable[[str], bool]:
    check = form_check(column, timezone)
    assert check is not None, "a detected column that is not one of texts has a check"
    if column.type not in {ColumnType.DATE, ColumnType.DATETIME}:
        return check.is_odd
    # Days that no cell shows are texts in any column: a column that begins with some may as well be one of texts.
    return lambda text: check.is_odd(text) or isinstance(read_date(text), DateFault)


def _candidates(texts: set[str], timezone: str) -> Iterator[tuple[ColumnType, str]]:
    """What a column may be, in the order in which it is tried."""
    if not texts:
        return
    for code in _number_formats(texts):
        yield ColumnType.NUMBER, code
    yield ColumnType.BOOLEAN, ""
    yield ColumnType.DATE, ""
    for code in _time_formats(texts, timezone):
        yield ColumnType.DATETIME, code


def _number_formats(texts: set[str]) -> Iterator[str]:
    """Numbers that all have two decimals or more of one number are amounts, and have them also where none ends in 0."""
    decimals = {len(text.partition(".")[2]) for text in texts}
    if len(decimals) == 1 and 1 < (fixed := max(decimals)) <= _DECIMALS_MAX:
        yield fixed_format(fixed)
    yield from ("", FLOAT_FORMAT, WHOLE_FORMAT)


def _time_formats(texts: set[str], timezone: str) -> Iterator[str]:
    times = [found for found in map(_TIME.fullmatch, texts) if found]
    if len(times) < len(texts):
        return
    fractions = {len(time["fraction"] or "") for time in times}
    fixed = max(fractions) if len(fractions) == 1 else 0
    code = datetime_format(
        seconds=times[0]["seconds"] is not None,
        fraction=fixed if fixed <= _SHOWN_FRACTION_MAX else 0,
        utc="" if timezone else times[0]["utc"] or "",
    )
    yield "" if code == DATETIME_FORMAT else code
