"""How much memory a composer can need for a file, known before it begins."""

from __future__ import annotations

from sluice.domain.limits import MIB
from sluice.domain.manifest import Manifest
from sluice.tables.bytes.parts import largest_part
from sluice.tables.file_plan import FilePlan
from sluice.tables.writers.format import Format

CHAR_BYTES_MAX = 4
"""A string has up to four bytes for each of its characters, once one of them needs them."""
CLAIM_BYTES = 512
"""A chunk's line in the manifest: as text, and as objects."""
CELLS_BYTES = 128
"""A column of a decoded batch, its text apart."""
SLACK_BYTES = 4 * MIB
"""What the allocator keeps between blocks, the pool's threads, the journal."""


def composer_bytes_max(file_format: Format, plan: FilePlan, manifest: Manifest) -> int:
    """Bound the memory that ``write_result`` adds to a process that has composed an empty table of the format.

    The sum of

    * the chunks: ``limits.prefetched_chunks`` and the one at hand as they are
      stored, that one once more inflated, and once decoded, where a string has
      one, two or four bytes for each character: a slice at a time, and a slice
      of one row may have all of the batch. The largest chunk counts, at most
      ``limits.batch_bytes_max``. A batch is gone before the next is decoded;
    * what the writer holds: ``Format.memory_bound``, a few slices and the columns;
    * the parts: ``limits.parallel_parts`` under way, and the one that grows;
    * the manifest, a line for each of ``limits.batches_max`` batches at most.

    The number of rows is in none of them but by the size of parts: those
    behind half of ``limits.parts_max`` smallest ones grow with the file.
    """
    chunk = max((claim.size for claim in manifest.chunks), default=0)
    columns = max(len(part.columns) for part in plan.tables)
    stored = (plan.limits.prefetched_chunks + 1) * chunk
    decoded = chunk + CHAR_BYTES_MAX * chunk + columns * CELLS_BYTES
    part_bytes = largest_part(file_format.size_bound(plan), plan.limits)
    parts = (plan.limits.parallel_parts + 1) * part_bytes
    claims = len(manifest.chunks) * CLAIM_BYTES
    return stored + decoded + file_format.memory_bound(plan, chunk) + parts + claims + SLACK_BYTES
