"""What each task was opened with, kept in memory, so that a batch costs no read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from sluice.domain.keys import TaskRef
from sluice.domain.params import ExportParams
from sluice.domain.task import Task
from sluice.domain.task_errors import ended_error
from sluice.ports.bundle import Ports
from sluice.ports.log_context import note_export
from sluice.usecases.reading.read_task import find_task


class CachedParams(NamedTuple):
    """What a task was opened with, when, and by which request; none of it ever changes."""

    params: ExportParams
    created_at: float
    opened_by: str
    trace_parent: str


class ParamsCache:
    """What each task was opened with, remembered, so that a batch costs no read.

    Safe to remember because parameters never change while a row lasts. A row
    lasts ``tombstone_s`` after its parameters are gone, and its key may then be
    opened with others; so what was read is believed for half of that time.
    Thread-safe; holds at most ``size`` tasks, and no more of them than have ``columns`` columns together.
    """

    def __init__(self, ports: Ports, size: int = 1024, columns: int = 200_000) -> None:
        self._ports = ports
        self._size = size
        self._columns_max = columns
        self._columns = 0
        self._age_max_s = ports.timings.tombstone_s / 2
        self._known: OrderedDict[TaskRef, tuple[CachedParams, float]] = OrderedDict()
        """And until when each is believed, monotonic."""
        self._lock = threading.Lock()

    def read(self, ref: TaskRef) -> CachedParams:
        """The task's definition; raises as ``find_task``, and for a task that takes no batches and kept none."""
        with self._lock:
            cached, until = self._known.get(ref, (None, 0))
            if cached is not None and self._ports.clock.monotonic() < until:
                self._known.move_to_end(ref)
                note_export(ref.task_id, opened_by=cached.opened_by, trace_parent=cached.trace_parent)
                return cached
        task = find_task(self._ports, ref)
        if task.params is None:
            raise ended_error(task)
        return self.remember(task)

    def remember(self, task: Task) -> CachedParams:
        """Keep the definition of a task that was just opened or read, and that has its parameters still."""
        cached = CachedParams(task.live_params, task.created_at, task.client_request_id, task.trace_parent)
        with self._lock:
            self._forget(task.ref)
            self._known[task.ref] = cached, self._ports.clock.monotonic() + self._age_max_s
            self._columns += cached.params.column_count
            while len(self._known) > self._size or (self._columns > self._columns_max and len(self._known) > 1):
                self._forget(next(iter(self._known)))
        return cached

    def _forget(self, ref: TaskRef) -> None:
        cached, _ = self._known.pop(ref, (None, 0))
        if cached is not None:
            self._columns -= cached.params.column_count
