"""Read the rows of a task from its source, store them as batches, and seal it: at most one attempt for each call."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import NamedTuple, TypeVar

from sluice.domain.attempts import PULL, has_attempts_left, is_leased
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef
from sluice.domain.lifecycle import Transition
from sluice.domain.manifest import Manifest
from sluice.domain.pulled import Pulled, Readings, decode_cursor, encode_cursor
from sluice.domain.reading import (
    ReadSpan,
    end_reading,
    hand_over,
    next_sequence,
    plan_readings,
    read_anew,
    seal_read,
)
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.source import Slice, Slices, Source, SourceError, SourceTooSlow
from sluice.ports.store_errors import StoreError
from sluice.tables.batch import Batch
from sluice.tables.formats import FORMATS
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.calls_outside import called, repeated
from sluice.usecases.lease import (
    Fenced,
    Outcome,
    acquire,
    end,
    fail_exhausted,
    ports_for,
    renew_if_due,
    run_attempt,
)
from sluice.usecases.pulling.open_pull import source_errors
from sluice.usecases.pulling.process_rows import Portion, RowProcess
from sluice.usecases.pulling.put_portions import Before, DivertedRows, PullLease, find_orphan, pulled_of, put_portion
from sluice.usecases.pulling.read_lookup import read_lookup
from sluice.usecases.reading.read_task import find_task, note_task
from sluice.usecases.sending.close_export import put_manifest
from sluice.usecases.sending.put_batch import checked_chunk
from sluice.usecases.upkeep.collect_garbage import collect_left_out

TRANSIENT_CODES = frozenset({ErrorCode.SOURCE_UNAVAILABLE, ErrorCode.SOURCE_TOO_SLOW, ErrorCode.STORE_UNAVAILABLE})
"""Codes that another attempt may not meet."""

_WAYS_OUT = {
    "snapshot": ", or set consistency: split or key in the dataset",
    "split": ", or more splits in the dataset",
    "key": "",
}
"""Beside more time."""

SPLIT_ROWS_MIN = 8_000
"""Fewer rows are not read as a range of their own: they are one slice."""


class _TimeOver(Exception):
    """The platform ends this attempt soon, and the next can go on where it is."""


Done = TypeVar("Done")


def read_source(ports: Ports, ref: TaskRef, *, owner: str = "") -> Outcome:
    """Take the task if it is free, read what is left of its source, and seal it, which triggers its composer.

    Repeatable, late, doubled and concurrent calls are harmless: one attempt
    reads at a time, and how far it has read changes with each batch, in one
    update. A later attempt goes on behind that, or begins anew where all rows
    have to be of one moment. An attempt whose time is over hands over to the
    next. Raises only what it did not foresee, after giving the task back.
    """
    task = ports.tasks.read(ref)
    ports = ports_for(ports, task)
    if task is not None:
        note_task(task)
    verdict = _judge(ports, task)
    if verdict is not None or task is None:
        outcome = verdict or Outcome.DROPPED
        ports.journal.record(Event.MANIFEST_DROPPED, task_id=ref.task_id, tenant=ref.tenant, outcome=outcome.value)
        return outcome
    if not has_attempts_left(task, now=ports.clock.now(), timings=ports.timings):
        return fail_exhausted(ports, task)
    lease = acquire(ports, PULL, task, owner=owner)
    if lease is None:
        return Outcome.BUSY
    work, finish = partial(_read_in_time, ports, lease), partial(_seal, ports, lease)
    outcome, done = run_attempt(ports, lease, work, finish, transient=TRANSIENT_CODES)
    return Outcome.HANDED_OVER if outcome is Outcome.COMPLETED and done is None else outcome


def _judge(ports: Ports, task: Task | None) -> Outcome | None:
    """Why the call needs no work; None when it does."""
    if task is None or task.state not in {PULL.waiting, PULL.running}:
        return Outcome.DROPPED
    if task.state is PULL.running and is_leased(task, now=ports.clock.now(), timings=ports.timings):
        return Outcome.BUSY
    return None


class _Read(NamedTuple):
    """All batches of a source, and of which moments their rows are."""

    manifest: Manifest
    span: ReadSpan
    read_at: float
    """Of the last reading."""


def _read_in_time(ports: Ports, lease: PullLease) -> _Read | None:
    """As ``_read_all``; None where the time was over before, and another goes on."""
    try:
        return _read_all(ports, lease)
    except _TimeOver:
        return None


def _read_all(ports: Ports, lease: PullLease) -> _Read:
    """Store what is left of the source, one reading after the other; gives the list of all batches."""
    task = find_task(ports, lease.ref)
    if task.epoch != lease.epoch:
        raise Fenced
    pulled = pulled_of(task)
    began_at = ports.clock.now()
    if task.batches_received > task.readings.batches:
        ended = partial(end_reading, orphan=find_orphan(ports, task)) if pulled.diverts else end_reading
        goes_on = pulled.consistency == "key" and pulled.gather is None
        task = _between(ports, lease, ended if goes_on else read_anew, task)
    _give_back(ports, task)
    with _stuck_errors(lease, pulled), source_errors(ports, pulled):
        source = ports.open_source(pulled)
        params = task.live_params

        def check(columns: Sequence[Sequence[str | None]], rows: int) -> None:
            checked_chunk(Batch.of_columns(columns, rows), params, ports.limits)

        lookup = partial(read_lookup, ports)
        process = RowProcess(pulled, ports.find_key, ports.clock.monotonic, check=check, find_lookup=lookup)
        diverted = DivertedRows(ports, lease, pulled)
        if pulled.consistency == "split" and task.readings == Readings():
            plan = partial(source.plan, pulled.splits, SPLIT_ROWS_MIN)
            bounds = called(ports, plan, keep=partial(_keep, ports, lease), interrupt=source.interrupt)
            task = _between(ports, lease, partial(plan_readings, bounds=bounds), task)
        while True:
            reading = _Reading(ports, lease, source, task)
            is_whole = _read_one(ports, lease, task, reading, process, diverted)
            if is_whole and len(task.readings.bounds) <= 1:
                break
            step = partial(end_reading, read_at=reading.read_at, is_at_bound=is_whole)
            task = _between(ports, lease, step, find_task(ports, lease.ref))
            lease.progress.is_kept = True
            _keep(ports, lease)
    claimed = ports.tasks.read_claims(lease.ref)
    if claimed is None:
        raise Fenced
    manifest = Manifest.seal(lease.ref, claimed.valid())
    if params.is_file:
        FORMATS[params.format].check_rows(params, (manifest.rows,), ports.limits)
    diverted.check_share(manifest.rows + find_task(ports, lease.ref).rows_filtered)
    now = ports.clock.now()
    # All rows of one moment, which is over when the first are there; or of each moment from the first attempt on.
    is_snapshot = pulled.consistency == "snapshot"
    span = ReadSpan(began_at, reading.first_at or now) if is_snapshot else ReadSpan(task.started_at, now)
    return _Read(manifest, span, reading.read_at)


def _between(ports: Ports, lease: PullLease, step: Callable[..., Transition], task: Task) -> Task:
    """Take a step between two readings, if the task is still ours; gives the row as it is then."""
    made = step(task, epoch=lease.epoch, now=ports.clock.now(), timings=ports.timings)
    if not apply_transition(ports, task.ref, made):
        raise Fenced
    return find_task(ports, lease.ref)


def _read_one(
    ports: Ports, lease: PullLease, task: Task, reading: _Reading, process: RowProcess, diverted: DivertedRows
) -> bool:
    """Store one reading. False: it took as long as rows are kept as they were, and there may be more of it."""
    pulled, begun_at = pulled_of(task), ports.clock.monotonic()
    before = Before(next_sequence(task), task.rows_received, task.rows_filtered, task.cursor)
    rows_before = before.rows + before.filtered
    with closing(reading.slices()) as slices:
        keep = partial(_keep, ports, lease, moves=True)
        for part in process.portions(slices, rows_before, on_gather=keep):
            if part.diverted:
                before = diverted.store(task, part.diverted, before, read_at=reading.read_at)
            before = put_portion(ports, lease, task, part, before, read_at=reading.read_at)
            lease.progress.is_kept |= pulled.consistency == "key" and pulled.gather is None
            _keep(ports, lease)
            _check_duration(ports, task, pulled)
            _pace(ports, lease, pulled, before.rows + before.filtered - rows_before, begun_at)
            if 0 < pulled.snapshot_max_s <= ports.clock.monotonic() - begun_at:
                return _is_whole(pulled, task, part)
    return True


PACE_STEP_S = 1.0
"""How long a reader that is too fast waits at a time, and keeps its lease between."""


def _pace(ports: Ports, lease: PullLease, pulled: Pulled, rows: int, begun_at: float) -> None:
    """Wait until so many rows may have been read since the reading began."""
    if not pulled.rows_per_s:
        return
    until = begun_at + rows / pulled.rows_per_s
    while (left := until - ports.clock.monotonic()) > 0:
        ports.clock.sleep(min(left, PACE_STEP_S))
        _keep(ports, lease, moves=True)


def _check_duration(ports: Ports, task: Task, pulled: Pulled) -> None:
    """Raise RUN_TOO_LONG for a task that has been read for as long as it may."""
    if 0 < pulled.duration_max_s < ports.clock.now() - task.created_at:
        raise SluiceError(ErrorCode.RUN_TOO_LONG, duration_max_s=pulled.duration_max_s)


def _is_whole(pulled: Pulled, task: Task, last: Portion) -> bool:
    """Whether a reading that has to end here is at its bound. Raises ``SourceError`` where no other may follow it."""
    if pulled.consistency == "snapshot":
        raise SourceError(
            f"table {pulled.table} of {pulled.connection} was read for as long as its rows are kept as they were "
            f"(snapshot_max_s, {pulled.snapshot_max_s:g}): set consistency: split in the dataset"
        )
    return encode_cursor(last.cursor) in task.readings.bounds[:1]


@contextmanager
def _stuck_errors(lease: PullLease, pulled: Pulled) -> Iterator[None]:
    """Let a time-out count against the task where the next attempt can be no better: it begins where this one did."""
    try:
        yield
    except SluiceError as error:
        if lease.progress.is_kept or not isinstance(error.__cause__, SourceTooSlow):
            raise
        way = _WAYS_OUT[pulled.consistency]
        detail = f"Reading took longer than one statement may. Raise statement_timeout of the connection{way}."
        facts = {"dataset": pulled.dataset, "connection": pulled.connection}
        raise SluiceError(ErrorCode.SOURCE_TOO_SLOW, detail, **facts) from error


def _give_back(ports: Ports, task: Task) -> None:
    """Remove what former readings wrote. Where the store does not answer, that is left to the sweeper."""
    try:
        collect_left_out(ports, task)
    except StoreError as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=task.task_id, error=error)


class _Reading:
    """One reading of the source, from where ``task`` says to its next bound."""

    def __init__(self, ports: Ports, lease: PullLease, source: Source, task: Task) -> None:
        self._ports = ports
        self._lease = lease
        self._source = source
        after, bounds = task.readings.after, task.readings.bounds
        self._open = partial(source.reading, decode_cursor(after), decode_cursor(bounds[0]) if bounds else None)
        self.read_at = 0.0
        """As ``Slices`` has it, once there is a slice, or it is over."""
        self.first_at = 0.0
        """When its first rows came, by our clock."""

    def slices(self) -> Generator[Slice]:
        """Read, and keep the lease while that takes its time."""
        with ExitStack() as opened:
            slices: list[Slices] = []

            def step() -> Slice | None:
                if not slices:
                    slices.append(opened.enter_context(self._open()))
                    self.read_at = slices[0].read_at
                return next(slices[0], None)

            parts = opened.enter_context(closing(_calls(self._ports, self._lease, self._source, step)))
            for part in parts:
                if part is None:
                    return
                self.first_at = self.first_at or self._ports.clock.now()
                yield part


def _keep(ports: Ports, lease: PullLease, *, moves: bool = False) -> None:
    """Keep the lease. Raises ``_TimeOver`` where an attempt that got on has no time left, and another can go on."""
    most_s = ports.timings.attempt_total_s
    if most_s and ports.clock.monotonic() - lease.begun_at > most_s and lease.progress.is_kept:
        raise _TimeOver
    renew_if_due(ports, lease, moves=moves)


def _calls(ports: Ports, lease: PullLease, source: Source, call: Callable[[], Done]) -> Generator[Done]:
    """Call the source again and again, and keep the lease meanwhile. One that is lost interrupts the source."""
    return repeated(ports, call, keep=partial(_keep, ports, lease), interrupt=source.interrupt)


def _seal(ports: Ports, lease: PullLease, read: _Read | None) -> None:
    """Fix the content, and put the manifest, which triggers the composer; or hand over what was read."""
    if read is None:
        end(ports, lease, hand_over(lease.epoch, now=ports.clock.now()), outcome=Outcome.HANDED_OVER.value)
        return
    task, manifest = find_task(ports, lease.ref), read.manifest
    now = ports.clock.now()
    step = seal_read(task, manifest, read.span, read_at=read.read_at, epoch=lease.epoch, now=now, timings=ports.timings)
    end(ports, lease, step, outcome=Outcome.COMPLETED.value)
    ports.journal.record(
        Event.TASK_SEALED,
        task_id=task.task_id,
        tenant=task.tenant,
        batches=len(manifest.chunks),
        rows=manifest.rows,
        bytes=manifest.size,
    )
    put_manifest(ports, lease.ref, manifest)
