"""Store one batch and acknowledge it, as often as it is sent: work on its cells first, then that of the stores."""

from __future__ import annotations

from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, chunk_key
from sluice.domain.lifecycle import idle_due_at
from sluice.domain.limits import Limits
from sluice.domain.manifest import Claim
from sluice.domain.params import ExportParams
from sluice.domain.task import State
from sluice.domain.task_errors import ended_error, keep_refusal
from sluice.ports.bundle import Ports
from sluice.ports.retry import CHANGES_MAX, settle
from sluice.ports.store_errors import StoreError
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import Chunk, encode_batch
from sluice.tables.formats import FORMATS
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.params_cache import ParamsCache

SEQUENCE_MAX = 2**31 - 1
"""Above this a sequence is a mistake rather than one batch too many."""


class BatchReceipt(NamedTuple):
    """The acknowledgement: the batch is stored, and will be in the file."""

    sequence: int
    rows: int
    sha: str
    replayed: bool


class PreparedBatch(NamedTuple):
    """A batch that was checked, as it will be stored."""

    claim: Claim
    body: bytes
    created_at: float
    """When the task was opened."""
    started: float


def put_batch(
    ports: Ports, params_cache: ParamsCache, ref: TaskRef, *, sequence: int, batch: Batch, sheet: int = 0
) -> BatchReceipt:
    """Check a batch, store its chunk, claim its sequence, acknowledge; in this order.

    Raises what ``prepare_batch`` and ``store_batch`` raise.
    """
    prepared = prepare_batch(ports, params_cache, ref, sequence=sequence, batch=batch, sheet=sheet)
    return store_batch(ports, ref, prepared)


def prepare_batch(
    ports: Ports, params_cache: ParamsCache, ref: TaskRef, *, sequence: int, batch: Batch, sheet: int = 0
) -> PreparedBatch:
    """Check a batch and encode its chunk: all the work that grows with its cells, for a caller that bounds such work.

    ``sheet`` is the index of the declared table that the rows belong to. Nothing is stored. Raises TASK_CLOSED,
    ROW_WIDTH_MISMATCH, BATCH_TOO_LARGE, and what ``check_sequence`` and the format's check raise.
    """
    started = ports.clock.monotonic()
    check_sequence(sequence, ports.limits)
    cached = params_cache.read(ref)
    params = cached.params
    ports.journal.record(
        Event.BATCH_RECEIVED, task_id=ref.task_id, tenant=ref.tenant, sequence=sequence, rows=batch.rows
    )
    if params.source_task or params.is_read:
        raise SluiceError(ErrorCode.TASK_CLOSED, state=(State.SEALED if params.source_task else State.READING).value)
    chunk = checked_chunk(batch, params, ports.limits, sheet=sheet)
    claim = Claim(sequence, chunk.sha, chunk.rows, chunk.size, sheet)
    return PreparedBatch(claim, chunk.body, cached.created_at, started)


def store_batch(ports: Ports, ref: TaskRef, prepared: PreparedBatch) -> BatchReceipt:
    """Store a batch that was prepared for this task, claim its sequence, acknowledge; in this order.

    Two calls to the stores: one put, one conditional update. Repeatable in any
    order and in parallel; the same rows are acknowledged again, other rows
    under a taken sequence, or the same for another table, raise BATCH_CONFLICT. A refused batch leaves no
    claim, and no chunk that could never be claimed. Raises also TASK_CLOSED, CANCELLED, EXPIRED.
    """
    claim = prepared.claim
    ports.objects.put(chunk_key(ref, claim.sequence, claim.sha), prepared.body)
    try:
        receipt = _claim(ports, ref, claim, created_at=prepared.created_at)
    except SluiceError:
        _remove_unclaimed(ports, ref, claim)
        raise
    ports.journal.record(
        Event.BATCH_REPLAYED if receipt.replayed else Event.BATCH_PROCESSED,
        task_id=ref.task_id,
        tenant=ref.tenant,
        sequence=claim.sequence,
        rows=claim.rows,
        bytes=claim.size,
        duration_s=ports.clock.monotonic() - prepared.started,
    )
    return receipt


