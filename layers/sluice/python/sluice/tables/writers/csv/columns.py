"""Turns one column of cells into CSV fields: booleans by their words, dates by their format, guards, quotes, null.

Work is done on the whole column at once, as UTF-8 joined by NUL; single cells
are looked at only where a search found something to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import SEPARATOR, Cells
from sluice.tables.file_plan import Warned
from sluice.tables.values.booleans import BooleanWords, boolean_words
from sluice.tables.values.cell_checks import keeps_invalid, type_check
from sluice.tables.values.date_texts import DateTexts
from sluice.tables.values.dates import time_zone
from sluice.tables.values.shown_forms import TRUTHS, form_check
from sluice.tables.values.slices import CellCheck
from sluice.tables.writers.csv.encodings import encoding_of

_NUL = b"\0"
_QUOTE = b'"'
_EMPTY_TEXT = b'""'

_FORMULA_SIGNS = (b"=", b"+", b"-", b"@", b"\xef")
_SIGNS_MAX = 20_000
_FORMULA_BYTES = (*_FORMULA_SIGNS, b"\t", b"\r", b"\n")
_FORMULA_SIGN = rb"(?:[=+\-@]|\xef\xbc[\x8b\x8d\x9d\xa0])"
"""What makes a spreadsheet calculate, and the full-width forms of it in UTF-8."""
_MAYBE_FORMULA = re.compile(rb"\0[=+\-@\t\r\n\xef]")
_FORMULA_START = rb"(?:[\t\r\n]|%b)" % _FORMULA_SIGN
"""A tab or a line end at the start of a cell may hide what follows."""
_SIGNED_NUMBER = rb"[+-][0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_FORMULA = re.compile(rb"\0(?=%b)" % _FORMULA_START)
_FORMULA_NO_NUMBER = re.compile(rb"\0(?=%b)(?!%b(?:\0|\Z))" % (_FORMULA_START, _SIGNED_NUMBER))
_OTHER_DELIMITERS = (b",", b";", b"\t", b"|", b"\r", b"\n")
"""Where a reader that splits at another delimiter begins a field; it does not see our quotes, so line ends count."""
_SECOND_BYTES = bytes([*range(0x30, 0x3A), *range(0x40, 0x7F)])
"""What is an ASCII character by itself, and in the encodings of East Asia the second or a later byte of others."""


_DIALECTS: dict[str, dict[str, Any]] = {
    "rfc4180": {"csv_bom": False, "line_ending": "crlf", "formula_guard": "off"},
    "postgresql": {"csv_bom": False, "line_ending": "lf", "formula_guard": "off"},
    "mysql": {"csv_bom": False, "line_ending": "lf", "formula_guard": "off"},
}
_MYSQL_NULL = b"\\N"
"""What LOAD DATA takes for null, which is why its backslashes are doubled; the word NULL too, unless it has quotes."""


def in_dialect(options: ExportOptions) -> ExportOptions:
    """The options, with those that the dialect decides."""
    return msgspec.structs.replace(options, **_DIALECTS.get(options.csv_dialect, {}))


@dataclass(frozen=True, slots=True)
class Quoting:
    """When a field of the file needs quotes."""

    quote_all: bool
    marks: tuple[bytes, ...]
    """What a field without quotes may not contain; the delimiter is the last."""
    unmarked: bytes
    """Every byte that is neither NUL nor a mark."""
    codec: str = ""
    """The file's encoding, where the delimiter may be a byte of another character; some readers split bytes."""

    @classmethod
    def of(cls, options: ExportOptions) -> Quoting:
        delimiter = options.csv_delimiter.encode()
        marks = (_QUOTE, b"\r", b"\n", delimiter)
        one_byte_marks = b"".join(mark for mark in marks if len(mark) == 1)
        encoding = encoding_of(options)
        codec = encoding.codec if encoding.mixes_ascii and delimiter in _SECOND_BYTES else ""
        return cls(options.quote_all, marks, bytes(set(range(256)) - {0, *one_byte_marks}), codec)

    def as_in_file(self, joined: bytes) -> bytes:
        """The bytes among which marks are looked for."""
        return joined.decode().encode(self.codec, "replace") if self.codec else joined

    def marks_of(self, joined: bytes) -> list[bytes]:
        """Reduce each of the NUL-joined cells to its marks."""
        delimiter = self.marks[-1]
        if len(delimiter) > 1:
            joined = joined.replace(delimiter, _QUOTE)
        return joined.translate(None, self.unmarked).split(_NUL)


