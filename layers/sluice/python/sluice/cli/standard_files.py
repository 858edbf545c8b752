"""Standard input, output and error where they are closed when a command starts."""

from __future__ import annotations

import os
import sys

_MODES = {"stdin": "r", "stdout": "w", "stderr": "w"}
"""In the order of their numbers, 0 to 2."""
_closed: set[str] = set()


def open_closed() -> None:
    """Put the null device in the place of each.

    Files that are opened next would take their numbers, and what is printed would go into those, or end the command.
    """
    for name, mode in _MODES.items():
        if getattr(sys, name) is None:
            _closed.add(name)
            descriptor = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace"))


def is_closed(name: str) -> bool:
    """Whether ``name``, such as ``stdout``, was closed: what is printed there is seen by no one."""
    return name in _closed
