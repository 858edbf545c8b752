"""What a sender may choose about the file, with the default and its reason."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec


class ExportFormat(StrEnum):
    """The file formats that can be composed."""

    XLSX = "xlsx"
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def _says(text: str) -> msgspec.Meta:
    """Describe an option: what it does, then ``Default``, the value as in JSON, and why it is the default.

    The one source: the OpenAPI document shows these sentences, and
    ``infra/gen_option_docs.py`` puts them into the contract and docs/files.md.
    """
    return msgspec.Meta(description=text)


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Options of the file. Values are checked by the format's own rules when a task is opened.

    Defaults suit files that people open; each ``off`` switch is for machines.
    An option that means nothing for the format is ignored, so that the task
    can be rendered again as another one.
    """

    # Values, every format.
    null_value: Annotated[
        str | None,
        _says(
            "In gRPC and CSV input, which have no null of their own, the text that means null. "
            "Default `null`: no text does, since any text may be a value of the sender."
        ),
    ] = None
    on_invalid: Annotated[
        Literal["", "error", "text", "null"],
        _says(
            "A value that its column's type does not accept: `error` refuses the batch, `text` keeps it as text and "
            "counts it (in a Parquet file, where a column has one type, every column is then text), `null` leaves the "
            "cell empty and counts it, such as 0000-00-00 of MySQL. "
            'Default `""`: `error`, since the sender can still correct it and the reader of the file no more, but '
            "`text` in a column whose type was detected, except in a Parquet file."
        ),
    ] = ""
    timezone: Annotated[
        str,
        _says(
            "IANA name of the zone in which dates with an offset are shown; those without stay as sent. "
            'Default `""`, which is UTC: the file must not depend on where it is made.'
        ),
    ] = ""
    compression_enabled: Annotated[
        bool,
        _says(
            "CSV becomes .csv.gz and JSON Lines .jsonl.gz, XLSX is deflated harder, Parquet packs with Zstandard "
            "instead of Snappy. Default `false`: people open what they download by a double click, "
            "and time is dearer than size."
        ),
    ] = False
    reuse: Annotated[
        bool,
        _says(
            "Complete the export with the file of an earlier one of the same tenant that is still kept, when batches, "
            "columns and options are the same, instead of writing the same bytes again. "
            "Default `true`: the file is the same, and is there at once; `false` writes one "
            "that no other export has, and whose links end with it in every store."
        ),
    ] = True

    # CSV.
    csv_dialect: Annotated[
        Literal["excel", "rfc4180", "postgresql", "mysql"],
        _says(
            "Who reads the CSV file: `excel` as the other options say; `rfc4180` with CRLF and no mark; "
            "`postgresql` for COPY … CSV HEADER, and `mysql` for LOAD DATA of MySQL and MariaDB, with LF and no mark, "
            "null being what the server takes for null. All but `excel` win over csv_bom, line_ending and "
            "formula_guard, which they switch off. "
            'Default `"excel"`: people open what they download.'
        ),
    ] = "excel"
    csv_delimiter: Annotated[
        str,
        _says(
            'What stands between two fields, one character. Default `","`: RFC 4180 says so, and programs try it first.'
        ),
    ] = ","
    csv_encoding: Annotated[
        str,
        _says(
            "utf-8, utf-16, utf-16le, utf-16be, gbk, gb18030, big5, shift_jis, euc-kr, iso-8859-1, windows-1250 to "
            'windows-1258. Default `"utf-8"`: it holds every character, and every program of today reads it.'
        ),
    ] = "utf-8"
    csv_bom: Annotated[
        bool,
        _says(
            "Begin UTF-8 (also utf-16le, utf-16be) with a byte order mark; utf-16 always has one, other encodings "
            "have none. "
            "Default `true`: without it Excel takes UTF-8 for the local code page and garbles what is not ASCII."
        ),
    ] = True
    line_ending: Annotated[
        Literal["crlf", "lf"],
        _says('How a line ends. Default `"crlf"`: RFC 4180 says so, and every program takes it.'),
    ] = "crlf"
    quote_all: Annotated[
        bool,
        _says(
            "Quote every field that is not null. Default `false`: only fields that need quotes have them, which is "
            "smaller, and some programs take quoted digits for text."
        ),
    ] = False
    formula_guard: Annotated[
        Literal["prefix", "off"],
        _says(
            "`prefix` puts an apostrophe before text that a spreadsheet would run as a formula, and counts it; numbers "
            'are left alone. `off` is for machines, which want the text as it is. Default `"prefix"`: what a stranger '
            "typed into a form must not run on the desk of the file's reader."
        ),
    ] = "prefix"
    on_unencodable: Annotated[
        Literal["error", "replace"],
        _says(
            "A character that the encoding lacks: `error` refuses the batch, `replace` writes a question mark and "
            'counts the cell. Default `"error"`: a character that became a question mark cannot be brought back.'
        ),
    ] = "error"
    header: Annotated[
        bool,
        _says(
            "Write the column names as the first row, in CSV and XLSX. "
            "Default `true`: a table whose columns have no names has to be guessed."
        ),
    ] = True

    # XLSX.
    excel_sheet_name: Annotated[
        str,
        _says(
            "Name of the worksheet, made legal and unique. "
            'Default `""`, which is Sheet1: what Excel calls it, so that formulas and macros find it.'
        ),
    ] = ""
    excel_start_row: Annotated[
        int,
        _says(
            "Number of the table's first row, from 1. Default `1`: programs that read a table look for it at the top."
        ),
    ] = 1
    compact: Annotated[
        bool,
        _says(
            "Leave out cell references: a third smaller and faster to make. Default `false`: exceljs, roo, "
            "read-excel-file, xlsx-populate, R's openxlsx and the reader of the PHP extension xlswriter cannot do "
            "without them, and Gnumeric, xlsx2csv and two readers in Perl then show an empty sheet without a word."
        ),
    ] = False
    on_too_long: Annotated[
        Literal["error", "cut"],
        _says(
            "Text longer than the 32,767 UTF-16 units of a cell: `error` refuses the batch, `cut` cuts it between two "
            'characters and counts it. Default `"error"`: nothing is lost that the sender does not know of.'
        ),
    ] = "error"
    on_sheet_full: Annotated[
        Literal["split", "error"],
        _says(
            "More rows than the 1,048,576 of a worksheet: `split` goes on in the next one and counts it, `error` "
            "refuses to close; it also keeps every table whole in one workbook of an archive. "
            'Default `"split"`: every row is in the file, and senders seldom know the number before they count.'
        ),
    ] = "split"
    workbook_rows_max: Annotated[
        int,
        _says(
            "More rows than this, at least 10,000, become numbered workbooks in one ZIP archive, whose name ends in "
            ".zip from the close on; rows of all sheets count together. "
            "Default `5000000`: programs hold a whole workbook in memory, and hardly one opens more."
        ),
    ] = 5_000_000
    index_sheet: Annotated[
        bool,
        _says(
            "Where rows had to be split, a last worksheet says which rows are where. "
            "Default `true`: without it row 3,000,000 is hard to find; it harms no program, since it is the last one."
        ),
    ] = True
    about_sheet: Annotated[
        bool | None,
        _says(
            "A last worksheet says what the file is: dataset or file name, by which conditions, columns and which of "
            "them are masked, who asked and when, of which moment the rows are, how many, and the task. No other "
            "export is given such a file (reuse). Default `null`: on where the service reads the rows of a dataset, "
            "which are meant for people, off where rows are sent, so that the same rows give the same bytes."
        ),
    ] = None
    style: Annotated[
        Literal["plain", "banded", "bordered", "dark", "minimal"],
        _says(
            "A set of cell styles: `plain` (bold header on pale blue), `banded` (plain, every other row grey), "
            "`bordered` (bold header on grey, thin lines around every cell), `dark` (bold white header on dark blue, "
            "bands of pale blue), `minimal` (bold header over a line, no colour). header_color and banding win over it."
            ' Default `"plain"`: it tells the header from the rows, prints well, and decorates nothing.'
        ),
    ] = "plain"
    header_color: Annotated[
        str,
        _says(
            "Background of the header row as RRGGBB; its text is black or white, whichever is easier to read on it. "
            'Default `""`: that of the style, made to go with the rest of it.'
        ),
    ] = ""
    banding: Annotated[
        bool | None,
        _says(
            "A background for every other row, which stays with the row's place when rows are sorted. "
            "Default `null`: as the style says, so that a style is chosen by one word."
        ),
    ] = None
    right_to_left: Annotated[
        bool,
        _says(
            "Lay the worksheet out from right to left, for Arabic and Hebrew tables. "
            "Default `false`: most tables read the other way, and the direction of text within a cell needs no option."
        ),
    ] = False
    freeze_header: Annotated[
        bool,
        _says(
            "Keep the header in view while the rows are scrolled, unless it is below row 20. "
            "Default `true`: without it the second screen does not show what a column is."
        ),
    ] = True
    document_title: Annotated[
        str,
        _says(
            "Title in the document's properties. "
            'Default `""`: none, so that the bytes of a file depend on what is in it, not on its name.'
        ),
    ] = ""
    document_created: Annotated[
        str,
        _says(
            "When the document says that it was made, as ISO 8601; without an offset it is UTC. "
            'Default `""`: it does not say, so that the same rows give the same bytes whenever they are exported.'
        ),
    ] = ""
    autofilter: Annotated[
        bool,
        _says("Filter buttons in the header row. Default `true`: to filter and sort is why people ask for a workbook."),
    ] = True
