"""The service of one machine with its objects in S3: a composer dies half-way, and the link leads to the store."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import psutil
import pytest

from infra.emulators.faults import Hold
from sluice.domain.keys import is_shared_key
from tests.support.command_line import sluice
from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, serving
from tests.support.s3_server import SECRET_ACCESS_KEY, S3Fault, S3Server, serving_s3
from tests.support.s3_stores import s3_settings, s3_store

BATCHES = 10
BATCH_ROWS = 4_000
FILENAME = "报表 (1).csv"
TEXT = "é中" * 30
"""Makes a file of more than 5 MiB, so that it is put in parts."""


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serving_s3() as s3:
        yield s3


def push(service: ServiceProcess) -> str:
    """Push a table, in any order; returns the id of the task, which is closed."""
    body = {"format": "csv", "filename": FILENAME, "columns": [{"name": "id", "type": "number"}, {"name": "text"}]}
    task_id: str = CALLER.post(f"{service.url}/v1/exports", json=body).raise_for_status().json()["task_id"]
    for sequence in reversed(range(1, BATCHES + 1)):
        rows = [[sequence * BATCH_ROWS + row, f"{row} {TEXT}"] for row in range(BATCH_ROWS)]
        CALLER.put(f"{service.url}/v1/exports/{task_id}/batches/{sequence}", json=rows).raise_for_status()
    totals = {"batches": BATCHES, "rows": BATCHES * BATCH_ROWS}
    CALLER.post(f"{service.url}/v1/exports/{task_id}/close", json=totals).raise_for_status()
    return task_id


def wait(service: ServiceProcess, task_id: str) -> None:
    state: dict[str, object] = {"state": "sealed"}
    while state["state"] in {"sealed", "composing"}:
        state = CALLER.get(f"{service.url}/v1/exports/{task_id}?wait=20", timeout=30).raise_for_status().json()
    assert state["state"] == "completed", state


def composer_of(service: ServiceProcess) -> psutil.Process:
    (composer,) = [
        process
        for process in psutil.Process(service.process.pid).children(recursive=True)
        if "sluice.app.compose_worker" in process.cmdline()
    ]
    return composer


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file that the directory backend makes."""
    with serving(tmp_path_factory.mktemp("plain") / "data") as service:
        task_id = push(service)
        wait(service, task_id)
        answer = CALLER.get(f"{service.url}/v1/exports/{task_id}/file", follow_redirects=True)
    assert len(answer.content) > 5 << 20
    return answer.content


def download(service: ServiceProcess, task_id: str) -> httpx.Response:
    """Follow the link as a browser does, without any credentials."""
    link = CALLER.get(f"{service.url}/v1/exports/{task_id}/file").headers["location"]
    return CALLER.get(link).raise_for_status()


