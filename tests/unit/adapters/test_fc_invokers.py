"""Both ways to ask Function Compute for a composer, over real HTTP, with every answer that is known to come."""

from __future__ import annotations

import json
import logging
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.emulators.function_compute.signatures import ArrivedCall, acs3_complaint, fc2_complaint
from sluice.adapters.aliyun.credentials import Credentials, CredentialsSource, FixedCredentials
from sluice.adapters.aliyun.function_compute.fc2_invoker import Fc2Function, Fc2Invoker
from sluice.adapters.aliyun.function_compute.http_invoker import FcHttpInvoker
from sluice.adapters.aliyun.function_compute.oss_event import DEDUPLICATED_S, TriggerBucket
from sluice.domain.keys import ManifestRef, TaskId, TaskRef, TenantId, manifest_key
from sluice.domain.secret import Secret
from sluice.ports.invoker import Invoker
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.scripted_server import Answer, Asked, scripted_server

KEYS = {"akid": "a secret"}
LASTING = Credentials("akid", Secret("a secret"))
LASTS = FixedCredentials(LASTING)
ROLE = Credentials("akid", Secret("a secret"), Secret("the token"))
BUCKET = TriggerBucket("sluice-in", "cn-hangzhou")
TRIGGER = ManifestRef(
    TaskRef(TenantId("acme"), TaskId("2bcdefghijklmnopqrstuvwxyz")), "0123456789abcdef0123456789abcdef"
)
TAKEN = Answer(202, b"", {"x-fc-request-id": "r-1"})


