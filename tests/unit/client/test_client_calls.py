"""Calls are repeated while that can help, say what the service said, and give the key to nobody else."""

from __future__ import annotations

import json
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sluice.api.error_status import http_status, problem
from sluice.client import UNEXPECTED_ANSWER, UNREACHABLE, Client, SluiceApiError, Timeouts
from sluice.client.calls import Calls
from sluice.client.connections import TIMEOUTS
from sluice.client.errors import problem_of
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.secret import Secret
from tests.support.certificate import SelfSigned, self_signed
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.scripted_server import Answer, Asked, in_turn, scripted_server

OK = Answer(200, b'{"task_id": "x", "state": "open"}')
OPEN = {"task_id": "x", "state": "open"}
TOKEN = "slc_top_secret"


def calls_to(
    url: str,
    clock: FakeClock | None = None,
    *,
    retry_for_s: float = 60,
    timeouts: Timeouts = TIMEOUTS,
    tls: ssl.SSLContext | None = None,
    on_retry: Callable[[str], object] = lambda _: None,
) -> Calls:
    return Calls(
        url,
        Secret(TOKEN),
        timeouts=timeouts,
        tls=tls,
        clock=clock or FakeClock(),
        randomness=SeededRandomness(),
        retry_for_s=retry_for_s,
        on_retry=on_retry,
    )


@contextmanager
def tls_server(script: Callable[[Asked], Answer], made: SelfSigned) -> Iterator[str]:
    """A scripted server behind TLS; gives its URL."""
    with scripted_server(script) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made.certificate, made.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server.url.replace("http:", "https:")


def refusing(error: SluiceError, **headers: str) -> Answer:
    body = json.dumps(problem(error, request_id="r1")).encode()
    return Answer(http_status(error), body, headers)


def refused(calls: Calls, path: str = "/v1/exports/x") -> SluiceApiError:
    with pytest.raises(SluiceApiError) as caught:
        calls.json("GET", path)
    return caught.value


def test_an_answer_is_decoded_and_the_key_is_sent() -> None:
    with scripted_server(in_turn(OK)) as server:
        assert calls_to(server.url).json("PUT", "/a", {"b": "é"}, headers={"X-One": "1"}) == OPEN
    (asked,) = server.asked
    assert (asked.method, asked.path, json.loads(asked.body)) == ("PUT", "/a", {"b": "é"})
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-one"] == "1"


KEY = "sluice_secret"


