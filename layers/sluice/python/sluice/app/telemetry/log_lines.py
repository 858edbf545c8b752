"""Writes events as log lines: one JSON object on one line, or a line for people, to a stream or a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Full, Queue
from threading import Lock, Thread
from typing import Protocol, TextIO

import msgspec

from sluice.app.settings.schema import Logging
from sluice.app.telemetry.event_levels import EVENT_TEXTS, level_of
from sluice.app.telemetry.redaction import (
    Budget,
    RecordedError,
    error_entry,
    escape_unprintable,
    redacted_fields,
    redacted_text,
)
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event, Level
from sluice.domain.timestamps import iso_time
from sluice.ports.clock import Clock
from sluice.ports.journal import Journal
from sluice.ports.log_context import current_context

LINE_BYTES_MAX = 16 * 1024
"""Log collectors cut longer lines, which breaks their JSON."""

LINES_WAITING_MAX = 2_000
"""Lines that wait to be written; more are dropped."""
CLOSE_S = 2.0

IDS = ("task_id", "session_id", "trace_id", "request_id", "component")
"""Keys of a line that come from the call or from what is bound around it."""

_ID_BUDGET = Budget(chars=200, items=0)
_BUDGETS = (
    Budget(chars=1_000, items=100),
    Budget(chars=200, items=20),
    Budget(chars=40, items=5),
    Budget(chars=0, items=0),
)
"""Tried one after the other until the line is short enough; the last one always is."""

Entry = dict[str, object]


class JournalLines:
    """A journal that writes each event of at least ``level`` as a line. Safe to use from threads if ``write`` is."""

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        clock: Clock,
        level: Level = Level.INFO,
        component: str = "sluice",
        console: bool = False,
    ) -> None:
        self._write = write
        self._clock = clock
        self._level = level
        self._component = component
        self._render = render_console if console else render_json
        self.dropped = 0
        """Lines that could not be written."""
        self._counting = Lock()

    def write_with(self, write: Callable[[str], None]) -> None:
        """Write later lines otherwise."""
        self._write = write

    def record(self, event: Event, **fields: object) -> None:
        """Write one line. Never raises: a full disk must not stop an export."""
        if level_of(event, fields) < self._level:
            return
        try:
            line = ""
            for budget in _BUDGETS:
                line = self._render(self._entry(event, fields, budget))
                if len(line.encode()) <= LINE_BYTES_MAX:
                    break
            self._write(line)
        except Exception:  # noqa: BLE001  # the port's promise; the loss is counted
            self.count_dropped()

    def count_dropped(self) -> None:
        with self._counting:
            self.dropped += 1

    def _entry(self, event: Event, fields: Mapping[str, object], budget: Budget) -> Entry:
        text = EVENT_TEXTS[event]
        rest = dict(fields)
        ids = {**current_context(), **{name: rest.pop(name) for name in IDS if rest.get(name)}}
        ids.setdefault("component", self._component)
        duration_s, error, code = rest.pop("duration_s", None), rest.pop("error", None), rest.pop("error_code", None)
        if isinstance(error, SluiceError):
            rest |= {name: value for name, value in error.facts.items() if name not in rest}
        return {
            "timestamp": iso_time(self._clock.now()),
            "level": level_of(event, fields).name,
            **{name: redacted_text(str(ids[name]), _ID_BUDGET) if name in ids else None for name in IDS},
            "event": event.value,
            "message": text.message,
            "fields": redacted_fields(rest, budget),
            "duration": round(duration_s * 1000, 3) if isinstance(duration_s, int | float) else None,
            "error": error_entry(error, code, budget),
        }


def render_json(entry: Entry) -> str:
    """Render an entry as one line of JSON. Whatever the entry holds, no part of it can begin another line."""
    return escape_unprintable(msgspec.json.encode(entry).decode())


def render_console(entry: Entry) -> str:
    """Render an entry for people. Values are JSON, so that they too cannot begin another line."""
    named = {name: entry[name] for name in IDS} | _mapping(entry["fields"])
    if entry["duration"] is not None:
        named["duration_ms"] = entry["duration"]
    error = _mapping(entry["error"])
    if error:
        named |= {"error": error["code"], "detail": error["message"]}
    shown = " ".join(
        f"{name if name.isidentifier() else _json(name)}={_json(value)}"
        for name, value in named.items()
        if value is not None
    )
    head = f"{entry['timestamp']} {entry['level']:<5} {entry['event']:<20} {entry['message']} {shown}".rstrip()
    stack = str(error.get("stack") or "")
    return "\n    ".join([head, *map(escape_unprintable, stack.splitlines())])


def replay_line(line: str | bytes, journal: Journal) -> bool:
    """Record again, in ``journal``, the event of a JSON line that another process wrote. False: it is no such line."""
    try:
        entry = msgspec.json.decode(line, type=dict[str, object])
        event = Event(str(entry["event"]))
        fields = _mapping(entry["fields"])
        fields |= {name: entry[name] for name in IDS if entry[name] is not None}
    except (KeyError, ValueError):
        return False
    if isinstance(entry.get("duration"), int | float):
        fields["duration_s"] = entry["duration"] / 1000  # type: ignore[operator]  # the line above says so
    error = _mapping(entry.get("error"))
    if error:
        fields["error_code"] = error.get("code")
    if error.get("message") is not None:
        stack = error.get("stack")
        fields["error"] = RecordedError(str(error["code"]), str(error["message"]), str(stack) if stack else None)
    journal.record(event, **{str(name): value for name, value in fields.items() if name != "event"})
    return True


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}


def _json(value: object) -> str:
    return escape_unprintable(msgspec.json.encode(value).decode())


class LogOutput(Protocol):
    """Takes whole lines from any thread."""

    def write(self, line: str) -> None: ...

    def close(self) -> None: ...


class StreamOutput:
    """Writes to a stream that its owner opened and closes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()

    def write(self, line: str) -> None:
        """Write a line in one call, so that lines of several processes on one pipe stay whole if they are short."""
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Leave the stream open."""


class FileOutput:
    """Appends to a file and puts it aside as ``.1``, ``.2`` … when it is large. For one process alone."""

    def __init__(self, path: Path, *, rotate_bytes: int, rotated_files_max: int) -> None:
        # Only who logs to a file pays for these modules (2 MB).
        from logging import makeLogRecord  # noqa: PLC0415  # 2 MB that only a log file needs
        from logging.handlers import RotatingFileHandler  # noqa: PLC0415  # 2 MB that only a log file needs

        path.parent.mkdir(parents=True, exist_ok=True)
        self._make_record = makeLogRecord
        self._handler = RotatingFileHandler(
            path, maxBytes=rotate_bytes, backupCount=rotated_files_max, encoding="utf-8"
        )
        self._handler.handleError = _raise  # type: ignore[method-assign,assignment]  # the journal counts what is lost

    def write(self, line: str) -> None:
        self._handler.handle(self._make_record({"msg": line}))

    def close(self) -> None:
        self._handler.close()


class QueuedOutput:
    """Writes in a thread of its own, so that no caller waits for a pipe that is not read or a disk that hangs.

    ``write`` raises ``queue.Full`` when ``LINES_WAITING_MAX`` lines wait; ``dropped`` is called for each line
    that could not be written later.
    """

    def __init__(self, output: LogOutput, dropped: Callable[[], None]) -> None:
        self._output = output
        self._dropped = dropped
        self._lines: Queue[str | None] = Queue(LINES_WAITING_MAX)
        self._thread = Thread(target=self._write_all, name="log-lines", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        self._lines.put_nowait(line)

    def close(self) -> None:
        """Write what waits, for ``CLOSE_S`` at most; what is left then is counted as dropped."""
        with suppress(Full):
            self._lines.put(None, timeout=CLOSE_S)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._output.close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._output.write(line)
            except Exception:  # noqa: BLE001  # whatever is wrong with the output, the loss is counted
                self._dropped()


def open_output(settings: Logging) -> LogOutput:
    """Open the output that the settings name. Raises OSError when it cannot be written."""
    if settings.output in {"stderr", "stdout"}:
        return StreamOutput(sys.stderr if settings.output == "stderr" else sys.stdout)
    return FileOutput(
        Path(settings.output), rotate_bytes=settings.rotate_bytes, rotated_files_max=settings.rotated_files_max
    )


def _raise(_record: object) -> None:
    raise  # noqa: PLE0704  # called by the handler while it handles the exception


@contextmanager
def open_lines(settings: Logging, *, clock: Clock, component: str, waits: bool = True) -> Iterator[JournalLines]:
    """Open the journal of lines that the settings describe. Raises OSError when the log file cannot be written.

    With ``waits=False`` no caller waits for the output, and lines that it does not take in time are dropped and
    counted. That is for a process that lives on: one that is frozen or killed after each call would lose lines.
    """
    output = open_output(settings)
    stream = {"stderr": sys.stderr, "stdout": sys.stdout}.get(settings.output)
    is_terminal = stream is not None and stream.isatty()
    lines = JournalLines(
        output.write,
        clock=clock,
        level=Level[settings.level],
        component=component,
        console=settings.format == "console" or (settings.format == "auto" and is_terminal),
    )
    if not waits:
        output = QueuedOutput(output, lines.count_dropped)
        lines.write_with(output.write)
    try:
        yield lines
    finally:
        output.close()
