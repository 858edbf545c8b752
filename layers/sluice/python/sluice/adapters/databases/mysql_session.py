"""One connection to a MySQL or MariaDB server, in a transaction that only reads; all values come as bytes."""

from __future__ import annotations

import importlib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from traceback import clear_frames
from typing import Any, NoReturn, TypeAlias

from sluice.adapters.databases.interruption import CANCEL_S, Interruption
from sluice.adapters.databases.mysql_errors import worded_mysql
from sluice.adapters.databases.mysql_literals import text_bytes
from sluice.domain.dataset import MysqlConnection
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError

CONNECT_TIMEOUT_S = 15
ANSWER_SLACK_S = 15
"""So much longer than ``statement_timeout`` a silent server is waited for: then it, or the network, is gone."""
SORTED_BYTES = 16_384
"""So many bytes of a text count in its order, more than a key can have."""
Row: TypeAlias = tuple[bytes | None, ...]


class MysqlSession:
    """A transaction that only reads. What is waited for is bounded; its errors are those of the port."""

    def __init__(self, connection: Any, place: str) -> None:
        self._connection = connection
        self._place = place

    def fetch(self, query: str) -> list[tuple[str | None, ...]]:
        """All rows of a small query, as texts."""
        with self.rows(query) as fetch:
            found = fetch(1_000_000)
        return [tuple(None if value is None else value.decode() for value in row) for row in found]

    @contextmanager
    def rows(self, query: str) -> Iterator[Callable[[int], Sequence[Row]]]:
        """A call that gives the next rows of the query, at most as many as it is asked for; none is the end."""
        with named_errors(self._place):
            cursor = self._connection.cursor()

        def fetch(rows: int) -> Sequence[Row]:
            with named_errors(self._place):
                found: Sequence[Row] = cursor.fetchmany(rows)
                return found

        try:
            with named_errors(self._place):
                cursor.execute(query)
            yield fetch
            with named_errors(self._place):
                cursor.close()
        finally:
            let_go(cursor)


@contextmanager
def open_mysql(
    where: MysqlConnection,
    folder: Path,
    password: Callable[[], Secret],
    interruption: Interruption,
    *,
    is_snapshot: bool,
) -> Iterator[MysqlSession]:
    """Connect, and begin a transaction. Raises ``SourceError``; at the end the connection is cut off."""
    with connected_mysql(where, folder, password, interruption) as connection:
        place = f"connection {where.name}"
        with named_errors(place):
            _begin(connection, is_snapshot=is_snapshot)
        yield MysqlSession(connection, place)


@contextmanager
def connected_mysql(
    where: MysqlConnection, folder: Path, password: Callable[[], Secret], interruption: Interruption, *more: str
) -> Iterator[Any]:
    """A connection of the driver with the settings that texts of values depend on, and ``more``; cut off at the end."""
    place = f"connection {where.name}"
    secret = password()
    with named_errors(place):
        connection = _connect(where, folder, secret)
    try:
        with interruption.ended_by(partial(_end, connection, where, folder, secret)):
            with named_errors(place):
                _set(connection, where, more)
            yield connection
    finally:
        _cut_off(connection)


def _end(connection: Any, where: MysqlConnection, folder: Path, secret: Secret) -> None:
    """Let go of who waits for the server, and have it end the session, which may wait for a lock or sort a table."""
    waited_at = getattr(connection, "_sock", None)  # mysqlclient shows none: it is let go by the end of the session
    if waited_at is not None:
        with suppress(OSError):
            socket.socket.shutdown(waited_at, socket.SHUT_RDWR)
    other = _connect(where.within(CANCEL_S), folder, secret)
    try:
        other.cursor().execute(f"KILL {int(connection.thread_id())}")
    finally:
        _cut_off(other)


