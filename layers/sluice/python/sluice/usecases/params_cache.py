"""What each task was opened with, kept in memory, so that a batch costs no read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from sluice.domain.keys import TaskRef
from sluice.domain.limits import MIB
from sluice.domain.params import ExportParams
from sluice.domain.task import State, Task
from sluice.domain.task_errors import ended_error
from sluice.ports.bundle import Ports
from sluice.ports.log_context import note_export
from sluice.usecases.reading.read_task import find_task

COLUMN_BYTES = 300
"""Of a column's objects without its texts; 200,000 columns are 60 MB."""

_WITHOUT_COLUMNS = frozenset({State.CANCELLED, State.EXPIRED})
"""States of a task that takes no row any more, and whose file is not made again."""


class CachedParams(NamedTuple):
    """What a task was opened with, when, and by which request; none of it ever changes."""

    params: ExportParams
    created_at: float
    opened_by: str
    trace_parent: str
    weight: int = 0
    """Bytes that they take in memory, about."""


def _weight(params: ExportParams) -> int:
    """A column's own objects, and all texts; a text of a few characters may take four bytes for each."""
    return params.column_count * COLUMN_BYTES + len(params.encode())


class ParamsCache:
    """What each task was opened with, remembered, so that a batch costs no read.

    Safe to remember because parameters never change while a row lasts. A row
    lasts ``tombstone_s`` after its parameters are gone, and its key may then be
    opened with others; so what was read is believed for half of that time.
    Thread-safe; holds at most ``size`` tasks, and no more of them than weigh ``bytes_max`` together, but always one.
    """

    def __init__(self, ports: Ports, size: int = 1024, bytes_max: int = 64 * MIB) -> None:
        self._ports = ports
        self._size = size
        self._bytes_max = bytes_max
        self._bytes = 0
        self._age_max_s = ports.timings.tombstone_s / 2
        self._known: OrderedDict[TaskRef, tuple[CachedParams, float]] = OrderedDict()
        """And until when each is believed, monotonic."""
        self._lock = threading.Lock()

    def read(self, ref: TaskRef) -> CachedParams:
        """The task's definition; raises as ``find_task``, CANCELLED and EXPIRED, and for a task that kept none."""
        with self._lock:
            cached, until = self._known.get(ref, (None, 0))
            if cached is not None and self._ports.clock.monotonic() < until:
                self._known.move_to_end(ref)
                note_export(ref.task_id, opened_by=cached.opened_by, trace_parent=cached.trace_parent)
                return cached
        task = find_task(self._ports, ref)
        if task.params is None or task.state in _WITHOUT_COLUMNS:
            raise ended_error(task)
        return self.remember(task)

    def remember(self, task: Task) -> CachedParams:
        """Keep the definition of a task that was just opened or read, unless its end took the columns out of it.

        The task has its parameters still.
        """
        weight = _weight(task.live_params)
        cached = CachedParams(task.live_params, task.created_at, task.client_request_id, task.trace_parent, weight)
        if task.state in _WITHOUT_COLUMNS:
            return cached
        with self._lock:
            self._forget(task.ref)
            self._known[task.ref] = cached, self._ports.clock.monotonic() + self._age_max_s
            self._bytes += weight
            while len(self._known) > self._size or (self._bytes > self._bytes_max and len(self._known) > 1):
                self._forget(next(iter(self._known)))
        return cached

    def _forget(self, ref: TaskRef) -> None:
        cached, _ = self._known.pop(ref, (None, 0))
        if cached is not None:
            self._bytes -= cached.weight
