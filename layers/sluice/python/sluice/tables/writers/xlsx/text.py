"""Text in a worksheet's XML: escaping as Excel does it, and text as a string cell that never becomes a formula."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluice.domain.errors import ErrorCode
from sluice.domain.schema import ColumnSpec
from sluice.tables.batch import Cells, is_text
from sluice.tables.file_plan import Tally, Warned
from sluice.tables.values.cell_checks import cell_error
from sluice.tables.values.slices import first_index

NUL = b"\0"
OPENING = b' t="inlineStr"><is><t>'
CLOSING = b"</t></is></c>"

GUARDED_STARTS = frozenset("=+-@'\t\r\n＝＋－＠")  # noqa: RUF001 -- the full-width forms are meant
"""A cell that starts with one of these is marked so that editing it does not turn it into a formula."""
_BLANKS = frozenset(" \t\n\r")
"""What XML readers drop at the ends of a text that does not ask to keep it."""
_ODD_STARTS = GUARDED_STARTS | _BLANKS

# Over a column that has a NUL before, between and after its cells: some cell starts or ends oddly.
# The first branch has the UTF-8 of the full-width forms; the search jumps from NUL to NUL.
_ODD_CELL = re.compile(rb"\0(?:[=+\-@'\t\r\n ]|\xef\xbc[\x9d\x8b\x8d\xa0]|(?<=[ \t\n\r]\0))")

_CONTROLS = bytes(set(range(1, 32)) - set(b"\t\n\r"))
_NO_CONTROLS = bytes(set(range(256)) - set(_CONTROLS))
_NUL_OR_CONTROLS = bytes(set(range(256)) - {0, *_CONTROLS})
_NON_CHARACTERS = ("\ufffe", "\uffff")
_NOT_XML = rb"[%b]|\xef\xbf[\xbe\xbf]" % re.escape(_CONTROLS)
# What Excel would read back as an escape is protected, also where an escape of ours completes it.
_LIKE_ESCAPE = re.compile(rb"_(?=x[0-9A-Fa-f]{4}(?:_|%b))" % _NOT_XML)
_LIKE_ESCAPE_OR_NUL = re.compile(rb"_(?=x[0-9A-Fa-f]{4}(?:_|\0|%b))" % _NOT_XML)


def _escaped(character: str) -> bytes:
    return b"_x%04X_" % ord(character)


def escape_column(data: bytes) -> bytes:
    """NUL-joined cells in UTF-8 as XML text; the NULs stay."""
    return _escape_markup(_escape_characters(data, _NO_CONTROLS, _LIKE_ESCAPE))


def escape_text(text: str) -> bytes:
    """UTF-8 of one cell as XML text."""
    return _escape_markup(_escape_characters(text.encode(), _NUL_OR_CONTROLS, _LIKE_ESCAPE_OR_NUL))


def _escape_characters(data: bytes, ordinary: bytes, like_escape: re.Pattern[bytes]) -> bytes:
    """Write the characters that are not ``ordinary`` as Excel does: by one replacement each, not one per cell."""
    found = set(data.translate(None, ordinary))
    if b"_" in data and b"_x" in data:
        data = like_escape.sub(_escaped("_"), data)
    for character in map(chr, sorted(found)):
        data = data.replace(character.encode(), _escaped(character))
    if b"\xef" in data:
        for character in _NON_CHARACTERS:
            data = data.replace(character.encode(), _escaped(character))
    return data


def _escape_markup(data: bytes) -> bytes:
    if b"&" in data:
        data = data.replace(b"&", b"&amp;")
    if b"<" in data:
        data = data.replace(b"<", b"&lt;")
    if b">" in data:
        data = data.replace(b">", b"&gt;")
    if b"\r" in data:  # as XML says it, which every reader undoes; Excel's `_x000D_` is left in the text by several
        data = data.replace(b"\r", b"&#13;")
    return data


def utf16_units(text: str) -> int:
    """The length of ``text`` as Excel counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_text(text: str, units_max: int) -> str:
    """The longest start of ``text`` that has at most ``units_max`` UTF-16 units and no half of a pair."""
    return text.encode("utf-16-le")[: 2 * units_max].decode("utf-16-le", "ignore")


def text_tail(text: str, *, style: bytes = b"", quoted_style: bytes) -> bytes:
    """A string cell's *tail*: what follows its reference, which is attributes, content, end tag.

    ``quoted_style`` is for text that would be read as a formula on edit.
    """
    if text[:1] in GUARDED_STARTS:
        style = quoted_style
    space = b' xml:space="preserve"' if text[:1] in _BLANKS or text[-1:] in _BLANKS else b""
    return b'%b t="inlineStr"><is><t%b>%b</t></is></c>' % (style, space, escape_text(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCells:
    """Makes string cells for one column; counts what it cuts."""

    column: ColumnSpec
    style: bytes
    quoted_style: bytes
    units_max: int
    cut: bool
    """Cut text that is too long, instead of refusing it."""
    tally: Tally

    def tail(self, text: str, row_index: int, *, style: bytes = b"") -> bytes:
        """The tail of one string cell, of the column's style or another. Raises CELL_TOO_LONG or INVALID_TEXT."""
        if not is_text(text):
            raise cell_error(ErrorCode.INVALID_TEXT, row_index, self.column)
        if len(text) > self.units_max // 2:
            text = self._fit(text, row_index)
        return text_tail(text, style=style or self.style, quoted_style=self.quoted_style)

    def is_odd(self, text: str) -> bool:
        """Whether ``tail`` would differ from the escaped text between ``OPENING`` and ``CLOSING``."""
        return text[:1] in _ODD_STARTS or text[-1:] in _BLANKS or len(text) > self.units_max // 2

    def has_odd(self, data: bytes, values: list[bytes]) -> bool:
        """Whether some cell of a column may be odd: ``data`` is its NUL-joined UTF-8, ``values`` its escaped cells."""
        if len(data) > self.units_max and max(map(len, values)) > self.units_max:  # a text has no more units than bytes
            return True
        return _ODD_CELL.search(b"\0%b\0" % data) is not None

    def encode(self, cells: Cells, rows: int, first_row: int) -> bytes:
        """UTF-8 of NUL-joined cells. Raises INVALID_TEXT for a lone surrogate."""
        try:
            return cells.data
        except UnicodeEncodeError:
            index = first_index(cells.texts(rows), lambda text: not is_text(text)) or 0
            raise cell_error(ErrorCode.INVALID_TEXT, first_row + index, self.column) from None

    def _fit(self, text: str, row_index: int) -> str:
        if utf16_units(text) <= self.units_max:
            return text
        if not self.cut:
            raise cell_error(ErrorCode.CELL_TOO_LONG, row_index, self.column, units_max=self.units_max)
        self.tally.warnings[Warned.TEXT_CUT] += 1
        return cut_text(text, self.units_max)


def is_too_long(cells: Cells, rows: int, units_max: int) -> int | None:
    """The index of the first cell with more than ``units_max`` UTF-16 units."""
    if isinstance(cells.text, str) and len(cells.text) <= (units_max if cells.text.isascii() else units_max // 2):
        return None
    texts = cells.texts(rows)
    if max(map(len, texts), default=0) <= units_max // 2:
        return None
    return first_index(texts, lambda text: utf16_units(text) > units_max)
