"""Reads rows from a JSON array, every number with exactly the digits that were sent.

A fast decoder takes the common case. Whatever it refuses, or cannot be trusted
with, goes to an exact one, which accepts it or names the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.tables.batch import Batch
from sluice.tables.readers.lines import UTF8_BOM
from sluice.tables.readers.records import RowShape, batch_of_rows, rows_of_records

DIGITS_MAX = 4_300
"""A longer whole number is a mistake or an attack; most programs refuse it too."""

_fast = msgspec.json.Decoder(list, float_hook=str)  # of a typed list's numbers, float_hook is not asked
NEGATIVE_ZERO = re.compile(rb"-0[\],\s}]")
"""The fast decoder reads this number as 0."""
_GAPS = (b" :", b"\t:", b"\n:", b"\r:")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_TO_COMMA = re.compile(rb'(?:[^",]++|"(?:[^"\\]|\\.)*+")*+,', re.DOTALL)
_SOME_VALUES = re.compile(rb'(?:[^"]++|"(?:[^"\\]|\\.)*+"){1,10000}+', re.DOTALL)
_ROW_END = re.compile(rb"[\]}]\s*+,")


def read_json(body: bytes, shape: RowShape) -> Batch:
    """Read an array of rows, each an array of cells or an object keyed by column name.

    Raises INVALID_REQUEST, INVALID_TEXT, INVALID_VALUE, ROW_WIDTH_MISMATCH
    and BATCH_TOO_LARGE, with the row (from 1) where there is one.
    """
    body = body.removeprefix(UTF8_BOM)
    refuse_too_much(body, shape)
    records = _decode(body)
    rows = rows_of_records(records, shape, are_objects=bool(records) and isinstance(records[0], dict))
    return batch_of_rows(rows, shape)


def refuse_too_much(body: bytes, shape: RowShape) -> None:
    """Raise before a short text like ``[],[],[]`` or ``0,0,0`` becomes a large memory.

    BATCH_TOO_LARGE for more rows or cells than ``shape`` allows; INVALID_REQUEST for more brackets than rows
    can have, since a cell has none.
    """
    if body.count(b"[") + body.count(b"{") <= shape.rows_max + 1 and body.count(b",") < shape.cells_max:
        return
    brackets = ends = commas = 0
    for syntax in _without_strings(body):
        brackets += syntax.count(b"[") + syntax.count(b"{")
        ends += sum(1 for _ in _ROW_END.finditer(syntax))
        commas += syntax.count(b",")
    if ends >= shape.rows_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, batch_rows_max=shape.rows_max)
    if brackets > shape.rows_max + 1:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The JSON has more brackets than rows of cells have.")
    shape.check_cells(commas + 1)


def has_commas(text: bytes, count: int) -> bool:
    """Whether so many commas are outside of strings: a line has at most one value more than commas."""
    place = 0
    for _ in range(count):
        found = _TO_COMMA.match(text, place)
        if found is None:
            return False
        place = found.end()
    return True


def _without_strings(body: bytes) -> Iterator[bytes]:
    """Yield what is no string, some at a time: without one piece of memory for each of millions of strings."""
    place = 0
    while place < len(body):
        piece = _SOME_VALUES.match(body, place)
        end = piece.end() if piece else len(body)
        yield _STRING.sub(b"", body[place:end])
        place = end or len(body)


def _decode(body: bytes) -> Sequence[Any]:
    try:
        rows: Any = _fast.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        rows = exact_json(body, numbers=str)
    else:
        rows = rows if is_exact(rows, body) else exact_json(body, numbers=str)
    if not isinstance(rows, list):
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The body is a JSON array of rows.")
    return rows


def is_exact(records: Sequence[Any], body: bytes) -> bool:
    """Whether the fast decoder's ``records`` are certainly what ``body`` says.

    It drops the sign of -0 and all but the last of two equal names. Names end
    in ``":``, and nothing else that is no text does, so that when this is
    found once for each name that is left, none was dropped.
    """
    if NEGATIVE_ZERO.search(body):
        return False
    if set(map(type, records)) != {dict}:
        return True
    return body.count(b'":') == sum(map(len, records)) and not any(gap in body for gap in _GAPS)


def exact_json(body: bytes, *, numbers: Callable[[str], object] = float) -> Any:
    """Decode JSON as its standard says, which Python's decoder does not by itself.

    Refuses NaN and Infinity, a name twice in an object, endless nesting and
    endless numbers. ``numbers`` makes the value of a number with a fraction
    or an exponent; whole numbers become int, or with ``numbers=str`` text too.
    """
    whole = _checked_digits if numbers is str else int
    try:
        return json.loads(
            body.decode(),
            parse_int=whole,
            parse_float=numbers,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_duplicates,
        )
    except UnicodeDecodeError:
        raise SluiceError(ErrorCode.INVALID_TEXT, "The body is not UTF-8.") from None
    except RecursionError:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The JSON is nested too deep.") from None
    except json.JSONDecodeError as error:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "The body is not JSON.", position=error.pos) from None
    except ValueError:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "A number in the JSON has too many digits.") from None


def _checked_digits(text: str) -> str:
    if len(text) > DIGITS_MAX:
        raise ValueError("too many digits")
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise SluiceError(ErrorCode.INVALID_REQUEST, f"{name} is not JSON.")


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise SluiceError(ErrorCode.INVALID_REQUEST, "An object in the JSON has the same name twice.")
    return made
