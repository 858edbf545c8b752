"""How far a command is: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """What work tells whoever watches it."""

    def stage(self, title: str, total: float | None) -> None:
        """Begin a stage; ``total`` is in whatever ``reach`` counts, None when it is not known."""

    def reach(self, done: float, note: str = "") -> None:
        """Say how far the stage is."""

    def note(self, text: str) -> None:
        """Say something that passes, such as a wait."""


class NoProgress:
    """Implements ``Progress`` for nobody."""

    def stage(self, title: str, total: float | None) -> None:
        """Drop it."""

    def reach(self, done: float, note: str = "") -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Drop it."""


@contextmanager
def shown_progress(*, wanted: bool = True) -> Iterator[Progress]:
    """Show progress on standard error while it is a terminal; the bar goes when the work ends."""
    if not (wanted and sys.stderr.isatty()):
        yield NoProgress()
        return
    from sluice.cli.export.progress_bar import shown_bar  # noqa: PLC0415  # only a terminal pays for rich

    with shown_bar() as bar:
        yield bar
