"""What the health answers of a service look at."""

from __future__ import annotations

from sluice.adapters.workers.worker_pool import WorkerPool
from sluice.api.http.health import HealthApp, HealthChecks
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import OUTPUT_PREFIX, TaskRef, TenantId, task_id_from_bytes
from sluice.ports.outside import Outside
from sluice.wiring.metrics import CONTENT_TYPE
from sluice.wiring.settings import Settings
from sluice.wiring.telemetry import Telemetry

PROBE_KEY = f"{OUTPUT_PREFIX}health-probe"
PROBE_TASK = TaskRef(TenantId("health"), task_id_from_bytes(bytes(17)))


def build_health(settings: Settings, outside: Outside, telemetry: Telemetry, pool: WorkerPool) -> HealthApp:
    """Ready: there is room for one more export. Dependencies: both stores answer, the object store to a write too."""

    def room() -> None:
        if not pool.room():
            raise SluiceError(ErrorCode.QUEUE_FULL, queued=pool.queued)

    def objects() -> None:
        outside.objects.put(PROBE_KEY, b"")
        outside.objects.delete([PROBE_KEY])

    def tasks() -> None:
        outside.tasks.read(PROBE_TASK)

    checks = HealthChecks(
        ready={"queue": room},
        dependencies={"objects": objects, "tasks": tasks},
        interval_s=settings.monitoring.health_check_interval_s,
    )
    return HealthApp(checks, clock=outside.clock, metrics=telemetry.metrics.render, metrics_type=CONTENT_TYPE)
