"""Get the manifest of a sealed task, from its object or, if that was lost, from the claims."""

from __future__ import annotations

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, manifest_key
from sluice.domain.manifest import Manifest, short_sha
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import NoSuchObject


def load_manifest(ports: Ports, task: Task) -> Manifest:
    """The manifest whose digest the row names.

    An object with other content is ignored: the row decides. Raises
    CHUNK_MISSING when neither the object nor the claims give it back.
    """
    return _stored_manifest(ports, task) or _rebuilt_manifest(ports, task)


def _stored_manifest(ports: Ports, task: Task) -> Manifest | None:
    try:
        data = ports.objects.get(manifest_key(task.ref, task.man_sha))
        return Manifest.decode(data) if short_sha(data) == task.man_sha else None
    except (NoSuchObject, msgspec.MsgspecError):
        return None


def _rebuilt_manifest(ports: Ports, task: Task) -> Manifest:
    source_task = TaskId(task.live_params.source_task or task.task_id)
    held = ports.tasks.read_claims(TaskRef(task.tenant, source_task))
    if held is not None:
        manifest = Manifest.seal(
            tenant=task.tenant, task_id=task.task_id, source_task=source_task, claims=held.claims.values()
        )
        if short_sha(manifest.encode()) == task.man_sha:
            return manifest
    raise SluiceError(ErrorCode.CHUNK_MISSING, "the manifest is gone and the claims do not give it back")
