"""At most so many sessions with one server at a time, over all processes of a data directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Event

from sluice.adapters.databases.interruption import Interruption
from sluice.domain.pulled import Cursor
from sluice.ports.source import COUNT_S, Slices, Source, SourceColumn, SourceUnavailable

_OWNERS_FOLDER, _OWNERS_FILE = 0o700, 0o600
POLL_S = 0.1
WAIT_S = 30
"""How long a reader waits for a slot before its task is put off as for a server that does not answer."""
BRIEF_WAIT_S = COUNT_S / 2
"""The same for a caller who waits."""


class Slots:
    """The slots of one connection: files below ``folder``, each locked by the process whose session it is.

    A lock ends with its process, however that ends, so no slot is ever lost and none needs a lease.
    """

    def __init__(self, folder: Path, connection: str, slots: int) -> None:
        self._folder = folder
        self._connection = connection
        self._slots = slots

    @contextmanager
    def taken(self, interruption: Interruption, *, wait_s: float) -> Iterator[None]:
        """One slot until the block ends. Raises ``SourceUnavailable`` when none is free in time, or at an interrupt."""
        descriptor = self._wait(interruption, wait_s)
        try:
            yield
        finally:
            os.close(descriptor)  # and with it goes the lock

    def _wait(self, interruption: Interruption, wait_s: float) -> int:
        over = Event()
        with interruption.ended_by(over.set):
            for _ in range(max(1, round(wait_s / POLL_S))):
                descriptor = self._take()
                if descriptor is not None:
                    return descriptor
                over.wait(POLL_S)
                interruption.check()
        raise SourceUnavailable(f"all {self._slots} slots of the connection {self._connection} are taken")

    def _take(self) -> int | None:
        self._folder.mkdir(_OWNERS_FOLDER, exist_ok=True)
        for number in range(self._slots):
            path = self._folder / f"{self._connection}.{number}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWNERS_FILE)
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            os.close(descriptor)
        return None


class SlottedSource:
    """Implements ``Source``: ``source``, in a slot of its connection. What waits for one has no session yet."""

    def __init__(self, source: Source, slots: Slots, *, is_brief: bool) -> None:
        self._source = source
        self._slots = slots
        self._wait_s = BRIEF_WAIT_S if is_brief else WAIT_S
        self._interruption = Interruption()

    def count(self, limit: int) -> int:
        with self._slot():
            return self._source.count(limit)

    def describe(self) -> tuple[SourceColumn, ...]:
        with self._slot():
            return self._source.describe()

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        with self._slot():
            return self._source.plan(splits, rows_min)

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        with self._slot(), self._source.reading(after, until) as slices:
            yield slices

    def interrupt(self) -> None:
        self._interruption.interrupt()
        self._source.interrupt()

    def _slot(self) -> AbstractContextManager[None]:
        return self._slots.taken(self._interruption, wait_s=self._wait_s)
