"""Dates as the serial numbers of spreadsheets: days since 1899-12-31, with a 29 February 1900 that never was."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

from sluice.streams.dates import DateFault, read_date

_UNIT = 10**11
"""Fractions of a day have eleven decimals: finer than a double near today's serials, as fine as the microsecond."""
_SECONDS_OF_DAY = 86_400
_SECONDS_OF_HOUR = 3_600
_LAST_MICROSECONDS = _SECONDS_OF_DAY * 1_000_000 - 1_000
"""The last millisecond of a day; a later time would round up to the next day in readers, and in a far year's double."""
_DAYS_KEPT = 20_000
"""Distinct dates remembered; more than fifty years, in about three megabytes."""

_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 -- serials have no time zone
_LEAP_BUG_ENDS = datetime(1900, 3, 1)  # noqa: DTZ001 -- as above

_DATE_SHAPE = b"0000-00-00\0"
_DATETIME_SHAPE = b"0000-00-00 00:00:00\0"
_TO_SHAPE = bytes.maketrans(b"123456789T", b"000000000 ")
_TO_PARTS = bytes.maketrans(b" T", b"\0\0")


def serial_of(moment: datetime) -> bytes:
    """The serial number of a time from 1900-01-01 to 9999-12-31, in decimal."""
    since = moment - (_EPOCH if moment >= _LEAP_BUG_ENDS else _EPOCH + timedelta(days=1))
    microseconds = min(since.seconds * 1_000_000 + since.microseconds, _LAST_MICROSECONDS)
    return b"%d" % since.days + _fraction(microseconds, _SECONDS_OF_DAY * 1_000_000)


def _fraction(part: int, whole: int) -> bytes:
    """``part / whole`` below 1 as decimals with their point; nothing for zero."""
    return (b".%011d" % _decimals(part, whole)).rstrip(b"0").rstrip(b".")


def _decimals(part: int, whole: int) -> int:
    return (2 * part * _UNIT + whole) // (2 * whole)


@cache
def _hour(hour: int) -> list[bytes]:
    """The fractions of the seconds of one hour; the same as ``_fraction``, formatted in one go."""
    seconds = range(hour * _SECONDS_OF_HOUR, (hour + 1) * _SECONDS_OF_HOUR)
    decimals = tuple(_decimals(second, _SECONDS_OF_DAY) for second in seconds)
    return [fraction.rstrip(b"0").rstrip(b".") for fraction in (b".%011d " * len(decimals) % decimals).split()]


class _Days(dict[str, bytes]):
    """Serial numbers by date, filled as dates occur; KeyError for what is no date that a cell can show."""

    def __missing__(self, text: str) -> bytes:
        if len(self) >= _DAYS_KEPT:
            self.clear()
        moment = read_date(text)
        if isinstance(moment, DateFault):
            raise KeyError(text)
        self[text] = serial_of(moment)
        return self[text]


class SerialDates:
    """Reads columns whose cells all have one shape, ``2025-03-14`` or ``2025-03-14 09:26:53``, without parsing each.

    The day and the time of day are looked up; a day has only 86,400 seconds.
    """

    def __init__(self, *, strip_z: bool) -> None:
        self._strip_z = strip_z
        self._days = _Days()
        self._times: list[bytes | None] = []
        """By the number that the digits hhmmss spell; an hour is filled when it first occurs."""

    def read(self, joined: str, rows: int) -> tuple[list[bytes], ...] | None:
        """The serials of a NUL-joined column in pieces to put together; None when it is not so simple."""
        if not rows or not joined.isascii():
            return None
        if self._strip_z and joined.endswith("Z"):
            joined = joined.replace("Z\0", "\0").removesuffix("Z")
        data = joined.encode()
        shape = data.translate(_TO_SHAPE)
        try:
            if shape == (_DATE_SHAPE * rows)[:-1]:
                return (list(map(self._days.__getitem__, joined.split("\0"))),)
            if shape == (_DATETIME_SHAPE * rows)[:-1]:
                return self._datetimes(data)
        except (KeyError, IndexError):  # a day or a time that does not exist
            return None
        return None

    def _datetimes(self, data: bytes) -> tuple[list[bytes], list[bytes]] | None:
        parts = data.translate(_TO_PARTS, b":").decode().split("\0")
        days = list(map(self._days.__getitem__, parts[::2]))
        numbers = list(map(int, parts[1::2]))
        try:
            return days, self._look_up(numbers)
        except (TypeError, IndexError):
            self._fill({number // 10_000 for number in numbers})
        try:
            return days, self._look_up(numbers)
        except TypeError:
            return None

    def _look_up(self, numbers: list[int]) -> list[bytes]:
        times = list(map(self._times.__getitem__, numbers))
        b"".join(times)  # type: ignore[arg-type]  # the quickest way to a TypeError when one is None
        return times  # type: ignore[return-value]  # none is None

    def _fill(self, hours: set[int]) -> None:
        if not self._times:
            self._times = [None] * 240_000
        for hour in hours:
            if self._times[hour * 10_000] is None:
                fractions = _hour(hour)
                for minute in range(60):
                    number = hour * 10_000 + minute * 100
                    self._times[number : number + 60] = fractions[minute * 60 : minute * 60 + 60]
