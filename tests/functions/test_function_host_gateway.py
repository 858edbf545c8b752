"""The gateway of the function host: HTTP and gRPC to custom runtimes, and asynchronous calls by name."""

from __future__ import annotations

import http.client
import json
import queue
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest

from infra.emulators.function_compute.host import FunctionHost
from infra.provision.metrics import RULE
from infra.provision.template import build_watch_template
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.function_compute.http_invoker import FcHttpInvoker
from sluice.adapters.aliyun.function_compute.oss_event import TriggerBucket
from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.client import Client, SluiceApiError
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, manifest_key
from sluice.domain.secret import Secret
from sluice.ports.store_errors import StoreRefused
from tests.functions.tiny_functions import KEY, tiny_host

TRIGGER = ManifestRef(TaskRef(TenantId("acme"), TaskId("abcdefghijklmnopqrstuvwxyz")), "0" * 32)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FunctionHost]:
    with tiny_host(tmp_path_factory.mktemp("tiny"), {"timeout: 20": "timeout: 3"}) as running:
        yield running


def ask(
    host: FunctionHost,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(host.doors["domain"].url).netloc, timeout=20)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=not isinstance(body, bytes))
        answer = connection.getresponse()
        return answer.status, answer.read(), answer
    finally:
        connection.close()


def test_a_request_reaches_the_function_of_its_route_with_the_platforms_headers(host: FunctionHost) -> None:
    status, body, answer = ask(host, "POST", "/api/x?y=%20z", b"hello", {"X-Mine": "1", "Authorization": "Bearer t"})
    told = json.loads(body)
    assert (status, told["path"], told["body"]) == (200, "/api/x?y=%20z", "hello")
    assert (told["headers"]["x-mine"], told["headers"]["authorization"]) == ("1", "Bearer t")
    assert told["headers"]["x-fc-access-key-id"] == KEY.access_key_id
    assert told["headers"]["x-fc-security-token"] == KEY.security_token
    assert told["headers"]["x-fc-function-name"] == "tiny-web"
    assert told["headers"]["x-fc-control-path"] == "/http-invoke"
    assert told["headers"]["x-fc-request-id"] == answer.getheader("x-fc-request-id")
    assert told["path_variable"].endswith(":" + str(host.deployment.functions["web"].code))


def test_a_body_in_chunks_arrives_whole(host: FunctionHost) -> None:
    connection = http.client.HTTPConnection(urlsplit(host.doors["domain"].url).netloc, timeout=20)
    connection.request("POST", "/api/x", iter([b"one ", b"two"]), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["body"] == "one two"
    connection.close()


def alarms_over(api: str) -> set[str]:
    """The metrics that alarms watch of the function behind ``api``."""
    rules = [item["Properties"] for item in build_watch_template()["Resources"].values() if item["Type"] == RULE]
    wanted = {"Fn::Sub": f"sluice-${{Stage}}-{api}"}
    return {rule["MetricName"] for rule in rules if rule["Resources"][0].get("functionName") == wanted}


@pytest.mark.parametrize(
    ("path", "metric"), [("/api/broken", "FunctionHTTPStatus5xx"), ("/hidden", "FunctionFunctionErrors")]
)
def test_what_a_web_function_does_wrong_is_counted_where_an_alarm_looks(tmp_path: Path, path: str, metric: str) -> None:
    with tiny_host(tmp_path, start_s=1) as host:
        assert ask(host, "GET", path)[0] >= 500
        counted = {name for (name, _), count in host.metrics.items() if count}
    assert counted == {metric}
    for api in ("relay-http", "query"):
        assert metric in alarms_over(api)


@pytest.mark.parametrize("chunked", [False, True], ids=["at once", "in chunks"])
def test_a_request_that_is_too_large_reaches_no_function_and_the_caller_hears_why(
    host: FunctionHost, *, chunked: bool
) -> None:
    ask(host, "GET", "/api/x")
    before = host.custom["web"].log.read_text().count("POST")
    block = bytes(2**20)
    body = (block for _ in range(33)) if chunked else block * 33
    status, said, _ = ask(host, "POST", "/api/x", body)
    assert (status, json.loads(said)["Code"]) == (400, "EntityTooLarge")
    assert host.custom["web"].log.read_text().count("POST") == before
    with Client(host.doors["domain"].url + "/api", "key") as client, pytest.raises(SluiceApiError) as told:
        client.open(columns=["x" * 1000] * 40_000, format="csv")
    assert "a gateway before the service takes no request of that size (Function Compute: 32 MB)" in str(told.value)


def test_an_answer_in_pieces_comes_in_pieces(host: FunctionHost) -> None:
    status, body, answer = ask(host, "GET", "/api/stream")
    assert (status, body) == (200, b"line 0line 1line 2")
    assert answer.getheader("transfer-encoding") == "chunked"


@pytest.mark.parametrize("name", ["x-fc-access-key-id", "X-Fc-Security-Token", "x-fc-control-path"])
def test_a_caller_cannot_pose_as_the_platform(host: FunctionHost, name: str) -> None:
    assert ask(host, "GET", "/api/x", headers={name: "mine"})[0] == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "/elsewhere"), ("DELETE", "/api/x"), ("POST", "/initialize")])
def test_what_has_no_route_reaches_no_function(host: FunctionHost, method: str, path: str) -> None:
    assert ask(host, method, path)[0] == 404


