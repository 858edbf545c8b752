"""How far a command is: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from sluice.cli.formatting import printable

if TYPE_CHECKING:
    import rich.progress


class ProgressDisplay(Protocol):
    """Receives how far work is."""

    def stage(self, title: str, total: float | None) -> None:
        """Begin a stage; ``total`` is in the unit of ``reach``, None when it is not known."""

    def reach(self, done: float, note: str = "") -> None:
        """Show how far the stage is."""

    def note(self, text: str) -> None:
        """Show a text until the next one, such as the reason of a pause."""


class NoProgress:
    """Implements ``ProgressDisplay`` where nothing is shown."""

    def stage(self, title: str, total: float | None) -> None:
        """Drop it."""

    def reach(self, done: float, note: str = "") -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Drop it."""


class ProgressBar:
    """Implements ``ProgressDisplay`` by one line that each stage reuses; what a service says moves no cursor."""

    def __init__(self, shown: rich.progress.Progress) -> None:
        self._shown = shown
        self._line = shown.add_task("", total=None, note="")

    def stage(self, title: str, total: float | None) -> None:
        self._shown.reset(self._line, total=total, description=printable(title), note="")

    def reach(self, done: float, note: str = "") -> None:
        self._shown.update(self._line, completed=done, note=printable(note))

    def note(self, text: str) -> None:
        self._shown.update(self._line, note=printable(text))


@contextmanager
def shown_progress() -> Iterator[ProgressDisplay]:
    """Show progress on standard error while it is a terminal; the bar goes when the work ends."""
    if not sys.stderr.isatty():
        yield NoProgress()
        return
    from rich.console import Console  # noqa: PLC0415  # only a terminal pays for rich
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Shown  # noqa: PLC0415

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Shown(*columns, console=Console(stderr=True), transient=True) as shown:
        yield ProgressBar(shown)
