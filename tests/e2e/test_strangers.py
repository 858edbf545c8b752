"""Strangers that ask much and read little take no connection from a caller that asks and reads."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sluice.api.http.errors import KNOWN_KEY
from sluice.api.http.server import connection
from sluice.api.http.server.connection import EVENTS_IN_TURN, KNOWN_READ_BYTES, READ_BYTES
from sluice.api.http.server.reader_pace import READER_PACE_BYTES, ReaderPace
from sluice.api.http.server.server import HttpServer, ListenOn
from sluice.domain.limits import KIB, MIB
from tests.support.certificate import self_signed

WAIT_S = 60
STRANGERS = 64
PAGE_BYTES = 16 * MIB
"""More than the buffers of any system take at once."""


async def _repeat(block: bytes, times: int) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield block


class Site:
    """A server whose pages a test needs: a small one, a large one, one that never comes, one that stops the loop."""

    def __init__(self, **rules: Any) -> None:
        self.stopped, self.go_on = threading.Event(), threading.Event()
        app = Starlette(
            routes=[
                Route("/small", self._small),
                Route("/large", self._large),
                Route("/never", self._never),
                Route("/stop", self._stop),
                Route("/body", self._body, methods=["POST"]),
                Route("/refuse", self._refuse, methods=["POST"]),
            ]
        )
        listen_on = ListenOn(**{"strangers_max": STRANGERS, "idle_s": WAIT_S, "stranger_answer_s": WAIT_S, **rules})
        self.server = HttpServer(app, listen_on, new_request_id=lambda: "id")
        self.scheme = "https" if listen_on.tls_certificate_file else "http"
        self.port = 0

    async def _small(self, request: Request) -> Response:
        if "known" in request.query_params:
            request.scope[KNOWN_KEY] = True
        return Response(b"here")

    async def _large(self, request: Request) -> Response:
        if "known" in request.query_params:
            request.scope[KNOWN_KEY] = True
        block = b"x" * (64 * KIB)
        return StreamingResponse(_repeat(block, PAGE_BYTES // len(block)), headers={"Content-Length": str(PAGE_BYTES)})

    async def _never(self, _request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    async def _stop(self, _request: Request) -> Response:
        self.stopped.set()
        self.go_on.wait(WAIT_S)
        return Response()

    async def _body(self, request: Request) -> Response:
        """Read a body, and say how long it and the longest of its pieces was, and whether it is of one letter."""
        if "known" in request.query_params:
            request.scope[KNOWN_KEY] = True
        pieces = [piece async for piece in request.stream()]
        assert not b"".join(pieces).strip(b"a")
        return Response(f"{sum(map(len, pieces))} {max(map(len, pieces))}")

    async def _refuse(self, request: Request) -> Response:
        """Answer without reading the body."""
        if "known" in request.query_params:
            request.scope[KNOWN_KEY] = True
        return Response("no", 403)

    def ask(self, path: str, times: int = 1) -> socket.socket:
        """Send a request, some times over, and read nothing. The buffers are small, as an attacker's are."""
        asking = socket.socket()
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        asking.settimeout(WAIT_S)
        asking.connect(("127.0.0.1", self.port))
        asking.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * times)
        return asking

    def get(self, path: str = "/small") -> int:
        """As an orchestrator asks: a connection of its own, and no credential."""
        return httpx.get(
            f"{self.scheme}://127.0.0.1:{self.port}{path}", trust_env=False, verify=False, timeout=WAIT_S
        ).status_code


@contextmanager
def site(**rules: Any) -> Iterator[Site]:
    made = Site(**rules)
    made.port = made.server.start()
    try:
        yield made
    finally:
        made.go_on.set()
        made.server.drain(deadline_s=1)


def begun(asking: socket.socket) -> bool:
    """Whether an answer has begun; it never ends for a caller that reads no more of it."""
    return asking.recv(12) == b"HTTP/1.1 200"


def was_closed(asking: socket.socket) -> bool:
    """Whether it ends before the large page does. Waits for the end."""
    size = 0
    with suppress(ConnectionError, ssl.SSLError):
        while block := asking.recv(64 * KIB):
            size += len(block)
    return size < PAGE_BYTES


def test_strangers_that_pipeline_and_read_slowly_lock_no_one_out() -> None:
    with site() as running, ExitStack() as stack:
        slow = [stack.enter_context(running.ask("/large", 100)) for _ in range(STRANGERS)]
        assert all(begun(one) for one in slow)
        for _ in range(STRANGERS + 10):
            assert running.get() == 200
        again = [stack.enter_context(running.ask("/large", 100)) for _ in range(3 * STRANGERS)]
        assert begun(again[-1])
        assert all(was_closed(one) for one in (*slow, *again[: 2 * STRANGERS - 1]))
        assert running.get() == 200
        assert len(running.server._server.server_state.connections) <= STRANGERS + 1


