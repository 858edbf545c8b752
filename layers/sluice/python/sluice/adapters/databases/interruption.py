"""Ends what waits in a source or a sink from another thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from sluice.ports.source import SourceUnavailable

CANCEL_S = 5
"""How long a server that is asked to end a session is waited for."""


class Interruption:
    """Whether a source or a sink was interrupted, and how to end what is under way. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ends: list[Callable[[], object]] = []
        self._is_over = False

    @property
    def is_over(self) -> bool:
        return self._is_over

    def check(self) -> None:
        """Raise ``SourceUnavailable`` once it was interrupted."""
        if self._is_over:
            raise SourceUnavailable("it was interrupted from here")

    def interrupt(self) -> None:
        """End all that is under way; nothing begins any more."""
        with self._lock:
            self._is_over = True
            for end in self._ends:
                with suppress(Exception):  # what has just ended by itself
                    end()

    @contextmanager
    def ended_by(self, end: Callable[[], object]) -> Iterator[None]:
        """Something under way that ``end`` ends, called by another thread, and not once this is left."""
        with self._lock:
            self.check()
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)
