"""Finds values that a column would take and keep less of: servers round, cut and drop some of them without a word."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from sluice.ports.sink import RowsRefused

REFUSED_MAX = 10
"""So many rows at fault are named."""
_TYPE = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(-?\d+))?\))?((?: [a-z ]+)?)")
_WHOLE = frozenset({"smallint", "integer", "bigint", "tinyint", "mediumint", "int"})
_DECIMAL = frozenset({"numeric", "decimal"})
_TEXTS = frozenset({"character varying", "character", "varchar", "char"})
_FLOATS = frozenset({"double", "double precision"})
_MICROSECONDS = 6
_TIMES = frozenset({"timestamp", "time", "datetime"})
_ZONED = re.compile(r":\d\d(?:\.\d+)? ?(?:[+-]\d|[A-Za-z])")
_OF_A_DAY = re.compile(r"\d[ T]+\d")
_MIDNIGHT = re.compile(r".*\d[ T]+00:00(?::00(?:\.0+)?)?")
_LONG_NUMBER = re.compile(r"[0-9.]{16}")


class Loss(NamedTuple):
    """What a column would lose of some values."""

    seen: re.Pattern[str]
    """In the joined texts of a column where there may be such a value."""
    is_lost: Callable[[str], bool]
    """Whether something of this value would be."""
    reason: str


_OF_DATES = Loss(
    _OF_A_DAY,
    lambda text: bool(_OF_A_DAY.search(text) and not _MIDNIGHT.fullmatch(text)),
    "a point in time has a time of day, and its column keeps dates alone",
)


def losses_of(kind: str, *, time_digits: int = _MICROSECONDS) -> list[Loss]:
    """For a column of this type, as the server writes it with its length and the like.

    ``time_digits`` are the digits of seconds of a type of time that says none.
    """
    found = _TYPE.fullmatch(kind.removesuffix(" unsigned"))
    if not found:
        return []
    name, size, scale, rest = found[1], found[2], found[3], found[4]
    if name in _WHOLE or (name in _DECIMAL and size is not None):
        return _of_number(0 if name in _WHOLE else int(scale or 0))
    if name in _FLOATS:
        return [Loss(_LONG_NUMBER, _rounds_as_float, "a number has more digits than its column keeps")]
    if name in _TEXTS:
        return [_of_text(int(size or 1))]
    if name.partition(" ")[0] in _TIMES:
        return _of_time(int(size) if size else time_digits, has_zone="with time zone" in name + rest)
    return [_OF_DATES] if name == "date" else []


def refuse_losses(values: Sequence[str | None], losses: Sequence[Loss], column: str) -> None:
    """Raise ``RowsRefused`` where something of a value would be lost in its column."""
    if not losses:
        return
    joined = "\0".join([value for value in values if value is not None])
    for loss in losses:
        if not loss.seen.search(joined):
            continue
        rows = [row for row, value in enumerate(values) if value is not None and loss.is_lost(value)]
        if rows:
            raise RowsRefused(loss.reason, rows=rows[:REFUSED_MAX], column=column)


def decoded(values: Sequence[str | None], column: str) -> list[bytes | None]:
    """Bytes that come as base64. Raises ``RowsRefused`` for what is none."""
    found: list[bytes | None] = []
    wrong = []
    for row, value in enumerate(values):
        try:
            found.append(None if value is None else base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            wrong.append(row)
    if wrong:
        raise RowsRefused("a text is no base64, as which bytes come", rows=wrong[:REFUSED_MAX], column=column)
    return found


def _of_number(scale: int) -> list[Loss]:
    step = Decimal(1).scaleb(-scale)

    def is_rounded(text: str) -> bool:
        try:
            number = Decimal(text)
            return number.is_finite() and number % step != 0
        except InvalidOperation:
            return False  # the server says what it is

    finer = rf"\.\d{{{scale}}}\d*[1-9]|[eE]" if scale >= 0 else ""
    return [Loss(re.compile(finer), is_rounded, "a number has more decimals than its column keeps")]


def _of_text(length: int) -> Loss:
    """Other characters behind the length are refused by every server, spaces are not."""
    reason = "a text ends with spaces behind the length of its column, which would be cut"
    return Loss(re.compile(r" (?:\0|$)"), lambda text: len(text) > length and text[length:].isspace(), reason)


def _of_time(digits: int, *, has_zone: bool) -> list[Loss]:
    finer = re.compile(rf"\.\d{{{digits}}}\d*[1-9]")
    losses = [Loss(finer, lambda text: bool(finer.search(text)), "a time is finer than its column keeps")]
    if not has_zone:
        reason = "a point in time has an offset or zone, and its column keeps none"
        losses.append(Loss(_ZONED, lambda text: bool(_ZONED.search(text)), reason))
    return losses


def _rounds_as_float(text: str) -> bool:
    try:
        number = Decimal(text)
        return number.is_finite() and Decimal(repr(float(number))) != number
    except InvalidOperation:
        return False