class Calls(ABC):
    """What any of the invokers must do; a subclass says how one is made."""

    id_header: str

    @abstractmethod
    def make(self, url: str, clock: FakeClock, *, source: CredentialsSource = LASTS, timeout_s: float = 5) -> Invoker:
        """An invoker that calls the server at ``url``."""

    @abstractmethod
    def complaint(self, asked: Asked) -> str:
        """What is wrong with a call's signature."""

    def ring(self, answer: Answer, *, credentials: Credentials = LASTING, times: int = 1) -> list[Asked]:
        with scripted_server(lambda _: answer) as server:
            invoker = self.make(server.url, FakeClock(), source=FixedCredentials(credentials))
            for _ in range(times):
                invoker.invoke(TRIGGER, epoch=3)
            return server.asked

    def test_the_event_is_the_one_that_the_bucket_sends_for_the_manifest(self) -> None:
        (asked,) = self.ring(TAKEN)
        (event,) = json.loads(asked.body)["events"]
        assert event["eventName"] == "ObjectCreated:PutObject"
        assert event["oss"]["bucket"]["name"] == "sluice-in"
        assert event["oss"]["object"]["key"] == manifest_key(TRIGGER.task, TRIGGER.sha)
        assert event["region"] == "cn-hangzhou"
        assert event["eventTime"].endswith(".000Z")

    def test_the_call_is_asynchronous_and_signed(self) -> None:
        (asked,) = self.ring(TAKEN)
        assert asked.method == "POST"
        assert asked.headers["x-fc-invocation-type"] == "Async"
        assert self.complaint(asked) == ""

    def test_the_token_of_a_role_goes_along_and_is_signed(self) -> None:
        (asked,) = self.ring(TAKEN, credentials=ROLE)
        assert "the token" in asked.headers.values()
        assert self.complaint(asked) == ""

    def test_every_call_uses_the_credentials_of_its_moment(self) -> None:
        with scripted_server(lambda _: TAKEN) as server:
            changing = iter([LASTING, ROLE])
            invoker = self.make(server.url, FakeClock(), source=lambda: next(changing))
            for _ in range(2):
                invoker.invoke(TRIGGER, epoch=1)
            assert ["the token" in asked.headers.values() for asked in server.asked] == [False, True]

    def test_a_doubled_ring_has_the_same_id_and_another_attempt_another(self) -> None:
        with scripted_server(lambda _: TAKEN) as server:
            invoker = self.make(server.url, FakeClock())
            for epoch in (3, 3, 4):
                invoker.invoke(TRIGGER, epoch=epoch)
            first, doubled, other = (asked.headers[self.id_header] for asked in server.asked)
        assert first == doubled != other

    def test_the_sweepers_next_round_is_not_taken_for_a_doubled_ring(self) -> None:
        clock = FakeClock()
        with scripted_server(lambda _: TAKEN) as server:
            invoker = self.make(server.url, clock)
            invoker.invoke(TRIGGER, epoch=3)
            clock.advance(DEDUPLICATED_S)
            invoker.invoke(TRIGGER, epoch=3)
            first, next_round = (asked.headers[self.id_header] for asked in server.asked)
        assert first != next_round

    def test_the_id_is_one_that_function_compute_accepts(self) -> None:
        (asked,) = self.ring(TAKEN)
        call_id = asked.headers[self.id_header]
        assert call_id[0].isalpha()
        assert set(call_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
        assert len(call_id) <= 128

    def test_a_call_that_is_known_already_is_no_error(self) -> None:
        known = Answer(409, b'{"ErrorCode":"StatefulAsyncInvocationAlreadyExists","ErrorMessage":"exists"}')
        assert len(self.ring(known)) == 1
        assert len(self.ring(Answer(409, b"<html>conflict</html>"))) == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 412])
    def test_a_refusal_names_the_vendors_code_and_the_request(self, status: int) -> None:
        body = json.dumps({"Code": "AccessDenied", "ErrorCode": "AccessDenied", "Message": "StringToSign: secret"})
        with pytest.raises(StoreRefused) as caught:
            self.ring(Answer(status, body.encode(), {"X-Fc-Request-Id": "r-77"}))
        assert (caught.value.code, caught.value.request_id) == ("AccessDenied", "r-77")
        assert "StringToSign" not in str(caught.value)

    @pytest.mark.parametrize("body", [b"<html>Forbidden</html>", b"", b"[]", b"\xff\xfe", b'{"Code": 7}'])
    def test_a_refusal_whose_body_is_not_what_it_should_be_is_a_refusal(self, body: bytes) -> None:
        with pytest.raises(StoreRefused, match="403"):
            self.ring(Answer(403, body))

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    @pytest.mark.parametrize("body", [b'{"Code":"X","ErrorCode":"X"}', b"upstream connect error"])
    def test_what_may_pass_is_unknown_and_not_repeated_here(self, status: int, body: bytes) -> None:
        with scripted_server(lambda _: Answer(status, body)) as server:
            with pytest.raises(OutcomeUnknown, match=str(status)):
                self.make(server.url, FakeClock()).invoke(TRIGGER, epoch=1)
            assert len(server.asked) == 1

    @pytest.mark.parametrize("body", [b'{"errorMessage":"x"}', b"", b"not json"])
    def test_an_error_that_comes_with_status_200_is_seen(self, body: bytes) -> None:
        with pytest.raises(OutcomeUnknown, match="UnhandledInvocationError"):
            self.ring(Answer(200, body, {"X-Fc-Error-Type": "UnhandledInvocationError"}))

    def test_a_connection_that_breaks_is_unknown(self) -> None:
        with pytest.raises(OutcomeUnknown):
            self.ring(Answer(202, b"", sent_bytes=0))

    @pytest.mark.timeout(15)
    def test_an_address_where_nobody_listens_is_given_up_at_once(self) -> None:
        """The vendor's SDK tries for 30 s; pytest's clock is the judge."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with pytest.raises(OutcomeUnknown):
            self.make(f"http://127.0.0.1:{port}", FakeClock()).invoke(TRIGGER, epoch=1)

    @pytest.mark.timeout(15)
    def test_a_server_that_says_nothing_is_given_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            invoker = self.make(f"http://127.0.0.1:{silent.getsockname()[1]}", FakeClock(), timeout_s=0.2)
            with pytest.raises(OutcomeUnknown):
                invoker.invoke(TRIGGER, epoch=1)

    def test_nothing_is_written_to_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """The vendor's SDK writes the request's headers to the root logger, the token among them."""
        with caplog.at_level(logging.INFO), pytest.raises(StoreRefused):
            self.ring(Answer(403, b'{"ErrorCode":"AccessDenied"}'), credentials=ROLE)
        assert "the token" not in caplog.text
        assert not [record for record in caplog.records if record.name == "root"]

    def test_neither_the_error_nor_its_causes_show_a_secret(self) -> None:
        with pytest.raises(StoreRefused) as caught:
            self.ring(Answer(403, b"a secret? the token?"), credentials=ROLE)
        assert "a secret" not in str(caught.value)
        assert "the token" not in str(caught.value)


class TestByTheInterface(Calls):
    """InvokeFunction of the interface of 3.0."""

    id_header = "x-fc-async-task-id"
    path = "/2023-03-30/functions/sluice-compose/invocations"
    body_is_signed = True

    def make(self, url: str, clock: FakeClock, *, source: CredentialsSource = LASTS, timeout_s: float = 5) -> Invoker:
        return FcHttpInvoker(
            url + self.path,
            BUCKET,
            credentials=source,
            clock=clock,
            randomness=SeededRandomness(),
            timeout_s=timeout_s,
        )

    def complaint(self, asked: Asked) -> str:
        call = ArrivedCall(asked.method, asked.path, asked.headers, asked.body)
        return acs3_complaint(call, KEYS, body_is_signed=self.body_is_signed)

    def test_the_call_names_what_it_wants_and_is_like_no_other(self) -> None:
        first, second = self.ring(TAKEN, times=2)
        assert (first.headers["x-acs-action"], first.headers["x-acs-version"]) == ("InvokeFunction", "2023-03-30")
        assert first.headers["x-acs-signature-nonce"] != second.headers["x-acs-signature-nonce"]
        assert "host" in first.headers["authorization"]


class TestByAnHttpTrigger(TestByTheInterface):
    """The function's own address. The gateway signs neither host nor body, as the vendor's example has it."""

    path = "/"
    body_is_signed = False

    def test_the_call_names_what_it_wants_and_is_like_no_other(self) -> None:
        (asked,) = self.ring(TAKEN)
        assert "SignedHeaders=x-acs-date," in asked.headers["authorization"]
        assert asked.headers["content-type"] == "application/json"  # else the event arrives in base64


class TestBy20(Calls):
    """The SDK for services of 2.0."""

    id_header = "x-fc-stateful-async-invocation-id"

    def make(self, url: str, clock: FakeClock, *, source: CredentialsSource = LASTS, timeout_s: float = 5) -> Invoker:
        return Fc2Invoker(
            Fc2Function(url, "sluice", "compose"),
            BUCKET,
            credentials=source,
            clock=clock,
            timeout_s=timeout_s,
        )

    def complaint(self, asked: Asked) -> str:
        return fc2_complaint(ArrivedCall(asked.method, asked.path, asked.headers, asked.body), KEYS)

    def test_the_call_is_the_sdks(self) -> None:
        (asked,) = self.ring(TAKEN)
        assert asked.path == "/2016-08-15/services/sluice/functions/compose/invocations"
        assert asked.headers["user-agent"].startswith("aliyun-fc-sdk")
        assert int(asked.headers["content-length"]) == len(asked.body) > 0

    def test_calls_share_a_connection(self) -> None:
        """The vendor's SDK makes a session, and with it a TLS handshake, for each."""
        with keeping_server() as server:
            invoker = self.make(f"http://127.0.0.1:{server.server_port}", FakeClock())
            for epoch in range(3):
                invoker.invoke(TRIGGER, epoch=epoch)
            assert (server.calls, server.connections) == (3, 1)

    def test_a_netrc_of_the_machine_does_not_replace_the_signature(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path_factory.mktemp("home") / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        (asked,) = self.ring(TAKEN)
        assert self.complaint(asked) == ""


class KeepingServer(ThreadingHTTPServer):
    """Keeps connections open and counts them."""

    daemon_threads = True
    connections = calls = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]  # a socket it is


class KeepingHandler(BaseHTTPRequestHandler):
    server: KeepingServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.calls += 1
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def keeping_server() -> Iterator[KeepingServer]:
    with KeepingServer(("127.0.0.1", 0), KeepingHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
