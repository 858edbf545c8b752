"""What the sources of database servers have in common: one connection, one transaction that reads, one query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.sources.bounds import find_bounds
from sluice.domain.dataset import ServerConnection, TableSource
from sluice.domain.pulled import Condition, Cursor
from sluice.domain.secret import Secret
from sluice.ports.source import COUNT_S, Slice, Slices, SourceColumn, SourceError


class _Column(Protocol):
    @property
    def described(self) -> SourceColumn:
        """As the port says."""


class _Table(Protocol):
    @property
    def name(self) -> str:
        """In quotes."""

    @property
    def columns(self) -> Mapping[str, _Column]:
        """By name, in the order of the table."""


Where = TypeVar("Where", bound=ServerConnection)
Session = TypeVar("Session")
Table = TypeVar("Table", bound=_Table)


class Query(NamedTuple):
    """Which rows are read, and what of them beside their key."""

    columns: tuple[str, ...]
    clauses: Sequence[str]
    ending: str = ""
    """Behind the order."""


class ServerSource(ABC, Generic[Where, Session, Table]):
    """Implements ``Source`` by one connection, in a transaction that only reads."""

    def __init__(
        self,
        connection: Where,
        source: TableSource,
        columns: Sequence[str],
        conditions: Sequence[Condition] = (),
        *,
        where: str = "",
        password: Callable[[], Secret],
        folder: Path,
    ) -> None:
        self._connection = connection
        self._source = source
        self._columns = tuple(columns)
        self._conditions = tuple(conditions)
        self._where = [f"({where})"] if where else []
        self._password = password
        self._folder = folder
        self._interruption = Interruption()

    def interrupt(self) -> None:
        """As the port says."""
        self._interruption.interrupt()

    def count(self, limit: int) -> int:
        """As the port says; of the rows that are there at this moment."""
        brief: Where = self._connection.within(COUNT_S)
        with self._session(brief, is_snapshot=False) as session:
            return self._count(session, self._describe(session), f" LIMIT {int(limit)}")

    def describe(self) -> tuple[SourceColumn, ...]:
        """As the port says."""
        brief: Where = self._connection.within(COUNT_S)
        with self._session(brief, is_snapshot=False) as session:
            columns = self._describe(session).columns
        return tuple(columns[name].described for name in self._columns or columns)

    def plan(self, splits: int, rows_min: int) -> tuple[Cursor, ...]:
        """As the port says; of one moment."""
        with self._session(self._connection, is_snapshot=True) as session:
            table = self._describe(session)
            fits = self._clauses(session, table)

            def key_behind(after: Cursor | None, rows: int) -> Cursor:
                clauses = [*fits, *self._behind(session, table, after)]
                query = Query((), clauses, f" LIMIT 1 OFFSET {rows - 1}")
                (found,) = self._slices(session, table, query)
                return found.cursor

            return find_bounds(self._count(session, table), splits, rows_min, key_behind)

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        """As the port says. The server is read no faster than slices are taken, and writers go on.

        By ``key`` too all rows of one reading are of one moment; each begins behind its cursor at another.
        """
        with self._session(self._connection, is_snapshot=self._source.is_snapshot) as session:
            read_at = self._now(session)
            table = self._describe(session)
            ends = [*self._behind(session, table, after), *self._up_to(session, table, until)]
            clauses = [*self._clauses(session, table), *ends]
            with closing(self._slices(session, table, Query(self._columns, clauses))) as slices:
                yield Slices(read_at, slices)

    @property
    def _place(self) -> str:
        return f"table {self._source.table} of {self._connection.name}"

    @property
    def _compared(self) -> list[str]:
        """The columns that must be there: what is read, and what rows are chosen by."""
        return [*self._columns, *(condition.column for condition in self._conditions)]

    def _key_texts(self, cursor: Cursor) -> list[str]:
        """A key as it was read. Raises ``SourceError`` for one of another table."""
        texts = [value for value in cursor if isinstance(value, str)]
        if len(texts) != len(self._source.key):
            raise SourceError(f"{self._place} is read on behind a key that is not one of its own")
        return texts

    def _without_key(self) -> SourceError:
        """For a row that came after the check."""
        return SourceError(f"{self._place} has a row without a value in its key {', '.join(self._source.key)}")

    def _clauses(self, session: Session, table: Table) -> list[str]:
        return [*self._fits(session, table), *self._where]

    def _count(self, session: Session, table: Table, ending: str = "") -> int:
        fits = where(self._clauses(session, table))
        return self._number(session, f"SELECT count(*) FROM (SELECT 1 FROM {table.name} AS t {fits}{ending}) AS found")  # noqa: S608  # names and values in quotes

    @abstractmethod
    def _session(self, connection: Where, *, is_snapshot: bool) -> AbstractContextManager[Session]:
        """Connect, and begin a transaction that only reads; where it is a snapshot, the moment is now."""

    @abstractmethod
    def _now(self, session: Session) -> float:
        """The server's clock."""

    @abstractmethod
    def _number(self, session: Session, query: str) -> int:
        """The only value that a query gives."""

    @abstractmethod
    def _describe(self, session: Session) -> Table:
        """Look at the table. Raises ``SourceError`` if it is not as it is defined."""

    @abstractmethod
    def _fits(self, session: Session, table: Table) -> list[str]:
        """What rows must be like, as SQL. Raises ``ConditionError`` for a value that is none of the column's type."""

    @abstractmethod
    def _behind(self, session: Session, table: Table, after: Cursor | None) -> list[str]:
        """The rows behind a key, as SQL; nothing for no key."""

    @abstractmethod
    def _up_to(self, session: Session, table: Table, until: Cursor | None) -> list[str]:
        """The rows up to a key and with it, as SQL; nothing for no key."""

    @abstractmethod
    def _slices(self, session: Session, table: Table, query: Query) -> Generator[Slice, None, None]:
        """The rows in the order of the key, as they come."""


def where(clauses: Sequence[str]) -> str:
    """The clauses as a part of a query."""
    return f"WHERE {' AND '.join(clauses)}" if clauses else ""
