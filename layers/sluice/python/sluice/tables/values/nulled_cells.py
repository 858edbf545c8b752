"""Between the stored rows and any writer: values that no type accepts become null, and empty booleans are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Batch, Cells, is_text
from sluice.tables.file_plan import FilePlan, Tally, Warned
from sluice.tables.values.booleans import boolean_words
from sluice.tables.values.cell_checks import type_check


def prepared(batches: Iterable[Batch], plan: FilePlan, tally: Tally) -> Iterator[Batch]:
    """Yield the batches of all tables as their writer sees them: without empty ones. The stored rows stay as sent.

    An empty batch belongs to no place among the rows that are counted here, perhaps to a table that is yet to come.
    """
    tables = iter(plan.tables)
    table = next(tables)
    left = table.rows
    for batch in batches:
        if not batch.rows:
            continue
        while not left:
            table = next(tables)
            left = table.rows
        left -= batch.rows
        if any(column.type is not ColumnType.STRING for column in table.columns):
            batch = _prepare(batch, table.columns, plan.options, tally.warnings)  # noqa: PLW2901 - the one before must be gone
        passed = [batch]
        del batch  # nor any other name: it must be gone before the next one is decoded
        yield passed.pop()


def as_written(batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions) -> Batch:
    """The batch as its writer will see it, for checks before it is stored; as sent where it cannot be stored at all."""
    return _prepare(batch, columns, options, Counter()) if all(map(_can_be_stored, batch.columns)) else batch


def _can_be_stored(cells: Cells) -> bool:
    return is_text(cells.text) if isinstance(cells.text, str) else all(map(is_text, cells.text))


def _prepare(batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions, warnings: Counter[str]) -> Batch:
    made = []
    for cells, column in zip(batch.columns, columns, strict=True):
        if column.type is ColumnType.BOOLEAN and boolean_words(column.format).read("") is None:
            empty = cells.texts(batch.rows).count("") - sum(cells.nulls)  # empty texts, not nulls
            if empty:
                warnings[Warned.BOOLEAN_EMPTY] += empty
        made.append(_without_invalid(cells, column, batch.rows, warnings) if options.on_invalid == "null" else cells)
    return Batch(batch.rows, tuple(made))


def _without_invalid(cells: Cells, column: ColumnSpec, rows: int, warnings: Counter[str]) -> Cells:
    """The same cells, null where the type does not accept them."""
    check = type_check(column)
    if check is None or check.surely_accepts(cells):
        return cells
    texts = cells.texts(rows)
    odd = check.odd_among(texts)
    if not odd:
        return cells
    warnings[Warned.INVALID_AS_NULL] += sum(map(odd.__contains__, texts))
    values: list[str | None] = [None if text in odd else text for text in texts]
    for row in cells.null_rows():
        values[row] = None
    return Cells.of(values)
