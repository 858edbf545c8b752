"""Files that appear under their name at once and whole, and stay there when the power fails."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import IO

from sluice.ports.store_errors import OutcomeUnknown, StoreFull

Sync = Callable[[int], None]
"""Brings an open file's or folder's content to the disk, as ``os.fsync`` does."""

PRIVATE_MODE = 0o600
"""Only the owner reads and writes, whatever the process's mask."""
PRIVATE_FOLDER_MODE = 0o700
OTHERS = 0o077
"""What of a mode lets others than the owner in."""


class NotAFileError(OSError):
    """What has the name is no regular file: a pipe, a socket, a device, or a link."""


NO_FILE = (FileNotFoundError, IsADirectoryError, NotAFileError)
"""What opening raises where no file is: nothing, or a folder or something else in a file's place."""
_NOT_A_FILE = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV})
NAME_BYTES_MAX = 255
"""Of a file, as file systems have it."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
FILES_MIN = 1_000
"""With fewer files left to make, where the file system counts them, there is no room."""
RESERVE_FILE = "reserve"
RESERVE_BYTES = 4 << 20
RESULTS_LEAVE = 2
"""Results leave so many times free what batches leave, so that composers never take the room of batches."""
_TRIES_MAX = 100
_REMEMBERED_MAX = 256
"""Folders of which a descriptor is kept open."""


@contextmanager
def unknown_when_disk_fails() -> Iterator[None]:
    """Turn an OSError into ``StoreFull``, or (disk broken, read-only) ``OutcomeUnknown``, without the path in it."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreFull(code=errno.errorcode[error.errno]) from error
        raise OutcomeUnknown(errno.errorcode.get(error.errno or 0, "OSError")) from error


@contextmanager
def whole_file(path: Path, *, mode: int = 0o666, suffix: str = "") -> Iterator[IO[bytes]]:
    """Write to ``PATH.<number>.part``, which replaces ``path`` when the block ends well and goes when it does not.

    On disk when the block has ended. Of several blocks for one ``path`` at a time, in any processes, each writes a
    file of its own, and the one that ends last stays. ``mode`` is that of the file, less the process's mask and what
    a file that it replaces did not allow. Where a lock keeps others from ``path``, one ``suffix`` serves all
    processes, so that what a killed one left is replaced.
    """
    with suppress(FileNotFoundError):
        mode &= path.stat().st_mode
    if suffix:
        _beside(path, suffix).unlink(missing_ok=True)
    staged, descriptor = open_new((_beside(path, suffix or f".{number}.part") for number in count(1)), mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def open_new(names: Iterable[Path], mode: int) -> tuple[Path, int]:
    """Make a file under the first of ``names`` that is free, and open it: no two callers anywhere get the same one."""
    for path in names:
        with suppress(FileExistsError):
            return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _beside(path: Path, suffix: str) -> Path:
    """The path with something behind it, as far as a name may be so long."""
    staged = path.with_name(path.name + suffix)
    if len(os.fsencode(staged.name)) > NAME_BYTES_MAX:
        staged = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}{suffix}")
    return staged


class Publisher:
    """Moves finished files to their place below one folder, durably."""

    def __init__(self, root: Path, sync: Sync) -> None:
        self._root = root
        self._sync = sync
        self._durable = _DurableFolders()

    def publish(self, staged: Path, target: Path) -> None:
        """Move the synced file ``staged`` to ``target``, which is replaced; on disk when this returns."""
        _move(staged, target)
        folder = target.parent
        sync_folder(folder, self._sync)
        # The entry of the folder goes to the disk too, and those of the folders around it.
        # What was just put into it keeps all of them from being removed.
        while folder != self._root.parent and folder not in self._durable:
            sync_folder(folder.parent, self._sync)
            self._durable.add(folder)
            folder = folder.parent

    def prune(self, folder: Path) -> None:
        """Remove ``folder`` and the folders around it as far as they are empty."""
        while folder != self._root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass  # another process removed it; the one around it may be empty all the same
            except OSError:
                return  # not empty, or about to be used again
            folder = folder.parent


