"""How numbers, times and foreign text are written on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import msgspec

from sluice.domain.limits import DAY_S, HOUR_S, MINUTE_S
from sluice.domain.timestamps import iso_time

_KILO = 1000
_SPANS = ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min"), (1, "s"))


class Styled(str):
    """Printable text with colours of our own, which ``lines_of`` leaves as they are."""

    __slots__ = ()


def printable(text: str) -> str:
    """Text from outside with everything that could move a cursor or turn the line around escaped."""
    return text if text.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in text)


def printable_lines(text: str) -> str:
    """The same of a text of several lines, which stay lines."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(char: str) -> str:
    """As JSON writes it, in two halves where it needs them."""
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def say(text: str, *, is_error: bool = False) -> None:
    """Print lines for people. All that a command prints goes through here, is JSON, or is made by ``lines_of``."""
    print(printable_lines(text), file=sys.stderr if is_error else sys.stdout)


def iso(at: float) -> str:
    """A time in UTC, to the second; empty for "not yet"."""
    return iso_time(at, "seconds") if at else ""


def span(seconds: float) -> str:
    """A duration in its largest unit that fits, rounded down: ``3 min``."""
    for unit_s, unit in _SPANS:
        if seconds >= unit_s:
            return f"{int(seconds // unit_s)} {unit}"
    return "0 s"


def when(at: float, now: float) -> str:
    """A time with its distance from now: ``2025-03-14T09:26:53Z (3 min ago)``."""
    if not at:
        return "never"
    distance = f"in {span(at - now)}" if at > now else f"{span(now - at)} ago"
    return f"{iso(at)} ({distance})"


def size(count: int) -> str:
    """A number of bytes as people say it."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if round(value, 1) < _KILO:
            break
        value, unit = value / _KILO, larger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def counted(count: int, noun: str) -> str:
    """A number of things: ``1 row``, ``1,000,000 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def lines_of(rows: Sequence[tuple[str, ...]], *, gap: str = "  ") -> list[str]:
    """Align all columns but the last, which may hold characters of any width. What is not ``Styled`` is escaped."""
    rows = [tuple(cell if isinstance(cell, Styled) else printable(cell) for cell in row) for row in rows]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)] if rows else []
    return [
        gap.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]


def json_of(value: object, *, is_line: bool = False) -> str:
    """A value as JSON that people can read too; what a terminal would obey is escaped, which JSON may be anywhere."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=0 if is_line else 2).decode()
    except UnicodeEncodeError:  # the name of a file that is no text
        text = json.dumps(msgspec.to_builtins(value), indent=None if is_line else 2)
    return printable_lines(text)
