"""`sluice export --server`: the same file as without one, over any network, once."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.lifecycle import Guard
from sluice.domain.task import State
from sluice.usecases.lease import fail_task
from tests.support.command_line import sluice, start_sluice
from tests.support.data_directory import data_directory, open_task, seal
from tests.support.flaky_proxy import TROUBLES, flaky_proxy
from tests.support.running_service import QUICK, ServiceProcess, serving
from tests.support.scripted_server import Answer, Asked, scripted_server

ROWS = [[str(number), f"name {number}, Zoë", "" if number % 3 else "x"] for number in range(45_000)]
TYPES = ("--types", "id=number")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with serving(tmp_path_factory.mktemp("service") / "data", env=QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "name", "note"], *ROWS])
    return path


@pytest.fixture(scope="module")
def local_bytes(source: Path) -> bytes:
    sluice("export", source, "-o", source.with_name("local.csv"), *TYPES)
    return source.with_name("local.csv").read_bytes()


def export(source: Path, output: Path, server: str, *arguments: str, exit_code: int = 0) -> Any:
    done = sluice("export", source, "-o", output, "--server", server, *TYPES, "--json", *arguments, exit_code=exit_code)
    return done.stderr if exit_code else json.loads(done.stdout)


def wait_until_completed(service: ServiceProcess, task_id: str) -> Any:
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        report = json.loads(sluice("task", "show", task_id, "--json", "--data", service.data).stdout)
        if report["state"] == "completed" and report["attempts"][-1]["outcome"] != "ended without a word":
            return report  # the log of attempts comes behind the row, which says what is true
    raise AssertionError(f"not completed, but {report}")


def tasks_of(service: ServiceProcess) -> dict[str, Any]:
    listed = json.loads(sluice("task", "list", "--json", "--data", service.data).stdout)
    return {one["task"]["task_id"]: one["task"] for one in listed}


def test_an_archive_of_workbooks_is_saved_only_under_the_name_of_one(
    service: ServiceProcess, source: Path, tmp_path: Path
) -> None:
    split = ("--format", "xlsx", "--options", "workbook_rows_max=30000")
    for folder in ("here", "alone"):
        (tmp_path / folder).mkdir()
    told = export(source, tmp_path / "here" / "out.zip", service.url, *split)
    alone = sluice("export", source, "-o", tmp_path / "alone" / "out.zip", *TYPES, *split)
    for folder in ("here", "alone"):
        assert [path.name for path in (tmp_path / folder).iterdir()] == ["out.zip"]
        with zipfile.ZipFile(tmp_path / folder / "out.zip") as archive:
            assert archive.namelist() == ["out-1.xlsx", "out-2.xlsx"]
    assert told["file"] == str(tmp_path / "here" / "out.zip")
    assert alone.stdout.startswith(f"{tmp_path / 'alone' / 'out.zip'}\n")


@pytest.mark.parametrize(
    ("name", "rows_max", "said"),
    [("out.xlsx", 30_000, "name the output out.zip"), ("out.zip", 50_000, "name the output out.xlsx")],
)
def test_a_file_of_another_kind_than_its_name_says_is_refused_and_no_other_is_touched(
    service: ServiceProcess, source: Path, tmp_path: Path, name: str, rows_max: int, said: str
) -> None:
    for other in ("out.zip", "out.xlsx"):
        (tmp_path / other).write_bytes(b"precious")
    order = ("--format", "xlsx", "--options", f"workbook_rows_max={rows_max}")
    assert said in export(source, tmp_path / name, service.url, *order, exit_code=1)
    assert said in sluice("export", source, "-o", tmp_path / name, *TYPES, *order, exit_code=1).stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("out.zip", "out.xlsx"), b"precious"
    )


def test_the_service_makes_the_same_file_as_this_machine_alone(
    service: ServiceProcess, source: Path, local_bytes: bytes, tmp_path: Path
) -> None:
    told = export(source, tmp_path / "out.csv", service.url)
    assert (tmp_path / "out.csv").read_bytes() == local_bytes
    assert (told["rows"], told["bytes"]) == (len(ROWS), len(local_bytes))
    assert tasks_of(service)[told["task_id"]]["checksum_sha256"] == told["sha256"]


def test_a_network_that_loses_every_other_answer_changes_nothing(
    service: ServiceProcess, source: Path, local_bytes: bytes, tmp_path: Path
) -> None:
    before = tasks_of(service).keys()
    with flaky_proxy(service.http_port) as proxy:
        told = export(source, tmp_path / "out.csv", proxy.url)
    assert (tmp_path / "out.csv").read_bytes() == local_bytes
    assert tasks_of(service).keys() - before == {told["task_id"]}
    assert all(proxy.met[trouble] >= 2 for trouble in TROUBLES)


def test_a_run_under_the_same_key_is_the_same_task(service: ServiceProcess, source: Path, tmp_path: Path) -> None:
    first = export(source, tmp_path / "a.csv", service.url, "--idempotency-key", "monthly")
    again = export(source, tmp_path / "a.csv", service.url, "--idempotency-key", "monthly")
    assert first == again


def start_and_feed(service: ServiceProcess, folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a run, send it half of its rows, and wait until some of them are stored; returns the task's id too."""
    before = tasks_of(service).keys()
    process = start_sluice("export", "-", "-o", "out.csv", *TYPES, "--server", service.url, *arguments, cwd=folder)
    assert process.stdin is not None
    process.stdin.write(_csv_bytes(ROWS[:25_000]))
    process.stdin.flush()
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        for task_id, task in tasks_of(service).items():
            if task_id not in before and task["batches"]:
                return process, task_id
    raise AssertionError("nothing was stored")


