"""The one-machine service: relay, sweeper, query and links in one process, composers in processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sluice.adapters.directory.directory_store import DirectoryStore
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.workers.worker_pool import PoolLimits, WorkerPool
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.domain.limits import DAY_S
from sluice.ports.journal import Journal
from sluice.ports.outside import Outside
from sluice.ports.store_errors import StoreError
from sluice.usecases.repair_task import release_lease
from sluice.wiring.build import open_links, open_outside
from sluice.wiring.faces import Faces, open_faces
from sluice.wiring.health import build_health
from sluice.wiring.log_lines import replay_line
from sluice.wiring.settings import Settings
from sluice.wiring.sweeper_loop import SweeperLoop
from sluice.wiring.telemetry import open_telemetry


class RunningService(NamedTuple):
    """What a started service tells its starter."""

    faces: Faces
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
        outside = stack.enter_context(open_outside(settings, journal, invoker=pool, admission=pool, links=links))
        pool.rescue_with(partial(rescue, outside))
        started = stack.enter_context(ExitStack())
        stack.callback(pool.drain, deadline_s=settings.server.shutdown_grace_s)
        health = build_health(settings, outside, telemetry, pool)
        faces = stack.enter_context(open_faces(settings, outside, telemetry, links=links, health=health))
        url.http_port = faces.http_port
        sweeper = SweeperLoop(outside, interval_s=settings.concurrency.sweep_interval_s, tidy=partial(tidy, settings))
        sweeper.start()
        stack.callback(sweeper.stop)
        journal.record(Event.SERVICE_STARTED, **faces._asdict())
        started.callback(journal.record, Event.SERVICE_STOPPED)
        yield RunningService(faces, url())


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
    command = [sys.executable, "-m", "sluice.cli.compose_worker", "--data", str(settings.data_directory)]
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


def rescue(outside: Outside, manifest: ManifestRef) -> None:
    """Free the task of a worker that died and compose it again, without waiting for its lease.

    Bounded by the task's attempts: a task that kills every worker fails. A
    worker that died before it held the task is left to the sweeper's pace.
    """
    try:
        held = release_lease(outside, manifest.task)
    except (SluiceError, StoreError) as error:
        outside.journal.record(Event.SYSTEM_ERROR, task_id=manifest.task.task_id, error=error)
        return
    if held:
        outside.invoker.invoke(manifest, epoch=0)
