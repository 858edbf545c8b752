"""Doing the same to many things, several at a time where the process can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


class Lanes(Protocol):
    def ahead(self, work: Callable[[Item], Done], items: Iterable[Item], *, lanes: int) -> Iterator[Done]:
        """Yield ``work(item)`` for each of ``items``, in their order.

        At most ``lanes`` are at work or waiting to be yielded at any time, so
        memory does not depend on the number of items. ``items`` is read by the
        caller's thread only, and never further ahead than that. An error of
        ``work`` is raised at its item's place. When the iterator is closed, or
        raised, no work goes on behind it.
        """


class OneLane:
    """One after the other, in the caller's thread."""

    def ahead(self, work: Callable[[Item], Done], items: Iterable[Item], *, lanes: int) -> Iterator[Done]:
        del lanes
        return map(work, items)
