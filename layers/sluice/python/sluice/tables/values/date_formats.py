"""Reads an Excel date format as instructions for writing dates as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import NamedTuple

_TOKEN = re.compile(
    r'"(?P<text>[^"]*)"|\\(?P<escaped>.)|(?P<blank>_.)|(?P<fill>\*.)|(?P<end>;)'
    r"|\[(?:\$[^\[\]]*|black|blue|cyan|green|magenta|red|white|yellow|color ?[0-9]+)\]"
    r"|(?P<half>am/pm|a/p|上午/下午)|(?P<fraction>(?<=s)\.0+)"
    r"|(?P<year>y+)|(?P<month>m+)|(?P<day>d+)|(?P<hour>h+)|(?P<second>s+)"
    r"|(?P<foreign>general|e[+-]|[0#?%@\[\]])|(?P<literal>.)",
    re.IGNORECASE | re.DOTALL,
)
_FIELDS = {"year", "month", "day", "hour", "second"}
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


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
            return Piece(Depends.DAY, _DAY_WRITERS[token.kind](width))
        case "hour" if has_half:
            return Piece(Depends.MINUTE, lambda moment: f"{(moment.hour - 1) % 12 + 1:0{min(width, 2)}}")
        case "hour" | "minute":
            return Piece(Depends.MINUTE, lambda moment: f"{getattr(moment, token.kind):0{min(width, 2)}}")
        case "half":
            return Piece(Depends.MINUTE, _half(token.text))
        case "second" | "fraction":
            return Piece(Depends.SECOND, _second(width) if token.kind == "second" else _fraction(width - 1))
    text = {"blank": " ", "fill": ""}.get(token.kind, token.text)
    return Piece(Depends.NOTHING, lambda _: text)


def _year(width: int) -> Callable[[datetime], str]:
    return (lambda moment: f"{moment.year % 100:02}") if width <= len("yy") else (lambda moment: f"{moment.year:04}")


def _month(width: int) -> Callable[[datetime], str]:
    if width <= len("mm"):
        return lambda moment: f"{moment.month:0{width}}"
    letters_max = {3: 3, 5: 1}.get(width)
    return lambda moment: _MONTHS[moment.month - 1][:letters_max]


def _day(width: int) -> Callable[[datetime], str]:
    if width <= len("dd"):
        return lambda moment: f"{moment.day:0{width}}"
    letters_max = 3 if width == len("ddd") else None
    return lambda moment: _WEEKDAYS[moment.weekday()][:letters_max]


def _half(words: str) -> Callable[[datetime], str]:
    morning, _, afternoon = words.partition("/")
    return lambda moment: afternoon if moment.hour >= 12 else morning  # noqa: PLR2004 -- noon


def _second(width: int) -> Callable[[datetime], str]:
    return lambda moment: f"{moment.second:0{min(width, 2)}}"


def _fraction(digits: int) -> Callable[[datetime], str]:
    return lambda moment: "." + f"{moment.microsecond:06}".ljust(digits, "0")[:digits]


_DAY_WRITERS = {"year": _year, "month": _month, "day": _day}
