"""The order of tests for several workers: what takes longest is begun first, by as many workers as there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def long_first(items: Sequence[T], is_long: Callable[[T], bool], workers: int) -> list[T]:
    """Deal what is long out to the beginnings of what each worker gets at first; the rest stays in its order.

    `--dist worksteal` gives each worker as many as there are left, by the workers that are left.
    """
    marked = [item for item in items if is_long(item)]
    others = [item for item in items if not is_long(item)]
    dealt: list[T] = []
    for worker in range(workers):
        own = marked[worker::workers]
        size = (len(items) - len(dealt)) // (workers - worker)
        more = max(0, size - len(own))
        dealt += own + others[:more]
        del others[:more]
    return dealt
