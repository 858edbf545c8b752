"""Opens the journal of a process: lines for people and collectors, metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sluice.adapters.system_clock import SystemClock
from sluice.app.settings.validation import Settings
from sluice.app.telemetry.audit import AuditFile
from sluice.app.telemetry.log_lines import JournalLines, open_lines
from sluice.app.telemetry.metrics import MetricsJournal
from sluice.app.telemetry.process_gauges import DiskGauge
from sluice.domain.events import Event
from sluice.ports.journal import Journal


class JournalTee:
    """A journal that passes each event to several."""

    def __init__(self, *journals: Journal) -> None:
        self._journals = journals

    def record(self, event: Event, **fields: object) -> None:
        """Pass the event on. What a journal cannot write (a time that no date has) is dropped, as their port allows."""
        for journal in self._journals:
            with suppress(Exception):
                journal.record(event, **fields)


class Telemetry(NamedTuple):
    """What a process says of itself."""

    journal: Journal
    """Lines and metrics together; the one to hand to everybody."""
    metrics: MetricsJournal
    lines: JournalLines
    audit: AuditFile | None = None
    """None where no dataset is given."""


@contextmanager
def open_telemetry(settings: Settings, *, component: str = "sluice", audit: Path | None = None) -> Iterator[Telemetry]:
    """Open lines and metrics as the settings say, and the file ``audit`` where there are datasets.

    Raises OSError when the log file cannot be written.
    """
    clock = SystemClock()
    with open_lines(settings.logging, clock=clock, component=component, waits=False) as lines:
        metrics = MetricsJournal(clock=clock, disk=DiskGauge(settings.data_directory))
        if audit is None:
            yield Telemetry(JournalTee(metrics, lines), metrics, lines)
            return
        kept = AuditFile(audit, clock=clock, journal=JournalTee(metrics, lines))
        yield Telemetry(JournalTee(metrics, lines, kept), metrics, lines, kept)
