"""What a command that composes by itself has for an invoker and for a journal."""

from __future__ import annotations

from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef


class RecordingInvoker:
    """Implements ``Invoker`` by keeping the bell for the one who will compose."""

    def __init__(self) -> None:
        self._manifest: ManifestRef | None = None

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the port's signature
        self._manifest = manifest

    def taken(self) -> ManifestRef:
        """The bell that was rung last."""
        assert self._manifest is not None, "closing a task rings"
        return self._manifest


class LastError:
    """Implements ``Journal`` by keeping the last error, of which the task row tells only the code."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def record(self, event: Event, **fields: object) -> None:  # noqa: ARG002 - the port's signature
        error = fields.get("error")
        if isinstance(error, Exception):
            self.error = error
