"""Turns one column of cells into members of JSON objects: the key, the value, and what stands around them.

Work is done on the whole column at once, as UTF-8 joined by NUL; cells are
looked at one by one only in a slice where something is unusual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

from sluice.domain.errors import ErrorCode
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import SEPARATOR, Cells
from sluice.tables.file_plan import FilePlan, Tally, Warned
from sluice.tables.values.booleans import BooleanWords, boolean_words
from sluice.tables.values.cell_checks import cell_error, is_invalid_date, keeps_invalid, type_check
from sluice.tables.values.dates import are_plain_dates
from sluice.tables.values.numbers import NumberKind, are_exact_or_empty, are_long_numbers, number_kind
from sluice.tables.values.shown_forms import form_check, without_odd
from sluice.tables.values.slices import CellCheck

_NUL = b"\0"
_QUOTE = b'"'
_NULL = b"null"
_TRUTH = {True: b"true", False: b"false"}
_PIECE_CHARS = 64 * 1024
VALUE_EXTRA_BYTES_MAX = len("false")
"""No value is longer than this and its escaped text."""
_SHORT = {b'"': b'\\"', b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t", b"\b": b"\\b", b"\f": b"\\f"}
_CONTROLS = {bytes([code]): b"\\u%04x" % code for code in range(1, 0x20)}
_ESCAPES = {b"\\": _SHORT[b"\\"]} | _CONTROLS | _SHORT
"""What a JSON string may not contain, the backslash first, since the others bring new ones. NUL is the separator."""
_SPECIAL = b"".join(_ESCAPES)
_ORDINARY = bytes(set(range(256)) - set(_SPECIAL))
_LINE_ENDS = {"\x85": b"\\u0085", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}
"""Allowed in a JSON string, but some programs end a line there; then one line of the file would be two."""


def escape_column(joined: str) -> bytes:
    """Escape NUL-joined texts. What a text becomes does not depend on its neighbours."""
    data = joined.encode()
    found = data.translate(None, _ORDINARY)
    if found:
        present = set(found)
        for mark, escape in _ESCAPES.items():
            if mark[0] in present:
                data = data.replace(mark, escape)
    if not joined.isascii():
        for line_end, escape in _LINE_ENDS.items():
            if line_end in joined:
                data = data.replace(line_end.encode(), escape)
    return data


def escape_text(text: str) -> bytes:
    """Escape one text, which may have a NUL."""
    return escape_column(text).replace(_NUL, b"\\u0000")


Renderer = Callable[[Cells, int, int], list[bytes]]
"""Gives one member for each cell; the numbers are how many rows, and the index of the first in the table."""


class Frame:
    """What stands before and after each value of a column."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after
        self.null = self.bare(_NULL)

    @property
    def size(self) -> int:
        return len(self._before) + len(self._after)

    def bare(self, value: bytes) -> bytes:
        """One value that needs no quotes."""
        return self._before + value + self._after

    def pieces(self, text: str) -> Iterator[bytes]:
        """One string, escaped in pieces: it may be as large as a batch, and six times as large when escaped."""
        yield self._before + _QUOTE
        for start in range(0, len(text), _PIECE_CHARS):
            yield escape_text(text[start : start + _PIECE_CHARS])
        yield _QUOTE + self._after

    def quoted(self, escaped: bytes) -> bytes:
        """One string."""
        return self.bare(_QUOTE + escaped + _QUOTE)

    def all_bare(self, values: bytes) -> list[bytes]:
        """NUL-joined values, by one replacement instead of one step per cell."""
        return self._split(values, self._before, self._after)

    def all_quoted(self, escaped: bytes) -> list[bytes]:
        """NUL-joined strings."""
        return self._split(escaped, self._before + _QUOTE, _QUOTE + self._after)

    @staticmethod
    def _split(values: bytes, before: bytes, after: bytes) -> list[bytes]:
        return (before + values.replace(_NUL, after + _NUL + before) + after).split(_NUL)


def column_renderer(column: ColumnSpec, frame: Frame, plan: FilePlan, tally: Tally) -> Renderer:
    """Choose the renderer for ``column``; it adds to ``tally.warnings``."""
    odd = JsonOddCells(column, frame, tally, keep_invalid=keeps_invalid(column, plan.options))
    renderer = _renderer_of_type(column, frame, odd)
    check, accepted = form_check(column, plan.options.timezone), type_check(column)
    return renderer if check is None or accepted is None else JsonDetectedColumn(renderer, check, accepted, odd)


def _renderer_of_type(column: ColumnSpec, frame: Frame, odd: JsonOddCells) -> Renderer:
    match column.type:
        case ColumnType.STRING:
            return JsonStringColumn(frame)
        case ColumnType.NUMBER:
            return JsonNumberColumn(frame, odd)
        case ColumnType.DATE | ColumnType.DATETIME:
            return JsonDateColumn(frame, odd)
        case ColumnType.BOOLEAN:
            return JsonBooleanColumn(frame, odd, boolean_words(column.format))
    assert_never(column.type)


