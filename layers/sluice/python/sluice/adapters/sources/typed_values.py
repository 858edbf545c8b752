"""What a condition compares a column with, read by the column's type: one rule for every database."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from sluice.domain.pulled import Condition, Value
from sluice.ports.source import ConditionError

T = TypeVar("T")
_NUMBER = re.compile(r"[+-]?([0-9]{1,80}(\.[0-9]{0,80})?|\.[0-9]{1,80})([eE][+-]?[0-9]{1,3})?")


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
