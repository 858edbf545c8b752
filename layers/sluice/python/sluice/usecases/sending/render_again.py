"""Make another file from the chunks of a task that was sealed before."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskId, TaskRef
from sluice.domain.manifest import Manifest
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.reading import dataset_facts, open_over
from sluice.domain.renders import is_kept, list_render
from sluice.domain.run import ROWS
from sluice.domain.task import State, Task
from sluice.domain.task_errors import ended_error
from sluice.ports.bundle import Ports
from sluice.ports.log_context import client_of_call
from sluice.ports.retry import CHANGES_MAX
from sluice.ports.store_errors import OutcomeUnknown
from sluice.tables.formats import FORMATS
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.composing.read_chunks import load_manifest
from sluice.usecases.reading.read_task import find_task, note_task
from sluice.usecases.sending.close_export import put_manifest
from sluice.usecases.sending.open_export import (
    QUOTA_RETRY_S,
    Opened,
    check_params,
    check_quota,
    choose_task_id,
    create_task,
    replay,
)


class RenderRequest(NamedTuple):
    """What should differ; None keeps what the source task has."""

    format: ExportFormat | None = None
    filename: str | None = None
    options: ExportOptions | None = None
    idempotency_key: str | None = None
    request_id: str = ""
    trace_parent: str = ""
    is_repair: bool = False
    """An operator makes a file again: no quota of the tenant keeps it from that, and it takes no place."""


def render_again(ports: Ports, source_ref: TaskRef, request: RenderRequest) -> Opened:
    """Seal a new task over the source's chunks; the sender sends nothing again.

    The source must be sealed, and neither cancelled, expired nor deleted; it
    may have failed. The chunks live as long as the source: if it ends its
    retention first, the new task fails with CHUNK_MISSING. Values that the new
    format or options refuse fail the new task with the code of the batch's check. Raises EXPIRED
    when the task whose chunks they are has ended, STORAGE_FULL where no file
    has room now, QUEUE_FULL, and QUOTA_EXCEEDED: nothing is sent for such a
    file, so what bounds it is how many are kept of one task's chunks.
    """
    source = find_task(ports, source_ref)
    if source.state in {State.OPEN, State.WAITING, State.READING}:
        raise SluiceError(ErrorCode.NOT_READY, state=source.state.value)
    if source.state in {State.CANCELLED, State.EXPIRED} or not source.params:
        raise ended_error(source)
    params = _new_params(ports, source, request)
    ref = TaskRef(source.tenant, choose_task_id(ports, source.tenant, request.idempotency_key))
    existing = ports.tasks.read(ref) if request.idempotency_key is not None else None
    if existing is not None:
        return replay(existing, params)
    ports.admission.admit(source.tenant)
    if not request.is_repair:
        check_quota(ports, source.tenant, State.SEALED)
    _check_room(ports, source, params)
    sealed = load_manifest(ports, source)
    chunks = [chunk for chunk in sealed.chunks if chunk.sheet == 0] if source.live_params.run else sealed.chunks
    manifest = Manifest.seal(ref, chunks, source_task=sealed.source_task)
    FORMATS[params.format].check_rows(params, manifest.sheet_rows(len(params.tables)), ports.limits)
    task = open_over(
        source,
        ref,
        params,
        manifest,
        now=ports.clock.now(),
        timings=ports.timings,
        request_id=request.request_id,
        trace_parent=request.trace_parent,
    )
    if not request.is_repair:
        _take_place(ports, TaskRef(ref.tenant, TaskId(sealed.source_task)), ref.task_id)
    opened = create_task(ports, task, params)
    note_task(opened.task)
    if not opened.replayed:
        _record_opened(ports, task, params)
    put_manifest(ports, ref, manifest)
    return opened


def _record_opened(ports: Ports, task: Task, params: ExportParams) -> None:
    ports.journal.record(
        Event.TASK_CREATED,
        task_id=task.task_id,
        tenant=task.tenant,
        format=params.format.value,
        source_task=params.source_task,
    )
    if facts := dataset_facts(task):
        ports.journal.record(
            Event.DATASET_ASKED,
            task_id=task.task_id,
            tenant=task.tenant,
            what="render",
            outcome="opened",
            format=params.format.value,
            client=client_of_call(),
            **facts,
        )


def _check_room(ports: Ports, source: Task, params: ExportParams) -> None:
    """Raise STORAGE_FULL where the new file would have to wait for room: as far as its size is known."""
    is_copy = params.format is source.live_params.format and not params.options.reuse
    if not ports.has_room(source.tenant, max(ports.limits.part_bytes_min, source.result_size if is_copy else 0)):
        raise SluiceError(ErrorCode.STORAGE_FULL)


def _take_place(ports: Ports, sent_to: TaskRef, task_id: TaskId) -> None:
    """List a new task in the row of the one that its chunks were sent to. Raises EXPIRED and QUOTA_EXCEEDED."""
    renders_max = ports.limits.renders_max
    for _ in range(CHANGES_MAX):
        source, now = ports.tasks.read(sent_to), ports.clock.now()
        if source is None or source.deleted_at or source.state in {State.CANCELLED, State.EXPIRED}:
            detail = "The export that these rows were sent to has ended, and they with it."
            raise SluiceError(ErrorCode.EXPIRED, detail, source_task=sent_to.task_id)
        listed = source.renders
        if task_id in listed:
            return
        if len(listed) >= renders_max:
            refs = ((TaskRef(sent_to.tenant, TaskId(other)), since) for other, since in listed.items())
            listed = {other.task_id: since for other, since in refs if _keeps_place(ports, other, since, now)}
        if len(listed) >= renders_max:
            detail = (
                f"{renders_max} renders of these rows are kept, as many as concurrency.renders_max allows: "
                "delete some that are no longer needed, or wait until they expire."
            )
            raise SluiceError(ErrorCode.QUOTA_EXCEEDED, detail, renders_max=renders_max, retry_after_s=QUOTA_RETRY_S)
        if apply_transition(ports, sent_to, list_render(source, task_id, listed, now=now)):
            return
    raise OutcomeUnknown("the task kept changing while it was being rendered again")


def _keeps_place(ports: Ports, render: TaskRef, since: float, now: float) -> bool:
    try:
        return is_kept(ports.tasks.read(render), since=since, now=now)
    except SluiceError:  # TASK_DAMAGED: what it has is there until someone tends to it
        return True


def _new_params(ports: Ports, source: Task, request: RenderRequest) -> ExportParams:
    old = source.live_params
    if old.run is not None:  # its rows alone: what was refused is another table
        old = msgspec.structs.replace(old, columns=old.tables[0].columns, sheets=(), run=None, output=ROWS)
    params = msgspec.structs.replace(
        old,
        format=request.format or old.format,
        filename=request.filename if request.filename is not None else old.filename,
        options=request.options or old.options,
        source_task=old.source_task or source.task_id,
        source_created_at=old.source_created_at or source.created_at,
        target=None,
    )
    return check_params(params, ports.limits)