def test_strangers_that_wait_for_their_answers_lock_no_one_out() -> None:
    with site() as running, ExitStack() as stack:
        first = stack.enter_context(running.ask("/never"))
        for _ in range(3 * STRANGERS):
            stack.enter_context(running.ask("/never"))
        assert was_closed(first)
        assert running.get() == 200


def test_a_strangers_answer_has_an_end_however_steadily_it_is_read() -> None:
    with site(stranger_answer_s=0.2) as running:
        with running.ask("/never") as waiting:
            assert was_closed(waiting)
        with running.ask("/large") as dripping:
            taken = 0
            with suppress(ConnectionError):
                while block := dripping.recv(1):
                    taken += len(block)
            assert taken < PAGE_BYTES


def test_many_that_come_at_once_are_each_read_before_others_take_their_room() -> None:
    with site() as running, ExitStack() as stack:
        stack.enter_context(running.ask("/stop"))
        assert running.stopped.wait(WAIT_S)
        crowd = [stack.enter_context(running.ask("/small")) for _ in range(3 * STRANGERS)]
        running.go_on.set()
        assert all(begun(one) for one in crowd)


CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY_CHUNKS = b"1\r\na\r\n" * 10_000


@pytest.fixture
def body_events(monkeypatch: pytest.MonkeyPatch) -> list[h11.Data]:
    """What h11 parses of bodies from here on."""
    seen: list[h11.Data] = []
    next_event = h11.Connection.next_event

    def watched(read: h11.Connection) -> Any:
        event = next_event(read)
        if isinstance(event, h11.Data) and read.our_role is h11.SERVER:
            seen.append(event)
        return event

    monkeypatch.setattr(h11.Connection, "next_event", watched)
    return seen


def open_connections(running: Site, path: str) -> list[Any]:
    connections: set[Any] = running.server._server.server_state.connections
    return [one for one in connections if one.scope and one.scope["path"] == path]


@pytest.mark.parametrize("body", [TINY_CHUNKS, TINY_CHUNKS + b"0\r\n\r\n"])
def test_nothing_of_a_body_is_parsed_before_its_caller_is_judged_or_after_a_refusal(
    body_events: list[h11.Data], body: bytes
) -> None:
    with site() as running, ExitStack() as stack:
        stack.enter_context(running.ask("/stop"))
        assert running.stopped.wait(WAIT_S)
        senders = [socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_S) for _ in range(8)]
        for sender in senders:
            stack.enter_context(sender).sendall(CHUNKED % b"/refuse" + body)
        running.go_on.set()
        for sender in senders:
            assert sender.recv(12) == b"HTTP/1.1 403"
            sender.sendall(TINY_CHUNKS)
        assert running.get() == 200
        assert body_events == []
        assert all(len(one.conn.trailing_data[0]) <= READ_BYTES for one in open_connections(running, "/refuse"))


