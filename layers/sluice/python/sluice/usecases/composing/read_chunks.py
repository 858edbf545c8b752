"""Read a manifest's chunks back as batches, in order, each verified."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId, chunk_key
from sluice.domain.manifest import Claim, Manifest
from sluice.ports.object_store import GetsObjects
from sluice.ports.pool import OrderedPool, nothing
from sluice.ports.store_errors import NoSuchObject
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import decode_chunk


def read_chunks(
    objects: GetsObjects,
    manifest: Manifest,
    *,
    size_max: int,
    lanes: OrderedPool,
    prefetched: int = 1,
    on_wait: Callable[[], object] = nothing,
) -> Generator[Batch]:
    """Yield the batches in manifest order; one chunk is held decoded, and ``prefetched`` as they are stored.

    Calls ``on_wait`` every now and then while it waits for a store. Raises
    CHUNK_MISSING or CHUNK_CORRUPT at the chunk concerned: none is skipped.
    Whoever may stop half-way closes it, or chunks go on coming.
    """
    source = TaskRef(TenantId(manifest.tenant), TaskId(manifest.source_task))
    get = partial(_get, objects, source)
    with closing(lanes.map(get, manifest.chunks, lanes=prefetched, on_wait=on_wait)) as bodies:
        for claim in manifest.chunks:
            yield decode_chunk(next(bodies), claim, size_max=size_max)  # bound to no name, so gone when decoded


def _get(objects: GetsObjects, source: TaskRef, claim: Claim) -> bytes:
    try:
        return objects.get(chunk_key(source, claim.sequence, claim.sha))
    except NoSuchObject:
        raise SluiceError(ErrorCode.CHUNK_MISSING, sequence=claim.sequence) from None
