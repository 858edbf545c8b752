"""The databases that one call waits for, whose statements end with it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Thread

from sluice.domain.pulled import Pulled
from sluice.ports.source import Source

SOURCE_S = 30.0
"""How long a call may wait for databases, without the wait for its turn."""


class OpenedSources:
    """The sources that a call has opened. Safe to use from any thread."""

    def __init__(self, open_source: Callable[[Pulled], Source]) -> None:
        self._open_source = open_source
        self._lock = Lock()
        self._opened: list[Source] = []
        self._is_over = False

    def open(self, pulled: Pulled) -> Source:
        """As ``Ports.open_source``."""
        source = self._open_source(pulled)
        with self._lock:
            self._opened.append(source)
            is_over = self._is_over
        if is_over:
            source.interrupt()
        return source

    def interrupt(self) -> None:
        """End what is under way in all of them, and nothing begins in those that are opened later."""
        with self._lock:
            self._is_over, opened = True, list(self._opened)
        for source in opened:
            source.interrupt()

    def interrupt_aside(self) -> None:
        """As ``interrupt``, in a thread of its own: it may call a server."""
        Thread(target=self.interrupt, name="interrupts", daemon=True).start()

    def close(self) -> None:
        """Forget them: the call is over."""
        with self._lock:
            self._opened.clear()
