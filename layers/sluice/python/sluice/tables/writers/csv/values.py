"""How the values of a typed column read in a CSV file: booleans by their words, dates by their format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sluice.domain.options import ExportOptions
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import SEPARATOR
from sluice.tables.file_plan import Warned
from sluice.tables.values.booleans import BooleanWords, boolean_words
from sluice.tables.values.cell_checks import is_invalid_date, is_invalid_number
from sluice.tables.values.date_texts import DateTexts
from sluice.tables.values.dates import are_plain_dates, time_zone
from sluice.tables.values.numbers import are_plain_numbers

Rewrite = Callable[[str, "Counter[str]"], str]
"""Takes a column joined by NUL, gives it back as the file shows it, and counts what a reader might not expect."""


def rewrite_for(column: ColumnSpec, options: ExportOptions) -> Rewrite | None:
    """Choose how to rewrite a column; None for one that is written as sent.

    Raises ValueError for a date format that only a spreadsheet can show.
    """
    match column.type:
        case ColumnType.STRING:
            return None
        case ColumnType.NUMBER:
            return _counting(are_plain_numbers, is_invalid_number) if options.on_invalid == "text" else None
        case ColumnType.DATE | ColumnType.DATETIME:
            if column.format:
                return DateTexts(column.format, time_zone(options.timezone)).write_column
            return _counting(are_plain_dates, is_invalid_date) if options.on_invalid == "text" else None
        case ColumnType.BOOLEAN:
            passes_standard = not column.format and options.on_invalid == "error"
            return _wording(boolean_words(column.format), passes_standard=passes_standard)


def _counting(are_plain: Callable[[str], bool], is_invalid: Callable[[str], bool]) -> Rewrite:
    """Leave the column as sent and count the cells that its type does not accept."""

    def count(joined: str, warnings: Counter[str]) -> str:
        if not are_plain(joined):
            _count(warnings, sum(map(is_invalid, joined.split(SEPARATOR))))
        return joined

    return count


def _wording(words: BooleanWords, *, passes_standard: bool) -> Rewrite:
    def word(joined: str, warnings: Counter[str]) -> str:
        if passes_standard and _is_standard(joined):
            return joined
        texts = joined.split(SEPARATOR)
        shown = {text: _show(text, words) for text in set(texts)}
        odd = {text for text in shown if text and words.read(text) is None}
        if odd:
            _count(warnings, sum(map(odd.__contains__, texts)))
        return SEPARATOR.join(map(shown.__getitem__, texts))

    return word


def _is_standard(joined: str) -> bool:
    """Whether the cells have only letters of ``true`` and ``false``: no other word has, so there is none to rewrite."""
    return not joined.encode().translate(None, b"truefals\0")


def _show(text: str, words: BooleanWords) -> str:
    match words.read(text):
        case True:
            return words.true
        case False:
            return words.false
        case None:
            return text


def _count(warnings: Counter[str], cells: int) -> None:
    if cells:
        warnings[Warned.INVALID_AS_TEXT] += cells
