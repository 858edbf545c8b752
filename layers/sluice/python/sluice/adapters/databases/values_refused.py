"""What a server's refusal of a row becomes, without the row."""

from __future__ import annotations


class ValuesRefused(Exception):
    """The server does not take a value, or a row, as it is. Quotes neither."""

    def __init__(self, reason: str, *, column: str = "", rule: str = "") -> None:
        """Names are empty where the server gives none; ``rule`` is one of the table, such as a key."""
        super().__init__(reason)
        self.reason = f"{reason} ({rule})" if rule else reason
        self.column = column
