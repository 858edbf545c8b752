"""Threads that do things at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from typing import TypeVar

T = TypeVar("T")


def at_once(count: int, action: Callable[[int], T]) -> list[T]:
    """Call ``action`` with 0 to ``count`` - 1, each in a thread of its own; the answers in that order."""
    barrier = Barrier(count)

    def run(index: int) -> T:
        barrier.wait(timeout=30)
        return action(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@contextmanager
def repeating(action: Callable[[int], object]) -> Iterator[None]:
    """Call ``action`` with 0, 1, 2 … in a thread while the block runs; its error fails the test."""
    over = Event()

    def run() -> None:
        turn = 0
        while not over.is_set():
            action(turn)
            turn += 1

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield
        finally:
            over.set()
        running.result()