def _connect(where: MysqlConnection, folder: Path, secret: Secret) -> Any:
    """By mysqlclient where it is installed, three times as fast, but on a socket's path alone.

    Over a network it would give the password as it is to a server that asks for that.
    """
    driver = _imported("MySQLdb") if where.host.startswith("/") else None
    options: dict[str, Any] = {"local_infile": 0} if driver else _pymysql_options(where, folder)
    driver = driver or _imported("pymysql")
    if driver is None:
        raise SourceError("MySQL and MariaDB need an extra: pip install 'sluice[mysql]'")
    if where.host.startswith("/"):
        options["unix_socket"] = where.host
    else:
        options |= {"host": where.host, "port": where.port}
    wait_s = where.statement_timeout_s + ANSWER_SLACK_S
    is_pymysql = driver.__name__ == "pymysql"
    return driver.connect(
        user=where.user,
        password=secret.reveal().encode() if is_pymysql else secret.reveal(),
        database=where.database,
        charset="utf8mb4",
        use_unicode=False,
        conv=importlib.import_module("pymysql.converters").encoders if is_pymysql else {},  # none for what is read
        cursorclass=importlib.import_module(f"{driver.__name__}.cursors").SSCursor,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=wait_s,
        write_timeout=wait_s,
        **options,
    )


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _pymysql_options(where: MysqlConnection, folder: Path) -> dict[str, Any]:
    options: dict[str, Any] = {"local_infile": False, "program_name": "sluice"}
    if where.verifies:
        ca = str(folder / where.tls_ca) if where.tls_ca else None
        return options | {"ssl": ssl.create_default_context(cafile=ca)}
    # A server that is not the one it should be could ask for the password as it is.
    return options | {
        "ssl_disabled": True,
        "auth_plugin_map": {"mysql_clear_password": _NoClearPassword, "dialog": _NoClearPassword},
    }


class _NoClearPassword:
    """Refuses to send the password as it is, where the server has not proved its name."""

    def __init__(self, _connection: object) -> None:
        pass

    def authenticate(self, _packet: object) -> NoReturn:
        raise SourceError("the server asks for the password itself, which is only sent over TLS: set tls: verify")


def _set(connection: Any, where: MysqlConnection, more: Sequence[str]) -> None:
    """Settings of this session that values, their order and time-outs depend on; later ones count."""
    cursor = connection.cursor()
    cursor.execute("SELECT version()")
    is_mariadb = b"mariadb" in cursor.fetchall()[0][0].lower()
    limit = where.statement_timeout_s
    timeout = f"max_statement_time = {limit}" if is_mariadb else f"max_execution_time = {limit * 1000}"
    settings = (
        "sql_mode = 'STRICT_ALL_TABLES'",
        f"time_zone = CONVERT({text_bytes(where.timezone)} USING utf8mb4)",
        f"max_sort_length = {SORTED_BYTES}",
        f"net_write_timeout = {limit}",  # how long the server waits while slices are being used
        timeout,
        *more,
    )
    cursor.execute(f"SET {', '.join(f'SESSION {setting}' for setting in settings)}")
    cursor.close()


def _begin(connection: Any, *, is_snapshot: bool) -> None:
    cursor = connection.cursor()
    level = "REPEATABLE READ" if is_snapshot else "READ COMMITTED"
    cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    cursor.execute(f"START TRANSACTION {'WITH CONSISTENT SNAPSHOT, ' if is_snapshot else ''}READ ONLY")
    cursor.close()


def let_go(cursor: Any) -> None:
    """A cursor that is not at its end would else read all that is left, when it is collected as garbage too."""
    for result in (getattr(cursor, "_result", None), getattr(cursor.connection, "_result", None)):
        if getattr(result, "unbuffered_active", False):
            result.unbuffered_active = False  # type: ignore[union-attr]  # it has this
    cursor.connection = None


def _cut_off(connection: Any) -> None:
    """End at once, also in the midst of rows."""
    with suppress(Exception):
        connection.close()


@contextmanager
def named_errors(place: str) -> Iterator[None]:
    """Errors of the driver within become the port's, without the driver's text, which may quote a value."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001  # a driver that is sent nonsense raises anything
        # PyMySQL leaves the reader of a connection that failed to its frames: not for the collector of cycles to find.
        clear_frames(error.__traceback__)
        raise worded_mysql(error, place) from None
