"""Strangers, other tenants, slow and greedy callers, and what errors give away."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sluice.api.http.bodies.body import BodyTimeouts
from sluice.domain.api_key import Scope
from sluice.domain.events import Event
from sluice.domain.limits import Limits
from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import OutcomeUnknown
from tests.support.http_client import ApiClient, HttpRelay, code_of, definition, http_relay, raw_exchange
from tests.support.watched_stores import FailingStore, FailingTasks, HeldPuts

SECRET_PLACE = "/srv/secret-place/tasks.sqlite3"
KEY = "slc_" + "a" * 12 + "_" + "b" * 52


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpRelay]:
    with http_relay(tmp_path_factory.mktemp("relay"), idle_s=1, body_timeouts=BodyTimeouts(idle_s=1)) as running:
        yield running


@pytest.fixture
def client(relay: HttpRelay) -> ApiClient:
    """A client of a tenant of its own."""
    relay.tenants += 1
    return relay.client(f"tenant-{relay.tenants}")


CALLS = [
    ("POST", ""),
    ("GET", ""),
    ("POST", "/stream?format=csv"),
    ("GET", "/{id}"),
    ("GET", "/{id}/events"),
    ("GET", "/{id}/file"),
    ("PUT", "/{id}/batches/1"),
    ("POST", "/{id}/close"),
    ("POST", "/{id}/render"),
    ("POST", "/{id}/cancel"),
    ("DELETE", "/{id}"),
]


@pytest.mark.parametrize(("method", "rest"), CALLS)
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer x y", f"Basic {KEY}", f"Bearer {KEY}", "Bearer " + "x" * 5_000, "Bearer \x80"],
)
def test_s1_a_stranger_is_told_only_that(relay: HttpRelay, method: str, rest: str, header: str | None) -> None:
    path = "/v1/exports" + rest.replace("{id}", "a" * 26)
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    answer = relay.stranger().request(method, path, headers=headers)
    assert (answer.status_code, code_of(answer)) == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json().keys() == {"type", "title", "status", "detail", "code", "who", "retryable", "request_id"}


def test_s1_a_strangers_body_is_not_waited_for(relay: HttpRelay) -> None:
    head = b"PUT /v1/exports/%b/batches/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" % (b"a" * 26)
    with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as connection:
        connection.sendall(head)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_s1_a_stranger_that_goes_on_sending_gets_the_answer_and_is_cut_off(relay: HttpRelay) -> None:
    head = b"POST /v1/exports HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
        with pytest.raises(OSError, match=r"reset|pipe"):
            flood(connection, seconds_max=10)
    assert time.monotonic() - started < 8


def test_s1_a_stranger_that_sends_before_it_reads_gets_the_answer(relay: HttpRelay) -> None:
    head = b"POST /v1/exports HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\nConnection: keep-alive\r\n\r\n"
    with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as connection:
        connection.sendall(head)
        for _ in range(50):
            connection.sendall(b"x" * 10_000)
            time.sleep(0.002)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


def flood(connection: socket.socket, *, seconds_max: float) -> None:
    give_up_at = time.monotonic() + seconds_max
    while time.monotonic() < give_up_at:
        connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        time.sleep(0.001)


def test_a_stranger_gets_one_answer_and_a_known_caller_keeps_its_connection(client: ApiClient) -> None:
    key = f"Authorization: {client.headers['Authorization']}\r\n".encode()
    known, stranger = (b"GET /v1/exports HTTP/1.1\r\nHost: x\r\n%b\r\n" % header for header in (key, b""))
    post = b"POST /v1/exports HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    for requests, answers in (
        ([stranger] * 3, [b"401"]),
        ([post] * 3, [b"401"]),
        ([b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n"] * 3, [b"200"]),
        ([known, known, stranger, known], [b"200", b"200", b"401"]),
    ):
        said = raw_exchange(client.relay.port, [b"".join(requests)])
        assert re.findall(rb"HTTP/1.1 (\d+) ", said) == answers
        assert said.lower().count(b"connection: close\r\n") == 1


def test_a_caller_that_asks_before_it_sends_is_refused_without_sending(client: ApiClient) -> None:
    head = b"POST /v1/exports HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
    assert raw_exchange(client.relay.port, [head + b"\r\n"]).startswith(b"HTTP/1.1 401 ")
    key = f"Authorization: {client.headers['Authorization']}\r\nContent-Type: application/json\r\n".encode()
    with socket.create_connection(("127.0.0.1", client.relay.port), timeout=5) as connection:
        connection.sendall(head + key + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")


def test_s3_a_tenant_named_anywhere_but_in_the_key_is_ignored_or_refused(client: ApiClient) -> None:
    client.headers.update({"X-Tenant-Id": "victim", "X-Forwarded-User": "victim"})
    task_id = client.open()
    assert client.relay.memory.row(task_id, client.tenant).tenant == client.tenant
    answer = client.post("/v1/exports?tenant=victim", json=definition(tenant="victim"))
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_REQUEST")


def test_s8_a_key_that_may_only_read_changes_nothing(relay: HttpRelay) -> None:
    writer, reader = relay.client("readers"), relay.client("readers", Scope.READ)
    task_id = writer.open()
    before = relay.memory.row(task_id, "readers")
    answers = [
        reader.post("/v1/exports", json=definition()),
        reader.post("/v1/exports/stream?format=csv", content=b"a\n", headers={"Content-Type": "text/csv"}),
        reader.put_rows(task_id, 1, []),
        reader.close_task(task_id),
        reader.post(f"/v1/exports/{task_id}/render"),
        reader.delete(f"/v1/exports/{task_id}"),
    ]
    assert {(answer.status_code, code_of(answer)) for answer in answers} == {(403, "PERMISSION_DENIED")}
    assert reader.get(f"/v1/exports/{task_id}").status_code == 200
    assert relay.memory.row(task_id, "readers") == before


def test_s10_no_text_of_a_caller_gets_into_a_key(client: ApiClient) -> None:
    evil = "../../etc/passwd%00\n"
    task_id = client.open(filename=evil, columns=[{"name": evil}], key="../../x")
    client.put_rows(task_id, 1, [[evil]])
    client.finish(task_id)
    keys = [item.key for folder in ("in/", "out/") for item in client.relay.memory.store.list(folder)]
    assert any(task_id in key for key in keys)
    assert all(re.fullmatch(r"[a-z0-9/_.-]+", key) and ".." not in key for key in keys)


def test_s19_a_head_that_drips_is_not_waited_for_long(relay: HttpRelay) -> None:
    with socket.create_connection(("127.0.0.1", relay.port), timeout=0.1) as connection:
        started, answer = time.monotonic(), b""
        for byte in b"GET /v1/exports HTTP/1.1\r\nX-Long: " + b"x" * 200:
            connection.sendall(bytes([byte]))
            answer = read_some(connection)
            if answer:
                break
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < 10


def read_some(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except TimeoutError:
        return b""


def test_s19_a_silent_connection_is_closed(relay: HttpRelay) -> None:
    assert raw_exchange(relay.port, []) == b""
    again = raw_exchange(relay.port, [b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"])
    assert again.startswith(b"HTTP/1.1 200 ")


def test_s19_headers_over_16_kib_are_refused(relay: HttpRelay) -> None:
    head = b"GET /v1/exports HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n"
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 1_000) for number in range(17))
    many = b"GET /v1/exports HTTP/1.1\r\nHost: x\r\n%b\r\n" % fields
    for pieces in ([head], [head[:9_000], head[9_000:17_000], head[17_000:]], [many]):
        answer = raw_exchange(relay.port, pieces, pause_s=0.05)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"application/problem+json" in answer


def test_a_field_that_a_proxy_may_read_otherwise_comes_once(client: ApiClient) -> None:
    for name in ("Authorization", "Idempotency-Key", "Content-Type"):
        answer = client.get("/v1/exports", headers=[(name, "a"), (name, "b")])
        assert (answer.status_code, code_of(answer), answer.json()["field"]) == (400, "INVALID_REQUEST", name)


def test_a_content_type_of_any_length_is_refused_at_once(client: ApiClient) -> None:
    """One of this kind took seconds of the event loop to divide at its semicolons."""
    hostile = "text/csv" + ";" * 7_000 + '"' * 7_001
    answer = client.post("/v1/exports", content=b"{}", headers={"Content-Type": hostile})
    assert (answer.status_code, code_of(answer)) == (415, "UNSUPPORTED_ENCODING")
    assert "256" in answer.json()["detail"]
    for kind in ("", ";", '"', "text/csv" + ";" * 120 + '"' * 121):
        assert client.post("/v1/exports", content=b"{}", headers={"Content-Type": kind}).status_code == 415


def test_s19_silent_connections_make_room_for_those_that_speak(tmp_path: Path) -> None:
    with http_relay(tmp_path, connections_max=3) as relay:
        client = relay.client()
        assert client.get("/v1/exports").status_code == 200
        silent = [socket.create_connection(("127.0.0.1", relay.port), timeout=30) for _ in range(20)]
        assert relay.stranger().get("/openapi.json").status_code == 200
        assert client.get("/v1/exports").status_code == 200
        assert silent[0].recv(1) == b""
        for connection in silent:
            connection.close()


def test_s19_more_connections_than_allowed_are_sent_away_while_all_are_answered(tmp_path: Path) -> None:
    with http_relay(tmp_path, connections_max=2) as relay:
        client = relay.client()
        path = f"/v1/exports/{client.open()}/events"
        with client.stream("GET", path) as first, client.stream("GET", path) as second:
            assert [first.status_code, second.status_code] == [200, 200]
            answer = raw_exchange(relay.port, [])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"QUEUE_FULL" in answer


def test_s34_a_tenant_that_calls_too_often_is_put_off(tmp_path: Path) -> None:
    with http_relay(tmp_path, rate_per_s=0.01, rate_burst=2) as relay:
        greedy, other = relay.client("greedy"), relay.client("other")
        answers = [greedy.get("/v1/exports") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[-1].headers["Retry-After"]) > 1
        assert other.get("/v1/exports").status_code == 200


def failing_calls(client: ApiClient) -> Iterator[httpx.Response]:
    some_id = "a" * 26
    yield client.post("/v1/exports", json=definition(), headers={"Idempotency-Key": "k"})
    yield client.post("/v1/exports/stream?format=csv", content=b"a\n1\n", headers={"Content-Type": "text/csv"})
    yield client.get("/v1/exports")
    yield client.get(f"/v1/exports/{some_id}")
    yield client.get(f"/v1/exports/{some_id}/events")
    yield client.put_rows(some_id, 1, [])
    yield client.close_task(some_id)
    yield client.delete(f"/v1/exports/{some_id}")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OutcomeUnknown(f"timeout at {SECRET_PLACE}"), 503, "STORE_UNAVAILABLE"),
        (RuntimeError(f"no such table in {SECRET_PLACE}"), 500, "INTERNAL"),
        (KeyError("tenant-secret"), 500, "INTERNAL"),
    ],
    ids=["unknown outcome", "bug", "lookup"],
)
def test_s32_an_error_of_ours_gives_nothing_away(tmp_path: Path, error: Exception, status: int, code: str) -> None:
    with http_relay(tmp_path, tasks=lambda tasks: FailingTasks(tasks, error)) as relay:
        for answer in failing_calls(relay.client()):
            assert (answer.status_code, code_of(answer)) == (status, code)
            assert "secret" not in answer.text
            assert "Traceback" not in answer.text
            assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
            assert int(answer.headers["Retry-After"]) > 0
        assert {entry["error"] for entry in relay.memory.journal.of(Event.SYSTEM_ERROR)} == {error}


def test_s32_a_download_that_fails_half_way_does_not_look_whole(tmp_path: Path) -> None:
    with http_relay(tmp_path, objects=lambda store: FailingStore(store, blocks=1)) as relay:
        client = relay.client()
        task_id = client.open(columns=[{"name": "a"}])
        for sequence in (1, 2):
            client.put_rows(task_id, sequence, [["x" * 1_000 + str(row)] for row in range(1_500)])
        client.finish(task_id)
        url = client.get(f"/v1/exports/{task_id}/file?redirect=false").json()["url"]
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(url)
        assert relay.memory.journal.of(Event.SYSTEM_ERROR)
        assert client.get("/v1/exports").status_code == 200


def test_a_request_that_outlasts_the_drain_is_told_to_come_again(tmp_path: Path) -> None:
    held: list[HeldPuts] = []

    def hold(store: ObjectStore) -> ObjectStore:
        held.append(HeldPuts(store))
        return held[0]

    with http_relay(tmp_path, objects=hold) as relay, ThreadPoolExecutor(1) as thread:
        client = relay.client()
        task_id = client.open()
        put = thread.submit(client.put_rows, task_id, 1, [[1, "a"]])
        assert held[0].reached.wait(5)
        relay.face.drain(deadline_s=0.2)
        try:
            answer = put.result(30)
        finally:
            held[0].release.set()
    assert (answer.status_code, code_of(answer)) == (503, "STORE_UNAVAILABLE")


def test_a_request_id_is_taken_over_if_it_is_harmless(client: ApiClient) -> None:
    for sent, taken in (("order-7:retry_2.a", True), ("x" * 65, False), ("a b", False), ('"}', False), ("", False)):
        answer = client.get("/v1/exports/none", headers={"X-Request-ID": sent})
        assert (answer.headers["X-Request-ID"] == sent) is taken
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
        assert answer.headers["X-Request-ID"]


def test_a_trace_of_the_caller_stays_with_the_task(client: ApiClient) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ids = []
    for sent in (trace, "00-nonsense", "x" * 1_000):
        answer = client.post("/v1/exports", json=definition(), headers={"traceparent": sent})
        ids.append(answer.json()["task_id"])
    rows = [client.relay.memory.row(task_id, client.tenant) for task_id in ids]
    assert [row.trace_parent for row in rows] == [trace, "", ""]


def test_answers_are_not_kept_by_caches_nor_guessed_at_by_browsers(client: ApiClient) -> None:
    for answer in (client.get("/v1/exports"), client.get("/v1/exports/none"), client.get("/docs")):
        is_page = answer.request.url.path == "/docs"  # the same for all
        assert answer.headers["Cache-Control"] == ("no-cache" if is_page else "no-store")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "server" not in answer.headers


def test_paths_and_methods_that_are_not_there(client: ApiClient) -> None:
    for path in ("/v1", "/v2/exports", "/v1/exports/", "/metrics", "/redoc"):
        assert client.get(path).status_code == 404, path
    answer = client.patch("/v1/exports")
    assert (answer.status_code, code_of(answer)) == (405, "INVALID_REQUEST")
    assert answer.headers["Allow"] == "GET, OPTIONS, POST"


def test_a_full_service_says_when_to_come_again(tmp_path: Path) -> None:
    with http_relay(tmp_path, limits=Limits(open_tasks_max=1)) as relay:
        client = relay.client()
        client.open()
        answer = client.post("/v1/exports", json=definition())
    assert (answer.status_code, code_of(answer)) == (429, "QUOTA_EXCEEDED")
    assert answer.headers["Retry-After"] == "60"


def test_no_cell_and_no_key_gets_into_the_journal_or_an_answer(tmp_path: Path) -> None:
    canary = "canary-7c1f"
    with http_relay(tmp_path) as relay:
        client = relay.client()
        task_id = client.open(columns=[{"name": "a", "type": "number"}, {"name": "b"}])
        bodies: list[tuple[Any, str]] = [
            (json.dumps([[canary, 1]]).encode(), "application/json"),
            (json.dumps([[1, [canary]]]).encode(), "application/json"),
            (f'[["{canary}'.encode(), "application/json"),
            (f'[1,"{canary}'.encode(), "application/x-ndjson"),
            (f'a,b\n1,"{canary}"{canary}\n'.encode(), "text/csv"),
            (f"{canary},b\n1,2\n".encode(), "text/csv"),
        ]
        for body, kind in bodies:
            answer = client.put_body(task_id, 1, body, kind)
            assert answer.status_code == 400
            assert canary not in answer.text
        named = client.put_rows(task_id, 1, [{canary: 1}])  # a name that no column has is named to its sender alone
        assert (named.status_code, named.json()["keys"]) == (400, [canary])
        client.put_rows(task_id, 1, [[1, canary]])
        client.finish(task_id)
        key = client.headers["Authorization"].partition(" ")[2]
        told = repr([entry.fields for entry in relay.memory.journal.entries])
    assert canary not in told
    assert key.rpartition("_")[2] not in told
