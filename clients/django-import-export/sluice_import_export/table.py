"""A resource of django-import-export and the objects of a queryset, as a table to send."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet
from import_export.fields import Field
from import_export.resources import Resource
from import_export.widgets import BooleanWidget, DateTimeWidget, DateWidget, NumberWidget, Widget

TYPES: dict[type[Widget], str] = {
    NumberWidget: "number",
    BooleanWidget: "boolean",
    DateTimeWidget: "datetime",
    DateWidget: "date",
}
"""Types of columns by the widgets whose `render` gives the value itself when it is asked to."""
_DEFAULT_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S")
_OWN_WAYS = ("export", "after_export", "export_resource")
"""Methods of a resource that make or change whole rows, or want all of them at once."""


class Table:
    """Columns and rows; the rows are made each time they are asked for, one chunk of the queryset at a time.

    Columns are named as in django-import-export's own files. A type is that of the field's widget, or what the
    resource says: ``sluice_types = {"total": "number"}``, by the column's name. Everything else is text.
    """

    def __init__(
        self,
        resource: Resource,
        queryset: Any,
        *,
        selected: list[str] | None,
        format_name: str,
        given: Mapping[str, Any],
    ) -> None:
        """``given`` are the arguments that the resource's hooks get. Calls `before_export` and `filter_export`."""
        self._resource = resource
        self._given = {**given, "export_fields": selected}
        resource.before_export(queryset, **self._given)
        self._objects = in_order(resource.filter_export(queryset, **self._given))
        self._fields: list[Field] = resource.get_export_fields(selected)
        names = resource.get_export_headers(selected_fields=selected)
        if len(names) != len(self._fields):
            raise ValueError(
                f"{len(names)} headers for {len(self._fields)} fields: get_export_headers() must fit the fields"
            )
        types = getattr(resource, "sluice_types", {})
        found = [
            (name, types.get(name) or _type_of(resource, field, format_name))
            for name, field in zip(names, self._fields, strict=True)
        ]
        self._types = [kind for _, kind in found]
        self.columns: list[dict[str, object]] = [{"name": name, "type": kind} for name, kind in found]

    def rows(self) -> Iterator[list[object]]:
        for one in self._read():
            yield [self._cell(one, field, kind) for field, kind in zip(self._fields, self._types, strict=True)]

    def _read(self) -> Iterable[Any]:
        """The objects, a queryset's by one statement.

        The package's pages of one that prefetches begin at an offset, which another row moves, so that rows come twice
        and others are missing.
        """
        resource, objects = self._resource, self._objects
        if isinstance(objects, QuerySet) and type(resource).iter_queryset is Resource.iter_queryset:
            found: Iterable[Any] = objects.iterator(chunk_size=resource.get_chunk_size())
            return found
        read: Iterable[Any] = resource.iter_queryset(objects)
        return read

    def _cell(self, one: Any, field: Field, kind: str) -> object:
        given = {**self._given, "force_native_type": kind != "string"}
        value = self._resource.export_field(field, one, **given)
        return text(value) if kind == "string" else cell(value)

    def key(self, *parts: object) -> str:
        """A key for these rows and ``parts``: the same for the same, and another for anything else."""
        asked = ""
        if isinstance(self._objects, QuerySet):
            try:
                asked = str(self._objects.query.sql_with_params())
            except EmptyResultSet:
                asked = "none"
        described = json.dumps([*parts, self.columns, asked], default=str, sort_keys=True)
        return f"django-import-export-{hashlib.sha256(described.encode()).hexdigest()}"


def own_ways(resource: Resource) -> list[str]:
    """The methods by which this resource makes its rows in a way that a table of cells cannot follow."""
    return [name for name in _OWN_WAYS if getattr(type(resource), name) is not getattr(Resource, name)]


def in_order(objects: Iterable[Any]) -> Iterable[Any]:
    """The same objects; a queryset without an order gets that of its primary key, so that each run has the same."""
    if not isinstance(objects, QuerySet) or objects.ordered or objects.query.is_sliced or objects.query.combinator:
        return objects
    return objects.order_by("pk")


def text(value: Any) -> str | None:
    return None if value is None else str(value)


def cell(value: Any) -> object:
    """The value where a cell can hold it, else its text."""
    match value:
        case None | str() | bool() | int() | date() | time() | UUID():
            return value
        case float() if math.isfinite(value):
            return value
        case Decimal() if value.is_finite():
            return value
        case _:
            return str(value)


def _type_of(resource: Resource, field: Field, format_name: str) -> str:
    method = field.get_dehydrate_method(resource.get_field_name(field))
    if callable(method) or hasattr(resource, method) or type(field).export is not Field.export:
        return "string"  # it may return anything
    widget = field.widget
    kinds = [kind for base, kind in TYPES.items() if type(widget).render is base.render]
    forms = getattr(widget, "formats", ())
    if not kinds or (format_name == "csv" and forms and forms[0] not in _DEFAULT_FORMS):
        return "string"  # a CSV file shows dates as the resource says; a workbook has dates
    return kinds[0]
