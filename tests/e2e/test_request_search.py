"""Exports are found by the id of the request that opened them, through every interface, and only one's own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.adapters.memory.tasks import MemoryTasks
from sluice.client import Client
from sluice.domain.keys import TenantId
from sluice.domain.task import State
from sluice.ports.task_store import TaskPage
from sluice.proto import export_pb2 as pb
from sluice.usecases.reading import read_task
from sluice.usecases.reading.read_task import list_exports
from tests.contracts.task_builder import NOW, TENANT, a_task
from tests.support.command_line import sluice
from tests.support.fake_clock import FakeClock
from tests.support.grpc_client import GrpcClient, metadata_of, serving
from tests.support.http_client import http_relay
from tests.support.memory_ports import memory_ports
from tests.support.memory_service import MemoryService
from tests.support.running_service import serving as serving_for_real

JSON = {"format": "csv", "columns": ["a"]}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_task, "PAGE_MAX", 4)
    monkeypatch.setattr(read_task, "SEARCHED_MAX", 8)


def test_over_http_and_from_the_python_client(few: None, tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        mine, other = relay.client(), relay.client("other")
        ids = [
            mine.post("/v1/exports", json=JSON, headers={"X-Request-Id": f"job-{n}"}).json()["task_id"]
            for n in range(20)
        ]
        other.post("/v1/exports", json=JSON, headers={"X-Request-Id": "job-3"})
        pages, found = 0, []
        query: dict[str, object] = {"request_id": "job-3", "limit": 2}
        while True:
            page = mine.get("/v1/exports", params=query).json()  # type: ignore[arg-type]  # texts and numbers
            found += page["tasks"]
            pages += 1
            if page["cursor"] is None:
                break
            query["cursor"] = page["cursor"]
        assert [(one["task_id"], one["request_id"]) for one in found] == [(ids[3], "job-3")]
        assert 1 < pages < 20, "a page looks through a bounded number, and through more than it shows"
        with Client(relay.url, mine.headers["Authorization"].removeprefix("Bearer ")) as client:
            assert [one.task_id for one in client.list(request_id="job-3", page=2)] == [ids[3]]
            assert list(client.list(request_id="job-3", state="failed", page=2)) == []
            assert list(client.list(request_id="job", page=2)) == []
        assert mine.get("/v1/exports", params={"request_id": "x" * 129}).json()["field"] == "request_id"


class CountedTasks(MemoryTasks):
    """Counts the pages that are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = 0

    def page(self, tenant: TenantId, *, state: State | None, limit: int, cursor: str) -> TaskPage:
        self.pages += 1
        return super().page(tenant, state=state, limit=limit, cursor=cursor)


@pytest.mark.parametrize("wanted", ["many", "none"])
def test_a_page_of_a_search_reads_few_pages_of_the_store_however_small_it_is(few: None, wanted: str) -> None:
    tasks = CountedTasks()
    ports = replace(memory_ports(FakeClock()), tasks=tasks)
    created = [a_task(f"{number}", client_request_id="many", created_at=NOW + number) for number in range(12)]
    for task in created:
        tasks.create(task)
    seen: list[str] = []
    cursor, pages = "", 0
    while cursor or not pages:
        before = tasks.pages
        page = list_exports(ports, TENANT, request_id=wanted, limit=1, cursor=cursor)
        assert tasks.pages - before <= 2
        assert len(page.tasks) <= 1
        seen += [task.task_id for task in page.tasks]
        cursor = page.cursor
        pages += 1
    assert seen == ([task.task_id for task in reversed(created)] if wanted == "many" else [])


def test_over_grpc(tmp_path: Path) -> None:
    memory = MemoryService(tmp_path, paused=True)
    with serving(memory) as target, closing(GrpcClient(target, memory.token())) as client:
        opened = [
            client.call("OpenExport", metadata_of(), metadata=(*client.metadata, ("x-request-id", f"job-{n}"))).task_id
            for n in range(3)
        ]
        page = client.call("ListTasks", pb.ListTasksRequest(request_id="job-1"))
        assert [(task.task_id, task.request_id) for task in page.tasks] == [(opened[1], "job-1")]


def test_at_the_command_line_in_a_directory_and_on_a_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving_for_real(data) as service, Client(service.url) as client:
        ids = [client.open(format="csv", columns=["a"]).id for _ in range(2)]
        request = str(client.export(ids[0]).status().request_id)
        for where in (("--data", str(data)), ("--server", service.url)):
            said = sluice("task", "list", "--request", request, *where).stdout
            assert ids[0] in said
            assert ids[1] not in said
