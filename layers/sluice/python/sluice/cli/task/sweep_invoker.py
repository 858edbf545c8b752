"""How a process without composers gets a task composed: it makes the row due for the running service's sweeper."""

from __future__ import annotations

from sluice.domain.keys import ManifestRef
from sluice.domain.lifecycle import make_due
from sluice.domain.task import State
from sluice.ports.bundle import Ports
from sluice.usecases.apply_transition import apply_transition


class SweepInvoker:
    """Implements ``Invoker``. Until it is plugged in it drops bells, which the port allows."""

    def __init__(self) -> None:
        self._ports: Ports | None = None

    def plug(self, ports: Ports) -> None:
        """From now on reach the rows through ``ports``."""
        self._ports = ports

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the port's signature
        """Make the task due now. The sweeper rings for a composer; one that is at work is not disturbed."""
        task = self._ports.tasks.read(manifest.task) if self._ports else None
        if self._ports is None or task is None or task.state not in {State.SEALED, State.COMPOSING}:
            return
        apply_transition(self._ports, task.ref, make_due(task, now=self._ports.clock.now()))
