"""What a declared column becomes in a Parquet file, decided by its declaration alone, and which values fit it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, time, tzinfo
from enum import Enum
from functools import cache
from typing import assert_never

from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.values.booleans import BooleanWords, boolean_words
from sluice.tables.values.cell_checks import is_invalid_date, is_invalid_number, type_check
from sluice.tables.values.dates import PLAIN_DAY, DateFault, is_finer_than_kept, read_date, time_zone
from sluice.tables.values.numbers import are_plain_numbers
from sluice.tables.values.shown_forms import form_check
from sluice.tables.values.slices import CellCheck

FormatCell = Callable[[str], str]
"""Gives the text of a value in the file, or raises ``Misfit``."""

DECIMAL_DIGITS = 38
"""A decimal column has this many digits, before and after the point together."""
_INT64_END = 2**63
_FIRST_DAY = datetime.min  # noqa: DTZ901 -- cells have no time zone
_POWER_CHARS_MAX = 10
"""Of an exponent: a longer one is out of any range, and Python reads none of thousands of digits."""
_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


FORM = "form"
"""Why a value of a detected column does not fit: it is of the type, and would be shown otherwise than it was sent."""


class Misfit(ValueError):
    """A value that the column cannot hold. ``reason`` is empty when its type does not accept it at all."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def format_text(text: str) -> str:
    """Any text."""
    return text


def format_number_text(text: str) -> str:
    """A number as sent, for a column of texts."""
    if is_invalid_number(text):
        raise Misfit
    return text


def format_whole(text: str) -> str:
    """A number without decimals, within 64 bits."""
    units = _units(text, 0)
    if not -_INT64_END <= units < _INT64_END:
        raise Misfit("range")
    return str(units)


def format_decimal(decimals: int) -> FormatCell:
    """Make the formatter of numbers with at most ``decimals`` decimals, zeros at their end apart."""

    def format_cell(text: str) -> str:
        units = _units(text, decimals)
        if abs(units) >= 10**DECIMAL_DIGITS:
            raise Misfit("range")
        digits = f"{abs(units):0{decimals + 1}d}"
        return f"{'-' if units < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"

    return format_cell


def format_day(zone: tzinfo) -> FormatCell:
    """Make the formatter of days; a time of day other than midnight does not fit."""

    def format_cell(text: str) -> str:
        moment = _moment(text, zone)
        if moment.time() != time.min:
            raise Misfit("time_of_day")
        return moment.date().isoformat()

    return format_cell


def format_moment(zone: tzinfo) -> FormatCell:
    """Make the formatter of wall-clock times in ``zone``."""
    return lambda text: _moment(text, zone).isoformat(" ")


def _units(text: str, decimals: int) -> int:
    """A number as a whole number of its last decimal place; one digit too many is enough to be out of range."""
    found = _NUMBER.fullmatch(text)
    if found is None or is_invalid_number(text):
        raise Misfit
    sign, whole, fraction, power = found[1], found[2], found[3] or "", found[4] or "0"
    if len(power) > _POWER_CHARS_MAX:
        raise Misfit("range" if power[0] != "-" and (whole + fraction).strip("0") else "decimals")
    exponent = int(power)
    if len(whole) > 1 and whole[0] == "0":
        raise Misfit("leading_zeros")
    digits = (whole + fraction).lstrip("0")
    surplus = len(fraction) - exponent - decimals
    if surplus > 0:
        digits, dropped = digits[:-surplus], digits[-surplus:]
        if dropped.strip("0"):
            raise Misfit("decimals")
    elif digits:
        digits += "0" * min(-surplus, DECIMAL_DIGITS + 1)
    if len(digits) > DECIMAL_DIGITS:
        raise Misfit("range")
    return int(sign + (digits or "0"))


def _moment(text: str, zone: tzinfo) -> datetime:
    if is_finer_than_kept(text) and not is_invalid_date(text):
        raise Misfit("fraction")
    moment = read_date(text, zone, first=_FIRST_DAY)
    match moment:
        case DateFault.INVALID:
            raise Misfit
        case DateFault.OUT_OF_RANGE:
            raise Misfit("range")
    return moment


_DECORATION = re.compile(
    r'"[^"]*"|\\.|_.|\*.'
    r"|\[(?:\$[^\[\]]*|black|blue|cyan|green|magenta|red|white|yellow|color ?[0-9]+)\]"
    r"|[-+$():!^&'~{}<>= ]|[^\x00-\x7f]",
    re.IGNORECASE,
)
_PLACES = re.compile(r"(?=.*[#0?])[#0?]*(?:,[#0?]+)*(?:\.(?P<decimals>[#0?]*))?")
_DECIMALS_MAX = 30
"""Decimals of a number format (Excel specifications and limits)."""

_PLAIN_DAY = rf"(?!0000){PLAIN_DAY}"
_PLAIN_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6}+)?+)?+"


