"""What a job says of an HTTP API whose rows it reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from sluice.domain.dataset import Identifier, Name
from sluice.domain.pages import HttpSource, OnePage, Paging, Path
from sluice.domain.schema import ColumnType
from sluice.domain.suggestion import did_you_mean

QueryValue: TypeAlias = str | int | float | bool
_PARAMETER = re.compile(r":([A-Za-z_][A-Za-z0-9_.]*)")


class HttpRows(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="http"):
    """The rows of pages of JSON, from below the address of a connection."""

    connection: Name
    path: Annotated[str, Meta(max_length=2_000)] = ""
    """Behind the address of the connection."""
    method: Literal["GET", "POST"] = "GET"
    query: Mapping[str, QueryValue] = {}
    """A text ``:name`` is the parameter's value, as in ``body``."""
    body: Mapping[str, Any] | None = None
    """Of POST, sent as JSON."""
    rows: Path = ""
    """Where the array of rows is in an answer."""
    columns: Annotated[tuple[Identifier, ...], Meta(max_length=16_384)] = ()
    """Names of rows that are objects, with dots for those of objects within, as ``customer.name``; None stands for all
    of the first page. Of rows that are arrays the names of all cells, in order."""
    types: Mapping[Identifier, ColumnType] = {}
    paging: Paging = OnePage()

    def __post_init__(self) -> None:
        if self.body is not None and self.method != "POST":
            raise ValueError("a body is sent by method: POST")
        if len(set(self.columns)) < len(self.columns):
            raise ValueError("columns has a name twice")


def http_source_of(rows: HttpRows, parameters: Mapping[str, object]) -> HttpSource:
    """What a job says, with its values. Raises ValueError for a parameter that there is not."""
    return HttpSource(
        path=rows.path,
        method=rows.method,
        query={name: _query_text(_filled(value, parameters)) for name, value in rows.query.items()},
        body=None if rows.body is None else _filled(rows.body, parameters),
        rows=rows.rows,
        paging=rows.paging,
        types=rows.types,
        is_whole=not rows.columns,
    )


def _filled(value: Any, parameters: Mapping[str, object]) -> Any:
    """Put values where ``:name`` stands alone: so no text of one becomes another part of what is asked."""
    if isinstance(value, Mapping):
        return {name: _filled(one, parameters) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(one, parameters) for one in value]
    found = _PARAMETER.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    if found[1] not in parameters:
        raise ValueError(f"there is no parameter {found[1]}{did_you_mean(found[1], parameters)}")
    given = parameters[found[1]]
    return given if given is None or isinstance(given, str | int | float | bool) else str(given)


def _query_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