class _DurableFolders:
    """Folders whose own entry is known to be on disk, so that it is not synced at every file.

    Another process may remove a folder and make it again under the same name
    before it syncs that. So a folder is known by its inode, which an open
    descriptor keeps from being used again; with it, all folders around it are
    still there. Safe to use from threads.
    """

    def __init__(self) -> None:
        self._opened: OrderedDict[Path, int] = OrderedDict()
        self._lock = Lock()

    def __contains__(self, folder: Path) -> bool:
        with self._lock:
            descriptor = self._opened.get(folder)
            if descriptor is None:
                return False
            with suppress(FileNotFoundError):
                if os.path.samestat(folder.stat(), os.fstat(descriptor)):
                    self._opened.move_to_end(folder)
                    return True
            self._forget(folder)
            return False

    def add(self, folder: Path) -> None:
        try:
            descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        except OSError:
            return  # removed again, or no descriptor left: it is synced once more
        with self._lock:
            self._forget(folder)
            self._opened[folder] = descriptor
            while len(self._opened) > _REMEMBERED_MAX:
                self._forget(next(iter(self._opened)))

    def _forget(self, folder: Path) -> None:
        descriptor = self._opened.pop(folder, None)
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        for folder in list(self._opened):
            self._forget(folder)


def keep_owner(made: int, like: Path) -> bool:
    """Give an open file to the owner of ``like``, where the process may; returns whether it is theirs.

    A command that root runs beside a service of another user would make what the service cannot open. A file with
    other names as well stays whose it is: one of them may be elsewhere.
    """
    owner, found = like.stat(), os.fstat(made)
    if found.st_nlink > 1:
        return found.st_uid == owner.st_uid
    if (found.st_uid, found.st_gid) != (owner.st_uid, owner.st_gid):
        with suppress(OSError):
            os.fchown(made, owner.st_uid, owner.st_gid)
            return True
    return found.st_uid == owner.st_uid


def make_folder(folder: Path, sync: Sync | None = None, *, keeps_owner: bool = False) -> None:
    """Make ``folder``, and those around it that are missing, for their owner alone; with ``sync`` it stays made.

    With ``keeps_owner`` that is who owns the folder around it, where the process may give it to them. Raises
    FileNotFoundError when another process removes one of them meanwhile.
    """
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_folder(folder.parent, sync, keeps_owner=keeps_owner)
    try:
        if keeps_owner:
            _make_for_same_owner(folder)
        else:
            folder.mkdir(mode=PRIVATE_FOLDER_MODE)
    except FileExistsError:
        if not folder.is_dir():
            raise
    if sync is not None:
        sync_folder(folder.parent, sync)


def _make_for_same_owner(folder: Path) -> None:
    """Make a folder through a descriptor of the one around it, whose owner could put a link in the new one's place."""
    with ExitStack() as opened:
        around = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, around)
        os.mkdir(folder.name, PRIVATE_FOLDER_MODE, dir_fd=around)
        owner = os.fstat(around)
        if owner.st_uid == os.geteuid():
            return
        made = os.open(folder.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=around)
        opened.callback(os.close, made)
        with suppress(OSError):
            os.fchown(made, owner.st_uid, owner.st_gid)


def private_opener(path: str, flags: int) -> int:
    """For ``open``: a file that is made is its owner's alone."""
    return os.open(path, flags, PRIVATE_MODE)


def open_to_others(folder: Path) -> list[str]:
    """Name what of ``folder`` others than its owner may enter, read or write: itself, or what lies right in it."""
    if not folder.stat().st_mode & OTHERS:
        return []
    found = [folder.name]
    with os.scandir(folder) as entries:
        found += sorted(entry.name for entry in entries if not entry.is_symlink() and entry.stat().st_mode & OTHERS)
    return found


