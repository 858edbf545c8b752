"""Objects of a bucket as files that jobs read: each is read as long as it is the one that was pinned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_END, BufferedReader, RawIOBase
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, PreconditionError

from sluice.adapters.s3.bucket import S3Place
from sluice.adapters.s3.errors import meaning_of
from sluice.domain.limits import MIB
from sluice.domain.pinned_files import FILES_MAX, GLOB, PinnedFile, name_fits, parts_of
from sluice.ports.source import SourceError, SourceUnavailable
from sluice.ports.store_errors import NoSuchObject, StoreRefused

if TYPE_CHECKING:
    from obstore import GetOptions

READ_BYTES = MIB
"""Of one request."""
_REPEATS = 3


class _ObjectContent(RawIOBase):
    """What an object has from any place on; each request is for the object of this ETag or for none."""

    def __init__(self, store: Any, file: PinnedFile, place: str) -> None:
        super().__init__()
        self._store = store
        self._file = file
        self._place = place
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        begin = {SEEK_CUR: self._at, SEEK_END: self._file.size}.get(whence, 0)
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._file.size)
        if self._at >= end:
            return 0
        wanted: GetOptions = {"range": (self._at, end), "if_match": self._file.identity}
        with _named(self._place):
            data = memoryview(obstore.get(self._store, self._file.name, options=wanted).bytes())
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _OpenedObject:
    """Implements ``OpenedFile``."""

    def __init__(self, content: IO[bytes]) -> None:
        self.content = content

    def check(self) -> None:
        """Nothing: no byte of another object is ever given."""


class BucketFolder:
    """Implements ``FileFolder`` by what is below a URL of S3, GCS or Azure."""

    def __init__(self, place: S3Place, connection: str, credentials: Callable[[], Mapping[str, str]]) -> None:
        self._place = place
        self._connection = connection
        self._credentials = credentials

    def find(self, path: str) -> tuple[PinnedFile, ...]:
        """As the port says. What has the same beginning as the path without its patterns is listed."""
        try:
            parts = parts_of(path)
        except ValueError as error:
            raise SourceError(f"{path} {error}") from None
        patterns = [at for at, part in enumerate(parts) if not GLOB.isdisjoint(part)]
        fixed = "/".join(parts[: patterns[0] if patterns else len(parts) - 1])
        found: list[PinnedFile] = []
        for line in self._lines(fixed):
            name = str(line["path"])
            if not _fit(name.split("/"), parts):
                continue
            if len(found) == FILES_MAX:
                raise SourceError(f"more than {FILES_MAX:,} objects in {self._connection} fit {path}")
            found.append(_pinned(line, f"{name} of {self._connection}"))
        return tuple(sorted(found, key=lambda file: file.name))

    @contextmanager
    def open(self, file: PinnedFile) -> Iterator[_OpenedObject]:
        """As the port says."""
        place = f"{file.name} of {self._connection}"
        store = self._open()
        with _named(place):
            now = _pinned(obstore.head(store, file.name), place)
        if now != file:
            raise _changed(place)
        raw = _ObjectContent(store, file, place)
        with BufferedReader(raw, READ_BYTES) as content:
            yield _OpenedObject(content)

    def _lines(self, folder: str) -> Iterator[Any]:
        with _named(f"connection {self._connection}"):
            yield from chain.from_iterable(obstore.list(self._open(), prefix=folder or None))

    def _open(self) -> Any:
        return self._place.open(repeats=_REPEATS, credentials=self._credentials())


def _fit(names: list[str], parts: tuple[str, ...]) -> bool:
    return len(names) == len(parts) and all(map(name_fits, names, parts))


def _pinned(line: Any, place: str) -> PinnedFile:
    if not line["e_tag"]:
        raise SourceError(f"{place} has no ETag, so that a later state of it could not be told apart")
    modified = int(line["last_modified"].timestamp()) * 1_000_000_000  # a listing and an answer differ in fractions
    return PinnedFile(str(line["path"]), line["size"], modified, str(line["e_tag"]))


def _changed(place: str) -> SourceError:
    return SourceError(f"{place} has changed since the run was planned")


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Errors of the store become the port's, without its answer."""
    try:
        yield
    except PreconditionError:
        raise _changed(place) from None
    except (BaseError, FileNotFoundError) as error:
        meaning = meaning_of("reading", str(error))
        if isinstance(meaning, NoSuchObject):
            raise SourceError(f"there is no {place}") from None
        kind = SourceError if isinstance(meaning, StoreRefused) else SourceUnavailable
        raise kind(f"{place}: {meaning}") from None
