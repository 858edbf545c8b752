"""What the health answers of a service look at."""

from __future__ import annotations

from sluice.adapters.workers.pool import WorkerPool
from sluice.api.http.routes.health import HealthApp, HealthChecks
from sluice.app.settings.settings import Settings
from sluice.app.telemetry.metrics import CONTENT_TYPE
from sluice.app.telemetry.telemetry import Telemetry
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import OUTPUT_PREFIX, TaskRef, TenantId, task_id_from_bytes
from sluice.ports.bundle import Ports

PROBE_KEY = f"{OUTPUT_PREFIX}health-probe"
PROBE_TASK = TaskRef(TenantId("health"), task_id_from_bytes(bytes(17)))


def build_health(settings: Settings, ports: Ports, telemetry: Telemetry, pool: WorkerPool) -> HealthApp:
    """Ready: there is room for one more export. Dependencies: both stores answer, the object store to a write too."""

    def room() -> None:
        if not pool.room():
            raise SluiceError(ErrorCode.QUEUE_FULL, queued=pool.queued)

    def objects() -> None:
        ports.objects.put(PROBE_KEY, b"")
        ports.objects.delete([PROBE_KEY])

    def tasks() -> None:
        ports.tasks.read(PROBE_TASK)

    checks = HealthChecks(
        ready={"queue": room},
        dependencies={"objects": objects, "tasks": tasks},
        interval_s=settings.monitoring.health_check_interval_s,
    )
    return HealthApp(checks, clock=ports.clock, metrics=telemetry.metrics.render, metrics_type=CONTENT_TYPE)