def open_file(path: Path, *, follows_links: bool = False) -> int:
    """Open a regular file to read it, without waiting for anything; returns its descriptor.

    A pipe that nothing writes to would keep its reader for ever. Raises one of ``NO_FILE`` for what is no regular
    file, and for a link unless it ``follows_links``.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | (0 if follows_links else getattr(os, "O_NOFOLLOW", 0))
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            raise NotAFileError(error.errno, "it is no regular file", str(path)) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        refused = IsADirectoryError if stat.S_ISDIR(mode) else NotAFileError
        raise refused(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENODEV, "it is no regular file", str(path))
    return descriptor


def read_file(path: Path, *, follows_links: bool = False) -> bytes:
    """Read a small file whole. Raises as ``open_file``."""
    with os.fdopen(open_file(path, follows_links=follows_links), "rb") as file:
        return file.read()


def write_private(path: Path, *pieces: bytes, sync: Sync = os.fsync) -> None:
    """Write a new file that only its owner may read, and bring its content to the disk; its name is not there yet.

    The owner is that of its folder, where the process may give it to them.
    """
    with open(path, "xb", opener=private_opener) as file:
        keep_owner(file.fileno(), path.parent)
        file.writelines(pieces)
        file.flush()
        sync(file.fileno())


def sync_folder(folder: Path, sync: Sync = os.fsync) -> None:
    """Bring the names in ``folder`` to the disk; Windows does so by itself and cannot be asked."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # what was put into it was deleted meanwhile and the folder pruned: nothing is left to keep
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def _move(staged: Path, target: Path) -> None:
    """Rename into a folder that may not exist yet, and that another process may be pruning at this moment."""
    for _ in range(_TRIES_MAX):
        try:
            staged.replace(target)
        except FileNotFoundError:
            if not staged.exists():
                raise
        except IsADirectoryError:
            target.rmdir()  # an empty folder is no object; one with something in it stays, and the put fails
        else:
            return
        with suppress(FileNotFoundError, FileExistsError):
            make_folder(target.parent, keeps_owner=True)
    raise OSError(errno.ENOENT, "the folder is removed again and again")


class DiskRoom:
    """The room on the disk of a folder: how much must be free, and a reserve that a service can start from."""

    def __init__(self, folder: Path, *, min_free_bytes: int) -> None:
        """``min_free_bytes`` of 0: nothing is checked but by the disk itself."""
        self._folder = folder
        self._min_free_bytes = min_free_bytes

    def check(self) -> None:
        """Raise ``StoreFull`` when less is free than must be."""
        if self._min_free_bytes and not self._has(self._min_free_bytes):
            raise StoreFull(code="ENOSPC")

    def check_result(self, size: int) -> None:
        """Raise ``StoreFull`` when ``size`` bytes more of a result would take the room of batches."""
        if self._min_free_bytes and not self.has_room(size):
            raise StoreFull(code="ENOSPC")

    def has_room(self, size: int) -> bool:
        """Whether results may take ``size`` bytes more; also where nothing is checked, by what the disk says."""
        with unknown_when_disk_fails():
            return self._has(size + RESULTS_LEAVE * self._min_free_bytes)

    def has_free(self, size: int) -> bool:
        """Whether so many bytes are free above what must be; True where nothing is checked."""
        with unknown_when_disk_fails():
            return not self._min_free_bytes or self._has(size + self._min_free_bytes)

    def give_up_reserve(self) -> bool:
        """Remove the reserve; returns whether there was one, so that there is room now."""
        try:
            (self._folder / RESERVE_FILE).unlink()
        except OSError:
            return False
        return True

    def keep_reserve(self) -> None:
        """Make the reserve where there is room for it, and give it up where there is none.

        A service opens its database by writing a little. On a full disk it
        could not even serve what it has, so it lives on the reserve then. Raises nothing.
        """
        reserve = self._folder / RESERVE_FILE
        with suppress(OSError):
            if not self._has(RESERVE_BYTES // 4):
                reserve.unlink(missing_ok=True)
            elif self._has(self._min_free_bytes + 2 * RESERVE_BYTES) and not reserve.exists():
                with whole_file(reserve, mode=PRIVATE_MODE) as file:
                    file.write(bytes(RESERVE_BYTES))

    def _has(self, free_bytes: int) -> bool:
        stat = os.statvfs(self._folder)
        is_short_of_files = bool(stat.f_files) and stat.f_favail < FILES_MIN
        return stat.f_bavail * stat.f_frsize >= free_bytes and not is_short_of_files
