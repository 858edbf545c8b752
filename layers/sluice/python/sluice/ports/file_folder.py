"""A folder of files that jobs read: found by a pattern, pinned, and read as long as they are what was pinned."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import IO, Protocol

from sluice.domain.pinned_files import PinnedFile


class OpenedFile(Protocol):
    """A file that is read."""

    @property
    def content(self) -> IO[bytes]:
        """Its bytes from the first on, as they are stored. It can be moved to any place."""

    def check(self) -> None:
        """Raise ``SourceError`` if it is no longer what was pinned."""


class FileFolder(Protocol):
    """Every file is below the folder of the connection, whatever names say."""

    def find(self, path: str) -> tuple[PinnedFile, ...]:
        """The files whose names fit, in the order of their names. Names that begin with a dot fit no ``*``.

        Raises ``SourceError`` for a path that leaves the folder and for what is no file; ``SourceUnavailable``.
        """

    def open(self, file: PinnedFile) -> AbstractContextManager[OpenedFile]:
        """Open a file. Raises ``SourceError`` if it is gone or no longer what was pinned; ``SourceUnavailable``."""
