"""Calls to a service are repeated while that can help, say what the service said, and give the key to nobody else."""

from __future__ import annotations

import json
import socket
from urllib.error import HTTPError

import pytest
import typer

from sluice.api.error_status import http_status, problem
from sluice.cli.export.server_calls import Call, ServerCalls, ServerError, check_server, read_problem
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.secret import Secret
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.scripted_server import Answer, in_turn, scripted_server

GET = Call("GET", "/v1/exports/x")
OK = Answer(200, b'{"state": "open"}')
TOKEN = "slc_top_secret"


def calls_to(url: str, clock: FakeClock | None = None, *, patience_s: float = 60) -> ServerCalls:
    return ServerCalls(
        url=url,
        token=Secret(TOKEN),
        clock=clock or FakeClock(),
        randomness=SeededRandomness(),
        patience_s=patience_s,
    )


def refusing(error: SluiceError, **headers: str) -> Answer:
    body = json.dumps(problem(error, request_id="r1")).encode()
    return Answer(http_status(error), body, headers)


def test_an_answer_is_decoded_and_the_key_is_sent() -> None:
    with scripted_server(in_turn(OK)) as server:
        assert calls_to(server.url).json(Call("PUT", "/a", b"body", {"X-One": "1"})) == {"state": "open"}
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("PUT", "/a", b"body")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["x-one"] == "1"


def test_an_empty_answer_is_an_empty_object() -> None:
    with scripted_server(in_turn(Answer(204, b""))) as server:
        assert calls_to(server.url).json(Call("DELETE", "/a")) == {}


@pytest.mark.parametrize(
    "failing",
    [
        Answer(sent_bytes=0),
        Answer(200, b'{"state": "open"}', sent_bytes=5),
        Answer(409, b'{"code": "BATCH_CONFLICT"}', sent_bytes=5),
        Answer(503, b"busy"),
        Answer(502, b"<html>bad gateway</html>"),
        Answer(429, b""),
        refusing(SluiceError(ErrorCode.STORE_UNAVAILABLE)),
        refusing(SluiceError(ErrorCode.INTERNAL)),
        refusing(SluiceError(ErrorCode.QUEUE_FULL)),
    ],
)
def test_a_transient_failure_is_repeated_with_growing_pauses(failing: Answer) -> None:
    clock = FakeClock()
    with scripted_server(in_turn(failing, failing, failing, OK)) as server:
        assert calls_to(server.url, clock).json(Call("POST", "/a", b"1")) == {"state": "open"}
    assert [asked.body for asked in server.asked] == [b"1"] * 4
    assert len(clock.slept) == 3
    assert clock.slept[0] < clock.slept[1] < clock.slept[2]


def test_a_pause_the_service_asks_for_is_kept() -> None:
    clock = FakeClock()
    with scripted_server(in_turn(refusing(SluiceError(ErrorCode.RATE_LIMITED), **{"retry-after": "7"}), OK)) as server:
        calls_to(server.url, clock).json(GET)
    assert clock.slept == [7]


def test_a_service_cannot_make_a_caller_wait_for_ever() -> None:
    clock = FakeClock()
    with scripted_server(in_turn(Answer(503, b"", {"retry-after": "86400"}), OK)) as server:
        calls_to(server.url, clock).json(GET)
    assert clock.slept == [30]


def test_patience_ends_with_the_last_failure() -> None:
    clock = FakeClock()
    with scripted_server(in_turn(refusing(SluiceError(ErrorCode.QUEUE_FULL)))) as server:
        with pytest.raises(SluiceError) as caught:
            calls_to(server.url, clock, patience_s=10).json(GET)
        assert caught.value.code is ErrorCode.QUEUE_FULL
    assert 5 < sum(clock.slept) <= 10


@pytest.mark.parametrize(
    "error",
    [
        SluiceError(ErrorCode.INVALID_VALUE, row=3, column="amount"),
        SluiceError(ErrorCode.BATCHES_MISSING, missing=[2, 3], missing_count=2),
        SluiceError(ErrorCode.UNAUTHENTICATED),
        SluiceError(ErrorCode.BATCH_TOO_LARGE, bytes=5),
        SluiceError(ErrorCode.CHUNK_MISSING),
    ],
)
def test_a_refusal_comes_back_as_the_error_it_was_and_is_not_repeated(error: SluiceError) -> None:
    clock = FakeClock()
    with scripted_server(in_turn(refusing(error), OK)) as server, pytest.raises(SluiceError) as caught:
        calls_to(server.url, clock).json(GET)
    assert (caught.value.code, caught.value.detail, caught.value.facts) == (error.code, error.detail, error.facts)
    assert clock.slept == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"code": "NEVER_HEARD_OF"}', b"\xff"])
def test_what_is_no_problem_of_ours_is_none(body: bytes) -> None:
    assert read_problem(body) is None


@pytest.mark.parametrize("answer", [Answer(404, b"<html>"), Answer(200, b"<html>"), Answer(200, b"[1]")])
def test_something_else_that_answers_is_no_service(answer: Answer) -> None:
    with scripted_server(in_turn(answer)) as server, pytest.raises(ServerError, match="not as a Sluice service"):
        calls_to(server.url).json(GET)


def test_a_redirect_is_not_followed_because_the_key_would_go_along() -> None:
    with scripted_server(in_turn(OK)) as other:
        moved = Answer(307, b"", {"location": f"{other.url}/v1/exports"})
        with scripted_server(in_turn(moved)) as server, pytest.raises(ServerError, match="it points to"):
            calls_to(server.url).json(Call("POST", "/v1/exports", b"{}"))
    assert other.asked == []


def test_a_link_to_a_file_is_read_without_the_key() -> None:
    with (
        scripted_server(in_turn(Answer(206, b"cdef"))) as store,
        calls_to("http://127.0.0.1:1").open_file(f"{store.url}/f?signature=1", 2) as file,
    ):
        assert file.read() == b"cdef"
    (asked,) = store.asked
    assert "authorization" not in asked.headers
    assert asked.headers["range"] == "bytes=2-"


def test_a_link_without_a_host_is_one_of_the_service() -> None:
    with (
        scripted_server(in_turn(Answer(200, b"abc"))) as server,
        calls_to(server.url).open_file("/files/a", 0) as file,
    ):
        assert file.read() == b"abc"
    assert server.asked[0].path == "/files/a"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pw@127.0.0.1/x"])
def test_a_link_that_is_not_of_the_web_is_not_opened(url: str) -> None:
    with pytest.raises(ServerError):
        calls_to("http://127.0.0.1:1").open_file(url, 0)


@pytest.mark.parametrize("url", ["exports.example.com", "file:///x", "https://", "http://a:b@c"])
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(typer.BadParameter):
        check_server(url)


def test_an_address_may_end_in_a_slash() -> None:
    assert check_server("https://exports.example.com/base/") == "https://exports.example.com/base"


def test_a_server_that_is_not_there_is_named_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServerError, match="cannot be reached") as caught:
            calls_to(url, patience_s=1).json(GET)
    assert not isinstance(caught.value.__cause__, HTTPError)
