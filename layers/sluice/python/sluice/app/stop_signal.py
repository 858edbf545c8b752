"""Waiting until a signal says stop."""

from __future__ import annotations

import threading
from collections.abc import Collection

LOOK_S = 0.5


class ServingThreads:
    """The threads that a service cannot do without, as they are when this is made. Each ends only when it drains."""

    def __init__(self, names: Collection[str]) -> None:
        self._threads = [thread for thread in threading.enumerate() if thread.name in names]

    def dead(self) -> str:
        """The name of one that has ended; empty while all live."""
        return next((thread.name for thread in self._threads if not thread.is_alive()), "")


def wait_for_stop(stop: threading.Event, threads: ServingThreads | None = None) -> str:
    """Return once ``stop`` is set, by a signal's handler too, or one of ``threads`` has ended, whose name it returns.

    The system may hand a signal to any thread, a server's own for example, and
    handlers run in the main thread only, when it next does something. So it
    does not sleep for longer than ``LOOK_S``.
    """
    while not stop.wait(LOOK_S):
        if threads is not None and (name := threads.dead()):
            return name
    return ""
