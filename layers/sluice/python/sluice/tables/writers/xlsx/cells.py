"""How a column of cells becomes pieces of worksheet XML: one renderer per column type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple, assert_never

from sluice.domain.errors import ErrorCode
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import Cells
from sluice.tables.file_plan import FilePlan, Tally, Warned
from sluice.tables.values.booleans import BooleanWords, boolean_words
from sluice.tables.values.cell_checks import cell_error, keeps_invalid, type_check
from sluice.tables.values.dates import DateFault, is_finer_than_kept, read_date, time_zone
from sluice.tables.values.numbers import (
    LONG_DIGITS_MAX,
    NumberKind,
    are_exact_numbers,
    are_exact_or_empty,
    are_long_numbers,
    number_kind,
)
from sluice.tables.values.shown_forms import form_check, without_odd
from sluice.tables.values.slices import CellCheck
from sluice.tables.writers.xlsx.serials import SerialDates, keeps_time, serial_of
from sluice.tables.writers.xlsx.text import CLOSING, NUL, OPENING, TextCells, escape_column

_VALUE_CLOSING = b"</v></c>"
_DIGITS = {True: b"1", False: b"0", None: None}
_STANDARD_WORDS = {"true": True, "false": False, "1": True, "0": False}


class RenderedColumn(NamedTuple):
    """The cells of one column: each is its reference, ``opening``, its value, ``closing``."""

    opening: bytes
    values: list[bytes]
    closing: bytes


Renderer = Callable[[Cells, int, int], RenderedColumn]
"""Renders cells; the numbers are how many rows, and the index of the first in the table."""


class ColumnStyle(NamedTuple):
    """Attributes of a column's cells, such as ``b' s="3"'``; empty for the default style."""

    cell: bytes
    quoted: bytes
    """Of text that would be read as a formula on edit."""
    wrapped: bytes = b""
    """Of text in a column that is as wide as its longest line."""
    wrapped_quoted: bytes = b""
    digits: bytes = b""
    """Of a number that is kept as text: it stays text when it is edited."""
    fraction: bytes = b""
    """Of a time with a fraction of a second, which the column's format would round."""

    def in_lines(self) -> ColumnStyle:
        """That of a column whose text is wrapped."""
        return self._replace(cell=self.wrapped, quoted=self.wrapped_quoted)


def column_renderer(column: ColumnSpec, style: ColumnStyle, plan: FilePlan, tally: Tally) -> Renderer:
    """The renderer for ``column``; it adds to ``tally.warnings``."""
    texts = TextCells(
        column=column,
        style=style.cell if column.type is ColumnType.STRING else b"",
        quoted_style=style.quoted,
        units_max=plan.limits.cell_units_max,
        cut=plan.options.on_too_long == "cut",
        tally=tally,
    )
    odd = XlsxOddCells(texts, keep_invalid=keeps_invalid(column, plan.options))
    renderer = _renderer_of_type(column, style, texts, odd, time_zone(plan.options.timezone))
    check, accepted = form_check(column, plan.options.timezone), type_check(column)
    if check is None or accepted is None:
        return renderer
    return XlsxDetectedColumn(renderer, check, accepted, odd, style.digits)


def _renderer_of_type(
    column: ColumnSpec, style: ColumnStyle, texts: TextCells, odd: XlsxOddCells, zone: tzinfo
) -> Renderer:
    match column.type:
        case ColumnType.STRING:
            return XlsxStringColumn(texts)
        case ColumnType.NUMBER:
            return XlsxNumberColumn(odd, style)
        case ColumnType.DATE | ColumnType.DATETIME:
            return XlsxDateColumn(odd, style, zone)
        case ColumnType.BOOLEAN:
            return XlsxBooleanColumn(odd, boolean_words(column.format))
    assert_never(column.type)


def _tails(values: bytes, opening: bytes, closing: bytes) -> bytes:
    """NUL-joined values as NUL-joined tails, by one replacement instead of one step per cell."""
    return opening + values.replace(NUL, closing + NUL + opening) + closing


def _mixed(tails: list[bytes]) -> RenderedColumn:
    return RenderedColumn(b"", tails, b"")


