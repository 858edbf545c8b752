"""Turns one column of cells into the fields of a Parquet column: formatted alike, nulls marked."""

from __future__ import annotations

from collections import Counter
from operator import or_
from typing import NamedTuple

from sluice.domain.errors import ErrorCode
from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import SEPARATOR, Cells
from sluice.tables.file_plan import Warned
from sluice.tables.values.cell_checks import cell_error
from sluice.tables.writers.parquet.kinds import FORM, Misfit, kind_of

_NUL = b"\0"


class Fields(NamedTuple):
    """Some cells of one column."""

    values: list[bytes]
    """UTF-8; what stands where a cell is null means nothing."""
    nulls: bytes
    """One byte per cell, 1 where it is null."""


class ParquetColumn:
    """How the cells of one column become fields."""

    def __init__(self, column: ColumnSpec, options: ExportOptions) -> None:
        self._column = column
        self._misfits_are_null = options.on_invalid == "null"
        self.kind = kind_of(column, options)

    def check(self, cells: Cells, rows: int) -> None:
        """Raise INVALID_VALUE for the first cell that does not fit; it costs one call when all are plain."""
        if self._misfits_are_null and not self._column.detected:
            return  # whatever it is, it is written or null
        if not (isinstance(cells.text, str) and self.kind.are_plain(cells.text)):
            self._format_all(cells.texts(rows), 0, misfits=[] if self._misfits_are_null else None)

    def fields(self, cells: Cells, rows: int, *, rows_before: int, warnings: Counter[str]) -> Fields:
        """Format ``rows`` cells, at least one. Raises INVALID_VALUE, whose row counts from ``rows_before``.

        Where cells that do not fit become null they are counted among ``warnings``.
        """
        texts = cells.texts(rows)
        misfits: list[int] = []
        if isinstance(cells.text, str) and self.kind.are_plain(cells.text):
            values = cells.text.encode().split(_NUL)
        else:
            formatted = self._format_all(texts, rows_before, misfits=misfits if self._misfits_are_null else None)
            values = [text.encode() for text in formatted]
            if self.kind.is_invalid is not None and (invalid := sum(map(self.kind.is_invalid, texts))):
                warnings[Warned.INVALID_AS_TEXT] += invalid
        nulls = bytes([not text for text in texts]) if self.kind.empty_is_null else cells.nulls or bytes(rows)
        if misfits:
            warnings[Warned.INVALID_AS_NULL] += len(misfits)
            nulls = bytes(map(or_, nulls, bytes(map(set(misfits).__contains__, range(rows)))))
        return Fields(values, nulls)

    def _format_all(self, texts: list[str], rows_before: int, *, misfits: list[int] | None) -> list[str]:
        """Format each cell. The numbers of those that do not fit go to ``misfits``, or the first of them is raised.

        Of a detected column a value in another form is of its type: it is raised, and never null.
        """
        formatted = []
        for index, text in enumerate(texts):
            # As it would be among plain ones: a file may not depend on a cell's neighbours.
            stays = (not text and self.kind.empty_is_null) or (SEPARATOR not in text and self.kind.are_plain(text))
            try:
                formatted.append(text if stays else self.kind.format(text))
            except Misfit as misfit:
                if misfits is None or misfit.reason == FORM:
                    facts = {"reason": misfit.reason} if misfit.reason else {}
                    facts["column_type"] = self._column.type.value
                    raise cell_error(ErrorCode.INVALID_VALUE, rows_before + index, self._column, **facts) from None
                misfits.append(index)
                formatted.append("")
        return formatted