def _csv_bytes(rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["id", "name", "note"], *rows])
    return text.getvalue().encode()


def test_a_run_that_was_killed_goes_on_under_its_key(
    service: ServiceProcess, source: Path, local_bytes: bytes, tmp_path: Path
) -> None:
    process, task_id = start_and_feed(service, tmp_path, "--idempotency-key", "killed once")
    with process:
        process.kill()
    assert tasks_of(service)[task_id]["state"] == "open"
    told = export(source, tmp_path / "out.csv", service.url, "--idempotency-key", "killed once")
    assert told["task_id"] == task_id
    # The output's name belongs to the task's parameters: the same command, not merely the same key.
    assert (tmp_path / "out.csv").read_bytes() == local_bytes


def test_a_run_that_is_stopped_cancels_its_task(service: ServiceProcess, tmp_path: Path) -> None:
    process, task_id = start_and_feed(service, tmp_path)
    with process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert tasks_of(service)[task_id]["state"] == "cancelled"
    assert list(tmp_path.iterdir()) == []


def test_a_bad_row_is_named_as_in_the_file_and_the_task_is_cancelled(service: ServiceProcess, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("id,name,note\n" + "1,a,b\n" * 12_000 + "x,a,b\n")
    before = tasks_of(service).keys()
    said = export(tmp_path / "bad.csv", tmp_path / "out.csv", service.url, exit_code=1)
    assert "INVALID_VALUE" in said
    assert "row 12,001" in said
    assert not (tmp_path / "out.csv").exists()
    (state,) = (task["state"] for task_id, task in tasks_of(service).items() if task_id not in before)
    assert state == "cancelled"


def test_a_service_with_keys_wants_one(source: Path, local_bytes: bytes, tmp_path: Path) -> None:
    key = sluice("keys", "add", "shop", "--data", tmp_path / "data").stdout.strip()
    with serving(tmp_path / "data", env=QUICK) as service:
        assert "UNAUTHENTICATED" in export(source, tmp_path / "no.csv", service.url, exit_code=1)
        done = sluice(
            "export",
            source,
            "-o",
            tmp_path / "out.csv",
            *TYPES,
            env={"SLUICE_TOKEN": key, "SLUICE_SERVER": service.url},
        )
    assert (tmp_path / "out.csv").read_bytes() == local_bytes
    assert key not in done.stdout + done.stderr + service.log.read_text()
    assert not (tmp_path / "no.csv").exists()


def test_tasks_can_be_tended_beside_the_running_service(
    service: ServiceProcess, source: Path, local_bytes: bytes, tmp_path: Path
) -> None:
    task_id = export(source, tmp_path / "out.csv", service.url)["task_id"]
    verified = json.loads(sluice("task", "verify", task_id, "--json", "--data", service.data).stdout)
    assert verified["bytes"] == len(local_bytes)
    report = json.loads(sluice("task", "show", task_id, "--json", "--data", service.data).stdout)
    assert (report["state"], report["next"]["overdue_s"]) == ("completed", 0)


def test_a_failed_task_is_retried_beside_the_running_service(service: ServiceProcess) -> None:
    with data_directory(service.data) as ports:
        ref = open_task(ports)
        error = SluiceError(ErrorCode.CHUNK_MISSING)
        task = seal(ports, ref)
        assert fail_task(ports, ref, guard=Guard(state=State.SEALED, epoch=task.epoch), error=error)
    made = json.loads(sluice("task", "retry", ref.task_id, "--json", "--data", service.data).stdout)
    assert wait_until_completed(service, made["task_id"])["result"]["rows"] == 6


def test_a_task_whose_trigger_was_lost_is_composed_when_triggered_by_hand(service: ServiceProcess) -> None:
    with data_directory(service.data) as ports:
        ref = open_task(ports)
        seal(ports, ref)
    sluice("task", "trigger", ref.task_id, "--data", service.data)
    report = wait_until_completed(service, ref.task_id)
    assert [attempt["outcome"] for attempt in report["attempts"]] == ["completed"]


FILE = b"0123456789"


@pytest.mark.parametrize("ranges", [True, False], ids=["from where it broke", "from the start"])
def test_a_download_that_breaks_off_goes_on(source: Path, tmp_path: Path, *, ranges: bool) -> None:
    downloads: list[str] = []

    def deliver(asked: Asked) -> Answer:
        downloads.append(asked.headers.get("range", ""))
        if len(downloads) == 1:
            return Answer(200, FILE, sent_bytes=4)
        return Answer(206, FILE[4:]) if ranges else Answer(200, FILE)

    with scripted_server(lambda asked: _done_service(asked, deliver)) as server:
        export(source, tmp_path / "out.csv", server.url)
    assert downloads == ["", "bytes=4-"]
    assert (tmp_path / "out.csv").read_bytes() == FILE


def test_a_download_with_the_wrong_bytes_is_refused(source: Path, tmp_path: Path) -> None:
    with scripted_server(lambda asked: _done_service(asked, lambda _: Answer(200, b"0123456780"))) as server:
        said = export(source, tmp_path / "out.csv", server.url, exit_code=1)
    assert "RESULT_VERIFY_FAILED" in said
    assert list(tmp_path.iterdir()) == []


def _done_service(asked: Asked, deliver: Callable[[Asked], Answer]) -> Answer:
    """A service whose every task is completed with ``FILE``."""
    if asked.path == "/bytes":
        return deliver(asked)
    if asked.path.endswith("?redirect=false"):
        return Answer(200, b'{"url": "/bytes", "expires_at": "2099-01-01T00:00:00Z"}')
    if asked.method == "PUT":
        return Answer(200, b'{"sequence": 1, "rows": 1, "sha256": "", "replayed": false}')
    task = {
        "task_id": "a" * 26,
        "state": "completed",
        "filename": "out.csv",
        "progress_percent": 100.0,
        "rows_written": len(ROWS),
        "file_size_bytes": len(FILE),
        "checksum_sha256": hashlib.sha256(FILE).hexdigest(),
        "warnings": [],
    }
    return Answer(200, json.dumps(task).encode())


def test_something_else_that_answers_is_no_service(source: Path, tmp_path: Path) -> None:
    with scripted_server(lambda _: Answer(404, b"<html>not here</html>")) as server:
        assert "not as a Sluice service" in export(source, tmp_path / "out.csv", server.url, exit_code=1)
