"""What a link to a file allows, and who says so."""

from __future__ import annotations

from typing import Protocol


class Grant(Protocol):
    """What a link allows: to read one object, under one name, while one task has it."""

    @property
    def key(self) -> str: ...

    @property
    def filename(self) -> str: ...

    @property
    def task_id(self) -> str:
        """The task that has the object; empty in links that an older release made."""


class VerifiesLinks(Protocol):
    def verify(self, token: str) -> Grant:
        """Read a token. Raises ``SluiceError``: PERMISSION_DENIED unless it is one of ours, EXPIRED after its time."""
