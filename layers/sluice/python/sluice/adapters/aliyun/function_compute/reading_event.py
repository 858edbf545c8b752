"""The event with which a reader of tables is asked for: which task, and nothing else."""

from __future__ import annotations

import msgspec

from sluice.domain.keys import TASK_ID, TENANT_ID, ManifestRef, TaskId, TaskRef, TenantId
from sluice.ports.invoker import Invoker


class _ReadingEvent(msgspec.Struct):
    tenant: str
    task_id: str


class ReadingEvents:
    """Implements ``MakesEvents``: what is read, from where and for whom, the reader finds in the task's row."""

    def event(self, manifest: ManifestRef, *, at: float) -> bytes:
        """Encode the ids of the task."""
        del at
        return msgspec.json.encode(_ReadingEvent(*manifest.task))


def read_reading_event(event: bytes | str) -> TaskRef | None:
    """Read the event back; None for whatever is no such event."""
    try:
        asked = msgspec.json.decode(event, type=_ReadingEvent)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not TENANT_ID.fullmatch(asked.tenant) or not TASK_ID.fullmatch(asked.task_id):
        return None
    return TaskRef(TenantId(asked.tenant), TaskId(asked.task_id))


class ReadersAndComposers:
    """Implements ``Invoker`` by asking a function of its own for each of the two kinds of work."""

    def __init__(self, *, readers: Invoker, composers: Invoker) -> None:
        self.readers = readers
        self.composers = composers

    def invoke(self, manifest: ManifestRef, *, epoch: int) -> None:
        """Ask the one whose work it is. Raises what that raises."""
        (self.composers if manifest.sha else self.readers).invoke(manifest, epoch=epoch)
