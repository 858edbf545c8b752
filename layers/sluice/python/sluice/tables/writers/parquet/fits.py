"""What fits a typed column without losing a digit, one value at a time, in the one spelling the library reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, time, tzinfo

from sluice.tables.values.cell_checks import is_invalid_date, is_invalid_number
from sluice.tables.values.dates import DateFault, is_finer_than_kept, read_date

Spell = Callable[[str], str]
"""Gives the spelling of a value, or raises ``Misfit``."""

DECIMAL_DIGITS = 38
"""A decimal column has this many digits, before and after the point together."""
_INT64_END = 2**63
_FIRST_DAY = datetime.min  # noqa: DTZ901 -- cells have no time zone
_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


class Misfit(ValueError):
    """A value that the column cannot hold. ``reason`` is empty when its type does not accept it at all."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def spell_text(text: str) -> str:
    """Any text."""
    return text


def spell_number_text(text: str) -> str:
    """A number as sent, for a column of texts."""
    if is_invalid_number(text):
        raise Misfit
    return text


def spell_whole(text: str) -> str:
    """A number without decimals, within 64 bits."""
    units = _units(text, 0)
    if not -_INT64_END <= units < _INT64_END:
        raise Misfit("range")
    return str(units)


def spell_decimal(decimals: int) -> Spell:
    """Make the spelling of numbers with at most ``decimals`` decimals, zeros at their end apart."""

    def spell(text: str) -> str:
        units = _units(text, decimals)
        if abs(units) >= 10**DECIMAL_DIGITS:
            raise Misfit("range")
        digits = f"{abs(units):0{decimals + 1}d}"
        return f"{'-' if units < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"

    return spell


def spell_day(zone: tzinfo) -> Spell:
    """Make the spelling of days; a time of day other than midnight does not fit."""

    def spell(text: str) -> str:
        moment = _moment(text, zone)
        if moment.time() != time.min:
            raise Misfit("time_of_day")
        return moment.date().isoformat()

    return spell


def spell_moment(zone: tzinfo) -> Spell:
    """Make the spelling of wall-clock times in ``zone``."""
    return lambda text: _moment(text, zone).isoformat(" ")


def _units(text: str, decimals: int) -> int:
    """A number as a whole number of its last decimal place; one digit too many is enough to be out of range."""
    found = _NUMBER.fullmatch(text)
    if found is None or is_invalid_number(text):
        raise Misfit
    sign, whole, fraction, exponent = found[1], found[2], found[3] or "", int(found[4] or 0)
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
