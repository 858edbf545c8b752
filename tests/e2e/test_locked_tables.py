"""A table that another session locks keeps its own users waiting, and nobody else; who stops waiting frees all."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import jwt
import pytest

from sluice.proto import export_pb2 as pb
from tests.support.database_servers import DatabaseServer, postgresql_locks, serving_postgresql
from tests.support.grpc_client import GrpcClient
from tests.support.http_calls import CALLER
from tests.support.running_service import QUICK, ServiceProcess, eventually, serving

pytestmark = pytest.mark.slow  # a server and a service are started

SECRET = "a secret of the application, of 32 bytes or more"
DATASET = """
dataset: NAME
source: {connection: crm, table: public.NAME, key: [id]}
columns: [{name: id, type: number}]
tiers: {direct_rows: 0, waited_rows: 0}
"""


@pytest.fixture(scope="module")
def database() -> Iterator[DatabaseServer]:
    with serving_postgresql() as running:
        running("CREATE TABLE locked (id INT PRIMARY KEY); CREATE TABLE free (id INT PRIMARY KEY);")
        running("INSERT INTO locked VALUES (1), (2); INSERT INTO free VALUES (1), (2), (3);")
        yield running


@pytest.fixture(scope="module")
def service(database: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Of two composers one may read."""
    folder = tmp_path_factory.mktemp("definitions")
    for name in ("connections", "datasets"):
        (folder / name).mkdir()
    where = {"name": "crm", "type": "postgresql", "host": database.host, "user": database.user}
    (folder / "connections/crm.yaml").write_text(json.dumps({**where, "database": database.database}))
    narrow = {**where, "name": "narrow", "database": database.database, "slots": 1}
    (folder / "connections/narrow.yaml").write_text(json.dumps(narrow))
    for name in ("locked", "free"):
        (folder / f"datasets/{name}.yaml").write_text(DATASET.replace("NAME", name))
        one = DATASET.replace("NAME", name).replace("crm", "narrow").replace(f": {name}\n", f": {name}_narrow\n", 1)
        (folder / f"datasets/{name}_narrow.yaml").write_text(one)
    env = {**QUICK, "SLUICE_SECURITY_JWT_SECRET": SECRET, "SLUICE_CONCURRENCY_MAX_CONCURRENT_TASKS": "2"}
    with serving(folder / "data", env=env, arguments=("--definitions", str(folder))) as running:
        yield running


def waiting(database: DatabaseServer) -> int:
    """Sessions of ours that the server has for the lock."""
    shown = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice' AND wait_event_type = 'Lock'"
    return int(database(shown))


def headers(tenant: str) -> dict[str, str]:
    said = {"sub": "ann", "tenant": tenant, "exp": time.time() + 600}
    return {"Authorization": f"Bearer {jwt.encode(said, SECRET, algorithm='HS256')}"}


def export(service: ServiceProcess, name: str, tenant: str) -> dict[str, Any]:
    url = f"{service.url}/v1/datasets/{name}/exports"
    answer = CALLER.post(url, json={"format": "csv"}, headers=headers(tenant), timeout=60)
    assert answer.status_code == 202, answer.text
    opened: dict[str, Any] = answer.json()
    return opened


def test_a_cancel_gives_the_place_for_reading_back_and_the_servers_session_goes(
    service: ServiceProcess, database: DatabaseServer
) -> None:
    with postgresql_locks(database, "locked"):
        opened = [export(service, "locked", "local") for _ in range(2)]
        eventually(lambda: waiting(database) == 1)
        other = export(service, "free", "globex")
        for one in opened:
            assert CALLER.post(f"{service.url}/v1/exports/{one['task_id']}/cancel", timeout=60).status_code == 200
        eventually(lambda: CALLER.get(other["watch_url"]).json()["state"] == "completed")
        assert waiting(database) == 0
    assert CALLER.get(f"{other['watch_url']}/file", follow_redirects=True).text.split() == ["\ufeffid", "1", "2", "3"]


def test_previews_whose_callers_go_away_leave_neither_turns_nor_sessions_behind(
    service: ServiceProcess, database: DatabaseServer
) -> None:
    before = len(service.log.read_text())
    body = json.dumps({"format": "csv"})
    head = "".join(f"{name}: {value}\r\n" for name, value in headers("acme").items())
    asked = (
        f"POST /v1/datasets/locked/preview HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    with postgresql_locks(database, "locked"):
        callers = [socket.create_connection(("127.0.0.1", service.http_port)) for _ in range(2)]
        for caller in callers:
            caller.sendall(asked)
        eventually(lambda: waiting(database) == len(callers))
        for caller in callers:
            caller.close()
        url = f"{service.url}/v1/datasets/free/preview"
        shown = CALLER.post(url, json={"format": "csv"}, headers=headers("acme"), timeout=60)
        assert shown.json() == {"columns": ["id"], "rows": [["1"], ["2"], ["3"]]}
        eventually(lambda: waiting(database) == 0)
    said = service.log.read_text()[before:]
    assert (said.count("interrupted from here"), said.count("statement_timeout")) == (len(callers), 0)


def test_a_preview_over_grpc_that_is_broken_off_leaves_no_session_behind_either(
    service: ServiceProcess, database: DatabaseServer
) -> None:
    before = len(service.log.read_text())
    query = pb.DatasetQuery(dataset="locked", format=pb.FORMAT_CSV)
    client = GrpcClient(service.grpc_target, headers("acme")["Authorization"].removeprefix("Bearer "))
    with postgresql_locks(database, "locked"), closing(client):
        call = client.stub.PreviewDataset.future(pb.PreviewDatasetRequest(query=query), metadata=client.metadata)
        eventually(lambda: waiting(database) == 1)
        call.cancel()
        eventually(lambda: waiting(database) == 0)
        eventually(lambda: "interrupted from here" in service.log.read_text()[before:])
    assert "statement_timeout" not in service.log.read_text()[before:]


def test_a_connection_has_no_more_sessions_than_slots_and_what_finds_none_says_so(
    service: ServiceProcess, database: DatabaseServer
) -> None:
    before = len(service.log.read_text())
    url = f"{service.url}/v1/datasets/free_narrow/preview"
    with postgresql_locks(database, "locked"):
        reading = export(service, "locked_narrow", "local")
        eventually(lambda: waiting(database) == 1)
        refused = CALLER.post(url, json={"format": "csv"}, headers=headers("acme"), timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (503, "SOURCE_UNAVAILABLE")
        assert waiting(database) == 1
    assert "all 1 slots of the connection narrow are taken" in service.log.read_text()[before:]
    eventually(lambda: CALLER.get(reading["watch_url"]).json()["state"] == "completed")
    shown = CALLER.post(url, json={"format": "csv"}, headers=headers("acme"), timeout=60)
    assert shown.json()["rows"] == [["1"], ["2"], ["3"]]
