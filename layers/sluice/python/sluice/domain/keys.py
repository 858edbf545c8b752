"""Names of tasks and of stored objects; the only place that forms them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import NamedTuple, NewType

from sluice.domain.errors import ErrorCode, SluiceError

TaskId = NewType("TaskId", str)
TenantId = NewType("TenantId", str)

TASK_ID_BYTES = 17
"""The least bytes that hold the 130 bits of a task id."""
TASK_ID = re.compile(r"[a-z2-7]{26}", re.ASCII)
TENANT_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)

INPUT_PREFIX = "in/v1/"
"""The trigger's prefix filter."""
OUTPUT_PREFIX = "out/v1/"
MANIFEST_SUFFIX = ".manifest.json"
"""The trigger's suffix filter."""

_MANIFEST_KEY = re.compile(
    rf"in/v1/(?P<h2>[0-9a-f]{{2}})/(?P<tenant>{TENANT_ID.pattern})/(?P<task>{TASK_ID.pattern})"
    r"/m/(?P<sha>[0-9a-f]{32})\.manifest\.json",
    re.ASCII,
)
_OWNED_KEY = re.compile(
    rf"(?:in|out)/v1/[0-9a-f]{{2}}/(?P<tenant>{TENANT_ID.pattern})/(?P<task>{TASK_ID.pattern})/.+", re.ASCII
)

_TENANT_FOLDER = re.compile(rf"(?:in|out)/v1/[0-9a-f]{{2}}/(?P<tenant>{TENANT_ID.pattern})/", re.ASCII)

_SHARED_KEY = re.compile(rf"out/v1/[0-9a-f]{{2}}/{TENANT_ID.pattern}/shared/[0-9a-f]{{64}}", re.ASCII)

_RESULT = re.compile(r"[A-Za-z0-9_-]+/export\.[a-z0-9.]+", re.ASCII)
"""What is behind the folder in a result's key."""
_EPOCH = re.compile(r"([0-9]+)-", re.ASCII)
"""Begins it."""
_CHUNK = re.compile(r"c/([0-9]+)-[^/]*", re.ASCII)
"""What is behind the folder in a chunk's key."""


class TaskRef(NamedTuple):
    """Names one task. Both halves are needed, so one tenant cannot name another's task."""

    tenant: TenantId
    task_id: TaskId


class Watched(NamedTuple):
    """What a watch address is for.

    The id of a task with an idempotency key is that of every later task with the key, so the time tells them apart.
    """

    ref: TaskRef
    created_at: float


class ManifestRef(NamedTuple):
    """What a manifest's key says: whose it is, and the digest of its content.

    Of a task whose rows are still to be read from a source the digest is empty.
    """

    task: TaskRef
    sha: str


def task_id_from_key(tenant: TenantId, idempotency_key: str, *, user: str = "") -> TaskId:
    """Derive the task's id from an idempotency key: the same key names the same task for ever.

    Each ``user`` of an application has keys of its own, beside those of the tenant's programs.
    """
    whose = f"user\0{tenant}\0{user}" if user else f"v1\0{tenant}"
    digest = hashlib.sha256(f"{whose}\0{idempotency_key}".encode()).digest()
    return task_id_from_bytes(digest)


def task_id_from_bytes(entropy: bytes) -> TaskId:
    """Encode the first 130 bits of ``entropy`` (at least 17 bytes) as a task id."""
    if len(entropy) < TASK_ID_BYTES:
        raise ValueError(f"a task id needs {TASK_ID_BYTES} bytes")
    return TaskId(base64.b32encode(entropy).decode("ascii").lower()[:26])


def _spread(task: str) -> str:
    """Two hex digits that spread keys over the store's partitions."""
    return hashlib.sha256(task.encode()).hexdigest()[:2]


def input_folder(ref: TaskRef) -> str:
    """Where a task's chunks and manifest lie."""
    return f"{INPUT_PREFIX}{_spread(ref.task_id)}/{ref.tenant}/{ref.task_id}/"


def output_folder(ref: TaskRef) -> str:
    """Where the results of a task's attempts lie."""
    return f"{OUTPUT_PREFIX}{_spread(ref.task_id)}/{ref.tenant}/{ref.task_id}/"


def chunk_key(ref: TaskRef, sequence: int, sha: str) -> str:
    """Content-addressed: the same batch always has the same key, other content never has."""
    return f"{input_folder(ref)}c/{sequence:08d}-{sha}.chunk"


def sequence_of_chunk(ref: TaskRef, key: str) -> int | None:
    """The sequence in a key that ``chunk_key`` made for the task; None for any other key."""
    folder = input_folder(ref)
    found = _CHUNK.fullmatch(key, len(folder)) if key.startswith(folder) else None
    return int(found[1]) if found else None


def manifest_key(ref: TaskRef, sha: str) -> str:
    return f"{input_folder(ref)}m/{sha}{MANIFEST_SUFFIX}"


def result_key(ref: TaskRef, *, epoch: int, nonce: str, extension: str) -> str:
    """Unique for each attempt; never made from the user's file name."""
    return f"{output_folder(ref)}{epoch:04d}-{nonce}/export.{extension}"


def shared_key(tenant: TenantId, content: str) -> str:
    """Where the id of a task is whose result has this content; ``content`` is a SHA-256 in hexadecimal."""
    return f"{OUTPUT_PREFIX}{content[:2]}/{tenant}/shared/{content}"


def is_shared_key(key: str) -> bool:
    """Whether ``key`` is one that ``shared_key`` made."""
    return _SHARED_KEY.fullmatch(key) is not None


def is_result_of(ref: TaskRef, key: str) -> bool:
    """Whether ``key`` may be that of a result of the task."""
    folder = output_folder(ref)
    return key.startswith(folder) and _RESULT.fullmatch(key, len(folder)) is not None


def is_of_earlier_attempt(ref: TaskRef, key: str, *, epoch: int) -> bool:
    """Whether ``key`` is that of a result of the task by an attempt before ``epoch``."""
    found = _EPOCH.match(key, len(output_folder(ref))) if is_result_of(ref, key) else None
    return found is not None and int(found[1]) < epoch


def extension_of(result: str) -> str:
    """The extension in a result's key, without the leading dot."""
    return result.rpartition("/")[2].partition(".")[2]


def parse_manifest_key(key: str) -> ManifestRef | None:
    """Read a manifest's key back; None for any other key."""
    match = _MANIFEST_KEY.fullmatch(key)
    if match is None or match["h2"] != _spread(match["task"]):
        return None
    return ManifestRef(TaskRef(TenantId(match["tenant"]), TaskId(match["task"])), match["sha"])


def parse_owner(key: str) -> TaskRef | None:
    """The task in whose folder any of our keys lies; None for a key that is not ours."""
    match = _OWNED_KEY.fullmatch(key)
    return TaskRef(TenantId(match["tenant"]), TaskId(match["task"])) if match else None


def tenant_of_key(key: str) -> TenantId | None:
    """Whose object, or folder with a slash at its end, this is; None for one of no tenant."""
    match = _TENANT_FOLDER.match(key)
    return TenantId(match["tenant"]) if match else None


def make_ref(tenant: TenantId, task_id: str) -> TaskRef:
    """Name a task by the text of a caller. Text that no task can have is TASK_NOT_FOUND, without asking a store."""
    if not TASK_ID.fullmatch(task_id):
        raise SluiceError(ErrorCode.TASK_NOT_FOUND)
    return TaskRef(tenant, TaskId(task_id))