class CsvColumn:
    """How the cells of one column become fields."""

    def __init__(self, column: ColumnSpec, options: ExportOptions, *, quoting: Quoting) -> None:
        """Read the declaration. Raises ValueError for a date format that only a spreadsheet can show."""
        self._rewrite = rewrite_for(column, options)
        self._quoting = quoting
        self._is_string = column.type is ColumnType.STRING
        self._formula = _FORMULA_NO_NUMBER if column.type is ColumnType.NUMBER else _FORMULA
        self._guards = options.formula_guard == "prefix"
        self._is_mysql = options.csv_dialect == "mysql"
        self._splits = tuple(dict.fromkeys((*_OTHER_DELIMITERS, options.csv_delimiter.encode())))
        self._split_ends = {_QUOTE, *(split[-1:] for split in self._splits)}
        split = b"|".join(map(re.escape, self._splits))
        self._formula_within = re.compile(
            rb"(?:%b)\"*(?=%b)(?!%b(?:[\0\"]|%b|\Z))" % (split, _FORMULA_SIGN, _SIGNED_NUMBER, split)
        )

    def fields(self, cells: Cells, warnings: Counter[str]) -> list[bytes]:
        r"""Write cells without NUL, at least one, as UTF-8 fields.

        A null is no characters at all, for MySQL ``\\N``. An empty text is a pair
        of quotes in a string column; in other columns it means null.
        """
        fields = self._fields(cells, warnings)
        if not self._is_mysql:
            return fields
        nulls = set(cells.null_rows())
        fields = [_MYSQL_NULL if row in nulls or not field else field for row, field in enumerate(fields)]
        return [b'"%b"' % field if field.upper() == b"NULL" else field for field in fields]

    def _fields(self, cells: Cells, warnings: Counter[str]) -> list[bytes]:
        joined = cells.data
        if self._rewrite is not None:
            joined = self._rewrite(joined.decode(), warnings).encode()
        if self._is_mysql:
            joined = joined.replace(b"\\", b"\\\\")
        if self._guards and any(byte in joined for byte in _FORMULA_BYTES):
            joined = self._guard(joined, warnings)
        if not self._quoting.quote_all:
            fields = self._quote_where_needed(joined)
            if not self._is_string or all(fields):
                return fields
            fields = [field or _EMPTY_TEXT for field in fields]
        else:
            quoted = _QUOTE + joined.replace(_QUOTE, b'""').replace(_NUL, b'"\0"') + _QUOTE
            fields = quoted.split(_NUL)
            if not self._is_string and _EMPTY_TEXT in fields:
                fields = [b"" if field == _EMPTY_TEXT else field for field in fields]
        for row in cells.null_rows():
            fields[row] = b""
        return fields

    def _guard(self, joined: bytes, warnings: Counter[str]) -> bytes:
        """Put an apostrophe before whatever a spreadsheet would run as a formula; a signed number is none.

        That is the start of a cell, and within a cell each place where a reader
        begins a field that splits at another usual delimiter than the file's.
        """
        guarded = joined
        if _MAYBE_FORMULA.search(_NUL + joined):
            guarded = self._formula.sub(b"\0'", _NUL + joined)[1:]
        if any(split in joined for split in self._splits) and self._may_begin_within(joined):
            guarded = _guarded(guarded, self._formula_within)
        if guarded is not joined and guarded != joined:
            cells = zip(guarded.split(_NUL), joined.split(_NUL), strict=True)
            warnings[Warned.FORMULA_GUARDED] += sum(after != before for after, before in cells)
        return guarded

    def _may_begin_within(self, joined: bytes) -> bool:
        """Whether a sign stands behind the last byte of a delimiter or a quote: faster than the expression.

        Not for very many signs, where the pieces between them would take many times the memory of the text.
        """
        if sum(map(joined.count, _FORMULA_SIGNS)) > _SIGNS_MAX:
            return True
        before = {piece[-1:] for sign in _FORMULA_SIGNS if sign in joined for piece in joined.split(sign)[:-1]}
        return not before.isdisjoint(self._split_ends)

    def _quote_where_needed(self, joined: bytes) -> list[bytes]:
        written = self._quoting.as_in_file(joined)
        if not any(mark in written for mark in self._quoting.marks):
            return joined.split(_NUL)
        fields = joined.replace(_QUOTE, b'""').split(_NUL)
        marks = self._quoting.marks_of(written)
        return [b'"%b"' % field if marked else field for field, marked in zip(fields, marks, strict=True)]


