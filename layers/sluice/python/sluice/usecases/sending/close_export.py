"""Seal a task: fix its content for ever and trigger its composer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, manifest_key
from sluice.domain.lifecycle import seal
from sluice.domain.limits import Limits
from sluice.domain.manifest import Manifest, short_sha
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.domain.task_errors import ended_error
from sluice.ports.bundle import Ports
from sluice.ports.retry import CHANGES_MAX
from sluice.ports.store_errors import OutcomeUnknown
from sluice.ports.task_store import ClaimedTask
from sluice.tables.formats import FORMATS
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.reading.read_task import find_task, note_task


class CloseRequest(NamedTuple):
    """The totals the sender counted; checked when given."""

    batches: int | None = None
    rows: int | None = None
    sheets: Mapping[str, int] | None = None
    """Rows of declared sheets, by name; of some or all."""


def ends_unchecked(params: ExportParams, *, is_said: bool) -> bool:
    """Whether nothing tells that all came which the sender sent: a stream may be ended by what lost its sender."""
    return not is_said and params.expected_rows is None


def close_export(ports: Ports, ref: TaskRef, request: CloseRequest, *, is_said: bool = True) -> Task:
    """Seal the task and put its manifest, which starts the composer. Returns the row after the seal.

    Refuses, and leaves the task open, when batches are missing
    (BATCHES_MISSING), beyond the total (BATCHES_EXTRA) or when the rows differ
    from those of ``request`` or those expected at the open (TOTALS_MISMATCH).
    A batch acknowledged while this runs is either in the manifest or makes the
    seal start over. Repeatable with the same totals; other totals raise
    ALREADY_CLOSED. ``is_said``: the sender closed by a word of its own, and did
    not only end its stream.
    """
    for _ in range(CHANGES_MAX):
        claimed = ports.tasks.read_claims(ref)
        if claimed is None:
            raise SluiceError(ErrorCode.TASK_NOT_FOUND)
        note_task(claimed.task)
        if claimed.task.params is not None and claimed.task.params.is_read:
            raise ended_error(claimed.task)  # its reader closes it
        if claimed.task.state is not State.OPEN:
            return _close_again(ports, claimed, request)
        manifest = check_totals(claimed, request, ports.limits)
        if _seal(ports, claimed.task, manifest, is_unchecked=ends_unchecked(claimed.task.live_params, is_said=is_said)):
            put_manifest(ports, ref, manifest)
            return find_task(ports, ref)
    raise OutcomeUnknown("the task kept changing while it was being closed")


def check_totals(claimed: ClaimedTask, request: CloseRequest, limits: Limits) -> Manifest:
    """List the chunks in order, if they are exactly what the sender says it sent."""
    claims = claimed.claims
    last = max(claims, default=0) if request.batches is None else request.batches
    if last < 0 or (request.rows or 0) < 0 or any(rows < 0 for rows in (request.sheets or {}).values()):
        raise SluiceError(ErrorCode.INVALID_REQUEST, "totals are 0 or more")
    if last > limits.batches_max:
        raise SluiceError(ErrorCode.TOO_MANY_BATCHES, batches_max=limits.batches_max)
    missing = [sequence for sequence in range(1, last + 1) if sequence not in claims]
    if missing:
        listed = missing[: limits.missing_listed_max]
        raise SluiceError(ErrorCode.BATCHES_MISSING, missing=listed, missing_count=len(missing))
    extra = sorted(sequence for sequence in claims if sequence > last)
    if extra:
        listed = extra[: limits.missing_listed_max]
        raise SluiceError(ErrorCode.BATCHES_EXTRA, extra=listed, extra_count=len(extra))
    task = claimed.task
    manifest = Manifest.seal(task.ref, claims.values())
    if request.rows is not None and request.rows != manifest.rows:
        raise SluiceError(ErrorCode.TOTALS_MISMATCH, rows_received=manifest.rows, rows_closed=request.rows)
    params = task.live_params
    if params.expected_rows is not None and params.expected_rows != manifest.rows:
        detail = "The rows received are not as many as were expected when the export was opened."
        raise SluiceError(
            ErrorCode.TOTALS_MISMATCH, detail, rows_received=manifest.rows, rows_expected=params.expected_rows
        )
    if manifest.rows > limits.rows_max:
        raise SluiceError(ErrorCode.TOO_MANY_ROWS, rows_max=limits.rows_max)
    rows = manifest.sheet_rows(len(params.tables))
    _check_sheets(params, rows, request.sheets or {})
    FORMATS[params.format].check_rows(params, rows, limits)
    return manifest


def _check_sheets(params: ExportParams, rows: Sequence[int], counted: Mapping[str, int]) -> None:
    """Raise TOTALS_MISMATCH with ``sheet`` for a table of other rows, INVALID_REQUEST for one that is not there."""
    if counted and not params.sheets:
        raise SluiceError(ErrorCode.INVALID_REQUEST, "This task has one table: its rows are the total.", field="sheet")
    names = {sheet.name: index for index, sheet in enumerate(params.sheets)}
    for name, count in counted.items():
        if name not in names:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "The totals name a sheet that is not there.", field="sheets")
        received = rows[names[name]]
        if received != count:
            raise SluiceError(ErrorCode.TOTALS_MISMATCH, sheet=name, rows_received=received, rows_closed=count)


def put_manifest(ports: Ports, ref: TaskRef, manifest: Manifest) -> None:
    """Put the manifest. Doing it again triggers again; its content is the same."""
    data = manifest.encode()
    ports.objects.put(manifest_key(ref, short_sha(data)), data)


def _seal(ports: Ports, task: Task, manifest: Manifest, *, is_unchecked: bool) -> bool:
    step = seal(task, manifest, now=ports.clock.now(), timings=ports.timings)
    sealed = apply_transition(ports, task.ref, step)
    if sealed:
        ports.journal.record(
            Event.TASK_SEALED,
            task_id=task.task_id,
            tenant=task.tenant,
            batches=len(manifest.chunks),
            rows=manifest.rows,
            **({"unchecked_end": True} if is_unchecked else {}),
        )
    return sealed


def _close_again(ports: Ports, claimed: ClaimedTask, request: CloseRequest) -> Task:
    """Answer a close of a task that is not open, and trigger again if no composer may have come."""
    task = claimed.task
    if task.deleted_at:
        raise SluiceError(ErrorCode.TASK_DELETED)
    if task.state in {State.CANCELLED, State.EXPIRED}:
        raise ended_error(task)
    batches = task.total_batches if request.batches is None else request.batches
    rows = task.total_rows if request.rows is None else request.rows
    if (batches, rows) != (task.total_batches, task.total_rows):
        raise SluiceError(ErrorCode.ALREADY_CLOSED, batches=task.total_batches, rows=task.total_rows)
    sheet_rows = task.rows_by_sheet()
    for name, count in (request.sheets or {}).items():
        if sheet_rows.get(name) != count:
            raise SluiceError(ErrorCode.ALREADY_CLOSED, sheet=name, rows=sheet_rows.get(name))
    if task.state is State.SEALED and not task.live_params.source_task:
        put_manifest(ports, task.ref, Manifest.seal(task.ref, claimed.valid()))
    return task
