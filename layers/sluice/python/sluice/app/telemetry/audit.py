"""Keeps who asked for what of which dataset in a file of its own, whatever is logged: one JSON object on each line."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock

import msgspec

from sluice.adapters.directory.atomic_file import NO_ROOM, PRIVATE_MODE
from sluice.app.telemetry.redaction import Budget, escape_unprintable, redacted_text
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.timestamps import iso_time
from sluice.domain.user import USER_CHARS_MAX
from sluice.ports.clock import Clock
from sluice.ports.journal import Journal
from sluice.ports.log_context import current_context

AUDIT_FILE = "audit.jsonl"
"""In the data directory."""
WAITING_MAX = 1_000
"""Records that wait for room on the disk; beyond them the oldest are in the log alone."""
_NAMES_MAX = 1_000
_TEXT = Budget(chars=256, items=0)
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)

_ENDS = {
    Event.TASK_COMPLETED: ("file", "completed"),
    Event.TASK_FAILED: ("file", "failed"),
    Event.TASK_CANCELLED: ("file", "cancelled"),
    Event.TASK_EXPIRED: ("file", "expired"),
    Event.TASK_DELETED: ("file", "deleted"),
    Event.LINK_ISSUED: ("link", "issued"),
}
"""What becomes of an export, where it is one of a dataset."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. No value of a row is in it, nor one that a column is compared with, days and moments excepted."""

    time: str
    user: str
    tenant: str
    dataset: str
    what: str
    """``list``, ``show``, ``preview``, ``export``, ``render``; ``file``, what became of it; ``link``, ``download``."""
    outcome: str
    """How it ended; of a refusal its code."""
    reason: str | None = None
    columns: list[str] | None = None
    """Those of the rows, by their names in the dataset; ``masked`` are those of them that hide their values."""
    masked: list[str] | None = None
    columns_asked: list[str] | None = None
    filters: list[str] | None = None
    """The names of the columns that are compared."""
    ids: int | None = None
    """How many rows were selected one by one."""
    date_from: str | None = None
    date_to: str | None = None
    rows: int | None = None
    bytes: int | None = None
    format: str | None = None
    datasets: int | None = None
    not_shown: int | None = None
    via: str | None = None
    is_part: bool | None = None
    error_code: str | None = None
    client: str | None = None
    """The address of the caller."""
    key_id: str | None = None
    """Of the tenant's key that called, also for a user; None for a user's own token, and for a link's holder."""
    request_id: str | None = None
    task_id: str | None = None


_FIELDS = frozenset(AuditRecord.__struct_fields__)
_TEXTS = ("time", "user", "tenant", "dataset", "what", "outcome")


class AuditFile:
    """Implements ``Journal``: appends what concerns a dataset to a file, and drops the rest. Safe to use from threads.

    The file is opened for each line, so it may be moved away at any time; the service never does. A line that cannot
    be written waits, and is in the log meanwhile as an error: ``check`` raises until all are on the disk.
    """

    def __init__(self, path: Path, *, clock: Clock, journal: Journal) -> None:
        """``journal`` has what cannot be written."""
        self._path = path
        self._clock = clock
        self._journal = journal
        self._waiting: deque[bytes] = deque(maxlen=WAITING_MAX)
        self._failed: OSError | None = None
        self._lock = Lock()

    def record(self, event: Event, **fields: object) -> None:
        """Append the line of the event; never raises OSError."""
        record = self._record_of(event, fields)
        if record is None:
            return
        line = escape_unprintable(msgspec.json.encode(record).decode()).encode() + b"\n"
        with self._lock:
            self._waiting.append(line)
            self._write_waiting()
            failed = self._failed
        if failed is not None:
            facts = {name: value for name, value in msgspec.structs.asdict(record).items() if value is not None}
            note = f"{AUDIT_FILE} cannot be written; the record waits"
            more = {"component": "audit", "note": note, "error": failed, "error_code": _code_of(failed).value}
            self._journal.record(Event.SYSTEM_ERROR, **{**facts, **more})

    def check(self) -> None:
        """Write what waits. Raises STORAGE_FULL or STORE_UNAVAILABLE as long as that fails."""
        with self._lock:
            if self._failed is not None:
                self._write_waiting()
            failed = self._failed
        if failed is not None:
            detail = f"{AUDIT_FILE} cannot be written ({_name_of(failed)}): no dataset is given until it can"
            raise SluiceError(_code_of(failed), detail)

    def _record_of(self, event: Event, fields: Mapping[str, object]) -> AuditRecord | None:
        what, outcome = _ENDS.get(event, (str(fields.get("what", "")), str(fields.get("outcome", ""))))
        if event is not Event.DATASET_ASKED and not (event in _ENDS and fields.get("dataset")):
            return None
        known = {**current_context(), **{name: value for name, value in fields.items() if value is not None}}
        texts = {name: _clean(value) for name, value in known.items() if name in _FIELDS}
        if isinstance(user := known.get("user"), str):
            texts["user"] = user[:USER_CHARS_MAX]  # as it is, whatever it looks like: it says who did it
        texts |= {"time": iso_time(self._clock.now()), "what": what, "outcome": outcome}
        whole = {"user": "", "tenant": "", "dataset": "", **texts}
        try:
            return msgspec.convert(whole, AuditRecord)
        except msgspec.ValidationError:  # a record with a gap is better than none
            return msgspec.convert({name: str(whole[name]) for name in _TEXTS}, AuditRecord)

    def _write_waiting(self) -> None:
        try:
            _append(self._path, self._waiting)
            self._failed = None
        except OSError as error:
            self._failed = error


def _append(path: Path, lines: deque[bytes]) -> None:
    """Write each line by one call, and take it away; all are on the disk at the end."""
    descriptor = os.open(path, _FLAGS, PRIVATE_MODE)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a disk that was full cut a line off, or a power cut
            _write_whole(descriptor, b"\n")
        while lines:
            _write_whole(descriptor, lines[0])
            lines.popleft()
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_whole(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _clean(value: object) -> object:
    """A value as a line may have it: no long text, no known form of a secret."""
    match value:
        case str():
            return redacted_text(value, _TEXT)
        case list() | tuple():
            texts = [redacted_text(str(one), _TEXT) for one in value[:_NAMES_MAX]]
            return texts if len(value) <= _NAMES_MAX else [*texts, f"… [{len(value)} names]"]
        case _:
            return value


def _code_of(error: OSError) -> ErrorCode:
    return ErrorCode.STORAGE_FULL if error.errno in NO_ROOM else ErrorCode.STORE_UNAVAILABLE


def _name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "OSError")


def read_lines(lines: Iterable[bytes]) -> Iterable[AuditRecord | None]:
    """Read the lines of a file back; None stands for one that is damaged."""
    decoder = msgspec.json.Decoder(AuditRecord)
    for line in lines:
        if line.strip():
            try:
                yield decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                yield None
