"""One connection to a PostgreSQL server, used step by step: between two steps nothing is read from it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from sluice.adapters.databases.interruption import CANCEL_S, Interruption
from sluice.adapters.databases.postgresql_errors import worded
from sluice.adapters.databases.postgresql_literals import literal
from sluice.adapters.databases.postgresql_loop import OwnLoop, quiet_loop
from sluice.domain.dataset import PostgresqlConnection
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError

CONNECT_TIMEOUT_S = 15.0
ANSWER_SLACK_S = 15.0
"""So much longer than ``statement_timeout`` a silent server is waited for: then it, or the network, is gone."""
_SETTINGS = (
    ("datestyle", "ISO"),
    ("intervalstyle", "iso_8601"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("synchronize_seqscans", "off"),
    ("xmlbinary", "base64"),
)
"""What texts of values depend on, and the order of rows."""
_VALUE_ERRORS = "22"
"""How the SQLSTATE of every error about a value begins."""
Isolation = Literal["repeatable_read", "read_committed"]
T = TypeVar("T")


class PostgresqlSession:
    """A transaction that only reads. What a step waits for is bounded; its errors are those of the port."""

    def __init__(self, loop: OwnLoop, connection: Any, place: str, wait_s: float) -> None:
        self._loop = loop
        self._connection = connection
        self._place = place
        self._wait_s = wait_s
        self._copying: asyncio.Task[None] | None = None

    def fetch(self, query: str, *values: object) -> list[Any]:
        """All rows of a small query."""
        return list(self._step(partial(self._connection.fetch, query, *values)))

    def try_query(self, query: str) -> bool:
        """Whether ``query`` runs without an error about values. The transaction goes on in either case."""
        return self._step(partial(self._try, query))

    async def _try(self, query: str) -> bool:
        await self._connection.execute("SAVEPOINT before")
        try:
            await self._connection.execute(query)
        except Exception as error:
            if not str(getattr(error, "sqlstate", "")).startswith(_VALUE_ERRORS):
                raise
            await self._connection.execute("ROLLBACK TO SAVEPOINT before")
            return False
        await self._connection.execute("RELEASE SAVEPOINT before")
        return True

    def copy(self, query: str) -> Generator[bytes, None, None]:
        """What the server sends for ``query`` as COPY, block by block: at most two are waiting here."""
        blocks: asyncio.Queue[bytes] = asyncio.Queue(1)
        failed: list[Exception] = []
        is_left: list[bool] = []

        async def run() -> None:
            try:
                await self._connection.copy_from_query(query, output=blocks.put)
            except Exception as error:  # noqa: BLE001  # raised where blocks are taken
                failed.append(error)
            if not is_left:  # else none takes it, and the loop would wait for it
                await blocks.put(b"")

        for guard in self._loop.guards:
            guard.trust()
        self._copying = self._loop.create_task(run())
        try:
            while block := self._step(blocks.get):
                yield block
        finally:
            is_left.append(True)
        if failed:
            raise worded(failed[0], self._place) from None

    def _step(self, call: Callable[[], Awaitable[T]]) -> T:
        """Let the loop run until this is there."""
        with named_errors(self._place):
            return self._loop.wait(call, self._wait_s)

    def give_up(self) -> None:
        """Have the server end what it does for us: one that waits for a lock looks at no connection that was cut."""
        with suppress(Exception):
            self._loop.wait(self._give_up, CANCEL_S)

    async def _give_up(self) -> None:
        """The driver asks for the end of a query whose caller was cancelled; its ``close`` waits for that."""
        if self._copying is not None:
            self._copying.cancel()
            await asyncio.wait({self._copying})
        await self._connection.close()


@contextmanager
def open_session(
    where: PostgresqlConnection,
    folder: Path,
    password: Callable[[], Secret],
    isolation: Isolation,
    interruption: Interruption,
) -> Iterator[PostgresqlSession]:
    """Connect, and begin a transaction. Raises ``SourceError``; at the end the connection is cut off."""
    begin = beginning(where, f"ISOLATION LEVEL {isolation.replace('_', ' ').upper()} READ ONLY")
    with connected(where, folder, password, interruption, begin) as (loop, connection):
        session = PostgresqlSession(loop, connection, f"connection {where.name}", answer_wait_s(where))
        try:
            yield session
        finally:
            if interruption.is_over:
                session.give_up()


def answer_wait_s(where: PostgresqlConnection) -> float:
    """How long an answer of the server is waited for."""
    return where.statement_timeout_s + ANSWER_SLACK_S


def beginning(where: PostgresqlConnection, mode: str, *more: tuple[str, str]) -> str:
    """Begins a transaction, with all settings that texts of values depend on, and ``more``.

    They are the transaction's and end with it: so a pool of connections between us and the server is none the wiser.
    """
    settings = (
        *_SETTINGS,
        ("timezone", where.timezone),
        ("statement_timeout", f"{where.statement_timeout_s}s"),
        *more,
    )
    if mode.endswith("READ ONLY"):
        settings = (*settings, ("default_transaction_read_only", "on"))
    return f"BEGIN {mode}; " + "; ".join(f"SET LOCAL {name} = {literal(value)}" for name, value in settings)


@contextmanager
def connected(
    where: PostgresqlConnection,
    folder: Path,
    password: Callable[[], Secret],
    interruption: Interruption,
    first: str,
) -> Iterator[tuple[OwnLoop, Any]]:
    """A connection of the driver that has run ``first``, and the loop it lives in; at the end it is cut off."""
    secret = password()
    with quiet_loop() as loop, interruption.ended_by(partial(loop.call_soon_threadsafe, loop.break_off)):
        with named_errors(f"connection {where.name}"):
            connection = loop.wait(partial(_connect, where, folder, secret, first), CONNECT_TIMEOUT_S)
        try:
            yield loop, connection
        finally:
            connection.terminate()  # at once, also in the midst of a COPY, whose rest would else have to be read


async def _connect(where: PostgresqlConnection, folder: Path, secret: Secret, first: str) -> Any:
    try:
        import asyncpg  # noqa: PLC0415  # an extra, and of no use to those who have no PostgreSQL
    except ModuleNotFoundError as error:
        raise SourceError("PostgreSQL needs an extra: pip install 'sluice[postgresql]'") from error
    tls: ssl.SSLContext | Literal[False] = False
    if where.verifies:
        tls = ssl.create_default_context(cafile=str(folder / where.tls_ca) if where.tls_ca else None)
    connection = await asyncpg.connect(
        host=where.host,
        port=where.port,
        user=where.user,
        database=where.database,
        password=secret.reveal(),  # never None: else the driver looks for one in variables and files of its own
        ssl=tls,
        timeout=CONNECT_TIMEOUT_S,
        statement_cache_size=0,
        target_session_attrs="any",
        server_settings={"application_name": "sluice"},
    )
    try:
        await connection.execute(first)
    except BaseException:
        connection.terminate()
        raise
    return connection


@contextmanager
def named_errors(place: str) -> Iterator[None]:
    """Errors of the driver within become the port's, without the driver's text, which may quote a value."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001  # a driver that is sent nonsense raises anything
        raise worded(error, place) from None
