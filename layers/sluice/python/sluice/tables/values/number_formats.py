"""Excel number formats: which are well-formed, so that no workbook opens with a repair prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from unicodedata import east_asian_width

from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.values.numbers import NumberKind, number_kind

DATE_FORMAT = "yyyy-mm-dd"
DATETIME_FORMAT = "yyyy-mm-dd hh:mm:ss"
TEXT_FORMAT = "@"
CUSTOM_FORMATS_MAX = 200
"""Distinct formats of one workbook; Excel documents 200 to 250, by language, and offers to repair beyond."""

_BRACKETED = (
    r"(?:h+|m+|s+|black|blue|cyan|green|magenta|red|white|yellow|color ?(?:[1-9]|[1-4][0-9]|5[0-6])"
    r"|(?:<|<=|>|>=|=|<>)-?[0-9]+(?:\.[0-9]+)?|\$[^\[\]\x00-\x1f]*|dbnum[0-9]"
    r"|eng|jpn|kor|chs|cht|twn|tha|hij|heb|ind)"
)
_SECTION = (  # possessive, so that a hostile format costs one pass
    r'(?:"[^"\x00-\x1f]*"|[\\_*][^\x00-\x1f]'  # quoted, escaped, a blank as wide as, filled with
    rf"|\[{_BRACKETED}\]"
    r"|general|am/pm|a/p|上午/下午|e[+-]|a{3,4}(?!a)|g{1,3}(?=e|[^a-z]|\Z)|e{1,2}(?!e)|bb(?:bb)?(?!b)|b[12](?=[a-z\[])"
    r"|/ ?[1-9][0-9]*|[ymdhs0#?.,/@]|%(?![a-z])"
    r"|[-+$():!^&'~{}<>= ]"
    r"|[^\x00-\x9f\ufffe\uffff])*+"
)
_FORMAT = re.compile(rf"{_SECTION}(?:;{_SECTION}){{0,3}}", re.IGNORECASE)
_ELAPSED_SECONDS = re.compile(r"\[s+\]", re.IGNORECASE)
_FINE_SECONDS = re.compile(r"s\.0{4}", re.IGNORECASE)
_TOKEN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|上午/下午|(?P<foreign>[^\x00-\x7f]+)')


def number_format(column: ColumnSpec) -> str:
    """The format that cells of the column have; empty for the default one."""
    return column.format or {ColumnType.DATE: DATE_FORMAT, ColumnType.DATETIME: DATETIME_FORMAT}.get(column.type, "")


def is_number_format(code: str) -> bool:
    """Whether Excel understands ``code``; empty is the default format.

    A format of another language, such as ``Y-m-d H:i:s``, is refused rather
    than written into a file that Excel would offer to repair.
    """
    return _FORMAT.fullmatch(code) is not None


def is_too_fine(code: str) -> bool:
    """Whether ``code`` asks for more than three decimals of a second, which Excel does not show."""
    # Literal text says nothing, elapsed seconds are an `s`.
    bare = _TOKEN.sub(lambda found: "s" if _ELAPSED_SECONDS.fullmatch(found[0]) else "|", code)
    return _FINE_SECONDS.search(bare) is not None


def quote_foreign(code: str) -> str:
    """Put unquoted text that is not ASCII into quotes: ``yyyy年`` becomes ``yyyy"年"``."""
    return _TOKEN.sub(lambda found: f'"{found[0]}"' if found["foreign"] else found[0], code)


_PIECE = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<blank>_.)|(?P<fill>\*.)|\[\$(?P<symbol>[^\[\]-]*)[^\[\]]*\]'
    r"|(?P<elapsed>\[[hms]+\])|(?P<bracket>\[[^\[\]]*\])|(?P<end>;)|(?P<half>am/pm|a/p|上午/下午)|(?P<exponent>e[+-]0*)"
    r"|(?P<general>general)|(?P<letters>y+|m+|d+|h+|s+|a+|g+|e+|b+)"
    r"|(?P<digits>[0#?.,/%1-9]+(?: [#?0]+/[?0-9]+)?)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_LETTERS = {"mmm": 3, "mmmm": 9, "mmmmm": 1, "ddd": 3, "dddd": 9, "aaa": 4, "aaaa": 6, "ggg": 4, "gg": 2, "g": 1}
"""The widest month is September, the widest day Wednesday or three East Asian characters."""
_YEAR_CHARS = 4
_ELAPSED_CHARS = 7
"""Hours since 1900 have as many digits."""
_GENERAL_CHARS_MAX = 11
_THOUSAND = 3


def with_fraction(code: str) -> str:
    """``code`` with three decimals behind seconds that have none; the same where it shows no seconds."""

    def complete(found: re.Match[str]) -> str:
        is_second = (found["letters"] or "")[:1] in {"s", "S"}
        return found[0] + (".000" if is_second and not code.startswith(".0", found.end()) else "")

    return _PIECE.sub(complete, code)


def width_of(text: str) -> int:
    """Characters of the default font that ``text`` takes on one line; an East Asian one counts twice."""
    return len(text) if text.isascii() else sum(1 + (east_asian_width(char) in "FW") for char in text)


def shown_width(code: str, number: str = "") -> int:
    """How wide a cell is that shows a date, or ``number``, by ``code``: at least what any program shows."""
    if number and number_kind(number) is not NumberKind.NUMBER:
        return width_of(number)  # it is written as text, or refused
    value = abs(Decimal(number)) if number else None
    if value is not None and not value:
        value = Decimal(0)  # whose exponent may have nine digits
    sections = list(_sections(code))
    sign = int(number.startswith("-") and len(sections) == 1)
    return sign + max(_section_width(pieces, value) for pieces in sections)


def _sections(code: str) -> Iterator[list[tuple[str, str]]]:
    pieces: list[tuple[str, str]] = []
    for found in _PIECE.finditer(code):
        kind = found.lastgroup or ""
        if kind == "end":
            yield pieces
            pieces = []
        else:
            pieces.append((kind, found[kind]))
    yield pieces


def _section_width(pieces: list[tuple[str, str]], value: Decimal | None) -> int:
    width = sum(_piece_width(kind, text) for kind, text in pieces)
    if value is None:
        return width + sum(len(text) for kind, text in pieces if kind == "digits")  # such as the decimals of a second
    places = "".join(text for kind, text in pieces if kind == "digits")
    if any(kind == "exponent" for kind, _ in pieces):
        return width + len(places)
    if places:
        return width + _digits_width(places, value)
    is_general = not pieces or any(kind == "general" for kind, _ in pieces)
    return width + (min(len(format(value, "f")), _GENERAL_CHARS_MAX) if is_general else 0)


def _piece_width(kind: str, text: str) -> int:
    match kind:
        case "quoted" | "escaped" | "symbol" | "other":
            return width_of(text)
        case "half":
            return max(map(width_of, text.split("/")))
        case "letters":
            year = _YEAR_CHARS if text[0].lower() in "yeb" and len(text) != len("yy") else 0
            return year or _LETTERS.get(text.lower(), len("00"))
    return {"blank": 1, "elapsed": _ELAPSED_CHARS, "exponent": max(len(text), len("E+00"))}.get(kind, 0)


def _whole_digits(value: Decimal, *, shift: int, decimals: int) -> int:
    """The digits before the point of ``value`` by ten to the power of ``shift``, rounded, by no arithmetic."""
    digits = value.as_tuple().digits
    whole = value.adjusted() + 1 + shift
    kept = digits[: max(whole + decimals, 0)]
    carries = len(kept) < len(digits) and set(kept) <= {9}
    return max(whole + carries, 1)


def _digits_width(places: str, value: Decimal) -> int:
    """The width of a number in the places of one section: percent signs, scaling and grouping, decimals, a fraction."""
    whole, _, denominator = places.partition("/")
    if denominator:
        tail = len(denominator) + len(whole.rpartition(" ")[2]) + len(" /")
        return tail + _whole_digits(value, shift=0 if " " in whole else _THOUSAND, decimals=0)
    before, _, after = places.rstrip("%").partition(".")
    scale = len(before) - len(before.rstrip(","))
    decimals = sum(character in "0#?" for character in after)
    digits = _whole_digits(value, shift=2 * places.count("%") - _THOUSAND * scale, decimals=decimals)
    digits = max(digits, sum(one in "0?" for one in before))
    grouped = (digits - 1) // _THOUSAND if "," in before.rstrip(",") else 0
    return digits + grouped + (1 + decimals if "." in places else 0) + places.count("%")
