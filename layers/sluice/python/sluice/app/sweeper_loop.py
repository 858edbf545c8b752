"""The embedded timer: a thread that sweeps often and reconciles rarely."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sluice.domain.events import Event
from sluice.domain.limits import DAY_S
from sluice.ports.bundle import Ports
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.sweep_tasks import sweep_tasks

RECONCILE_S = 7 * DAY_S


class SweeperLoop:
    """Sweeps once at the start, so that what a dead service left behind is taken up at once, then at intervals."""

    def __init__(self, ports: Ports, *, interval_s: float, tidy: Callable[[], object]) -> None:
        self._ports = ports
        self._interval_s = interval_s
        self._tidy = tidy
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return once the sweep under way, if any, is over."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        reconciled_at = self._ports.clock.monotonic()
        while True:
            self._guarded(lambda: sweep_tasks(self._ports))
            if self._ports.clock.monotonic() - reconciled_at >= RECONCILE_S:
                reconciled_at = self._ports.clock.monotonic()
                self._guarded(lambda: reconcile_stores(self._ports))
                self._guarded(self._tidy)
            if self._stopped.wait(self._interval_s):
                return

    def _guarded(self, chore: Callable[[], object]) -> None:
        """A sweep that fails is noted; the next one comes all the same."""
        try:
            chore()
        except Exception as error:  # noqa: BLE001 - the loop must outlive whatever one round meets
            self._ports.journal.record(Event.SYSTEM_ERROR, component="sweeper", error=error)
