"""A real HTTP face over in-memory stores, and a client that holds every answer against the OpenAPI document."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from sluice.adapters.directory.links import LocalLinks, WatchAddresses
from sluice.adapters.system_clock import SystemClock
from sluice.api.http.app import RouteSet, build_http_app, operations_of
from sluice.api.http.bodies.body import BodyTimeouts
from sluice.api.http.routes.openapi import make_document
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.domain.api_key import Scope
from sluice.ports.clock import Clock
from tests.support.memory_service import TENANT, MemoryService

PROBLEM = "application/problem+json"
SECRET = b"0123456789abcdef0123456789abcdef"
TWO_COLUMNS = ({"name": "id", "type": "number"}, {"name": "name"})


class HttpRelay:
    """One running face. ``memory`` is what it serves."""

    def __init__(
        self,
        folder: Path,
        *,
        body_timeouts: BodyTimeouts | None = None,
        idle_s: float = 15,
        connections_max: int = 1_000,
        requests_max: int = 1_000,
        clock: Clock | None = None,
        allowed_origins: tuple[str, ...] = (),
        **service: Any,
    ) -> None:
        self.port = 0
        links = LocalLinks(lambda: self.url, SECRET, clock or SystemClock())
        self.memory = MemoryService(folder, links=links, clock=clock, **service)
        self.closing = threading.Event()
        self.seen: list[tuple[str, str, int, float]] = []
        self.app = build_http_app(
            self.memory.service,
            links=links,
            watches=WatchAddresses(lambda: self.url, SECRET),
            closing=self.closing,
            body_timeouts=body_timeouts,
            requests_max=requests_max,
            allowed_origins=allowed_origins,
            observe=lambda *answer: self.seen.append(answer),
        )
        self.face = HttpServer(
            self.app,
            ListenOn(idle_s=idle_s, connections_max=connections_max),
            new_request_id=lambda: "of-the-connection",
            closing=self.closing,
        )
        self.document: dict[str, Any] = make_document(operations_of(RouteSet.ALL))
        self.clients: list[ApiClient] = []
        self.tenants = 0
        """How many tenants tests that share the relay have taken."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, tenant: str = TENANT, scope: Scope = Scope.WRITE) -> ApiClient:
        """A client with a key of its own."""
        return self._client({"Authorization": f"Bearer {self.memory.token(tenant, scope)}"}, tenant)

    def stranger(self) -> ApiClient:
        """A client without a key."""
        return self._client({}, "")

    def _client(self, headers: dict[str, str], tenant: str) -> ApiClient:
        self.clients.append(ApiClient(self, headers, tenant))
        return self.clients[-1]


@contextmanager
def http_relay(folder: Path, **how: Any) -> Iterator[HttpRelay]:
    """A relay that runs until the block ends; everything it was asked to compose is done then."""
    relay = HttpRelay(folder, **how)
    relay.port = relay.face.start()
    try:
        yield relay
    finally:
        for client in relay.clients:
            client.close()
        relay.face.drain(deadline_s=5)
        relay.memory.invoker.join()


class ApiClient(httpx.Client):
    """Fails the test when an answer is not one that the document declares."""

    def __init__(self, relay: HttpRelay, headers: dict[str, str], tenant: str) -> None:
        super().__init__(
            base_url=relay.url,
            headers=headers,
            event_hooks={"response": [self._check]},
            trust_env=False,
            timeout=30,
            verify=False,  # plain HTTP: the certificates of all authorities would take 27 ms to read
        )
        self.relay = relay
        self.tenant = tenant

    def open(self, **how: Any) -> str:
        """Open an export; returns its id."""
        headers = {"Idempotency-Key": how.pop("key")} if "key" in how else {}
        answer = self.post("/v1/exports", json=definition(**how), headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["task_id"])

    def put_rows(self, task_id: str, sequence: object, rows: object, **headers: str) -> httpx.Response:
        """Put rows as JSON."""
        return self.put_body(task_id, sequence, json.dumps(rows).encode(), **headers)

    def put_body(
        self, task_id: str, sequence: object, body: bytes, content_type: str = "application/json", **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.put(
            f"/v1/exports/{task_id}/batches/{sequence}", content=body, headers={"Content-Type": content_type, **sent}
        )

    def close_task(self, task_id: str, **totals: int) -> httpx.Response:
        return self.post(f"/v1/exports/{task_id}/close", json=totals)

    def finish(self, task_id: str) -> dict[str, Any]:
        """Close, wait for the end, return the task."""
        assert self.close_task(task_id).status_code == 202
        self.relay.memory.invoker.join()
        task: dict[str, Any] = self.get(f"/v1/exports/{task_id}").json()
        return task

    def _check(self, answer: httpx.Response) -> None:
        declared = operation(self.relay.document, answer.request.method, answer.request.url.path)
        if answer.status_code >= 400:
            answer.read()
            check_problem(answer)
        if declared is None or answer.status_code == 405:
            return
        response = declared["responses"].get(str(answer.status_code))
        assert response is not None, f"{answer.request.method} {answer.request.url.path} {answer.status_code}"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if kind and answer.status_code not in {204, 302, 304}:
            assert kind in response["content"]


def definition(**changes: Any) -> dict[str, Any]:
    """The body of an open, for a CSV of two columns unless told otherwise."""
    return {"format": "csv", "filename": "orders", "columns": list(TWO_COLUMNS), **changes}


def operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """What the document says of a call; None when it does not know the path."""
    for template, operations in document["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    return None


def check_problem(answer: httpx.Response) -> None:
    """Every error is a problem document that says the same as the headers."""
    assert answer.headers["content-type"] == PROBLEM
    if answer.request.method == "HEAD":
        return
    body = answer.json()
    assert {"type", "title", "status", "detail", "code", "who", "retryable", "request_id"} <= body.keys()
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers.get("x-request-id", body["request_id"])


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


def raw_exchange(port: int, pieces: Sequence[bytes], *, pause_s: float = 0) -> bytes:
    """Send bytes as they are, return all that comes back until the other side closes."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
        return b"".join(iter(lambda: connection.recv(65_536), b""))