def test_no_trace_with_variables_has_the_key() -> None:
    with scripted_server(lambda _: Answer(403)) as server:
        for url in (server.url, "http://127.0.0.1:1"):
            try:
                Client(url, KEY, retry_for_s=0).send_table([["a cell"]], format="csv", columns=["a"])
            except SluiceApiError as error:
                lines = list(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            assert "request = Request(" in "".join(lines)
            assert [line for line in lines if KEY in line] == []


def test_an_empty_answer_is_an_empty_object() -> None:
    with scripted_server(in_turn(Answer(204, b""))) as server:
        assert calls_to(server.url).json("DELETE", "/a") == {}


@pytest.mark.parametrize(
    "failing",
    [
        Answer(sent_bytes=0),
        Answer(200, b'{"state": "open"}', sent_bytes=5),
        Answer(409, b'{"code": "BATCH_CONFLICT"}', sent_bytes=5),
        Answer(503, b"busy"),
        Answer(502, b"<html>bad gateway</html>"),
        Answer(429, b""),
        Answer(408, b'{"code": "INVALID_REQUEST"}'),
        refusing(SluiceError(ErrorCode.STORE_UNAVAILABLE)),
        refusing(SluiceError(ErrorCode.INTERNAL)),
        refusing(SluiceError(ErrorCode.QUEUE_FULL)),
    ],
)
def test_a_transient_failure_is_repeated_with_growing_pauses(failing: Answer) -> None:
    clock, reasons = FakeClock(), list[str]()
    with scripted_server(in_turn(failing, failing, failing, OK)) as server:
        assert calls_to(server.url, clock, on_retry=reasons.append).json("POST", "/a", [1]) == OPEN
    assert [asked.body for asked in server.asked] == [b"[1]"] * 4
    assert len(clock.slept) == len(reasons) == 3
    assert clock.slept[0] < clock.slept[1] < clock.slept[2]


def test_a_pause_the_service_asks_for_is_kept() -> None:
    clock = FakeClock()
    with scripted_server(in_turn(refusing(SluiceError(ErrorCode.RATE_LIMITED), **{"retry-after": "7"}), OK)) as server:
        calls_to(server.url, clock).json("GET", "/a")
    assert [7 < pause_s < 7.1 for pause_s in clock.slept] == [True], (
        "and a little more, so that not all come back at once"
    )


def test_a_service_cannot_make_a_caller_wait_for_ever() -> None:
    clock = FakeClock()
    with scripted_server(in_turn(Answer(503, b"", {"retry-after": "86400"}), OK)) as server:
        calls_to(server.url, clock).json("GET", "/a")
    assert [30 < pause_s < 30.1 for pause_s in clock.slept] == [True]


def test_repeats_end_with_the_last_failure() -> None:
    clock = FakeClock()
    with scripted_server(in_turn(refusing(SluiceError(ErrorCode.QUEUE_FULL)))) as server:
        assert refused(calls_to(server.url, clock, retry_for_s=10)).code == "QUEUE_FULL"
    assert 5 < sum(clock.slept) <= 10


def test_the_time_for_repeats_begins_anew_with_each_progress() -> None:
    clock = FakeClock()
    left = list(range(40))

    def fail() -> int:
        if left:
            left.pop()
            raise SluiceApiError(UNREACHABLE, "cut off", retryable=True)
        return len(clock.slept)

    with scripted_server(in_turn(OK)) as server:
        calls = calls_to(server.url, clock, retry_for_s=10)
        calls.json("GET", "/a")
        assert calls.repeat(fail, progress=lambda: len(left) // 4) == 40


@pytest.mark.parametrize(
    "error",
    [
        SluiceError(ErrorCode.INVALID_VALUE, row=3, column="amount"),
        SluiceError(ErrorCode.BATCHES_MISSING, missing=[2, 3], missing_count=2),
        SluiceError(ErrorCode.UNAUTHENTICATED),
        SluiceError(ErrorCode.BATCH_TOO_LARGE, bytes=5),
        SluiceError(ErrorCode.CHUNK_MISSING),
        SluiceError(ErrorCode.NOT_READY),
    ],
)
def test_a_refusal_comes_back_as_the_error_it_was_and_is_not_repeated(error: SluiceError) -> None:
    clock = FakeClock()
    with scripted_server(in_turn(refusing(error), OK)) as server:
        found = refused(calls_to(server.url, clock))
    assert (found.code, found.detail, found.facts) == (error.code, error.said, error.shown)
    assert (found.status, found.retryable, found.who) == (http_status(error), error.retryable, error.meaning.who)
    assert (found.request_id, clock.slept) == ("r1", [])


def test_an_error_says_its_code_its_place_and_its_request() -> None:
    with scripted_server(in_turn(refusing(SluiceError(ErrorCode.INVALID_VALUE, row=3, column="amount")))) as server:
        assert str(refused(calls_to(server.url))) == (
            'INVALID_VALUE: Row 3, column "amount": A value does not fit the type of its column. '
            "(row 3, column amount) [request r1]"
        )


def test_a_code_of_a_newer_service_comes_through() -> None:
    answer = Answer(418, b'{"code": "NEVER_HEARD_OF", "detail": "new", "retryable": false, "sheet": "a"}')
    with scripted_server(in_turn(answer)) as server:
        found = refused(calls_to(server.url))
    assert (found.code, found.detail, found.facts) == ("NEVER_HEARD_OF", "new", {"sheet": "a"})


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"code": 5}', b'{"code": ""}', b"\xff", b"[" * 99_999]
)
def test_what_is_no_problem_of_ours_is_none(body: bytes) -> None:
    assert problem_of(500, body, {}) is None


