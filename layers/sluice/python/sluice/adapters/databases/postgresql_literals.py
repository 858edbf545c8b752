"""Writes names and values into SQL of PostgreSQL: COPY takes no values beside its text."""

from __future__ import annotations

import re

from sluice.adapters.databases.typed_values import NotOfItsType, bytes_for, number_for, text_for, whole_for
from sluice.domain.pulled import Value

_WHOLE = frozenset({"smallint", "integer", "bigint", "oid"})
_NUMBERS = frozenset({"numeric", "real", "double precision", "money"})
_NO_NUMBER = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
"""What a column of numbers may hold beside them."""


class NoLiteral(NotOfItsType):
    """A text that PostgreSQL cannot store, so that it equals none."""


def quoted_name(name: str) -> str:
    """``name`` as the name of something, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Value) -> str:
    """``value`` as a text in quotes, by rules that no setting of the server changes. Raises ``NoLiteral``."""
    text = _text_of(value)
    if "\0" in text:
        raise NoLiteral
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NoLiteral from error
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def typed_literal(kind: str, value: Value, *, is_text: bool = False) -> str:
    """``value`` as SQL of the type ``kind``; ``is_text``: one of texts. Raises ``NotOfItsType``.

    The server may refuse it still. ``money`` becomes its number: as money it would be rounded.
    """
    if kind == "bytea":
        return f"decode({literal(bytes_for(value))}, 'base64')"
    if kind in _WHOLE:
        return f"{literal(str(whole_for(value)))}::{kind}"
    if kind in _NUMBERS:
        is_number = kind == "money" or not _NO_NUMBER.fullmatch(str(value))
        written = str(number_for(value)) if is_number else str(value)
        return f"{literal(written)}::{'numeric' if kind == 'money' else kind}"
    return f"{literal(text_for(value) if is_text else value)}::{kind}"


def _text_of(value: Value) -> str:
    """``value`` as a server reads it; a whole number has no fraction."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)
