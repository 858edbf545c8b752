"""Log lines: their keys, what never gets into them, and that they stay lines."""

from __future__ import annotations

import contextvars
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.app.settings.schema import Logging
from sluice.app.settings.validation import settings_from
from sluice.app.telemetry.event_levels import EVENT_TEXTS
from sluice.app.telemetry.log_lines import (
    LINE_BYTES_MAX,
    FileOutput,
    JournalLines,
    StreamOutput,
    open_output,
    replay_line,
)
from sluice.app.telemetry.telemetry import JournalTee, open_telemetry
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event, Level
from sluice.domain.secret import Secret
from sluice.ports.log_context import bound_context, current_context
from sluice.ports.store_errors import OutcomeUnknown
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import RecordedJournal

KEYS = [
    "timestamp",
    "level",
    "task_id",
    "session_id",
    "trace_id",
    "request_id",
    "component",
    "event",
    "message",
    "fields",
    "duration",
    "error",
]
CANARY = "canary5cf1d0"


def told(event: Event = Event.TASK_COMPLETED, /, **fields: object) -> str:
    return _told(event, fields, console=False)


def told_to_people(event: Event = Event.TASK_COMPLETED, /, **fields: object) -> str:
    return _told(event, fields, console=True)


def _told(event: Event, fields: Mapping[str, object], *, console: bool) -> str:
    lines: list[str] = []
    journal = JournalLines(lines.append, clock=FakeClock(1_767_954_645.1234), level=Level.DEBUG, console=console)
    journal.record(event, **fields)
    assert journal.dropped == 0
    return lines[0]


def entry(event: Event = Event.TASK_COMPLETED, /, **fields: object) -> dict[str, object]:
    decoded = json.loads(told(event, **fields))
    assert isinstance(decoded, dict)
    return decoded


def caught(error: BaseException) -> BaseException:
    """The error with a traceback, as a handler would have it."""
    with pytest.raises(type(error)) as raised:
        raise error
    return raised.value


def test_a_line_has_exactly_the_agreed_keys_in_their_order() -> None:
    assert list(entry(rows=1)) == KEYS
    assert list(entry(Event.SYSTEM_ERROR, error=caught(ValueError("x")), duration_s=1)) == KEYS


def test_a_line_says_when_how_loud_and_what() -> None:
    line = entry(task_id="t", format="csv", rows=5, duration_s=1.2345678)
    assert line["timestamp"] == "2026-01-09T10:30:45.123Z"
    assert line["level"] == "INFO"
    assert line["event"] == "TaskCompleted"
    assert line["message"] == "The file of an export is complete."
    assert line["task_id"] == "t"
    assert line["fields"] == {"format": "csv", "rows": 5}
    assert line["duration"] == 1234.568
    assert line["error"] is None
    assert line["component"] == "sluice"
    assert line["session_id"] is None


@pytest.mark.parametrize("event", list(Event))
def test_every_event_has_a_level_and_a_sentence(event: Event) -> None:
    level, message = EVENT_TEXTS[event]
    assert level in Level
    assert re.fullmatch(r"[A-Z][^{}%]+\.", message)
    assert entry(event)["event"] == event.value


def test_sentences_are_not_shared() -> None:
    assert len({text.message for text in EVENT_TEXTS.values()}) == len(Event)


def test_events_below_the_level_are_not_written() -> None:
    lines: list[str] = []
    journal = JournalLines(lines.append, clock=FakeClock(), level=Level.WARN)
    for event in (Event.UPLOAD_PART, Event.TASK_CREATED, Event.ATTEMPT_FENCED, Event.TASK_FAILED):
        journal.record(event)
    assert [json.loads(line)["level"] for line in lines] == ["WARN", "ERROR"]


def test_what_is_bound_around_a_call_is_in_its_lines() -> None:
    with bound_context(request_id="r", component="grpc"), bound_context(task_id="t", session_id="s", trace_id="x"):
        line = entry()
    assert [line[key] for key in KEYS[2:7]] == ["t", "s", "x", "r", "grpc"]
    assert entry()["request_id"] is None


def test_what_the_call_says_itself_wins_over_what_is_bound() -> None:
    with bound_context(task_id="bound", component="grpc"):
        line = entry(task_id="said")
        assert entry(task_id=None)["task_id"] == "bound"
    assert (line["task_id"], line["component"]) == ("said", "grpc")


def test_a_binding_ends_with_its_block_even_after_an_error() -> None:
    with pytest.raises(KeyError), bound_context(task_id="t"):
        raise KeyError
    assert dict(current_context()) == {}