class Stored(Enum):
    """The types of columns in a file."""

    TEXT = "text"
    WHOLE = "whole"
    """64 bits."""
    DECIMAL = "decimal"
    DAY = "day"
    MOMENT = "moment"
    """Microseconds, without a time zone."""
    TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Kind:
    """How the cells of one column are stored."""

    stored: Stored
    format: FormatCell
    """Formats one cell that is not null."""
    are_plain: Callable[[str], bool]
    """Whether NUL-joined cells are all empty or formatted as they may be; one call for a whole column."""
    decimals: int = 0
    empty_is_null: bool = True
    is_invalid: Callable[[str], bool] | None = None
    """What is counted as kept though its type does not accept it."""


def kind_of(column: ColumnSpec, options: ExportOptions) -> Kind:
    """Decide how ``column`` is stored.

    Whole numbers and decimals are what a number's ``format`` declares, such as
    ``0`` and ``0.00``; without one, no type but text holds every number.
    Where invalid values are kept as text, every column is one of texts. Of
    detected columns only numbers take another form: they are stored as sent.
    """
    check = form_check(column, options.timezone)
    if options.on_invalid == "text":
        return _as_sent(column, check or type_check(column))
    kind = _declared_kind(column, options)
    return kind if check is None or column.type is ColumnType.NUMBER else _as_shown(kind, check)


def _declared_kind(column: ColumnSpec, options: ExportOptions) -> Kind:
    match column.type:
        case ColumnType.STRING:
            return Kind(Stored.TEXT, format_text, lambda _: True, empty_is_null=False)
        case ColumnType.NUMBER:
            return _number_kind(None if column.detected else declared_decimals(column.format))
        case ColumnType.DATE:
            return Kind(Stored.DAY, format_day(time_zone(options.timezone)), _all(_PLAIN_DAY))
        case ColumnType.DATETIME:
            plain = _all(rf"{_PLAIN_DAY}(?:[ T]{_PLAIN_TIME})?+")
            return Kind(Stored.MOMENT, format_moment(time_zone(options.timezone)), plain)
        case ColumnType.BOOLEAN:
            words = boolean_words(column.format)
            return Kind(Stored.TRUTH, _format_truth(words), _never, empty_is_null=words.read("") is None)
    assert_never(column.type)


def declared_decimals(code: str) -> int | None:
    """Count the decimals that a number format asks for; None when it does not show the number as it is.

    Percentages, fractions, exponents, dates, thousands cut off and formats that
    depend on the value declare nothing.
    """
    section = _DECORATION.sub("", code).partition(";")[0]
    found = _PLACES.fullmatch(section)
    if found is None:
        return None
    decimals = len(found["decimals"] or "")
    return decimals if decimals <= _DECIMALS_MAX else None


def _as_sent(column: ColumnSpec, check: CellCheck | None) -> Kind:
    """Texts, of which those that ``check`` finds odd are counted."""
    if check is None:
        return Kind(Stored.TEXT, format_text, lambda _: True, empty_is_null=False)
    empty_is_null = column.type is not ColumnType.BOOLEAN or boolean_words(column.format).read("") is None
    return Kind(Stored.TEXT, format_text, check.are_plain, empty_is_null=empty_is_null, is_invalid=check.is_odd)


def _as_shown(kind: Kind, check: CellCheck) -> Kind:
    """``kind``, but for values that are written otherwise than the column was detected by: no cell can keep them."""

    def format_cell(text: str) -> str:
        formatted = kind.format(text)
        if check.is_odd(text):
            raise Misfit(FORM)
        return formatted

    return replace(
        kind, format=format_cell, are_plain=lambda joined: kind.are_plain(joined) and check.are_plain(joined)
    )


def _number_kind(decimals: int | None) -> Kind:
    if decimals is None:
        return Kind(Stored.TEXT, format_number_text, are_plain_numbers)
    if decimals == 0:
        return Kind(Stored.WHOLE, format_whole, _all(r"-?+(?:0|[1-9][0-9]{0,17}+)"))
    whole = DECIMAL_DIGITS - decimals
    plain = _all(rf"-?+(?:0|[1-9][0-9]{{0,{whole - 1}}}+)(?:\.[0-9]{{1,{decimals}}}+)?+")
    return Kind(Stored.DECIMAL, format_decimal(decimals), plain, decimals=decimals)


@cache
def _pattern(plain: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{plain})?+(?:\0(?:{plain})?+)*+")


def _all(plain: str) -> Callable[[str], bool]:
    pattern = _pattern(plain)
    return lambda joined: pattern.fullmatch(joined) is not None


def _never(joined: str) -> bool:
    del joined
    return False


def _format_truth(words: BooleanWords) -> FormatCell:
    texts = {True: "true", False: "false"}

    def format_cell(text: str) -> str:
        truth = words.read(text)
        if truth is None:
            raise Misfit
        return texts[truth]

    return cache(format_cell)
