"""What a call asks of a dataset: the body as it is sent, and what it is read as."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from sluice.api.http.bodies.models import read_model
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.pulled import Value
from sluice.usecases.pulling.make_params import (
    COLUMNS_MAX,
    FILTERS_MAX,
    VALUES_MAX,
    ChosenColumn,
    DateRange,
    PullRequest,
    check_values,
    choose_ids,
)
from sluice.usecases.pulling.open_pull import PREVIEW_ROWS_MAX

VALUE_BYTES = 128
"""What a value or a column takes in memory beside its text, roughly."""
Values = Annotated[tuple[Value, ...], Meta(max_length=VALUES_MAX)]


class ColumnChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of the dataset; `label` is its header in this file."""

    name: str
    label: str | None = None


class DateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From a moment or day on, and until another: a day is meant whole, a moment is left out."""

    from_: Annotated[str, Meta(max_length=40)] | None = msgspec.field(default=None, name="from")
    to: Annotated[str, Meta(max_length=40)] | None = None


class PullBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the dataset. Names are those of the dataset; nothing here is ever part of a query's text."""

    format: ExportFormat
    filename: str = ""
    scope: Literal["all", "selected"] = "all"
    ids: Values = ()
    columns: Annotated[tuple[ColumnChoice | str, ...], Meta(max_length=COLUMNS_MAX)] = ()
    date: DateBody = DateBody()
    filters: Annotated[dict[str, Value | Values], Meta(max_length=FILTERS_MAX)] = {}
    options: ExportOptions = ExportOptions()
    prefer: Literal["file", "background"] = "file"

    def to_request(self) -> PullRequest:
        """Raises INVALID_REQUEST for ids without the scope that they belong to, and for too many values."""
        check_values(self.values)
        columns = [
            ChosenColumn(one) if isinstance(one, str) else ChosenColumn(one.name, one.label) for one in self.columns
        ]
        return PullRequest(
            format=self.format,
            filename=self.filename,
            ids=choose_ids(self.ids, is_selected=self.scope == "selected"),
            columns=tuple(columns),
            date=DateRange(self.date.from_, self.date.to),
            filters=self.filters,
            options=self.options,
        )

    @property
    def values(self) -> int:
        """How many values columns are compared with."""
        return len(self.ids) + sum(len(given) if isinstance(given, tuple) else 1 for given in self.filters.values())


def read_pull(body: bytes) -> tuple[PullBody, PullRequest]:
    """Read a body whole: work that grows with it, so none for the event loop. Raises INVALID_REQUEST."""
    read = read_model(body, model=PullBody)
    return read, read.to_request()


class PreviewQuery(Struct, frozen=True, kw_only=True):
    rows: Annotated[int, Meta(ge=1, le=PREVIEW_ROWS_MAX, description="How many.")] = 20
