"""What answers in the place of a MySQL server may be anything: it is refused in time, and gets no file or password."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sluice.adapters.databases import mysql_session
from sluice.adapters.sources.mysql import MysqlSource
from sluice.domain.dataset import MysqlConnection, TableSource
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError, SourceUnavailable
from tests.support.hostile_server import hostile_server, receive

PASSWORD = "s3cret"
OK = b"\0\0\0\2\0\0\0"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_session, "CONNECT_TIMEOUT_S", 1)
    monkeypatch.setattr(mysql_session, "ANSWER_SLACK_S", 0)


def packet(sequence: int, body: bytes) -> bytes:
    return struct.pack("<I", len(body))[:3] + bytes([sequence]) + body


def greeting(plugin: bytes = b"mysql_native_password", *, with_tls: bool = False) -> bytes:
    flags = 0x000FF7FF | (0x800 if with_tls else 0)
    flags = flags if with_tls else flags & ~0x800
    return packet(
        0,
        b"\x0a8.0.30\0"
        + struct.pack("<I", 7)
        + b"a" * 8
        + b"\0"
        + struct.pack("<H", flags & 0xFFFF)
        + b"\x2d\2\0"
        + struct.pack("<H", flags >> 16)
        + b"\x15"
        + b"\0" * 10
        + b"b" * 12
        + b"\0"
        + plugin
        + b"\0",
    )


def says(*answers: bytes) -> Callable[[socket.socket], None]:
    """The first at once, then one for each message of the client, then nothing."""

    def script(connection: socket.socket) -> None:
        for place, answer in enumerate(answers):
            if place:
                receive(connection)
            connection.sendall(answer)
        while True:
            receive(connection)

    return script


def refusal(port: int, **changes: object) -> SourceError:
    where = MysqlConnection(name="crm", host="127.0.0.1", port=port, database="d", user="u", statement_timeout="1s")
    where = msgspec.structs.replace(where, **changes)
    table = TableSource(connection="crm", table="t", key=("id",))
    source = MysqlSource(where, table, ["id"], password=lambda: Secret(PASSWORD), folder=Path("/"))
    began = time.monotonic()
    with pytest.raises(SourceError) as refused:
        source.count(1)
    assert time.monotonic() - began < 10
    assert PASSWORD not in str(refused.value)
    return refused.value


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (b"\0" * 100,),
        (b"\xff\xff\xff\0" + b"x" * 100,),
        (packet(0, b"\xff\x10\x04Too many connections"),),
        (packet(0, b"\x0a"),),
        (greeting()[:30],),
        (greeting(),),
        (greeting(), packet(2, b"")),
        (greeting(), packet(2, b"\xff\x15\x04#28000s3cret")),
        (greeting(), packet(2, OK), b"\xff" * 1_000),
        (greeting(), packet(2, OK), packet(1, OK), packet(1, b"\xfc")),
    ],
)
def test_a_server_that_says_nonsense_or_nothing_is_refused_in_time(answers: tuple[bytes, ...]) -> None:
    with hostile_server(says(*answers)) as port:
        refusal(port)


def test_a_connection_that_is_closed_at_once_or_refused_can_be_tried_again() -> None:
    with hostile_server(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port:
        assert isinstance(refusal(port), SourceUnavailable)
    assert isinstance(refusal(port), SourceUnavailable)


def test_a_server_that_asks_for_a_file_of_this_machine_gets_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of ours")
    asks = b"\xfb" + str(tmp_path / "file").encode()
    received = bytearray()

    def script(connection: socket.socket) -> None:
        connection.sendall(greeting())
        received.extend(receive(connection))
        connection.sendall(packet(2, OK))
        while True:
            received.extend(receive(connection))
            connection.sendall(packet(1, asks))

    with hostile_server(script) as port:
        refusal(port)
    assert b"of ours" not in received


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"dialog"])
def test_a_server_that_has_not_proved_its_name_does_not_get_the_password_itself(plugin: bytes) -> None:
    received = bytearray()

    def script(connection: socket.socket) -> None:
        connection.sendall(greeting())
        received.extend(receive(connection))
        connection.sendall(packet(2, b"\xfe" + plugin + b"\0" + b"\2Password:"))
        while True:
            received.extend(receive(connection))

    with hostile_server(script) as port:
        refused = refusal(port)
    assert PASSWORD.encode() not in received
    assert "only sent over TLS" in str(refused)


def test_a_server_without_tls_gets_nothing_where_it_has_to_prove_its_name() -> None:
    received = bytearray()

    def script(connection: socket.socket) -> None:
        connection.sendall(greeting())
        while True:
            received.extend(receive(connection))

    with hostile_server(script) as port:
        refused = refusal(port, tls="verify")
    assert not isinstance(refused, SourceUnavailable)
    assert "tls: off" in str(refused)
    assert not received
