"""Make the parameters of an export from a dataset, its user, and what the user asks for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec

from sluice.domain.dataset import Dataset, DatasetColumn
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Condition, Pulled, Value
from sluice.domain.user import ATTRIBUTE, User
from sluice.tables.values.masks import HASHED

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
TEXT_MAX = 1_000
"""Characters of one value that a caller compares a column with."""
COLUMNS_MAX = 16_384
"""Columns that a call may name."""
FILTERS_MAX = 1_000
VALUES_MAX = 30_000
"""Values of all conditions of an export; SQLite takes 32,766 of one statement, PostgreSQL 65,535."""

SPLITS = 8
"""How many ranges of keys a table is read by, where its dataset does not say it."""


class ChosenColumn(msgspec.Struct, frozen=True):
    """A column that is asked for, perhaps under another header."""

    name: str
    label: str | None = None


class DateRange(msgspec.Struct, frozen=True):
    """From a time on, and until another, which is left out; a day is meant whole."""

    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks of a dataset. ``ids`` None is all rows."""

    format: ExportFormat
    filename: str = ""
    ids: tuple[Value, ...] | None = None
    columns: tuple[ChosenColumn, ...] = ()
    date: DateRange = DateRange()
    filters: Mapping[str, Value | tuple[Value, ...]] = {}
    options: ExportOptions = ExportOptions()


def make_params(dataset: Dataset, user: User, request: PullRequest) -> ExportParams:
    """What is read for the user, and as what it is written. Nothing of it is read from a source.

    Raises PERMISSION_DENIED for a column that the user may not have, and INVALID_REQUEST with ``field`` for what the
    dataset does not offer.
    """
    columns = choose_columns(dataset, user, request.columns)
    labels = [chosen.label for chosen in request.columns] or [None] * len(columns)
    specs = [
        column.spec() if label is None else msgspec.structs.replace(column.spec(), name=label)
        for column, label in zip(columns, labels, strict=True)
    ]
    _check_headers([column.name for column in columns], [spec.name for spec in specs])
    fixed = _fixed(dataset, user)
    conditions = (*fixed, *_asked(dataset, user, request))
    check_values(sum(len(condition.values) for condition in conditions))
    pulled = Pulled(
        dataset=dataset.dataset,
        version=dataset.version(),
        connection=dataset.source.connection,
        table=dataset.source.table,
        schema=dataset.source.schema,
        key=dataset.source.key,
        consistency=dataset.source.consistency,
        splits=dataset.source.splits or SPLITS,
        snapshot_max_s=float(dataset.source.snapshot_max_s),
        columns=tuple(column.name for column in columns),
        conditions=conditions,
        fixed=len(fixed),
        ids_asked=len(set(request.ids or ())),
        masks=tuple(mask_of(column, user) for column in columns),
        user=user.name,
        rows_max=dataset.limits.rows,
        kept_s=float(dataset.expires_s),  # the default is a whole number, which JSON writes otherwise
        call=call_of(dataset.dataset, user, request),
    )
    return ExportParams(
        format=request.format,
        filename=request.filename or dataset.dataset,
        columns=tuple(specs),
        options=request.options,
        pulled=pulled,
    )


def check_values(values: int) -> None:
    """Raise INVALID_REQUEST for more values than one export compares columns with."""
    if values > VALUES_MAX:
        raise _invalid("filters", f"ids and filters have at most {VALUES_MAX} values together")


def choose_ids(ids: tuple[Value, ...], *, is_selected: bool) -> tuple[Value, ...] | None:
    """The ids of rows that are selected one by one; None for all rows. Raises INVALID_REQUEST for ids of all rows."""
    if ids and not is_selected:
        raise _invalid("ids", "ids come with the scope selected")
    return ids if is_selected else None


def call_of(dataset: str, user: User, request: PullRequest) -> str:
    """Digest of what is asked for and by whom; ids and filters by their texts, since 3 and "3" are compared alike."""
    ids = None if request.ids is None else [str(value) for value in request.ids]
    filters = {
        name: [str(value) for value in (given if isinstance(given, tuple) else (given,))]
        for name, given in request.filters.items()
    }
    said = (dataset, user.name, msgspec.structs.replace(request, ids=None, filters={}), ids, filters)
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:32]


