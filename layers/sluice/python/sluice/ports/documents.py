"""A small document of another service, which may be fetched again and again."""

from __future__ import annotations

from typing import Protocol


class DocumentError(Exception):
    """A document cannot be had now. Its text is for an operator, and quotes nothing that the other service said."""


class FetchesDocument(Protocol):
    def fetch(self) -> bytes:
        """The document as it is now. One call at a time, bounded in size and in time. Raises ``DocumentError``."""