def _guarded(joined: bytes, before: re.Pattern[bytes]) -> bytes:
    """``joined`` with an apostrophe behind each match, as ``sub`` gives it, but without a list of all pieces."""
    guarded, done = bytearray(), 0
    for found in before.finditer(joined):
        guarded += joined[done : found.end()]
        guarded += b"'"
        done = found.end()
    return bytes(guarded + joined[done:]) if done else joined


Rewrite = Callable[[str, "Counter[str]"], str]
"""Takes a column joined by NUL, gives it back as the file shows it, and counts what a reader might not expect."""


def rewrite_for(column: ColumnSpec, options: ExportOptions) -> Rewrite | None:
    """Choose how to rewrite a column; None for one that is written as sent.

    Raises ValueError for a date format that only a spreadsheet can show.
    """
    is_for_mysql = options.csv_dialect == "mysql"
    shown = form_check(column, options.timezone)
    if shown is not None and not (column.type is ColumnType.BOOLEAN and is_for_mysql):
        return _counting(shown)
    accepted = type_check(column) if keeps_invalid(column, options) else None
    match column.type:
        case ColumnType.STRING:
            return None
        case ColumnType.NUMBER:
            return _counting(accepted) if accepted else None
        case ColumnType.DATE | ColumnType.DATETIME:
            if column.format:
                return DateTexts(column.format, time_zone(options.timezone)).write_column
            return _counting(accepted) if accepted else None
        case ColumnType.BOOLEAN:
            pair = column.format or ("1/0" if is_for_mysql else "")
            words = boolean_words(pair)
            read = TRUTHS.get if column.detected else words.read
            return _wording(words, read, passes_standard=not pair and not keeps_invalid(column, options))


def _counting(check: CellCheck) -> Rewrite:
    """Leave the column as sent and count the cells that are odd."""

    def count(joined: str, warnings: Counter[str]) -> str:
        if not check.are_plain(joined):
            _count(warnings, sum(map(check.is_odd, joined.split(SEPARATOR))))
        return joined

    return count


_LETTER = re.compile(r"(?:\A|\0)[tf](?:\0|\Z)")


def _wording(words: BooleanWords, read_word: Callable[[str], bool | None], *, passes_standard: bool) -> Rewrite:
    def word(joined: str, warnings: Counter[str]) -> str:
        # Of other words only ``t`` and ``f`` have no further letters, so else there is none to rewrite.
        if passes_standard and not joined.encode().translate(None, b"truefals\0") and not _LETTER.search(joined):
            return joined
        texts = joined.split(SEPARATOR)
        read = {text: read_word(text) for text in set(texts)}
        shown = {text: text if truth is None else words.true if truth else words.false for text, truth in read.items()}
        odd = {text for text, truth in read.items() if text and truth is None}
        if odd:
            _count(warnings, sum(map(odd.__contains__, texts)))
        return SEPARATOR.join(map(shown.__getitem__, texts))

    return word


def _count(warnings: Counter[str], cells: int) -> None:
    if cells:
        warnings[Warned.INVALID_AS_TEXT] += cells
