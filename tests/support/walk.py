"""Which of our files one request enters, seen by the interpreter's profiler: what a reader has to open to follow it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import sluice

SOURCE = f"{Path(sluice.__file__).parent}/"


class Walk:
    """Calls of our functions in every thread that was started while the walk is watched."""

    def __init__(self) -> None:
        self._entered: list[str] | None = None

    def of(self, request: Callable[[], object]) -> list[str]:
        """The files that ``request`` enters, in the order in which it enters them first, relative to the package."""
        entered: list[str] = []
        self._entered = entered
        request()
        self._entered = None
        return list(dict.fromkeys(entered))

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and self._entered is not None and frame.f_code.co_filename.startswith(SOURCE):
            self._entered.append(frame.f_code.co_filename.removeprefix(SOURCE))


@contextmanager
def watched_threads() -> Iterator[Walk]:
    """Start the server within this block: only threads that begin here are seen."""
    walk = Walk()
    threading.setprofile(walk.profile)
    try:
        yield walk
    finally:
        threading.setprofile(None)
