"""A service whose rows were removed acknowledges nothing, and none starts over objects whose rows are missing."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.support.command_line import sluice
from tests.support.running_service import ServiceProcess

PORTS = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
ORDER = {"format": "csv", "columns": [{"name": "a"}]}
ROWS = ("tasks.sqlite3", "tasks.sqlite3-wal", "tasks.sqlite3-shm")


def refused(data: Path) -> str:
    return sluice("serve", "--data", data, *PORTS, exit_code=1).stderr


@pytest.mark.slow
def test_rows_that_are_removed_under_a_service_cost_no_acknowledged_batch(tmp_path: Path) -> None:
    data, aside = tmp_path / "data", tmp_path / "aside"
    aside.mkdir()
    service = ServiceProcess(data, env={"SLUICE_MONITORING_HEALTH_CHECK_INTERVAL_S": "0.01"})
    with httpx.Client(verify=False, base_url=service.url, trust_env=False, timeout=60) as client:
        task = client.post("/v1/exports", json=ORDER).json()["task_id"]
        batches = f"/v1/exports/{task}/batches"
        assert client.put(f"{batches}/1", json=[["1"]]).status_code == 200
        for name in ROWS:
            (data / name).rename(aside / name)
        for answer in (
            client.post("/v1/exports", json=ORDER),
            client.put(f"{batches}/2", json=[["2"]]),
            client.post(f"/v1/exports/{task}/close", json={"batches": 1}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (503, "STORE_UNAVAILABLE")
        ready = client.get(f"http://127.0.0.1:{service.metrics_port}/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["tasks"] != "ok"
        assert not (data / ROWS[0]).exists()
        for name in ROWS:
            (aside / name).rename(data / name)
        assert client.put(f"{batches}/2", json=[["2"]]).status_code == 200
    service.kill()
    assert "tasks.sqlite3 was removed or replaced while it was in use" in service.log.read_text()
    for name in ROWS:
        (data / name).rename(aside / name)
    words = refused(data)
    assert "has objects and no tasks.sqlite3" in words
    assert "bug" not in words
    assert not (data / ROWS[0]).exists()


def test_no_service_runs_in_a_backup_or_in_half_a_restore(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    rows = tmp_path / "rows.csv"
    rows.write_text("a\n1\n")
    service = ServiceProcess(data)
    with httpx.Client(verify=False, base_url=service.url, trust_env=False, timeout=60) as client:
        task = client.post("/v1/exports", json=ORDER).json()["task_id"]
        assert client.put(f"/v1/exports/{task}/batches/1", json=[["1"]]).status_code == 200
    service.stop()
    sluice("backup", copy, "--data", data)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    for words in (refused(copy), sluice("task", "list", "--data", copy, exit_code=1).stderr):
        assert "is a backup, or half a restore: sluice restore BACKUP --data NEW" in words
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()} == before
    os.mkfifo(copy / "pipe")
    sluice("restore", copy, "--data", tmp_path / "half", exit_code=1)
    assert "is a backup, or half a restore" in refused(tmp_path / "half")
    (copy / "pipe").unlink()
    sluice("restore", copy, "--data", tmp_path / "whole")
    assert task in sluice("task", "list", "--data", tmp_path / "whole").stdout
