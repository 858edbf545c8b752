"""The file of who asked for what: whole lines, never lost in silence, and nothing that must not be in it."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from sluice.app.settings.validation import settings_from
from sluice.app.telemetry.audit import AUDIT_FILE, WAITING_MAX, AuditFile, read_lines
from sluice.app.telemetry.telemetry import open_telemetry
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.ports.log_context import bound_context
from tests.support.command_line import sluice
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import RecordedJournal

ASKED: dict[str, object] = {"what": "export", "outcome": "opened", "user": "ann", "tenant": "t", "dataset": "orders"}


class Disk:
    """A disk whose writes can fail, or end early."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.room = 0
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.full:
            return self._write(descriptor, data)
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        room, self.room = self.room, 0
        return self._write(descriptor, data[:room])


@pytest.fixture
def journal() -> RecordedJournal:
    return RecordedJournal()


@pytest.fixture
def audit(tmp_path: Path, journal: RecordedJournal) -> AuditFile:
    return AuditFile(tmp_path / AUDIT_FILE, clock=FakeClock(), journal=journal)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / AUDIT_FILE).read_bytes().splitlines()]


def test_a_record_has_what_the_call_is_about(audit: AuditFile, tmp_path: Path) -> None:
    with bound_context(client="10.0.0.7", request_id="r", task_id="t1", component="http"):
        audit.record(Event.DATASET_ASKED, **ASKED, columns=["id"], filters=["state"], ids=2, token="x", rows=None)
    assert lines(tmp_path) == [
        {"time": "2023-11-14T22:13:20.000Z", **ASKED, "columns": ["id"], "filters": ["state"], "ids": 2}
        | {"client": "10.0.0.7", "request_id": "r", "task_id": "t1"}
    ]
    assert (tmp_path / AUDIT_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("event", "what", "outcome"),
    [
        (Event.TASK_COMPLETED, "file", "completed"),
        (Event.TASK_FAILED, "file", "failed"),
        (Event.TASK_CANCELLED, "file", "cancelled"),
        (Event.TASK_EXPIRED, "file", "expired"),
        (Event.TASK_DELETED, "file", "deleted"),
        (Event.LINK_ISSUED, "link", "issued"),
    ],
)
def test_what_becomes_of_an_export_of_a_dataset_is_recorded_and_of_no_other(
    audit: AuditFile, tmp_path: Path, event: Event, what: str, outcome: str
) -> None:
    audit.record(event, task_id="pushed", tenant="t", rows=1)
    audit.record(Event.TASK_CREATED, task_id="t1", tenant="t", dataset="orders", user="ann")
    audit.record(event, task_id="t1", tenant="t", dataset="orders", user="ann", rows=7, error_code="TOO_MANY_ROWS")
    (line,) = lines(tmp_path)
    assert (line["what"], line["outcome"], line["rows"], line["error_code"]) == (what, outcome, 7, "TOO_MANY_ROWS")


def test_nothing_in_a_name_breaks_a_line_or_shows_a_known_secret(audit: AuditFile, tmp_path: Path) -> None:
    evil = ["a\nb", "\x1b[2J", "\u202e", "\ud800", "password=hunter2", "x" * 10_000, "Bearer abc.def.ghi"]
    audit.record(Event.DATASET_ASKED, **{**ASKED, "user": "ann\r\nroot"}, filters=evil)
    audit.record(Event.DATASET_ASKED, **ASKED, columns_asked=[str(number) for number in range(5_000)])
    first, second = lines(tmp_path)
    assert first["user"] == "ann\r\nroot"
    text = (tmp_path / AUDIT_FILE).read_text()
    assert text.count("\n") == 2
    assert not {"\x1b", "\u202e", "\r"} & set(text)
    assert "hunter2" not in text
    assert "abc.def" not in text
    assert max(map(len, first["filters"])) < 300
    assert len(second["columns_asked"]) == 1_001


def test_a_record_that_is_not_as_expected_is_kept_as_far_as_it_goes(audit: AuditFile, tmp_path: Path) -> None:
    audit.record(Event.DATASET_ASKED, **ASKED, rows="many")
    assert lines(tmp_path) == [{"time": "2023-11-14T22:13:20.000Z", **ASKED}]


def test_lines_of_many_threads_are_whole(audit: AuditFile, tmp_path: Path) -> None:
    def work(name: int) -> None:
        for number in range(50):
            audit.record(Event.DATASET_ASKED, **{**ASKED, "user": f"{name}-{number}"})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({line["user"] for line in lines(tmp_path)}) == 200


