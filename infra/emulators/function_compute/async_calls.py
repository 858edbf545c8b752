"""Asynchronous calls of a function: accepted at once, run when it suits, repeated, and put aside when all failed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from infra.emulators.function_compute.deployment import AsyncConfig
from infra.emulators.function_compute.event_function import Invocation

INSTANCES_MAX = 20
FIRST_PAUSE_S = 0.5


class FailedEvent(NamedTuple):
    """What the failure destination gets."""

    destination: str
    event: bytes
    last: Invocation
    attempts: int
    condition: str


class AsyncCalls:
    """A queue in front of a function. ``run`` gets the event and how often it was repeated."""

    def __init__(
        self,
        config: AsyncConfig,
        run: Callable[[bytes, int], Invocation],
        *,
        first_pause_s: float = FIRST_PAUSE_S,
        instances_max: int = 0,
    ) -> None:
        self.failed: list[FailedEvent] = []
        self.invocations: list[Invocation] = []
        self._config = config
        self._run = run
        self._first_pause_s = first_pause_s
        self._pool = ThreadPoolExecutor(instances_max or INSTANCES_MAX, thread_name_prefix="async-call")
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._planned: deque[int] = deque()
        self._calls: list[Future[None]] = []

    def plan(self, *times: int) -> None:
        """Run each of the next calls so often: 0 loses it on its way here, 2 doubles it, as "at least once" allows."""
        with self._lock:
            self._planned.extend(times)

    def submit(self, event: bytes, task_id: str = "") -> bool:
        """Take an event. False: a call with this id was taken before, and this one is not."""
        with self._lock:
            if self._config.is_task and task_id and task_id in self._ids:
                return False
            times = self._planned.popleft() if self._planned else 1
            if times:
                self._ids.add(task_id)
            for _ in range(times):
                self._calls.append(self._pool.submit(self._run_until_done, event, time.monotonic()))
        return True

    def settle(self, timeout_s: float) -> bool:
        """Wait until everything that was taken has ended. False: it has not."""
        with self._lock:
            calls = list(self._calls)
        return not wait(calls, timeout_s).not_done

    def close(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._pool.shutdown(cancel_futures=True)
        for call in self._calls:
            if not call.cancelled():
                call.result()

    def _run_until_done(self, event: bytes, taken_at: float) -> None:
        pause_s = self._first_pause_s
        for attempt in range(self._config.retries_max + 1):
            invocation = self._run(event, attempt)
            self.invocations.append(invocation)
            if invocation.outcome == "success":
                return
            if time.monotonic() - taken_at > self._config.age_max_s:
                self._put_aside(event, invocation, attempts=attempt + 1, condition="EventAgeExceeded")
                return
            if attempt < self._config.retries_max:
                time.sleep(pause_s)
                pause_s *= 2
        self._put_aside(event, invocation, attempts=self._config.retries_max + 1, condition="RetriesExhausted")

    def _put_aside(self, event: bytes, last: Invocation, *, attempts: int, condition: str) -> None:
        self.failed.append(FailedEvent(self._config.failure_destination, event, last, attempts, condition))
