"""Opens that wait for room in the queue hold nothing that other calls need."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sluice.api.service import WAITING_MAX
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TenantId
from sluice.proto import export_pb2 as pb
from tests.support.grpc_client import GrpcClient, metadata_of, serving_client
from tests.support.http_client import code_of, definition, http_relay
from tests.support.memory_service import MemoryService

WAIT_S = 60
OPENS = 60


class Queue:
    """An admission without room until ``freed`` is set; ``refused`` counts the opens that it sent away."""

    def __init__(self) -> None:
        self.freed = threading.Event()
        self.refused = threading.Semaphore(0)

    def admit(self, tenant: TenantId) -> None:
        if not self.freed.is_set():
            self.refused.release()
            raise SluiceError(ErrorCode.QUEUE_FULL, retry_after_s=7)

    def has_room(self, tenant: TenantId) -> bool:
        return self.freed.is_set()


def test_a_status_is_answered_while_more_opens_wait_than_there_are_threads(tmp_path: Path) -> None:
    queue = Queue()
    queue.freed.set()
    with http_relay(tmp_path, admission=queue, admit_timeout_s=WAIT_S) as relay, ThreadPoolExecutor(OPENS) as threads:
        client = relay.client()
        task_id = client.open()
        queue.freed.clear()
        clients = [relay.client() for _ in range(OPENS)]
        opens = [threads.submit(one.post, "/v1/exports", json=definition(), timeout=WAIT_S) for one in clients]
        for _ in opens:
            assert queue.refused.acquire(timeout=WAIT_S)
        assert client.get(f"/v1/exports/{task_id}").status_code == 200
        assert not any(one.done() for one in opens)
        queue.freed.set()
        assert {one.result(WAIT_S).status_code for one in opens} == {201}


def test_an_open_that_waited_in_vain_is_told_so(tmp_path: Path) -> None:
    with http_relay(tmp_path, admission=Queue(), admit_timeout_s=0.2) as relay:
        answer = relay.client().post("/v1/exports", json=definition())
    assert (answer.status_code, code_of(answer), answer.headers["Retry-After"]) == (503, "QUEUE_FULL", "7")


def test_over_grpc_a_few_opens_wait_and_the_others_are_refused_at_once(tmp_path: Path) -> None:
    queue = Queue()
    memory = MemoryService(tmp_path, admission=queue, admit_timeout_s=WAIT_S)
    with serving_client(memory) as client, ThreadPoolExecutor(WAITING_MAX) as threads:
        opens = [
            threads.submit(client.call, "OpenExport", metadata_of(["a"]), timeout=WAIT_S) for _ in range(WAITING_MAX)
        ]
        for _ in opens:
            assert queue.refused.acquire(timeout=WAIT_S)
        while not is_refused(client):
            pass  # the last of them is about to wait
        client.call("ListTasks", pb.ListTasksRequest())
        queue.freed.set()
        assert all(one.result(WAIT_S).task_id for one in opens)
    memory.invoker.join()


def is_refused(client: GrpcClient) -> bool:
    """Whether an open is refused at once: while one more may wait, its own deadline ends it."""
    return client.refused("OpenExport", metadata_of(["a"]), timeout=2).code == "QUEUE_FULL"
