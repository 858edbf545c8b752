"""What cells and primary keys hold, and how primary keys are ordered."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias


class Bound(Enum):
    """Stands in a primary key where no value is: the ends of a range, and a number that the service chooses."""

    MIN = 9
    MAX = 10
    AUTO = 11


Value: TypeAlias = bool | int | float | str | bytes
KeyValue: TypeAlias = int | str | bytes | Bound
Key: TypeAlias = tuple[KeyValue, ...]
NamedKey: TypeAlias = tuple[tuple[str, KeyValue], ...]
SortKey: TypeAlias = tuple[tuple[int, int | bytes], ...]

_BOUND_RANKS = {Bound.MIN: 0, Bound.MAX: 2}


def sort_key(key: Key) -> SortKey:
    """Give ``key`` the service's order: numbers by size, texts by their UTF-8 bytes, the bounds outside."""
    return tuple(_rank(value) for value in key)


def _rank(value: KeyValue) -> tuple[int, int | bytes]:
    match value:
        case Bound():
            return _BOUND_RANKS[value], 0
        case str():
            return 1, value.encode()
        case _:
            return 1, value


def size_of(value: Value | KeyValue) -> int:
    """Return the bytes that ``value`` counts for in limits and capacity units."""
    match value:
        case bool():
            return 1
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case _:
            return 8
