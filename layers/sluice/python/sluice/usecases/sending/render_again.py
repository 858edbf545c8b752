"""Make another file from the chunks of a task that was sealed before."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import open_sealed
from sluice.domain.manifest import Manifest
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.domain.task_errors import ended_error
from sluice.ports.bundle import Ports
from sluice.tables.formats import FORMATS
from sluice.usecases.composing.read_chunks import load_manifest
from sluice.usecases.reading.read_task import find_task, note_task
from sluice.usecases.sending.close_export import put_manifest
from sluice.usecases.sending.open_export import Opened, check_params, choose_task_id, create_task, replay


class RenderRequest(NamedTuple):
    """What should differ; None keeps what the source task has."""

    format: ExportFormat | None = None
    filename: str | None = None
    options: ExportOptions | None = None
    idempotency_key: str | None = None
    request_id: str = ""
    trace_parent: str = ""


def render_again(ports: Ports, source_ref: TaskRef, request: RenderRequest) -> Opened:
    """Seal a new task over the source's chunks; the sender sends nothing again.

    The source must be sealed, and neither cancelled, expired nor deleted; it
    may have failed. The chunks live as long as the source: if it ends its
    retention first, the new task fails with CHUNK_MISSING. Values that the new
    format cannot hold fail the new task with the format's code.
    """
    source = find_task(ports, source_ref)
    if source.state is State.OPEN:
        raise SluiceError(ErrorCode.NOT_READY, state=source.state.value)
    if source.state in {State.CANCELLED, State.EXPIRED} or not source.params:
        raise ended_error(source)
    params = _new_params(ports, source, request)
    ref = TaskRef(source.tenant, choose_task_id(ports, source.tenant, request.idempotency_key))
    existing = ports.tasks.read(ref) if request.idempotency_key is not None else None
    if existing is not None:
        return replay(existing, params)
    ports.admission.admit()
    sealed = load_manifest(ports, source)
    manifest = Manifest.seal(ref, sealed.chunks, source_task=sealed.source_task)
    FORMATS[params.format].check_rows(params, manifest.sheet_rows(len(params.tables)), ports.limits)
    task = open_sealed(
        ref,
        params,
        manifest,
        now=ports.clock.now(),
        timings=ports.timings,
        request_id=request.request_id,
        trace_parent=request.trace_parent,
    )
    opened = create_task(ports, task, params)
    note_task(opened.task)
    if not opened.replayed:
        ports.journal.record(
            Event.TASK_CREATED,
            task_id=ref.task_id,
            tenant=ref.tenant,
            format=params.format.value,
            source_task=params.source_task,
        )
    put_manifest(ports, ref, manifest)
    return opened


def _new_params(ports: Ports, source: Task, request: RenderRequest) -> ExportParams:
    old = source.live_params
    params = msgspec.structs.replace(
        old,
        format=request.format or old.format,
        filename=request.filename if request.filename is not None else old.filename,
        options=request.options or old.options,
        source_task=old.source_task or source.task_id,
        source_created_at=old.source_created_at or source.created_at,
    )
    return check_params(params, ports.limits)
