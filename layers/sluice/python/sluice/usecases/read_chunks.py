"""Read a manifest's chunks back as batches, in order, each verified."""

from __future__ import annotations

from collections.abc import Iterator

from sluice.domain.batch import Batch
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId, chunk_key
from sluice.domain.manifest import Claim, Manifest
from sluice.ports.object_store import GetsObjects
from sluice.ports.store_errors import NoSuchObject
from sluice.streams.chunk_codec import decode_chunk


def read_chunks(objects: GetsObjects, manifest: Manifest, *, size_max: int) -> Iterator[Batch]:
    """Yield the batches in manifest order; one chunk is held at a time.

    Raises CHUNK_MISSING or CHUNK_CORRUPT at the chunk concerned: none is skipped.
    """
    source = TaskRef(TenantId(manifest.tenant), TaskId(manifest.source_task))
    for claim in manifest.chunks:
        yield _read_chunk(objects, source, claim, size_max=size_max)


def _read_chunk(objects: GetsObjects, source: TaskRef, claim: Claim, *, size_max: int) -> Batch:
    try:
        body = objects.get(chunk_key(source, claim.sequence, claim.sha))
    except NoSuchObject:
        raise SluiceError(ErrorCode.CHUNK_MISSING, sequence=claim.sequence) from None
    return decode_chunk(body, claim, size_max=size_max)
