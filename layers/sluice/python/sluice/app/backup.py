"""Copies what a service on one machine has, while it serves, and puts a copy in the place of a new one."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from sluice.adapters.directory.atomic_file import (
    NO_FILE,
    PRIVATE_MODE,
    make_folder,
    open_file,
    private_opener,
    sync_folder,
    whole_file,
)
from sluice.adapters.owned_store import elsewhere, is_other_kind
from sluice.adapters.sqlite.schema import forget_identity, may_have_objects, read_place
from sluice.app.backends import BACKUP_MARKER, LINK_SECRET_FILE, OBJECTS_FOLDER, TASKS_FILE, objects_place
from sluice.app.settings.validation import Settings
from sluice.app.telemetry.audit import AUDIT_FILE

_KEYS = "keys.json"
_FORMAT = 1
_UNFINISHED = 0
"""The format that the marker says until all is copied."""


class BackupError(Exception):
    """Why nothing was copied, in one sentence with the way out."""


KeysOutcome = Literal["copied", "kept", "none"]
"""What became of the API keys; kept: of a restore, whose place for them has a file that is not replaced."""


class Copied(NamedTuple):
    """What a copy has."""

    tasks: int
    objects: int
    bytes: int
    keys: KeysOutcome


class _Marker(msgspec.Struct):
    format: int
    tasks: int
    objects: int
    bytes: int


def back_up(settings: Settings, target: Path) -> Copied:
    """Copy rows, objects, keys and the secret of links to ``target``, which is new or empty, and not in what is copied.

    Rows first, of one moment, by SQLite's own backup; then the objects. A
    chunk is stored before its row names it and removed after its task has
    ended, so every row finds its objects, but for tasks that ended for good
    meanwhile. Unfinished uploads are left out: they are made again. Raises
    ``BackupError``, ``ForeignObjects`` where the settings name another store
    than the rows' objects are in, and OSError when the copy cannot be written.
    """
    source = settings.data_directory
    if not (source / TASKS_FILE).is_file():
        raise BackupError(f"no service has its data in {source}")
    if any(_is_within(target, folder) for folder in (source, source / OBJECTS_FOLDER)):
        raise BackupError(f"{target} is in the directory that it would be a copy of, and would be lost with it")
    _refuse_other_store(source / TASKS_FILE, settings)
    _make_empty(target)
    _mark(target, _Marker(_UNFINISHED, 0, 0, 0))
    tasks = _copy_rows(source / TASKS_FILE, target / TASKS_FILE)
    objects = size = 0
    for path in _files(source / OBJECTS_FOLDER):
        try:
            size += _copy_new(path, target / path.relative_to(source))
        except NO_FILE:  # its task ended meanwhile, or it is no object
            continue
        objects += 1
    has_keys = _copy_if_there(settings.api_keys_path, target / _KEYS)
    _copy_if_there(source / LINK_SECRET_FILE, target / LINK_SECRET_FILE)
    _copy_if_there(source / AUDIT_FILE, target / AUDIT_FILE)
    _sync_folders(target)
    _mark(target, _Marker(_FORMAT, tasks, objects, size))
    return Copied(tasks, objects, size, "copied" if has_keys else "none")


def restore(source: Path, settings: Settings) -> Copied:
    """Copy a backup to the data directory of ``settings``, which is new or empty, and not in the backup.

    Nothing that is there is replaced: where ``security.api_keys_file`` names a
    file that exists, it stays as it is, since a running service may have it,
    and a key that was revoked after the backup would be valid again. Raises as
    ``back_up``.
    """
    try:
        marker = msgspec.json.decode((source / BACKUP_MARKER).read_bytes(), type=_Marker)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        raise BackupError(f"{source} is no whole backup: it has no {BACKUP_MARKER}") from None
    if marker.format == _UNFINISHED:
        raise BackupError(f"{source} is no whole backup: it was not finished")
    if marker.format != _FORMAT:
        raise BackupError(f"{source} was made by another release of Sluice, which can restore it")
    found = [path.stat().st_size for path in _files(source / OBJECTS_FOLDER)]
    if (len(found), sum(found)) != (marker.objects, marker.bytes):
        has = f"{len(found):,} files and {sum(found):,} bytes of {marker.objects:,} and {marker.bytes:,}"
        raise BackupError(f"{source} is no whole backup: it has {has}")
    if _count_rows(source / TASKS_FILE) != marker.tasks:
        raise BackupError(f"{source} is no whole backup: {TASKS_FILE} is damaged, or not the one that was copied")
    target = settings.data_directory
    if _is_within(target, source):
        raise BackupError(f"{target} is in the backup that it would be a copy of: name another folder")
    _refuse_other_store(source / TASKS_FILE, settings, is_alone=True)
    _make_empty(target)
    _mark(target, _Marker(_UNFINISHED, 0, 0, 0))
    for path in _files(source):
        name = path.relative_to(source)
        if str(name) not in {BACKUP_MARKER, TASKS_FILE, _KEYS}:
            _copy_new(path, target / name)
    _sync_folders(target)
    _copy(source / TASKS_FILE, target / TASKS_FILE)
    with closing(sqlite3.connect(target / TASKS_FILE)) as rows:
        forget_identity(rows)  # a bucket belongs to the service that was backed up, which may run still
        rows.commit()
        rows.execute("PRAGMA journal_mode = WAL")  # as a service makes it; the backup itself is one file
    keys = _put_back_keys(source / _KEYS, settings.api_keys_path)  # they may lie outside: only when the rest is whole
    (target / BACKUP_MARKER).unlink()  # last: before, no service starts there
    sync_folder(target)
    return Copied(marker.tasks, marker.objects, marker.bytes, keys)


def _put_back_keys(source: Path, target: Path) -> KeysOutcome:
    if not source.is_file():
        return "none"
    if os.path.lexists(target):
        return "kept"
    _copy(source, target)
    return "copied"


def _mark(folder: Path, marker: _Marker) -> None:
    with whole_file(folder / BACKUP_MARKER, mode=PRIVATE_MODE) as file:
        file.write(msgspec.json.encode(marker))


def _make_empty(folder: Path) -> None:
    make_folder(folder.absolute(), os.fsync)
    if any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty: name a new folder")


def _is_within(path: Path, folder: Path) -> bool:
    """Whether ``path``, which need not exist, is ``folder`` or lies in it, by whatever names both are called."""
    found = Path(os.path.realpath(path))  # raises nothing for links in a circle
    return folder.exists() and any(place.exists() and place.samefile(folder) for place in (found, *found.parents))


def _copy_rows(source: Path, target: Path) -> int:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE))
    opened = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    with closing(opened) as rows, closing(sqlite3.connect(target)) as copy:
        rows.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, whatever is copied of it next
        count: int = copy.execute("SELECT count(*) FROM tasks").fetchone()[0]
    return count


def _refuse_other_store(rows_file: Path, settings: Settings, *, is_alone: bool = False) -> None:
    """A copy of the rows without their files would pass for a whole one. ``is_alone``: nothing has the file open."""
    mode = "mode=ro&immutable=1" if is_alone else "mode=ro"
    with closing(sqlite3.connect(f"{rows_file.absolute().as_uri()}?{mode}", uri=True)) as rows:
        noted, here = read_place(rows), objects_place(settings)
        if is_other_kind(noted, here) and may_have_objects(rows):
            raise elsewhere(noted, here)


def _count_rows(file: Path) -> int | None:
    """None: it is no file of rows. One that SQLite finds damaged is none."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as rows:
            if rows.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return None
            count: int = rows.execute("SELECT count(*) FROM tasks").fetchone()[0]
            return count
    except sqlite3.Error:
        return None


