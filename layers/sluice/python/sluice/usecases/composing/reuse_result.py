"""Complete an export with the file of an earlier one of the same content, instead of writing that file again.

A completed task leaves its id under the digest of its content. The next task of
that content finds it there, has the result kept in the row that owns it, and
names the same object in its own row: no second copy, but a link and an end of
its own. Nothing here is needed for an export: whatever is missing, changed or
out of reach, the file is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import TASK_ID, TaskId, TaskRef, shared_key
from sluice.domain.manifest import Manifest
from sluice.domain.shared_result import SHARED_MAX, share
from sluice.domain.task import Result, State, Task
from sluice.ports.bundle import Ports
from sluice.ports.pool import nothing
from sluice.ports.retry import CHANGES_MAX
from sluice.ports.store_errors import NoSuchObject, StoreError
from sluice.tables.formats import FORMATS, WRITER_VERSION, filename_of
from sluice.usecases.apply_transition import apply_transition
from sluice.usecases.reading.read_result import read_result

_OWNER_DAMAGED = frozenset({ErrorCode.TASK_DAMAGED, ErrorCode.RESULT_MISSING, ErrorCode.RESULT_DAMAGED})
"""Of the row that has the result, or of its file."""


def find_result(
    ports: Ports, task: Task, content_sha: str, *, on_block: Callable[[], object] = nothing
) -> Result | None:
    """A kept result of the task's tenant with this content, read whole and found right, kept for this task too.

    None when there is none, when it is damaged, and when a store gives no
    answer. What was kept for a task that is not completed with it in the end
    stays as long as it would have for the task. ``on_block`` as for ``read_result``; what it raises is raised.
    """
    try:
        found = ports.objects.get(shared_key(task.tenant, content_sha)).decode("ascii", "replace")
        if not TASK_ID.fullmatch(found) or found == task.task_id:
            return None
        return _share(ports, TaskRef(task.tenant, TaskId(found)), task, content_sha, on_block)
    except NoSuchObject:
        return None
    except (StoreError, SluiceError) as error:
        if isinstance(error, SluiceError) and error.code not in _OWNER_DAMAGED:
            raise  # the time of this attempt is over
        ports.journal.record(Event.SYSTEM_ERROR, task_id=task.task_id, error=error)
        return None


def offer_result(ports: Ports, task: Task, content_sha: str) -> None:
    """Let later tasks of this content find the result of ``task``, which was just completed."""
    try:
        ports.objects.put(shared_key(task.tenant, content_sha), task.task_id.encode())
    except StoreError as error:  # the file is whole and named; the next task writes its own
        ports.journal.record(Event.SYSTEM_ERROR, task_id=task.task_id, error=error)


def content_digest(ports: Ports, task: Task, manifest: Manifest) -> str:
    """Hexadecimal SHA-256 of all that a writer's bytes depend on. Other batches of the same rows have another digest.

    The file's name is part of it where it stands in the file, as in an archive of
    workbooks, and where a link cannot give the download another name.
    """
    params = task.live_params
    format_ = FORMATS[params.format]
    is_archive = format_.extension(params.options, manifest.rows) not in format_.extensions
    content = (
        WRITER_VERSION,
        params.format,
        params.tables,
        msgspec.structs.replace(params.options, reuse=True),
        [(chunk.sheet, chunk.sha) for chunk in manifest.chunks],
        ports.limits,
        filename_of(task) if is_archive or not ports.links.names_downloads else "",
        *((params.picked,) if params.picked else ()),
    )
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def _share(ports: Ports, owner: TaskRef, task: Task, content_sha: str, on_block: Callable[[], object]) -> Result | None:
    is_read = False
    for _ in range(CHANGES_MAX):
        source, now = ports.tasks.read(owner), ports.clock.now()
        if source is None or source.state is not State.COMPLETED or source.deleted_at or now >= source.expires_at:
            return None
        # Rows that were put back from a backup know less than the pointers: the id may have become another export.
        if source.content_sha != content_sha or source.result_of or len(source.shared_with) >= SHARED_MAX:
            return None
        if not is_read:
            read_result(ports, source, on_block=on_block)
            is_read = True
        # The end is fixed here, before the row says it: however late it is named, no link outlives what is kept.
        expires_at = now + ports.timings.retention_s
        until = expires_at + ports.timings.link_s + ports.timings.skew_s
        if apply_transition(ports, owner, share(source, task.task_id, until=until)):
            return Result(
                source.result_key,
                source.result_size,
                source.result_sha256,
                source.result_crc64,
                source.result_rows,
                dict(source.warnings),
                owner=owner.task_id,
                expires_at=expires_at,
            )
    return None
