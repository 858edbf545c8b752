"""The texts of a column as values to calculate with, and back; a whole column at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, TypeAlias

from sluice.domain.expression import Kind
from sluice.tables.batch import SEPARATOR
from sluice.tables.expressions.faults import Unfit
from sluice.tables.values.booleans import boolean_words
from sluice.tables.values.dates import DateFault, are_plain_dates, read_date

Values: TypeAlias = Sequence[Any]
"""Of one column: str, Decimal, datetime without a zone, bool; None is null."""
Read: TypeAlias = Callable[[Sequence[str | None]], Values]
"""Texts to values. Raises ``Unfit`` where a text is none of its kind; the empty text is null, but in strings."""

_OF_NUMBERS = b"0123456789.+-eE\0"
"""What numbers consist of, and what stands between them. ``Decimal`` takes blanks, _, NaN and any script's digits."""
_SAMPLE = 64
"""Texts that say whether those of a column repeat: each is read once then."""
_DAY_CHARS = len("2025-03-14")
_FIRST = datetime.min  # noqa: DTZ901 -- values have no time zone
_DIGITS_MAX = 400
"""Of a number that is written out: its exponent may ask for a gigabyte of zeros."""
WORDS: Mapping[bool | None, str | None] = {True: "true", False: "false", None: None}


def reader_of(kind: Kind, *, boolean_format: str = "", zone: tzinfo = UTC) -> Read:
    """How the texts of a column are read. A point in time with an offset is taken to ``zone``."""
    match kind:
        case "number":
            return read_numbers
        case "boolean":
            words = boolean_words(boolean_format)
            known: dict[str | None, bool | None] = {None: None, "": None}
            known.update(words.by_word)
            return lambda texts: _read_booleans(texts, known)
        case "date":
            return lambda texts: read_days(texts, zone)
        case "datetime":
            return lambda texts: read_moments(texts, zone)
    return lambda texts: texts


def read_numbers(texts: Sequence[str | None]) -> Values:
    """Exact numbers, of any number of digits."""
    joined, has_empty = _joined(texts)
    if not joined.isascii() or joined.encode().translate(None, _OF_NUMBERS):
        raise Unfit("is no number")
    sample = texts[:_SAMPLE]
    if len(texts) > _SAMPLE and 2 * len(set(sample)) <= len(sample):
        known = {text: Decimal(text) if text else None for text in set(texts)}
        return list(map(known.__getitem__, texts))
    return [Decimal(text) if text else None for text in texts] if has_empty else list(map(Decimal, texts))  # type: ignore[arg-type]


def read_number(text: str) -> Decimal:
    if not text.isascii() or text.encode().translate(None, _OF_NUMBERS):
        raise Unfit("is no number")
    return Decimal(text)


def _read_booleans(texts: Sequence[str | None], known: Mapping[str | None, bool | None]) -> Values:
    try:
        return list(map(known.__getitem__, texts))
    except KeyError:
        pass
    try:
        return [known[text and text.casefold()] for text in texts]
    except KeyError:
        raise Unfit("is neither true nor false") from None


def read_boolean(text: str) -> bool:
    value = boolean_words("").read(text)
    if value is None:
        raise Unfit("is neither true nor false")
    return value


def read_days(texts: Sequence[str | None], zone: tzinfo) -> Values:
    """The days, as their midnights."""
    moments = read_moments(texts, zone)
    if all(text is None or len(text) <= _DAY_CHARS for text in texts):
        return moments
    return [moment and day_of(moment) for moment in moments]


def day_of(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def read_moments(texts: Sequence[str | None], zone: tzinfo) -> Values:
    """Days with their time, to the microsecond; further digits are dropped."""
    joined, has_empty = _joined(texts)
    if not are_plain_dates(joined):
        return [read_moment(text, zone) if text else None for text in texts]
    read = datetime.fromisoformat
    moments: Values = [read(text) if text else None for text in texts] if has_empty else list(map(read, texts))  # type: ignore[arg-type]
    if any(moment is not None and moment.tzinfo for moment in moments):
        return [moment and _local(moment, zone) for moment in moments]
    return moments


def read_moment(text: str, zone: tzinfo) -> datetime:
    moment = read_date(text, zone, first=_FIRST)
    if isinstance(moment, DateFault):
        raise Unfit("is no date" if moment is DateFault.INVALID else "is no date of the years 1 to 9999")
    return moment


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None) if moment.tzinfo else moment


def _joined(texts: Sequence[str | None]) -> tuple[str, bool]:
    """The texts joined, and whether one is empty or null."""
    try:
        return SEPARATOR.join(texts), "" in texts  # type: ignore[arg-type]
    except TypeError:
        return SEPARATOR.join([text or "" for text in texts]), True


def write_numbers(texts: list[str | None]) -> list[str | None]:
    """Digits without an exponent, of what ``str`` made of decimals. Raises ``Unfit`` for more than 400 digits."""
    joined, _ = _joined(texts)
    if "E" not in joined:
        return texts
    return [write_number(Decimal(text)) if text and "E" in text else text for text in texts]


def write_number(value: Decimal) -> str:
    """Digits without an exponent."""
    if not value:
        value = value.quantize(Decimal(1)) if value.as_tuple().exponent > 0 else value  # type: ignore[operator]
    if max(abs(value.adjusted()), -int(value.as_tuple().exponent)) > _DIGITS_MAX:
        raise Unfit("the result has too many digits")
    return format(value, "f")


def write_day(value: datetime) -> str:
    return value.isoformat()[:_DAY_CHARS]


def write_moment(value: datetime) -> str:
    return value.isoformat(" ")