def test_a_binding_follows_a_copied_context_into_a_thread() -> None:
    seen: list[str | None] = []

    def look() -> None:
        seen.append(current_context().get("task_id"))

    with bound_context(task_id="t"):
        context = contextvars.copy_context()
        threads = [threading.Thread(target=look), threading.Thread(target=context.run, args=(look,))]
        for thread in threads:
            thread.start()
            thread.join()
    assert seen == [None, "t"]


def test_an_error_of_ours_tells_its_code_its_words_and_its_facts() -> None:
    error = SluiceError(ErrorCode.CHUNK_CORRUPT, "the chunk is not as written", sequence=7)
    line = entry(Event.TASK_FAILED, error=caught(error), error_code="CHUNK_CORRUPT")
    told_error = line["error"]
    assert isinstance(told_error, dict)
    assert (told_error["code"], told_error["message"]) == ("CHUNK_CORRUPT", "the chunk is not as written")
    assert re.search(r"test_telemetry\.py:\d+ caught", told_error["stack"])
    assert line["fields"] == {"sequence": 7}


def test_an_error_the_caller_must_mend_needs_no_stack() -> None:
    line = entry(Event.VALIDATION_ERROR, error=caught(SluiceError(ErrorCode.INVALID_REQUEST)))
    assert line["error"] == {
        "code": "INVALID_REQUEST",
        "message": "The request is not well-formed.",
        "stack": None,
    }


def test_a_foreign_error_tells_its_kind_and_where_but_not_its_words() -> None:
    line = entry(Event.SYSTEM_ERROR, error=caught(ValueError(f"could not convert {CANARY}")))
    assert line["error"]["code"] == "INTERNAL"  # type: ignore[index]  # a mapping, as the next lines show
    assert line["error"]["message"] == "ValueError"  # type: ignore[index]
    assert CANARY not in json.dumps(line)


def test_an_error_of_the_system_tells_why_but_not_which_file() -> None:
    try:
        Path(f"/nonexistent/{CANARY}.xlsx").read_bytes()
    except OSError as error:
        line = entry(Event.WRITE_ERROR, error=error)
    assert "No such file or directory" in json.dumps(line)
    assert CANARY not in json.dumps(line)


def test_the_causes_of_an_error_are_told() -> None:
    error = OutcomeUnknown("a reset")
    error.__cause__ = caught(ValueError(CANARY))
    told_error = entry(Event.UPLOAD_ERROR, error=caught(error))["error"]
    assert isinstance(told_error, dict)
    assert (told_error["code"], told_error["message"]) == ("STORE_UNAVAILABLE", "OutcomeUnknown: a reset")
    assert "caused by ValueError\n" in told_error["stack"]
    assert CANARY not in told_error["stack"]


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "authorization",
        "Authorization",
        "secret",
        "client_secret",
        "signature",
        "url",
        "oss_url",
        "ossUrl",
        "link",
        "filename",
        "file_name",
        "fileName",
        "password",
        "api_key",
        "access_key_id",
        "cookie",
        "cell",
        "value",
        "headers",
    ],
)
def test_a_field_that_must_not_be_logged_never_is(name: str) -> None:
    for line in (
        told(**{name: CANARY}),
        told(outer={name: CANARY, "deeper": [{name: CANARY}]}),
        told_to_people(**{name: CANARY}),
    ):
        assert CANARY not in line
        assert f'"{name}"' not in line


@pytest.mark.parametrize("name", ["rows", "cancelled", "cells_count", "key", "result_key", "columns", "expires_at"])
def test_other_fields_are_logged(name: str) -> None:
    assert entry(**{name: 1})["fields"] == {name: 1}


@pytest.mark.parametrize(
    "text",
    [
        f"slc_aaaaaaaaaaaa_{CANARY}",
        f"Bearer {CANARY}",
        f"authorization: basic {CANARY}",
        f"https://bucket.example.com/a?Signature={CANARY}",
        f"x-oss-signature={CANARY}&x",
        f"x-oss-security-token: {CANARY}",
        f"AccessKeySecret={CANARY}",
        f'{{"password": "{CANARY}"}}',
    ],
)
def test_a_secret_inside_a_text_is_cut_out(text: str) -> None:
    error = SluiceError(ErrorCode.INTERNAL, text)
    for line in (told(note=text), told(Event.SYSTEM_ERROR, error=error), told(request_id=text), told(notes=[text])):
        assert CANARY not in line
        assert "[redacted]" in line


def test_a_secret_type_prints_as_its_type_alone() -> None:
    assert entry(oss_key=Secret(CANARY))["fields"] == {"oss_key": "[Secret]"}


