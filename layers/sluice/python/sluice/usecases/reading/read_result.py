"""Read a finished file whole, to see that it still is what its row says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.task import Task
from sluice.domain.task_errors import result_key_of
from sluice.ports.bundle import Ports
from sluice.ports.pool import nothing
from sluice.ports.store_errors import DamagedObject, NoSuchObject


class Verified(NamedTuple):
    """A file that is what its row says."""

    size: int
    sha256: str


def read_result(ports: Ports, task: Task, *, on_block: Callable[[], object] = nothing) -> Verified:
    """Compare the file of a completed task with its row. Memory does not depend on its size.

    Calls ``on_block`` after each MiB at most. Raises RESULT_MISSING when the
    object is gone, and RESULT_DAMAGED when it is another one.
    """
    digest, size, key = hashlib.sha256(), 0, result_key_of(task)
    try:
        for block in ports.objects.read_range(key, 0, task.result_size):
            digest.update(block)
            size += len(block)
            on_block()
        size = ports.objects.head(key).size
    except NoSuchObject:
        raise SluiceError(ErrorCode.RESULT_MISSING) from None
    except DamagedObject:
        raise SluiceError(ErrorCode.RESULT_DAMAGED, size_recorded=task.result_size) from None
    sha256 = digest.hexdigest()
    if (sha256, size) != (task.result_sha256, task.result_size):
        raise SluiceError(
            ErrorCode.RESULT_DAMAGED,
            size_recorded=task.result_size,
            size_stored=size,
            sha256_recorded=task.result_sha256,
            sha256_stored=sha256,
        )
    return Verified(size, sha256)
