"""Calls to systems that are not ours, made in another thread while the lease of who makes them is kept."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from itertools import repeat
from typing import TypeVar

from sluice.ports.bundle import Ports

Done = TypeVar("Done")


def repeated(
    ports: Ports, call: Callable[[], Done], *, keep: Callable[[], object], interrupt: Callable[[], object]
) -> Generator[Done]:
    """Call again and again, in another thread; ``keep`` is called meanwhile. What it raises interrupts the call."""

    def keep_on() -> None:
        try:
            keep()
        except BaseException:
            interrupt()
            raise

    return ports.source_pool.map(lambda _: call(), repeat(None), concurrency=1, on_wait=keep_on)


def called(
    ports: Ports, call: Callable[[], Done], *, keep: Callable[[], object], interrupt: Callable[[], object]
) -> Done:
    """As ``repeated``, once."""
    with closing(repeated(ports, call, keep=keep, interrupt=interrupt)) as answers:
        return next(answers)
