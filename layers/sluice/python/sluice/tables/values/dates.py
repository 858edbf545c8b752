"""What counts as a date, and which day and time of day it is.

Accepted is the extended form of ISO 8601: ``2025-03-14``, and after a blank
or ``T`` a time ``09:26``, ``09:26:53`` or ``09:26:53.123456`` with an optional
offset ``Z``, ``+08:00``, ``+0800`` or ``+08``. Date and datetime columns
accept the same; they differ in how they are shown.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9}+)?+)?+"
OFFSET = r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?+)"
"""What may stand behind a time."""
PLAIN_DAY = (
    r"[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
"""Exact for every day but 29 February, which only a calendar can judge."""
_PLAIN = rf"(?:{PLAIN_DAY}(?:[ T]{_TIME}{OFFSET}?+)?+)?+"
_PLAIN_COLUMN = re.compile(rf"{_PLAIN}(?:\0{_PLAIN})*+")
_MOMENT = re.compile(
    rf"(?P<year>[0-9]{{4,6}}+)-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01])"
    rf"(?:[ T](?P<time>{_TIME})(?P<offset>{OFFSET})?+)?+"
)
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_FINER_THAN_KEPT = re.compile(r"\.[0-9]{6}0*[1-9]")
_KEPT_CHARS = len("2025-03-14 09:26:53.123456")
_CALENDAR_CYCLE = 400
"""Years after which the Gregorian calendar repeats."""
_FIRST_SHOWN = datetime(1900, 1, 1)  # noqa: DTZ001 -- cells have no time zone


class DateFault(Enum):
    """Why a text has no date that a cell can show."""

    INVALID = "invalid"
    OUT_OF_RANGE = "out_of_range"
    """A real date before 1900-01-01, or what else is the first, or after 9999-12-31."""


@cache
def time_zone(name: str) -> tzinfo:
    """The zone in which dates with an offset are shown; UTC for no name. Raises ValueError for an unknown one.

    Zones are those of the package ``tzdata``, whose version is locked: a
    machine's own may be older, and has names that are not IANA's, such as
    ``localtime`` and ``right/UTC``.
    """
    if not name:
        return UTC
    package = find_spec("tzdata")  # importing it would bring the library of resources, four megabytes
    if _ZONE_NAME.fullmatch(name) is None or package is None or not package.submodule_search_locations:
        raise ValueError("no such time zone")
    try:
        with Path(package.submodule_search_locations[0], "zoneinfo", name).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except OSError as error:
        raise ValueError("no such time zone") from error


def are_plain_dates(joined: str) -> bool:
    """Whether every cell of a NUL-joined column is empty or a valid date other than a 29 February.

    One call for a whole column; False only means that the cells need a look one by one.
    """
    return _PLAIN_COLUMN.fullmatch(joined) is not None


def read_date(text: str, zone: tzinfo = UTC, *, first: datetime = _FIRST_SHOWN) -> datetime | DateFault:
    """The wall-clock time that one cell shows, without tzinfo; digits beyond microseconds are dropped.

    A date with an offset is converted to ``zone``; one without stays as sent.
    What is before ``first`` is out of range.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return DateFault.INVALID
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if not _is_day(year, month, day):
        return DateFault.INVALID
    if not max(first.year - 1, MINYEAR) <= year <= MAXYEAR:
        return DateFault.OUT_OF_RANGE
    moment = _at(datetime(year, month, day), found["time"])  # noqa: DTZ001 -- the offset is applied below
    if found["offset"]:
        try:
            moment = moment.replace(tzinfo=_offset(found["offset"])).astimezone(zone).replace(tzinfo=None)
        except OverflowError:
            return DateFault.OUT_OF_RANGE
    return moment if moment >= first else DateFault.OUT_OF_RANGE


def is_finer_than_kept(text: str) -> bool:
    """Whether a valid date has digits beyond microseconds, which ``read_date`` drops, other than zeros."""
    return len(text) > _KEPT_CHARS and _FINER_THAN_KEPT.search(text) is not None


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        datetime(_CALENDAR_CYCLE + year % _CALENDAR_CYCLE, month, day)  # noqa: DTZ001 -- only the calendar is asked
    except ValueError:
        return False
    return True


def _at(day: datetime, time: str | None) -> datetime:
    if time is None:
        return day
    seconds, _, fraction = time[6:].partition(".")
    return day + timedelta(
        hours=int(time[:2]),
        minutes=int(time[3:5]),
        seconds=int(seconds or 0),
        microseconds=int(fraction[:6].ljust(6, "0")),
    )


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
