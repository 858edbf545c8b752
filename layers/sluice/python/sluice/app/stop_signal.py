"""Waiting until a signal says stop."""

from __future__ import annotations

import threading

LOOK_S = 0.5


def wait_for_stop(stop: threading.Event) -> None:
    """Return once ``stop`` is set, by a signal's handler too.

    The system may hand a signal to any thread, a server's own for example, and
    handlers run in the main thread only, when it next does something. So it
    does not sleep for longer than ``LOOK_S``.
    """
    while not stop.wait(LOOK_S):
        pass
