"""Several calls to a store at a time, each in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from sluice.ports.pool import nothing

Item = TypeVar("Item")
Done = TypeVar("Done")

PAUSE_S = 0.5
"""How often the caller's thread has something else to do while it waits."""


class ThreadedPool:
    """Worth it where the work waits for a network, or releases the interpreter."""

    def __init__(self, *, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s

    def map(
        self,
        work: Callable[[Item], Done],
        items: Iterable[Item],
        *,
        concurrency: int,
        on_wait: Callable[[], object] = nothing,
    ) -> Generator[Done]:
        if concurrency < 1:
            raise ValueError("concurrency starts at 1")

        def finish(future: Future[Done]) -> Done:
            while not wait([future], self._pause_s).done:
                on_wait()
            return future.result()

        return _map(work, items, concurrency, finish)


def _map(
    work: Callable[[Item], Done], items: Iterable[Item], concurrency: int, finish: Callable[[Future[Done]], Done]
) -> Generator[Done]:
    waiting: deque[Future[Done]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="pool")
    try:
        for item in items:
            waiting.append(pool.submit(copy_context().run, work, item))
            del item  # the queue holds it as long as it is needed
            if len(waiting) == concurrency:
                yield finish(waiting.popleft())
        while waiting:
            yield finish(waiting.popleft())
    finally:
        # What has not begun is dropped; what has is waited for, so that nothing goes on behind the caller's back.
        pool.shutdown(wait=True, cancel_futures=True)
