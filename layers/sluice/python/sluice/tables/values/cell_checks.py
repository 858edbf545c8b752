"""What every format refuses: columns it cannot declare, values its column types do not accept, text that is no text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.limits import Limits
from sluice.domain.options import ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import SEPARATOR, Batch, is_text
from sluice.tables.values.booleans import boolean_words
from sluice.tables.values.dates import DateFault, are_plain_dates, read_date, time_zone
from sluice.tables.values.number_formats import is_number_format
from sluice.tables.values.numbers import NumberKind, are_plain_numbers, number_kind
from sluice.tables.values.shown_forms import form_check
from sluice.tables.values.slices import CellCheck, first_index

FORMAT_CHARS_MAX = 255
"""Characters of a number format (Excel specifications and limits)."""


_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Controls, line ends and lone surrogates."""


def refuse(field: str, detail: str) -> SluiceError:
    """An INVALID_REQUEST that names the field to correct."""
    return SluiceError(ErrorCode.INVALID_REQUEST, detail, field=field)


def check_counts(columns: Sequence[int], limits: Limits) -> None:
    """Refuse more sheets than a task may have, given the columns of each, or more columns. Raises as ``check_sheets``.

    Senders' declarations are counted before anything is made of them.
    """
    if len(columns) > limits.sheets_max:
        raise refuse("sheets", f"A task declares at most {limits.sheets_max} sheets.")
    if sum(columns) > limits.all_columns_max:
        raise SluiceError(ErrorCode.TOO_MANY_COLUMNS, columns=sum(columns), columns_max=limits.all_columns_max)


def check_declaration(params: ExportParams, limits: Limits) -> None:
    """Check what no format can do without: columns, their names and formats, the time zone.

    Names may be empty or repeated. Raises TOO_MANY_COLUMNS, INVALID_TEXT or
    INVALID_REQUEST with the fact ``field``.
    """
    if params.sheets:
        raise refuse("sheets", "Only a workbook holds several tables.")
    _check_columns("columns", params.columns, limits)
    _check_time_zone(params)


def check_sheets(params: ExportParams, limits: Limits) -> None:
    """As ``check_declaration``, for a format that holds several tables.

    Raises also INVALID_REQUEST for sheets without a name, or of one name, and
    TOO_MANY_COLUMNS for all of them together.
    """
    if not params.sheets:
        check_declaration(params, limits)
        return
    if params.columns:
        raise refuse("columns", "Columns are declared with their sheets, or for the only table; not both.")
    if params.options.excel_sheet_name:
        raise refuse("options.excel_sheet_name", "Declared sheets have names of their own.")
    check_counts([len(sheet.columns) for sheet in params.sheets], limits)
    names: set[str] = set()
    for index, sheet in enumerate(params.sheets):
        field = f"sheets[{index}]"
        if not 0 < len(sheet.name) <= limits.column_name_chars_max or _NO_NAME.search(sheet.name):
            detail = f"A sheet's name is 1 to {limits.column_name_chars_max} characters, no controls."
            raise refuse(f"{field}.name", detail)
        if sheet.name in names:
            raise refuse(f"{field}.name", "No two sheets of a task have the same name.")
        names.add(sheet.name)
        _check_columns(f"{field}.columns", sheet.columns, limits)
    _check_time_zone(params)


def _check_columns(field: str, columns: tuple[ColumnSpec, ...], limits: Limits) -> None:
    if not columns:
        raise refuse(field, "A table has at least one column: declare `columns`, or `sheets` with their columns.")
    if len(columns) > limits.columns_max:
        raise SluiceError(ErrorCode.TOO_MANY_COLUMNS, columns=len(columns), columns_max=limits.columns_max)
    for index, column in enumerate(columns):
        _check_column(f"{field}[{index}]", column, limits)


def _check_time_zone(params: ExportParams) -> None:
    try:
        time_zone(params.options.timezone)
    except ValueError:
        raise refuse("options.timezone", "The time zone is not an IANA name this service knows.") from None


