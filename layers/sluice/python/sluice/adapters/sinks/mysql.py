"""Loads chunks into a table of a MySQL or MariaDB server, each once, by statements of many rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from sluice.adapters.databases.mysql_literals import BINARIES, INTEGERS, hexed
from sluice.adapters.databases.mysql_writing import MysqlWriter, open_mysql_writer
from sluice.adapters.databases.values_refused import ValuesRefused
from sluice.adapters.sinks import mysql_target as tables
from sluice.adapters.sinks.fitting_columns import check_columns, gone, missing_chunks, not_made
from sluice.adapters.sinks.insert_rows import (
    STATEMENT_BYTES,
    bits,
    insert_statements,
    numbered_booleans,
    quoted_texts,
    without_offsets,
)
from sluice.adapters.sinks.ledger_names import ORDER, former_name, places_of, side_name
from sluice.adapters.sinks.losses import REFUSED_MAX, decoded, losses_of, refuse_losses
from sluice.adapters.sinks.mysql_ledger import MysqlLedger
from sluice.adapters.sinks.rows_at_fault import rows_at_fault
from sluice.adapters.sinks.server_sink import ServerSink
from sluice.adapters.sinks.sink_errors import sink_errors
from sluice.domain.dataset import MysqlConnection
from sluice.domain.manifest import Claim
from sluice.domain.schema import ColumnType
from sluice.domain.target import Receipt
from sluice.ports.sink import Delivery, RowsRefused, SinkError

_MOMENTS = frozenset({"datetime", "timestamp"})


class MysqlSink(ServerSink[MysqlConnection, MysqlWriter, "_MysqlDelivery"]):
    """Implements ``Sink`` by one connection, into tables of InnoDB.

    ``append`` loads into the table itself. ``upsert`` loads into a side table,
    which ``finish`` merges by one statement; ``replace`` into one which takes
    the table's place. What ends a transaction by itself is done again, or
    found done, by the next ``begin`` or ``finish``.
    """

    def begin(self, delivery: Delivery) -> frozenset[int]:
        """As the port says."""
        with sink_errors(self._place):
            writer = self._connected()
            begun = self._begun = _MysqlDelivery(MysqlLedger(writer, self._schema, delivery), delivery, self._schema)
            with begun.ledger.taken_over(f"{self._target.mode} {self._schema}.{self._table}"):
                self._settle(writer, begun)
                if begun.ledger.receipt() is None:
                    self._prepare(writer, begun)
                return begun.ledger.sequences()

    def _settle(self, writer: MysqlWriter, begun: _MysqlDelivery) -> None:
        """Do what an attempt that died behind the last step has left: the tables say how far it came."""
        if self._target.mode == "append":
            return  # it has no other tables
        has_former = tables.is_there(writer, self._schema, begun.former)
        if has_former and not tables.is_there(writer, self._schema, begun.side):
            begun.ledger.end()  # the side table has taken the table's place
        if begun.ledger.receipt() is not None:
            for left in (begun.side, begun.former):
                writer.execute(f"DROP TABLE IF EXISTS {tables.qualified(self._schema, left)}")

    def _prepare(self, writer: MysqlWriter, begun: _MysqlDelivery) -> None:
        """Have a table that fits, and beside it the side table of the mode."""
        target, columns = self._target, begun.delivery.columns
        table = tables.find_table(writer, self._schema, self._table, self._place)
        if table is None:
            if target.mode == "append" and begun.ledger.sequences():
                raise gone(self._place)
            if target.create == "never":
                raise SinkError(f"there is no {self._place}: make it, or set create: if_missing")
            tables.make_table(writer, tables.qualified(self._schema, self._table), columns, target.key)
            table = tables.find_table(writer, self._schema, self._table, self._place)
            if table is None:
                raise not_made(self._place)
        new = [column for column in columns if column.name not in table.columns]
        if new and target.schema == "evolve":
            tables.widen(writer, table, new)
            table = tables.find_table(writer, self._schema, self._table, self._place) or table
        check_columns(table.columns, begun.names, target.key, self._place)
        begun.table = table
        if target.mode == "upsert":
            tables.check_key(writer, table, target.key, begun.names, self._place)
        elif target.mode == "replace":
            tables.check_swap(writer, table, self._place)
        if target.mode != "append" and not tables.is_there(writer, self._schema, begun.side):
            begun.ledger.forget_chunks()
            if target.mode == "upsert":
                tables.make_side(writer, table, begun.side_table, begun.names, target.key)
            else:
                tables.make_like(writer, table, begun.side_table)

    def load(self, claim: Claim, columns: Sequence[Sequence[str | None]]) -> None:
        """As the port says: the rows and the entry in the ledger are one transaction."""
        begun = self._taken_over()
        with sink_errors(self._place):
            writer = self._connected()
            with begun.ledger.locked(), writer.transaction():
                if begun.ledger.enter(claim):
                    self._load(writer, begun, claim, columns)

    def _load(
        self, writer: MysqlWriter, begun: _MysqlDelivery, claim: Claim, columns: Sequence[Sequence[str | None]]
    ) -> None:
        named, written = self._written(begun, claim, columns)
        try:
            with writer.savepoint():
                taken = self._insert(writer, begun, named, written)
        except ValuesRefused as error:
            raise self._refusal(writer, begun, named, written, error) from None
        if taken != claim.rows:
            raise SinkError(f"{self._place} has taken {taken} of {claim.rows} rows")

    def _written(
        self, begun: _MysqlDelivery, claim: Claim, columns: Sequence[Sequence[str | None]]
    ) -> tuple[list[str], list[Sequence[str]]]:
        """The columns that are inserted, and their values as SQL."""
        assert begun.table is not None  # a chunk that is new belongs to a delivery that has not ended
        specs = zip(begun.delivery.columns, columns, strict=True)
        written = [self._column(begun.table.columns[spec.name], spec.type, values) for spec, values in specs]
        named = list(begun.names)
        if self._target.mode == "upsert":
            named.append(ORDER)
            written.append(places_of(claim.sequence, claim.rows))
        return named, written

    def _column(
        self, column: tables.MysqlTargetColumn, declared: ColumnType, values: Sequence[str | None]
    ) -> Sequence[str]:
        if None in values and (not column.is_nullable or column.name in self._target.key):
            rows = [row for row, value in enumerate(values) if value is None]
            raise RowsRefused(
                "there is no value where the table needs one", rows=rows[:REFUSED_MAX], column=column.name
            )
        if column.kind in BINARIES:
            return ["NULL" if value is None else hexed(value) for value in decoded(values, column.name)]
        if declared is ColumnType.BOOLEAN and column.kind in INTEGERS:
            values = numbered_booleans(values)
        if column.kind == "bit":
            return bits(values, column.name)
        if column.kind in _MOMENTS:
            values = without_offsets(values, self._connection.timezone, column.name)
        refuse_losses(values, losses_of(column.type, time_digits=0), column.name)
        return quoted_texts(values)

    def _insert(
        self, writer: MysqlWriter, begun: _MysqlDelivery, named: Sequence[str], written: Sequence[Sequence[str]]
    ) -> int:
        name = begun.side_table if self._target.mode != "append" else tables.qualified(self._schema, self._table)
        statements = insert_statements(tables.insert_head(name, named), written, begun.bytes_max(writer))
        return sum(writer.load(statement) for statement in statements)

    def _refusal(
        self,
        writer: MysqlWriter,
        begun: _MysqlDelivery,
        named: Sequence[str],
        written: Sequence[Sequence[str]],
        error: ValuesRefused,
    ) -> RowsRefused:
        def try_rows(start: int, end: int) -> None:
            with writer.savepoint():
                self._insert(writer, begun, named, [column[start:end] for column in written])

        return rows_at_fault(try_rows, len(written[0]), named, error)

    def finish(self) -> Receipt:
        """As the port says."""
        begun = self._taken_over()
        with sink_errors(self._place):
            writer, ledger, delivery = self._connected(), begun.ledger, begun.delivery
            with ledger.locked():
                self._settle(writer, begun)
                if (known := ledger.receipt()) is not None:
                    return known
                loaded, wanted = ledger.totals(), (delivery.chunks, delivery.rows)
                if loaded != wanted:
                    raise missing_chunks(self._place, loaded, wanted)
                if self._target.mode != "append":
                    self._check_side(writer, begun)
                self._show(writer, begun)
                self._settle(writer, begun)
                return Receipt(delivery.rows)

    def _check_side(self, writer: MysqlWriter, begun: _MysqlDelivery) -> None:
        there = int(writer.fetch(f"SELECT count(*) FROM {begun.side_table}")[0][0] or 0)  # noqa: S608  # a name in quotes
        if there != begun.delivery.rows:
            raise SinkError(
                f"{self._place}: its side table has {there} rows of {begun.delivery.rows}: it was changed from outside"
            )

    def _show(self, writer: MysqlWriter, begun: _MysqlDelivery) -> None:
        """Make all chunks seen, and enter that they are. A swap of tables is its own entry: ``_settle`` reads it."""
        if self._target.mode == "replace":
            at, former = tables.qualified(self._schema, self._table), tables.qualified(self._schema, begun.former)
            writer.execute(f"RENAME TABLE {at} TO {former}, {begun.side_table} TO {at}")
            return
        try:
            with writer.transaction():
                begun.ledger.check()
                if self._target.mode == "upsert":
                    assert begun.table is not None  # as for chunks
                    merge = tables.merge_statement(begun.table, begun.side_table, begun.names, self._target.key)
                    writer.execute(merge)
                begun.ledger.end()
        except ValuesRefused as error:
            raise SinkError(f"{self._place}: {error.reason}") from None

    def abandon(self) -> None:
        """As the port says."""
        begun = self._begun
        if begun is None or self._writer is None:
            return
        with sink_errors(self._place):
            writer, ledger = self._connected(), begun.ledger
            if not ledger.is_known():
                return
            with ledger.locked():
                self._settle(writer, begun)
                if ledger.receipt() is None:
                    self._remove(writer, begun)

    def _remove(self, writer: MysqlWriter, begun: _MysqlDelivery) -> None:
        if self._target.mode != "append":
            writer.execute(f"DROP TABLE IF EXISTS {begun.side_table}")
        if self._target.mode != "append" or not begun.ledger.sequences():
            with writer.transaction():
                begun.ledger.forget()

    def _open(self) -> AbstractContextManager[MysqlWriter]:
        return open_mysql_writer(self._connection, self._folder, self._password, self._interruption)

    @property
    def _schema(self) -> str:
        return self._target.place[0] or self._connection.database

    @property
    def _table(self) -> str:
        return self._target.place[1]


class _MysqlDelivery:
    """What an attempt knows of its delivery's place."""

    def __init__(self, ledger: MysqlLedger, delivery: Delivery, schema: str) -> None:
        self.ledger = ledger
        self.delivery = delivery
        self.names = [column.name for column in delivery.columns]
        self.table: tables.MysqlTarget | None = None
        """None for a delivery that ended before."""
        self.side, self.former = side_name(delivery.id), former_name(delivery.id)
        self.side_table = tables.qualified(schema, self.side)
        self._bytes_max = 0

    def bytes_max(self, writer: MysqlWriter) -> int:
        """Of one statement; the server takes no longer ones."""
        if not self._bytes_max:
            found = int(writer.fetch("SELECT @@max_allowed_packet")[0][0] or 0)
            self._bytes_max = min(STATEMENT_BYTES, found // 2)
        return self._bytes_max
