"""Writes rows as an INSERT of MySQL, column by column: no step for each cell where none needs one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, partial

from sluice.adapters.sinks.losses import REFUSED_MAX
from sluice.ports.sink import RowsRefused

STATEMENT_BYTES = 1 << 20
"""So many bytes of rows are in one statement, where a row is not longer."""
_NULL = "NULL"
_EMPTY: dict[str | None, str] = {None: ""}
_ESCAPES = (("\\", "\\\\"), ("'", "\\'"))
"""The backslash first. The character set is UTF-8, in which no other character has their bytes."""
_BOOLEANS = {"true": "1", "false": "0"}
_WHOLE = re.compile(r"[0-9]{1,20}")
_WITH_OFFSET = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?(Z|[+-]\d\d(?::?\d\d)?)")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


def quoted_texts(values: Sequence[str | None]) -> Sequence[str]:
    """Texts in quotes, null as NULL."""
    has_null = None in values
    joined = "\0".join(map(_EMPTY.get, values, values) if has_null else values)  # type: ignore[arg-type]  # no None left
    if joined.count("\0") >= len(values):  # a text has a NUL itself
        return [_NULL if value is None else f"'{_escaped(value)}'" for value in values]
    texts = ("'" + _escaped(joined).replace("\0", "'\0'") + "'").split("\0")
    return [_NULL if value is None else text for value, text in zip(values, texts, strict=True)] if has_null else texts


def _escaped(text: str) -> str:
    for character, escaped in _ESCAPES:
        text = text.replace(character, escaped)
    return text


def bits(values: Sequence[str | None], name: str) -> Sequence[str]:
    """Whole numbers as they are: in quotes they would be taken for characters. Raises ``RowsRefused``."""
    if wrong := [row for row, value in enumerate(values) if value is not None and not _WHOLE.fullmatch(value)]:
        raise RowsRefused("a text is no whole number, as which bits come", rows=wrong[:REFUSED_MAX], column=name)
    return [_NULL if value is None else value for value in values]


def numbered_booleans(values: Sequence[str | None]) -> Sequence[str | None]:
    """True and false as the numbers that MySQL keeps in their place."""
    return [value if value is None else _BOOLEANS.get(value.lower(), value) for value in values]


def without_offsets(values: Sequence[str | None], zone: str, name: str) -> Sequence[str | None]:
    """Points in time with an offset, written by the connection's clock. Raises ``RowsRefused`` where that is no offset.

    A column of MySQL keeps no offset, and the server takes none.
    """
    if not any(map(_WITH_OFFSET.fullmatch, filter(None, values))):
        return values
    offset = _OFFSET.fullmatch(zone)
    if not offset:
        rows = [row for row, value in enumerate(values) if value is not None and _WITH_OFFSET.fullmatch(value)]
        reason = "a point in time has an offset, and the connection's timezone is none, by which it could be written"
        raise RowsRefused(reason, rows=rows[:REFUSED_MAX], column=name)
    minutes = int(offset[2]) * 60 + int(offset[3])
    here = timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    return [value if value is None else _WITH_OFFSET.sub(partial(_moved, here), value) for value in values]


def _moved(here: timezone, found: re.Match[str]) -> str:
    """The same moment at another offset; as it is where there is no such day."""
    if _zone(found[3]) == here:
        return f"{found[1]} {found[2]}"
    try:
        moved = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=_zone(found[3])).astimezone(here)
    except (ValueError, OverflowError):
        return found[0]
    return moved.replace(tzinfo=None).isoformat(" ")


@cache
def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return timezone(-offset if text[0] == "-" else offset)


def insert_statements(head: str, columns: Sequence[Sequence[str]], bytes_max: int) -> Iterator[bytes]:
    """``head`` and the rows behind it, in statements of at most ``bytes_max`` bytes, a longer row alone."""
    rows = list(map(",".join, zip(*columns, strict=True)))

    def written(start: int, end: int) -> Iterator[bytes]:
        statement = f"{head} ({'),('.join(rows[start:end])})".encode()
        if len(statement) <= bytes_max or end - start == 1:
            yield statement
            return
        middle = (start + end) // 2
        yield from written(start, middle)
        yield from written(middle, end)

    if rows:
        parts = sum(map(len, rows)) // bytes_max + 1
        size = -(-len(rows) // parts)
        for start in range(0, len(rows), size):
            yield from written(start, min(start + size, len(rows)))
