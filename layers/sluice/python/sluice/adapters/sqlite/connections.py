"""Connections to one SQLite file, lent to one thread at a time."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock, get_ident
from typing import Literal

from sluice.ports.store_errors import OutcomeUnknown, StoreFull, StoreRefused

Synchronous = Literal["FULL", "NORMAL", "OFF"]
"""FULL: what was committed survives a power failure. The others are faster and for tests."""

_UNKNOWN = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_INTERRUPT,
}
"""Errors of the disk or of sharing it. Any other error is a bug of ours or a damaged file, and stays what it is."""

LOG_BYTES_KEPT = 4 << 20
"""Of the write-ahead log, which one large change may make longer than the file: it is cut to so much afterwards."""


class _FileConnection(sqlite3.Connection):
    """Knows which write-ahead log it has open."""

    log: tuple[int, int] | None = None


class Connections:
    """A pool that grows to as many connections as threads use at once.

    A file that is removed or replaced stays open and takes what is written, for no one to find again. So each
    use begins with a look whether the names still lead to what is open.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous, busy_timeout_s: float) -> None:
        with _unknown_when_file_fails():
            _make_file(path)
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._file = _identity(path)
        self._synchronous = synchronous
        self._busy_timeout_s = busy_timeout_s
        self._idle: list[_FileConnection] = []
        self._closed = False
        self._writing = Lock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; everything read through it is of one moment."""
        with self._lend() as db:
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside a transaction, which is committed at the end unless an error leaves it.

        Threads of this process queue at a lock, because SQLite's own waiting is sleeping and trying again.
        """
        with self.alone() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection outside any transaction, while no other thread of this process writes."""
        if not self._writing.acquire(timeout=self._busy_timeout_s):
            raise OutcomeUnknown("another thread is writing")
        try:
            with self._lend() as db:
                yield db
        finally:
            self._writing.release()

    def close(self) -> None:
        """Close all connections; one that is lent is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _lend(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; after any error it is closed instead of lent again, which also rolls back."""
        with _unknown_when_file_fails():
            db = self._take()
            try:
                yield db
            except BaseException:
                db.close()
                raise
            if db.log is None:
                db.log = _identity(self._log)
            self._idle.append(db)
        if self._closed:
            self.close()

    def _take(self) -> _FileConnection:
        if self._closed:
            raise RuntimeError("the task store is closed")
        self._check(self._path, self._file)
        try:
            db = self._idle.pop()
        except IndexError:
            return self._connect()
        if db.log is not None:
            try:
                self._check(self._log, db.log)
            except StoreRefused:
                self._idle.append(db)  # the last one that closes would write into a log without a name
                raise
        return db

    def _check(self, path: Path, opened: tuple[int, int] | None) -> None:
        if _identity(path) != opened:
            raise StoreRefused(
                f"{path.name} was removed or replaced while it was in use, and nothing is written into what is gone: "
                "put back what was there, or stop every process that uses it before you start with another"
            )

    def _connect(self) -> _FileConnection:
        db = sqlite3.connect(
            self._path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
            factory=_FileConnection,
        )
        try:
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
            db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_KEPT}")
            db.text_factory = _text
        except BaseException:
            db.close()
            raise
        return db


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a name leads to; None: to none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutcomeUnknown(errno.errorcode.get(error.errno or 0, "OSError")) from error
    return found.st_dev, found.st_ino


def _text(stored: bytes) -> str | bytes:
    """A text, or the bytes of one that is damaged: which row that is, only who decodes the row can say."""
    try:
        return str(stored, "utf-8")
    except UnicodeDecodeError:
        return stored


def _make_file(path: Path) -> None:
    """Make the file if there is none, in write-ahead mode from its first moment.

    Processes that switch one file's mode at once refuse each other without
    waiting; so the file is made aside and gets its name when it is ready.
    """
    if path.exists():
        return
    staged = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    staged.unlink(missing_ok=True)
    with suppress(OSError):  # SQLite meets the same, and says it in its own way
        os.close(os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # the files beside it get its mode
    with closing(sqlite3.connect(staged, isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before anything is written; see free_pages.py
        db.execute("PRAGMA journal_mode = WAL")
    with suppress(FileExistsError):
        os.link(staged, path)
    staged.unlink()


@contextmanager
def _unknown_when_file_fails() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
            raise StoreFull(code=error.sqlite_errorname) from error
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNKNOWN:  # the rest of the code says more precisely what
            raise OutcomeUnknown(error.sqlite_errorname) from error
        raise