def checked_chunk(batch: Batch, params: ExportParams, limits: Limits, *, sheet: int = 0) -> Chunk:
    """The chunk of a batch that the task's file can hold. Raises what ``put_batch`` says of rows."""
    columns = params.tables[sheet].columns
    if batch.rows > limits.batch_rows_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, batch_rows_max=limits.batch_rows_max)
    if len(batch.columns) != len(columns):
        raise SluiceError(ErrorCode.ROW_WIDTH_MISMATCH, row=1, cells=len(batch.columns), columns=len(columns))
    FORMATS[params.format].check_sent(batch, columns, params.options, limits)
    chunk = encode_batch(batch)
    if chunk.size > limits.batch_bytes_max:
        raise SluiceError(ErrorCode.BATCH_TOO_LARGE, bytes=chunk.size, batch_bytes_max=limits.batch_bytes_max)
    return chunk


def check_sequence(sequence: int, limits: Limits) -> None:
    """Raise SEQ_OUT_OF_RANGE or TOO_MANY_BATCHES for a sequence that no batch can have."""
    if not 1 <= sequence <= SEQUENCE_MAX:
        raise SluiceError(ErrorCode.SEQ_OUT_OF_RANGE)
    if sequence > limits.batches_max:
        raise SluiceError(ErrorCode.TOO_MANY_BATCHES, batches_max=limits.batches_max)


def _claim(ports: Ports, ref: TaskRef, claim: Claim, *, created_at: float) -> BatchReceipt:
    """Make the batch a fact. After a lost answer the same claim is made again, and then read back."""

    def receipt(*, replayed: bool) -> BatchReceipt:
        return BatchReceipt(claim.sequence, claim.rows, claim.sha, replayed=replayed)

    def take() -> BatchReceipt | None:
        now = ports.clock.now()
        due_at = idle_due_at(created_at, now=now, timings=ports.timings)
        return receipt(replayed=False) if ports.tasks.claim(ref, claim, at=now, due_at=due_at) else None

    def read_back(lost: bool) -> BatchReceipt | None:  # noqa: FBT001 - as settle gives it
        return receipt(replayed=not lost) if _is_taken(ports, ref, claim) else None

    return settle(ports, take, read_back)


def _remove_unclaimed(ports: Ports, ref: TaskRef, claim: Claim) -> None:
    """Remove the chunk of a refused batch, if no claim can ever name it; garbage collection finds what stays.

    The row is read first: a task that is not open then gets no further claim,
    and a claim that is there never changes. Without a row the key may be opened
    anew at this moment, and the same batch be put: then nothing is touched.
    """
    try:
        task = ports.tasks.read(ref)
        stored = ports.tasks.read_claim(ref, claim.sequence)
        if task is None or (stored is None and task.state is State.OPEN) or (stored and stored.sha == claim.sha):
            return
        ports.objects.delete([chunk_key(ref, claim.sequence, claim.sha)])
    except (StoreError, SluiceError) as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=ref.task_id, sequence=claim.sequence, error=error)


def _is_taken(ports: Ports, ref: TaskRef, claim: Claim) -> bool:
    """Whether this very claim is in the row; False while it may yet come; raises when it never can.

    A claim once written is in the manifest for good: claims are only added
    while OPEN, and the seal compares ``rev``. So the claim is read first.
    """
    stored = ports.tasks.read_claim(ref, claim.sequence)
    task = ports.tasks.read(ref)
    if task is None:
        raise SluiceError(ErrorCode.TASK_NOT_FOUND)
    if task.state in {State.CANCELLED, State.EXPIRED} or task.deleted_at:
        raise ended_error(task)
    if stored is None:
        if task.state is not State.OPEN:
            raise ended_error(task)
        return False
    if stored.sha != claim.sha:
        raise SluiceError(ErrorCode.BATCH_CONFLICT, sequence=claim.sequence, stored_sha256=stored.sha)
    if stored.sheet != claim.sheet:
        detail = "The sequence is taken by a batch with the same rows, for another sheet."
        raise SluiceError(ErrorCode.BATCH_CONFLICT, detail, sequence=claim.sequence, stored_sha256=stored.sha)
    return True


def note_refusal(ports: Ports, ref: TaskRef, error: SluiceError) -> None:
    """Have the status of an open task say why a stream of its batches ended. Raises nothing: the refusal goes first."""
    try:
        for _ in range(CHANGES_MAX):
            task = ports.tasks.read(ref)
            if task is None or task.state is not State.OPEN or apply_transition(ports, ref, keep_refusal(task, error)):
                return
    except (StoreError, SluiceError) as lost:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=ref.task_id, error=lost)