class JsonOddCells:
    """Cells of a typed column that are written as strings."""

    def __init__(self, column: ColumnSpec, frame: Frame, tally: Tally, *, keep_invalid: bool) -> None:
        self._column = column
        self._frame = frame
        self._tally = tally
        self._keep_invalid = keep_invalid

    def invalid(self, text: str, row_index: int) -> bytes:
        """A value the type does not accept, kept as text or refused with INVALID_VALUE."""
        if not self._keep_invalid:
            raise cell_error(ErrorCode.INVALID_VALUE, row_index, self._column, column_type=self._column.type.value)
        return self.kept(text)

    def kept(self, text: str) -> bytes:
        """A value as a string, counted."""
        self.count(Warned.INVALID_AS_TEXT, 1)
        return self._frame.quoted(escape_text(text))

    def count(self, why: Warned, cells: int) -> None:
        self._tally.warnings[why] += cells


class JsonDetectedColumn:
    """A typed column without a declared type: what would be read otherwise than it was sent stays a string."""

    def __init__(self, renderer: Renderer, check: CellCheck, accepted: CellCheck, odd: JsonOddCells) -> None:
        self._renderer = renderer
        self._check = check
        self._accepted = accepted
        self._odd = odd

    def __call__(self, cells: Cells, rows: int, first_row: int) -> list[bytes]:
        shown, odd = without_odd(cells, rows, self._check)
        members = self._renderer(shown, rows, first_row)
        texts = cells.texts(rows) if odd else []
        for row in odd:
            text = texts[row]
            is_invalid = self._accepted.is_odd(text)
            members[row] = self._odd.invalid(text, first_row + row) if is_invalid else self._odd.kept(text)
        return members


class JsonStringColumn:
    """Text as strings."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __call__(self, cells: Cells, rows: int, first_row: int) -> list[bytes]:
        del rows, first_row
        text = cells.text
        escaped = escape_column(text) if isinstance(text, str) else _NUL.join(map(escape_text, text))
        members = self._frame.all_quoted(escaped)
        for row in cells.null_rows():
            members[row] = self._frame.null
        return members


class JsonNumberColumn:
    """Numbers digit for digit; as strings where a reader that calculates in doubles would lose digits."""

    def __init__(self, frame: Frame, odd: JsonOddCells) -> None:
        self._frame = frame
        self._odd = odd

    def __call__(self, cells: Cells, rows: int, first_row: int) -> list[bytes]:
        text = cells.text
        if isinstance(text, str) and are_exact_or_empty(text):
            values = text.encode()
            if not all(values.split(_NUL)):
                values = _NUL.join([value or _NULL for value in values.split(_NUL)])
            return self._frame.all_bare(values)
        if isinstance(text, str) and are_long_numbers(text):  # identifiers such as 18-digit order numbers
            self._odd.count(Warned.NUMBER_AS_TEXT, rows)
            return self._frame.all_quoted(text.encode())
        return [self._member(one, row) for row, one in enumerate(cells.texts(rows), first_row)]

    def _member(self, text: str, row_index: int) -> bytes:
        if not text:
            return self._frame.null
        match number_kind(text):
            case NumberKind.NUMBER:
                return self._frame.bare(text.lstrip("+").encode())
            case NumberKind.TEXT:
                self._odd.count(Warned.NUMBER_AS_TEXT, 1)
                return self._frame.quoted(text.encode())
            case NumberKind.INVALID:
                return self._odd.invalid(text, row_index)


class JsonDateColumn:
    """Dates and times as sent, but with the ``T`` of ISO 8601 between day and time."""

    def __init__(self, frame: Frame, odd: JsonOddCells) -> None:
        self._frame = frame
        self._odd = odd

    def __call__(self, cells: Cells, rows: int, first_row: int) -> list[bytes]:
        text = cells.text
        if isinstance(text, str) and are_plain_dates(text):
            members = self._frame.all_quoted(_with_t(text))
            if all(text.split(SEPARATOR)):
                return members
            empty = self._frame.quoted(b"")
            return [self._frame.null if member == empty else member for member in members]
        return [self._member(one, row) for row, one in enumerate(cells.texts(rows), first_row)]

    def _member(self, text: str, row_index: int) -> bytes:
        if not text:
            return self._frame.null
        if is_invalid_date(text):
            return self._odd.invalid(text, row_index)
        return self._frame.quoted(_with_t(text))


def _with_t(dates: str) -> bytes:
    """Put a ``T`` in place of the blank; a valid date has no other."""
    return dates.replace(" ", "T").encode()


class JsonBooleanColumn:
    """Words as true and false."""

    def __init__(self, frame: Frame, odd: JsonOddCells, words: BooleanWords) -> None:
        self._frame = frame
        self._odd = odd
        self._words = words
        self._members: dict[bool | None, bytes | None] = {truth: frame.bare(value) for truth, value in _TRUTH.items()}

    def __call__(self, cells: Cells, rows: int, first_row: int) -> list[bytes]:
        texts = cells.texts(rows)
        by_word = {text: self._members.get(self._words.read(text)) for text in set(texts)}
        by_word[""] = by_word.get("") or self._frame.null
        if None in by_word.values():
            found = enumerate(zip(texts, map(by_word.__getitem__, texts), strict=True), first_row)
            members = [member or self._odd.invalid(text, row) for row, (text, member) in found]
        else:
            members = list(map(by_word.__getitem__, texts))  # type: ignore[arg-type]  # no None is left
        for row in cells.null_rows():
            members[row] = self._frame.null
        return members
