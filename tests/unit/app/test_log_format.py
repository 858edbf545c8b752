"""Lines are for people on a terminal and for machines elsewhere, and a sweep that found nothing is no news."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Literal

import pytest

from sluice.app.settings.schema import Logging
from sluice.app.telemetry.event_levels import level_of
from sluice.app.telemetry.log_lines import IDS, JournalLines, open_lines, replay_line
from sluice.domain.events import Event, Level
from sluice.usecases.upkeep.sweep_tasks import SweepMemory, sweep_tasks
from tests.support.data_directory import open_task
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal


def written(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, form: Literal["auto", "json", "console"]) -> str:
    """What a line is on standard error, which is a terminal or a pipe."""
    reading, writing = os.openpty() if terminal else os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with open_lines(Logging(format=form), clock=FakeClock(), component="test") as lines:
            lines.record(Event.TASK_CREATED, task_id="t-1", columns=3)
        text = os.read(reading, 10_000).decode()
    os.close(reading)
    return text.rstrip()


@pytest.mark.parametrize(
    ("terminal", "form", "is_json"),
    [
        (True, "auto", False),
        (False, "auto", True),
        (True, "json", True),
        (False, "console", False),
    ],
)
def test_lines_are_for_people_on_a_terminal_and_json_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,  # noqa: FBT001 -- a parameter of the test
    form: Literal["auto", "json", "console"],
    is_json: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    line = written(monkeypatch, terminal=terminal, form=form)
    if is_json:
        assert json.loads(line)["task_id"] == "t-1"
    else:
        assert "TaskCreated" in line
        assert 'An export was opened. task_id="t-1" component="test" columns=3' in line


def test_a_file_gets_json_whatever_standard_error_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open_lines(Logging(output=str(log)), clock=FakeClock(), component="test") as lines:
        lines.record(Event.TASK_CREATED)
    assert json.loads(log.read_text())["event"] == "TaskCreated"


def level_of_a_sweep(*, is_watched: bool, idle_s: float) -> Level:
    clock = FakeClock()
    ports = memory_ports(clock)
    open_task(ports)
    clock.advance(idle_s)
    sweep_tasks(ports, memory=SweepMemory(trusts_clock=True), is_watched=is_watched)
    assert isinstance(ports.journal, RecordedJournal)
    (fields,) = ports.journal.of(Event.SWEEP_FINISHED)
    return level_of(Event.SWEEP_FINISHED, fields)


def test_a_sweep_that_found_nothing_is_debug_unless_an_alert_waits_for_it() -> None:
    assert level_of_a_sweep(is_watched=False, idle_s=1) is Level.DEBUG
    assert level_of_a_sweep(is_watched=True, idle_s=1) is Level.INFO
    assert level_of_a_sweep(is_watched=False, idle_s=10 * 86_400) is Level.INFO
    assert level_of(Event.SWEEP_FINISHED, {"reconciled_rows": 9}) is Level.INFO


def test_no_line_of_a_stack_is_obeyed_by_a_terminal() -> None:
    """It may be that of another process, as its line says it."""
    told: list[str] = []
    lines = JournalLines(told.append, clock=FakeClock(), console=True)
    error = {"code": "INTERNAL", "message": "x\x1b[2J", "stack": "a.py:1 in f\x1b[2J\x07\nb.py:2 in g\x9b31m"}
    line = {"event": "SystemError", "fields": {}, "duration": None, "error": error, **dict.fromkeys(IDS)}
    assert replay_line(json.dumps(line), lines)
    (shown,) = told
    assert [char for char in shown if not (char.isprintable() or char == "\n")] == []
    assert "a.py:1 in f\\u001b[2J" in shown