@pytest.mark.parametrize("answer", [Answer(404, b"<html>"), Answer(200, b"<html>"), Answer(200, b"[1]")])
def test_something_else_that_answers_is_no_service(answer: Answer) -> None:
    with scripted_server(in_turn(answer)) as server:
        found = refused(calls_to(server.url))
    assert found.code == UNEXPECTED_ANSWER
    assert "not as a Sluice service" in found.detail


def test_a_redirect_is_not_followed_because_the_key_would_go_along() -> None:
    with scripted_server(in_turn(OK)) as other:
        moved = Answer(307, b"", {"location": f"{other.url}/v1/exports?signature=5"})
        with scripted_server(in_turn(moved)) as server:
            found = refused(calls_to(server.url))
    assert f"it points to {other.url}/v1/exports" in found.detail
    assert "signature" not in str(found)
    assert other.asked == []


def read(calls: Calls, url: str, offset: int = 0) -> list[tuple[int, bytes]]:
    return list(calls.read_link(url, offset))


def test_a_link_to_a_file_is_read_without_the_key() -> None:
    with scripted_server(in_turn(Answer(206, b"cdef"))) as store:
        assert read(calls_to("http://127.0.0.1:1"), f"{store.url}/f?signature=1", 2) == [(2, b"cdef")]
    (asked,) = store.asked
    assert asked.path == "/f?signature=1"
    assert "authorization" not in asked.headers
    assert asked.headers["range"] == "bytes=2-"


def test_a_link_is_followed_where_the_store_redirects_it() -> None:
    with scripted_server(in_turn(Answer(200, b"abc"))) as store:
        moved = Answer(302, b"", {"location": f"{store.url}/there"})
        with scripted_server(in_turn(moved)) as server:
            assert read(calls_to(server.url), "/here") == [(0, b"abc")]
    assert all("authorization" not in asked.headers for asked in (*store.asked, *server.asked))


def test_a_link_that_is_redirected_in_a_circle_is_given_up() -> None:
    with (
        scripted_server(in_turn(Answer(302, b"", {"location": "/again"}))) as server,
        pytest.raises(SluiceApiError, match="again and again"),
    ):
        read(calls_to(server.url), "/here")


