"""Doing the same to many things, several at a time where the process can."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def nothing() -> None:
    """Do nothing while others work."""


class OrderedPool(Protocol):
    def map(
        self,
        work: Callable[[Item], Done],
        items: Iterable[Item],
        *,
        concurrency: int,
        on_wait: Callable[[], object] = nothing,
    ) -> Generator[Done]:
        """Yield ``work(item)`` for each of ``items``, in their order.

        At most ``concurrency`` are at work or waiting to be yielded at any time, so
        memory does not depend on the number of items. ``items`` is read by the
        caller's thread only, and never further ahead than that. An error of
        ``work`` is raised at its item's place. As long as the caller's thread
        waits for ``work`` of other threads, it calls ``on_wait`` every now and
        then; what that raises passes through. Once the generator is closed, or
        has raised, nothing is at work any more: a caller that may stop half-way
        closes it, since an error's traceback can keep it alive.
        """


class SerialPool:
    """One after the other, in the caller's thread."""

    def map(
        self,
        work: Callable[[Item], Done],
        items: Iterable[Item],
        *,
        concurrency: int,
        on_wait: Callable[[], object] = nothing,
    ) -> Generator[Done]:
        del concurrency, on_wait  # the caller's thread works and has no time for anything else
        for item in items:
            yield work(item)
