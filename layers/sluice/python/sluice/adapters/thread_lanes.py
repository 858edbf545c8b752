"""Several calls to a store at a time, each in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


class ThreadLanes:
    """Worth it where the work waits for a network, or releases the interpreter."""

    def ahead(self, work: Callable[[Item], Done], items: Iterable[Item], *, lanes: int) -> Generator[Done]:
        if lanes < 1:
            raise ValueError("lanes start at 1")
        return _ahead(work, items, lanes)


def _ahead(work: Callable[[Item], Done], items: Iterable[Item], lanes: int) -> Generator[Done]:
    waiting: deque[Future[Done]] = deque()
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
    try:
        for item in items:
            waiting.append(pool.submit(copy_context().run, work, item))
            del item  # the queue holds it as long as it is needed
            if len(waiting) == lanes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # What has not begun is dropped; what has is waited for, so that nothing goes on behind the caller's back.
        pool.shutdown(wait=True, cancel_futures=True)
