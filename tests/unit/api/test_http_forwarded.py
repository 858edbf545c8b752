"""What a proxy says of the caller counts if the settings name the proxy, and only then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from sluice.api.http.server.forwarded import ForwardedMiddleware, forwarded_url
from sluice.domain.events import Event
from sluice.ports.log_context import current_context
from tests.support.recorded_journal import RecordedJournal

TRUSTED = ("10.0.0.1", "10.2.0.0/16", "fd00::/8")
SENT = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "exports.example.com"}


class Proxied:
    """A service behind the middleware; says what it sees."""

    def __init__(self, trusted: tuple[str, ...] = TRUSTED) -> None:
        self.journal = RecordedJournal()
        self.seen: dict[str, Any] | None = None
        self._app = ForwardedMiddleware(self._see, trusted=trusted, journal=self.journal)

    async def _see(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        self.seen = {
            "client": current_context().get("client"),
            "host": Headers(scope=scope).get("host"),
            "scheme": scope["scheme"],
            "url": forwarded_url(),
        }

    def call(self, sender: str, headers: list[tuple[str, str]]) -> list[Message]:
        """Returns what the middleware answered itself."""
        answered: list[Message] = []

        async def send(message: Message) -> None:
            answered.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in [("Host", "inner:9091"), *headers]]
        scope = {"type": "http", "scheme": "http", "client": (sender, 5), "headers": raw, "method": "GET"}
        asyncio.run(self._app(scope, receive, send))
        return answered

    @property
    def warnings(self) -> list[dict[str, Any]]:
        return self.journal.of(Event.FORWARDED_IGNORED)


@pytest.mark.parametrize("sender", ["10.0.0.1", "10.2.200.1", "::ffff:10.0.0.1", "fd00::1"])
def test_a_trusted_proxy_is_believed(sender: str) -> None:
    service = Proxied()
    assert service.call(sender, list(SENT.items())) == []
    assert service.seen == {
        "client": "192.0.2.7",
        "host": "exports.example.com",
        "scheme": "https",
        "url": "https://exports.example.com",
    }
    assert service.warnings == []
    assert forwarded_url() == ""


@pytest.mark.parametrize("sender", ["10.0.0.2", "192.0.2.7", "::1", "::ffff:10.0.0.2"])
@pytest.mark.parametrize("trusted", [TRUSTED, ()])
def test_any_other_sender_is_not_and_the_log_says_so_once(sender: str, trusted: tuple[str, ...]) -> None:
    service = Proxied(trusted)
    for _ in range(3):
        service.call(sender, list(SENT.items()))
    client = sender.removeprefix("::ffff:")
    assert service.seen == {"client": client, "host": "inner:9091", "scheme": "http", "url": ""}
    (warning,) = service.warnings
    assert warning["headers"] == ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"]
    assert "server.trusted_proxies" in warning["note"]


def test_the_caller_is_the_last_address_that_is_no_proxy() -> None:
    """Whatever stands before it may be made up."""
    service = Proxied()
    for sent, client in (
        ([("X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.2.0.9")], "192.0.2.7"),
        ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.7:4711")], "192.0.2.7"),
        ([("X-Forwarded-For", "[2001:db8::1]:99")], "2001:db8::1"),
        ([("X-Forwarded-For", "unknown")], None),
        ([("X-Forwarded-For", "\x1b[2J evil")], None),
        ([], "10.0.0.1"),
    ):
        service.call("10.0.0.1", sent)
        assert service.seen is not None
        assert (service.seen["client"], service.seen["url"]) == (client, ""), sent


@pytest.mark.parametrize(
    ("sent", "url"),
    [
        ({"X-Forwarded-Proto": "https"}, "https://inner:9091"),
        ({"X-Forwarded-Host": "exports.example.com:8443"}, "http://exports.example.com:8443"),
        ({"X-Forwarded-Host": "[2001:db8::1]:8443", "X-Forwarded-Proto": "https"}, "https://[2001:db8::1]:8443"),
        ({"X-Forwarded-Proto": "https", "Host": "inner/evil"}, "https://inner:9091"),
    ],
    ids=str,
)
def test_what_links_begin_with(sent: dict[str, str], url: str) -> None:
    service = Proxied()
    service.call("10.0.0.1", list(sent.items()))
    assert service.seen is not None
    assert service.seen["url"] == url


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-Forwarded-Host", ["evil.example, exports.example.com"]),
        ("X-Forwarded-Host", ["evil.example", "exports.example.com"]),
        ("X-Forwarded-Host", ["exports.example.com/path"]),
        ("X-Forwarded-Host", ["user@exports.example.com"]),
        ("X-Forwarded-Host", [""]),
        ("X-Forwarded-Proto", ["https, http"]),
        ("X-Forwarded-Proto", ["wss"]),
        ("X-Forwarded-Proto", ["javascript"]),
    ],
)
def test_a_list_of_a_trusted_proxy_is_refused(name: str, values: list[str]) -> None:
    """Of a list one member may be the caller's own."""
    service = Proxied()
    start, body = service.call("10.0.0.1", [(name, value) for value in values])
    assert (start["status"], service.seen) == (400, None)
    assert b'"INVALID_REQUEST"' in body["body"]
    assert name.encode() in body["body"]
    assert b"evil" not in body["body"]


def test_the_header_of_rfc_7239_is_not_read_and_the_log_says_what_is() -> None:
    service = Proxied()
    service.call("10.0.0.1", [("Forwarded", "for=192.0.2.7;host=evil.example;proto=https")])
    assert service.seen == {"client": "10.0.0.1", "host": "inner:9091", "scheme": "http", "url": ""}
    (warning,) = service.warnings
    assert warning["headers"] == ["Forwarded"]
    assert "X-Forwarded-Host" in warning["note"]
