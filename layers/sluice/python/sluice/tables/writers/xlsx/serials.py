"""Dates as the serial numbers of spreadsheets: days since 1899-12-31, with a 29 February 1900 that never was."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from functools import cache, lru_cache

from sluice.tables.values.dates import DateFault, read_date

_SECONDS_OF_DAY = 86_400
_LAST_OF_SECOND = 999_000
_ROUNDS_UP = 999_450
"""Microseconds from which three decimals may show the next second,
perhaps of the next day; doubles of far years are coarse."""
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


def keeps_time(moment: datetime) -> bool:
    """Whether the serial number has the time to the microsecond; at the end of a second only to the millisecond."""
    return moment.microsecond < _ROUNDS_UP


def serial_of(moment: datetime) -> bytes:
    """The serial number of a time from 1900-01-01 to 9999-12-31: the closest double, with all digits that tell it."""
    if not keeps_time(moment):
        moment = moment.replace(microsecond=_LAST_OF_SECOND)
    since = moment - (_EPOCH if moment >= _LEAP_BUG_ENDS else _EPOCH + timedelta(days=1))
    microseconds = (since.days * _SECONDS_OF_DAY + since.seconds) * 1_000_000 + since.microseconds
    return (b"%a" % (microseconds / (_SECONDS_OF_DAY * 1_000_000))).removesuffix(b".0")


class _Days(dict[bytes, int]):
    """Serial numbers by date, filled as dates occur; KeyError for what is no date that a cell can show."""

    def __missing__(self, text: bytes) -> int:
        if len(self) >= _DAYS_KEPT:
            self.clear()
        moment = read_date(text.decode())
        if isinstance(moment, DateFault):
            raise KeyError(text)
        self[text] = int(serial_of(moment))
        return self[text]


class SerialDates:
    """Reads columns whose cells all have one shape, ``2025-03-14`` or ``2025-03-14 09:26:53``, without parsing each.

    Days are looked up; times of day are added up for the whole column at once.
    """

    def __init__(self, *, strip_z: bool) -> None:
        self._strip_z = strip_z
        self._days = _days()

    def read(self, joined: str, rows: int) -> list[bytes] | None:
        """The serials of a NUL-joined column; None when it is not so simple."""
        if not rows or not joined.isascii():
            return None
        in_utc = self._strip_z and joined.endswith("Z")
        if in_utc:
            joined = joined.replace("Z\0", "\0").removesuffix("Z")
        data = joined.encode()
        shape = data.translate(_TO_SHAPE)
        try:
            if shape == (_DATE_SHAPE * rows)[:-1] and not in_utc:  # a date without a time has no offset
                return list(map(b"%d".__mod__, map(self._days.__getitem__, data.split(b"\0"))))
            if shape == (_DATETIME_SHAPE * rows)[:-1]:
                return self._datetimes(data, rows)
        except KeyError:  # a day that does not exist
            return None
        return None

    def _datetimes(self, data: bytes, rows: int) -> list[bytes] | None:
        if any(data[place::_STRIDE].translate(None, b"012345") for place in _SIXTIES_AT):
            return None
        days = list(map(self._days.__getitem__, _dates(rows).unpack(data + b"\0")))
        seconds = _seconds(data, rows)
        if max(seconds) >= _SECONDS_OF_DAY:  # an hour that does not exist
            return None
        moments = zip(days, seconds, strict=True)
        # A division of whole numbers gives the closest double, which is written as the shortest text that means it.
        return [
            b"%a" % ((day * _SECONDS_OF_DAY + second) / _SECONDS_OF_DAY) if second else b"%d" % day
            for day, second in moments
        ]


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
