"""A folder of this machine whose files are read; no name and no link leads out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from sluice.domain.pinned_files import FILES_MAX, GLOB, PinnedFile, name_fits, parts_of
from sluice.ports.source import SourceError, SourceUnavailable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WITHIN = os.O_NOFOLLOW
"""Each part of a path is opened within the folder before it, and is no link: so none is exchanged for one meanwhile."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A pipe is not waited for."""


class _LocalFile:
    """Implements ``OpenedFile``."""

    def __init__(self, content: IO[bytes], pinned: PinnedFile, place: str) -> None:
        self.content = content
        self._pinned = pinned
        self._place = place

    def check(self) -> None:
        """As the port says; by size, time of the last change and inode."""
        if _pinned(self._pinned.name, os.fstat(self.content.fileno())) != self._pinned:
            raise SourceError(f"{self._place} has changed since the run was planned")


class LocalFolder:
    """Implements ``FileFolder``."""

    def __init__(self, path: Path, connection: str) -> None:
        self._path = path
        self._connection = connection

    def find(self, path: str) -> tuple[PinnedFile, ...]:
        """As the port says."""
        try:
            parts = parts_of(path)
        except ValueError as error:
            raise SourceError(f"{path} {error}") from None
        found: list[PinnedFile] = []
        with self._root() as root:
            for name in self._names(root, parts, ""):
                if len(found) == FILES_MAX:
                    raise SourceError(f"more than {FILES_MAX:,} files in {self._connection} fit {path}")
                with self._opened(root, name) as file:
                    found.append(_pinned(name, os.fstat(file.fileno())))
        return tuple(sorted(found, key=lambda file: file.name))

    @contextmanager
    def open(self, file: PinnedFile) -> Iterator[_LocalFile]:
        """As the port says."""
        parts_of(file.name)
        with self._root() as root, self._opened(root, file.name) as content:
            opened = _LocalFile(content, file, self._place(file.name))
            opened.check()
            yield opened

    def _place(self, name: str) -> str:
        return f"{name} of {self._connection}"

    @contextmanager
    def _root(self) -> Iterator[int]:
        try:
            descriptor = os.open(self._path, _FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            raise SourceError(f"the folder of connection {self._connection} is not there") from None
        except OSError as error:
            raise SourceUnavailable(f"the folder of connection {self._connection}: {error.strerror}") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _names(self, folder: int, parts: tuple[str, ...], before: str) -> Iterator[str]:
        """The names that fit, some of which may be no files."""
        part, *rest = parts
        is_pattern = not GLOB.isdisjoint(part)
        try:
            names = sorted(name for name in os.listdir(folder) if name_fits(name, part)) if is_pattern else [part]
        except OSError as error:
            raise SourceUnavailable(f"{self._place(before or '.')}: {error.strerror}") from None
        for name in names:
            if not name.isprintable():
                raise SourceError(f"a name in {self._place(before or '.')} has characters that are no text: {name!a}")
            if not rest:
                if is_pattern or _is_there(folder, name):
                    yield before + name
                continue
            try:
                within = os.open(name, _FOLDER | _WITHIN, dir_fd=folder)
            except OSError as error:
                if not is_pattern and isinstance(error, FileNotFoundError):
                    continue
                if is_pattern and isinstance(error, NotADirectoryError) and not _is_link(folder, name):
                    continue
                raise self._refused(folder, before + name, name, error) from None
            try:
                yield from self._names(within, tuple(rest), f"{before}{name}/")
            finally:
                os.close(within)

    @contextmanager
    def _opened(self, root: int, name: str) -> Iterator[IO[bytes]]:
        with ExitStack() as stack:
            *folders, last = name.split("/")
            folder = root
            for part in folders:
                try:
                    folder = os.open(part, _FOLDER | _WITHIN, dir_fd=folder)
                except OSError as error:
                    raise self._refused(folder, name, part, error) from None
                stack.callback(os.close, folder)
            try:
                content = stack.enter_context(open(os.open(last, _FILE, dir_fd=folder), "rb"))  # noqa: PTH123
            except OSError as error:
                raise self._refused(folder, name, last, error) from None
            if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
                raise SourceError(f"{self._place(name)} is no file")
            yield content

    def _refused(self, folder: int, name: str, part: str, error: OSError) -> SourceError:
        """Why it cannot be opened."""
        if _is_link(folder, part):
            return SourceError(f"{self._place(name)} is a symbolic link, or below one: name what it leads to")
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return SourceError(f"there is no {self._place(name)}")
        if isinstance(error, IsADirectoryError):
            return SourceError(f"{self._place(name)} is no file")
        return SourceUnavailable(f"{self._place(name)}: {error.strerror}")


def _is_there(folder: int, name: str) -> bool:
    with suppress(OSError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def _is_link(folder: int, name: str) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _pinned(name: str, status: os.stat_result) -> PinnedFile:
    return PinnedFile(name, status.st_size, status.st_mtime_ns, str(status.st_ino))
