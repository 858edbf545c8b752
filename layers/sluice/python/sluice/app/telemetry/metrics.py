"""Turns events into Prometheus metrics: what each event does to them is one table."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from sluice.api.api_keys import Refusal
from sluice.app.telemetry.metric_families import Families
from sluice.app.telemetry.process_gauges import DiskGauge, resident_bytes
from sluice.app.telemetry.redaction import code_of
from sluice.domain.errors import ErrorCode
from sluice.domain.events import Event
from sluice.domain.options import ExportFormat
from sluice.domain.task import State
from sluice.ports.clock import Clock

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "gRPC"})
"""Any other is counted as ``other``: HTTP lets a caller make up methods."""

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of what ``render`` returns."""

OTHER = "other"
"""Stands for a label value that is not on its list, so that no caller can make series at will."""

_LIVE_MAX = 10_000
_SMALL_ROWS, _MEDIUM_ROWS = 10_000, 1_000_000

# What use cases call the outcomes they record; a test compares these with the use cases' own lists. They are
# written out here because importing the use cases would load every file format into a process that only counts.
DROPPED_TRIGGERS = frozenset({"dropped", "busy", "postponed", "no_room"})
SWEPT = frozenset(
    {
        "nothing",
        "idle_expired",
        "lost_trigger",
        "lapsed_lease",
        "result_expired",
        "garbage",
        "tombstone",
        "removed",
        "error",
    }
)
_RESCUES = frozenset({"lost_trigger", "lapsed_lease"})
_OLD_VALUES = {"lost_trigger": "lost_bell"}
"""New value of a label: the old one, which is counted beside it for one release."""

_CODES, _FORMATS, _REFUSALS, _STATES = (
    frozenset(member.value for member in kind) for kind in (ErrorCode, ExportFormat, Refusal, State)
)
_CONFLICT = ErrorCode.BATCH_CONFLICT.value
_CLOSE_CODES = {
    code.value
    for code in (
        ErrorCode.BATCHES_MISSING,
        ErrorCode.BATCHES_EXTRA,
        ErrorCode.TOTALS_MISMATCH,
        ErrorCode.ALREADY_CLOSED,
    )
}
_CHECKSUM_CODES = {
    ErrorCode.CHECKSUM_MISMATCH.value: "batch",
    ErrorCode.CHUNK_CORRUPT.value: "chunk",
    ErrorCode.RESULT_VERIFY_FAILED.value: "result",
    ErrorCode.RESULT_DAMAGED.value: "result",
}


Fields = Mapping[str, object]


@dataclass(slots=True)
class Counts:
    """The metrics, and what must be remembered from one event to the next to keep them."""

    clock: Clock
    families: Families = field(default_factory=Families)
    live: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Tasks with an attempt that was seen to start and not to end; the oldest go when there are many."""
    peak_bytes: float = 0


Update = Callable[[Counts, Fields], None]


def _number(fields: Fields, name: str) -> float | None:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return value


def _listed(value: object, known: Container[str]) -> str:
    """Format a value that is on the list; any other is ``OTHER``."""
    text = str(value)
    return text if text in known else OTHER


def _label(name: str, known: Container[str]) -> Callable[[Fields], str]:
    """Take a label from the field ``name``."""
    return lambda fields: _listed(fields.get(name), known)


def _count(counter: Callable[[Families], Counter], *labels: str | Callable[[Fields], str]) -> Update:
    """Add one, with labels that are fixed or taken from the event's fields."""

    def update(counts: Counts, fields: Fields) -> None:
        family = counter(counts.families)
        given = [label if isinstance(label, str) else label(fields) for label in labels]
        (family.labels(*given) if given else family).inc()

    return update


def _add(counter: Callable[[Families], Counter], field: str) -> Update:
    def update(counts: Counts, fields: Fields) -> None:
        counter(counts.families).inc(_number(fields, field) or 0)

    return update


def _observe(histogram: Callable[[Families], Histogram], field: str) -> Update:
    def update(counts: Counts, fields: Fields) -> None:
        number = _number(fields, field)
        if number is not None:
            histogram(counts.families).observe(number)

    return update


def _set(gauge: Callable[[Families], Gauge], field: str) -> Update:
    def update(counts: Counts, fields: Fields) -> None:
        number = _number(fields, field)
        if number is not None:
            gauge(counts.families).set(number)

    return update


def _step(after: str, *, before: str = "") -> Update:
    """Count a step of a task. ``before`` empty: the event says it as ``from_state``, or it is ``OTHER``."""
    return _count(lambda f: f.transitions, before or _label("from_state", _STATES), after)


