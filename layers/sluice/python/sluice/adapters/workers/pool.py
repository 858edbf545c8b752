"""Composers in worker processes: a bounded queue, in which tenants take turns, before a bounded number of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sluice.adapters.workers.fair_queue import FairQueue
from sluice.adapters.workers.process import WorkerDied, WorkerProcess
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef, TenantId
from sluice.ports.clock import Clock, Randomness
from sluice.ports.journal import Journal

RETRY_AFTER_S = 10
"""How long a sender is asked to wait when the queue is full."""
DEATHS_MAX = 3
"""Composers in a row that die as they start before the service says that it is not ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """``workers_max`` tasks are composed at once, ``queue_max`` wait; a worker is silent for ``silence_s`` at most.

    Of one tenant ``tenant_max`` are composed at once, 0 for no bound, and fewer beside those of others. Half of the
    workers read from databases at most, whatever those do; of these places a tenant has the same share.
    """

    workers_max: int = 10
    tenant_max: int = 0
    queue_max: int = 1_000
    silence_s: float = 30

    def tenant_bound(self, others: int) -> int:
        """How many composers a tenant may have while those of ``others`` are so many: half of what they leave.

        The last that is free is any tenant's. One that is alone has its whole share.
        """
        return _share(self.workers_max, self.tenant_max, others)

    @property
    def reading_max(self) -> int:
        """How many may read from databases."""
        return max(1, self.workers_max // 2)

    def tenant_reading_bound(self, others: int) -> int:
        """As ``tenant_bound``, of those that may read."""
        share = max(1, self.tenant_max * self.reading_max // self.workers_max) if self.tenant_max else 0
        return _share(self.reading_max, share, others)


def _share(places: int, share: int, others: int) -> int:
    if not share:
        return places
    return min(share, max(1, (places - others) // 2)) if others else share


@dataclass(slots=True)
class _Handled:
    """A task that is queued or with a worker."""

    epoch: int = 0
    """Of the attempt that the worker makes; 0 until it has the task."""
    worker: WorkerProcess | None = None
    asked_again: bool = False
    """A later attempt was asked for meanwhile: whatever becomes of this one, the task is looked at again."""


class WorkerPool:
    """Implements ``Invoker`` and ``Admission`` by processes on this machine.

    Each worker composes one task at a time. A task is queued at most once, and
    tenants take turns: one with a thousand keeps another waiting for one of them.
    The bound of the queue holds for new exports, at ``admit``; a sealed task
    is never turned away, since its rows are accepted. ``note`` gets the log
    lines of the workers, from the pool's threads. A worker gets ``settings``
    as the first line of its input: what it needs is what this process has, and
    no file that may be another one by now, or gone.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        settings: bytes,
        limits: PoolLimits,
        clock: Clock,
        journal: Journal,
        randomness: Randomness,
        note: Callable[[bytes], object],
    ) -> None:
        self._command = command
        self._settings = settings
        self._limits = limits
        self._clock = clock
        self._journal = journal
        self._randomness = randomness
        self._note = note
        self._rescue: Callable[[ManifestRef, str, bool], object] = _leave
        self._changed = threading.Condition()
        self._queue = FairQueue()
        self._sources = FairQueue()
        """Tasks whose rows are to be read first, from databases that may keep a worker waiting."""
        self._reading_of: Counter[TenantId] = Counter()
        self._known: dict[ManifestRef, _Handled] = {}
        self._workers: dict[threading.Thread, WorkerProcess] = {}
        self._threads: list[threading.Thread] = []
        self._active = 0
        self._active_of: Counter[TenantId] = Counter()
        self._draining = False
        self._deaths_at_start = 0

    def rescue_with(self, rescue: Callable[[ManifestRef, str, bool], object]) -> None:
        """Call ``rescue``, from a thread of the pool, when a worker died with a task.

        It gets the task, the name of its attempt, and whether the worker died before it could take any task.
        """
        self._rescue = rescue

    @property
    def active(self) -> int:
        """Tasks being composed."""
        return self._active

    @property
    def queued(self) -> int:
        """Tasks waiting for a worker."""
        return len(self._queue) + len(self._sources)

    @property
    def waiting(self) -> set[TaskRef]:
        """The tasks that wait for a worker."""
        with self._changed:
            return {manifest.task for queue in (self._queue, self._sources) for manifest in queue}

    def check(self) -> None:
        """Raise INTERNAL once ``DEATHS_MAX`` composers in a row died as they started."""
        deaths = self._deaths_at_start
        if deaths >= DEATHS_MAX:
            detail = f"the last {deaths} composers died as they started: no file is written, see WorkerDied in the log"
            raise SluiceError(ErrorCode.INTERNAL, detail)

    @property
    def pids(self) -> list[int]:
        """The worker processes, for an operator and for tests that kill them."""
        with self._changed:
            return [worker.pid for worker in self._workers.values() if worker.alive]

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        """Queue the task unless it is queued or being composed; start a worker if there is none free.

        A task whose attempt here was overtaken, by an operator or because its
        lease lapsed, is queued again when its worker has ended.
        """
        with self._changed:
            known = self._known.get(manifest)
            if known is not None and 0 < known.epoch < epoch:
                known.asked_again = True
                if known.worker is not None:
                    known.worker.hurry()
            if self._draining or known is not None:
                return
            self._known[manifest] = _Handled()
            (self._queue if manifest.sha else self._sources).append(manifest)
            idle = len(self._threads) - self._active
            if self.queued > idle and len(self._threads) < self._limits.workers_max:
                self._add_thread()
            self._changed.notify_all()
            queued, active = self.queued, self._active
        fields = {"task_id": manifest.task.task_id, "queued": queued, "active": active}
        self._journal.record(Event.TASK_QUEUED, epoch=epoch, **fields)
        if queued + active > self._limits.workers_max:
            self._journal.record(Event.CONCURRENCY_LIMIT_REACHED, **fields)

    def admit(self, tenant: TenantId) -> None:
        """Raise QUEUE_FULL unless there is room in the queue.

        The first export has the first worker started, so that it is ready when the rows are there.
        """
        with self._changed:
            if self._has_room(tenant):
                if not self._threads and not self._draining:
                    self._add_thread()
                return
            queued = self.queued
        self._journal.record(Event.CONCURRENCY_LIMIT_REACHED, queued=queued, active=self._active)
        raise SluiceError(ErrorCode.QUEUE_FULL, queued=queued, retry_after_s=RETRY_AFTER_S)

    def has_room(self, tenant: TenantId) -> bool:
        with self._changed:
            return self._has_room(tenant)

    def _has_room(self, tenant: TenantId) -> bool:
        return all(queue.has_room(tenant, self._limits.queue_max) for queue in (self._queue, self._sources))

    def drain(self, *, deadline_s: float) -> bool:
        """Take no more requests; let running tasks end within the deadline, then kill their workers.

        What was queued or killed stays sealed in the task store, for the next
        service that looks. True: no worker had to be killed.
        """
        with self._changed:
            self._draining = True
            self._queue.clear()
            self._sources.clear()
            self._changed.notify_all()
            threads = list(self._threads)
        give_up_at = self._clock.monotonic() + deadline_s
        for thread in threads:
            thread.join(max(0.0, give_up_at - self._clock.monotonic()))
        with self._changed:
            running = [self._workers[thread] for thread in threads if thread.is_alive() and thread in self._workers]
        for worker in running:
            worker.kill()
        for thread in threads:
            thread.join()
        return not running

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"composer-{len(self._threads) + 1}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        """Feed one worker until the pool drains."""
        with suppress(OSError, WorkerDied):  # the first task tries again
            self._worker()
        while (manifest := self._next()) is not None:
            try:
                self._compose(manifest)
            finally:
                with self._changed:
                    self._active -= 1
                    self._active_of[manifest.task.tenant] -= 1
                    self._reading_of[manifest.task.tenant] -= not manifest.sha
                    self._changed.notify_all()
        worker = self._workers.pop(threading.current_thread(), None)
        if worker is not None:
            worker.close()

    def _may_begin(self, tenant: TenantId) -> bool:
        """A tenant that has its share waits for one of its own composers, and is not begun to be put off by the row."""
        active = self._active_of[tenant]
        return active < self._limits.tenant_bound(self._active - active)

    def _may_read(self, tenant: TenantId) -> bool:
        reading, own = self._reading_of.total(), self._reading_of[tenant]
        may_one_more = reading < self._limits.reading_max and own < self._limits.tenant_reading_bound(reading - own)
        return may_one_more and self._may_begin(tenant)

    def _pop(self) -> ManifestRef | None:
        """The next task."""
        return self._sources.pop(self._may_read) or self._queue.pop(self._may_begin)

    def _next(self) -> ManifestRef | None:
        with self._changed:
            while (manifest := self._pop()) is None and not self._draining:
                self._changed.wait()
            if manifest is None or self._draining:
                return None
            self._active += 1
            self._active_of[manifest.task.tenant] += 1
            self._reading_of[manifest.task.tenant] += not manifest.sha
            self._changed.notify_all()
            queued, active = self.queued, self._active
        self._journal.record(Event.TASK_DEQUEUED, task_id=manifest.task.task_id, queued=queued, active=active)
        return manifest

    def _compose(self, manifest: ManifestRef) -> None:
        """Have the task composed. It may be asked for again as soon as its worker has answered."""
        died, is_ready, owner = False, False, self._randomness.bytes(8).hex()
        known = self._known[manifest]
        try:
            worker = known.worker = self._worker()
            is_ready = True
            worker.compose(manifest, owner, on_epoch=partial(setattr, known, "epoch"))
            words = worker.take_words()
            if words:
                self._journal.record(
                    Event.SYSTEM_ERROR, component="composer", task_id=manifest.task.task_id, last_words=words
                )
        except (WorkerDied, OSError) as error:
            died = True
            if is_ready:
                self._bury(error, task_id=manifest.task.task_id)
        with self._changed:
            self._known.pop(manifest, None)
        if died and not self._draining:
            self._rescue(manifest, owner, not is_ready)
        if known.asked_again:
            self.invoke(manifest, epoch=0)

    def _worker(self) -> WorkerProcess:
        """The thread's worker, ready. Raises ``WorkerDied`` or OSError, which are recorded, when none can be had."""
        thread = threading.current_thread()
        worker = self._workers.get(thread)
        if worker is not None and worker.alive:
            return worker
        self._bury(None)
        try:
            worker = WorkerProcess(
                self._command, settings=self._settings, note=self._note, silence_s=self._limits.silence_s
            )
            with self._changed:
                self._workers[thread] = worker
            worker.wait_ready()
        except (WorkerDied, OSError) as error:
            if not self._draining:
                with self._changed:
                    self._deaths_at_start += 1
                self._bury(error, at_start=True, deaths=self._deaths_at_start)
            raise
        self._deaths_at_start = 0
        self._journal.record(Event.WORKER_STARTED, component="composer", pid=worker.pid)
        return worker

    def _bury(self, error: Exception | None, **fields: object) -> None:
        """Make an end of the thread's worker, if it has one, and record ``error`` with what is known of its end."""
        with self._changed:
            worker = self._workers.pop(threading.current_thread(), None)
        ending = worker.bury() if worker is not None else None
        if error is None:
            return
        known = {} if ending is None else {"exit_code": ending.exit_code, "last_words": ending.last_words or None}
        reason = str(error) if isinstance(error, WorkerDied) else None
        self._journal.record(Event.WORKER_DIED, error=error, reason=reason, **known, **fields)


def _leave(_: ManifestRef, owner: str, at_start: bool) -> None:  # noqa: FBT001 - as its caller hands it
    """Leave the task to its lease: it lapses, and the sweeper asks for another attempt."""
