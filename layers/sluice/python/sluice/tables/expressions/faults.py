"""Why a value cannot be taken, or made, by an expression; no text of it quotes a value."""

from __future__ import annotations

from decimal import Inexact, InvalidOperation, Overflow

TEXT_CHARS_MAX = 65_536
"""No function makes a text longer than this, unless its input was as long."""


class Unfit(Exception):
    """An expression cannot take or make a value of some row."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = ""
        """The column that is read or made; empty for a condition."""


FAULTS = (Unfit, InvalidOperation, Inexact, Overflow, OverflowError, RecursionError, UnicodeError)
"""What a value may raise; anything else is a mistake of ours."""

_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (Inexact, "the result has more than 38 digits"),
    (Overflow, "the result has more than 38 digits"),
    (InvalidOperation, "is no number, or has more than 38 digits"),
    (OverflowError, "the result is no date of the years 1 to 9999"),
    (RecursionError, "is nested too deep"),
    (UnicodeError, "has characters that no encoding can write"),
)


def reason_of(fault: BaseException) -> str:
    """Say it in words."""
    if isinstance(fault, Unfit):
        return fault.reason
    return next(reason for kind, reason in _REASONS if isinstance(fault, kind))
