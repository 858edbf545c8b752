"""Writes values into SQL of MySQL by the type of the column they are compared with: MySQL itself takes 1abc for 1."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime

from sluice.adapters.databases.typed_values import NotOfItsType, bytes_for, number_for, text_for, whole_for
from sluice.domain.pulled import Value

INTEGERS = {
    "tinyint": 8,
    "smallint": 16,
    "mediumint": 24,
    "int": 32,
    "bigint": 64,
    "bit": 64,
    "year": 16,
}
"""How many bits each has."""
BINARIES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
NO_ORDER = frozenset(
    {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "vector"}
    | {"geometrycollection", "geomcollection"}
)
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?))?")
_DURATION = re.compile(r"[+-]?([0-9]{1,3}):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?")
_HOURS_MAX = 838
_YEARS = range(1901, 2156)
_DIGITS_MAX = 65
"""Of a decimal."""


def quoted_identifier(name: str) -> str:
    """``name`` as the name of something, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def typed_literal(kind: str, value: Value) -> str:
    """``value`` as SQL of the type ``kind``. Raises ``NotOfItsType``.

    Every text that is not of digits and signs alone is written as the hexadecimal digits of its bytes.
    """
    if kind in INTEGERS:
        return _integer(value, kind)
    if kind in BINARIES:
        return hexed(_decoded(bytes_for(value)))
    if kind in _NUMBERS:
        return _NUMBERS[kind](value)
    if kind in _TIMES:
        return _TIMES[kind](str(value))
    return f"_utf8mb4 {text_bytes(text_for(value))}"


def text_bytes(text: str) -> str:
    """The bytes of a text. Raises ``NotOfItsType`` for halves of characters."""
    try:
        return hexed(text.encode())
    except UnicodeEncodeError as error:
        raise NotOfItsType from error


def hexed(raw: bytes) -> str:
    """Bytes as SQL."""
    return f"X'{raw.hex()}'"


def _integer(value: Value, kind: str) -> str:
    number, bits = whole_for(value), INTEGERS[kind]
    if not -(1 << bits - 1) <= number < 1 << bits:
        raise NotOfItsType
    if kind == "year" and number and number not in _YEARS:  # 26 would be taken for 2026
        raise NotOfItsType
    return str(number)


def _decimal(value: Value) -> str:
    written = format(number_for(value), "f")
    if len(written.lstrip("-").replace(".", "")) > _DIGITS_MAX:
        raise NotOfItsType
    return written


def _double(value: Value) -> str:
    """With an exponent: without one it would be a decimal."""
    written = repr(float(number_for(value)))
    if "inf" in written:
        raise NotOfItsType
    return written if "e" in written else f"{written}e0"


def _duration(text: str) -> str:
    found = _DURATION.fullmatch(text)
    if not found or int(found[1]) > _HOURS_MAX:
        raise NotOfItsType
    return f"'{text}'"


def _moment(text: str) -> str:
    found = _MOMENT.fullmatch(text)
    if not found:
        raise NotOfItsType
    date, time = found[1], found[2] or "00:00"
    year, month, day = date.split("-")
    # MySQL stores dates without a year, a month or a day: of those only the parts that are there can be checked.
    parts = (year if year > "0000" else "2000", month if month > "00" else "01", day if day > "00" else "01")
    _checked(f"{'-'.join(parts)}T{time}")
    return f"'{date} {time}'" if found[2] else f"'{date}'"


def _checked(text: str) -> None:
    try:
        datetime.fromisoformat(text)  # without a zone, as the column
    except ValueError as error:
        raise NotOfItsType from error


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotOfItsType from error


_NUMBERS = {"decimal": _decimal, "float": _double, "double": _double}
_TIMES = {"date": _moment, "datetime": _moment, "timestamp": _moment, "time": _duration}
