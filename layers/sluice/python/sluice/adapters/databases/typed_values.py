"""What a condition compares a column with, read by the column's type: one rule for every database."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, TypeVar

from sluice.domain.pulled import Condition, Value
from sluice.ports.source import ConditionError, SourceError

T = TypeVar("T")
_NUMBER = re.compile(r"[+-]?([0-9]{1,80}(\.[0-9]{0,80})?|\.[0-9]{1,80})([eE][+-]?[0-9]{1,3})?")
_DAY = "([0-9]{4}-[0-9]{2}-[0-9]{2})"
_TIME = r"([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
_BOUND = re.compile(f"{_DAY}(?:[T ]{_TIME}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})?)?")
_FIRST_DAY = "0001-01-01"
_BEHIND_DAYS = ":"
"""Texts before the one and from the other on are no dates: an empty one is before all days, a word behind them."""


class NotOfItsType(ValueError):
    """A value that no row can have in a column of this type."""


def typed(condition: Condition, expected: str, read: Callable[[Value], T]) -> list[T]:
    """Each value as ``read`` gives it. Raises ``ConditionError`` with the place of the first that is refused."""
    found = []
    for index, value in enumerate(condition.values):
        try:
            found.append(read(value))
        except NotOfItsType:
            raise ConditionError(condition.column, expected, field=condition.field, index=index) from None
    return found


def number_of(value: Value) -> Decimal | None:
    """The number that it is, or that its text says: 7, "07" and "7.0" are one. None for what is no number."""
    text = repr(value) if isinstance(value, float) else str(value)
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def number_for(value: Value) -> Decimal:
    """As ``number_of``. Raises ``NotOfItsType``."""
    number = number_of(value)
    if number is None:
        raise NotOfItsType
    return number


def whole_for(value: Value) -> int:
    """The whole number that it is. Raises ``NotOfItsType``."""
    number = number_for(value)
    if number != number.to_integral_value():
        raise NotOfItsType
    return int(number)


def text_for(value: Value) -> str:
    """For a column of texts: a whole number is its digits. Raises ``NotOfItsType``.

    A number with a fraction may be several texts (1.5, 1.50), so that it would find some rows and not others.
    """
    if isinstance(value, float):
        raise NotOfItsType
    return str(value)


def bytes_for(value: Value) -> str:
    """For a column of bytes, the text that should be their base64. Raises ``NotOfItsType`` for a number."""
    if not isinstance(value, str):
        raise NotOfItsType
    return value


class Bound(NamedTuple):
    """A day or a moment at which a range begins or ends."""

    day: str
    time: str
    """Empty where it is a day."""
    zone: str
    """Empty where it is as the column says it."""

    @property
    def local(self) -> str:
        """As databases write it, with seconds where it is a moment."""
        return f"{self.day} {self.time}{':00' * (self.time.count(':') == 1)}" if self.time else self.day

    @property
    def shortest(self) -> str:
        """The first of all texts that say it, in their order: the seconds and their fraction may be left out."""
        if not self.time:
            return self.day
        time = self.time.rstrip("0").rstrip(".") if "." in self.time else self.time
        return f"{self.day} {time.removesuffix(':00') if time.count(':') > 1 else time}"

    @property
    def day_after(self) -> str:
        return (date.fromisoformat(self.day) + timedelta(days=1)).isoformat()

    @property
    def seconds(self) -> Decimal:
        """Since 1970, of one with a zone."""
        whole, _, fraction = self.time.partition(".")
        at = datetime.fromisoformat(f"{self.day}T{whole}{self.zone}").timestamp()
        return Decimal(f"{int(at)}.{fraction or '0'}")


def bound_of(condition: Condition) -> Bound | None:
    """The day or moment that the only value says; None where it is neither, or not a matter of order."""
    found = None if condition.test == "in" else _BOUND.fullmatch(str(condition.values[0]))
    return Bound(found[1], found[2] or "", found[3] or "") if found else None


def check_bound(condition: Condition, bound: Bound, expected: str, *, with_zone: bool, digits: int = 6) -> None:
    """Raise ``ConditionError`` for no day of the calendar, and for a zone where the column's values have none.

    ``digits``: so many of a second the column has at most.
    """
    mistake = ConditionError(condition.column, expected, field=condition.field)
    try:
        datetime.fromisoformat(f"{bound.day}T{bound.time[:15] or '00:00'}{bound.zone}")
    except ValueError:
        raise mistake from None
    if len(bound.time.partition(".")[2]) > digits:
        raise mistake
    if bound.zone and not with_zone:
        raise ConditionError(
            condition.column, "days, and moments without a zone, as it has them", field=condition.field
        )


def texts_within(column: str, replaced: str, condition: Condition, bound: Bound, write: Callable[[str], str]) -> str:
    """The rows whose texts are at or behind, or before ``bound``, as SQL; ``replaced`` has a space where they have a T.

    What a text says behind the time, as a zone, counts no more than its letters.
    """
    if condition.test == ">=":
        within = f"{column} >= {write(bound.day)} AND {column} < {write(_BEHIND_DAYS)}"
    else:
        last = bound.day_after if bound.time else bound.day
        within = f"{column} >= {write(_FIRST_DAY)} AND {column} < {write(last)}"
    return f"({within} AND {replaced} {condition.test} {write(bound.shortest)})" if bound.time else f"({within})"


def no_dates(place: str, column: str, kind: str) -> SourceError:
    """Why a column cannot be what a range of dates compares."""
    return SourceError(
        f"{column} of {place} is {kind}, and the dates of a range are compared with it: name a column of dates, or of "
        "texts as 2026-11-30 and 2026-11-30 08:15:00, in filters.date"
    )
