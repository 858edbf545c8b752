"""What the refusals of a server that is written to become: of a row, without the row, and for want of a right."""

from __future__ import annotations

NEEDED_RIGHTS = (
    "permission denied: the user lacks a right on the table, or that to make the tables beside it; "
    "docs/pipelines/outputs.md has those that each mode needs"
)


class ValuesRefused(Exception):
    """The server does not take a value, or a row, as it is. Quotes neither."""

    def __init__(self, reason: str, *, column: str = "", rule: str = "") -> None:
        """Names are empty where the server gives none; ``rule`` is one of the table, such as a key."""
        super().__init__(reason)
        self.reason = f"{reason} ({rule})" if rule else reason
        self.column = column
