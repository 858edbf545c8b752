"""Many callers at once: every change happens whole and in some order; connections stay open; threads end."""

from __future__ import annotations

import contextlib
import math
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.emulators.tablestore import DropBefore, Fault, TablestoreServer, serving_tablestore
from tests.support.tablestore_client import Client, columns_of, connecting, create_table, key, ots, put

CALLERS = 12
EQUAL = ots.ComparatorType.EQUAL


@pytest.fixture
def server() -> Iterator[TablestoreServer]:
    with serving_tablestore() as server:
        yield server


@pytest.fixture(autouse=True)
def many_switches() -> Iterator[None]:
    """Let threads interrupt each other after every few steps, not after thousands."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def client(server: TablestoreServer) -> Iterator[Client]:
    with connecting(server) as client:
        create_table(client)
        yield client


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Do ``work`` in many threads that start together."""
    barrier = threading.Barrier(CALLERS)

    def started(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(started, range(CALLERS)))


def wins(write: Callable[[], Any]) -> bool:
    try:
        write()
    except ots.OTSServiceError as refused:
        if refused.code != "OTSConditionCheckFail":
            raise
        return False
    return True


def test_no_increment_is_lost(client: Client) -> None:
    def count(_: int) -> None:
        for _ in range(20):
            client.update_row("tasks", ots.Row(key("a"), {"INCREMENT": [("n", 1)]}), None)

    at_once(count)
    assert columns_of(client, "a") == {"n": CALLERS * 20}


def test_one_of_many_puts_makes_the_row(client: Client) -> None:
    for task in "abcde":

        def make(number: int, task: str = task) -> bool:
            row = ots.Row(key(task), [("owner", number)])
            return wins(lambda: client.put_row("tasks", row, ots.Condition("EXPECT_NOT_EXIST")))

        is_mine = at_once(make)
        assert is_mine.count(True) == 1
        assert columns_of(client, task) == {"owner": is_mine.index(True)}


def test_one_of_many_updates_that_saw_the_same_wins(client: Client) -> None:
    put(client, "a", rev=0)
    for rev in range(10):
        seen = ots.SingleColumnCondition("rev", rev, EQUAL, False)

        def take(number: int, seen: Any = seen) -> bool:
            changes = {"INCREMENT": [("rev", 1)], "PUT": [("owner", number)]}
            row = ots.Row(key("a"), changes)
            return wins(lambda: client.update_row("tasks", row, ots.Condition("EXPECT_EXIST", seen)))

        is_mine = at_once(take)
        assert is_mine.count(True) == 1
        assert columns_of(client, "a") == {"rev": rev + 1, "owner": is_mine.index(True)}


def test_nobody_ever_sees_half_a_change(server: TablestoreServer, client: Client) -> None:
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("by_due", ["due"], ["state"]), False)
    put(client, "a", due=0, state="0")
    stop = threading.Event()

    def write(number: int) -> None:
        for turn in range(30):
            value = number * 1000 + turn
            client.update_row("tasks", ots.Row(key("a"), {"PUT": [("due", value), ("state", str(value))]}), None)

    def look() -> int:
        looks = 0
        while not stop.is_set():
            row = columns_of(client, "a")
            assert row is not None
            assert row["state"] == str(row["due"])
            entries = index_of(client)
            assert len(entries) == 1, "an entry that moves is never there twice, nor away"
            assert entries[0][1] == str(entries[0][0])
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        at_once(write)
        stop.set()
        assert all(looker.result() > 0 for looker in lookers)


def index_of(client: Client) -> list[tuple[int, str]]:
    low = [("due", ots.INF_MIN), *key(ots.INF_MIN, ots.INF_MIN)]
    high = [("due", ots.INF_MAX), *key(ots.INF_MAX, ots.INF_MAX)]
    _, _, rows, _ = client.get_range("by_due", "FORWARD", low, high, max_version=1)
    return [(row.primary_key[0][1], row.attribute_columns[0][1]) for row in rows]


def test_an_index_that_stays_behind_ends_up_like_the_table(server: TablestoreServer, client: Client) -> None:
    client.create_secondary_index("tasks", ots.SecondaryIndexMeta("by_due", ["due"], ["state"]), False)
    server.index_lag_s = math.inf

    def churn(number: int) -> None:
        for turn in range(20):
            task = f"t{(number + turn) % 5}"
            if turn % 4 == 3:
                client.delete_row("tasks", ots.Row(key(task)), ots.Condition("IGNORE"))
            else:
                put(client, task, due=number * 100 + turn, state=task)

    at_once(churn)
    assert index_of(client) == []
    server.index_lag_s = 0
    table = [columns_of(client, f"t{number}") for number in range(5)]
    assert index_of(client) == sorted((row["due"], row["state"]) for row in table if row is not None)


def test_calls_after_another_share_one_connection(server: TablestoreServer) -> None:
    with connecting(server) as client:
        create_table(client)
        for number in range(50):
            put(client, f"t{number}")
        pool = client.connection.pool.connection_from_url(server.endpoint)
        assert (pool.num_connections, pool.num_requests) == (1, 51)


def test_no_thread_outlives_its_server() -> None:
    before = set(threading.enumerate())
    with contextlib.ExitStack() as callers:
        with serving_tablestore() as server:
            for _ in range(20):
                callers.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            while len(set(threading.enumerate()) - before) < 20:
                time.sleep(0.001)
        assert set(threading.enumerate()) - before == set()


def test_a_server_that_stops_waits_for_what_it_is_about_to_do() -> None:
    begun = threading.Event()

    def dawdle(_: object) -> bool:
        begun.set()
        time.sleep(0.2)
        return False

    with ThreadPoolExecutor(1) as pool, serving_tablestore() as server, connecting(server) as client:
        create_table(client)
        server.faults.add(Fault(DropBefore(), "PutRow", where=dawdle))
        written = pool.submit(put, client, "a")
        begun.wait(10)
        server.stop()
        assert [call.status for call in server.requests] == [200, 200]
        assert written.result(10) is None


def test_two_servers_do_not_know_each_other() -> None:
    with (
        serving_tablestore() as one,
        serving_tablestore() as other,
        connecting(one) as first,
        connecting(other) as second,
    ):
        create_table(first)
        assert first.list_table() == ("tasks",)
        assert second.list_table() == ()
