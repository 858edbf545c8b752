"""How a value is written that a detected column takes: as the column's cells show it, to the last digit.

No sender declared that such a column holds numbers, so nothing may be read into
it: not that ``1E5`` is 100000, ``+49`` is 49, ``on`` is TRUE or that a day may
move with its offset. Decision 0032 has the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import SEPARATOR, Cells
from sluice.tables.values.dates import OFFSET, PLAIN_DAY, DateFault, read_date
from sluice.tables.values.number_formats import DATETIME_FORMAT
from sluice.tables.values.numbers import SIGNIFICANT_DIGITS_MAX
from sluice.tables.values.slices import CellCheck

WHOLE_FORMAT = "0"
"""Of whole numbers that would be shown as 1.23457E+11 without a format."""
FLOAT_FORMAT = "0.0" + "#" * (SIGNIFICANT_DIGITS_MAX - 2)
"""Of numbers with at least one decimal and no zero after it, as Python and Java write them: 1.0, 2.5, 0.125."""
TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_SIGN = r"(?:-(?!0(?:\.0*+)?+(?![0-9.])))?+"
"""None of a zero, which no cell shows."""
_BEGIN = rf"{_SIGN}(?![0-9.]{{{SIGNIFICANT_DIGITS_MAX + 2}}})"
_WHOLE = r"(?:[1-9][0-9]*+|0)"
_NO_FORMAT = (
    rf"{_BEGIN}(?:(?:[1-9][0-9]{{0,10}}+(?![0-9])|0(?!\.))(?:\.[0-9]++(?<!0))?+|0\.0{{0,3}}+[1-9][0-9]*+(?<!0))"
)
"""No more digits before the point, and no more zeros behind it, than a cell without a format shows plainly."""
_FIXED_FORMAT = re.compile(rf"0\.(0{{1,{SIGNIFICANT_DIGITS_MAX - 1}}})")
_DATETIME_FORMAT = re.compile(
    r'yyyy-mm-dd hh:mm(?P<seconds>:ss(?P<fraction>\.0{1,3})?)?(?:"(?P<utc>Z|\+00(?::?00)?)")?'
)

_ANY_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_FRACTION = r"(?:\.(?=0*+[1-9])[0-9]{1,6}+)?+"
"""One that is shown has a digit other than zero, and no more than a cell keeps."""


def form_check(column: ColumnSpec, timezone: str = "") -> CellCheck | None:
    """Which cells of a detected column are written otherwise than they would be shown; None for a declared one.

    Empty cells never are. Raises ValueError for a format that detection gives no column of this type.
    """
    if not column.detected or column.type is ColumnType.STRING:
        return None
    return _check(column.type, column.format, has_zone=bool(timezone))


def without_odd(cells: Cells, rows: int, check: CellCheck) -> tuple[Cells, Sequence[int]]:
    """The cells, empty where they are odd, and the rows of those."""
    if check.surely_accepts(cells):
        return cells, ()
    texts = cells.texts(rows)
    odd = [row for row, text in enumerate(texts) if check.is_odd(text)]
    if not odd:
        return cells, ()
    for row in odd:
        texts[row] = ""
    return Cells(Cells.of_texts(texts).text, cells.nulls), odd


def fixed_format(decimals: int) -> str:
    """The format of numbers that all have so many decimals, from 1."""
    return "0." + "0" * decimals


def datetime_format(*, seconds: bool, fraction: int, utc: str) -> str:
    """The format of times to the minute or the second, with 0 to 3 decimals, ended by ``utc`` as it was sent."""
    shown = "yyyy-mm-dd hh:mm" + ":ss" * seconds + ("." + "0" * fraction if fraction else "")
    return f'{shown}"{utc}"' if utc else shown


@cache  # there are only the formats of detection: others raise, which is not kept
def _check(kind: ColumnType, code: str, *, has_zone: bool) -> CellCheck:
    match kind:
        case ColumnType.NUMBER:
            return _of_pattern(_number(code))
        case ColumnType.DATE if not code:
            return _of_moments("")
        case ColumnType.DATETIME:
            return _of_moments(_time(code, has_zone=has_zone))
        case ColumnType.BOOLEAN if not code:
            known = {*TRUTHS, ""}
            return CellCheck(lambda joined: known.issuperset(joined.split(SEPARATOR)), lambda text: text not in known)
    raise ValueError("not a format of a detected column")


def _number(code: str) -> str:
    if not code:
        return _NO_FORMAT
    if code == WHOLE_FORMAT:
        return rf"{_SIGN}(?:[1-9][0-9]{{0,{SIGNIFICANT_DIGITS_MAX - 1}}}+|0)"
    if code == FLOAT_FORMAT:
        return rf"{_BEGIN}{_WHOLE}\.(?:0(?![0-9])|[0-9]++(?<!0))"
    fixed = _FIXED_FORMAT.fullmatch(code)
    if fixed is None:
        raise ValueError("not a format of detected numbers")
    return rf"{_BEGIN}{_WHOLE}\.[0-9]{{{len(fixed[1])}}}"


def _time(code: str, *, has_zone: bool) -> str:
    """The pattern of what stands behind the day."""
    found = _DATETIME_FORMAT.fullmatch(code or DATETIME_FORMAT)
    if found is None:
        raise ValueError("not a format of detected times")
    utc, decimals = found["utc"] or "", len(found["fraction"] or ".") - 1
    end = re.escape(utc)
    if has_zone:  # it was chosen for dates with an offset; what a format ends in would be wrong there
        end = "(?!)" if utc else rf"{OFFSET}?+"
    seconds = ":[0-5][0-9]" + (rf"\.[0-9]{{{decimals}}}" if decimals else _FRACTION) if found["seconds"] else ""
    return rf"[ T]{_MINUTE}{seconds}{end}"


def _of_pattern(cell: str) -> CellCheck:
    column = re.compile(rf"(?:{cell})?+(?:\0(?:{cell})?+)*+")
    one = re.compile(rf"(?:{cell})?+")
    return CellCheck(lambda joined: column.fullmatch(joined) is not None, lambda text: one.fullmatch(text) is None)


def _of_moments(time: str) -> CellCheck:
    """Of every day of the calendar: what a column does with those that no cell shows, it does by its type."""
    shape = re.compile(_ANY_DAY + time)

    def is_odd(text: str) -> bool:
        return text != "" and (shape.fullmatch(text) is None or read_date(text) is DateFault.INVALID)

    return CellCheck(_of_pattern(PLAIN_DAY + time).are_plain, is_odd)
