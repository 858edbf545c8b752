"""Ours: from stored chunks to a digested file whose blocks are dropped, as an upload would take them away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sluice.domain.limits import Limits
from sluice.domain.manifest import Claim
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.tables.batch import Batch
from sluice.tables.bytes.digests import Digest, digested
from sluice.tables.chunk_codec import decode_chunk, encode_batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.formats import FORMATS
from sluice.tables.writers.xlsx import workbook  # noqa: F401 -- what the writer would import at its first block
from tests.bench.orders import Orders


def xlsx(orders: Orders, folder: Path) -> Callable[[], int]:
    """XLSX as it is written by default."""
    return _prepare(orders, ExportFormat.XLSX, ExportOptions())


def xlsx_compact(orders: Orders, folder: Path) -> Callable[[], int]:
    """XLSX without cell references."""
    return _prepare(orders, ExportFormat.XLSX, ExportOptions(compact=True))


def csv(orders: Orders, folder: Path) -> Callable[[], int]:
    return _prepare(orders, ExportFormat.CSV, ExportOptions())


def jsonl(orders: Orders, folder: Path) -> Callable[[], int]:
    return _prepare(orders, ExportFormat.JSONL, ExportOptions())


def _prepare(orders: Orders, export_format: ExportFormat, options: ExportOptions) -> Callable[[], int]:
    chunks = [encode_batch(batch) for batch in orders.batches()]
    bodies = [(Claim(number, chunk.sha, chunk.rows, chunk.size), chunk.body) for number, chunk in enumerate(chunks, 1)]
    table = FilePlan(
        columns=orders.specs,
        options=options,
        rows=orders.rows,
        size=sum(chunk.size for chunk in chunks),
        stem="orders",
    )

    def batches() -> Iterator[Batch]:
        for claim, body in bodies:
            yield decode_chunk(body, claim, size_max=Limits().batch_bytes_max)

    def run() -> int:
        digest = Digest()
        for _block in digested(FORMATS[export_format].write(batches(), table, Tally()), digest):
            pass
        return digest.size

    return run
