"""An invoker that composes in threads of the test's own process."""

from __future__ import annotations

from threading import Event, Thread

from sluice.domain.keys import ManifestRef
from sluice.ports.bundle import Ports
from sluice.usecases.work_off import work_off


class InlineInvoker:
    """Runs ``compose_export`` over ``ports`` for every ring, in a thread each; while ``paused``, not yet."""

    def __init__(self, *, paused: bool = False) -> None:
        self.ports: Ports | None = None
        """Set once everything else is built: the outside holds its invoker."""
        self.rings: list[ManifestRef] = []
        self._open = Event()
        if not paused:
            self._open.set()
        self._threads: list[Thread] = []

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        self.rings.append(manifest)
        thread = Thread(target=self._compose, args=(manifest,), name="inline-composer")
        self._threads.append(thread)
        thread.start()

    def release(self) -> None:
        """Let what was rung for be composed, and whatever is rung for from now on."""
        self._open.set()

    def join(self) -> None:
        """Wait until everything that was rung for is done."""
        self.release()
        for thread in self._threads:
            thread.join()

    def _compose(self, manifest: ManifestRef) -> None:
        self._open.wait()
        assert self.ports is not None
        work_off(self.ports, manifest)