def test_only_plain_values_are_written_out() -> None:
    class Colour(StrEnum):
        RED = "red"

    fields = entry(
        a=True, b=1.5, c="x", d=None, e=Colour.RED, f=b"abc", g=object(), h=Path("/home/x"), i=float("nan"), j=10**40
    )["fields"]
    assert fields == {
        "a": True,
        "b": 1.5,
        "c": "x",
        "e": "red",
        "f": "[3 bytes]",
        "g": "[object]",
        "h": "[PosixPath]",
        "i": None,
        "j": "1" + "0" * 40,
    }


HOSTILE = [
    '\n{"level":"INFO"}',
    "\r\n",
    "\u2028\u2029\x85",
    "\x1b[2J\x07\x00",
    "\u202eevil",
    '"}',
    "\ud800",
    "\x7f\x9b",
    "\ufeff",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("tell", [told, told_to_people])
def test_no_text_from_outside_can_begin_a_line_or_command_a_terminal(text: str, tell: Callable[..., str]) -> None:
    error = SluiceError(ErrorCode.INTERNAL, text)
    line = tell(Event.SYSTEM_ERROR, task_id=text, note=text, error=error, **{f"x{text}": 1})
    assert len(line.splitlines()) == 1
    assert all(character.isprintable() for character in line)


@given(st.text(), st.text())
def test_any_text_survives_as_json_in_one_line(name: str, text: str) -> None:
    line = told(**{f"x_{name}": text, "y": text})
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == "TaskCompleted"


def test_a_text_in_a_line_is_the_text_that_was_given() -> None:
    text = 'Zoë "quoted" \\ 表 \u2028 \x7f €'
    assert entry(note=text)["fields"] == {"note": text}


@pytest.mark.parametrize(
    "fields",
    [
        {"note": "x" * 100_000},
        {"note": "\x00" * 100_000},
        {"note": "表" * 100_000},
        {f"n{number}": "表" * 1_000 for number in range(12)},  # short enough in characters, not in bytes
        {f"n{number}": "表" * 2_000 for number in range(500)},
        {"rows": list(range(100_000))},
        {"deep": {str(a): {str(b): ["x" * 500] * 99 for b in range(99)} for a in range(99)}},
        {"x" * 100_000: 1},
        {"task_id": "\x00" * 100_000},
        {"error": SluiceError(ErrorCode.INTERNAL, "\x01" * 50_000)},
    ],
)
def test_a_line_is_never_longer_than_collectors_take_and_says_what_was_cut(fields: dict[str, object]) -> None:
    line = told(Event.SYSTEM_ERROR, **fields)
    assert len(line.encode()) <= LINE_BYTES_MAX
    assert "…" in line
    assert list(json.loads(line)) == KEYS


def test_lists_inside_lists_are_cut_shorter_so_that_nesting_cannot_multiply_the_work() -> None:
    fields = entry(outer=list(range(60)), nested={"inner": list(range(60))})["fields"]
    assert isinstance(fields, dict)
    assert len(fields["outer"]) == 10 + 1
    assert fields["nested"]["inner"] == [0, 1, "… [60 items]"]


def test_a_deep_stack_is_cut_visibly() -> None:
    def fall(depth: int) -> None:
        if depth == 0:
            raise ValueError
        fall(depth - 1)

    try:
        fall(400)
    except ValueError as error:
        line = told(Event.SYSTEM_ERROR, error=error)
    assert len(line.encode()) <= LINE_BYTES_MAX
    assert "characters]" in json.loads(line)["error"]["stack"]


def test_cutting_a_long_text_does_not_leave_half_a_secret() -> None:
    for length in range(960, 1_010):
        assert "ca" not in told(note="." * length + f" Bearer {CANARY}")


def test_a_long_text_costs_no_more_than_the_part_that_is_kept() -> None:
    line = told(note="a" * 20_000_000)
    assert "[20000000 characters]" in line


def test_a_line_that_cannot_be_written_is_counted_and_does_not_raise() -> None:
    def full(_: str) -> None:
        raise OSError(28, "No space left on device")

    journal = JournalLines(full, clock=FakeClock())
    journal.record(Event.TASK_CREATED)
    journal.record(Event.TASK_CREATED)
    assert journal.dropped == 2


def test_lines_for_people_are_readable() -> None:
    line = told_to_people(task_id="t1", rows=5, duration_s=0.25)
    assert line == (
        "2026-01-09T10:30:45.123Z INFO  TaskCompleted        The file of an export is complete. "
        'task_id="t1" component="sluice" rows=5 duration_ms=250.0'
    )


def test_lines_for_people_show_where_an_error_came_from() -> None:
    first, *stack = told_to_people(Event.SYSTEM_ERROR, error=caught(KeyError("x"))).splitlines()
    assert 'error="INTERNAL" detail="KeyError"' in first
    assert all(line.startswith("    ") for line in stack)
    assert stack


def test_a_line_of_another_process_is_recorded_again_as_it_was() -> None:
    journal = RecordedJournal()
    assert replay_line(told(task_id="t", rows=5, duration_s=0.5, swept={"lost_trigger": 1}), journal)
    (recorded,) = journal.entries
    assert recorded.event is Event.TASK_COMPLETED
    assert recorded.fields == {
        "task_id": "t",
        "component": "sluice",
        "rows": 5,
        "swept": {"lost_trigger": 1},
        "duration_s": 0.5,
    }


def test_a_line_told_twice_over_says_the_same() -> None:
    with bound_context(request_id="r", component="composer"):
        first = told(Event.TASK_FAILED, task_id="t", error=caught(OutcomeUnknown("a reset")), error_code="X", rows=5)
    lines: list[str] = []
    assert replay_line(first.encode(), JournalLines(lines.append, clock=FakeClock(1_767_954_645.1234)))
    assert json.loads(lines[0]) == json.loads(first)


@pytest.mark.parametrize("line", ["", "not json", "[]", "{}", '{"event":"Other","fields":{}}', b"\xff", '{"event":1}'])
def test_what_is_no_log_line_is_not_recorded(line: str | bytes) -> None:
    journal = RecordedJournal()
    assert not replay_line(line, journal)
    assert journal.entries == []


def test_lines_go_to_a_stream_whole_from_many_threads() -> None:
    stream = io.StringIO()
    output = StreamOutput(stream)

    def write_many(name: int) -> None:
        for _ in range(200):
            output.write(str(name) * 50)

    threads = [threading.Thread(target=write_many, args=(name,)) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1_000
    assert {len(set(line)) for line in lines} == {1}


def test_a_log_file_that_is_large_is_put_aside(tmp_path: Path) -> None:
    output = FileOutput(tmp_path / "logs" / "sluice.log", rotate_bytes=1_000, rotated_files_max=2)
    for number in range(50):
        output.write(f"{number:099d}")
    output.close()
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["sluice.log", "sluice.log.1", "sluice.log.2"]
    assert all(path.stat().st_size <= 1_000 for path in (tmp_path / "logs").iterdir())
    assert (tmp_path / "logs" / "sluice.log").read_text().splitlines()[-1] == f"{49:099d}"


def test_a_log_file_that_cannot_be_written_is_reported_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        open_output(Logging(output=str(tmp_path / "file" / "sluice.log")))


class BrokenJournal:
    """As one that is to write a time that no date has."""

    def record(self, event: Event, **fields: object) -> None:
        raise OverflowError(event, fields)


def test_a_tee_passes_every_event_to_each_journal_though_one_fails() -> None:
    first, second = RecordedJournal(), RecordedJournal()
    JournalTee(first, BrokenJournal(), second).record(Event.TASK_CREATED, task_id="t")
    assert first.entries == second.entries == [(Event.TASK_CREATED, {"task_id": "t"})]


def test_telemetry_follows_the_settings(tmp_path: Path) -> None:
    log = tmp_path / "sluice.log"
    env = {
        "SLUICE_LOGGING_OUTPUT": str(log),
        "SLUICE_LOGGING_LEVEL": "debug",
        "SLUICE_STORAGE_DATA_DIRECTORY": str(tmp_path / "not" / "yet"),
    }
    with open_telemetry(settings_from(env, None), component="relay") as telemetry:
        telemetry.journal.record(Event.BATCH_PROCESSED, task_id="t", rows=3)
        metrics = telemetry.metrics.render().decode()
    line = json.loads(log.read_text())
    assert (line["component"], line["event"], line["level"]) == ("relay", "BatchProcessed", "DEBUG")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC
    assert "export_records_processed_total 3.0" in metrics
    disk = re.search(r"^export_disk_bytes (\S+)$", metrics, re.MULTILINE)
    assert disk is not None
    assert float(disk[1]) > 0


def test_the_composers_journal_loads_nothing_heavy() -> None:
    code = (
        "import sys, io; from sluice.app.telemetry.log_lines import JournalLines;"
        "from sluice.adapters.system_clock import SystemClock; from sluice.domain.events import Event;"
        "JournalLines(print, clock=SystemClock()).record(Event.TASK_CREATED);"
        "heavy = {'structlog', 'logging', 'prometheus_client', 'asyncio', 'yaml'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
