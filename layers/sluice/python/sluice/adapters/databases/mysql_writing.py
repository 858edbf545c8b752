"""One connection to a MySQL or MariaDB server that writes, transaction by transaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.databases.mysql_errors import refusal_of
from sluice.adapters.databases.mysql_session import MysqlSession, connected_mysql, let_go, named_errors
from sluice.adapters.databases.transactions import ended
from sluice.adapters.databases.values_refused import NEEDED_RIGHTS, ValuesRefused
from sluice.domain.dataset import MysqlConnection
from sluice.domain.secret import Secret
from sluice.ports.source import SourceError

LOCK_S = 50
"""How long a row that another session locks is waited for; then the attempt is one that the target did not answer."""
_MODE = (
    "sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",  # backslashes are escapes in it
    "sql_notes = 1",
    "autocommit = 1",
    "foreign_key_checks = 1",
    "unique_checks = 1",
    f"innodb_lock_wait_timeout = {LOCK_S}",
)
_DENIED = frozenset({1044, 1142, 1143, 1227, 1370})
_COLUMN = re.compile(r"(?:column|field) (?:[`'].*[`']\.)?[`']([^`']+)[`'](?: at row| cannot| doesn't|$)", re.IGNORECASE)


class MysqlWriter(MysqlSession):
    """Raises ``SourceError``, and ``ValuesRefused`` where values are at fault; what a step waits for is bounded."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done within, or nothing. Where the end is not answered it is not known which."""
        self.execute("START TRANSACTION")
        with ended(self.execute):
            yield

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done within is undone where values are refused; the transaction goes on."""
        self.execute("SAVEPOINT before_rows")
        try:
            yield
        except ValuesRefused:
            self.execute("ROLLBACK TO SAVEPOINT before_rows")
            raise

    def execute(self, statement: str | bytes) -> int:
        """Run a statement; gives how many rows it changed, as the server counts them."""
        with self._named():
            cursor = self._connection.cursor()
        try:
            with self._named():
                cursor.execute(statement)
                changed = int(cursor.rowcount)
                cursor.close()
                return changed
        finally:
            let_go(cursor)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the driver become the port's, or say that values are refused."""
        with named_errors(self._place):
            try:
                yield
            except Exception as error:
                number = error.args[0] if error.args else 0
                if number in _DENIED:
                    raise SourceError(f"{self._place}: {NEEDED_RIGHTS} (error {number})") from None
                refused = _refused(error)
                if refused is None:
                    raise
            else:
                return
        raise refused

    def load(self, statement: bytes) -> int:
        """Run an INSERT; one that would change a value, of which a server only notes it, raises ``ValuesRefused``."""
        loaded = self.execute(statement)
        noted = self.fetch("SHOW WARNINGS LIMIT 1")
        if noted:
            _, number, text = noted[0]
            raise ValuesRefused(
                f"a value would be changed in its column (note {number})", column=_column_of(text or "")
            )
        return loaded


@contextmanager
def open_mysql_writer(
    where: MysqlConnection, folder: Path, password: Callable[[], Secret], interruption: Interruption
) -> Iterator[MysqlWriter]:
    """Connect. Raises ``SourceError``; at the end the connection is cut off."""
    with connected_mysql(where, folder, password, interruption, *_MODE) as connection:
        writer = MysqlWriter(connection, f"connection {where.name}")
        writer.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield writer


def _refused(error: Exception) -> ValuesRefused | None:
    number, text = (*error.args, 0, "")[:2] if error.args else (0, "")
    reason = refusal_of(number) if isinstance(number, int) else None
    return None if reason is None else ValuesRefused(reason, column=_column_of(_text_of(text)))


def _text_of(text: Any) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def _column_of(text: str) -> str:
    """The column that a message names, whatever value is in it too; none where it has no such form."""
    found = _COLUMN.findall(text)
    return str(found[-1]) if found else ""
