"""What counts as a number, and which numbers a spreadsheet keeps digit for digit.

A number is an optional sign, digits, an optional fraction and an optional
exponent, all ASCII, within the range of a double. ``NaN``, ``Infinity``,
thousands separators, hexadecimal and surrounding blanks are not accepted.
"""

from __future__ import annotations

import math
import re
import sys
from enum import Enum

SIGNIFICANT_DIGITS_MAX = 15
"""A spreadsheet keeps this many (Excel specifications and limits); further digits become zeros."""
EXPONENT_DIGITS_MAX = 9
"""More than a reader's own integer may hold: `0e999999999999` is zero, and no program has to take it."""

_NUMBER = re.compile(r"[+-]?([0-9]++)(?:\.([0-9]++))?+(?:[eE][+-]?([0-9]++))?+")
# The possessive quantifiers make these twice as fast and keep their memory flat on long columns.
_PLAIN = r"(?:[+-]?+[0-9]{1,300}+(?:\.[0-9]++)?+)?+"
_PLAIN_COLUMN = re.compile(rf"{_PLAIN}(?:\0{_PLAIN})*+")
# At most fifteen characters of digits and point, no leading zero: a number that no double can spoil.
_EXACT = r"-?+(?![0-9.]{16})(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+"
_EXACT_COLUMN = re.compile(rf"{_EXACT}(?:\0{_EXACT})*+")
_EXACT_OR_EMPTY_COLUMN = re.compile(rf"(?:{_EXACT})?+(?:\0(?:{_EXACT})?+)*+")
LONG_DIGITS_MAX = 300
_LONG = rf"[1-9][0-9]{{15,{LONG_DIGITS_MAX - 1}}}+"
_LONG_COLUMN = re.compile(rf"{_LONG}(?:\0{_LONG})*+")


class NumberKind(Enum):
    """What to do with a text that a number column was sent."""

    NUMBER = "number"
    TEXT = "text"
    """A number, but a spreadsheet would lose digits of it."""
    INVALID = "invalid"


def are_plain_numbers(joined: str) -> bool:
    """Whether every cell of a NUL-joined column is empty or a number without exponent.

    One call for a whole column; False only means that the cells need a look one by one.
    """
    return _PLAIN_COLUMN.fullmatch(joined) is not None


def are_exact_numbers(joined: str) -> bool:
    """Whether every cell of a NUL-joined column is, plain to see, ``NumberKind.NUMBER`` and a JSON number."""
    return _EXACT_COLUMN.fullmatch(joined) is not None


def are_exact_or_empty(joined: str) -> bool:
    """Whether every cell is empty or as ``are_exact_numbers`` asks. Slower by a sixth where no cell is empty."""
    return _EXACT_OR_EMPTY_COLUMN.fullmatch(joined) is not None


def are_long_numbers(joined: str) -> bool:
    """Whether every cell of a NUL-joined column is, plain to see, ``NumberKind.TEXT``: identifiers of 16 digits up."""
    return _LONG_COLUMN.fullmatch(joined) is not None


def number_kind(text: str) -> NumberKind:
    """Classify one non-empty cell of a number column.

    Digits count as significant from the first that is not zero; zeros at the
    end of a fraction do not count, zeros at the end of a whole number do,
    for it may be an identifier.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return NumberKind.INVALID
    value = abs(float(text))
    if math.isinf(value):
        return NumberKind.INVALID
    whole, fraction = found[1], (found[2] or "").rstrip("0")
    significant = (whole + fraction).lstrip("0")
    keeps_digits = len(significant) <= SIGNIFICANT_DIGITS_MAX and not (len(whole) > 1 and whole[0] == "0")
    keeps_value = value >= sys.float_info.min or not significant
    fits = len((found[3] or "").lstrip("0")) <= EXPONENT_DIGITS_MAX
    return NumberKind.NUMBER if keeps_digits and keeps_value and fits else NumberKind.TEXT