def test_a_server_that_listens_on_the_loopback_address_only_is_not_found(tmp_path: Path) -> None:
    with tiny_host(tmp_path, start_s=2) as host:
        status, body, _ = ask(host, "GET", "/hidden")
    assert status == 502
    assert b"0.0.0.0" in body


def test_a_request_beyond_the_time_limit_ends_with_its_instance(host: FunctionHost) -> None:
    ask(host, "GET", "/api/x")
    starts = host.custom["web"].starts
    assert ask(host, "GET", "/api/slow")[0] == 504
    assert ask(host, "GET", "/api/x")[0] == 200
    assert host.custom["web"].starts == starts + 1


def test_hooks_are_called_at_the_start_and_before_the_end(tmp_path: Path) -> None:
    with tiny_host(tmp_path) as host:
        assert ask(host, "GET", "/api/x")[0] == 200
    lines = (tmp_path / "web.log").read_text().splitlines()
    said = [line for line in lines if line.startswith(("GET", "POST"))]
    assert said == ["POST /initialize", "GET /api/x", "GET /pre-stop"]


def test_an_initializer_that_fails_keeps_the_instance_from_serving(tmp_path: Path) -> None:
    with tiny_host(tmp_path, {"PYTHONPATH: '/opt/python:/code'": "fail: '1'"}) as host:
        status, body, _ = ask(host, "GET", "/api/x")
    assert status == 502
    assert b"/initialize answered 500" in body


def invoker(host: FunctionHost, *, function: str = "tiny-work", secret: str = KEY.access_key_secret) -> FcHttpInvoker:
    return FcHttpInvoker(
        f"{host.interface.url}/2023-03-30/functions/{function}/invocations",
        TriggerBucket("tiny-in", "cn-hangzhou"),
        credentials=FixedCredentials(Credentials(KEY.access_key_id, Secret(secret), Secret(KEY.security_token))),
        clock=SystemClock(),
        randomness=SystemRandomness(),
        timeout_s=10,
    )


@pytest.mark.parametrize("status", [409, 400])
def test_the_invokers_call_runs_the_function_once_however_often_it_is_made(tmp_path: Path, status: int) -> None:
    """Documents name the code of an answer to a doubled call, and no status."""
    with tiny_host(tmp_path) as host:
        host.interface.known_call_status = status
        ringing = invoker(host)
        started = time.time() // 60
        for _ in range(2):
            ringing.invoke(TRIGGER, epoch=1)
        assert host.calls["work"].settle(30)
        told = [json.loads(run.payload)["said"]["events"][0] for run in host.invocations("work")]
        same_minute = time.time() // 60 == started
    assert {each["oss"]["object"]["key"] for each in told} == {manifest_key(TRIGGER.task, TRIGGER.sha)}
    assert len(told) == 1 or not same_minute


def test_a_call_of_the_interface_that_is_not_signed_right_runs_nothing(host: FunctionHost) -> None:
    before = len(host.invocations("work"))
    with pytest.raises(StoreRefused, match="403"):
        invoker(host, secret="another").invoke(TRIGGER, epoch=1)
    with pytest.raises(StoreRefused, match="404"):
        invoker(host, function="nobody").invoke(TRIGGER, epoch=1)
    assert len(host.invocations("work")) == before


def call(host: FunctionHost, method: str, messages: list[bytes], **options: Any) -> tuple[list[bytes], Any]:
    """Answers and the ended call; any method of any service exists."""
    with grpc.insecure_channel(f"127.0.0.1:{host.grpc_port('talk')}") as channel:
        start: Any = channel.stream_stream(f"/tiny.Talk/{method}")
        running = start(iter(messages), **{"timeout": 20, **options})
        return list(running), running


def test_grpc_is_passed_on_with_the_platforms_metadata(host: FunctionHost) -> None:
    (told, *echoed), ended = call(host, "Echo", [b"one", b"two"], metadata=(("x-mine", "1"), ("y-bin", b"\x00\xff")))
    metadata = json.loads(told)
    assert echoed == [b"one", b"two"]
    assert (metadata["x-mine"], metadata["y-bin"]) == ("1", "00ff")
    assert metadata["x-fc-access-key-id"] == KEY.access_key_id
    assert metadata["x-fc-function-name"] == "tiny-talk"
    assert ("at-the-end", "yes") in ended.trailing_metadata()


def test_a_caller_of_grpc_cannot_pose_as_the_platform(host: FunctionHost) -> None:
    (told,), _ = call(host, "Echo", [], metadata=(("x-fc-access-key-id", "mine"),))
    assert json.loads(told)["x-fc-access-key-id"] == KEY.access_key_id


def test_an_error_of_grpc_comes_back_with_its_details(host: FunctionHost) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(host, "Fail", [b"x"])
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.ALREADY_EXISTS, "as asked")
    assert ("why-bin", b"\x01") in error.trailing_metadata()


def test_a_grpc_call_beyond_the_time_limit_of_its_function_ends(host: FunctionHost) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(host, "Sleep", [b"x"], timeout=60)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_answer_of_grpc_comes_before_the_next_question(host: FunctionHost) -> None:
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def ask_in_turn() -> Iterator[bytes]:
        for number in range(3):
            heard.get(timeout=10)
            yield b"%d" % number

    with grpc.insecure_channel(f"127.0.0.1:{host.grpc_port('talk')}") as channel:
        start: Any = channel.stream_stream("/tiny.Talk/Echo")
        answers = []
        for answer in start(ask_in_turn(), timeout=20):
            answers.append(answer)
            heard.put(answer)
    assert answers[1:] == [b"0", b"1", b"2"]