def is_again(params: ExportParams, dataset: Dataset, user: User, request: PullRequest) -> bool:
    """Whether an export is what this very call opened, and has nothing that its user may not have any more.

    Raises as ``may_have``.
    """
    pulled = None if params.source_task else params.pulled
    if pulled is None or pulled.call != call_of(dataset.dataset, user, request):
        return False
    return may_have(dataset, user, pulled)


def _check_headers(names: Sequence[str], headers: Sequence[str]) -> None:
    """Raise INVALID_REQUEST for two columns of one header, as definitions do: no reader could tell which is which."""
    first: dict[str, str] = {}
    for name, header in zip(names, headers, strict=True):
        if (other := first.setdefault(header, name)) != name:
            detail = f"{other} and {name} would have the same header: give one of them another label"
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field="columns", columns=[other, name])


def visible_columns(dataset: Dataset, user: User) -> list[DatasetColumn]:
    """The columns that the user may have, masked or not."""
    return [column for column in dataset.columns if user.may(column.permission)]


def mask_of(column: DatasetColumn, user: User) -> str:
    """How the column is masked for the user; empty where it is not."""
    sees = column.unmask_with is not None and user.may(column.unmask_with)
    if column.mask is None or sees:
        return ""
    return f"{HASHED}{column.hash_key}" if column.mask == "hash" else column.mask


def may_compare(dataset: Dataset, user: User, name: str | None) -> bool:
    """Whether the user may choose rows by a column: not by one whose values they may not see, or each could be tried.

    A column that is not among those of the dataset is the choice of those who define its filters.
    """
    return all(
        user.may(column.permission) and not mask_of(column, user) for column in dataset.columns if column.name == name
    )


def may_have(dataset: Dataset, user: User, pulled: Pulled) -> bool:
    """Whether what was read for the user is what they may have now: permissions and definitions change.

    Raises PERMISSION_DENIED where the user's credential does not say what the rows are chosen by.
    """
    masks = {column.name: mask_of(column, user) for column in visible_columns(dataset, user)}
    return set(_fixed(dataset, user)) <= set(pulled.conditions) and all(
        name in masks and masks[name] in {"", mask} for name, mask in zip(pulled.columns, pulled.masks, strict=True)
    )


def choose_columns(dataset: Dataset, user: User, chosen: Sequence[ChosenColumn]) -> list[DatasetColumn]:
    """The columns in the order in which they are asked for; all that the user may have where none are named."""
    visible = {column.name: column for column in visible_columns(dataset, user)}
    if not chosen:
        if not visible:
            raise SluiceError(ErrorCode.PERMISSION_DENIED, "The user may have no column of the dataset.")
        return list(visible.values())
    known = {column.name for column in dataset.columns}
    for one in chosen:
        if one.name not in known:
            raise _unknown("columns", one.name, visible)
        if one.name not in visible:
            raise SluiceError(ErrorCode.PERMISSION_DENIED, "The user may not have a column.", column=one.name)
    if len({one.name for one in chosen}) < len(chosen):
        raise _invalid("columns", "a column is asked for twice")
    return [visible[one.name] for one in chosen]


def probes_of(dataset: Dataset) -> list[Condition]:
    """Conditions on all columns that the dataset compares, and no row fits them.

    Whether a source takes them shows a mistake of the dataset before a user meets it.
    """
    asked = {*dataset.rows, *dataset.filters.equals, *filter(None, [dataset.filters.ids])}
    dated = [Condition(dataset.filters.date, ">=", ("9999-12-31",))] if dataset.filters.date else []
    return [*dated, *(Condition(name, "in", ()) for name in sorted(asked))]


