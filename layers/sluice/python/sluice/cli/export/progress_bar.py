"""The progress bar that a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


class ProgressBar:
    """Implements ``Progress`` by one line that each stage reuses."""

    def __init__(self, shown: Progress, line: TaskID) -> None:
        self._shown = shown
        self._line = line

    def stage(self, title: str, total: float | None) -> None:
        self._shown.reset(self._line, total=total, description=title, note="")

    def reach(self, done: float, note: str = "") -> None:
        self._shown.update(self._line, completed=done, note=note)

    def note(self, text: str) -> None:
        self._shown.update(self._line, note=text)


@contextmanager
def shown_bar() -> Iterator[ProgressBar]:
    """Draw on standard error until the context ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield ProgressBar(shown, shown.add_task("", total=None, note=""))
