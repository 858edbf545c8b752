"""Dates of a column as text by the column's format, for files that have no number formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, tzinfo

from sluice.tables.batch import SEPARATOR
from sluice.tables.file_plan import Warned
from sluice.tables.values.date_formats import Depends, Piece, read_date_format
from sluice.tables.values.dates import DateFault, read_date

_DAY_CHARS = len("2025-03-14")
_MINUTE_CHARS = len("2025-03-14 09:26")
_ANY_DAY = "2000-01-01"
_FIRST_DAY = datetime.min  # noqa: DTZ901 -- cells have no time zone
_REMEMBERED_MAX = 4096
"""Texts remembered for each part of a moment; bounds memory when they do not repeat."""


class DateTexts:
    """Writes the dates of one column.

    Day, minute and second are looked up apart, in small dictionaries: that is
    ten times faster than reading each date, and most formats allow it.
    """

    def __init__(self, code: str, zone: tzinfo) -> None:
        """Read the format. Raises ValueError when ``code`` is none for dates."""
        self._pieces = read_date_format(code)
        self._zone = zone
        self._parts = _split(self._pieces)

    def write_column(self, joined: str, warnings: Counter[str]) -> str:
        """Write NUL-joined dates. What is no date, or none that the format can show, stays as sent, counted."""
        texts = joined.split(SEPARATOR)
        try:
            return SEPARATOR.join(self._write_plain(texts))
        except KeyError:
            return SEPARATOR.join([self._write(text, warnings) if text else "" for text in texts])

    def _write_plain(self, texts: list[str]) -> list[str]:
        """Look every date up. Raises KeyError when a text is not a date without an offset."""
        if self._parts is None:
            raise KeyError
        days, minutes, seconds = self._parts
        return [
            days[text[:_DAY_CHARS]] + minutes[text[_DAY_CHARS:_MINUTE_CHARS]] + seconds[text[_MINUTE_CHARS:]]
            if text
            else ""
            for text in texts
        ]

    def _write(self, text: str, warnings: Counter[str]) -> str:
        moment = read_date(text, self._zone, first=_FIRST_DAY)
        if isinstance(moment, DateFault):
            invalid = moment is DateFault.INVALID
            warnings[Warned.INVALID_AS_TEXT if invalid else Warned.DATE_AS_TEXT] += 1
            return text
        return "".join(piece.write(moment) for piece in self._pieces)


class _Remembered(dict[str, str]):
    """Texts by what was sent for one part of a moment, written when first asked for."""

    def __init__(self, pieces: list[Piece], complete: Callable[[str], str]) -> None:
        super().__init__()
        self._pieces = pieces
        self._complete = complete

    def __missing__(self, key: str) -> str:
        moment = read_date(self._complete(key), first=_FIRST_DAY)
        if isinstance(moment, DateFault):
            raise KeyError(key)
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        text = "".join(piece.write(moment) for piece in self._pieces)
        self[key] = text
        return text


def _split(pieces: tuple[Piece, ...]) -> tuple[_Remembered, _Remembered, _Remembered] | None:
    """Sort the pieces by what they depend on; None when they are not in the order day, minute, second."""
    order = [Depends.DAY, Depends.MINUTE, Depends.SECOND]
    groups: list[list[Piece]] = [[], [], []]
    reached = 0
    for piece in pieces:
        place = reached if piece.depends is Depends.NOTHING else order.index(piece.depends)
        if place < reached:
            return None
        reached = place
        groups[place].append(piece)
    day, minute, second = groups
    return _Remembered(day, _day), _Remembered(minute, _minute), _Remembered(second, _second)


def _day(text: str) -> str:
    return text


def _minute(text: str) -> str:
    return f"{_ANY_DAY}{text}"


def _second(text: str) -> str:
    """Complete the seconds to a moment; an offset would change the day, so it is no plain date."""
    if text and not text.replace(":", "").replace(".", "").isdigit():
        raise KeyError(text)
    return f"{_ANY_DAY} 00:00{text}"