def _begin(counts: Counts, fields: Fields) -> None:
    counts.live[str(fields.get("task_id"))] = None
    if len(counts.live) > _LIVE_MAX:
        counts.live.popitem(last=False)


def _end(counts: Counts, fields: Fields) -> None:
    counts.live.pop(str(fields.get("task_id")), None)


def _completed(counts: Counts, fields: Fields) -> None:
    duration_s, rows = _number(fields, "duration_s"), _number(fields, "rows") or 0
    file_format = _listed(fields.get("format"), _FORMATS)
    size_class = "small" if rows <= _SMALL_ROWS else "medium" if rows <= _MEDIUM_ROWS else "large"
    if duration_s is not None:
        counts.families.duration.labels(file_format).observe(duration_s)
        counts.families.close_to_complete.labels(file_format, size_class).observe(duration_s)


def _error(counts: Counts, fields: Fields) -> None:
    code = _code(fields)
    counts.families.errors.labels(code).inc()
    if code in _CHECKSUM_CODES:
        counts.families.checksum_failures.labels(_CHECKSUM_CODES[code]).inc()


def _failed(counts: Counts, fields: Fields) -> None:
    code = _code(fields)
    counts.families.tasks_failed.labels(code).inc()
    if code != ErrorCode.ATTEMPTS_EXHAUSTED.value:  # that is found before an attempt begins
        counts.families.attempts.labels("failed").inc()


def _code(fields: Fields) -> str:
    """Find the error's code: given, or that of the exception."""
    error = fields.get("error")
    return _listed(fields.get("error_code") or (code_of(error) if isinstance(error, BaseException) else None), _CODES)


def _peak(counts: Counts, fields: Fields) -> None:
    peak = _number(fields, "peak_rss_bytes")
    if peak is not None:
        counts.peak_bytes = max(counts.peak_bytes, peak)
        counts.families.peak_rss.set(counts.peak_bytes)


def _swept(counts: Counts, fields: Fields) -> None:
    """Count a sweep. The weekly reconciliation ends with the same event and other fields."""
    swept = fields.get("swept")
    if not isinstance(swept, Mapping):
        return
    counts.families.sweep_success.set(counts.clock.now())
    for what, count in swept.items():
        for label in filter(None, (_listed(what, SWEPT), _OLD_VALUES.get(what))):
            counts.families.swept.labels(label).inc(count)
            if what in _RESCUES:
                counts.families.rescued.labels(label).inc(count)


def _worker_died(counts: Counts, fields: Fields) -> None:
    """Count an attempt without a report, unless the worker never got as far as one."""
    if fields.get("at_start"):
        counts.families.worker_start_deaths.inc()
    else:
        counts.families.attempts.labels("silent").inc()


def _refused_close(counts: Counts, fields: Fields) -> None:
    if _code(fields) in _CLOSE_CODES:
        counts.families.closes.labels("refused").inc()


