"""Reads columns from their compact form, such as ``id:number,name,paid:boolean``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sluice.api.http.errors import invalid_request
from sluice.domain.schema import ColumnSpec, ColumnType

_PART = r"(?:[^\\,:]|\\.)*+"
_COLUMN = re.compile(rf"(?P<name>{_PART})(?::(?P<type>{_PART}))?+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_columns(texts: Iterable[str]) -> tuple[ColumnSpec, ...]:
    """Read ``name`` or ``name:type``, separated by commas; a backslash keeps the next character as it is.

    Raises INVALID_REQUEST for a type that is none.
    """
    return tuple(column for text in texts for column in _columns(text))


def _columns(text: str) -> Iterator[ColumnSpec]:
    end = -1
    while end < len(text):
        match = _COLUMN.match(text, end + 1)
        if match is None or not _ends_column(text, match.end()):
            raise invalid_request("columns are written name or name:type, separated by commas", field="columns")
        yield ColumnSpec(_ESCAPED.sub(r"\1", match["name"]), _type_of(match["type"]))
        end = match.end()


def _ends_column(text: str, end: int) -> bool:
    return end == len(text) or text[end] == ","


def _type_of(text: str | None) -> ColumnType:
    try:
        return ColumnType.STRING if text is None else ColumnType(text)
    except ValueError:
        known = ", ".join(ColumnType)
        raise invalid_request(f"a column's type is one of {known}", field="columns") from None