def check_names_differ(params: ExportParams) -> None:
    """Refuse two columns of one name, for formats whose readers find a value by its column's name."""
    seen: set[str] = set()
    for index, column in enumerate(params.columns):
        if column.name in seen:
            raise refuse(f"columns[{index}].name", "In this format no two columns have the same name.")
        seen.add(column.name)


def _check_column(field: str, column: ColumnSpec, limits: Limits) -> None:
    if len(column.name) > limits.column_name_chars_max:
        raise refuse(f"{field}.name", f"A column name has at most {limits.column_name_chars_max} characters.")
    if "\0" in column.name or not is_text(column.name):
        raise refuse(f"{field}.name", "A column name is Unicode text without NUL.")
    if column.width < 0:
        raise refuse(f"{field}.width", "A width is 0 for automatic, or a number of characters.")
    if len(column.format) > FORMAT_CHARS_MAX or not is_text(column.format):
        raise refuse(f"{field}.format", f"A format has at most {FORMAT_CHARS_MAX} characters.")
    if column.type is ColumnType.BOOLEAN:
        try:
            boolean_words(column.format)
        except ValueError:
            raise refuse(f"{field}.format", "A boolean's format is two different words around a slash.") from None
        if "\0" in column.format:
            raise refuse(f"{field}.format", "A boolean's format holds no NUL.")
    elif not is_number_format(column.format):
        raise refuse(f"{field}.format", "This is not an Excel number format, such as 0.00, yyyy-mm-dd or @.")
    try:
        form_check(column)
    except ValueError:
        raise refuse(f"{field}.format", "A detected column has no such format; a declared one may.") from None


def check_values(batch: Batch, columns: tuple[ColumnSpec, ...], options: ExportOptions) -> None:
    """Check every cell against its column's type.

    Costs one pass over each column; cells are looked at one by one only in a
    column where something is unusual. Raises INVALID_TEXT, or INVALID_VALUE
    unless such values become null or the column ``keeps_invalid`` ones.
    """
    for cells, column in zip(batch.columns, columns, strict=True):
        if not (isinstance(cells.text, str) and is_text(cells.text)):
            index = first_index(cells.texts(batch.rows), lambda text: not is_text(text))
            if index is not None:
                raise cell_error(ErrorCode.INVALID_TEXT, index, column)
        is_free = options.on_invalid == "null" or keeps_invalid(column, options)
        check = None if is_free else type_check(column)
        if check is not None and not check.surely_accepts(cells):
            index = first_index(cells.texts(batch.rows), check.is_odd)
            if index is not None:
                raise cell_error(ErrorCode.INVALID_VALUE, index, column, column_type=column.type.value)


def keeps_invalid(column: ColumnSpec, options: ExportOptions) -> bool:
    """Whether a value that is none of the column's type stays text and is counted, where a column may hold both.

    As the sender chose; and where it chose nothing, in a column whose type was only seen in the first rows.
    """
    return options.on_invalid == "text" or (column.detected and not options.on_invalid)


def type_check(column: ColumnSpec) -> CellCheck | None:
    """Which cells of a column its type does not accept; None for a type that takes any text."""
    match column.type:
        case ColumnType.STRING:
            return None
        case ColumnType.NUMBER:
            return CellCheck(are_plain_numbers, is_invalid_number)
        case ColumnType.DATE | ColumnType.DATETIME:
            return CellCheck(are_plain_dates, is_invalid_date)
        case ColumnType.BOOLEAN:
            words = boolean_words(column.format)

            def is_odd(text: str) -> bool:
                return text != "" and words.read(text) is None

            return CellCheck(lambda joined: not any(map(is_odd, set(joined.split(SEPARATOR)))), is_odd)


def is_invalid_number(text: str) -> bool:
    """Whether a number column refuses ``text``; empty is null."""
    return text != "" and number_kind(text) is NumberKind.INVALID


def is_invalid_date(text: str) -> bool:
    """Whether a date or datetime column refuses ``text``; empty is null."""
    return text != "" and read_date(text) is DateFault.INVALID


def cell_error(code: ErrorCode, index: int, column: ColumnSpec, /, **facts: object) -> SluiceError:
    """An error that names a cell by its row, from 1 in the batch, and its column; never by its value."""
    return SluiceError(code, row=index + 1, column=column.name, **facts)
