"""`sluice task … --server URL`: what a caller may see and end from anywhere, with the key alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.keys import TaskId, TaskRef, TenantId
from sluice.domain.lifecycle import Guard
from sluice.domain.task import State
from sluice.usecases.lease import fail_task
from sluice.usecases.reading.read_task import find_task
from tests.support.command_line import sluice
from tests.support.data_directory import compose, data_directory, open_task, seal
from tests.support.http_calls import CALLER
from tests.support.http_client import ApiClient, HttpRelay, http_relay
from tests.support.scripted_server import Answer, Asked, scripted_server

TENANT = "shop"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[HttpRelay]:
    with http_relay(tmp_path) as running:
        yield running


class Caller:
    """One tenant: its client, and the command with its key."""

    def __init__(self, relay: HttpRelay, tenant: str = TENANT) -> None:
        self.relay = relay
        self.client: ApiClient = relay.client(tenant)
        self.key = str(self.client.headers["authorization"]).removeprefix("Bearer ")

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Returns standard output, or standard error of a failure."""
        env = {"SLUICE_TOKEN": self.key}
        done = sluice("task", *arguments, "--server", self.relay.url, env=env, exit_code=exit_code)
        assert self.key not in done.stdout + done.stderr
        assert exit_code == 0 or done.stdout == ""
        return done.stderr if exit_code else done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def opened(self, **how: Any) -> str:
        """An export with one batch, still open."""
        task_id = self.client.open(**how)
        assert self.client.put_rows(task_id, 1, [[1, "a"], [2, "b"]]).status_code == 200
        return task_id

    def finished(self, **how: Any) -> str:
        task_id = self.opened(**how)
        assert self.client.finish(task_id)["state"] == "completed"
        return task_id


@pytest.fixture
def caller(relay: HttpRelay) -> Caller:
    return Caller(relay)


def test_the_list_is_that_of_the_key_s_tenant(relay: HttpRelay, caller: Caller) -> None:
    stranger = Caller(relay, "other")
    theirs, done, waiting = stranger.opened(), caller.finished(filename="done"), caller.opened(filename="waiting")
    table = caller.run("list")
    assert table.index(waiting) < table.index(done)
    assert theirs not in table
    line = next(line for line in table.splitlines() if done in line)
    assert all(word in line for word in ("completed", "csv", "done.csv", " B"))
    assert [one["task"]["task_id"] for one in caller.json("list")] == [waiting, done]
    assert [one["task"]["task_id"] for one in caller.json("list", "--state", "open")] == [waiting]
    assert [one["task"]["task_id"] for one in caller.json("list", "--limit", "1")] == [waiting]
    assert caller.run("list", "--state", "failed") == "There are no tasks.\n"
    assert "the tenant of the key alone" in caller.run("list", "--tenant", "other", exit_code=2)


def test_show_says_what_the_service_tells(caller: Caller) -> None:
    task_id = caller.finished(filename="orders")
    page = caller.run("show", task_id)
    for words in (task_id, "completed", "csv, orders.csv", "1 received, 2 rows", "sha256", "finished"):
        assert words in page
    assert caller.json("show", task_id)["rows_written"] == 2


def test_show_says_why_a_task_failed_and_who_must_act(tmp_path: Path) -> None:
    with http_relay(tmp_path, paused=True) as relay:
        check_failed_task(relay, Caller(relay))


def check_failed_task(relay: HttpRelay, caller: Caller) -> None:
    task_id = caller.opened()
    ref, ports = TaskRef(TenantId(TENANT), TaskId(task_id)), relay.memory.ports
    assert caller.client.close_task(task_id).status_code == 202
    guard = Guard(state=State.SEALED, epoch=find_task(ports, ref).epoch)
    assert fail_task(ports, ref, guard, SluiceError(ErrorCode.CHUNK_MISSING, sequence=2))
    page = caller.run("show", task_id)
    assert "CHUNK_MISSING" in page
    assert "who must act: operator (sluice explain CHUNK_MISSING)" in page
    assert "CHUNK_MISSING" in caller.run("wait", task_id, exit_code=1)
    assert "CHUNK_MISSING" in caller.run("list")


def test_the_beginning_of_an_id_is_enough(caller: Caller) -> None:
    task_ids = [caller.opened() for _ in range(40)]
    one = task_ids[0]
    length = next(n for n in range(1, 27) if sum(other.startswith(one[:n]) for other in task_ids) == 1)
    assert caller.json("show", one[:length])["task_id"] == one
    firsts = [task_id[0] for task_id in task_ids]
    shared = next(first for first in firsts if firsts.count(first) > 1)  # 40 ids begin with 32 letters
    assert "INVALID_REQUEST" in caller.run("show", shared, exit_code=1)
    assert "TASK_NOT_FOUND" in caller.run("show", "a" * 26, exit_code=1)
    assert "TASK_NOT_FOUND" in caller.run("show", "../keys", exit_code=1)


def test_cancel_stops_a_task_and_never_deletes_one(caller: Caller) -> None:
    running, done = caller.opened(), caller.finished()
    for _ in range(2):
        assert caller.json("cancel", running) == {"task_id": running, "state": "cancelled"}
    refused = caller.run("cancel", done, exit_code=1)
    assert "completed" in refused
    assert "sluice task delete" in refused
    assert caller.json("show", done)["state"] == "completed"