def test_a_file_that_is_moved_away_is_begun_anew_and_one_that_is_there_is_gone_on_with(
    audit: AuditFile, tmp_path: Path
) -> None:
    audit.record(Event.DATASET_ASKED, **ASKED)
    audit.record(Event.DATASET_ASKED, **ASKED)
    (tmp_path / AUDIT_FILE).rename(tmp_path / "audit-2026-11.jsonl")
    audit.record(Event.DATASET_ASKED, **ASKED)
    assert len(lines(tmp_path)) == 1


def test_on_a_full_disk_records_wait_and_are_in_the_log_and_no_dataset_is_given(
    audit: AuditFile, journal: RecordedJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.record(Event.DATASET_ASKED, **ASKED)
    audit.check()
    disk = Disk(monkeypatch)
    disk.full = True
    audit.record(Event.DATASET_ASKED, **{**ASKED, "user": "bob"})
    failed = {"dataset": "orders", "user": "cid", "tenant": "t", "error_code": "TOO_MANY_ROWS"}
    audit.record(Event.TASK_FAILED, **failed)
    said = journal.of(Event.SYSTEM_ERROR)
    assert [(one["user"], one["error_code"]) for one in said] == [("bob", "STORAGE_FULL"), ("cid", "STORAGE_FULL")]
    with pytest.raises(SluiceError) as caught:
        audit.check()
    assert caught.value.code is ErrorCode.STORAGE_FULL
    assert str(tmp_path) not in caught.value.detail
    disk.full = False
    audit.check()
    assert [line["user"] for line in lines(tmp_path)] == ["ann", "bob", "cid"]


def test_a_line_that_the_disk_cut_off_is_written_again_whole(
    audit: AuditFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.full, disk.room = True, 20
    audit.record(Event.DATASET_ASKED, **ASKED)
    with pytest.raises(SluiceError):
        audit.check()
    disk.full = False
    audit.record(Event.DATASET_ASKED, **{**ASKED, "user": "bob"})
    found = list(read_lines((tmp_path / AUDIT_FILE).read_bytes().splitlines()))
    assert [one and one.user for one in found] == [None, "ann", "bob"]


def test_what_waits_is_bounded(audit: AuditFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    disk.full = True
    for number in range(WAITING_MAX + 5):
        audit.record(Event.DATASET_ASKED, **{**ASKED, "user": str(number)})
    disk.full = False
    audit.check()
    assert [lines(tmp_path)[0]["user"], len(lines(tmp_path))] == ["5", WAITING_MAX]


def test_a_link_in_the_place_of_the_file_is_not_followed(audit: AuditFile, tmp_path: Path) -> None:
    (tmp_path / AUDIT_FILE).symlink_to(tmp_path / "elsewhere")
    audit.record(Event.DATASET_ASKED, **ASKED)
    with pytest.raises(SluiceError):
        audit.check()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("level", ["DEBUG", "ERROR"])
def test_the_stream_does_not_depend_on_the_level_of_the_log(tmp_path: Path, level: str) -> None:
    env = {
        "SLUICE_LOGGING_LEVEL": level,
        "SLUICE_LOGGING_OUTPUT": str(tmp_path / "log"),
        "SLUICE_STORAGE_DATA_DIRECTORY": str(tmp_path),
    }
    with open_telemetry(settings_from(env, None), audit=tmp_path / AUDIT_FILE) as telemetry:
        telemetry.journal.record(Event.DATASET_ASKED, **ASKED)
    with open_telemetry(settings_from(env, None)) as telemetry:
        telemetry.journal.record(Event.DATASET_ASKED, **ASKED)
    assert len(lines(tmp_path)) == 1


def test_the_command_prints_for_people_and_says_what_it_cannot_read(audit: AuditFile, tmp_path: Path) -> None:
    audit.record(Event.DATASET_ASKED, **{**ASKED, "user": "a\x1b[2Jb"}, columns=["id", "email"], rows=3)
    with (tmp_path / AUDIT_FILE).open("ab") as file:
        file.write(b'{"time": "20\n\n')
    shown = sluice("audit", "--data", tmp_path)
    head = "2023-11-14T22:13:20.000Z  a\\u001b[2Jb  t  orders  export  opened"
    assert shown.stdout == f"{head}  columns=id,email  rows=3\n"
    assert "1 line of" in shown.stderr
    assert sluice("audit", "--data", tmp_path, "--user", "bob").stdout == ""
    assert sluice("audit", "--data", tmp_path, "--since", "24h").stdout == ""
    assert sluice("audit", "--data", tmp_path, "--since", "2023-11-15T06:13:20+08:00").stdout
    assert "--since" in sluice("audit", "--data", tmp_path, "--since", "soon", exit_code=2).stderr
    assert "no service" in sluice("audit", "--data", tmp_path / "nowhere", exit_code=2).stderr
