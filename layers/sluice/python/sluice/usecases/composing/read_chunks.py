"""Read back what was sealed: a task's manifest, from its object or its claims, and its chunks, in order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress

import msgspec

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId, chunk_key, manifest_key, parse_manifest_key
from sluice.domain.manifest import Claim, Manifest, short_sha
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.object_store import GetsObjects
from sluice.ports.pool import OrderedPool, nothing
from sluice.ports.store_errors import NoSuchObject
from sluice.tables.batch import Batch
from sluice.tables.chunk_codec import decode_chunk


def load_manifest(ports: Ports, task: Task) -> Manifest:
    """The manifest whose digest the row names.

    An object with other content is ignored: the row decides. Raises
    CHUNK_MISSING when neither the object nor the claims give it back, and
    TASK_DAMAGED for a digest that is none.
    """
    key = manifest_key(task.ref, task.man_sha)
    if parse_manifest_key(key) is None:
        raise SluiceError(ErrorCode.TASK_DAMAGED, column="man_sha")
    with suppress(NoSuchObject, msgspec.MsgspecError):
        data = ports.objects.get(key)
        if short_sha(data) == task.man_sha:
            return Manifest.decode(data)
    source_task = TaskId(task.live_params.source_task or task.task_id)
    claimed = ports.tasks.read_claims(TaskRef(task.tenant, source_task))
    if claimed is not None:
        params, claims = task.live_params, claimed.valid()
        if params.output:
            manifest = Manifest.of_table(task.ref, claims, params.sheet_of_run, source_task=source_task)
        else:
            manifest = Manifest.seal(task.ref, claims, source_task=source_task)
        if short_sha(manifest.encode()) == task.man_sha:
            return manifest
    raise SluiceError(ErrorCode.CHUNK_MISSING, "the manifest is gone and the claims do not give it back")


def read_chunks(
    objects: GetsObjects,
    manifest: Manifest,
    *,
    pool: OrderedPool,
    prefetched: int = 1,
    on_wait: Callable[[], object] = nothing,
) -> Generator[Batch]:
    """Yield the batches in manifest order; one chunk is in memory decoded, and ``prefetched`` as they are stored.

    Calls ``on_wait`` every now and then while it waits for a store. Raises
    CHUNK_MISSING or CHUNK_CORRUPT at the chunk concerned: none is skipped.
    A caller that may stop half-way closes it, or chunks go on coming.
    """
    source = TaskRef(TenantId(manifest.tenant), TaskId(manifest.source_task))
    size_max = max((claim.size for claim in manifest.chunks), default=0)

    def get(claim: Claim) -> bytes:
        try:
            return objects.get(chunk_key(source, claim.sequence, claim.sha))
        except NoSuchObject:
            raise SluiceError(ErrorCode.CHUNK_MISSING, sequence=claim.sequence) from None

    with closing(pool.map(get, manifest.chunks, concurrency=prefetched, on_wait=on_wait)) as bodies:
        for claim in manifest.chunks:
            yield decode_chunk(next(bodies), claim, size_max=size_max)  # bound to no name, so gone when decoded


def picked_from(batches: Iterable[Batch], picked: Sequence[int]) -> Iterator[Batch]:
    """Pass on the columns of these indexes, all where there are none. No batch is kept."""
    for batch in batches:
        passed = [Batch(batch.rows, tuple(batch.columns[index] for index in picked)) if picked else batch]
        del batch
        yield passed.pop()