def _files(folder: Path) -> Iterator[Path]:
    """Raises OSError for a folder that cannot be listed: a copy without it would pass for a whole one."""

    def refuse(error: OSError) -> None:
        if not isinstance(error, NO_FILE):
            raise error

    for path, _, names in os.walk(folder, onerror=refuse):
        for name in sorted(names):
            yield Path(path) / name


def _copy_if_there(source: Path, target: Path) -> bool:
    """Raises FileNotFoundError for a link that leads nowhere: a copy without the file would pass for a whole one."""
    is_there = os.path.lexists(source)
    if is_there:
        _copy(source, target, follows_links=True)
    return is_there


def _copy(source: Path, target: Path, *, follows_links: bool = False) -> int:
    """Copy to ``target``, which may be there, and bring it to the disk with its name."""
    if not target.parent.is_dir():
        make_folder(target.parent, os.fsync)
    opened = os.fdopen(open_file(source, follows_links=follows_links), "rb")
    with opened as reader, whole_file(target, mode=PRIVATE_MODE) as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        return writer.tell()


def _copy_new(source: Path, target: Path) -> int:
    """Copy to a new file, and bring its content to the disk; its name is not there before ``_sync_folders``.

    Each content by itself, since the system reports what the disk did not take to who wrote it alone. The marker says
    that nothing here is to be used yet, so a file needs no other name until it is whole.
    """
    if not target.parent.is_dir():
        make_folder(target.parent)
    opened = os.fdopen(open_file(source), "rb")
    with opened as reader, open(target, "xb", opener=private_opener) as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())
        return writer.tell()


def _sync_folders(root: Path) -> None:
    """Bring the names of all that is in a copy to the disk, each folder once."""
    for path, _, _ in os.walk(root):
        sync_folder(Path(path))
