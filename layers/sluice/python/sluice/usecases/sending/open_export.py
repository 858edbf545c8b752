"""Open a task, once for each idempotency key."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.filenames import sanitise_filename
from sluice.domain.keys import (
    TASK_ID_BYTES,
    ManifestRef,
    TaskId,
    TaskRef,
    TenantId,
    task_id_from_bytes,
    task_id_from_key,
)
from sluice.domain.lifecycle import open_task
from sluice.domain.limits import Limits
from sluice.domain.params import ExportParams
from sluice.domain.reading import open_waiting
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.retry import settle
from sluice.ports.store_errors import StoreError
from sluice.tables.formats import EXTENSIONS, FORMATS
from sluice.usecases.reading.read_task import note_task

QUOTA_RETRY_S = 60
"""When a tenant that has all it may have should ask again."""


class OpenRequest(NamedTuple):
    """What a sender asks for. ``params.filename`` is as sent."""

    params: ExportParams
    idempotency_key: str | None = None
    request_id: str = ""
    """By which the sender finds the export in logs and lists."""
    trace_parent: str = ""


class Opened(NamedTuple):
    task: Task
    replayed: bool
    """The key was known, with the same parameters; no new task was made."""


def open_export(ports: Ports, tenant: TenantId, request: OpenRequest) -> Opened:
    """Make the task row, in state OPEN, by one conditional write; in state WAITING where its rows are to be read.

    Repeatable under the same idempotency key: the same task comes back. Raises
    IDEMPOTENCY_KEY_REUSED for other parameters, TASK_DELETED when the key's
    task is gone, the format's complaints about the table, QUEUE_FULL,
    QUOTA_EXCEEDED, and ``StoreFull`` where a row has no room. A refused request is not remembered.
    """
    params = check_params(request.params, ports.limits)
    user = params.pulled.user if params.pulled else ""
    ref = TaskRef(tenant, choose_task_id(ports, tenant, request.idempotency_key, user=user))
    return open_planned(ports, ref, params, request, is_known=request.idempotency_key is not None)


def open_planned(
    ports: Ports, ref: TaskRef, params: ExportParams, request: OpenRequest | None = None, *, is_known: bool = True
) -> Opened:
    """As ``open_export``, of parameters that are checked, under an id. ``is_known``: the row may be there already."""
    begins = State.WAITING if params.is_read else State.OPEN
    make = open_waiting if params.is_read else open_task
    task = make(
        ref,
        params,
        now=ports.clock.now(),
        timings=ports.timings,
        request_id=request.request_id if request else "",
        trace_parent=request.trace_parent if request else "",
    )
    if is_known:
        existing = ports.tasks.read(ref)
        if existing is not None:
            note_task(existing)
            return replay(existing, params)
    ports.admission.admit(ref.tenant)
    check_quota(ports, ref.tenant, begins)
    opened = create_task(ports, task, params)
    note_task(opened.task)
    if not opened.replayed:
        ports.journal.record(
            Event.TASK_CREATED,
            task_id=ref.task_id,
            tenant=ref.tenant,
            format=params.format.value if params.is_file else None,
            columns=params.column_count,
        )
    if params.is_read and not opened.replayed:
        _trigger(ports, opened.task)
    return opened


def _trigger(ports: Ports, task: Task) -> None:
    """Ask for a reader. If that fails, the sweeper finds the task."""
    try:
        ports.invoker.invoke(ManifestRef(task.ref, ""), epoch=1)
    except StoreError as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=task.task_id, error=error)


def check_quota(ports: Ports, tenant: TenantId, begins: State) -> None:
    """Raise QUOTA_EXCEEDED when the tenant has as many tasks as it may in the state that a new one ``begins`` in."""
    open_tasks_max = ports.limits.open_tasks_max
    if ports.tasks.count(tenant, begins) >= open_tasks_max:
        raise SluiceError(ErrorCode.QUOTA_EXCEEDED, open_tasks_max=open_tasks_max, retry_after_s=QUOTA_RETRY_S)


OPTION_CHARS_MAX = 255
"""Of any option: services keep them in memory, and lists read them."""


def check_params(params: ExportParams, limits: Limits) -> ExportParams:
    """Check what was asked for and make the file name safe."""
    file_format = FORMATS[params.format]
    if params.is_file:
        file_format.check_table(params, limits)
    if params.expected_rows is not None:
        if params.expected_rows < 0:
            raise SluiceError(ErrorCode.INVALID_REQUEST, "expected_rows is 0 or more", field="expected_rows")
        if params.expected_rows > limits.rows_max:
            raise SluiceError(ErrorCode.TOO_MANY_ROWS, rows_max=limits.rows_max)
    for name in params.options.__struct_fields__:
        if len(str(getattr(params.options, name))) > OPTION_CHARS_MAX:
            detail = f"the option {name} takes at most {OPTION_CHARS_MAX} characters"
            raise SluiceError(ErrorCode.INVALID_REQUEST, detail, field=f"options.{name}")
    extension = file_format.extension(params.options, 0)
    filename = sanitise_filename(params.filename, extension=extension, replaced=EXTENSIONS, limits=limits)
    checked = msgspec.structs.replace(params, filename=filename)
    if len(checked.encode().encode()) > limits.params_bytes_max:
        what = "the names and formats of all columns" if params.pulled is None else "the columns, ids and filters"
        raise SluiceError(
            ErrorCode.INVALID_REQUEST,
            f"{what} take at most {limits.params_bytes_max} bytes, as JSON",
            field="columns" if params.pulled is None else "ids",
        )
    return checked


def choose_task_id(ports: Ports, tenant: TenantId, idempotency_key: str | None, *, user: str = "") -> TaskId:
    """The task id of the tenant's key, or of its user's, or a random one. Raises INVALID_REQUEST for no key at all."""
    if idempotency_key is None:
        return task_id_from_bytes(ports.randomness.bytes(TASK_ID_BYTES))
    size = len(idempotency_key.encode("utf-8", "surrogatepass"))
    if not 0 < size <= ports.limits.idempotency_key_bytes_max or not idempotency_key.isprintable():
        raise SluiceError(
            ErrorCode.INVALID_REQUEST,
            "an idempotency key is 1 to 255 bytes of printable text",
            field="idempotency_key",
        )
    return task_id_from_key(tenant, idempotency_key, user=user)


def create_task(ports: Ports, task: Task, params: ExportParams) -> Opened:
    """Write the row if there is none; otherwise answer as the row that is there demands."""

    def read_back(_: bool) -> Opened | None:  # noqa: FBT001 - as settle gives it
        found = ports.tasks.read(task.ref)
        return None if found is None else replay(found, params)

    return settle(ports, lambda: Opened(task, replayed=False) if ports.tasks.create(task) else None, read_back)


def replay(existing: Task, params: ExportParams) -> Opened:
    """Answer an open whose task exists: the same task for the same parameters, else a refusal."""
    if existing.deleted_at or not existing.params:
        raise SluiceError(ErrorCode.TASK_DELETED)
    if existing.params_sha != params.digest():
        raise SluiceError(ErrorCode.IDEMPOTENCY_KEY_REUSED)
    return Opened(existing, replayed=True)
