"""What functions of texts and numbers do, for one row; no argument is null."""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    Overflow,
)

from sluice.tables.expressions.date_formats import whole
from sluice.tables.expressions.faults import TEXT_CHARS_MAX, Unfit

DIGITS_MAX = 38
_RANGE = 400
EXACT = Context(
    prec=DIGITS_MAX, rounding=ROUND_HALF_UP, Emin=-_RANGE, Emax=_RANGE, traps=[Inexact, InvalidOperation, Overflow]
)
"""Calculates so that a result that would lose a digit is refused."""
_ROUNDING = Context(
    prec=DIGITS_MAX, rounding=ROUND_HALF_UP, Emin=-_RANGE, Emax=_RANGE, traps=[InvalidOperation, Overflow]
)
_CUTTING = Context(prec=DIGITS_MAX, rounding=ROUND_DOWN, Emin=-_RANGE, Emax=_RANGE, traps=[InvalidOperation, Overflow])
ONE = Decimal(1)


def divide(left: Decimal, right: Decimal) -> Decimal:
    """The quotient, rounded to 38 digits where it does not end."""
    if not right:
        raise Unfit("division by zero")
    return _ROUNDING.divide(left, right)


def modulo(left: Decimal, right: Decimal) -> Decimal:
    """What is left of a division to a whole number; it has the sign of ``left``."""
    if not right:
        raise Unfit("division by zero")
    return _ROUNDING.remainder(left, right)


round_to = _ROUNDING.quantize
"""To the digits that the second number has, halves away from zero."""
cut_to = _CUTTING.quantize


def step_of(digits: int) -> Decimal:
    """A one in the last digit that is kept."""
    return ONE.scaleb(-digits)


def round_coarse(value: Decimal, step: Decimal) -> Decimal:
    """As ``round_to`` for digits before the point: a whole number."""
    return round_to(round_to(value, step), ONE)


def cut_coarse(value: Decimal, step: Decimal) -> Decimal:
    """As ``cut_to`` for digits before the point."""
    return cut_to(cut_to(value, step), ONE)


def floor(value: Decimal) -> Decimal:
    return value.to_integral_value(ROUND_FLOOR)


def ceil(value: Decimal) -> Decimal:
    return value.to_integral_value(ROUND_CEILING)


def sign(value: Decimal) -> Decimal:
    return Decimal((value > 0) - (value < 0))


def fit(value: Decimal, digits: int, scale: int) -> Decimal:
    """Rounded to ``scale`` digits behind the point. Raises ``Unfit`` for more than ``digits`` in all."""
    rounded = round_to(value, step_of(scale))
    if rounded and rounded.adjusted() >= digits - scale:
        raise Unfit(f"has more than {digits} digits, {scale} of them behind the point")
    return rounded


def trim(text: str, chars: str = " ") -> str:
    return text.strip(chars) if chars else text


def trim_left(text: str, chars: str = " ") -> str:
    return text.lstrip(chars) if chars else text


def trim_right(text: str, chars: str = " ") -> str:
    return text.rstrip(chars) if chars else text


def substr(text: str, start: Decimal, count: Decimal | None = None) -> str:
    """From the character ``start``, the first being 1, counted from the end for less than 0; nothing for 0."""
    begin = whole(start)
    if not begin:
        return ""
    begin = begin - 1 if begin > 0 else len(text) + begin
    if count is None:
        return text[max(begin, 0) :]
    length = whole(count)
    return text[max(begin, 0) : begin + length] if length > 0 and begin + length > 0 else ""


def left(text: str, count: Decimal) -> str:
    """The first characters; all but the last ones for a count below 0."""
    return text[: whole(count)]


def right(text: str, count: Decimal) -> str:
    """The last characters; all but the first ones for a count below 0."""
    kept = whole(count)
    return text[-kept:] if kept else ""


def replace(text: str, old: str, new: str) -> str:
    if not old:
        return text
    grown = len(new) - len(old)
    if grown > 0 and len(text) + grown * text.count(old) > max(TEXT_CHARS_MAX, len(text)):
        raise _too_long()
    return text.replace(old, new)


def _too_long() -> Unfit:
    return Unfit(f"the result has more than {TEXT_CHARS_MAX} characters")


def check_length(text: str) -> str:
    """Of a text that was put together."""
    if len(text) > TEXT_CHARS_MAX:
        raise _too_long()
    return text


def split_part(text: str, separator: str, index: Decimal) -> str:
    """The part of this number, from 1, or from the end for less than 0; empty where there is none."""
    at = whole(index)
    if not at:
        raise Unfit("parts are counted from 1")
    parts = text.split(separator) if separator else [text]
    return parts[at - 1 if at > 0 else at] if -len(parts) <= at <= len(parts) else ""


def pad(text: str, count: Decimal, fill: str, *, is_left: bool) -> str:
    """The text with ``fill`` beside it again and again, or cut, so that it has so many characters."""
    chars = max(whole(count), 0)
    if chars > TEXT_CHARS_MAX:
        raise _too_long()
    missing = chars - len(text)
    if missing <= 0 or not fill:
        return text[:chars]
    added = (fill * (missing // len(fill) + 1))[:missing]
    return added + text if is_left else text + added


def pad_left(text: str, count: Decimal, fill: str = " ") -> str:
    return pad(text, count, fill, is_left=True)


def pad_right(text: str, count: Decimal, fill: str = " ") -> str:
    return pad(text, count, fill, is_left=False)


def strpos(text: str, part: str) -> Decimal:
    return Decimal(text.find(part) + 1)


def concat(*texts: str | None) -> str:
    """Those that are not null, one behind the other."""
    return check_length("".join([text for text in texts if text is not None]))


def concat_ws(separator: str, *texts: str | None) -> str:
    return check_length(separator.join([text for text in texts if text is not None]))
