"""The invoker and the journal of a command that composes by itself."""

from __future__ import annotations

from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef


class RecordingInvoker:
    """Implements ``Invoker`` by keeping the manifest for the caller, which composes it."""

    def __init__(self) -> None:
        self._manifest: ManifestRef | None = None

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:  # noqa: ARG002 - the port's signature
        self._manifest = manifest

    def taken(self) -> ManifestRef:
        """The manifest that was triggered last."""
        assert self._manifest is not None, "closing a task triggers"
        return self._manifest


class LastError:
    """Implements ``Journal`` by keeping the last error, of which the task row has only the code."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def record(self, event: Event, **fields: object) -> None:  # noqa: ARG002 - the port's signature
        error = fields.get("error")
        if isinstance(error, Exception):
            self.error = error
