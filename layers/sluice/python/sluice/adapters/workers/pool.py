"""Composers in worker processes: a bounded first-in first-out queue before a bounded number of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sluice.adapters.workers.process import WorkerDied, WorkerProcess
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.ports.clock import Clock, Randomness
from sluice.ports.journal import Journal

RETRY_AFTER_S = 10
"""How long a sender is asked to wait when the queue is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """``workers_max`` tasks are composed at once, ``queue_max`` wait."""

    workers_max: int = 10
    queue_max: int = 1_000


class WorkerPool:
    """Implements ``Invoker`` and ``Admission`` by processes on this machine.

    Each worker composes one task at a time. A task is queued at most once.
    The bound of the queue holds for new exports, at ``admit``; a sealed task
    is never turned away, since its rows are accepted. ``note`` gets the log
    lines of the workers, from the pool's threads.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        limits: PoolLimits,
        clock: Clock,
        journal: Journal,
        randomness: Randomness,
        note: Callable[[bytes], object],
    ) -> None:
        self._command = command
        self._limits = limits
        self._clock = clock
        self._journal = journal
        self._randomness = randomness
        self._note = note
        self._rescue: Callable[[ManifestRef, str], object] = _leave
        self._changed = threading.Condition()
        self._queue: deque[ManifestRef] = deque()
        self._known: set[ManifestRef] = set()
        self._workers: dict[threading.Thread, WorkerProcess] = {}
        self._threads: list[threading.Thread] = []
        self._active = 0
        self._draining = False

    def rescue_with(self, rescue: Callable[[ManifestRef, str], object]) -> None:
        """Call ``rescue``, from a thread of the pool, with the task that a worker died with, and its attempt's name."""
        self._rescue = rescue

    @property
    def active(self) -> int:
        """Tasks being composed."""
        return self._active

    @property
    def queued(self) -> int:
        """Tasks waiting for a worker."""
        return len(self._queue)

    @property
    def pids(self) -> list[int]:
        """The worker processes, for an operator and for tests that kill them."""
        with self._changed:
            return [worker.pid for worker in self._workers.values() if worker.alive]

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        """Queue the task unless it is queued or being composed; start a worker if there is none free."""
        with self._changed:
            if self._draining or manifest in self._known:
                return
            self._known.add(manifest)
            self._queue.append(manifest)
            idle = len(self._threads) - self._active
            if len(self._queue) > idle and len(self._threads) < self._limits.workers_max:
                self._add_thread()
            self._changed.notify_all()
            queued, active = len(self._queue), self._active
        fields = {"task_id": manifest.task.task_id, "queued": queued, "active": active}
        self._journal.record(Event.TASK_QUEUED, epoch=epoch, **fields)
        if queued + active > self._limits.workers_max:
            self._journal.record(Event.CONCURRENCY_LIMIT_REACHED, **fields)

    def admit(self) -> None:
        """Raise QUEUE_FULL unless there is room in the queue.

        The first export has the first worker started, so that it is ready when the rows are there.
        """
        with self._changed:
            if self._has_room():
                if not self._threads and not self._draining:
                    self._add_thread()
                return
            queued = len(self._queue)
        self._journal.record(Event.CONCURRENCY_LIMIT_REACHED, queued=queued, active=self._active)
        raise SluiceError(ErrorCode.QUEUE_FULL, queued=queued, retry_after_s=RETRY_AFTER_S)

    def has_room(self) -> bool:
        with self._changed:
            return self._has_room()

    def drain(self, *, deadline_s: float) -> bool:
        """Take no more requests; let running tasks end within the deadline, then kill their workers.

        What was queued or killed stays sealed in the task store, for the next
        service that looks. True: no worker had to be killed.
        """
        with self._changed:
            self._draining = True
            self._queue.clear()
            self._known.clear()
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

    def _has_room(self) -> bool:
        return len(self._queue) < self._limits.queue_max

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"composer-{len(self._threads) + 1}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        """Feed one worker until the pool drains."""
        with suppress(OSError):  # the first task tries again, and tells
            self._worker()
        while (manifest := self._next()) is not None:
            try:
                self._compose(manifest)
            finally:
                with self._changed:
                    self._active -= 1
                    self._changed.notify_all()
        worker = self._workers.pop(threading.current_thread(), None)
        if worker is not None:
            worker.close()

    def _next(self) -> ManifestRef | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._draining)
            if self._draining:
                return None
            manifest = self._queue.popleft()
            self._active += 1
            self._changed.notify_all()
            queued, active = len(self._queue), self._active
        self._journal.record(Event.TASK_DEQUEUED, task_id=manifest.task.task_id, queued=queued, active=active)
        return manifest

    def _compose(self, manifest: ManifestRef) -> None:
        """Have the task composed. It may be asked for again as soon as its worker has answered."""
        died, owner = False, self._randomness.bytes(8).hex()
        try:
            self._worker().compose(manifest, owner)
        except (WorkerDied, OSError) as error:
            died = True
            self._journal.record(Event.WORKER_DIED, task_id=manifest.task.task_id, error=error)
            self._bury()
        with self._changed:
            self._known.discard(manifest)
        if died and not self._draining:
            self._rescue(manifest, owner)

    def _worker(self) -> WorkerProcess:
        thread = threading.current_thread()
        worker = self._workers.get(thread)
        if worker is None or not worker.alive:
            self._bury()
            worker = WorkerProcess(self._command, self._note)
            with self._changed:
                self._workers[thread] = worker
            self._journal.record(Event.WORKER_STARTED, component="composer", pid=worker.pid)
        return worker

    def _bury(self) -> None:
        with self._changed:
            worker = self._workers.pop(threading.current_thread(), None)
        if worker is not None:
            worker.kill()
            with suppress(OSError):
                worker.close()


def _leave(_: ManifestRef, owner: str) -> None:
    """Leave the task to its lease: it lapses, and the sweeper asks for another attempt."""
