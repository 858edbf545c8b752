"""One connection to a PostgreSQL server that writes, transaction by transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sluice.adapters.databases.interruption import CANCEL_S, Interruption
from sluice.adapters.databases.postgresql_errors import refusal_of
from sluice.adapters.databases.postgresql_loop import OwnLoop
from sluice.adapters.databases.postgresql_session import answer_wait_s, beginning, connected, named_errors
from sluice.adapters.databases.transactions import ended
from sluice.adapters.databases.values_refused import NEEDED_RIGHTS, ValuesRefused
from sluice.domain.dataset import PostgresqlConnection
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError

IDLE_S = 120
"""How long the server keeps a transaction of ours in which nothing happens: one of a process that stands still."""
_DENIED = "42501"
T = TypeVar("T")


class PostgresqlWriter:
    """Raises ``SourceError``, and ``ValuesRefused`` where values are at fault; what a step waits for is bounded."""

    def __init__(self, loop: OwnLoop, connection: Any, where: PostgresqlConnection) -> None:
        self._loop = loop
        self._connection = connection
        self._place = f"connection {where.name}"
        self._wait_s = answer_wait_s(where)
        more = ("idle_in_transaction_session_timeout", f"{IDLE_S}s"), ("client_min_messages", "error")
        self._begin = beginning(where, "ISOLATION LEVEL READ COMMITTED", *more)

    @contextmanager
    def transaction(self, first: str = "") -> Iterator[None]:
        """All that is done within, or nothing. ``first`` is run in the same step as the beginning.

        Where the end is not answered it is not known which.
        """
        with ended(self.execute):  # the beginning too: of its statements the first may be done
            self.execute(f"{self._begin}; SET CONSTRAINTS ALL IMMEDIATE; {first}")
            yield

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done within is undone where values are refused; the transaction goes on."""
        self.execute("SAVEPOINT before")
        try:
            yield
        except ValuesRefused:
            self.execute("ROLLBACK TO SAVEPOINT before; RELEASE SAVEPOINT before")
            raise
        self.execute("RELEASE SAVEPOINT before")

    def execute(self, statements: str) -> str:
        """Run statements; gives what the server says of the last."""
        return str(self._step(partial(self._connection.execute, statements)))

    def fetch(self, query: str, *values: object) -> list[Any]:
        """All rows of a small query."""
        return list(self._step(partial(self._connection.fetch, query, *values)))

    def copy_in(self, schema: str, table: str, columns: Sequence[str], lines: Iterable[bytes]) -> int:
        """Rows of COPY's text format into a table; gives how many the server has taken."""

        async def pieces() -> AsyncIterator[bytes]:
            for piece in lines:
                yield piece

        def call() -> Awaitable[str]:
            copied: Awaitable[str] = self._connection.copy_to_table(
                table, source=pieces(), columns=columns, schema_name=schema, format="text"
            )
            return copied

        return int(self._step(call).rpartition(" ")[2])

    def _step(self, call: Callable[[], Awaitable[T]]) -> T:
        with named_errors(self._place):
            try:
                return self._loop.wait(call, self._wait_s)
            except Exception as error:
                if getattr(error, "sqlstate", "") == _DENIED:
                    raise SourceError(f"{self._place}: {NEEDED_RIGHTS} (SQLSTATE {_DENIED})") from None
                refused = _refused(error)
                if refused is None:
                    raise
        raise refused

    def end_session(self) -> None:
        """Have the server end what it does for us, however long that waits."""
        with suppress(Exception):
            self._loop.wait(self._connection.close, CANCEL_S)


@contextmanager
def open_writer(
    where: PostgresqlConnection, folder: Path, password: Callable[[], Secret], interruption: Interruption
) -> Iterator[PostgresqlWriter]:
    """Connect. Raises ``SourceError``; at the end the connection is cut off."""
    with connected(where, folder, password, interruption, "SELECT 1") as (loop, connection):
        writer = PostgresqlWriter(loop, connection, where)
        try:
            yield writer
        finally:
            if interruption.is_over:
                writer.end_session()


def _refused(error: Exception) -> ValuesRefused | None:
    reason = refusal_of(str(getattr(error, "sqlstate", "")))
    if reason is None:
        return None
    column = getattr(error, "column_name", None) or _column_of(str(getattr(error, "context", None) or ""))
    return ValuesRefused(reason, column=column, rule=str(getattr(error, "constraint_name", None) or ""))


def _column_of(context: str) -> str:
    """The column in ``COPY t, line 3, column a: "x"``; none where its name, or the value, has such a mark itself."""
    behind = context.partition("\n")[0].partition(", column ")[2]
    return "" if ", column " in behind else behind.partition(":")[0]
