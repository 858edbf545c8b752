"""API keys' hashes in a JSON file that only its owner may read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from sluice.adapters.directory.atomic_file import (
    PRIVATE_MODE,
    make_folder,
    read_file,
    unknown_when_disk_fails,
    whole_file,
)
from sluice.ports.key_store import DamagedKeysError, Keys


class KeyFile:
    """Implements ``KeyStore`` by one file. A file that does not exist holds no keys."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cached: tuple[tuple[int, ...], Keys] = ((), ())

    def read(self) -> Keys:
        """Look whether the file changed, and read it only then."""
        with unknown_when_disk_fails():
            version = self._version()
            cached_version, keys = self._cached
            if version == cached_version:
                return keys
            keys = self._load() if version else ()
        self._cached = (version, keys)  # one assignment: threads at the same time each see a whole pair
        return keys

    def change(self, edit: Callable[[Keys], Keys]) -> Keys:
        """Replace the file under a lock that other processes honour too."""
        with unknown_when_disk_fails():
            make_folder(self._path.parent, os.fsync)
            with _locked(self._path.with_name(self._path.name + ".lock")):
                keys = edit(self._load())
                with whole_file(self._path, mode=PRIVATE_MODE, suffix=".new") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")
        return keys

    def _version(self) -> tuple[int, ...]:
        """Differs whenever the file was replaced or written to; empty when there is none."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            if self._path.is_symlink():  # to a place that is not mounted: no keys would mean that anyone may call
                raise DamagedKeysError(self._words("it is a link that leads nowhere")) from None
            return ()
        return stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size

    def _load(self) -> Keys:
        try:
            return msgspec.json.decode(read_file(self._path, follows_links=True), type=Keys)
        except FileNotFoundError:
            return ()
        except UnicodeDecodeError:
            raise DamagedKeysError(self._words("it is not UTF-8")) from None
        except msgspec.MsgspecError as error:
            raise DamagedKeysError(self._words(str(error))) from None

    def _words(self, reason: str) -> str:
        return (
            f"{self._path.name}, the file of API keys, is damaged: {reason}; put back that of a backup, "
            "or remove it and make new keys (sluice keys add)"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when the process dies. The lock file stays: removing it would race."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
