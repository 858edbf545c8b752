"""The one-machine service: relay, sweeper, query and links in one process, composers in processes of their own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sluice.adapters.directory.atomic_file import PRIVATE_MODE, DiskRoom, open_to_others
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.adapters.workers.pool import PoolLimits, WorkerPool
from sluice.adapters.workers.process import module_command
from sluice.api.auth import LOCAL_TENANT
from sluice.api.http.routes.health import HealthApp, HealthChecks
from sluice.api.http.server.forwarded import forwarded_url
from sluice.app.backends import backend_of, open_ports
from sluice.app.servers import Servers, open_servers
from sluice.app.settings.validation import Settings, settings_for_child
from sluice.app.sources import for_askers, open_definitions, open_jobs
from sluice.app.telemetry.audit import AUDIT_FILE, AuditFile
from sluice.app.telemetry.log_lines import replay_line
from sluice.app.telemetry.metrics import CONTENT_TYPE
from sluice.app.telemetry.telemetry import Telemetry, open_telemetry
from sluice.domain.dataset import Dataset
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import OUTPUT_PREFIX, ManifestRef, TaskRef, TenantId, task_id_from_bytes
from sluice.domain.limits import DAY_S
from sluice.ports.bundle import Ports
from sluice.ports.journal import Journal
from sluice.ports.store_errors import StoreError, StoreFull
from sluice.usecases.running.plan_due import DueRuns
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.repair_task import release_lease
from sluice.usecases.upkeep.sweep_tasks import SWEEPS_AT_ONCE_MAX, SweepMemory, put_off_quietly, sweep_tasks, was_full

if TYPE_CHECKING:
    from sluice.app.definitions import DefinitionsFolder

PROBE_KEY = f"{OUTPUT_PREFIX}health-probe"
PROBE_TASK = TaskRef(TenantId("health"), task_id_from_bytes(bytes(17)))
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # what a setting may say, not what we bind
RECONCILE_S = 7 * DAY_S
WALKED_FILE = "last-walk"
"""Empty; its time is when a walk ended last, by whichever service of the directory."""
FAILED_SWEEPS_MAX = 3
"""Sweeps in a row that fail as a whole before the service says that it is not ready."""
SILENT_SWEEPS_MAX = 12
SILENT_MIN_S = 120.0
"""A sweeper that takes no step for so many of its intervals, and at least so long, hangs."""
SILENCE_MIN_S = 10.0
"""A composer is not killed for a shorter silence, however short its lease: a busy machine may be as slow."""


class RunningService(NamedTuple):
    """What a started service tells its starter."""

    servers: Servers
    public_url: str


@contextmanager
def run_service(settings: Settings, *, warnings: Sequence[str] = ()) -> Iterator[RunningService]:
    """Serve until the context ends, then drain within ``server.shutdown_grace_s``.

    The log begins with ``warnings``, which came with the settings. Ready when
    the context is entered. Killing it at any moment loses nothing that was
    acknowledged; the next service over the same directory goes on.
    """
    url, backend = PublicUrl(settings), backend_of(settings)
    with ExitStack() as stack:
        telemetry = stack.enter_context(open_telemetry(settings, audit=place_of_audit(settings)))
        journal = telemetry.journal
        for warning in warnings:
            journal.record(Event.SETTING_RENAMED, note=warning)
        pool = build_pool(settings, journal)
        telemetry.metrics.watch(
            active=lambda: pool.active, queued=lambda: pool.queued, dropped=lambda: telemetry.lines.dropped
        )
        disk = _open_disk(settings, journal)
        links = backend.open_links(settings, url)
        ports = stack.enter_context(
            open_ports(settings, journal, invoker=pool, admission=pool, links=links, checks_owner=True)
        )
        definitions = open_definitions(settings, journal)
        jobs = open_jobs(definitions, settings, journal)
        ports = for_askers(ports, settings, definitions)
        pool.rescue_with(partial(rescue, ports))
        started = stack.enter_context(ExitStack())
        stack.callback(pool.drain, deadline_s=settings.server.shutdown_grace_s)
        tidy = partial(backend.tidy, settings)
        interval_s = settings.concurrency.sweep_interval_s
        memory = SweepMemory(queued=lambda: pool.waiting, leave_s=2 * interval_s)
        stop_s = settings.server.shutdown_grace_s
        walked = place_of_walks(settings)
        loop = partial(SweeperLoop, open_due=partial(DueRuns(jobs.current).open_due, ports) if definitions else None)
        sweeper = loop(ports, interval_s=interval_s, tidy=tidy, memory=memory, stop_s=stop_s, walked=walked)
        health = build_health(settings, ports, telemetry, pool, sweeper, disk)
        watches = backend.open_watches(settings, url)
        servers = stack.enter_context(
            open_servers(
                settings,
                ports,
                telemetry,
                links=links,
                watches=watches,
                health=health,
                jobs=jobs,
                datasets=partial(audited_datasets, definitions, telemetry.audit) if definitions else dict,
            )
        )
        url.http_port = servers.http_port
        sweeper.start()
        stack.callback(sweeper.stop)
        journal.record(Event.SERVICE_STARTED, **servers._asdict())
        started.callback(journal.record, Event.SERVICE_STOPPED)
        yield RunningService(servers, url())


def _open_disk(settings: Settings, journal: Journal) -> DiskRoom | None:
    """The disk of the data directory, with its reserve; says who else may enter there."""
    if (disk := backend_of(settings).open_disk(settings)) is not None:
        disk.keep_reserve()
        if is_open := open_to_others(settings.data_directory):
            note = f"others on this machine may enter {', '.join(is_open)}: chmod -R go= {settings.data_directory}"
            journal.record(Event.SETTING_RENAMED, note=note)
    return disk


def place_of_walks(settings: Settings) -> Path | None:
    """The file whose time says when the stores were compared last; None where no directory is here."""
    rows = backend_of(settings).tasks_file(settings)
    return None if rows is None else rows.with_name(WALKED_FILE)


def place_of_audit(settings: Settings) -> Path | None:
    """Where the audit of datasets is kept; None where there are none, or no directory of this machine."""
    is_kept = settings.datasets.definitions and backend_of(settings).tasks_file(settings) is not None
    return settings.data_directory / AUDIT_FILE if is_kept else None


def audited_datasets(definitions: DefinitionsFolder, audit: AuditFile | None) -> Mapping[str, Dataset]:
    """What holds now. Raises as ``AuditFile.check``: what could not be recorded is not given."""
    if audit is not None:
        audit.check()
    return definitions.datasets()


SERVING = frozenset({"http-server", "sweeper"})
"""Threads without which a service would go on without serving."""


class PublicUrl:
    """What links begin with; known once the HTTP port is, unless the settings or a trusted proxy name it."""

    def __init__(self, settings: Settings) -> None:
        self._server = settings.server
        self._scheme = "https" if settings.security.tls_certificate_file else "http"
        self.http_port = settings.server.http_port

    def __call__(self) -> str:
        host = f"[{self._server.host}]" if ":" in self._server.host else self._server.host
        if self._server.host in ANY_ADDRESS:  # no address that anyone could call
            host = socket.gethostname()
        return self._server.public_url or forwarded_url() or f"{self._scheme}://{host}:{self.http_port}"


def build_pool(settings: Settings, journal: Journal) -> WorkerPool:
    """The composers, each in a process that has the same settings and works in the same directory."""
    timings = settings.timings()
    limits = PoolLimits(
        workers_max=settings.concurrency.max_concurrent_tasks,
        tenant_max=settings.limits().tenant_composing_max,
        queue_max=settings.concurrency.task_queue_size,
        silence_s=max(SILENCE_MIN_S, timings.lease_s + timings.skew_s),
    )
    return WorkerPool(
        module_command("sluice.app.compose_worker"),
        settings=msgspec.json.encode(settings_for_child(settings)),
        limits=limits,
        clock=SystemClock(),
        journal=journal,
        randomness=SystemRandomness(),
        note=partial(replay_line, journal=journal),
    )


def rescue(ports: Ports, manifest: ManifestRef, owner: str, at_start: bool) -> None:  # noqa: FBT001 - the pool's call
    """Free the task of a worker that died and compose it again, without waiting for its lease.

    Only the attempt ``owner``: another service may have taken the task over.
    Bounded by the task's attempts: a task that kills every worker fails. A
    worker that died before it leased the task is left to the sweeper's pace,
    which is slower with each that died ``at_start``.
    """
    try:
        if at_start:
            put_off_quietly(ports, manifest.task, "the composer died as it started")
        elif release_lease(ports, manifest.task, owner=owner, alone=True):
            ports.invoker.invoke(manifest, epoch=0)
    except Exception as error:  # noqa: BLE001 - the pool's thread, which serves other tasks, outlives it
        ports.journal.record(Event.SYSTEM_ERROR, task_id=manifest.task.task_id, error=error)


def build_health(
    settings: Settings,
    ports: Ports,
    telemetry: Telemetry,
    pool: WorkerPool,
    sweeper: SweeperLoop,
    disk: DiskRoom | None,
) -> HealthApp:
    """Ready: there is room for one more export, in the queue and on the disk, composers start, and sweeps succeed.

    Dependencies: both stores answer, the object store to a write too, and the keys of callers can be read.
    """
    key_store = backend_of(settings).open_keys(settings)

    def room() -> None:
        # Where there are keys no export is this tenant's: it stands for any that has nothing in the queue.
        if not pool.has_room(LOCAL_TENANT):
            raise SluiceError(ErrorCode.QUEUE_FULL, queued=pool.queued)

    def room_on_disk() -> None:
        if disk is None:
            return
        disk.keep_reserve()
        try:
            disk.check()
        except StoreFull as error:
            free = f"less than storage.min_free_bytes ({settings.storage.min_free_bytes:,} bytes) is free on the disk"
            raise SluiceError(ErrorCode(error.code_shown), f"{free}: no batches are taken") from error

    def objects() -> None:
        ports.objects.put(PROBE_KEY, b"")
        ports.objects.delete([PROBE_KEY])

    def tasks() -> None:
        ports.tasks.read(PROBE_TASK)

    def keys() -> None:
        try:
            key_store.read()
        except StoreError as error:
            detail = "no caller is let in: see the log, or sluice keys list"
            raise SluiceError(ErrorCode(error.code_shown), detail) from error

    audit = {} if telemetry.audit is None else {"audit": telemetry.audit.check}
    checks = HealthChecks(
        ready={"queue": room, "disk": room_on_disk, "composers": pool.check, "sweeper": sweeper.check, **audit},
        dependencies={"objects": objects, "tasks": tasks, "keys": keys},
        interval_s=settings.monitoring.health_check_interval_s,
    )
    return HealthApp(checks, clock=ports.clock, metrics=telemetry.metrics.render, metrics_type=CONTENT_TYPE)


class _StoppingError(Exception):
    """The service ends, and with it the sweep or the walk under way."""


class SweeperLoop:
    """Sweeps once at the start, so that what a dead service left behind is taken up at once, then at intervals."""

    def __init__(
        self,
        ports: Ports,
        *,
        interval_s: float,
        tidy: Callable[[], object],
        memory: SweepMemory | None = None,
        stop_s: float = 30,
        walked: Path | None = None,
        open_due: Callable[[Callable[[], object]], object] | None = None,
    ) -> None:
        """``stop_s`` is how long ``stop`` waits for a step that hangs.

        ``open_due`` opens the runs of jobs that are due, behind each sweep, and calls what it is given at each step.

        The time of ``walked`` says to later processes when a walk ended; without it each begins to count anew.
        """
        self._walked = walked
        self._open_due = open_due
        self._is_tidied = False
        self._walk_at: float | None = None
        """Monotonic."""
        self._ports = ports
        self._stop_s = stop_s
        self._stepped_at: float | None = None
        """When the last step began, monotonic; a task of a sweep, a row or an object of a walk, a wait is one."""
        self._interval_s = interval_s
        self._tidy = tidy
        self._memory = SweepMemory() if memory is None else memory
        self._failed_in_a_row = 0
        self._full_in_a_row = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the sweep or the walk under way, if any, after its present step, unless that hangs."""
        self._stopped.set()
        self._thread.join(self._stop_s)

    def sweep(self) -> None:
        """Sweep once. Raises nothing: the loop outlives whatever a sweep meets."""
        self._stepped_at = self._ports.clock.monotonic()
        succeeded = self._guarded(self._sweep)
        self._failed_in_a_row = 0 if succeeded else self._failed_in_a_row + 1
        self._guarded(self._ports.give_back_room)

    def _sweep(self) -> None:
        full_before, self._full_in_a_row = self._full_in_a_row, 0  # also where the sweep fails
        done = sweep_tasks(self._ports, memory=self._memory, is_watched=False, on_step=self._step)
        self._full_in_a_row = (full_before + 1) % SWEEPS_AT_ONCE_MAX if was_full(done) else 0

    @property
    def pause_s(self) -> float:
        """How long to wait for the next sweep: not at all behind one that was full, now and then excepted."""
        return 0 if self._full_in_a_row else self._interval_s

    def open_due(self) -> None:
        """Open the runs of jobs that are due. Raises nothing: what fails is due at the next sweep too."""
        open_due = self._open_due
        if open_due is not None:
            self._guarded(lambda: open_due(self._step))

    def walk_if_due(self) -> None:
        """Once the clock is believed: tidy up what the process before left, and compare the stores weekly.

        Raises nothing. A walk that was cut off is made again by the next process, one that fails a week later.
        """
        if not self._memory.believes_clock(self._ports.clock):
            return
        monotonic = self._ports.clock.monotonic()
        if self._walk_at is None or monotonic >= self._walk_at:  # another service may have walked meanwhile
            self._walk_at = monotonic + self._until_walk_s(begins=self._walk_at is None)
        is_due = monotonic >= self._walk_at
        if is_due:
            self._walk_at = monotonic + RECONCILE_S
            succeeded = self._guarded(lambda: reconcile_stores(self._ports, on_step=self._step))
            if succeeded and self._walked is not None and not self._stopped.is_set():
                with suppress(OSError):
                    self._walked.touch(PRIVATE_MODE)
                    now = self._ports.clock.now()
                    os.utime(self._walked, (now, now))
        if is_due or not self._is_tidied:
            self._is_tidied = True
            self._guarded(self._tidy)

    def _until_walk_s(self, *, begins: bool) -> float:
        if self._walked is None:
            return RECONCILE_S if begins else 0
        try:
            age_s = self._ports.clock.now() - self._walked.stat().st_mtime
        except OSError:
            return 0
        return RECONCILE_S - age_s if age_s + DAY_S >= 0 else 0  # a time that is yet to come was a wrong clock's

    def check(self) -> None:
        """Raise INTERNAL once as many sweeps in a row have failed as may, or one takes no step for too long."""
        silent_s = 0.0 if self._stepped_at is None else self._ports.clock.monotonic() - self._stepped_at
        if silent_s > max(SILENT_MIN_S, SILENT_SWEEPS_MAX * self._interval_s):
            detail = f"the sweeper hangs for {silent_s:,.0f} s: what is lost is not repaired; start the service again"
            raise SluiceError(ErrorCode.INTERNAL, detail)
        if self._failed_in_a_row >= FAILED_SWEEPS_MAX:
            detail = f"the last {self._failed_in_a_row} sweeps failed: what is lost is not repaired, see the log"
            raise SluiceError(ErrorCode.INTERNAL, detail)

    def _run(self) -> None:
        while True:
            self.sweep()
            self.open_due()
            self.walk_if_due()
            if self._stopped.wait(self.pause_s):
                return

    def _step(self) -> None:
        self._stepped_at = self._ports.clock.monotonic()
        if self._stopped.is_set():
            raise _StoppingError

    def _guarded(self, chore: Callable[[], object]) -> bool:
        """A sweep that fails is noted; the next one comes all the same. True: it did not fail."""
        try:
            chore()
        except _StoppingError:
            return True
        except Exception as error:  # noqa: BLE001 - the loop must outlive whatever one round meets
            self._ports.journal.record(Event.SYSTEM_ERROR, component="sweeper", error=error)
            return False
        return True
