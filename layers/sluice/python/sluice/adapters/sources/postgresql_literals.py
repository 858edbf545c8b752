"""Writes names and values into SQL of PostgreSQL: COPY takes no values beside its text."""

from __future__ import annotations

from sluice.domain.pulled import Value


class NoLiteral(ValueError):
    """A text that PostgreSQL cannot store, so that it equals none."""


def quoted_name(name: str) -> str:
    """``name`` as the name of something, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Value) -> str:
    """``value`` as a text in quotes, by rules that no setting of the server changes. Raises ``NoLiteral``."""
    text = text_of(value)
    if "\0" in text:
        raise NoLiteral
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoLiteral from error
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def text_of(value: Value) -> str:
    """``value`` as a server reads it; a whole number has no fraction."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)
