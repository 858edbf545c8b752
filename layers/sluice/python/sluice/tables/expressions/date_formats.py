"""Formats and units of dates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import MAXYEAR, datetime, timedelta
from decimal import Decimal
from typing import NoReturn

from sluice.tables.expressions.faults import Unfit, reason_of

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CODE = re.compile(r"%(.?)|([^%]+)", re.DOTALL)

CODES: Mapping[str, str] = {
    "Y": "{m.year:04}",
    "y": "{m.year % 100:02}",
    "m": "{m.month:02}",
    "c": "{m.month}",
    "d": "{m.day:02}",
    "e": "{m.day}",
    "H": "{m.hour:02}",
    "k": "{m.hour}",
    "h": "{(m.hour - 1) % 12 + 1:02}",
    "I": "{(m.hour - 1) % 12 + 1:02}",
    "l": "{(m.hour - 1) % 12 + 1}",
    "i": "{m.minute:02}",
    "s": "{m.second:02}",
    "S": "{m.second:02}",
    "f": "{m.microsecond:06}",
    "p": "{HALVES[m.hour // 12]}",
    "M": "{MONTHS[m.month - 1]}",
    "b": "{MONTHS[m.month - 1][:3]}",
    "W": "{WEEKDAYS[m.weekday()]}",
    "a": "{WEEKDAYS[m.weekday()][:3]}",
    "j": "{m.toordinal() - m.replace(month=1, day=1).toordinal() + 1:03}",
    "T": "{m.hour:02}:{m.minute:02}:{m.second:02}",
    "%": "%",
}
"""What a letter behind % writes, as in MySQL."""

UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_SECONDS = {"week": 604_800, "day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_MONTHS_OF = {"year": 12, "quarter": 3, "month": 1}
_COUNT_MAX = Decimal(10**12)
_ORIGIN = datetime(1, 1, 1)  # noqa: DTZ001 -- a Monday; values have no time zone


def read_format(code: str) -> Callable[[datetime], str]:
    """A function that writes a moment. Raises ValueError for a letter that means nothing."""
    pieces: list[str] = []
    names: dict[str, object] = {"MONTHS": _MONTHS, "WEEKDAYS": _WEEKDAYS, "HALVES": ("AM", "PM"), "__builtins__": {}}
    for letter, text in _CODE.findall(code):
        if text:
            name = f"k{len(names)}"
            names[name] = text
            pieces.append(f"{{{name}}}")
        elif letter not in CODES:
            raise ValueError(f"%{letter} is no part of a date: there are {' '.join('%' + one for one in CODES)}")
        else:
            pieces.append(CODES[letter])
    # Its pieces are of the table above; plain text is reached by a name.
    made: Callable[[datetime], str] = eval(f'lambda m: f"{"".join(pieces)}"', names)  # noqa: S307
    return made


def adder(number: Decimal, unit: str) -> Callable[[datetime], datetime]:
    """``add`` of so many units, which are looked at once."""
    try:
        count = whole(number)
        if unit not in _SECONDS:
            return lambda moment: add(moment, count, unit)
        later = timedelta(seconds=count * _SECONDS[unit])
    except (Unfit, OverflowError) as fault:
        reason = reason_of(fault)
        return lambda _: _refuse(reason)
    return lambda moment: moment + later


def _refuse(reason: str) -> NoReturn:
    raise Unfit(reason)


def add(moment: datetime, count: int, unit: str) -> datetime:
    """Later by so many units, earlier for fewer than none. The last day of a month stays within its month.

    Raises OverflowError beyond the years 1 to 9999.
    """
    if unit in _SECONDS:
        return moment + timedelta(seconds=count * _SECONDS[unit])
    months = moment.year * 12 + moment.month - 1 + count * _MONTHS_OF[unit]
    year, month = divmod(months, 12)
    if not 1 <= year <= MAXYEAR:
        raise OverflowError
    for day in range(moment.day, 27, -1):
        try:
            return moment.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    return moment.replace(year=year, month=month + 1)


_CUTS: Mapping[str, Callable[[datetime], datetime]] = {
    "second": lambda moment: moment.replace(microsecond=0),
    "minute": lambda moment: moment.replace(second=0, microsecond=0),
    "hour": lambda moment: moment.replace(minute=0, second=0, microsecond=0),
    "day": lambda moment: moment,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
    "quarter": lambda day: day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
    "year": lambda day: day.replace(month=1, day=1),
}


def truncate(moment: datetime, unit: str) -> datetime:
    """The beginning of its year, month, …; weeks begin on Monday."""
    if unit not in {"second", "minute", "hour"}:
        moment = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return _CUTS[unit](moment)


def difference(unit: str, first: datetime, last: datetime) -> int:
    """How many beginnings of a unit lie between: of days, how many midnights."""
    return _ordinal(last, unit) - _ordinal(first, unit)


def _ordinal(moment: datetime, unit: str) -> int:
    if unit in _MONTHS_OF:
        return (moment.year * 12 + moment.month - 1) // _MONTHS_OF[unit]
    since = moment - _ORIGIN
    return (since.days * _SECONDS["day"] + since.seconds) // _SECONDS[unit]


def whole(number: Decimal) -> int:
    """A count. Raises ``Unfit`` for a number with a fraction, or beyond what anything counts."""
    if not -_COUNT_MAX <= number <= _COUNT_MAX or number != int(number):
        raise Unfit("is no whole number, or too large a one")
    return int(number)
