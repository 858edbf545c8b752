"""Health and metrics on their own port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from sluice.api.http.routes.health import HealthApp, HealthChecks
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.domain.errors import ErrorCode, SluiceError
from tests.support.fake_clock import FakeClock


class Checked:
    """Checks whose outcome a test sets."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


def well() -> None:
    """Nothing is wrong."""


@contextmanager
def health(
    *, ready: Callable[[], object] = well, store: Callable[[], object] = well, clock: FakeClock | None = None
) -> Iterator[httpx.Client]:
    app = HealthApp(
        HealthChecks(ready={"room": ready}, dependencies={"store": store}, interval_s=10, timeout_s=0.2),
        clock=clock or FakeClock(),
        metrics=lambda: b"export_active_tasks 3\n",
        metrics_type="text/plain; version=0.0.4; charset=utf-8",
    )
    face = HttpServer(app.build(), ListenOn(), new_request_id=str)
    port = face.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False) as client:
            yield client
    finally:
        face.drain(deadline_s=2)


def said(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    return answer.status_code, answer.json()


def test_all_is_well() -> None:
    with health() as client:
        assert said(client.get("/health/live")) == (200, {"status": "ok"})
        assert said(client.get("/health/dependencies")) == (200, {"status": "ok", "checks": {"store": "ok"}})
        ready = {"status": "ok", "checks": {"room": "ok", "store": "ok"}}
        assert said(client.get("/health/ready")) == (200, ready)


def test_a_service_that_cannot_take_an_export_says_why_and_still_lives() -> None:
    ready = Checked()
    ready.error = SluiceError(ErrorCode.QUEUE_FULL)
    with health(ready=ready) as client:
        status, body = said(client.get("/health/ready"))
        assert (status, body["status"]) == (503, "unavailable")
        assert body["checks"] == {"room": "Too many exports are waiting; try again later.", "store": "ok"}
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/dependencies").status_code == 200


def test_a_store_that_fails_is_named_without_its_secrets() -> None:
    store = Checked()
    store.error = OSError("/srv/secret/tasks.sqlite3: disk I/O error")
    with health(store=store) as client:
        assert said(client.get("/health/dependencies")) == (
            503,
            {"status": "unavailable", "checks": {"store": "failed: OSError"}},
        )
        assert client.get("/health/ready").status_code == 503


def test_a_store_that_does_not_answer_is_not_waited_for() -> None:
    gate = threading.Event()
    with health(store=lambda: gate.wait(30)) as client:
        status, body = said(client.get("/health/dependencies"))
        gate.set()
    assert (status, body["checks"]) == (503, {"store": "no answer within 0.2 s"})


def test_the_stores_are_asked_once_in_an_interval_however_many_ask() -> None:
    clock, store = FakeClock(), Checked()
    with health(store=store, clock=clock) as client:
        for _ in range(3):
            client.get("/health/dependencies")
            client.get("/health/ready")
        assert store.calls == 1
        clock.advance(10)
        client.get("/health/ready")
        assert store.calls == 2


def test_metrics_are_served_as_they_are_rendered() -> None:
    with health() as client:
        answer = client.get("/metrics")
    assert answer.content == b"export_active_tasks 3\n"
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_a_crowd_that_asks_at_a_time_has_the_work_done_once() -> None:
    begun, gate, rendered = threading.Semaphore(0), threading.Event(), []

    def render() -> bytes:
        rendered.append(1)
        begun.release()
        gate.wait(60)
        return b"1"

    app = HealthApp(
        HealthChecks(ready={}, dependencies={}), clock=FakeClock(), metrics=render, metrics_type="text/plain"
    )
    asked = threading.Semaphore(0)

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        asked.release()
        await built(scope, receive, send)

    built = app.build()
    face = HttpServer(counted, ListenOn(), new_request_id=str)
    url = f"http://127.0.0.1:{face.start()}/metrics"
    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(httpx.get, url, trust_env=False, verify=False, timeout=60) for _ in range(20)]
        assert begun.acquire(timeout=60)
        assert all(asked.acquire(timeout=60) for _ in answers)
        gate.set()
        assert {answer.result().content for answer in answers} == {b"1"}
    face.drain(deadline_s=2)
    assert len(rendered) == 1


def test_nothing_else_is_there() -> None:
    with health() as client:
        assert client.get("/v1/exports").status_code == 404
        assert client.post("/metrics").status_code == 405
