"""Who waits, or sends slowly, holds nothing of an export's columns, which may be megabytes for each connection."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.api.grpc.stream import switches_of
from sluice.domain.params import ExportParams
from sluice.ports.task_store import TaskStore
from sluice.usecases.params_cache import ParamsCache
from tests.support.grpc_client import GrpcClient, metadata_of, opening, sending, serving_client
from tests.support.grpc_client import closing as totals
from tests.support.http_client import ApiClient, definition, http_relay
from tests.support.memory_service import MemoryService
from tests.support.watched_stores import CountedCalls

WAIT_S = 60
UNTIL_S = 30
"""Before a long poll of ``WAIT_S`` ends by itself."""
NAMES = [f"a wide table's column {number}" for number in range(50)]
FOLLOWED = b"data: "
GO_ON = b"HTTP/1.1 100 "


def kept() -> int:
    """How many definitions of the wide table this process holds."""
    gc.collect()
    found = (thing for thing in gc.get_objects() if isinstance(thing, ExportParams))
    return sum(1 for params in found if params.columns and params.columns[0].name == NAMES[0])


def keep_one(params_cache: ParamsCache) -> None:
    """As full as it may be with one definition, so that the next one that is opened takes the place of any other."""
    params_cache._size = 1


def until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + UNTIL_S
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


class Counted:
    """A task store on disk in place of a relay's own, which holds what it has; and how often each method was called."""

    def __init__(self, folder: Path) -> None:
        self.store = CountedCalls(SqliteTasks(folder / "tasks.sqlite3", synchronous="OFF"))

    def __call__(self, tasks: TaskStore) -> Any:
        del tasks
        return self.store


@pytest.mark.parametrize("way", ["events", "wait", "watched events", "watched wait", "a slow body"])
def test_who_waits_over_http_holds_no_columns(tmp_path: Path, way: str) -> None:
    counted = Counted(tmp_path)
    with http_relay(tmp_path, tasks=counted) as relay:
        keep_one(relay.memory.service.params_cache)
        client = relay.client()
        opened = client.post("/v1/exports", json=definition(columns=NAMES)).json()
        client.open()
        assert kept() == 0
        path = f"/v1/exports/{opened['task_id']}"
        if way.startswith("watched"):
            path = urlsplit(opened["watch_url"]).path
        with closing(socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_S)) as waiter:
            counted.store.calls.clear()
            waiter.sendall(request_of(client, way, path))
            if way.endswith("wait"):
                until(lambda: counted.store.calls.count("read_rev") >= 2)
            else:
                read_until(waiter, GO_ON if way == "a slow body" else FOLLOWED)
            client.open()  # what was read for the waiter is no longer remembered
            until(lambda: kept() == 0)
            if way == "a slow body":
                waiter.sendall(b"[]")
                read_until(waiter, b"HTTP/1.1 200 ")
            assert client.get(f"/v1/exports/{opened['task_id']}").json()["state"] == "open"


def request_of(client: ApiClient, way: str, path: str) -> bytes:
    line = {
        "events": f"GET {path}/events",
        "wait": f"GET {path}?wait={WAIT_S}",
        "watched events": f"GET {path}/events",
        "watched wait": f"GET {path}?wait={WAIT_S}",
        "a slow body": f"PUT {path}/batches/1",
    }[way]
    head = f"{line} HTTP/1.1\r\nHost: x\r\n"
    if not way.startswith("watched"):
        head += f"Authorization: {client.headers['Authorization']}\r\n"
    if way == "a slow body":
        head += "Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
    return f"{head}\r\n".encode()


def read_until(waiter: socket.socket, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        piece = waiter.recv(65_536)
        assert piece, seen
        seen += piece


def test_a_stream_over_grpc_holds_no_columns_while_it_is_sent_nor_while_it_waits(tmp_path: Path) -> None:
    counted = Counted(tmp_path)
    memory = MemoryService(tmp_path, paused=True, tasks=counted)
    keep_one(memory.service.params_cache)
    with serving_client(memory) as client:
        stream = client.open_stream()
        stream.write(opening(*NAMES))
        stream.read()
        open_another(client)
        until(lambda: kept() == 0)
        stream.write(sending([NAMES], 1), totals(batches=1, records=1))
        stream.done()
        until(lambda: counted.store.calls.count("read_rev") >= 2)
        open_another(client)
        until(lambda: kept() == 0)
        memory.invoker.join()
        assert stream.rest().refusal is None


def open_another(client: GrpcClient) -> None:
    client.call("OpenExport", metadata_of())


def test_a_stream_keeps_the_switches_of_its_metadata_alone() -> None:
    switches: dict[str, Any] = {
        "wait": False,
        "early_response": False,
        "wait_timeout_s": 7,
        "ack_batches": True,
        "totals_follow": True,
    }
    found = switches_of(metadata_of(NAMES, **switches))
    assert {field.name: value for field, value in found.ListFields()} == switches
