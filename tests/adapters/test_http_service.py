"""A service is asked where its connection says and nowhere else, in bounds, whatever answers there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from sluice.adapters.sources import http_service
from sluice.adapters.sources.http_service import HttpService
from sluice.domain.dataset import HttpConnection
from sluice.domain.secret import Secret
from sluice.ports.page_service import PageRequest
from sluice.ports.source import SourceError, SourceUnavailable
from tests.adapters.test_https_document import over_tls
from tests.support.hostile_server import hostile_server, receive
from tests.support.key_provider import answering, providing
from tests.support.scripted_server import Answer, in_turn, scripted_server

SECRET = "s3cr3t-of-the-service"  # none


NOT_PUBLIC = (
    "10.0.0.1 172.16.3.4 192.168.1.1 127.0.0.1 ::1 fd00::1 169.254.169.254 100.64.0.1 100.100.100.200 0.0.0.0 :: "
    "224.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 fe80::1"
)


def service(url: str, **options: Any) -> HttpService:
    made = HttpConnection(
        name="api", url=url, **{"auth": "bearer", "secret": "${secret:api}", "allow": ("127.0.0.0/8",), **options}
    )
    return HttpService(made, secret=lambda: Secret(SECRET), folder=Path("/"))


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Names have the addresses, one after the other at each question; the last one then."""
    asked: list[str] = []
    left = list(addresses)

    def found(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked


@pytest.mark.parametrize(
    "address",
    NOT_PUBLIC.split(),
)
def test_no_connection_is_made_to_an_address_that_is_not_public(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, address)
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(SourceError, match="its address is not public") as refused:
        service("https://api.example", allow=()).ask(PageRequest("GET", ""))
    assert not isinstance(refused.value, SourceUnavailable)


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "::ffff:100.100.100.200", "fe80::1"])
def test_no_network_that_an_operator_allows_has_the_secrets_of_a_cloud(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, address)
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(SourceError, match="its address is not public"):
        service("https://api.example", allow=("0.0.0.0/0", "::/0")).ask(PageRequest("GET", ""))


def test_plain_http_goes_to_no_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "93.184.216.34")
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(SourceError, match="has to for http://"):
        service("http://api.example").ask(PageRequest("GET", ""))


def test_a_name_is_resolved_once_for_each_question_and_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server(in_turn(Answer(302, b"", {"location": "/b"}), Answer())) as server:
        asked = resolving(monkeypatch, "127.0.0.1", "10.0.0.1")
        made = service(f"http://api.example:{server.server_port}")
        with pytest.raises(SourceError, match="its address is not public"):
            made.ask(PageRequest("GET", "a"))
        assert len(server.asked) == 1
    assert asked == ["api.example"] * 2


def test_the_certificate_has_to_be_of_the_name(tmp_path: Path) -> None:
    server, _ = over_tls(tmp_path, "localhost")
    (authority,) = [path for path in tmp_path.iterdir() if "BEGIN CERTIFICATE" in path.read_text()]
    with providing(tls=server) as provider:
        provider.answer = answering(b"[]")
        url = f"https://localhost:{provider.port}"
        assert service(url, tls_ca=str(authority)).ask(PageRequest("GET", "")).body == b"[]"
        with pytest.raises(SourceUnavailable, match="self-signed certificate"):
            service(url).ask(PageRequest("GET", ""))
        assert provider.asked == 1, "no secret goes to a server that is not the one"


@pytest.mark.parametrize("auth", ["bearer", "basic", "header"])
def test_redirects_and_links_lead_to_no_other_service_and_so_does_the_secret(auth: str) -> None:
    with scripted_server(in_turn(Answer())) as elsewhere:
        other = elsewhere.url
        script = in_turn(Answer(302, b"", {"location": f"{other}/x"}))
        with scripted_server(script) as server:
            made = service(f"{server.url}/v1", auth=auth, user="u" if auth == "basic" else "")
            links = [other, "//127.0.0.1:1/x", f"http://u@127.0.0.1:{server.server_port}/x", "ftp://127.0.0.1/x"]
            links += ["https" + server.url[4:], "file:///etc/passwd", "http://[::1", "/a\r\nHost: x", "/ü", "", "/a b"]
            for request in (PageRequest("GET", "a"), *(PageRequest("GET", link, is_link=True) for link in links)):
                with pytest.raises(SourceError, match="gives a link that") as refused:
                    made.ask(request)
                assert SECRET not in str(refused.value)
            with pytest.raises(SourceError, match="leads a POST elsewhere"):
                made.ask(PageRequest("POST", "a", (), b"{}"))
            assert len(server.asked) == 2
        assert elsewhere.asked == []


