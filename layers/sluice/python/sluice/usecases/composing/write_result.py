"""Write one attempt's file: chunks through the writer into an upload in parts, verified at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from urllib.parse import quote

from sluice.domain.attempts import ComposeProgress, room_needed
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import is_of_earlier_attempt, output_folder, result_key
from sluice.domain.manifest import Manifest
from sluice.domain.task import Phase, Result, Task
from sluice.ports.bundle import Ports
from sluice.ports.object_store import FILENAME, PartReceipt, Upload
from sluice.ports.retry import settle
from sluice.ports.store_errors import NoSuchObject, NoSuchUpload, StoreError, StoreFull
from sluice.tables.batch import Batch
from sluice.tables.bytes.digests import Digest, digested
from sluice.tables.bytes.parts import part_sizes, slice_parts
from sluice.tables.file_plan import FilePlan, PlannedTable, Replan, Tally
from sluice.tables.formats import FORMATS, WRITER_VERSION
from sluice.tables.values.nulled_cells import prepared
from sluice.tables.writers.format import Format
from sluice.tables.writers.sealed_rows import row_count_error
from sluice.usecases.composing.make_about import make_about
from sluice.usecases.composing.read_chunks import picked_from, read_chunks
from sluice.usecases.composing.render_checked import checked
from sluice.usecases.lease import Fenced, Lease, renew_if_due

TRANSIENT_CODES = frozenset({ErrorCode.RESULT_VERIFY_FAILED, ErrorCode.STORE_UNAVAILABLE, ErrorCode.TARGET_UNAVAILABLE})
"""Codes that another attempt may not meet."""

ComposeLease = Lease[ComposeProgress]


def write_result(ports: Ports, lease: ComposeLease, task: Task, manifest: Manifest) -> Result:
    """Compose the file under a key of this attempt alone.

    Memory does not depend on the number of rows: one decoded chunk and
    ``limits.prefetched_chunks`` stored ones, one slice of output, and
    ``limits.parallel_parts`` parts beside the one that grows are in memory. A
    writer that asks for another plan starts again from the first row. Raises
    ``Fenced`` at the first heartbeat that finds another attempt; a permanent
    ``SluiceError`` when the data cannot become the file; a ``StoreError`` when
    a store gave up.
    """
    file_format, plan = FORMATS[task.live_params.format], plan_file(ports, task, manifest)
    while True:
        upload = _begin(ports, lease, file_format, plan, man_sha=task.man_sha)
        whole = False
        try:
            result = _upload_file(ports, lease, upload, file_format, plan, manifest, picked=task.live_params.picked)
        except Replan as found:
            _abort_quietly(ports, lease, upload)
            if found.plan == plan:  # which could go on for ever
                raise ValueError("a writer asked for the plan it has") from found
            plan = found.plan
            lease.progress = ComposeProgress()
        except Exception as error:
            if not isinstance(error, Fenced):  # that attempt did not fail; its end is recorded
                is_transient = isinstance(error, SluiceError) and error.code in TRANSIENT_CODES
                is_store = is_transient or isinstance(error, StoreError)
                _record(ports, lease, Event.UPLOAD_FAILED if is_store else Event.WRITE_ERROR, error=error)
            _abort_quietly(ports, lease, upload)
            if isinstance(error, StoreFull):
                _drop_earlier(ports, lease)
                lease.progress.full_since = task.full_since or ports.clock.now()
                lease.progress.room_needed = room_needed(
                    lease.progress.bytes_done,
                    before=task.room_needed,
                    part_bytes=ports.limits.part_bytes_min,
                    size_bound=file_format.size_bound(plan),
                )
            raise
        else:
            whole = True
            return result
        finally:
            _record(ports, lease, Event.FILE_CLOSED, whole=whole)


def _upload_file(
    ports: Ports,
    lease: ComposeLease,
    upload: Upload,
    file_format: Format,
    plan: FilePlan,
    manifest: Manifest,
    *,
    picked: Sequence[int],
) -> Result:
    tally, digest = Tally(), Digest()
    chunks = read_chunks(
        ports.objects,
        manifest,
        pool=ports.pool,
        prefetched=ports.limits.prefetched_chunks,
        on_wait=partial(renew_if_due, ports, lease),
    )
    with closing(chunks):
        batches = _watched(ports, lease, picked_from(chunks, picked))
        if manifest.source_task != manifest.task_id:  # put by other options: another task's
            batches = checked(batches, manifest, file_format, plan)
        written = file_format.write(prepared(batches, plan, tally), plan, tally)
        blocks = digested(_bounded(written, ports.limits.result_bytes_max), digest)
        sizes = part_sizes(file_format.size_bound(plan), ports.limits)
        parts = _at_least_one(slice_parts(blocks, sizes))
        receipts = list(_put_parts(ports, lease, upload, parts))
    _record(ports, lease, Event.FILE_WRITTEN, bytes=digest.size, parts=len(receipts), duration_s=_age_s(ports, lease))
    if tally.rows != manifest.rows:
        raise row_count_error(tally.rows, manifest.rows)
    _complete(ports, lease, upload, receipts)
    _record(ports, lease, Event.FILE_FINALIZED, bytes=digest.size)
    info = ports.objects.head(upload.key)  # what the store holds is what was written, before any row names it
    if (info.size, info.crc64, info.metadata.get("nonce")) != (digest.size, digest.crc64, lease.owner):
        raise SluiceError(ErrorCode.RESULT_VERIFY_FAILED, size_written=digest.size, size_stored=info.size)
    parts_done, duration_s = lease.progress.parts_done, _age_s(ports, lease)
    _record(ports, lease, Event.UPLOAD_COMPLETED, bytes=digest.size, parts=parts_done, duration_s=duration_s)
    return Result(upload.key, digest.size, digest.sha256, digest.crc64, tally.rows, dict(tally.warnings))


def plan_file(ports: Ports, task: Task, manifest: Manifest) -> FilePlan:
    """What the writer may know beforehand; nothing in it differs between two attempts."""
    params = task.live_params
    rows = manifest.sheet_rows(len(params.tables))
    sheets = tuple(
        PlannedTable(name=sheet.name, columns=sheet.columns, rows=rows[index], size=manifest.sheet_size(index))
        for index, sheet in enumerate(params.sheets)
    )
    return FilePlan(
        columns=params.columns,
        sheets=sheets,
        options=params.options,
        rows=manifest.rows,
        size=manifest.size,
        stem=params.filename.removesuffix("." + FORMATS[params.format].extension(params.options, 0)),
        limits=ports.limits,
        about=make_about(task, manifest) if params.has_about else (),
    )


def _begin(ports: Ports, lease: ComposeLease, file_format: Format, plan: FilePlan, *, man_sha: str) -> Upload:
    extension = file_format.extension(plan.options, plan.rows)
    key = result_key(lease.ref, epoch=lease.epoch, nonce=lease.owner, extension=extension)
    metadata = {
        "task": lease.ref.task_id,
        "epoch": str(lease.epoch),
        "nonce": lease.owner,
        "manifest": man_sha,
        "writer-version": WRITER_VERSION,
        FILENAME: quote(f"{plan.stem}.{extension}", safe=""),
    }
    upload = ports.objects.begin_upload(key, metadata=metadata)
    _record(ports, lease, Event.UPLOAD_STARTED)
    _record(ports, lease, Event.FILE_CREATED, extension=extension)
    return upload


def _watched(ports: Ports, lease: ComposeLease, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Count the rows that go by, and keep the lease."""
    for batch in batches:
        rows, passed = batch.rows, [batch]
        del batch  # nor any other name: it must be gone before the next one is decoded
        yield passed.pop()
        lease.progress.rows_done += rows
        renew_if_due(ports, lease)
    lease.progress.phase = Phase.UPLOADING
    rows, duration_s = lease.progress.rows_done, _age_s(ports, lease)
    _record(ports, lease, Event.RECORDS_WRITTEN, rows=rows, duration_s=duration_s)


