"""What each tenant leaves of a disk to the others: one that has much of it is refused before the disk is full."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from sluice.adapters.directory.atomic_file import DiskRoom
from sluice.domain.keys import TenantId, tenant_of_key
from sluice.ports.store_errors import TENANT_SHARE, StoreFull

LEFT_OF_ITS_OWN = 8
"""A tenant leaves free an eighth of what it has: so it has at most eight ninths of what the others do not have."""
COUNTED_FOR_S = 30
"""How long a count of the files holds, at least. What this process writes meanwhile is added to it."""
BETWEEN_COUNTS = 20
"""A count of many files holds so many times as long as it took."""


class DiskShares:
    """Says whether a tenant may store more, from what it has below ``objects``. Safe to use from threads.

    A tenant leaves free an eighth of what it has, and at most ``leaves_bytes``, above what the disk has to have free
    anyway. The next tenant can fill what is left in the same way, and the third what that leaves: the dynamic
    threshold of decision 0036. While ``leaves_bytes`` are free nothing is counted; else what a tenant has is known
    as of the last count, with what this process wrote since. ``alone`` is never refused: the tenant of calls without
    keys, beside which there is no other.
    """

    def __init__(
        self, objects: Path, disk: DiskRoom, *, leaves_bytes: int, alone: TenantId, monotonic: Callable[[], float]
    ) -> None:
        self._objects = objects
        self._disk = disk
        self._leaves_bytes = leaves_bytes
        self._alone = alone
        self._monotonic = monotonic
        self._counts = Lock()
        self._changes = Lock()
        self._sizes: Counter[TenantId] = Counter()
        self._counted_until = float("-inf")

    def has_room(self, tenant: TenantId, size: int) -> bool:
        """Whether a result of the tenant may have ``size`` bytes more."""
        return self._disk.has_room(size) and self._leaves_enough(tenant, size)

    def check(self, tenant: TenantId, size: int) -> None:
        """Raise ``StoreFull`` where the tenant would not leave what it has to; otherwise count ``size`` as written."""
        if not self._leaves_enough(tenant, size):
            raise StoreFull(code=TENANT_SHARE)
        with self._changes:
            self._sizes[tenant] += size

    def _leaves_enough(self, tenant: TenantId, size: int) -> bool:
        if tenant == self._alone or self._disk.has_free(size + self._leaves_bytes):
            return True
        self._count()
        leaves = min(self._leaves_bytes, (self._sizes[tenant] + size) // LEFT_OF_ITS_OWN)
        return self._disk.has_free(size + leaves)

    def _count(self) -> None:
        """Count anew what is too old; while one caller does, the others go by what was known, if anything was."""
        if self._monotonic() < self._counted_until:
            return
        if not self._counts.acquire(blocking=self._counted_until < 0):
            return
        try:
            begun_at = self._monotonic()
            if begun_at >= self._counted_until:
                sizes = count_sizes(self._objects)
                with self._changes:
                    self._sizes = sizes
                ended_at = self._monotonic()
                self._counted_until = ended_at + max(COUNTED_FOR_S, BETWEEN_COUNTS * (ended_at - begun_at))
        finally:
            self._counts.release()


def count_sizes(objects: Path) -> Counter[TenantId]:
    """The bytes of each tenant's files below ``objects``, by a walk that opens none; what goes meanwhile is none."""
    sizes: Counter[TenantId] = Counter()
    for folder, _, names in os.walk(objects):
        tenant = tenant_of_key(Path(folder).relative_to(objects).as_posix() + "/")
        if tenant is None:
            continue
        for name in names:
            with suppress(OSError):
                sizes[tenant] += (Path(folder) / name).stat(follow_symlinks=False).st_size
    return sizes
