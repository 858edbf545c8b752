"""Loads chunks into a table of a PostgreSQL server, each once, by COPY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from sluice.adapters.databases.postgresql_literals import quoted_name
from sluice.adapters.databases.postgresql_writing import PostgresqlWriter, open_writer
from sluice.adapters.databases.values_refused import ValuesRefused
from sluice.adapters.sinks import postgresql_target as tables
from sluice.adapters.sinks.copy_rows import copy_rows, hexadecimal
from sluice.adapters.sinks.fitting_columns import check_columns, gone, missing_chunks, not_made
from sluice.adapters.sinks.ledger_names import ORDER, places_of, side_name
from sluice.adapters.sinks.losses import Loss, losses_of, refuse_losses
from sluice.adapters.sinks.postgresql_ledger import PostgresqlLedger
from sluice.adapters.sinks.rows_at_fault import rows_at_fault
from sluice.adapters.sinks.server_sink import ServerSink
from sluice.adapters.sinks.sink_errors import sink_errors
from sluice.domain.dataset import PostgresqlConnection
from sluice.domain.manifest import Claim
from sluice.domain.target import Receipt, TableTarget
from sluice.ports.sink import Delivery, RowsRefused, SinkError

MERGE_MEMORY = "64MB"
"""Of the server, for a step of the merge of a side table: more goes to its disk."""


class PostgresqlSink(ServerSink[PostgresqlConnection, PostgresqlWriter, "_PostgresqlDelivery"]):
    """Implements ``Sink`` by one connection; what belongs together is one transaction.

    ``append`` loads into the table itself. ``replace`` and ``upsert`` load into
    a side table, which ``finish`` takes over into the table by one transaction.
    """

    def begin(self, delivery: Delivery) -> frozenset[int]:
        """As the port says. What it makes and changes is one transaction."""
        with sink_errors(self._place), self._transaction():
            writer = self._connected()
            schema = tables.schema_of(writer, self._target, self._place)
            ledger = PostgresqlLedger(writer, schema, delivery)
            self._begun = _PostgresqlDelivery(self._target, ledger, delivery, schema)
            ledger.take_over(f"{self._target.mode} {schema}.{self._target.place[1]}")
            if ledger.receipt() is None:
                self._prepare(writer, self._begun)
            return ledger.sequences()

    def _prepare(self, writer: PostgresqlWriter, begun: _PostgresqlDelivery) -> None:
        """Have a table that fits, and beside it the side table of the mode."""
        target, columns = self._target, begun.delivery.columns
        table = tables.find_table(writer, begun.schema, target.place[1], self._place)
        if table is None:
            if target.mode == "append" and begun.ledger.sequences():
                raise gone(self._place)
            if target.create == "never":
                raise SinkError(f"there is no {self._place}: make it, or set create: if_missing")
            tables.make_table(writer, begun.table_name, columns, target.key)
            table = tables.find_table(writer, begun.schema, target.place[1], self._place)
            if table is None:
                raise not_made(self._place)
        new = [column for column in columns if column.name not in table.columns]
        if new and target.schema == "evolve":
            tables.widen(writer, table, new)
            table = tables.find_table(writer, begun.schema, target.place[1], self._place) or table
        check_columns(table.columns, begun.names, target.key, self._place)
        begun.describe(table)
        if target.mode == "append":
            return
        if target.mode == "upsert":
            tables.check_key(writer, table, target.key, self._place)
        else:
            tables.check_no_cascades(writer, table, self._place)
        if not tables.is_there(writer, begun.side):
            begun.ledger.forget_chunks()
            tables.make_side(writer, table, begun.side, begun.names, target.key)

    def load(self, claim: Claim, columns: Sequence[Sequence[str | None]]) -> None:
        """As the port says: COPY and the entry in the ledger are one transaction."""
        begun = self._taken_over()
        with sink_errors(self._place), self._transaction(begun):
            if not begun.ledger.enter(claim):
                return
            writer = self._connected()
            named, rows = self._rows(begun, claim, columns)
            try:
                with writer.savepoint():
                    taken = writer.copy_in(*begun.loaded_into, named, copy_rows(rows, named))
            except ValuesRefused as error:
                raise self._refusal(begun, named, rows, error) from None
            if taken != claim.rows:
                raise SinkError(
                    f"{self._place} has taken {taken} of {claim.rows} rows: a trigger or rule of it drops some"
                )

    def _rows(
        self, begun: _PostgresqlDelivery, claim: Claim, columns: Sequence[Sequence[str | None]]
    ) -> tuple[list[str], list[Sequence[str | None]]]:
        """The columns that are copied, and their texts as the server reads them."""
        assert begun.table is not None  # a chunk that is new belongs to a delivery that has not ended
        named, rows = list(begun.names), list[Sequence[str | None]](columns)
        for at, name in enumerate(named):
            if begun.table.columns[name].type == "bytea":
                rows[at] = hexadecimal(rows[at], name)
            refuse_losses(rows[at], begun.losses[at], name)
        if self._target.mode != "append":
            named.append(ORDER)
            rows.append(places_of(claim.sequence, claim.rows))
        return named, rows

    def _refusal(
        self,
        begun: _PostgresqlDelivery,
        named: Sequence[str],
        rows: Sequence[Sequence[str | None]],
        error: ValuesRefused,
    ) -> RowsRefused:
        writer = self._connected()

        def try_rows(start: int, end: int) -> None:
            with writer.savepoint():
                writer.copy_in(*begun.loaded_into, named, copy_rows([column[start:end] for column in rows], named))

        return rows_at_fault(try_rows, len(rows[0]), named, error)

    def finish(self) -> Receipt:
        """As the port says: all in one transaction."""
        begun = self._taken_over()
        with sink_errors(self._place), self._transaction(begun):
            writer, ledger, delivery = self._connected(), begun.ledger, begun.delivery
            ledger.check()
            if (known := ledger.receipt()) is not None:
                return known
            loaded, wanted = ledger.totals(), (delivery.chunks, delivery.rows)
            if loaded != wanted:
                raise missing_chunks(self._place, loaded, wanted)
            try:
                receipt = (
                    self._take_over_side(writer, begun) if self._target.mode != "append" else Receipt(delivery.rows)
                )
            except ValuesRefused as error:
                raise SinkError(f"{self._place}: {error.reason}") from None
            ledger.end(receipt)
            return receipt

    def _take_over_side(self, writer: PostgresqlWriter, begun: _PostgresqlDelivery) -> Receipt:
        table, rows = begun.table, begun.delivery.rows
        assert table is not None  # as for chunks
        writer.execute(f"SET LOCAL work_mem = '{MERGE_MEMORY}'")
        there = int(writer.fetch(f"SELECT count(*) AS rows FROM {begun.side}")[0]["rows"])  # noqa: S608  # a name in quotes
        if there != rows:
            raise SinkError(f"{self._place}: its side table has {there} rows of {rows}: it was changed from outside")
        if self._target.mode == "replace":
            taken = int(writer.execute(tables.replace_statements(table, begun.side, begun.names)).rpartition(" ")[2])
            if taken != rows:
                raise SinkError(f"{self._place} has taken {taken} of {rows} rows: a trigger or rule of it drops some")
            receipt = Receipt(rows)
        else:
            try:
                with writer.savepoint():
                    receipt = self._merged(writer, begun, table, repeats=False)
            except ValuesRefused:  # most deliveries have each key once
                receipt = self._merged(writer, begun, table, repeats=True)
        writer.execute(f"DROP TABLE {begun.side}")
        return receipt

    def _merged(
        self, writer: PostgresqlWriter, begun: _PostgresqlDelivery, table: tables.PostgresqlTarget, *, repeats: bool
    ) -> Receipt:
        key = self._target.key
        merge = tables.merge_statement(table, begun.side, begun.names, key, repeats=repeats)
        if table.is_partitioned:  # it does not say which rows are new
            writer.execute(merge)
            return Receipt(begun.delivery.rows)
        counted = writer.fetch(
            f"WITH merged AS ({merge} RETURNING xmax = 0 AS is_new) SELECT count(*) FILTER (WHERE is_new) AS inserted, "  # noqa: S608  # names in quotes
            "count(*) FILTER (WHERE NOT is_new) AS updated FROM merged"
        )[0]
        return Receipt(begun.delivery.rows, int(counted["inserted"]), int(counted["updated"]))

    def abandon(self) -> None:
        """As the port says."""
        begun = self._begun
        if begun is None or self._writer is None:
            return
        with sink_errors(self._place), self._transaction(begun):
            writer = self._connected()
            if not begun.ledger.is_known():
                return
            begun.ledger.check()
            if begun.ledger.receipt() is not None:
                return
            writer.execute(f"DROP TABLE IF EXISTS {begun.side}")
            if self._target.mode != "append" or not begun.ledger.sequences():
                begun.ledger.forget()

    def _open(self) -> AbstractContextManager[PostgresqlWriter]:
        return open_writer(self._connection, self._folder, self._password, self._interruption)

    @contextmanager
    def _transaction(self, begun: _PostgresqlDelivery | None = None) -> Iterator[None]:
        with self._connected().transaction(begun.ledger.lock if begun else ""):
            yield


class _PostgresqlDelivery:
    """What an attempt knows of its delivery's place."""

    def __init__(self, target: TableTarget, ledger: PostgresqlLedger, delivery: Delivery, schema: str) -> None:
        self.ledger = ledger
        self.delivery = delivery
        self.schema = schema
        self.names = [column.name for column in delivery.columns]
        self.table: tables.PostgresqlTarget | None = None
        """None for a delivery that ended before."""
        self.losses: list[list[Loss]] = []
        self._target = target
        self._side = side_name(delivery.id)
        self.table_name = f"{quoted_name(schema)}.{quoted_name(target.place[1])}"
        self.side = f"{quoted_name(schema)}.{quoted_name(self._side)}"

    def describe(self, table: tables.PostgresqlTarget) -> None:
        """Note the table as it is."""
        self.table = table
        self.losses = [losses_of(table.columns[name].type) for name in self.names]

    @property
    def loaded_into(self) -> tuple[str, str]:
        """Schema and table."""
        return self.schema, self._target.place[1] if self._target.mode == "append" else self._side
