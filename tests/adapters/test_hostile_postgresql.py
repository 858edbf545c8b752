"""What answers in the place of a PostgreSQL server may be anything: it is refused in time, and learns no password."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sluice.adapters.databases import postgresql_session
from sluice.adapters.sources.postgresql import PostgresqlSource
from sluice.domain.dataset import PostgresqlConnection, TableSource
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError, SourceUnavailable
from tests.support.hostile_server import hostile_server, receive

PASSWORD = "s3cret"
SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_session, "CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(postgresql_session, "ANSWER_SLACK_S", 0.5)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


READY = (
    message(b"R", struct.pack("!i", 0))
    + message(b"S", b"server_version\x0015.1\0")
    + message(b"S", b"client_encoding\0UTF8\0")
    + message(b"Z", b"I")
)


def refusal(port: int, **changes: object) -> SourceError:
    where = PostgresqlConnection(
        name="crm", host="127.0.0.1", port=port, database="d", user="u", statement_timeout="1s"
    )
    where = msgspec.structs.replace(where, **changes)
    source = PostgresqlSource(
        where,
        TableSource(connection="crm", table="t", key=("id",)),
        ["id"],
        password=lambda: Secret(PASSWORD),
        folder=Path("/"),
    )
    began = time.monotonic()
    with pytest.raises(SourceError) as refused:
        source.count(1)
    assert time.monotonic() - began < 10
    assert PASSWORD not in str(refused.value)
    return refused.value


def says(*answers: bytes) -> Callable[[socket.socket], None]:
    """One answer for each message of the client, then nothing."""

    def script(connection: socket.socket) -> None:
        for answer in answers:
            receive(connection)
            connection.sendall(answer)
        while True:
            receive(connection)

    return script


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (b"\0" * 100,),
        (b"R\0\0\0\3" * 20,),
        (b"R" + struct.pack("!i", -1) * 20,),
        (b"R" + struct.pack("!i", 2**31 - 1) + b"x" * 100,),
        (message(b"R", struct.pack("!i", 0)) + message(b"X", b"?"),),
        (message(b"R", struct.pack("!i", 99)),),
        (message(b"R", struct.pack("!i", 10) + b"NONE\0\0"),),
        (message(b"E", b"SERROR\0CXXYYZ\0Ms3cret\0\0"),),
        (message(b"E", b"no fields"),),
        (message(b"R", struct.pack("!i", 0)) + message(b"Z", b"I"),),
        (READY,),
        (READY, b"\xff" * 1_000),
        (READY[:-1], READY[-1:] + b"\0" * 100),
        (READY, b"Z\0", b"\0\0\0I"),
        (READY, message(b"C", b"BEGIN\0") + message(b"Z", b"T"), message(b"D", b"\xff\xff")),
        (READY, message(b"G", b"\0\0\0")),
    ],
)
def test_a_server_that_says_nonsense_or_nothing_is_refused_in_time(answers: tuple[bytes, ...]) -> None:
    with hostile_server(says(*answers)) as port:
        refusal(port)


def test_a_connection_that_is_closed_at_once_or_refused_can_be_tried_again() -> None:
    with hostile_server(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port:
        assert isinstance(refusal(port), SourceUnavailable)
    assert isinstance(refusal(port), SourceUnavailable)


def test_a_server_without_tls_gets_no_password_where_it_has_to_prove_its_name() -> None:
    received: list[bytes] = []

    def script(connection: socket.socket) -> None:
        received.append(receive(connection))
        connection.sendall(b"N")
        received.append(receive(connection))

    with hostile_server(script) as port:
        refused = refusal(port, tls="verify")
    assert not isinstance(refused, SourceUnavailable)
    assert "tls: off" in str(refused)
    assert received == [SSL_REQUEST]
