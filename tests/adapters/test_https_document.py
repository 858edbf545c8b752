"""A document is fetched from where its address says and from nowhere else, in bounds, whatever answers there."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from sluice.adapters.https_document import HttpsDocument
from sluice.ports.documents import DocumentError
from tests.support.certificate import self_signed
from tests.support.key_provider import answering, providing

BODY = b'{"keys": []}'


def over_tls(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server of this name, and for a caller who trusts its certificate."""
    made = self_signed(folder, name)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    return server, ssl.create_default_context(cafile=str(made.certificate))


def test_it_is_fetched_by_https_from_a_server_that_proves_its_name(tmp_path: Path) -> None:
    server, caller = over_tls(tmp_path, "localhost")
    with providing(tls=server) as provider:
        provider.answer = answering(BODY)
        url = f"https://localhost:{provider.port}/keys"
        assert HttpsDocument(url, tls=caller).fetch() == BODY
        assert provider.asked == 1
        with pytest.raises(DocumentError, match="SSLCertVerificationError: self-signed certificate"):
            HttpsDocument(url).fetch()
        assert provider.asked == 1, "nothing is asked of a server that is not the one"


def test_a_certificate_of_another_name_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, caller = over_tls(tmp_path, "localhost")
    with providing(tls=server) as provider:
        _resolving(monkeypatch, "127.0.0.1")
        with pytest.raises(DocumentError, match="Hostname mismatch"):
            HttpsDocument(f"https://idp.example:{provider.port}/", tls=caller).fetch()
    assert provider.asked == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/keys",
        "http://10.0.0.1/keys",
        "http://169.254.169.254/keys",
        "ftp://localhost/keys",
        "https://",
        "https:///keys",
        "https://user@idp.example/keys",
        "https://user:secret@idp.example/keys",
        "https://idp.example/keys#top",
        "https://idp.example/a b",
        "https://idp.example/\n",
        "https://idp.example:port/",
        "https://idp.example/ü",
    ],
)
def test_what_is_no_address_of_a_document_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|Port|port"):
        HttpsDocument(url)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "100.100.100.200", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "::ffff:169.254.169.254"],
)
def test_no_connection_is_made_to_where_a_cloud_keeps_its_secrets(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    _resolving(monkeypatch, address)
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(DocumentError, match="none that a document may be at"):
        HttpsDocument("https://idp.example/keys").fetch()


def test_plain_http_to_a_name_that_is_not_on_this_machine_any_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    document = HttpsDocument("http://localhost/keys")
    _resolving(monkeypatch, "10.0.0.1")
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(DocumentError, match="none that a document may be at"):
        document.fetch()


def test_a_name_is_resolved_once_for_each_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no second answer can lead the connection elsewhere than to the address that was looked at."""
    with providing() as provider:
        provider.answer = answering(BODY)
        asked = _resolving(monkeypatch, "127.0.0.1")
        assert HttpsDocument(f"http://localhost:{provider.port}/").fetch() == BODY
    assert asked == ["localhost"]


def test_no_redirect_is_followed() -> None:
    with providing() as elsewhere, providing() as provider:
        provider.answer = answering(b"", status=302, Location=elsewhere.url)
        with pytest.raises(DocumentError, match="status 302, and redirects are not followed"):
            HttpsDocument(provider.url).fetch()
    assert (provider.asked, elsewhere.asked) == (1, 0)


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with providing() as proxy, providing() as provider:
        provider.answer = answering(BODY)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert HttpsDocument(provider.url).fetch() == BODY
    assert proxy.asked == 0


def _endless(handler: BaseHTTPRequestHandler, piece: bytes) -> None:
    try:
        while True:
            handler.wfile.write(piece)
            handler.wfile.flush()
    except OSError:
        return


def _never(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read(1)  # until the caller goes


def _body_that_never_ends(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    _endless(handler, b"x" * 1_000)


def _breaks_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(BODY)


def _stops_in_the_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(BODY)
    _never(handler)


BAD: dict[str, tuple[Callable[[BaseHTTPRequestHandler], Any], str]] = {
    "no answer": (_never, "takes longer than 0.3 s"),
    "half an answer": (_stops_in_the_body, "takes longer than 0.3 s"),
    "no end of hundreds": (lambda one: _endless(one, b"HTTP/1.1 100 Continue\r\n\r\n"), "takes longer than 0.3 s"),
    "too much": (answering(b"x" * 1_001), "has more than 1,000 bytes"),
    "more than it says": (_body_that_never_ends, "has more than 1,000 bytes"),
    "less than it says": (_breaks_off, "breaks off"),
    "no HTTP": (lambda handler: handler.wfile.write(b"SSH-2.0-secret\r\n"), "BadStatusLine"),
    "not found": (answering(b"secret", status=404), "answers with status 404"),
}  # fmt: skip


@pytest.mark.parametrize("how", BAD)
def test_a_bad_answer_is_an_error_within_bounds_that_quotes_none_of_it(how: str) -> None:
    answer, said = BAD[how]
    with providing() as provider:
        provider.answer = answer
        document = HttpsDocument(provider.url, bytes_max=1_000, timeout_s=0.3 if "longer" in said else 60)
        with pytest.raises(DocumentError, match=said) as failed:
            document.fetch()
        assert "secret" not in str(failed.value)


def test_an_address_where_no_one_listens_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DocumentError, match="ConnectionRefusedError"):
        HttpsDocument(f"http://127.0.0.1:{port}/").fetch()
    monkeypatch.setattr(socket, "getaddrinfo", _no_such_name)
    with pytest.raises(DocumentError, match="gaierror: no such name"):
        HttpsDocument("https://idp.example/").fetch()


def _no_such_name(*_: object, **__: object) -> None:
    raise socket.gaierror(-2, "no such name")


def _resolving(monkeypatch: pytest.MonkeyPatch, address: str) -> list[str]:
    """Have every name mean this address; gives the names that are asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked
