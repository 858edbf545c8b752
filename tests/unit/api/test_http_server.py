"""A listening port in a thread: where it binds, how it starts, how it drains."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sluice.api.http.errors import KNOWN_KEY
from sluice.api.http.server.server import HttpServer, ListenOn


async def quick(request: Request) -> Response:
    request.scope[KNOWN_KEY] = True  # or the connection would end with the answer
    return PlainTextResponse("here")


async def slow(request: Request) -> Response:
    request.app.state.begun.set()
    await asyncio.sleep(float(request.query_params["s"]))
    return PlainTextResponse("late")


def make_face(listen_on: ListenOn | None = None) -> HttpServer:
    app = Starlette(routes=[Route("/quick", quick), Route("/slow", slow)])
    app.state.begun = threading.Event()
    face = HttpServer(app, listen_on or ListenOn(), new_request_id=lambda: "id")
    face.begun = app.state.begun  # type: ignore[attr-defined]  # for the test alone
    return face


def get(port: int, path: str) -> str:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=10).text


def test_a_free_port_is_told_and_answers_at_once() -> None:
    face = make_face()
    port = face.start()
    assert get(port, "/quick") == "here"
    face.drain(deadline_s=1)
    with pytest.raises(httpx.ConnectError):
        get(port, "/quick")


def test_a_port_that_is_taken_is_an_error_of_the_start() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            make_face(ListenOn(port=taken.getsockname()[1])).start()


def test_a_certificate_that_is_not_there_is_an_error_of_the_start(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    face = make_face(ListenOn(tls_certificate_file=missing, tls_key_file=missing))
    with pytest.raises(RuntimeError, match="did not start") as caught:
        face.start()
    assert isinstance(caught.value.__cause__, OSError)


def test_what_is_under_way_is_answered_before_the_face_stops() -> None:
    face = make_face()
    port = face.start()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(get, port, "/slow?s=0.4")
        assert face.begun.wait(5)  # type: ignore[attr-defined]  # for the test alone
        face.drain(deadline_s=5)
        assert answer.result(0) == "late"


@pytest.mark.slow
def test_draining_does_not_wait_longer_than_it_may() -> None:
    face = make_face()
    port = face.start()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(get, port, "/slow?s=60")
        assert face.begun.wait(5)  # type: ignore[attr-defined]  # for the test alone
        started = time.monotonic()
        face.drain(deadline_s=1)
        assert time.monotonic() - started < 10
        assert answer.result(5) != "late"


def test_draining_closes_idle_connections_and_may_be_repeated() -> None:
    face = make_face()
    port = face.start()
    with httpx.Client(verify=False, trust_env=False) as client:
        client.get(f"http://127.0.0.1:{port}/quick")
        started = time.monotonic()
        face.drain(deadline_s=30)
        assert time.monotonic() - started < 10
    face.drain(deadline_s=1)
    make_face().drain(deadline_s=1)


def test_nobody_waits_for_nagle() -> None:
    """With Nagle's algorithm on, an answer in two pieces waits 40 ms for an acknowledgement."""
    face = make_face()
    port = face.start()
    with httpx.Client(verify=False, base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        client.get("/quick")
        (connection,) = face._server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    face.drain(deadline_s=1)
