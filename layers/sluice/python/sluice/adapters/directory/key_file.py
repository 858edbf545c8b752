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
    keep_owner,
    make_folder,
    read_file,
    unknown_when_disk_fails,
    whole_file,
)
from sluice.ports.key_store import DamagedKeysError, Keys
from sluice.ports.store_errors import StoreRefused


class KeyFile:
    """Implements ``KeyStore`` by one file. A file that does not exist holds no keys."""

    def __init__(self, path: Path, *, beside: Path | None = None) -> None:
        """``beside`` is a folder whose owner a new file is given to, where the process may: by default its own."""
        self._path = path
        self._beside = beside or path.parent
        self._cached: tuple[tuple[int, ...] | None, Keys] = (None, ())

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
        """Replace the file under a lock that other processes honour too; it stays its owner's.

        Raises ``StoreRefused``, and changes nothing, where the process may not give it to them.
        """
        with unknown_when_disk_fails():
            make_folder(self._path.parent, os.fsync, keeps_owner=True)
            with _locked(self._path.with_name(self._path.name + ".lock"), like=self._owned):
                keys = edit(self._load())
                with whole_file(self._path, mode=PRIVATE_MODE, suffix=".new") as file:
                    self._leave_to_owner(file.fileno())
                    file.write(msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")
        return keys

    def _leave_to_owner(self, made: int) -> None:
        if not keep_owner(made, self._owned()) and self._path.exists():
            raise StoreRefused(
                f"{self._path.name} belongs to another user, whose service could not read what replaces it: "
                "run the command as that user, or as root"
            )

    def _owned(self) -> Path:
        """What belongs to whom the file has to belong to."""
        return next(path for path in (self._path, self._beside, self._path.parent) if path.exists())

    def _version(self) -> tuple[int, ...] | None:
        """Differs whenever the file was replaced or written to; None when there is none."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            if self._path.is_symlink():  # to a place that is not mounted: no keys would mean that anyone may call
                raise DamagedKeysError(self._words("it is a link that leads nowhere")) from None
            return None
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
def _locked(path: Path, *, like: Callable[[], Path]) -> Iterator[None]:
    """Hold a lock that the system releases when the process dies. The lock file stays: removing it would race."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE_MODE)
    try:
        keep_owner(descriptor, like())
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