class XlsxOddCells:
    """Cells of a typed column that do not fit its type."""

    def __init__(self, texts: TextCells, *, keep_invalid: bool) -> None:
        self._texts = texts
        self._keep_invalid = keep_invalid

    @property
    def takes_long_numbers(self) -> bool:
        """Whether no number of those that are kept as text is too long for a cell."""
        return self._texts.units_max >= LONG_DIGITS_MAX

    def invalid(self, text: str, row_index: int) -> bytes:
        """A value the type does not accept, kept as text or refused with INVALID_VALUE."""
        if not self._keep_invalid:
            column = self._texts.column
            raise cell_error(ErrorCode.INVALID_VALUE, row_index, column, column_type=column.type.value)
        return self.counted(text, row_index, Warned.INVALID_AS_TEXT)

    def counted(self, text: str, row_index: int, why: Warned, *, style: bytes = b"") -> bytes:
        """A value written as text, and why."""
        self.count(why, 1)
        return self._texts.tail(text, row_index, style=style)

    def count(self, why: Warned, cells: int) -> None:
        self._texts.tally.warnings[why] += cells


class XlsxDetectedColumn:
    """A typed column without a declared type: what its cells would show otherwise than it was sent stays text."""

    def __init__(
        self, renderer: Renderer, check: CellCheck, accepted: CellCheck, odd: XlsxOddCells, text_style: bytes
    ) -> None:
        self._renderer = renderer
        self._check = check
        self._accepted = accepted
        self._odd = odd
        self._text_style = text_style

    def __call__(self, cells: Cells, rows: int, first_row: int) -> RenderedColumn:
        shown, odd = without_odd(cells, rows, self._check)
        rendered = self._renderer(shown, rows, first_row)
        if not odd:
            return rendered
        texts = cells.texts(rows)
        tails = [rendered.opening + value + rendered.closing for value in rendered.values]
        for row in odd:
            tails[row] = self._tail(texts[row], first_row + row)
        return _mixed(tails)

    def _tail(self, text: str, row_index: int) -> bytes:
        if self._accepted.is_odd(text):
            return self._odd.invalid(text, row_index)
        return self._odd.counted(text, row_index, Warned.INVALID_AS_TEXT, style=self._text_style)


class XlsxStringColumn:
    """Text as string cells."""

    def __init__(self, texts: TextCells) -> None:
        self._texts = texts

    def __call__(self, cells: Cells, rows: int, first_row: int) -> RenderedColumn:
        if cells.has_nul:
            tails = [self._texts.tail(text, row) for row, text in enumerate(cells.texts(rows), first_row)]
            return self._without_nulls(tails, cells)
        data = self._texts.encode(cells, rows, first_row)
        escaped = escape_column(data)
        values = escaped.split(NUL)
        odd = self._texts.has_odd(data, values)
        opening = self._texts.style + OPENING
        if not odd and not cells.nulls:
            return RenderedColumn(opening, values, CLOSING)
        tails = _tails(escaped, opening, CLOSING).split(NUL)
        if odd:
            for index, text in enumerate(cells.texts(rows)):
                if self._texts.is_odd(text):
                    tails[index] = self._texts.tail(text, first_row + index)
        return self._without_nulls(tails, cells)

    def _without_nulls(self, tails: list[bytes], cells: Cells) -> RenderedColumn:
        for index in cells.null_rows():
            tails[index] = self._texts.style + b"/>"
        return _mixed(tails)


class XlsxNumberColumn:
    """Numbers as sent, digit for digit; as text where a spreadsheet would lose digits."""

    def __init__(self, odd: XlsxOddCells, style: ColumnStyle) -> None:
        self._odd = odd
        self._blank = style.cell + b"/>"
        self._opening = style.cell + b"><v>"
        self._digits = style.digits

    def __call__(self, cells: Cells, rows: int, first_row: int) -> RenderedColumn:
        text = cells.text
        if isinstance(text, str) and are_exact_numbers(text):
            return RenderedColumn(self._opening, text.encode().split(NUL), _VALUE_CLOSING)
        if isinstance(text, str) and are_exact_or_empty(text):
            tails = _tails(text.encode(), self._opening, _VALUE_CLOSING)
            return _mixed(tails.replace(self._opening + _VALUE_CLOSING, self._blank).split(NUL))
        if (
            self._odd.takes_long_numbers and isinstance(text, str) and are_long_numbers(text)
        ):  # identifiers such as 18-digit order numbers
            self._odd.count(Warned.NUMBER_AS_TEXT, rows)
            return RenderedColumn(self._digits + OPENING, text.encode().split(NUL), CLOSING)
        return _mixed([self._tail(one, row) for row, one in enumerate(cells.texts(rows), first_row)])

    def _tail(self, text: str, row_index: int) -> bytes:
        if not text:
            return self._blank
        match number_kind(text):
            case NumberKind.NUMBER:
                return self._opening + text.lstrip("+").encode() + _VALUE_CLOSING
            case NumberKind.TEXT:
                return self._odd.counted(text, row_index, Warned.NUMBER_AS_TEXT, style=self._digits)
            case NumberKind.INVALID:
                return self._odd.invalid(text, row_index)