def _bounded(blocks: Iterable[bytes], bytes_max: int) -> Iterator[bytes]:
    """Pass on ``bytes_max`` bytes at most; RESULT_TOO_LARGE in place of the block that goes beyond. 0: no bound."""
    size = 0
    for block in blocks:
        size += len(block)
        if bytes_max and size > bytes_max:
            detail = (
                f"The file would be larger than performance.max_result_bytes ({bytes_max:,}) allows: "
                "send its rows as several exports, or in a format that writes them shorter."
            )
            raise SluiceError(ErrorCode.RESULT_TOO_LARGE, detail, result_bytes_max=bytes_max)
        yield block


def _put_parts(ports: Ports, lease: ComposeLease, upload: Upload, parts: Iterable[bytes]) -> Iterator[PartReceipt]:
    """Upload the parts, several at a time; a part that waits for its turn keeps the writer from going on."""

    def put(numbered: tuple[int, bytes]) -> tuple[PartReceipt, float]:
        started = ports.clock.monotonic()
        return ports.objects.put_part(upload, *numbered), ports.clock.monotonic() - started

    keep = partial(renew_if_due, ports, lease)
    with closing(
        ports.pool.map(put, enumerate(parts, start=1), concurrency=ports.limits.parallel_parts, on_wait=keep)
    ) as done:
        for receipt, duration_s in done:
            yield receipt
            lease.progress.parts_done = receipt.part_number
            lease.progress.bytes_done += receipt.size
            part_number, size = receipt.part_number, receipt.size
            _record(ports, lease, Event.UPLOAD_PART, part_number=part_number, bytes=size, duration_s=duration_s)
            keep()


