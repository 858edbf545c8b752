"""What a task reads of an HTTP API: what is asked, where the rows are in an answer, and how the next page is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from sluice.domain.schema import ColumnType

Path: TypeAlias = Annotated[str, Meta(max_length=500, pattern=r"^([^.\s]+(\.[^.\s]+)*)?$")]
"""Of a value in an answer: names with dots between them, as ``data.items``; empty for the answer itself."""
QueryName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class ByPage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="page"):
    """Pages have numbers, one after the other; the first without rows is the end."""

    parameter: QueryName = "page"
    first: int = 1
    size_parameter: str = ""
    size: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """Given as ``size_parameter`` where that is named."""


class ByOffset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="offset"):
    """A page begins behind so many rows; the first without rows is the end."""

    parameter: QueryName = "offset"
    size_parameter: str = "limit"
    size: Annotated[int, Meta(ge=1, le=100_000)] = 100


class ByToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="token"):
    """An answer has the token of the next page; the last one has none."""

    parameter: QueryName
    path: Annotated[Path, Meta(min_length=1)]
    """Where the token is in an answer."""


class ByLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="link"):
    """An answer has the address of the next page; the last one has none."""

    path: Path = ""
    """Where the address is in an answer; empty for the header ``Link``, rel="next"."""


class OnePage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="by", tag="none"):
    """There is one page."""


Paging: TypeAlias = ByPage | ByOffset | ByToken | ByLink | OnePage


class HttpSource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked. The service and its secret are looked up by the connection."""

    path: str
    method: Literal["GET", "POST"] = "GET"
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None
    """Of POST, as JSON. What a page needs is put into it, where else it is put into the query."""
    rows: Path = ""
    paging: Paging = OnePage()
    types: Mapping[str, ColumnType] = {}
    is_whole: bool = True
    """All that rows have is read: so no row has a name that those of the first page have not."""
