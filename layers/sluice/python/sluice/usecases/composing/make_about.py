"""What the last worksheet of a workbook says of the file: whose rows they are, which, of which moment, for whom."""

from __future__ import annotations

from collections.abc import Iterator

from sluice import __version__
from sluice.domain.manifest import Manifest
from sluice.domain.params import ExportParams
from sluice.domain.pulled import Condition, Consistency, Pulled
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import Task
from sluice.domain.timestamps import iso_time
from sluice.tables.file_plan import AboutLine
from sluice.tables.formats import WRITER_VERSION, filename_of
from sluice.tables.values.masks import HASHED

_MOMENTS: dict[Consistency, str] = {
    "snapshot": "all of one moment",
    "split": "each range of keys of one moment, in the order of the key",
    "key": "of several moments, in the order of the key",
}
VALUES_SHOWN = 20
"""Of one condition; of more only their number and the first ones are said."""


def make_about(task: Task, manifest: Manifest) -> tuple[AboutLine, ...]:
    """All that is known of a sealed task before its file is written: the same for each of its attempts.

    Of the conditions only those that the user set are named, since only these are the user's to know. No secret is
    in it, and no value of a row.
    """
    return tuple(_lines(task, manifest))


def _lines(task: Task, manifest: Manifest) -> Iterator[AboutLine]:
    params = task.live_params
    pulled = params.pulled
    yield AboutLine("File", filename_of(task))
    if pulled is not None:
        yield AboutLine("Job" if params.output else "Dataset", pulled.dataset)
        yield from _conditions(params, pulled)
        yield AboutLine("Asked for by", pulled.user)
    yield AboutLine("Tenant", task.tenant)
    yield AboutLine("Asked for at", iso_time(task.created_at))
    yield _moment(task)
    if pulled is not None and pulled.ids_asked:
        yield AboutLine("Rows asked for", str(pulled.ids_asked), "one by one")
        yield AboutLine("Rows found", str(manifest.rows))
    yield AboutLine("Rows in this file", str(manifest.rows))
    yield AboutLine("Export", task.task_id)
    if manifest.source_task != task.task_id:
        yield AboutLine("Rows of export", manifest.source_task)
    yield AboutLine("Made by", f"Sluice {__version__}", f"writer {WRITER_VERSION}")
    for table in params.tables:
        sheet = f", on {table.name}" if params.sheets else ""
        for index, column in enumerate(table.columns):
            yield AboutLine("Column", column.name, _column(column, pulled, index) + sheet)


def _conditions(params: ExportParams, pulled: Pulled) -> Iterator[AboutLine]:
    headers = {} if params.output else {name: params.columns[index].name for index, name in enumerate(pulled.columns)}
    asked = pulled.conditions[pulled.fixed :]
    for condition in asked:
        yield AboutLine("Condition", headers.get(condition.column, condition.column), _condition(condition))
    if pulled.fixed:
        yield AboutLine("Condition", "", "only rows that the dataset opens to this user")
    if pulled.where or pulled.steps:
        yield AboutLine("Condition", "", "as the job says")
    elif not pulled.conditions:
        yield AboutLine("Condition", "none", "all rows")


def _condition(condition: Condition) -> str:
    values = list(dict.fromkeys(map(str, condition.values)))
    if condition.test != "in":
        return f"{'from' if condition.test == '>=' else 'before'} {values[0]}"
    if len(values) == 1:
        return f"is {values[0]}"
    shown = ", ".join(values[:VALUES_SHOWN])
    return f"is one of {len(values):,}: {shown}" + (", …" if len(values) > VALUES_SHOWN else "")


def _moment(task: Task) -> AboutLine:
    pulled = task.live_params.pulled
    since, until = task.read_from or task.live_params.source_created_at or task.created_at, task.read_until
    span = f"between {iso_time(since)} and {iso_time(until or task.sealed_at)}"
    if pulled is None:
        return AboutLine("Rows sent", "", span)
    return AboutLine("Rows read", _MOMENTS[pulled.consistency], span)


def _column(column: ColumnSpec, pulled: Pulled | None, index: int) -> str:
    said = column.type.value
    if pulled is not None and not pulled.kinds:
        mask = pulled.masks[index] if pulled.masks else ""
        said += f", {pulled.columns[index]} of the table" + (f", masked: {_mask(mask)}" if mask else "")
    return said


def _mask(mask: str) -> str:
    return "hash" if mask.startswith(HASHED) else mask
