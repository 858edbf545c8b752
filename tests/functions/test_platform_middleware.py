"""What Function Compute adds to a request is taken before the API sees it, and its hooks are its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from sluice.adapters.aliyun.credentials import LatestCredentials
from sluice.app.functions.http_function import PlatformMiddleware
from sluice.app.functions.platform_headers import split_head
from sluice.ports.store_errors import StoreRefused

CREDENTIALS = {
    "x-fc-access-key-id": "STS.id",
    "x-fc-access-key-secret": "the-secret",
    "x-fc-security-token": "the-token",
}
FROM_CALLER = {"x-fc-control-path": "/http-invoke"}


class Inner:
    """An application that remembers the head of each request, and can be slow."""

    def __init__(self) -> None:
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.entered = asyncio.Event()
        self.leave = asyncio.Event()
        self.leave.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.heads.append({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        self.paths.append(scope["path"])
        self.entered.set()
        await self.leave.wait()
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})


class Middleware:
    """The middleware around ``Inner``, and a client of it."""

    def __init__(self, *, grace_s: float = 5) -> None:
        self.inner = Inner()
        self.latest = LatestCredentials()
        self.closing = threading.Event()
        self.warmed: list[str] = []
        middleware = PlatformMiddleware(
            self.inner,
            self.latest,
            warm=lambda: self.warmed.append(threading.current_thread().name),
            closing=self.closing,
            grace_s=grace_s,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=middleware), base_url="http://function")


def run(test: Callable[[Middleware], Awaitable[None]], *, grace_s: float = 5) -> None:
    async def inside() -> None:
        middleware = Middleware(grace_s=grace_s)
        async with middleware.client:
            await test(middleware)

    asyncio.run(inside())


def test_credentials_are_kept_and_the_api_sees_none_of_the_platforms_headers() -> None:
    async def test(middleware: Middleware) -> None:
        await middleware.client.get("/v1/exports", headers={**CREDENTIALS, **FROM_CALLER, "authorization": "Bearer k"})
        (head,) = middleware.inner.heads
        assert [name for name in head if name.startswith("x-fc-")] == []
        assert head["authorization"] == "Bearer k"
        kept = middleware.latest()
        assert (kept.access_key_id, kept.access_key_secret.reveal()) == ("STS.id", "the-secret")
        assert kept.security_token.reveal() == "the-token"

    run(test)


def test_newer_credentials_replace_older_ones_and_a_request_without_any_changes_nothing() -> None:
    async def test(middleware: Middleware) -> None:
        await middleware.client.get("/", headers=CREDENTIALS)
        await middleware.client.get("/", headers={**CREDENTIALS, "X-Fc-Access-Key-Id": "STS.newer"})
        await middleware.client.get("/")
        assert middleware.latest().access_key_id == "STS.newer"

    run(test)


@pytest.mark.parametrize("missing", ["x-fc-access-key-id", "x-fc-access-key-secret"])
def test_half_an_access_key_is_none(missing: str) -> None:
    async def test(middleware: Middleware) -> None:
        await middleware.client.get("/", headers={**CREDENTIALS, missing: ""})
        with pytest.raises(StoreRefused):
            middleware.latest()

    run(test)


def test_credentials_do_not_print() -> None:
    _, platform = split_head(CREDENTIALS.items())
    assert "the-secret" not in repr(platform.credentials())
    assert "the-token" not in repr(platform.credentials())


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ({"x-fc-request-id": "1-abc"}, "1-abc"),
        ({"x-fc-request-id": "1-abc", "x-request-id": "mine"}, "mine"),
        ({"x-fc-request-id": "1-abc\r\nx"}, None),
        ({"x-fc-request-id": "x" * 65}, None),
        ({}, None),
    ],
)
def test_a_request_is_named_as_its_caller_or_else_the_platform_names_it(sent: dict[str, str], seen: str | None) -> None:
    callers, _ = split_head(sent.items())
    assert dict(callers).get("x-request-id") == seen


def test_the_initializer_warms_up_beside_the_event_loop() -> None:
    async def test(middleware: Middleware) -> None:
        answer = await middleware.client.post(
            "/initialize", headers={"x-fc-control-path": "/initialize", **CREDENTIALS}
        )
        assert answer.status_code == 200
        (thread,) = middleware.warmed
        assert thread != threading.current_thread().name
        assert middleware.latest().access_key_id == "STS.id"
        assert middleware.inner.paths == []

    run(test)


@pytest.mark.parametrize(("method", "path"), [("POST", "/initialize"), ("GET", "/pre-stop")])
def test_a_caller_cannot_reach_a_hook(method: str, path: str) -> None:
    async def test(middleware: Middleware) -> None:
        answer = await middleware.client.request(method, path, headers=FROM_CALLER)
        assert answer.status_code == 418
        assert (middleware.warmed, middleware.closing.is_set()) == ([], False)

    run(test)


@pytest.mark.parametrize(("method", "path"), [("GET", "/initialize"), ("POST", "/pre-stop"), ("POST", "/invoke")])
def test_what_is_no_hook_is_the_applications(method: str, path: str) -> None:
    async def test(middleware: Middleware) -> None:
        assert (await middleware.client.request(method, path)).status_code == 418

    run(test)


def test_the_hook_before_the_stop_is_answered_when_nothing_is_under_way() -> None:
    async def test(middleware: Middleware) -> None:
        middleware.inner.leave.clear()
        running = asyncio.create_task(middleware.client.get("/v1/exports"))
        await middleware.inner.entered.wait()
        stopping = asyncio.create_task(middleware.client.get("/pre-stop", headers={"x-fc-control-path": "/pre-stop"}))
        done, _ = await asyncio.wait([stopping], timeout=0.15)
        assert not done
        assert middleware.closing.is_set()
        middleware.inner.leave.set()
        assert (await running).status_code == 418
        assert (await stopping).status_code == 200

    run(test)


def test_the_hook_before_the_stop_does_not_wait_for_ever() -> None:
    async def test(middleware: Middleware) -> None:
        middleware.inner.leave.clear()
        running = asyncio.create_task(middleware.client.get("/v1/exports"))
        await middleware.inner.entered.wait()
        assert (await middleware.client.get("/pre-stop")).status_code == 200
        middleware.inner.leave.set()
        await running

    run(test, grace_s=0.1)


def test_the_health_of_the_process_is_told_to_anybody() -> None:
    async def test(middleware: Middleware) -> None:
        answer = await middleware.client.get("/health/live", headers=FROM_CALLER)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert (await middleware.client.head("/health/live", headers=FROM_CALLER)).status_code == 200
        assert middleware.inner.paths == []

    run(test)
