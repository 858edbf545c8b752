"""`sluice serve` as operators meet it: start, stop, several over one directory, full queues, closed doors."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from sluice.client import Client, Status
from sluice.proto import export_pb2, export_pb2_grpc
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, eventually, serving

pytestmark = pytest.mark.slow
WAIT_S = 60
COLUMNS = [{"name": "id", "type": "number"}, {"name": "text"}]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """For tests that neither stop nor change the service."""
    with serving(tmp_path_factory.mktemp("service") / "data", anew=True) as running:
        yield running


def start_export(service: ServiceProcess, *, batches: int = 1, rows: int = 10, file_format: str = "xlsx") -> str:
    """Open and push an export; returns its id, still open."""
    with Client(service.url) as client:
        export = client.open(format=file_format, filename="t", columns=COLUMNS)
        for sequence in range(1, batches + 1):
            export.put(sequence, [[row, f"text {row}"] for row in range(rows)])
        return export.id


def close(service: ServiceProcess, task_id: str) -> None:
    with Client(service.url) as client:
        client.export(task_id).close()


def finished(service: ServiceProcess, task_id: str) -> Status:
    """The export once it has its file."""
    with Client(service.url) as client:
        return client.export(task_id).wait(WAIT_S)


def test_a_file_made_over_http_is_seen_over_grpc_and_counted(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        task_id = start_export(service)
        close(service, task_id)
        task = finished(service, task_id)
        with grpc.insecure_channel(service.grpc_target) as channel:
            stub = export_pb2_grpc.ExportServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
            status = stub.QueryTaskStatus(export_pb2.TaskStatusRequest(task_id=task_id))
        assert status.status == export_pb2.TASK_STATUS_COMPLETED
        assert status.checksum_sha256 == task.checksum_sha256
        assert CALLER.get(status.oss_url).content[:2] == b"PK"
        metrics = CALLER.get(f"http://127.0.0.1:{service.metrics_port}/metrics").text
        assert "export_records_processed_total 10.0" in metrics
        assert 'export_duration_seconds_count{format="xlsx"} 1.0' in metrics


def test_the_health_answers_tell_what_works(service: ServiceProcess) -> None:
    for path in ("live", "ready", "dependencies"):
        answer = CALLER.get(f"http://127.0.0.1:{service.metrics_port}/health/{path}")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_an_export_sealed_by_a_service_that_died_is_finished_by_the_next(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path / "data", env=QUICK)
    task_id = start_export(service, batches=20, rows=1000)
    close(service, task_id)
    service.kill()
    with serving(tmp_path / "data", env=QUICK) as successor:
        task = finished(successor, task_id)
    assert (task.state, task.rows_written) == ("completed", 20_000)


def test_two_services_share_one_directory(service: ServiceProcess) -> None:
    second = ServiceProcess(service.data, name="second")
    try:
        task_id = start_export(service, batches=1)
        with Client(second.url) as client:
            export = client.export(task_id)
            export.put(2, [[99, "by the other"]])
            export.close()
            task = finished(service, task_id)
            assert (task.state, task.rows_written, task.batches) == ("completed", 11, 2)
            link = export.link().url
        other_door = link.replace(second.url, service.url)
        assert CALLER.get(other_door).content == CALLER.get(link).content
    finally:
        assert second.stop() == 0


def test_a_composer_that_is_killed_is_replaced_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        task_id = start_export(service, batches=100, rows=1000)
        close(service, task_id)
        eventually(lambda: service.events("AttemptStarted"))
        [started] = service.events("WorkerStarted")
        os.kill(started["fields"]["pid"], signal.SIGKILL)  # type: ignore[index]  # a log line's fields are a mapping
        task = finished(service, task_id)
        assert (task.state, task.rows_written) == ("completed", 100_000)
        assert len(service.events("AttemptStarted")) == 2
        assert len(service.events("WorkerDied")) == 1


def test_sigterm_lets_a_running_composer_finish(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path / "data", anew=True)
    task_id = start_export(service, batches=50, rows=1000)
    close(service, task_id)
    eventually(lambda: service.events("AttemptStarted"))
    assert service.stop() == 0
    assert [line["task_id"] for line in service.events("TaskCompleted")] == [task_id]
    assert len(service.events("ServiceStopped")) == 1


def test_beyond_the_queue_an_open_is_refused_with_a_hint_but_a_close_is_not(tmp_path: Path) -> None:
    narrow = {
        "SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "1",
        "SLUICE_CONCURRENCY_TASK_QUEUE_SIZE": "1",
        "SLUICE_CONCURRENCY_QUEUE_TIMEOUT_S": "0",
    }
    with serving(tmp_path / "data", env=narrow) as service:
        task_ids = [start_export(service, batches=20, rows=1000) for _ in range(4)]
        eventually(lambda: service.events("WorkerStarted"))  # as the first export was opened
        [started] = service.events("WorkerStarted")
        worker = started["fields"]["pid"]  # type: ignore[index]  # a log line's fields are a mapping
        os.kill(worker, signal.SIGSTOP)  # so that the queue stays full while we look
        for task_id in task_ids:
            close(service, task_id)
        refused = CALLER.post(f"{service.url}/v1/exports", json={"format": "csv", "filename": "t", "columns": COLUMNS})
        assert (refused.status_code, refused.json()["code"]) == (503, "QUEUE_FULL")
        assert int(refused.headers["Retry-After"]) >= 1
        ready = CALLER.get(f"http://127.0.0.1:{service.metrics_port}/health/ready")
        assert ready.status_code == 503
        os.kill(worker, signal.SIGCONT)
        assert {finished(service, task_id).state for task_id in task_ids} == {"completed"}
        assert service.events("ConcurrencyLimitReached")


def test_a_queue_that_one_tenant_has_filled_keeps_the_service_ready_for_another(tmp_path: Path) -> None:
    keys = {}
    for tenant in ("greedy", "modest"):
        said = sluice("keys", "add", tenant, "--data", tmp_path / "data").stdout
        keys[tenant] = {"Authorization": f"Bearer {re.search(r'slc_[a-z0-9_]+', said)[0]}"}  # type: ignore[index]
    narrow = {
        "SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "1",
        "SLUICE_CONCURRENCY_TASK_QUEUE_SIZE": "2",
        "SLUICE_CONCURRENCY_QUEUE_TIMEOUT_S": "0",
    }
    with serving(tmp_path / "data", env=narrow) as service:

        def opened(tenant: str) -> int:
            body = {"format": "csv", "filename": "t", "columns": COLUMNS, "options": {"reuse": False}}
            answer = CALLER.post(f"{service.url}/v1/exports", json=body, headers=keys[tenant])
            if answer.status_code == 201:
                tasks[tenant].append(answer.json()["task_id"])
            return answer.status_code

        tasks: dict[str, list[str]] = {"greedy": [], "modest": []}
        assert [opened("greedy") for _ in range(4)] == [201] * 4
        eventually(lambda: service.events("WorkerStarted"))
        [started] = service.events("WorkerStarted")
        worker = started["fields"]["pid"]  # type: ignore[index]  # a log line's fields are a mapping
        os.kill(worker, signal.SIGSTOP)  # so that the queue stays full while we look
        for task_id in tasks["greedy"]:
            closed = CALLER.post(f"{service.url}/v1/exports/{task_id}/close", json={}, headers=keys["greedy"])
            assert closed.status_code == 202
        assert (opened("greedy"), opened("modest")) == (503, 201)
        assert CALLER.get(f"http://127.0.0.1:{service.metrics_port}/health/ready").status_code == 200
        os.kill(worker, signal.SIGCONT)


def test_a_setting_under_its_old_name_is_logged_with_the_new_one(tmp_path: Path) -> None:
    with serving(tmp_path / "data", env={"SLUICE_CONCURRENCY_BELL_GRACE_S": "4"}) as service:
        (renamed,) = service.events("SettingRenamed")
    assert renamed["level"] == "WARN"
    assert "SLUICE_CONCURRENCY_TRIGGER_GRACE_S" in str(renamed["fields"])


def test_ten_exports_at_once_all_complete(service: ServiceProcess) -> None:
    formats = ["xlsx", "csv"] * 5
    task_ids = [start_export(service, batches=5, rows=1000, file_format=name) for name in formats]
    for task_id in task_ids:
        close(service, task_id)
    assert {finished(service, task_id).rows_written for task_id in task_ids} == {5000}


def serve_until_it_gives_up(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sluice", "serve", "--data", str(data), *arguments]
    ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0"]
    return subprocess.run([*command, *ports], capture_output=True, text=True, timeout=30, check=False)


def test_without_a_key_the_service_starts_only_for_this_machine(tmp_path: Path) -> None:
    refused = serve_until_it_gives_up(tmp_path / "data", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "sluice keys add" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_from_the_first_key_on_callers_need_one_without_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        assert CALLER.get(f"{service.url}/v1/exports").status_code == 200
        made = subprocess.run(
            [sys.executable, "-m", "sluice", "keys", "add", "acme", "--yes", "--data", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert CALLER.get(f"{service.url}/v1/exports").status_code == 401
        bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert CALLER.get(f"{service.url}/v1/exports", headers=bearer).status_code == 200


@pytest.mark.parametrize("api", ["grpc", "http", "metrics"])
def test_a_port_that_is_taken_is_said_so_in_one_line(service: ServiceProcess, tmp_path: Path, api: str) -> None:
    taken = {"grpc": "0", "http": "0", "metrics": "0"} | {api: str(getattr(service, f"{api}_port"))}
    ports = [argument for name, port in taken.items() for argument in (f"--{name}-port", port)]
    command = [sys.executable, "-m", "sluice", "serve", "--data", str(tmp_path / "other"), *ports]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert f"{api}_port: cannot listen there: Address already in use; stop what has it" in line
    assert line.endswith(f"--{api}-port, 0 takes a free one")


@pytest.mark.parametrize("command", [("task", "list"), ("serve", "--http-port", "0")])
def test_data_of_a_newer_release_are_said_to_be_so_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    with serving(data):
        pass
    with closing(sqlite3.connect(data / "tasks.sqlite3")) as db:
        db.execute("PRAGMA user_version = 99")
    refused = subprocess.run(
        [sys.executable, "-m", "sluice", *command, "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    [line] = refused.stderr.splitlines()
    assert line.startswith("sluice: the task file has schema 99, this release reads up to 4: a newer release wrote it")


def test_every_log_line_is_json_with_the_commissioned_keys(service: ServiceProcess) -> None:
    task_id = start_export(service)
    close(service, task_id)
    finished(service, task_id)
    names = ["TaskCreated", "TaskSealed", "AttemptStarted", "TaskCompleted"]
    eventually(lambda: any(line["task_id"] == task_id for line in service.events(names[-1])))
    lines = [line for name in names for line in service.events(name) if line["task_id"] == task_id]
    assert [line["event"] for line in lines] == names
    keys = {
        "timestamp", "level", "task_id", "session_id", "trace_id", "request_id", "component", "event", "message",
        "fields", "duration", "error",
    }  # fmt: skip
    assert all(set(line) == keys for line in lines)
    assert all(line.startswith("{") for line in service.log.read_text().splitlines())


def test_the_ready_file_is_there_only_while_the_service_is(tmp_path: Path) -> None:
    ready = tmp_path / "data.ready"
    with serving(tmp_path / "data"):
        assert ready.exists()
    assert not ready.exists()


def test_a_data_directory_that_is_open_to_others_is_named_at_the_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    (data / "objects").mkdir(mode=0o755)
    with serving(data) as service:
        eventually(lambda: service.events("SettingRenamed"))
        [warning] = service.events("SettingRenamed")
        assert f"others on this machine may enter data, objects: chmod -R go= {data}" in str(warning["fields"])
        finished_modes = {path.stat().st_mode & 0o777 for path in data.rglob("*") if path.name != "objects"}
    assert finished_modes == {0o600, 0o700}
