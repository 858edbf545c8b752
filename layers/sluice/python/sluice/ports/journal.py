"""Where the service says what it did."""

from __future__ import annotations

from typing import Protocol

from sluice.domain.events import Event


class Journal(Protocol):
    def record(self, event: Event, **fields: object) -> None:
        """Note an event. Never raises, never decides anything, may drop.

        ``fields`` are plain values: never a cell's text, a token, a link or a
        user's file name. ``duration_s`` becomes the entry's duration, and
        ``error`` (an exception) its error.
        """