def _at_least_one(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Pass ``parts`` on; a file of no bytes is one empty part, since no store completes an upload without any."""
    is_empty = True
    for part in parts:
        is_empty = False
        yield part
    if is_empty:
        yield b""


def _complete(ports: Ports, lease: ComposeLease, upload: Upload, receipts: list[PartReceipt]) -> None:
    """Complete the upload; that may take long, so the lease is kept meanwhile.

    After a lost answer NoSuchUpload means success if the object is ours.
    """

    def complete() -> bool:
        try:
            ports.objects.complete_upload(upload, receipts)
        except NoSuchUpload:
            if not _is_ours(ports, upload, lease):
                raise
        return True

    def settled(_: Upload) -> bool:
        return settle(ports, complete, lambda _: _is_ours(ports, upload, lease) or None)

    keep = partial(renew_if_due, ports, lease)
    with closing(ports.pool.map(settled, [upload], concurrency=1, on_wait=keep)) as done:
        next(done)


def _is_ours(ports: Ports, upload: Upload, lease: ComposeLease) -> bool:
    try:
        return ports.objects.head(upload.key).metadata.get("nonce") == lease.owner
    except NoSuchObject:
        return False


def _abort_quietly(ports: Ports, lease: ComposeLease, upload: Upload) -> None:
    """Drop our own parts. Never harmful: an upload that was completed is over, and its object stays."""
    try:
        ports.objects.abort_upload(upload)
    except StoreError as error:
        _record(ports, lease, Event.UPLOAD_ERROR, error=error)


def _drop_earlier(ports: Ports, lease: ComposeLease) -> None:
    """Drop what earlier attempts left in a store that is full: those of processes that were killed.

    Never harmful: the epoch keeps them from finishing. No row names a file of a task that is composed.
    """
    folder = output_folder(lease.ref)
    try:
        for upload in list(ports.objects.list_uploads(folder)):
            if is_of_earlier_attempt(lease.ref, upload.key, epoch=lease.epoch):
                ports.objects.abort_upload(upload)
        keys = [item.key for item in ports.objects.list(folder)]
        ports.objects.delete([key for key in keys if is_of_earlier_attempt(lease.ref, key, epoch=lease.epoch)])
    except StoreError as error:
        _record(ports, lease, Event.UPLOAD_ERROR, error=error)


def _record(ports: Ports, lease: ComposeLease, event: Event, **fields: object) -> None:
    ports.journal.record(event, task_id=lease.ref.task_id, epoch=lease.epoch, **fields)


def _age_s(ports: Ports, lease: ComposeLease) -> float:
    return ports.clock.monotonic() - lease.begun_at
