"""The one-machine service: relay, sweeper, query and links in one process, composers in processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.workers.pool import PoolLimits, WorkerPool
from sluice.app.health import build_health
from sluice.app.servers import Servers, open_servers
from sluice.app.settings.settings import Settings
from sluice.app.stores import open_links, open_ports
from sluice.app.sweeper_loop import SweeperLoop
from sluice.app.telemetry.log_lines import replay_line
from sluice.app.telemetry.telemetry import open_telemetry
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.domain.limits import DAY_S
from sluice.ports.bundle import Ports
from sluice.ports.journal import Journal
from sluice.ports.store_errors import StoreError
from sluice.usecases.upkeep.repair_task import release_lease


class RunningService(NamedTuple):
    """What a started service tells its starter."""

    servers: Servers
    public_url: str


@contextmanager
def run_service(settings: Settings, *, config: Path | None = None) -> Iterator[RunningService]:
    """Serve until the context ends, then drain within ``server.shutdown_grace_s``.

    Ready when the context is entered. Killing it at any moment loses nothing
    that was acknowledged; the next service over the same directory goes on.
    """
    url = PublicUrl(settings)
    with ExitStack() as stack:
        telemetry = stack.enter_context(open_telemetry(settings))
        journal = telemetry.journal
        pool = build_pool(settings, journal, config=config)
        telemetry.metrics.watch(
            active=lambda: pool.active, queued=lambda: pool.queued, dropped=lambda: telemetry.lines.dropped
        )
        links = open_links(settings, url) if is_embedded(settings) else None
        ports = stack.enter_context(open_ports(settings, journal, invoker=pool, admission=pool, links=links))
        pool.rescue_with(partial(rescue, ports))
        started = stack.enter_context(ExitStack())
        stack.callback(pool.drain, deadline_s=settings.server.shutdown_grace_s)
        health = build_health(settings, ports, telemetry, pool)
        servers = stack.enter_context(open_servers(settings, ports, telemetry, links=links, health=health))
        url.http_port = servers.http_port
        sweeper = SweeperLoop(ports, interval_s=settings.concurrency.sweep_interval_s, tidy=partial(tidy, settings))
        sweeper.start()
        stack.callback(sweeper.stop)
        journal.record(Event.SERVICE_STARTED, **servers._asdict())
        started.callback(journal.record, Event.SERVICE_STOPPED)
        yield RunningService(servers, url())


class PublicUrl:
    """What links begin with; known once the HTTP port is, unless the settings name it."""

    def __init__(self, settings: Settings) -> None:
        self._server = settings.server
        self._scheme = "https" if settings.security.tls_certificate_file else "http"
        self.http_port = settings.server.http_port

    def __call__(self) -> str:
        host = f"[{self._server.host}]" if ":" in self._server.host else self._server.host
        return self._server.public_url or f"{self._scheme}://{host}:{self.http_port}"


def is_embedded(settings: Settings) -> bool:
    """Whether the stores are in the data directory."""
    return settings.storage.backend == "directory"


def tidy(settings: Settings) -> int:
    """Remove what killed processes left half written a day ago. The cloud's stores leave nothing of the kind."""
    if not is_embedded(settings):
        return 0
    clock = SystemClock()
    store = DirectoryStore(settings.data_directory, randomness=SystemRandomness())
    return store.remove_leftovers(now=clock.now(), older_than_s=DAY_S)


def build_pool(settings: Settings, journal: Journal, *, config: Path | None) -> WorkerPool:
    """The composers, each in a process that reads the same settings and works in the same directory."""
    command = [sys.executable, "-m", "sluice.app.compose_worker", "--data", str(settings.data_directory)]
    if config is not None:
        command += ["--config", str(config)]
    limits = PoolLimits(
        workers_max=settings.concurrency.max_concurrent_tasks,
        queue_max=settings.concurrency.task_queue_size,
        admit_timeout_s=settings.concurrency.queue_timeout_s,
    )
    return WorkerPool(
        command, limits=limits, clock=SystemClock(), journal=journal, note=partial(replay_line, journal=journal)
    )


def rescue(ports: Ports, manifest: ManifestRef) -> None:
    """Free the task of a worker that died and compose it again, without waiting for its lease.

    Bounded by the task's attempts: a task that kills every worker fails. A
    worker that died before it held the task is left to the sweeper's pace.
    """
    try:
        held = release_lease(ports, manifest.task)
    except (SluiceError, StoreError) as error:
        ports.journal.record(Event.SYSTEM_ERROR, task_id=manifest.task.task_id, error=error)
        return
    if held:
        ports.invoker.invoke(manifest, epoch=0)
