"""Hands a writer the rows of its table in slices, and holds them to the number that was sealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.tables.batch import Batch
from sluice.tables.file_plan import FilePlan, Tally
from sluice.tables.values.slices import slices


def sealed_rows(batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[Batch]:
    """Yield slices of at least one row, each batch asked for only when the one before is used up.

    ``tally.rows`` is the number of rows before the slice until the next one is
    asked for. Raises ROW_COUNT_MISMATCH as soon as more rows than
    ``plan.rows`` have come, or at the end when fewer have.
    """
    for parts in map(slices, batches):  # no name is bound to a batch, so none outlives its slices
        for part in parts:
            if tally.rows + part.rows > plan.rows:
                raise row_count_error(tally.rows + part.rows, plan.rows)
            rows, passed = part.rows, [part]
            del part  # it may be a whole batch
            if rows:
                yield passed.pop()
                tally.rows += rows
    if tally.rows != plan.rows:
        raise row_count_error(tally.rows, plan.rows)


def row_count_error(rows_written: int, rows_sealed: int) -> SluiceError:
    """ROW_COUNT_MISMATCH, with the same facts whichever writer found it."""
    return SluiceError(ErrorCode.ROW_COUNT_MISMATCH, rows_written=rows_written, rows_sealed=rows_sealed)
