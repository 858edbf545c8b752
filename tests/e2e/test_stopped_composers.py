"""Composers that are stopped, or cannot start: they are replaced, stop nothing else, and the service says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sluice.client import Client
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, eventually, serving

pytestmark = pytest.mark.slow
WAIT_S = 120
COLUMNS = [{"name": "id", "type": "number"}]
ONE_COMPOSER = {"SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "1"}
PATIENT = {**QUICK, **ONE_COMPOSER, "SLUICE_CONCURRENCY_LEASE_S": "600", "SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "600"}
"""Nothing helps but what is asked for: no lease lapses, no lost trigger is looked for while a test runs."""


def push(service: ServiceProcess, *, batches: int = 1) -> str:
    """Open, push and close an export; returns its id."""
    with Client(service.url) as client:
        export = client.open(format="csv", filename="t", columns=COLUMNS)
        for sequence in range(1, batches + 1):
            export.put(sequence, [[row] for row in range(2_000)])
        export.close()
        return export.id


def state_of(service: ServiceProcess, task_id: str) -> str:
    with Client(service.url) as client:
        return str(client.export(task_id).status().state)


def finished(service: ServiceProcess, task_id: str) -> str:
    with Client(service.url) as client:
        return str(client.export(task_id).wait(WAIT_S).state)


def stopped_composer(service: ServiceProcess) -> int:
    """Have the service start its composer, and stop that before it has a task; returns its process id."""
    with Client(service.url) as client:
        client.open(format="csv", filename="early", columns=COLUMNS)
    eventually(lambda: service.events("WorkerStarted"))
    [started] = service.events("WorkerStarted")
    pid = int(started["fields"]["pid"])  # type: ignore[index]  # a log line's fields are a mapping
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_a_composer_that_is_stopped_is_killed_and_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "data", env={**QUICK, **ONE_COMPOSER}) as service:
        stopped = stopped_composer(service)
        tasks = [push(service) for _ in range(2)]
        assert [finished(service, task) for task in tasks] == ["completed"] * 2
        [death] = service.events("WorkerDied")
        assert death["fields"]["reason"] == "no sign of life"  # type: ignore[index]  # a log line's fields are a mapping
        with pytest.raises(ProcessLookupError):
            os.kill(stopped, 0)


def test_the_queue_of_a_service_whose_composer_is_stopped_is_worked_off_by_another(tmp_path: Path) -> None:
    quick_sweeps = {**PATIENT, "SLUICE_CONCURRENCY_TRIGGER_GRACE_S": "1"}
    first = ServiceProcess(tmp_path / "data", env=quick_sweeps)
    try:
        stopped_composer(first)
        tasks = [push(first) for _ in range(5)]
        eventually(lambda: len(first.events("TaskDequeued")) == 1)
        second = ServiceProcess(tmp_path / "data", env=quick_sweeps, name="second")
        try:
            assert [finished(second, task) for task in tasks[1:]] == ["completed"] * 4
        finally:
            second.kill()
        assert first.events("WorkerDied") == []
    finally:
        first.kill()


@pytest.mark.long
def test_a_lease_that_an_operator_releases_is_free_though_its_composer_hangs(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path / "data", env=PATIENT)
    try:
        task = push(service, batches=100)
        eventually(lambda: service.events("AttemptStarted"))
        [started] = service.events("WorkerStarted")
        os.kill(int(started["fields"]["pid"]), signal.SIGSTOP)  # type: ignore[index]  # a log line's fields are a mapping
        assert state_of(service, task) == "composing"
        refused = sluice("task", "trigger", task, "--data", service.data, env=PATIENT, exit_code=1)
        assert f"`sluice task release-lease {task}` takes the task from it" in refused.stderr
        sluice("task", "release-lease", task, "--data", service.data, env=PATIENT)
        assert finished(service, task) == "completed"
        assert len(service.events("WorkerDied")) == 1
    finally:
        service.kill()


def test_a_settings_file_that_vanishes_is_not_missed(tmp_path: Path) -> None:
    config = tmp_path / "sluice.yaml"
    config.write_text("concurrency:\n  max_concurrent_tasks: 1\n")
    with serving(tmp_path / "data", env=QUICK, arguments=("--config", str(config))) as service:
        config.unlink()
        assert finished(service, push(service)) == "completed"
        assert service.events("WorkerDied") == []


def test_settings_from_a_pipe_reach_the_composers(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"concurrency:\n  max_concurrent_tasks: 1\n")
    os.close(writing)
    with serving(
        tmp_path / "data", env=QUICK, arguments=("--config", f"/dev/fd/{reading}"), pass_fds=(reading,)
    ) as service:
        os.close(reading)
        assert finished(service, push(service)) == "completed"


def test_composers_that_die_as_they_start_are_reported_everywhere(tmp_path: Path) -> None:
    """A module that fails in composers alone, as a broken upgrade leaves it; then it is mended."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, sys\nif 'sluice.app.compose_worker' in sys.orig_argv:\n"
        "    print('no composer today', file=sys.stderr, flush=True)\n    os._exit(1)\n"
    )
    env = {**QUICK, **ONE_COMPOSER, "PYTHONPATH": str(broken)}
    with serving(tmp_path / "data", env=env) as service:
        ready = f"http://127.0.0.1:{service.metrics_port}/health/ready"
        task = push(service)
        eventually(lambda: len(service.events("WorkerDied")) >= 3)
        eventually(lambda: CALLER.get(ready).status_code == 503)
        assert "composers died as they started" in CALLER.get(ready).json()["checks"]["composers"]
        deaths = service.events("WorkerDied")
        assert {death["fields"]["last_words"] for death in deaths} == {"no composer today"}  # type: ignore[index]
        shown = sluice("task", "show", task, "--data", service.data, env=QUICK).stdout
        assert "the last ended with: the composer died as it started; see the log" in shown
        (broken / "sitecustomize.py").unlink()
        assert finished(service, task) == "completed"
        assert CALLER.get(ready).status_code == 200
