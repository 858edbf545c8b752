"""One instance: its tables by name, the one lock that makes every change happen at once, and the settings of tests."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from infra.emulators.tablestore.indexes import Index
from infra.emulators.tablestore.limits import INDEXES_MAX, TABLES_MAX
from infra.emulators.tablestore.messages import Message
from infra.emulators.tablestore.refusals import Refused, invalid
from infra.emulators.tablestore.rows import Row
from infra.emulators.tablestore.schemas import Options, Schema
from infra.emulators.tablestore.tables import KeySchema, SortedRows
from infra.emulators.tablestore.values import SortKey


class Readable(NamedTuple):
    """What a read needs of a table or an index."""

    key: KeySchema
    rows: SortedRows


class Table:
    """Not safe between threads: used under the instance's lock."""

    def __init__(self, schema: Schema, options: Options, *, ready_from: float) -> None:
        self.schema = schema
        self.key = KeySchema(schema.key)
        self.options = options
        self.rows = SortedRows()
        self.indexes: dict[str, Index] = {}
        self.capacity = (0, 0)
        self.ready_from = ready_from
        self._numbers = itertools.count(time.time_ns() // 1000)

    def next_number(self) -> int:
        """Return a number for a primary key; always greater than the one before."""
        return next(self._numbers)

    def replace(self, place: SortKey, row: Row | None) -> None:
        """Put ``row`` where another or none was, or take it away, and let the indexes know."""
        before, now = self.rows.get(place), time.monotonic()
        if row is None:
            self.rows.drop(place)
        else:
            self.rows.put(place, row)
        for index in self.indexes.values():
            index.follow(at=now, before=before, after=row)


class Instance:
    """Every change and every read holds ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tables: dict[str, Table] = {}
        self.index_lag_s = 0.0
        """How long global secondary indexes stay behind; may be changed at any time, infinite too."""
        self.table_ready_s = 0.0
        """For how long a new table answers OTSTableNotReady."""
        self.index_build_s = 0.0
        """For how long an index that takes in what a table already has cannot be read."""

    def names(self) -> list[str]:
        return sorted([*self.tables, *(name for table in self.tables.values() for name in table.indexes)])

    def described(self, name: str) -> Table:
        """Return the table, ready or not."""
        table = self.tables.get(name)
        if table is None:
            raise Refused("OTSObjectNotExist", "Requested table does not exist.")
        return table

    def index(self, name: str) -> Index | None:
        """Return the index with this name."""
        return next((table.indexes[name] for table in self.tables.values() if name in table.indexes), None)

    def written(self, name: str) -> Table:
        """Return the table to write to."""
        if self.index(name) is not None:
            raise invalid("Can't write index table directly.")
        table = self.described(name)
        self._check_ready(table)
        return table

    def read(self, name: str) -> Readable:
        """Return what ``name``, a table or an index, lets one read at this moment."""
        now = time.monotonic()
        index = self.index(name)
        if index is None:
            table = self.described(name)
            self._check_ready(table)
            return Readable(table.key, table.rows)
        if now < index.readable_from:
            raise invalid("Disallow read index table in building base state")
        return Readable(index.key, index.rows_as_of(now, lag_s=self.index_lag_s))

    def add_table(self, schema: Schema, options: Options, indexes: Iterable[Message]) -> None:
        """Add a table with its indexes: all of it or nothing."""
        self._check_free(schema.name)
        table = Table(schema, options, ready_from=time.monotonic() + self.table_ready_s)
        self.tables[schema.name] = table
        try:
            for meta in indexes:
                self.add_index(table, meta, with_rows=False)
        except Refused:
            del self.tables[schema.name]
            raise

    def add_index(self, table: Table, meta: Message, *, with_rows: bool) -> None:
        """Add an index to a table; ``with_rows`` takes in those that are there already."""
        self._check_free(meta.name)
        if len(table.indexes) >= INDEXES_MAX:
            raise Refused("OTSQuotaExhausted", "Number of tables exceeded the quota.")
        check_indexable(table.options)
        index = Index(meta, table.schema, readable_from=time.monotonic() + self.index_build_s if with_rows else 0)
        if with_rows:
            index.adopt(table.rows)
        table.indexes[index.name] = index

    def _check_free(self, name: str) -> None:
        if name in self.names():
            raise Refused("OTSObjectAlreadyExist", "Requested table already exists.")
        if len(self.names()) >= TABLES_MAX:
            raise Refused("OTSQuotaExhausted", "Number of tables exceeded the quota.")

    @staticmethod
    def _check_ready(table: Table) -> None:
        if time.monotonic() < table.ready_from:
            raise Refused("OTSTableNotReady", "The table is not ready.")


def check_indexable(options: Options) -> None:
    """Raise Refused if a table with these options cannot have indexes."""
    if options.versions_max != 1:
        raise invalid("Don't support max versions greater than 1 on table with index.")
    if options.life_s != -1 and options.updatable:
        raise invalid("Don't support allow update operation on table with index and ttl")