def _fixed(dataset: Dataset, user: User) -> list[Condition]:
    """What the dataset demands of every row. Raises PERMISSION_DENIED where the user's credential does not say it."""
    conditions = []
    for column, given in dataset.rows.items():
        values: list[Value] = []
        for value in given if isinstance(given, tuple) else (given,):
            if not (isinstance(value, str) and value.startswith(ATTRIBUTE)):
                values.append(value)
                continue
            name = value.removeprefix(ATTRIBUTE)
            if name not in user.attributes:
                detail = f"The credential says no {name} of the user, by which the rows of this dataset are chosen."
                raise SluiceError(ErrorCode.PERMISSION_DENIED, detail, attribute=name)
            known = user.attributes[name]
            values += known if isinstance(known, tuple) else (known,)
        conditions.append(Condition(column, "in", tuple(values)))
    return conditions


def _asked(dataset: Dataset, user: User, request: PullRequest) -> list[Condition]:
    for condition in (asked := _conditions(dataset, request)):
        if not may_compare(dataset, user, condition.column):
            detail = "The user may not choose rows by a column whose values it may not see."
            raise SluiceError(ErrorCode.PERMISSION_DENIED, detail, column=condition.column)
    return asked


def _conditions(dataset: Dataset, request: PullRequest) -> list[Condition]:
    conditions = []
    if request.ids is not None:
        if dataset.filters.ids is None:
            raise _invalid("scope", "rows of this dataset are not selected one by one")
        if not 0 < len(request.ids) <= dataset.limits.ids:
            raise _invalid("ids", f"1 to {dataset.limits.ids} ids are given with the scope selected")
        conditions.append(Condition(dataset.filters.ids, "in", _checked("ids", request.ids), "ids"))
    conditions += _dated(dataset, request.date)
    for name, given in request.filters.items():
        if name not in dataset.filters.equals:
            raise _unknown("filters", name, ())  # what there is, GET says to each user
        values = given if isinstance(given, tuple) else (given,)
        if not 0 < len(values) <= dataset.limits.ids:
            raise _invalid(f"filters.{name}", f"1 to {dataset.limits.ids} values are given")
        conditions.append(Condition(name, "in", _checked(f"filters.{name}", values), f"filters.{name}"))
    return conditions


def _dated(dataset: Dataset, asked: DateRange) -> list[Condition]:
    column, conditions = dataset.filters.date, []
    if column is None:
        if asked != DateRange():
            raise _invalid("date", "this dataset has no date by which its rows are chosen")
        return []
    if asked.from_ is not None:
        conditions.append(Condition(column, ">=", (_time("date.from", asked.from_),), "date.from"))
    if asked.to is not None:
        conditions.append(Condition(column, "<", (_time("date.to", asked.to, is_end=True),), "date.to"))
    return conditions


def _checked(field: str, values: Sequence[Value]) -> tuple[Value, ...]:
    for value in values:
        if isinstance(value, str) and (len(value) > TEXT_MAX or "\0" in value):
            raise _invalid(field, f"a value has at most {TEXT_MAX} characters, and no NUL")
        if isinstance(value, float) and value - value != 0:
            raise _invalid(field, "a number is finite")
    return tuple(values)


def _time(field: str, text: str, *, is_end: bool = False) -> str:
    """A day or a moment as it was written; behind the last moment of a day where it ends a range."""
    if _TIME.fullmatch(text):
        return text
    if _DATE.fullmatch(text):
        try:
            day = date.fromisoformat(text)
            return (day + timedelta(days=1)).isoformat() if is_end else text
        except (ValueError, OverflowError):
            pass
    raise _invalid(field, "is a day, 2026-11-30, or a moment, 2026-11-30T08:15:00+08:00")


def is_time(text: str) -> bool:
    """Whether it has the form of a day or a moment."""
    return _DATE.fullmatch(text) is not None or _TIME.fullmatch(text) is not None


def _invalid(field: str, detail: str) -> SluiceError:
    return SluiceError(ErrorCode.INVALID_REQUEST, detail, field=field)


def _unknown(field: str, name: str, known: Sequence[str] | Mapping[str, object]) -> SluiceError:
    detail = f"the dataset has no such name in {field}"
    return SluiceError(ErrorCode.INVALID_REQUEST, detail, field=field, name=name[:64], known=sorted(known))
