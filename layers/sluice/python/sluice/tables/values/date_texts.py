"""Dates of a column as text by the column's Excel format, for files that have no number formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, tzinfo
from enum import Enum
from typing import NamedTuple

from sluice.tables.batch import SEPARATOR
from sluice.tables.file_plan import Warned
from sluice.tables.values.dates import DateFault, read_date

_TOKEN = re.compile(
    r'"(?P<text>[^"]*)"|\\(?P<escaped>.)|(?P<blank>_.)|(?P<fill>\*.)|(?P<end>;)'
    r"|\[(?:\$[^\[\]]*|black|blue|cyan|green|magenta|red|white|yellow|color ?[0-9]+)\]"
    r"|(?P<half>am/pm|a/p|上午/下午)|(?P<fraction>(?<=s)\.0+)"
    r"|(?P<year>y+)|(?P<month>m+)|(?P<day>d+)|(?P<hour>h+)|(?P<second>s+)"
    r"|(?P<foreign>general|a{3,}|[egb]|[0#?%@\[\]])|(?P<literal>.)",
    re.IGNORECASE | re.DOTALL,
)
_FIELDS = {"year", "month", "day", "hour", "second"}
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_DAY_CHARS = len("2025-03-14")
_MINUTE_CHARS = len("2025-03-14 09:26")
_ANY_DAY = "2000-01-01"
_FIRST_DAY = datetime.min  # noqa: DTZ901 -- cells have no time zone
_REMEMBERED_MAX = 4096
"""Texts remembered for each part of a moment; bounds memory when they do not repeat."""


class Depends(Enum):
    """What of a moment decides a piece of its text."""

    DAY = "day"
    MINUTE = "minute"
    SECOND = "second"
    NOTHING = "nothing"


class Piece(NamedTuple):
    """One stretch of the text."""

    depends: Depends
    write: Callable[[datetime], str]


class _Token(NamedTuple):
    kind: str
    text: str


def read_date_format(code: str) -> tuple[Piece, ...]:
    """Cut ``code`` into the pieces of text it asks for, in order.

    Of a format with several sections the first is read, the one for dates.
    Colours and language marks are dropped, names of months and days are
    English. Raises ValueError for what means nothing for a date
    (``0.00``, ``General``), and for elapsed time (``[h]``) and conditions.
    """
    tokens = _tokens(code)
    has_half = any(token.kind == "half" for token in tokens)
    return tuple(_piece(token, has_half=has_half) for token in tokens)


def _tokens(code: str) -> list[_Token]:
    tokens: list[_Token] = []
    for found in _TOKEN.finditer(code):
        kind = found.lastgroup
        if kind == "foreign":
            raise ValueError("not a date format")
        if kind == "end":
            break
        if kind is not None:
            tokens.append(_Token(kind, found[kind]))
    return _tell_minutes(tokens)


def _tell_minutes(tokens: list[_Token]) -> list[_Token]:
    """Call an ``m`` or ``mm`` after an hour or before a second a minute."""
    fields = [index for index, token in enumerate(tokens) if token.kind in _FIELDS]
    kinds = ["", *(tokens[index].kind for index in fields), ""]
    for position, index in enumerate(fields, 1):
        beside_clock = kinds[position - 1] == "hour" or kinds[position + 1] == "second"
        if kinds[position] == "month" and beside_clock and len(tokens[index].text) <= len("mm"):
            tokens[index] = _Token("minute", tokens[index].text)
    return tokens


def _piece(token: _Token, *, has_half: bool) -> Piece:
    width = len(token.text)
    match token.kind:
        case "year" | "month" | "day":
            return Piece(Depends.DAY, _day_writer(token.kind, width))
        case "hour" if has_half:
            return Piece(Depends.MINUTE, lambda moment: f"{(moment.hour - 1) % 12 + 1:0{min(width, 2)}}")
        case "hour" | "minute":
            return Piece(Depends.MINUTE, lambda moment: f"{getattr(moment, token.kind):0{min(width, 2)}}")
        case "half":
            morning, _, afternoon = token.text.partition("/")
            return Piece(Depends.MINUTE, lambda moment: afternoon if moment.hour >= 12 else morning)  # noqa: PLR2004 -- noon
        case "second" | "fraction":
            is_second, digits = token.kind == "second", width - 1
            return Piece(
                Depends.SECOND,
                lambda moment: (
                    f"{moment.second:0{min(width, 2)}}"
                    if is_second
                    else "." + f"{moment.microsecond:06}".ljust(digits, "0")[:digits]
                ),
            )
    text = {"blank": " ", "fill": ""}.get(token.kind, token.text)
    return Piece(Depends.NOTHING, lambda _: text)


def _day_writer(kind: str, width: int) -> Callable[[datetime], str]:
    """Write a year, month or day: as a number for one or two letters, else its name or all of its digits."""
    is_short = width <= len("dd")
    match kind:
        case "year":
            return lambda moment: f"{moment.year % 100:02}" if is_short else f"{moment.year:04}"
        case "month":
            letters_max = {3: 3, 5: 1}.get(width)
            return lambda moment: f"{moment.month:0{width}}" if is_short else _MONTHS[moment.month - 1][:letters_max]
        case _:
            letters_max = 3 if width == len("ddd") else None
            return lambda moment: f"{moment.day:0{width}}" if is_short else _WEEKDAYS[moment.weekday()][:letters_max]


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


class _WrittenParts(dict[str, str]):
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


def _split(pieces: tuple[Piece, ...]) -> tuple[_WrittenParts, _WrittenParts, _WrittenParts] | None:
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
    return (
        _WrittenParts(day, lambda text: text),
        _WrittenParts(minute, lambda text: f"{_ANY_DAY}{text}"),
        _WrittenParts(second, _with_seconds),
    )


def _with_seconds(text: str) -> str:
    """Complete the seconds to a moment; an offset would change the day, so it is no plain date."""
    if text and not text.replace(":", "").replace(".", "").isdigit():
        raise KeyError(text)
    return f"{_ANY_DAY} 00:00{text}"
