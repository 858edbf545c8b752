"""A queue in which tenants take turns, and the tasks of each come in their order."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from sluice.domain.keys import ManifestRef, TenantId


class FairQueue:
    """However many tasks a tenant has, another waits for one of them at a time. Not thread-safe."""

    def __init__(self) -> None:
        self._of_tenants: OrderedDict[TenantId, deque[ManifestRef]] = OrderedDict()
        """Whose turn is next comes first. None is empty."""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[ManifestRef]:
        for queue in self._of_tenants.values():
            yield from queue

    def has_room(self, tenant: TenantId, size_max: int) -> bool:
        """Whether one more task of ``tenant`` is within the bound.

        A full queue has room for a tenant that has less than its part of it, were it divided among those that wait and
        this one: what others have queued keeps it from nothing.
        """
        waiting = len(self._of_tenants.get(tenant, ()))
        others = len(self._of_tenants) - (tenant in self._of_tenants)
        return self._size < size_max or (others > 0 and waiting < size_max // (others + 1))

    def append(self, manifest: ManifestRef) -> None:
        self._of_tenants.setdefault(manifest.task.tenant, deque()).append(manifest)
        self._size += 1

    def pop(self, may_begin: Callable[[TenantId], bool]) -> ManifestRef | None:
        """Take the next one of a tenant that may begin one. None when there is none; those of others stay."""
        tenant = next(filter(may_begin, self._of_tenants), None)
        if tenant is None:
            return None
        queue = self._of_tenants.pop(tenant)
        manifest = queue.popleft()
        if queue:
            self._of_tenants[tenant] = queue
        self._size -= 1
        return manifest

    def clear(self) -> None:
        self._of_tenants.clear()
        self._size = 0