class XlsxDateColumn:
    """Dates and times as serial numbers; as text where a spreadsheet has no such date."""

    def __init__(self, odd: XlsxOddCells, style: ColumnStyle, zone: tzinfo) -> None:
        self._odd = odd
        self._blank = style.cell + b"/>"
        self._opening = style.cell + b"><v>"
        self._fraction_opening = style.fraction + b"><v>"
        self._zone = zone
        self._serials = SerialDates(strip_z=zone is UTC)

    def __call__(self, cells: Cells, rows: int, first_row: int) -> RenderedColumn:
        texts = cells.texts(rows)
        if isinstance(cells.text, str):
            serials = self._serials.read(cells.text, rows)
            if serials is not None:
                return RenderedColumn(self._opening, serials, _VALUE_CLOSING)
            filled = [text for text in texts if text]
            serials = self._serials.read("\0".join(filled), len(filled)) if len(filled) < rows else None
            if serials is not None:
                tails = iter([self._opening + serial + _VALUE_CLOSING for serial in serials])
                return _mixed([next(tails) if text else self._blank for text in texts])
        return _mixed([self._tail(text, row) for row, text in enumerate(texts, first_row)])

    def _tail(self, text: str, row_index: int) -> bytes:
        if not text:
            return self._blank
        moment = read_date(text, self._zone)
        match moment:
            case datetime():
                if is_finer_than_kept(text) or not keeps_time(moment):
                    self._odd.count(Warned.TIME_SHORTENED, 1)
                opening = self._fraction_opening if moment.microsecond else self._opening
                return opening + serial_of(moment) + _VALUE_CLOSING
            case DateFault.OUT_OF_RANGE:
                return self._odd.counted(text, row_index, Warned.DATE_AS_TEXT)
            case DateFault.INVALID:
                return self._odd.invalid(text, row_index)


class XlsxBooleanColumn:
    """Words as boolean cells."""

    _OPENING = b' t="b"><v>'

    def __init__(self, odd: XlsxOddCells, words: BooleanWords) -> None:
        self._odd = odd
        self._words = words
        self._is_standard = all(words.read(text) is truth for text, truth in _STANDARD_WORDS.items())

    def __call__(self, cells: Cells, rows: int, first_row: int) -> RenderedColumn:
        text, digits = cells.text, None
        if self._is_standard and isinstance(text, str) and text.isascii():
            digits = self._digits(text, rows)
        if digits is not None:
            return RenderedColumn(self._OPENING, digits, _VALUE_CLOSING)
        texts = cells.texts(rows)
        by_word = {text: _DIGITS[self._words.read(text)] for text in set(texts)}
        values = list(map(by_word.__getitem__, texts))
        if None not in by_word.values() and not cells.nulls:
            return RenderedColumn(self._OPENING, values, _VALUE_CLOSING)  # type: ignore[arg-type]  # no None is left
        tails = [
            self._OPENING + value + _VALUE_CLOSING if value else self._tail(text, row)
            for row, (text, value) in enumerate(zip(texts, values, strict=True), first_row)
        ]
        for index in cells.null_rows():
            tails[index] = b"/>"
        return _mixed(tails)

    @staticmethod
    def _digits(joined: str, rows: int) -> list[bytes] | None:
        """The values of a column that has only ``true`` and ``false``; None when it may have anything else."""
        digits = joined.encode().replace(b"true", b"1").replace(b"false", b"0")
        is_plain = len(digits) == 2 * rows - 1 and not digits[::2].translate(None, b"01")
        return digits.split(NUL) if is_plain else None

    def _tail(self, text: str, row_index: int) -> bytes:
        return self._odd.invalid(text, row_index) if text else b"/>"
