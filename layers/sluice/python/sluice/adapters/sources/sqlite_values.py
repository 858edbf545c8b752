"""Which values of SQLite are meant by what a condition compares a column with: any column may hold any kind."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from decimal import Decimal
from math import isinf
from typing import NamedTuple, TypeAlias

from sluice.adapters.databases.typed_values import number_of, text_for
from sluice.domain.pulled import Value
from sluice.domain.schema import ColumnType

Stored: TypeAlias = int | float | str | bytes
_INTEGERS = range(-(2**63), 2**63)
_KINDS = {int: "integer", float: "real", str: "text", bytes: "blob"}
_NO_KINDS = frozenset[str]()
_NUMBERS = frozenset({"integer", "real"})


class SqliteColumn(NamedTuple):
    """A column as SQLite describes it."""

    name: str
    type: str
    """As it was declared; may be empty, or anything."""
    is_never_null: int
    place_in_primary_key: int

    @property
    def own(self) -> frozenset[str]:
        """The kinds of values that its type promises, by their names in SQLite; none for a type that promises nothing.

        A DATE or a STRING is a number to SQLite, and holds texts in most files.
        """
        declared = self.type.upper()
        if "INT" in declared:
            return frozenset({"integer"})
        if any(part in declared for part in ("CHAR", "CLOB", "TEXT")):
            return frozenset({"text"})
        if "BLOB" in declared:
            return frozenset({"blob"})
        return _NUMBERS if self.is_real or declared.startswith(("NUM", "DEC", "BOOL")) else _NO_KINDS

    def kind_of(self, seen: frozenset[str]) -> ColumnType:
        """What its values are as texts, of which kinds SQLite says that they are of."""
        if seen and seen <= _NUMBERS:
            return ColumnType.NUMBER
        declared = self.type.upper()
        if not self.own and seen <= {"text"} and declared.startswith(("DATE", "TIMESTAMP")):
            return ColumnType.DATE if declared == "DATE" else ColumnType.DATETIME
        return ColumnType.STRING

    @property
    def is_nullable(self) -> bool:
        """A primary key may have none, for reasons of its history, where it is not the number of the row."""
        return not self.is_never_null and not (self.place_in_primary_key and self.type.upper() == "INTEGER")

    @property
    def is_real(self) -> bool:
        """Whether whole numbers are kept as ones with a fraction."""
        return any(part in self.type.upper() for part in ("REAL", "FLOA", "DOUB"))

    @property
    def expected(self) -> str:
        """What it is compared with, in words."""
        return "whole numbers of 64 bits" if self.own == {"integer"} else f"values of type {self.type}"


class Meant(NamedTuple):
    """The values whose cell says what is given, or that are the same number."""

    values: frozenset[Stored]
    is_own: bool
    """Whether one of them is of the column's type: others are there only where SQLite let them in."""


def meant_by(column: SqliteColumn, value: Value) -> Meant:
    """Raises ``NotOfItsType`` for what no row of the column can have."""
    if column.own == {"text"}:  # no number is kept in it
        text = text_for(value)
        return Meant(frozenset({text, *_bytes_of(text)}), is_own=True)
    numbers, texts = set(_numbers(column, value)), set(_texts(value))
    found: set[Stored] = {*numbers, *(raw for text in texts for raw in _bytes_of(text))}
    if not (column.own <= _NUMBERS and column.own and number_of(value) is not None):  # else kept as a number
        found |= texts
    kinds = {_KINDS[type(one)] for one in found if column.own != {"blob"} or isinstance(value, str)}
    return Meant(frozenset(found), is_own=not column.own or bool(column.own & kinds))


def _texts(value: Value) -> Iterator[str]:
    yield str(value)
    if isinstance(value, float) and value.is_integer():
        yield str(int(value))


def _numbers(column: SqliteColumn, value: Value) -> Iterator[int | float]:
    """The number, where SQLite has one that is no other one's too."""
    number = number_of(value)
    if number is None:
        return
    is_whole, rounded = number == number.to_integral_value(), float(number)
    if is_whole and int(number) in _INTEGERS and not column.is_real:
        yield int(number)
    elif not isinf(rounded) and (column.is_real or not is_whole or Decimal(repr(rounded)) == number):
        yield rounded


def _bytes_of(text: str) -> Iterator[bytes]:
    """The bytes that are written so."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if base64.b64encode(raw).decode() == text:
        yield raw
