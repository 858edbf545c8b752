"""Dates as the serial numbers of spreadsheets: days since 1899-12-31, with a 29 February 1900 that never was."""

from __future__ import annotations

import struct
from datetime import datetime, time, timedelta
from functools import cache, lru_cache

from sluice.tables.values.dates import DateFault, read_date

_UNIT = 10**11
"""Fractions of a day have eleven decimals: finer than a double near today's serials, as fine as the microsecond."""
_SECONDS_OF_DAY = 86_400
_LAST_MICROSECONDS = _SECONDS_OF_DAY * 1_000_000 - 1_000
"""The last millisecond of a day; a later time would round up to the next day in readers, and in a far year's double."""
_LAST_TIME = time(23, 59, 59, 999_000)
_DAYS_KEPT = 20_000
"""Distinct dates remembered; more than fifty years, in about three megabytes."""

_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 -- serials have no time zone
_LEAP_BUG_ENDS = datetime(1900, 3, 1)  # noqa: DTZ001 -- serials have no time zone

_DATE_SHAPE = b"0000-00-00\0"
_DATETIME_SHAPE = b"0000-00-00 00:00:00\0"
_TO_SHAPE = bytes.maketrans(b"123456789T", b"000000000 ")
_STRIDE = len(_DATETIME_SHAPE)
_DATE_BYTES = len("0000-00-00")
_TIME_DIGITS = {11: 36_000, 12: 3_600, 14: 600, 15: 60, 17: 10, 18: 1}
"""Where a datetime has the digits of its time, and how many seconds each is worth."""
_SIXTIES_AT = (14, 17)
"""Where a digit is below six. An hour beyond 23 shows in the sum."""
_ZERO_TIME = ord("0") * sum(_TIME_DIGITS.values())

_ROUND_SECONDS = 864
"""A hundredth of a day, so that time of day splits into two decimals and a rest that 100 times share."""


def keeps_time(moment: datetime) -> bool:
    """Whether the serial number has the time of day to the microsecond; near midnight only to the millisecond."""
    return moment.time() <= _LAST_TIME


def serial_of(moment: datetime) -> bytes:
    """The serial number of a time from 1900-01-01 to 9999-12-31, in decimal."""
    since = moment - (_EPOCH if moment >= _LEAP_BUG_ENDS else _EPOCH + timedelta(days=1))
    microseconds = min(since.seconds * 1_000_000 + since.microseconds, _LAST_MICROSECONDS)
    return b"%d" % since.days + _fraction(microseconds, _SECONDS_OF_DAY * 1_000_000)


def _fraction(part: int, whole: int) -> bytes:
    """``part / whole`` below 1 as decimals with their point; nothing for zero."""
    decimals = (2 * part * _UNIT + whole) // (2 * whole)
    return (b".%011d" % decimals).rstrip(b"0").rstrip(b".")


class _Days(dict[bytes, bytes]):
    """Serial numbers by date, filled as dates occur; KeyError for what is no date that a cell can show."""

    def __missing__(self, text: bytes) -> bytes:
        if len(self) >= _DAYS_KEPT:
            self.clear()
        moment = read_date(text.decode())
        if isinstance(moment, DateFault):
            raise KeyError(text)
        self[text] = serial_of(moment)
        return self[text]


class SerialDates:
    """Reads columns whose cells all have one shape, ``2025-03-14`` or ``2025-03-14 09:26:53``, without parsing each.

    Days are looked up; times of day are added up for the whole column at once.
    """

    def __init__(self, *, strip_z: bool) -> None:
        self._strip_z = strip_z
        self._days = _days()

    def read(self, joined: str, rows: int) -> tuple[list[bytes], ...] | None:
        """The serials of a NUL-joined column in pieces to put together; None when it is not so simple."""
        if not rows or not joined.isascii():
            return None
        in_utc = self._strip_z and joined.endswith("Z")
        if in_utc:
            joined = joined.replace("Z\0", "\0").removesuffix("Z")
        data = joined.encode()
        shape = data.translate(_TO_SHAPE)
        try:
            if shape == (_DATE_SHAPE * rows)[:-1] and not in_utc:  # a date without a time has no offset
                return (list(map(self._days.__getitem__, data.split(b"\0"))),)
            if shape == (_DATETIME_SHAPE * rows)[:-1]:
                return self._datetimes(data, rows)
        except (KeyError, IndexError):  # a day or an hour that does not exist
            return None
        return None

    def _datetimes(self, data: bytes, rows: int) -> tuple[list[bytes], ...] | None:
        if any(data[place::_STRIDE].translate(None, b"012345") for place in _SIXTIES_AT):
            return None
        days = list(map(self._days.__getitem__, _dates(rows).unpack(data + b"\0")))
        seconds = _seconds(data, rows)
        hundredths, rests = _fractions()
        return days, list(map(hundredths.__getitem__, seconds)), list(map(rests.__getitem__, seconds))


@lru_cache(maxsize=4)
def _dates(rows: int) -> struct.Struct:
    """Takes the dates out of a column in shape. Made for each number of rows: of slices, all but the last are alike."""
    return struct.Struct(f"{_DATE_BYTES}s{_STRIDE - _DATE_BYTES}x" * rows)


def _seconds(data: bytes, rows: int) -> list[int]:
    """The seconds of the day of every row, from the digits of a column in shape.

    The column is taken as one large number with four bytes for each row, so
    that one multiplication and one addition per digit serve all rows.
    """
    total = 0
    for place, worth in _TIME_DIGITS.items():
        words = bytearray(4 * rows)
        words[::4] = data[place::_STRIDE]
        total += int.from_bytes(words, "little") * worth
    total -= int.from_bytes(_ZERO_TIME.to_bytes(4, "little") * rows, "little")
    return list(struct.unpack(f"<{rows}I", total.to_bytes(4 * rows, "little")))


@cache
def _days() -> _Days:
    """The same for all columns: a day's serial number is."""
    return _Days()


@cache
def _fractions() -> tuple[list[bytes], list[bytes]]:
    """For every second of the day the fraction as ``_fraction`` writes it: point and two decimals, and the rest."""
    hundredths = [start for start in (b".%02d" % number for number in range(100)) for _ in range(_ROUND_SECONDS)]
    rests = [_fraction(second, _SECONDS_OF_DAY)[3:] for second in range(_ROUND_SECONDS)] * 100
    for second in range(0, _SECONDS_OF_DAY, _ROUND_SECONDS):
        hundredths[second] = _fraction(second, _SECONDS_OF_DAY)
    return hundredths, rests