UPDATES: dict[Event, tuple[Update, ...]] = {
    Event.TASK_CREATED: (
        # A task rendered from another's chunks is born closed.
        _count(lambda f: f.transitions, "none", lambda fields: "sealed" if fields.get("source_task") else "open"),
    ),
    Event.TASK_SEALED: (_count(lambda f: f.closes, "sealed"), _step("sealed", before="open")),
    Event.TASK_COMPLETED: (
        _end,
        _completed,
        _step("completed", before="composing"),
        _count(lambda f: f.attempts, "completed"),
        _observe(lambda f: f.attempt_number, "epoch"),
        _add(lambda f: f.compose_rows, "rows"),
        _add(lambda f: f.compose_bytes, "bytes"),
    ),
    Event.RESULT_REUSED: (_count(lambda f: f.results_reused),),
    Event.TASK_FAILED: (_end, _failed, _error, _step("failed")),
    Event.TASK_CANCELLED: (_end, _step("cancelled")),
    Event.TASK_EXPIRED: (_step("expired"),),
    Event.TASK_QUEUED: (_set(lambda f: f.queued_tasks, "queued"),),
    Event.TASK_DEQUEUED: (_set(lambda f: f.queued_tasks, "queued"),),
    Event.CONCURRENCY_LIMIT_REACHED: (_count(lambda f: f.concurrency_limited),),
    Event.BATCH_PROCESSED: (
        _count(lambda f: f.batches, "accepted"),
        _add(lambda f: f.records, "rows"),
        _observe(lambda f: f.batch_rows, "rows"),
        _observe(lambda f: f.batch_bytes, "bytes"),
        _observe(lambda f: f.batch_seconds, "duration_s"),
    ),
    Event.BATCH_REPLAYED: (_count(lambda f: f.batches, "replayed"),),
    Event.BATCH_REJECTED: (
        _count(lambda f: f.batches, lambda fields: "conflict" if _code(fields) == _CONFLICT else "rejected"),
        _error,
    ),
    Event.MANIFEST_DROPPED: (
        _count(lambda f: f.triggers, _label("outcome", DROPPED_TRIGGERS)),
        _count(lambda f: f.bells, _label("outcome", DROPPED_TRIGGERS)),
    ),
    Event.ATTEMPT_STARTED: (
        _begin,
        _count(lambda f: f.triggers, "started"),
        _count(lambda f: f.bells, "started"),
        _step("composing"),
    ),
    Event.ATTEMPT_FENCED: (_end, _count(lambda f: f.attempts, "fenced"), _count(lambda f: f.fence_rejections)),
    Event.ATTEMPT_RELEASED: (_end, _count(lambda f: f.attempts, "released"), _step("sealed", before="composing")),
    Event.UPLOAD_PART: (_observe(lambda f: f.part_upload, "duration_s"),),
    Event.UPLOAD_COMPLETED: (_observe(lambda f: f.upload_duration, "duration_s"),),
    Event.UPLOAD_FAILED: (_count(lambda f: f.upload_errors),),
    Event.UPLOAD_ERROR: (_count(lambda f: f.upload_errors),),
    Event.MEMORY_SNAPSHOT: (_peak,),
    Event.STATUS_QUERIED: (_count(lambda f: f.status_queries, "found"),),
    Event.STATUS_NOT_FOUND: (_count(lambda f: f.status_queries, "not_found"),),
    Event.LINK_ISSUED: (_count(lambda f: f.urls_issued),),
    Event.SWEEP_FINISHED: (
        _swept,
        _observe(lambda f: f.sweep_seconds, "duration_s"),
        _add(lambda f: f.orphans_removed, "orphans_removed"),
        _set(lambda f: f.results_missing, "results_missing"),
        _set(lambda f: f.overdue, "overdue"),
        _set(lambda f: f.put_off, "put_off"),
    ),
    Event.VALIDATION_ERROR: (_error,),
    Event.REQUEST_REFUSED: (_error, _refused_close),
    Event.CALL_REPEATED: (_count(lambda f: f.store_retries),),
    Event.STREAM_ERROR: (_error,),
    Event.SYSTEM_ERROR: (_error,),
    Event.AUTHENTICATION_FAILED: (_count(lambda f: f.auth_failures, _label("reason", _REFUSALS)),),
    Event.AUTHORIZATION_FAILED: (_count(lambda f: f.auth_failures, "scope"),),
    Event.RATE_LIMIT_REACHED: (_count(lambda f: f.rate_limited, "tenant"),),
    Event.WORKER_STARTED: (_count(lambda f: f.worker_starts),),
    Event.WORKER_DIED: (_end, _worker_died),
}

NOT_MEASURED = frozenset(
    {
        Event.TASK_STARTED,  # the start of its first attempt is counted
        Event.TASK_DELETED,
        Event.BATCH_RECEIVED,  # counted when it is known what became of it
        Event.DATASET_ASKED,  # for the audit; the export is counted as any other
        Event.RUN_LEFT_OUT,
        Event.RUN_NOT_PLANNED,
        Event.RECORDS_WRITTEN,  # counted with the finished file
        Event.MANIFEST_RECEIVED,  # counted by what it led to
        Event.FILE_CREATED,
        Event.FILE_WRITTEN,
        Event.FILE_FINALIZED,
        Event.FILE_CLOSED,
        Event.UPLOAD_STARTED,  # counted when it ends
        Event.WRITE_ERROR,  # counted with the attempt or the export that it ends
        Event.SERVICE_STARTED,
        Event.SERVICE_STOPPED,
        Event.SETTING_RENAMED,
        Event.FORWARDED_IGNORED,
    }
)
"""Events that change no metric. Every event is here or in the table."""


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
        """Read active and queued tasks from their owner, at each scrape, instead of from events."""
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
        """Render the metrics in the text form that Prometheus reads, under their old names too."""
        return self.render_new() + generate_latest(self._counts.families.old_names)

    def render_new(self) -> bytes:
        return generate_latest(self._counts.families.registry)
