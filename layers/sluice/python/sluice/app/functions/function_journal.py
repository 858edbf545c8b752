"""The journal of a function: JSON lines on a standard stream, each saying which function wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sluice import __version__
from sluice.adapters.system_clock import SystemClock
from sluice.app.settings.settings import Settings
from sluice.app.telemetry.event_levels import Level
from sluice.app.telemetry.log_lines import JournalLines
from sluice.app.telemetry.log_output import open_output
from sluice.domain.events import Event
from sluice.ports.journal import Journal

PLATFORM_FIELDS = {
    "faas.name": "FC_FUNCTION_NAME",
    "faas.version": "FC_QUALIFIER",
    "faas.instance": "FC_INSTANCE_ID",
    "cloud.region": "FC_REGION",
}
"""What Function Compute says of a function, by the variable that says it."""


class LabelledJournal:
    """A journal that adds the same fields to each event."""

    def __init__(self, journal: Journal, labels: Mapping[str, str]) -> None:
        self._journal = journal
        self._labels = labels

    def record(self, event: Event, **fields: object) -> None:
        """Pass the event on. The journal does not raise, as its port says."""
        self._journal.record(event, **{**self._labels, **fields})


@contextmanager
def open_function_journal(settings: Settings, variables: Mapping[str, str], *, component: str) -> Iterator[Journal]:
    """Open the journal. There are no metrics: nobody scrapes a function, its lines are what is counted."""
    output = open_output(settings.logging)
    try:
        lines = JournalLines(
            output.write,
            clock=SystemClock(),
            level=Level[settings.logging.level],
            component=component,
            console=settings.logging.format == "console",
        )
        yield LabelledJournal(lines, labels_of(variables))
    finally:
        output.close()


def labels_of(variables: Mapping[str, str]) -> dict[str, str]:
    """What is known of the function, under the names that logs use."""
    known = {name: variables.get(variable, "") for name, variable in PLATFORM_FIELDS.items()}
    return {"service.version": __version__} | {name: value for name, value in known.items() if value}
