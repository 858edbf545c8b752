"""Asking for a worker to be run."""

from __future__ import annotations

from typing import Protocol

from sluice.domain.keys import ManifestRef


class Invoker(Protocol):
    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        """Ask that the task be composed, or read where its manifest is not made yet, as its attempt ``epoch``.

        A hint: it may be lost, doubled, late or reordered. Does not wait for
        the composer, and never raises for a task that is already being
        composed. Raises ``StoreError`` when the composer could not be asked.
        """