@pytest.mark.parametrize("asked", [b"", b"?known"])
@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 3000000"])
def test_a_refused_caller_has_its_answer_after_its_body_was_sent_and_the_connection_ends_with_the_body(
    monkeypatch: pytest.MonkeyPatch, asked: bytes, close: bytes, framing: bytes
) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 10 * WAIT_S)
    monkeypatch.setattr(connection, "KNOWN_LINGER_S", 10 * WAIT_S)
    size = 3_000_000
    body = b"a" * size if b"Length" in framing else b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"a" * size)
    with site() as running, socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_S) as sender:
        sender.sendall(b"POST /refuse%s HTTP/1.1\r\nHost: x\r\n%s%s\r\n\r\n" % (asked, close, framing))
        assert sender.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 403"
        sender.sendall(body)
        if asked and not close:
            sender.sendall(b"GET /small?known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(partial(sender.recv, 64 * KIB), b""))
        assert answers.count(b"HTTP/1.1 403") == 1
        assert answers.endswith(b"here" if asked and not close else b"no")


def test_tiny_chunks_of_known_callers_are_parsed_a_little_in_a_turn_and_arrive_whole() -> None:
    with site() as running, ExitStack() as stack:
        stack.enter_context(running.ask("/stop"))
        assert running.stopped.wait(WAIT_S)
        senders = [socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_S) for _ in range(5)]
        for sender in senders:
            stack.enter_context(sender).sendall(CHUNKED % b"/body?known" + TINY_CHUNKS + b"0\r\n\r\n")
            sender.sendall(b"GET /small?known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        running.go_on.set()
        for sender in senders:
            body, next_answer = b"".join(iter(partial(sender.recv, 64 * KIB), b"")).split(b"\r\n\r\n")[1:]
            total, longest = body.partition(b"HTTP")[0].split()
            assert int(total) == 10_000
            assert int(longest) <= 2 * EVENTS_IN_TURN  # two turns, where the second comes before the reader
            assert next_answer == b"here"


def test_a_known_caller_is_read_in_large_pieces_and_cut_off_by_no_earlier_refusal() -> None:
    with site() as running, socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_S) as sender:
        answers = sender.makefile("rb")
        sender.sendall(b"POST /refuse?known HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        while answers.readline().strip():
            pass
        assert answers.read(2) == b"no"
        sender.sendall(b"aPOST /body?known HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        give_up_at = time.monotonic() + WAIT_S
        while not (under_way := open_connections(running, "/body")) or not under_way[0].conn.is_body_wanted:
            assert time.monotonic() < give_up_at
            time.sleep(0.001)
        assert vars(under_way[0].transport)["max_size"] == KNOWN_READ_BYTES > 64 * KIB
        assert under_way[0]._unread_timer._handle is None  # which would close it 60 s after the refusal
        sender.sendall(b"a")
        assert answers.readline().startswith(b"HTTP/1.1 200")


def test_a_known_caller_whose_answer_is_under_way_makes_no_room_for_strangers() -> None:
    with site(strangers_max=2) as running, ExitStack() as stack:
        known = stack.enter_context(running.ask("/large?known"))
        assert begun(known)
        for _ in range(5):
            stack.enter_context(running.ask("/large"))
            assert running.get() == 200
        size = 12
        while size < PAGE_BYTES:
            block = known.recv(1 * MIB)
            assert block, "the connection was closed"
            size += len(block)


def test_a_known_callers_other_requests_are_a_strangers() -> None:
    """Having been let in once buys no answers that belong to no share."""
    with site(strangers_max=2) as running, ExitStack() as stack:
        mixed = []
        for _ in range(4):
            mixed.append(stack.enter_context(running.ask("/small?known")))
            assert begun(mixed[-1])
        for one in mixed:
            one.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            one.setblocking(True)  # or the system does not wait for all
            assert len(one.recv(8 * KIB, socket.MSG_WAITALL)) == 8 * KIB  # of the large page
        assert running.get() == 200
        assert was_closed(mixed[0])


def test_with_tls_those_that_shake_no_hands_are_strangers_from_their_first_moment(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    tls = {"tls_certificate_file": str(made.certificate), "tls_key_file": str(made.key)}
    with site(strangers_max=8, stranger_s=WAIT_S, **tls) as running, ExitStack() as stack:
        mute = [socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_S) for _ in range(50)]
        for one in mute:
            stack.enter_context(one)
        assert all(was_closed(one) for one in mute[:42])
        for path in ("/small", "/large", "/small?known"):
            assert running.get(path) == 200
        assert len(running.server._server.server_state.connections) <= 8
        mute[-1].sendall(b"GET / HTTP/1.1\r\n\r\n")  # no TLS
        assert was_closed(mute[-1])
    with site(stranger_s=0.2, **tls) as running, socket.create_connection(("127.0.0.1", running.port)) as silent:
        silent.settimeout(WAIT_S)
        assert was_closed(silent)


def test_with_tls_slow_readers_make_room_and_a_long_answer_is_whole(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    tls = {"tls_certificate_file": str(made.certificate), "tls_key_file": str(made.key)}
    context = ssl.create_default_context(cafile=str(made.certificate))
    with site(strangers_max=4, **tls) as running, ExitStack() as stack:
        slow = []
        for _ in range(4):
            plain = socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_S)
            slow.append(stack.enter_context(context.wrap_socket(plain, server_hostname="localhost")))
            slow[-1].sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
            assert begun(slow[-1])
        for _ in range(2):
            assert running.get() == 200
        assert was_closed(slow[0])
        assert not was_closed(slow[-1])  # it had its page, whole


@pytest.mark.parametrize(("bytes_a_second", "ends"), [(READER_PACE_BYTES * 2, 0), (READER_PACE_BYTES // 2, 1)])
def test_a_reader_keeps_a_pace_on_average(bytes_a_second: int, ends: int) -> None:
    pace, unsent = ReaderPace(lag_s_max=60), 100 * MIB
    pace.begin(unsent, 0)
    kept = [pace.look(unsent - bytes_a_second * second, second) for second in range(15, 601, 15)]
    assert (False in kept) == bool(ends)
    assert all(kept[:8])  # (half of the pace: a minute behind after two)


def test_a_reader_may_stall_and_catch_up_but_saves_nothing_for_later() -> None:
    pace = ReaderPace(lag_s_max=60)
    pace.begin(100 * MIB, 0)
    assert pace.look(90 * MIB, 1)  # far ahead
    assert pace.look(90 * MIB - 1, 61)
    assert pace.look(90 * MIB - 1 - 40 * READER_PACE_BYTES, 62)
    assert pace.look(90 * MIB - 2 - 40 * READER_PACE_BYTES, 100)
    assert not pace.look(90 * MIB - 3 - 40 * READER_PACE_BYTES, 102)
    assert not ReaderPace(lag_s_max=60).look(0, 1)  # took nothing
