"""How a process without composers gets a task composed: it makes the row due for the running service's sweeper."""

from __future__ import annotations

from sluice.domain.keys import ManifestRef
from sluice.domain.task import Guard, State
from sluice.ports.outside import Outside
from sluice.usecases.advance_task import advance_task


class SweeperBell:
    """Implements ``Invoker``. Until it is plugged in it drops bells, which the port allows."""

    def __init__(self) -> None:
        self._outside: Outside | None = None

    def plug(self, outside: Outside) -> None:
        """From now on reach the rows through ``outside``."""
        self._outside = outside

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the port's signature
        """Make the task due now. The sweeper rings for a composer; one that is at work is not disturbed."""
        task = self._outside.tasks.read(manifest.task) if self._outside else None
        if self._outside is None or task is None or task.state not in {State.SEALED, State.COMPOSING}:
            return
        advance_task(
            self._outside,
            task.ref,
            guard=Guard(state=task.state, epoch=task.epoch),
            target=task.state,
            fields={"due_at": self._outside.clock.now()},
            won=lambda row: row.rev > task.rev,
        )
