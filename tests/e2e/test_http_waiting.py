"""Waiting for a task: tags, long polls, server-sent events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sluice.domain.events import Event
from sluice.domain.lifecycle import Guard
from tests.support.http_client import ApiClient, HttpRelay, code_of, http_relay


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    """A client of a tenant of its own."""
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


def test_a_tag_saves_reading_what_is_known(client: ApiClient) -> None:
    path = f"/v1/exports/{client.open()}"
    first = client.get(path)
    tag = first.headers["ETag"]
    for header in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
        answer = client.get(path, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert client.put_rows(first.json()["task_id"], 1, [[1, "a"]]).status_code == 200
    answer = client.get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["ETag"] != tag) == (200, True)


def test_a_running_task_says_when_to_ask_again(tmp_path: Path) -> None:
    with http_relay(tmp_path, paused=True) as relay:
        client = relay.client()
        task_id = client.open()
        assert "Retry-After" not in client.get(f"/v1/exports/{task_id}").headers
        closed = client.close_task(task_id)
        assert int(closed.headers["Retry-After"]) >= 1
        assert closed.headers["Location"] == f"/v1/exports/{task_id}"
        assert int(client.get(f"/v1/exports/{task_id}").headers["Retry-After"]) >= 1
        relay.memory.invoker.join()
        assert "Retry-After" not in client.get(f"/v1/exports/{task_id}").headers


def test_a_long_poll_is_answered_when_the_state_changes(client: ApiClient) -> None:
    task_id = client.open()
    with ThreadPoolExecutor(1) as thread:
        poll = thread.submit(client.get, f"/v1/exports/{task_id}?wait=30")
        time.sleep(0.1)
        assert not poll.done()
        client.close_task(task_id)
        assert poll.result(10).json()["state"] != "open"


def test_a_long_poll_ends_when_its_time_is_up_or_nothing_will_change(client: ApiClient) -> None:
    task_id = client.open()
    assert client.get(f"/v1/exports/{task_id}?wait=0.05").json()["state"] == "open"
    client.finish(task_id)
    assert client.get(f"/v1/exports/{task_id}?wait=60").json()["state"] == "completed"


def test_a_long_poll_by_tag_is_answered_at_once_when_the_tag_is_old(client: ApiClient) -> None:
    task_id = client.open()
    answer = client.get(f"/v1/exports/{task_id}?wait=60", headers={"If-None-Match": 'W/"99"'})
    assert answer.status_code == 200


@pytest.mark.parametrize("wait", ["-1", "x", "nan", "inf"])
def test_a_wait_that_is_no_time_is_refused(client: ApiClient, wait: str) -> None:
    answer = client.get(f"/v1/exports/{client.open()}?wait={wait}")
    assert (answer.status_code, code_of(answer), answer.json()["field"]) == (400, "INVALID_REQUEST", "wait")


def events_in(stream: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in stream:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_events_tell_every_revision_until_the_end(client: ApiClient) -> None:
    task_id = client.open()
    with client.stream("GET", f"/v1/exports/{task_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = events_in(answer.iter_lines())
        first = next(events)
        assert first == client.get(f"/v1/exports/{task_id}").json()
        client.put_rows(task_id, 1, [[1, "a"]])
        assert next(events)["rows_received"] == 1
        client.close_task(task_id)
        states = [event["state"] for event in events]
    assert states[-1] == "completed"


def test_a_stream_of_events_says_that_it_is_still_there(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        relay.app.state.resources = replace(relay.app.state.resources, keep_alive_s=0.1)
        client = relay.client()
        with client.stream("GET", f"/v1/exports/{client.open()}/events") as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith(":")) == ": still here"


def test_events_of_an_ended_task_are_one_and_a_client_that_has_it_is_sent_away(client: ApiClient) -> None:
    task_id = client.open()
    client.finish(task_id)
    answer = client.get(f"/v1/exports/{task_id}/events")
    (event,) = events_in(iter(answer.text.splitlines()))
    assert event["state"] == "completed"
    (seen,) = (line.removeprefix("id: ") for line in answer.text.splitlines() if line.startswith("id: "))
    again = client.get(f"/v1/exports/{task_id}/events", headers={"Last-Event-ID": seen})
    assert (again.status_code, again.content) == (204, b"")


def test_events_end_with_a_problem_when_the_task_is_gone(client: ApiClient) -> None:
    task_id = client.open()
    lines: list[str] = []
    with client.stream("GET", f"/v1/exports/{task_id}/events") as answer:
        stream = answer.iter_lines()
        next(stream)
        row = client.relay.memory.row(task_id, client.tenant)
        client.relay.memory.tasks.remove(row.ref, Guard(state=row.state, rev=row.rev))
        lines += stream
    assert "event: problem" in lines
    assert json.loads(lines[lines.index("event: problem") + 1].removeprefix("data: "))["code"] == "TASK_NOT_FOUND"


def test_events_stop_being_made_when_the_reader_leaves(client: ApiClient) -> None:
    task_id = client.open()
    with client.stream("GET", f"/v1/exports/{task_id}/events") as answer:
        next(events_in(answer.iter_lines()))
    give_up_at = time.monotonic() + 10
    while not any(route.endswith("/events") and status == 200 for _, route, status, _ in client.relay.seen[-3:]):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_whoever_waits_is_answered_when_the_service_stops(tmp_path: Path) -> None:
    with http_relay(tmp_path, paused=True) as relay:
        client, other = relay.client(), relay.client()
        task_id = client.open()
        with ThreadPoolExecutor(2) as threads:
            poll = threads.submit(client.get, f"/v1/exports/{task_id}?wait=60")
            follow = threads.submit(other.get, f"/v1/exports/{task_id}/events")
            time.sleep(0.2)
            relay.face.drain(deadline_s=10)
            assert poll.result(1).json()["state"] == "open"
            assert "id: 0" in follow.result(1).text


def test_status_queries_are_noted_once_however_long_they_wait(tmp_path: Path) -> None:
    with http_relay(tmp_path) as relay:
        client = relay.client()
        client.get(f"/v1/exports/{client.open()}?wait=0.3")
        assert len(relay.memory.journal.of(Event.STATUS_QUERIED)) == 1


def test_render_makes_another_file_from_the_same_rows(client: ApiClient) -> None:
    task_id = client.open()
    client.put_rows(task_id, 1, [[1, "a"]])
    early = client.post(f"/v1/exports/{task_id}/render", json={"format": "xlsx"})
    assert (early.status_code, code_of(early)) == (409, "NOT_READY")
    client.finish(task_id)
    body = {"format": "xlsx", "filename": "other", "options": {"banding": True}}
    rendered = [
        client.post(f"/v1/exports/{task_id}/render", json=body, headers={"Idempotency-Key": "r"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in rendered] == [201, 201]
    made = rendered[0].json()
    assert (made["filename"], made["rows_received"]) == ("other.xlsx", 1)
    assert rendered[0].headers["Location"] == f"/v1/exports/{made['task_id']}"
    assert [answer.headers.get("Idempotent-Replayed") for answer in rendered] == [None, "true"]
    plain = client.post(f"/v1/exports/{task_id}/render")
    assert plain.json()["task_id"] not in {task_id, made["task_id"]}
    client.relay.memory.invoker.join()
    assert client.relay.memory.file(made["task_id"], client.tenant).startswith(b"PK")
    refused = client.put_rows(made["task_id"], 1, [[1, "a"]])
    assert (refused.status_code, code_of(refused)) == (409, "TASK_CLOSED")


def test_many_may_wait_while_others_work(client: ApiClient) -> None:
    task_id = client.open()
    done = threading.Event()
    with ThreadPoolExecutor(60) as threads, closing(client):
        polls = [threads.submit(client.get, f"/v1/exports/{task_id}?wait=2") for _ in range(60)]
        done.wait(0.2)
        started = time.monotonic()
        assert client.relay.client(client.tenant).put_rows(task_id, 1, [[1, "a"]]).status_code == 200
        assert time.monotonic() - started < 2
        client.relay.client(client.tenant).close_task(task_id)
        assert {poll.result(10).status_code for poll in polls} == {200}
