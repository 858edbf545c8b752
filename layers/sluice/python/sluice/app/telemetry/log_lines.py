"""Tells events as log lines: one JSON object on one line, or a line for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from sluice.app.telemetry.error_entry import RecordedError, error_entry
from sluice.app.telemetry.event_levels import TELLINGS, Level
from sluice.app.telemetry.redaction import Budget, escape_unprintable, redacted_fields, redacted_text
from sluice.domain.errors import SluiceError
from sluice.domain.events import Event
from sluice.ports.clock import Clock
from sluice.ports.journal import Journal
from sluice.ports.log_context import current_context

LINE_BYTES_MAX = 16 * 1024
"""Log collectors cut longer lines, which breaks their JSON."""

IDS = ("task_id", "session_id", "trace_id", "request_id", "component")
"""Keys of a line that come from the call or from what is bound around it."""

_ID_ROOM = Budget(chars=200, items=0)
_ROOMS = (
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

    def record(self, event: Event, **fields: object) -> None:
        """Write one line. Never raises: a full disk must not stop an export."""
        if TELLINGS[event].level < self._level:
            return
        try:
            self._write(self._line(event, fields))
        except Exception:  # noqa: BLE001  # the port's promise; the loss is counted
            self.dropped += 1

    def _line(self, event: Event, fields: Mapping[str, object]) -> str:
        line = ""
        for room in _ROOMS:
            line = self._render(self._entry(event, fields, room))
            if len(line.encode()) <= LINE_BYTES_MAX:
                break
        return line

    def _entry(self, event: Event, fields: Mapping[str, object], room: Budget) -> Entry:
        telling = TELLINGS[event]
        rest = dict(fields)
        ids = {**current_context(), **{name: rest.pop(name) for name in IDS if rest.get(name)}}
        ids.setdefault("component", self._component)
        duration_s, error, code = rest.pop("duration_s", None), rest.pop("error", None), rest.pop("error_code", None)
        if isinstance(error, SluiceError):
            rest |= {name: value for name, value in error.facts.items() if name not in rest}
        return {
            "timestamp": _iso(self._clock.now()),
            "level": telling.level.name,
            **{name: redacted_text(str(ids[name]), _ID_ROOM) if name in ids else None for name in IDS},
            "event": event.value,
            "message": telling.message,
            "fields": redacted_fields(rest, room),
            "duration": round(duration_s * 1000, 3) if isinstance(duration_s, int | float) else None,
            "error": error_entry(error, code, room),
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
    told = " ".join(f"{_name(name)}={_json(value)}" for name, value in named.items() if value is not None)
    head = f"{entry['timestamp']} {entry['level']:<5} {entry['event']:<20} {entry['message']} {told}".rstrip()
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


def _name(name: str) -> str:
    return name if name.isidentifier() else _json(name)


def _json(value: object) -> str:
    return escape_unprintable(msgspec.json.encode(value).decode())


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
