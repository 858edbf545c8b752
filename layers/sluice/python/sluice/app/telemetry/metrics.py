"""Turns events into Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sluice.app.telemetry.metric_updates import OTHER, UPDATES, Counts
from sluice.app.telemetry.process_gauges import DiskGauge, resident_bytes
from sluice.domain.errors import ErrorCode
from sluice.domain.events import Event
from sluice.ports.clock import Clock

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "gRPC"})
"""Any other is counted as ``other``: HTTP lets a caller make up methods."""

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of what ``render`` returns."""


class MetricsJournal:
    """A journal that counts. What an event does not say is not counted, and not guessed."""

    def __init__(self, *, clock: Clock, disk: DiskGauge | None = None) -> None:
        self._counts = Counts(clock)
        families = self._counts.families
        families.memory.set_function(resident_bytes)
        families.active_tasks.set_function(lambda: len(self._counts.live))
        if disk is not None:
            families.disk.set_function(disk.used_bytes)
            families.disk_free.set_function(disk.free_bytes)

    def watch(
        self, *, active: Callable[[], float], queued: Callable[[], float], dropped: Callable[[], float] = lambda: 0
    ) -> None:
        """Read active and queued tasks from whoever knows, at each scrape, instead of from events."""
        self._counts.families.active_tasks.set_function(active)
        self._counts.families.queued_tasks.set_function(queued)
        self._counts.families.lines_dropped.set_function(dropped)

    def observe_request(self, method: str, route: str, status: int | str, duration_s: float) -> None:
        """Count one answer. ``route`` is the template it was matched by, empty when there is none."""
        name = f"{method} {route}".strip() if route and method in METHODS else OTHER
        self._counts.families.requests.labels(name, str(status)).inc()
        self._counts.families.request_seconds.labels(name).observe(duration_s)

    def record(self, event: Event, **fields: object) -> None:
        """Count one event. Never raises."""
        try:
            for update in UPDATES.get(event, ()):
                update(self._counts, fields)
        except Exception:  # noqa: BLE001  # the port's promise; a metric is not worth an export
            self._counts.families.errors.labels(ErrorCode.INTERNAL.value).inc()

    def render(self) -> bytes:
        """Render the metrics in the text form that Prometheus reads."""
        return generate_latest(self._counts.families.registry)