def test_a_redirect_within_the_service_is_followed_but_not_for_ever() -> None:
    with scripted_server(in_turn(Answer(301, b"", {"location": "b?c=1"}), Answer(200, b"[1]"))) as server:
        answer = service(f"{server.url}/v1/").ask(PageRequest("GET", "a"))
        assert (answer.body, answer.url) == (b"[1]", f"{server.url}/v1/b?c=1")
        assert [asked.path for asked in server.asked] == ["/v1/a", "/v1/b?c=1"]
    with scripted_server(in_turn(Answer(301, b"", {"location": "/a"}))) as server:
        with pytest.raises(SourceError, match="without an end"):
            service(server.url).ask(PageRequest("GET", "a"))
        assert len(server.asked) == http_service.REDIRECTS_MAX


def test_a_path_stays_below_the_address_of_its_connection() -> None:
    with scripted_server(in_turn(Answer())) as server:
        made = service(f"{server.url}/v1")
        for path in ("../admin", "a/../../admin", ".."):
            with pytest.raises(SourceError, match=r"has no \.\."):
                made.ask(PageRequest("GET", path))
        made.ask(PageRequest("GET", "//evil.example/a b\r\nX: y?z#f"))
        assert [asked.path for asked in server.asked] == ["/v1/evil.example/a%20b%0D%0AX:%20y%3Fz%23f"]


@pytest.mark.parametrize("secret", ["", "a\r\nX: y", "ü", "a\0"])
def test_a_secret_that_no_header_may_have_is_not_shown(secret: str) -> None:
    with scripted_server(in_turn(Answer())) as server:
        where = HttpConnection(name="api", url=server.url, auth="header", secret="${secret:a}", allow=("127.0.0.1/32",))
        with pytest.raises(SourceError, match="its secret is none that a header may have") as refused:
            HttpService(where, secret=lambda: Secret(secret), folder=Path("/")).ask(PageRequest("GET", ""))
        assert secret == "" or secret not in str(refused.value)
        assert server.asked == []


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", SourceUnavailable),
        (b"SSH-2.0-x\r\n", SourceUnavailable),
        (HEAD + b"Content-Length: 9\r\n\r\n[1]", SourceUnavailable),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]", SourceUnavailable),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", SourceUnavailable),
        (HEAD + b"X: y\r\n" * 1_000 + b"\r\n", SourceUnavailable),
        (HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", SourceUnavailable),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", SourceError),
        (HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 5_000, SourceError),
        (HEAD + b"\r\n" + b"x" * 5_000, SourceError),
    ],
)
def test_an_answer_that_is_none_or_too_large_is_refused(
    sent: bytes, error: type[SourceError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_service, "BYTES_MAX", 4_000)

    def script(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)

    with hostile_server(script) as port, pytest.raises(error) as failed:
        service(f"http://127.0.0.1:{port}").ask(PageRequest("GET", ""))
    assert isinstance(failed.value, SourceUnavailable) is (error is SourceUnavailable)
    assert SECRET not in str(failed.value)


def test_an_answer_that_trickles_ends_with_its_time_and_one_that_waits_is_interrupted() -> None:
    made: list[HttpService] = []

    def trickles(connection: socket.socket) -> None:
        receive(connection)
        for byte in HEAD * 1_000:
            connection.sendall(bytes([byte]))
            if made:
                made.pop().interrupt()
            connection.recv(1)  # until the caller goes

    with hostile_server(trickles) as port:
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(SourceUnavailable, match=r"takes longer than 0.2 s"):
            service(url, timeout_s=0.2).ask(PageRequest("GET", ""))
        waiting = service(url)
        made.append(waiting)
        for _ in range(2):
            with pytest.raises(SourceUnavailable, match="interrupted from here"):
                waiting.ask(PageRequest("GET", ""))