def test_an_export_that_completes_between_the_look_and_the_call_keeps_its_file(tmp_path: Path) -> None:
    """The service is real; a proxy lets its composer finish once the command has looked and is about to act."""
    with http_relay(tmp_path, paused=True) as relay:
        caller = Caller(relay)
        task_id = caller.opened()
        assert caller.client.close_task(task_id).status_code == 202

        def forward(asked: Asked) -> Answer:
            if asked.method != "GET":
                relay.memory.invoker.join()
            answer = CALLER.request(asked.method, relay.url + asked.path, headers=asked.headers, content=asked.body)
            return Answer(answer.status_code, answer.content, {"Content-Type": answer.headers.get("content-type", "")})

        with scripted_server(forward) as proxy:
            env = {"SLUICE_TOKEN": caller.key}
            length = len(task_id) - 1  # a look at the list comes first
            said = sluice("task", "cancel", task_id[:length], "--server", proxy.url, env=env, exit_code=1).stderr
        assert [asked.method for asked in proxy.asked] == ["GET", "POST"]
        assert "completed" in said
        assert "sluice task delete" in said
        assert caller.json("show", task_id)["state"] == "completed"
        link = caller.run("link", task_id).strip()
        assert CALLER.get(link).content.endswith(b"2,b\r\n")


def test_delete_removes_what_has_ended_alone_and_can_be_repeated(caller: Caller) -> None:
    running, done = caller.opened(), caller.finished()
    refused = caller.run("delete", running, exit_code=1)
    assert "sluice task cancel" in refused
    assert caller.json("show", running)["state"] == "open"
    for _ in range(2):
        assert caller.run("delete", done) == f"Task {done} is deleted.\n"
    assert "TASK_DELETED" in caller.run("show", done, exit_code=1)


def test_wait_ends_with_the_file_or_with_the_time(caller: Caller) -> None:
    running, done = caller.opened(), caller.finished()
    assert caller.json("wait", done)["state"] == "completed"
    assert "NOT_READY" in caller.run("wait", running, "--timeout", "0", exit_code=1)


def test_link_prints_a_link_that_opens(caller: Caller) -> None:
    done = caller.finished()
    link = caller.run("link", done).strip()
    assert CALLER.get(link).content.endswith(b"2,b\r\n")
    assert caller.json("link", done).keys() == {"url", "expires_at"}
    assert "NOT_READY" in caller.run("link", caller.opened(), exit_code=1)


@pytest.mark.parametrize("command", ["retry", "trigger", "release-lease", "verify"])
def test_what_needs_the_stores_says_so_with_the_way_out(command: str) -> None:
    said = sluice("task", command, "a" * 26, "--server", "http://127.0.0.1:9", exit_code=2).stderr
    words = " ".join(said.replace("│", " ").split())
    assert "works on the service's stores" in words
    assert "--data DIR" in words


@pytest.mark.parametrize("command", ["list", "show", "cancel", "delete"])
def test_a_service_and_its_data_are_not_given_together(tmp_path: Path, command: str) -> None:
    task = [] if command == "list" else ["a" * 26]
    server = ("--server", "http://127.0.0.1:9", "--data", tmp_path)
    assert "leave out --data" in sluice("task", command, *task, *server, exit_code=2).stderr


@pytest.mark.parametrize("command", ["wait", "link"])
def test_what_only_a_service_can_answer_needs_one(command: str) -> None:
    assert "--server" in sluice("task", command, "a" * 26, exit_code=2).stderr


def test_a_wrong_key_or_address_is_said(relay: HttpRelay) -> None:
    for server, token, code, word in (
        (relay.url, "slc_wrong", 1, "UNAUTHENTICATED"),
        ("not-a-url", "", 2, "--server"),
    ):
        done = sluice("task", "list", "--server", server, env={"SLUICE_TOKEN": token}, exit_code=code)
        assert word in done.stderr
        assert "slc_wrong" not in done.stderr


def test_delete_removes_a_cancelled_export_as_it_says(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        cancelled = open_task(ports)
    sluice("task", "cancel", cancelled.task_id, "--data", tmp_path)
    assert sluice("task", "delete", cancelled.task_id, "--data", tmp_path).stdout.endswith("is deleted.\n")
    with data_directory(tmp_path) as ports, pytest.raises(SluiceError) as caught:
        find_task(ports, cancelled)
    assert caught.value.code is ErrorCode.TASK_DELETED


def test_delete_works_on_a_directory_too(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        running, done = open_task(ports), open_task(ports)
        seal(ports, done)
        compose(ports, done)
    refused = sluice("task", "delete", running.task_id, "--data", tmp_path, exit_code=1).stderr
    assert "sluice task cancel" in refused
    for _ in range(2):
        sluice("task", "delete", done.task_id, "--data", tmp_path)
    with data_directory(tmp_path) as ports:
        assert find_task(ports, running).state is State.OPEN
        with pytest.raises(SluiceError) as caught:
            find_task(ports, done)
    assert caught.value.code is ErrorCode.TASK_DELETED
