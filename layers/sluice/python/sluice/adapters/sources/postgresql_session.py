"""One connection to a PostgreSQL server, used step by step: between two steps nothing is read from it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from sluice.adapters.sources.interruption import CANCEL_S, Interruption
from sluice.adapters.sources.postgresql_errors import worded
from sluice.adapters.sources.postgresql_guard import MessageGuard
from sluice.adapters.sources.postgresql_literals import literal
from sluice.domain.dataset import PostgresqlConnection
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError, SourceUnavailable

CONNECT_TIMEOUT_S = 15.0
CLOSING_STEPS = 5
"""So many turns of a loop close every connection in it; two are needed for one with TLS."""
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

    def __init__(self, loop: _OwnLoop, connection: Any, place: str, wait_s: float) -> None:
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
        with _named(self._place):
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
    place = f"connection {where.name}"
    secret = password()
    wait_s = where.statement_timeout_s + ANSWER_SLACK_S
    with _quiet_loop() as loop, interruption.ended_by(partial(loop.call_soon_threadsafe, loop.break_off)):
        with _named(place):
            connection = loop.wait(partial(_connect, where, folder, secret, isolation), CONNECT_TIMEOUT_S)
        session = PostgresqlSession(loop, connection, place, wait_s)
        try:
            yield session
        finally:
            if interruption.is_over:
                session.give_up()
            connection.terminate()  # at once, also in the midst of a COPY, whose rest would else have to be read


class _OwnLoop(asyncio.SelectorEventLoop):
    """A loop that knows the connections made in it, of which the driver forgets some that fail, and guards them."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Any] = []
        self.guards: list[MessageGuard] = []
        self._waiting: asyncio.Task[Any] | None = None

    def wait(self, call: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Run until this is there, or ``break_off`` is called: then ``SourceUnavailable``."""

        async def waited_for() -> T:
            return await asyncio.wait_for(call(), seconds)

        self._waiting = self.create_task(waited_for())
        try:
            found: T = self.run_until_complete(self._waiting)
        except asyncio.CancelledError:
            raise SourceUnavailable("the reading was interrupted from here") from None
        finally:
            self._waiting = None
        return found

    def break_off(self) -> None:
        """End what is waited for, in the loop's own thread; the next wait where nothing is."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def create_connection(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        return self._taken(await super().create_connection(lambda: MessageGuard(protocol_factory()), *args, **options))

    async def create_unix_connection(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        return self._taken(
            await super().create_unix_connection(lambda: MessageGuard(protocol_factory()), *args, **options)
        )

    def _taken(self, made: tuple[Any, MessageGuard]) -> tuple[Any, Any]:
        transport, guard = made
        self.opened.append(transport)
        self.guards.append(guard)
        return transport, guard.driver

    async def end(self) -> None:
        """Cut off every connection."""
        for transport in self.opened:
            transport.abort()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 1)
        for _ in range(CLOSING_STEPS):
            await asyncio.sleep(0)


@contextmanager
def _quiet_loop() -> Iterator[_OwnLoop]:
    """A loop that logs no errors: what a server makes fail is raised, and its texts belong in no log.

    It is not asyncio's ``Runner``, which at each step has the arguments of the one before printed, blocks of rows too.
    """
    with closing(_OwnLoop()) as loop:
        loop.set_exception_handler(lambda _loop, _context: None)
        try:
            yield loop
        finally:
            loop.run_until_complete(loop.end())
            loop.run_until_complete(loop.shutdown_default_executor())


async def _connect(where: PostgresqlConnection, folder: Path, secret: Secret, isolation: Isolation) -> Any:
    try:
        import asyncpg  # noqa: PLC0415  # an extra, and of no use to those who read no PostgreSQL
    except ModuleNotFoundError as error:
        raise SourceError("PostgreSQL is read with an extra: pip install 'sluice[postgresql]'") from error
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
    # In the transaction and for it alone: so a pool of connections between us and the server is none the wiser.
    isolated = isolation.replace("_", " ").upper()
    settings = (
        *_SETTINGS,
        ("timezone", where.timezone),
        ("statement_timeout", f"{where.statement_timeout_s}s"),
        ("default_transaction_read_only", "on"),
    )
    begin = f"BEGIN ISOLATION LEVEL {isolated} READ ONLY; "
    try:
        await connection.execute(begin + "; ".join(f"SET LOCAL {name} = {literal(value)}" for name, value in settings))
    except BaseException:
        connection.terminate()
        raise
    return connection


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Errors of the driver within become the port's, without the driver's text, which may quote a value."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001  # a driver that is sent nonsense raises anything
        raise worded(error, place) from None