@pytest.mark.slow
@pytest.mark.parametrize("at", ["*/@uploads/*/00002", "*/out/*partNumber=2*"], ids=["a part", "the object"])
def test_a_composer_that_dies_half_way_costs_nothing(s3: S3Server, tmp_path: Path, expected: bytes, at: str) -> None:
    bucket = s3.add_bucket()
    env = {**s3_settings(s3, bucket), **QUICK, "SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "1"}
    hold = Hold()
    s3.faults.add(S3Fault(hold, method="PUT", path=f"{bucket}{at}"))
    with serving(tmp_path / "data", env=env) as service:
        task_id = push(service)
        hold.wait_reached(60)
        composer_of(service).kill()
        hold.release()
        wait(service, task_id)
        answer = download(service, task_id)
        assert answer.content == expected
        assert unquote(re.findall(r"filename\*=UTF-8''(\S+)", answer.headers["content-disposition"])[0]) == FILENAME
        assert answer.url.path.startswith(f"/{bucket}/some/prefix/out/v1/")
        assert "/0002-" in answer.url.path, "the second attempt made it"
        assert CALLER.get(f"{service.url}/v1/files/token").status_code == 404, "the store serves the files"
        leftovers_are_collected(s3, bucket)
        assert CALLER.delete(f"{service.url}/v1/exports/{task_id}").is_success
    assert SECRET_ACCESS_KEY not in service.log.read_text()


def leftovers_are_collected(s3: S3Server, bucket: str) -> None:
    store = s3_store(s3, bucket)
    give_up_at = time.monotonic() + 60
    while list(store.list_uploads("")) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    assert list(store.list_uploads("")) == []
    assert len([item for item in store.list("out/") if not is_shared_key(item.key)]) == 1


@pytest.mark.slow
def test_a_service_that_is_killed_goes_on_where_it_was(s3: S3Server, tmp_path: Path, expected: bytes) -> None:
    """Rows are in SQLite beside it, objects in the store: another process finds both."""
    bucket = s3.add_bucket()
    env = {**s3_settings(s3, bucket), **QUICK}
    hold = Hold()
    s3.faults.add(S3Fault(hold, method="PUT", path=f"{bucket}/*@uploads/*/00001"))
    service = ServiceProcess(tmp_path / "data", env=env)
    task_id = push(service)
    hold.wait_reached(60)
    service.kill()
    hold.release()
    with serving(tmp_path / "data", env=env) as service:
        wait(service, task_id)
        assert download(service, task_id).content == expected


def test_a_service_with_a_new_directory_over_the_bucket_of_another_does_not_start(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.add_bucket()
    env = s3_settings(s3, bucket)
    body = {"columns": [{"name": "id"}], "format": "csv", "filename": "a.csv"}
    with serving(tmp_path / "data", env=env) as service:
        task_id = CALLER.post(f"{service.url}/v1/exports", json=body).json()["task_id"]
        exports = f"{service.url}/v1/exports/{task_id}"
        CALLER.put(f"{exports}/batches/1", json=[["1"]]).raise_for_status()
        sluice("backup", tmp_path / "copy", "--data", tmp_path / "data", env=env)
        CALLER.put(f"{exports}/batches/2", json=[["2"]]).raise_for_status()
    before = [item.key for item in s3_store(s3, bucket).list("")]
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    for _ in range(2):
        refused = sluice("serve", "--data", tmp_path / "new", *ports, env=env, exit_code=1).stderr
        assert f"s3://{bucket}/some/prefix has the objects of another tasks.sqlite3" in refused
        assert "a bucket or a prefix of its own" in refused
    assert [item.key for item in s3_store(s3, bucket).list("")] == before
    sluice("restore", tmp_path / "copy", "--data", tmp_path / "restored", env=env)
    with serving(tmp_path / "data", env=env):  # a restored copy beside it, to look at, or as a drill
        refused = sluice("serve", "--data", tmp_path / "restored", *ports, env=env, exit_code=1).stderr
    assert "if these rows are a backup of it, and its service runs no more, remove in/owner and owner" in refused
    s3_store(s3, bucket).delete(["in/owner", "owner"])
    with serving(tmp_path / "restored", env=env) as service:
        CALLER.put(f"{service.url}/v1/exports/{task_id}/batches/2", json=[["2"]]).raise_for_status()
        CALLER.post(f"{service.url}/v1/exports/{task_id}/close", json={"batches": 2}).raise_for_status()
        wait(service, task_id)
        assert download(service, task_id).text.split() == ["\ufeffid", "1", "2"]


def test_a_service_whose_settings_are_missing_or_another_bucket_s_does_not_start_and_fails_no_export(
    s3: S3Server, tmp_path: Path
) -> None:
    bucket, data = s3.add_bucket(), tmp_path / "data"
    env = s3_settings(s3, bucket)
    body = {"columns": [{"name": "id"}], "format": "csv", "filename": "a.csv"}
    with serving(data, env=env) as service:
        task_id = CALLER.post(f"{service.url}/v1/exports", json=body).json()["task_id"]
        CALLER.put(f"{service.url}/v1/exports/{task_id}/batches/1", json=[["1"]]).raise_for_status()
    ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    commands = (
        ("serve", "--data", data, *ports),
        ("backup", tmp_path / "copy", "--data", data),
        ("task", "list", "--data", data),
    )
    place = f"s3://{bucket}/some/prefix"
    for command in commands:
        refused = sluice(*command, exit_code=1).stderr
        assert f"STORE_UNAVAILABLE: the exports in tasks.sqlite3 have their objects in {place}" in refused
        assert "and not in the data directory" in refused
    assert not (tmp_path / "copy").exists()
    assert [path for path in (data / "objects").rglob("*") if path.is_file()] == []
    for url in (f"s3://{bucket}/typo", "s3://no-such-bucket/some/prefix"):
        other = {**env, "SLUICE_S3_URL": url, "SLUICE_PERFORMANCE_RETRIES": "0"}
        for command in (commands[0], commands[2]):
            assert f"in {place} (backend s3), and not in {url}" in sluice(*command, env=other, exit_code=1).stderr
    assert list(s3_store(s3, bucket, prefix="typo").list("")) == []
    sluice("backup", tmp_path / "copy", "--data", data, env=env)
    assert f"in {place}" in sluice("restore", tmp_path / "copy", "--data", tmp_path / "new", exit_code=1).stderr
    assert not (tmp_path / "new").exists()
    with serving(data, env=env) as service:
        CALLER.post(f"{service.url}/v1/exports/{task_id}/close", json={"batches": 1}).raise_for_status()
        wait(service, task_id)


def test_the_health_answer_says_that_the_store_is_away(s3: S3Server, tmp_path: Path) -> None:
    env = {**s3_settings(s3, "no-such-bucket"), "SLUICE_PERFORMANCE_RETRIES": "0"}
    with serving(tmp_path / "data", env=env) as service:
        answer = CALLER.get(f"http://127.0.0.1:{service.metrics_port}/health/dependencies")
        body = {"columns": [{"name": "id"}], "format": "csv", "filename": "a.csv"}
        task_id = CALLER.post(f"{service.url}/v1/exports", json=body).json()["task_id"]
        refused = CALLER.put(f"{service.url}/v1/exports/{task_id}/batches/1", json=[["1"]])
    assert answer.status_code == 503
    assert (refused.status_code, refused.json()["code"]) == (503, "STORE_UNAVAILABLE")
    assert "no such bucket at this endpoint" in service.log.read_text()
