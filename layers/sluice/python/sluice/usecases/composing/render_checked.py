"""Check the stored batches of a render by its own options, as batches are checked when they are put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from sluice.domain.errors import SluiceError
from sluice.domain.manifest import Claim, Manifest
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan
from sluice.tables.values.slices import slices
from sluice.tables.writers.format import Format


def checked(batches: Iterable[Batch], manifest: Manifest, file_format: Format, plan: FilePlan) -> Iterator[Batch]:
    """Pass on the batches of ``manifest``. Raises what the format's check raises, for the first cell it refuses.

    They were checked when they were put, by other options perhaps, and a writer relies on that check. Its error has
    the facts ``row`` (from 1, of its table), ``column``, ``batch`` and ``batch_row``.
    """
    claims, rows_before = iter(manifest.chunks), Counter[int]()
    for batch in batches:
        claim = next(claims)
        _check(batch, claim, rows_before[claim.sheet], file_format, plan)
        rows_before[claim.sheet] += claim.rows
        passed = [batch]
        del batch  # nor any other name: it must be gone before the next one is decoded
        yield passed.pop()


def _check(batch: Batch, claim: Claim, rows_before: int, file_format: Format, plan: FilePlan) -> None:
    """Slice by slice: beside the batch, one of them is decoded."""
    columns, done = plan.tables[claim.sheet].columns, 0
    for rows in slices(batch):
        try:
            file_format.check_sent(rows, columns, plan.options, plan.limits)
        except SluiceError as error:
            row = error.facts.get("row")
            if isinstance(row, int):
                place = {"row": rows_before + done + row, "batch": claim.sequence, "batch_row": done + row}
                error.facts = {**error.facts, **place}
            raise
        done += rows.rows
        del rows  # it may be a whole batch