def test_a_link_is_not_followed_from_https_to_http(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    moved = Answer(302, b"", {"location": "http://127.0.0.1:1/there"})
    with tls_server(in_turn(moved), made) as url:
        calls = calls_to(url, tls=ssl.create_default_context(cafile=str(made.certificate)))
        with pytest.raises(SluiceApiError, match="from HTTPS to HTTP"):
            read(calls, "/here")


def test_a_link_without_a_host_is_one_of_the_service() -> None:
    with scripted_server(in_turn(Answer(200, b"abc"))) as server:
        assert read(calls_to(server.url), "/files/a") == [(0, b"abc")]
    assert server.asked[0].path == "/files/a"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pw@127.0.0.1/x"])
def test_a_link_that_is_not_of_the_web_is_not_opened(url: str) -> None:
    with pytest.raises(SluiceApiError, match="not an address of the web"):
        read(calls_to("http://127.0.0.1:1"), url)


@pytest.mark.parametrize(
    "url",
    ["exports.example.com", "file:///x", "https://", "http://a:b@c", "http://a:99999", "http://a b/", "http://ä/"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"exports\.example\.com is expected"):
        Client(url)


@pytest.mark.parametrize("token", ["a\nb", "ключ"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Client("https://exports.example.com", token)
    assert token not in str(caught.value)


def test_an_address_may_have_a_path_and_end_in_a_slash() -> None:
    with scripted_server(in_turn(OK)) as server:
        calls_to(server.url + "/base/").json("GET", "/a")
    assert server.asked[0].path == "/base/a"


def test_neither_the_client_nor_an_error_shows_the_key() -> None:
    client = Client("http://127.0.0.1:1", TOKEN, clock=FakeClock())
    with pytest.raises(SluiceApiError) as caught:
        client.export("x").status()
    shown = [repr(client), str(caught.value), repr(caught.value), repr(vars(client)), repr(client.export("x"))]
    assert all(TOKEN not in text for text in shown)


def test_a_server_that_is_not_there_is_given_up_soon_and_named_so() -> None:
    clock = FakeClock()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = refused(calls_to(f"http://127.0.0.1:{taken.getsockname()[1]}", clock))
    assert (found.code, found.status, found.retryable) == (UNREACHABLE, None, True)
    assert found.detail == "the server cannot be reached: Connection refused"
    assert 5 < sum(clock.slept) <= 10


def test_a_server_that_was_there_is_waited_for() -> None:
    clock = FakeClock()
    answers = in_turn(OK, *[Answer(sent_bytes=0)] * 6, OK)
    with scripted_server(answers) as server:
        calls = calls_to(server.url, clock, retry_for_s=60)
        assert [calls.json("GET", "/a") for _ in range(2)] == [OPEN] * 2
    assert len(clock.slept) == 6


def test_a_server_that_does_not_answer_in_time_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = refused(calls_to(url, retry_for_s=0, timeouts=Timeouts(answer_s=0.05)))
    assert (found.code, found.detail) == (UNREACHABLE, "the server cannot be reached: timed out")


def test_connections_are_kept_and_a_closed_one_is_no_failure() -> None:
    clock = FakeClock()
    answers = in_turn(OK, OK, Answer(sent_bytes=0), OK)
    with scripted_server(answers, keep_alive=True) as server, closing(calls_to(server.url, clock)) as calls:
        for _ in range(3):
            assert calls.json("PUT", "/a", [1]) == OPEN
    assert (len(server.asked), server.connections, clock.slept) == (4, 2, [])


def test_an_answer_that_comes_before_the_body_was_read_counts() -> None:
    """A server that refuses a body closes the connection while it is still being sent."""
    body = json.dumps(problem(SluiceError(ErrorCode.BATCH_TOO_LARGE), request_id="r1")).encode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        calls = calls_to(f"http://127.0.0.1:{listener.getsockname()[1]}", retry_for_s=0)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                connection.shutdown(socket.SHUT_RDWR)

        with ThreadPoolExecutor(1) as server:
            server.submit(answer)
            with pytest.raises(SluiceApiError, match="BATCH_TOO_LARGE"):
                calls.json("PUT", "/a", "x" * 20_000_000)


def test_requests_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: Asked) -> Answer:
        return OK if asked.headers["host"] == "exports.invalid" else Answer(500)

    with scripted_server(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://me:secret%21@"))
        monkeypatch.delenv("no_proxy", raising=False)
        assert calls_to("http://exports.invalid").json("GET", "/a?b=c") == OPEN
    (asked,) = proxy.asked
    assert asked.path == "http://exports.invalid/a?b=c"
    assert asked.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0IQ=="


def test_tls_is_tunnelled_through_the_proxy_which_never_sees_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server(lambda _: Answer(200, b"")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        found = refused(calls_to("https://exports.invalid", retry_for_s=0))
    assert found.code == UNREACHABLE
    assert [(asked.method, asked.path) for asked in proxy.asked] == [("CONNECT", "exports.invalid:443")]
    assert "authorization" not in proxy.asked[0].headers


def test_only_a_server_with_a_trusted_certificate_is_spoken_to(tmp_path: Path) -> None:
    clock, keys = FakeClock(), list[str]()
    made = self_signed(tmp_path)

    def answer(asked: Asked) -> Answer:
        keys.append(asked.headers["authorization"])
        return OK

    with tls_server(answer, made) as url:
        found = refused(calls_to(url, clock))
        assert (found.code, found.retryable, clock.slept, keys) == (UNREACHABLE, False, [], [])
        assert "certificate" in found.detail
        trusting = ssl.create_default_context(cafile=str(made.certificate))
        with Client(url, TOKEN, tls=trusting) as client:
            assert client.export("x").status().state == "open"
    assert keys == [f"Bearer {TOKEN}"]


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://me:secret@127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    found = refused(calls_to("http://exports.invalid", retry_for_s=0))
    assert found.detail == "the server cannot be reached: the proxy is not one of http"


def test_closing_a_client_ends_what_is_under_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as caller:
        calls = calls_to(f"http://127.0.0.1:{silent.getsockname()[1]}", retry_for_s=0)
        under_way = caller.submit(refused, calls)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            calls.close()
            assert under_way.result(timeout=30).code == UNREACHABLE
