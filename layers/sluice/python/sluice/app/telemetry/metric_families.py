"""The metrics by name. No label ever holds a task, a tenant or any other text from outside."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.registry import Collector

from sluice import __version__
from sluice.domain.limits import KIB, MIB

_FILE_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600)
"""How long files take."""
_CALL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""How long one call of a store takes."""
_ROWS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
_BYTES = (KIB, 10 * KIB, 50 * KIB, 100 * KIB, 250 * KIB, 500 * KIB, MIB, 2 * MIB, 4 * MIB)
_ATTEMPTS = (1, 2, 3, 4, 5, 6)


PREFIX, OLD_PREFIX = "sluice_", "export_"
NEVER_OLD = frozenset({"sluice_build_info", "sluice_store_retries", "sluice_workers_died_at_start"})
"""These were never under the old prefix."""


class OldNames(Collector):
    """The metrics once more under the prefix of the earlier service, for one release."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            if metric.name.startswith(PREFIX) and metric.name not in NEVER_OLD:
                old = Metric(_old(metric.name), f"The old name of {metric.name}, for one release.", metric.type)
                old.samples = [sample._replace(name=_old(sample.name)) for sample in metric.samples]
                yield old


def _old(name: str) -> str:
    return OLD_PREFIX + name.removeprefix(PREFIX)


class Families:
    """Every metric, in a registry of its own: nothing is shared with other users of the process.

    Those that were commissioned have the prefix ``export_``, all others ``sluice_``.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        self.registry, self.old_names = CollectorRegistry(), CollectorRegistry()
        self.old_names.register(OldNames(self.registry))
        build = Gauge("sluice_build_info", "The release that runs.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        self._make_commissioned()
        self._make_relay()
        self._make_tasks()
        self._make_composer()
        self._make_sweeper()

    def _make_commissioned(self) -> None:
        """Make those the product was commissioned with."""
        self.active_tasks = self._gauge("export_active_tasks", "Exports being composed now.")
        self.lines_dropped = self._gauge("sluice_log_lines_dropped", "Log lines that could not be written.")
        self.queued_tasks = self._gauge("export_queued_tasks", "Exports waiting for a composer.")
        self.duration = self._histogram(
            "export_duration_seconds", "From the close of an export to its file.", _FILE_S, "format"
        )
        self.upload_duration = self._histogram("export_upload_duration_seconds", "Duration of uploads.", _FILE_S)
        self.records = self._counter("export_records_processed", "Rows stored and acknowledged, repeats left out.")
        self.errors = self._counter(
            "export_errors",
            "Refusals, failures and broken streams by code; auth failures and rate limits apart.",
            "code",
        )
        self.upload_errors = self._counter(
            "export_upload_errors", "Uploads that failed, and calls of uploads that failed or were made again."
        )
        self.status_queries = self._counter("export_status_queries", "Status queries.", "result")
        self.memory = self._gauge("export_memory_bytes", "Resident memory of the service's process.")
        self.disk = self._gauge("export_disk_bytes", "Used bytes of the file system that holds the data.")
        self.disk_free = self._gauge("sluice_disk_free_bytes", "Free bytes of the file system that holds the data.")

    def _make_relay(self) -> None:
        self.requests = self._counter("sluice_requests", "Requests answered.", "method", "code")
        self.request_seconds = self._histogram(
            "sluice_request_duration_seconds", "From a request to its answer.", _CALL_S, "method"
        )
        self.batches = self._counter("sluice_batches", "Batches by what became of them.", "result")
        self.batch_rows = self._histogram("sluice_batch_rows", "Rows of a batch.", _ROWS)
        self.batch_bytes = self._histogram("sluice_batch_bytes", "Canonical bytes of a batch.", _BYTES)
        self.batch_seconds = self._histogram("sluice_batch_seconds", "Time to store a batch.", _CALL_S)
        self.closes = self._counter("sluice_closes", "Closes: sealed, or refused for their totals.", "result")
        self.auth_failures = self._counter("sluice_auth_failures", "Callers turned away.", "reason")
        self.rate_limited = self._counter("sluice_rate_limited", "Calls over a rate limit.", "scope")
        self.concurrency_limited = self._counter(
            "sluice_concurrency_limited", "Times that all composers were taken or the queue was full."
        )
        self.store_retries = self._counter(
            "sluice_store_retries", "Calls of stores made again, those of uploads apart."
        )
        self.urls_issued = self._counter("sluice_urls_issued", "Download links issued.")

    def _make_tasks(self) -> None:
        self.transitions = self._counter("sluice_task_transitions", "Steps of tasks.", "from", "to")
        self.close_to_complete = self._histogram(
            "sluice_task_close_to_complete_seconds",
            "From the close of an export to its file.",
            _FILE_S,
            "format",
            "size_class",
        )
        self.tasks_failed = self._counter("sluice_tasks_failed", "Exports that failed for good.", "error_code")

    def _make_composer(self) -> None:
        self.attempts = self._counter("sluice_attempts", "Attempts by how they ended.", "outcome")
        self.attempt_number = self._histogram("sluice_attempt_number", "Attempts a file took.", _ATTEMPTS)
        self.results_reused = self._counter("sluice_results_reused", "Exports completed with an earlier one's file.")
        self.fence_rejections = self._counter("sluice_fence_rejections", "Attempts whose task was taken from them.")
        self.compose_rows = self._counter("sluice_compose_rows", "Rows in finished files.")
        self.compose_bytes = self._counter("sluice_compose_bytes", "Bytes of finished files.")
        self.part_upload = self._histogram("sluice_part_upload_seconds", "Time to upload a part.", _CALL_S)
        self.peak_rss = self._gauge("sluice_peak_rss_bytes", "Largest memory a composer reported.")
        self.triggers = self._counter("sluice_triggers", "Requests to compose by what they led to.", "result")
        self.bells = self._counter("export_bells", "The old name of sluice_triggers, for one release.", "result")
        self.worker_starts = self._counter("sluice_workers_started", "Composer processes started.")
        self.worker_start_deaths = self._counter(
            "sluice_workers_died_at_start", "Composer processes that ended before they took a task."
        )
        self.checksum_failures = self._counter("sluice_checksum_failures", "Content that was not as written.", "where")

    def _make_sweeper(self) -> None:
        self.sweep_success = self._gauge(
            "sluice_sweep_last_success_timestamp_seconds", "When a sweep last ended, Unix seconds."
        )
        self.sweep_seconds = self._histogram("sluice_sweep_seconds", "Duration of sweeps.", _CALL_S)
        self.swept = self._counter("sluice_swept", "Tasks that a sweep moved on, by what it did.", "what")
        self.rescued = self._counter("sluice_sweep_rescued", "Tasks that would have been stuck.", "reason")
        self.orphans_removed = self._counter("sluice_orphans_removed", "Objects removed that no task names.")
        self.results_missing = self._gauge("sluice_results_missing", "Files that a task names and the store lacks.")
        self.put_off = self._gauge("sluice_tasks_put_off", "Tasks whose next step the sweeper could not take.")
        self.overdue = self._gauge("sluice_tasks_overdue", "Tasks that should have been swept long ago.")

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        counter = Counter(name, documentation, labels, registry=self.registry)
        if not labels:
            counter.inc(0)
        return counter

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, registry=self.registry, buckets=buckets)
