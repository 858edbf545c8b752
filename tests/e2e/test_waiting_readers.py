"""Who waits for a change of an export meets a silent store in one way: over gRPC, by a long poll, by events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.domain.keys import TaskRef
from sluice.ports.store_errors import OutcomeUnknown
from sluice.ports.task_store import TaskStore
from sluice.ports.waiting import WAITING
from sluice.usecases.sending.cancel_export import cancel_export
from tests.support.fake_clock import FakeClock
from tests.support.grpc_client import opening, serving_client
from tests.support.http_client import http_relay
from tests.support.memory_service import MemoryService

WAIT_S = 60
FAILS = 3
STEP_S = WAITING.silence_max_s / (FAILS - 0.5)
"""Of the clock, at each read without an answer: the third is the first that comes too late."""

Outcome = tuple[str, str]
"""The state that the waiter got, and the code of an error; one of them is empty."""


class SlowClock(FakeClock):
    """Stands still while its readers pause: only what the test moves is time."""

    def sleep(self, seconds: float) -> None:
        del seconds
        time.sleep(0.001)


class SilentTasks:
    """A task store that does not answer whether a row has changed, until ``speaks`` is set; all else it answers."""

    def __init__(self, tasks: TaskStore, clock: FakeClock, *, step_s: float) -> None:
        self._tasks = tasks
        self._clock = clock
        self._step_s = step_s
        self.speaks = threading.Event()
        self.unanswered = 0
        self.was_silent = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tasks, name)

    def read_rev(self, ref: TaskRef) -> int | None:
        if self.speaks.is_set():
            return self._tasks.read_rev(ref)
        self._clock.advance(self._step_s)
        self.unanswered += 1
        if self.unanswered >= FAILS:
            self.was_silent.set()
        raise OutcomeUnknown("no answer")


class Waited:
    """A service whose store is silent, and one caller that waits."""

    def __init__(self, folder: Path, *, step_s: float) -> None:
        self.clock = SlowClock()
        self.folder = folder
        self.stores: list[SilentTasks] = []
        self._step_s = step_s

    def silence(self, tasks: TaskStore) -> Any:
        self.stores.append(SilentTasks(tasks, self.clock, step_s=self._step_s))
        return self.stores[0]

    def end_silence(self, memory: MemoryService, task_id: str) -> None:
        """Once it was silent for some reads: change the export, then answer."""
        assert self.stores[0].was_silent.wait(WAIT_S)
        cancel_export(memory.ports, memory.row(task_id).ref)
        self.stores[0].speaks.set()


def by_http(waited: Waited, read: Callable[[httpx.Client, str], Outcome], *, ends: bool) -> Outcome:
    with http_relay(waited.folder, clock=waited.clock, tasks=waited.silence) as relay, ThreadPoolExecutor(1) as thread:
        client = relay.client()
        task_id = client.open()
        outcome = thread.submit(read, client, task_id)
        if ends:
            waited.end_silence(relay.memory, task_id)
        return outcome.result(WAIT_S)


def long_poll(client: httpx.Client, task_id: str, wait_s: float = WAIT_S) -> Outcome:
    answer = client.get(f"/v1/exports/{task_id}?wait={wait_s}", timeout=2 * WAIT_S)
    body = answer.json()
    assert answer.status_code in {200, 503}
    assert (answer.status_code == 503) == ("code" in body)
    return body.get("state", ""), body.get("code", "")


def events(client: httpx.Client, task_id: str) -> Outcome:
    with client.stream("GET", f"/v1/exports/{task_id}/events", timeout=2 * WAIT_S) as answer:
        lines = [line for line in answer.iter_lines() if line]
    last = json.loads(lines[-1].removeprefix("data: "))
    is_problem = lines[-2] == "event: problem"
    return ("", last["code"]) if is_problem else (last["state"], "")


def by_grpc(waited: Waited, *, ends: bool) -> Outcome:
    memory = MemoryService(waited.folder, clock=waited.clock, tasks=waited.silence, paused=True)
    with serving_client(memory) as client, ThreadPoolExecutor(1) as thread:
        stream = client.open_stream(timeout_s=None)
        stream.write(opening())
        task_id = stream.read().task_id
        stream.done()
        rest = thread.submit(stream.rest)
        if ends:
            waited.end_silence(memory, task_id)
        outcome = rest.result(WAIT_S)
    assert outcome.refusal is not None
    code = outcome.refusal.code
    return ("cancelled", "") if code == "CANCELLED" else ("", code)


WAYS: dict[str, Callable[[Waited, bool], Outcome]] = {
    "long poll": lambda waited, ends: by_http(waited, long_poll, ends=ends),
    "events": lambda waited, ends: by_http(waited, events, ends=ends),
    "gRPC": lambda waited, ends: by_grpc(waited, ends=ends),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_silence_that_ends_is_no_end_of_the_wait(way: str, tmp_path: Path) -> None:
    waited = Waited(tmp_path, step_s=0)
    assert WAYS[way](waited, True) == ("cancelled", "")
    assert waited.stores[0].unanswered >= FAILS


@pytest.mark.parametrize("way", WAYS)
def test_a_silence_that_lasts_is_an_error_as_late_in_each_way(way: str, tmp_path: Path) -> None:
    waited = Waited(tmp_path, step_s=STEP_S)
    assert WAYS[way](waited, False) == ("", "STORE_UNAVAILABLE")
    assert waited.stores[0].unanswered == FAILS


def test_a_long_poll_whose_time_is_up_in_a_silence_answers_nothing_old(tmp_path: Path) -> None:
    waited = Waited(tmp_path, step_s=0)
    assert by_http(waited, lambda client, task_id: long_poll(client, task_id, 0.5), ends=False) == (
        "",
        "STORE_UNAVAILABLE",
    )
    assert waited.stores[0].unanswered > 0
