"""What a MySQL target itself knows of deliveries: which attempt may load, and which chunks it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sluice.adapters.databases.mysql_literals import quoted_identifier, text_bytes
from sluice.adapters.databases.mysql_writing import MysqlWriter
from sluice.adapters.sinks.ledger_names import DELIVERIES, FENCED, LEDGER
from sluice.domain.manifest import Claim
from sluice.domain.target import Receipt
from sluice.ports.sink import Delivery, SinkError, SinkFenced
from sluice.ports.source import SourceError, SourceUnavailable

TAKEN_WAIT_S = 60
"""How long the server takes at most to undo what an attempt that was ended had begun."""


class MysqlLedger:
    """The ledger of one delivery, in two tables of the target's database.

    Who changes something of a delivery has a named lock of the server meanwhile, also where statements end
    transactions by themselves; the row says which attempt may.
    """

    def __init__(self, writer: MysqlWriter, schema: str, delivery: Delivery) -> None:
        self._writer = writer
        self._delivery = delivery
        self._schema = schema
        self.deliveries = f"{quoted_identifier(schema)}.{quoted_identifier(DELIVERIES)}"
        self.chunks = f"{quoted_identifier(schema)}.{quoted_identifier(LEDGER)}"
        digest = hashlib.sha256(f"{schema}\0{delivery.id}".encode()).hexdigest()
        self._lock = f"'sluice {digest[:32]}'"
        self._id = text_bytes(delivery.id)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the delivery. Raises ``SinkFenced`` where it is a later attempt's."""
        self._get_lock()
        try:
            self.check()
            yield
        finally:
            self._release()

    @contextmanager
    def taken_over(self, target: str) -> Iterator[None]:
        """Become the attempt that may load, and be alone. One before it that is in the midst of something is ended.

        Raises ``SinkFenced``.
        """
        if self.is_there() and self._epoch() > self._delivery.epoch:
            raise SinkFenced(FENCED)
        if not self._has_lock(0):
            self._end_holder()
            self._get_lock()
        try:
            self._make_tables()
            self._enter_attempt(target)
            yield
        finally:
            self._release()

    def _has_lock(self, seconds: int) -> bool:
        return self._writer.fetch(f"SELECT GET_LOCK({self._lock}, {seconds})") == [("1",)]

    def _get_lock(self) -> None:
        if not self._has_lock(TAKEN_WAIT_S):
            raise SourceUnavailable("another attempt of the delivery is in the midst of something")

    def _release(self) -> None:
        with suppress(SourceError):  # a session that is gone has no lock
            self._writer.fetch(f"SELECT RELEASE_LOCK({self._lock})")

    def _end_holder(self) -> None:
        found = self._writer.fetch(f"SELECT IS_USED_LOCK({self._lock})")[0][0]
        if found is not None:
            with suppress(SourceError):  # it has just ended, or is another user's
                self._writer.execute(f"KILL {int(found)}")

    def _enter_attempt(self, target: str) -> None:
        one, mine = self._delivery, (target, str(self._delivery.rows), str(self._delivery.chunks))
        with self._writer.transaction():
            self._writer.execute(
                f"INSERT INTO {self.deliveries} (delivery, epoch, target, `rows`, chunks) "  # noqa: S608  # names and values in quotes
                f"VALUES ({self._id}, {int(one.epoch)}, {text_bytes(target)}, {int(one.rows)}, {int(one.chunks)}) "
                "ON DUPLICATE KEY UPDATE epoch = GREATEST(epoch, VALUES(epoch))"
            )
            query = (
                f"SELECT epoch, target, `rows`, chunks FROM {self.deliveries} WHERE delivery = {self._id} FOR UPDATE"  # noqa: S608  # names and values in quotes
            )
            epoch, *known = self._writer.fetch(query)[0]
            if epoch != str(one.epoch):
                raise SinkFenced(FENCED)
            if tuple(known) != mine:
                raise SinkError("an earlier attempt of the delivery had other rows, or loaded them into another table")

    def is_there(self) -> bool:
        """Whether the tables of the ledger are. Raises ``SinkError`` where they are none that keep transactions."""
        found = self._writer.fetch(
            "SELECT table_name, engine FROM information_schema.tables "  # noqa: S608  # names and values in quotes
            f"WHERE table_schema = {_text(self._schema)} AND table_name IN ('{DELIVERIES}', '{LEDGER}')"
        )
        for name, engine in found:
            if engine != "InnoDB":
                raise SinkError(f"the ledger's table {name} is of {engine}: only InnoDB keeps transactions")
        return len(found) == len((DELIVERIES, LEDGER))

    def _make_tables(self) -> None:
        """Both tables of the ledger, where they are not there: then the user needs the right to make tables."""
        if self.is_there():
            return
        self._writer.execute(
            f"CREATE TABLE IF NOT EXISTS {self.deliveries} (delivery VARBINARY(255) PRIMARY KEY, "
            "epoch BIGINT NOT NULL, target VARBINARY(1024) NOT NULL, `rows` BIGINT NOT NULL, chunks BIGINT NOT NULL, "
            "begun_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, finished_at DATETIME NULL) ENGINE=InnoDB"
        )
        self._writer.execute(
            f"CREATE TABLE IF NOT EXISTS {self.chunks} (delivery VARBINARY(255) NOT NULL, sequence BIGINT NOT NULL, "
            "sha VARBINARY(64) NOT NULL, `rows` BIGINT NOT NULL, epoch BIGINT NOT NULL, "
            "loaded_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (delivery, sequence)) ENGINE=InnoDB"
        )

    def _epoch(self, ending: str = "") -> int:
        found = self._writer.fetch(f"SELECT epoch FROM {self.deliveries} WHERE delivery = {self._id}{ending}")  # noqa: S608  # names and values in quotes
        return int(found[0][0] or 0) if found else 0

    def is_known(self) -> bool:
        """Whether the ledger says anything of the delivery."""
        return self.is_there() and bool(self._epoch())

    def check(self) -> None:
        """At the begin of each transaction, whose end the row is kept to. Raises ``SinkFenced``."""
        if self._epoch(" FOR UPDATE") != self._delivery.epoch:
            raise SinkFenced(FENCED)

    def sequences(self) -> frozenset[int]:
        """Of the chunks that are there."""
        found = self._writer.fetch(f"SELECT sequence FROM {self.chunks} WHERE delivery = {self._id}")  # noqa: S608  # names and values in quotes
        return frozenset(int(row[0] or 0) for row in found)

    def enter(self, claim: Claim) -> bool:
        """Enter a chunk; False where it is there already. Raises ``SinkFenced``."""
        self.check()
        where = f"WHERE delivery = {self._id} AND sequence = {int(claim.sequence)}"
        found = self._writer.fetch(f"SELECT sha FROM {self.chunks} {where}")  # noqa: S608  # names and values in quotes
        if found and found[0][0] != claim.sha:
            raise SinkError(f"chunk {claim.sequence} of the delivery was loaded before with other rows")
        if not found:
            values = f"{self._id}, {int(claim.sequence)}, {text_bytes(claim.sha)}, {int(claim.rows)}"
            self._writer.execute(
                f"INSERT INTO {self.chunks} (delivery, sequence, sha, `rows`, epoch) "  # noqa: S608  # names and values in quotes
                f"VALUES ({values}, {int(self._delivery.epoch)})"
            )
        return not found

    def totals(self) -> tuple[int, int]:
        """Chunks and rows that were loaded."""
        query = f"SELECT count(*), coalesce(sum(`rows`), 0) FROM {self.chunks} WHERE delivery = {self._id}"  # noqa: S608  # names and values in quotes
        chunks, rows = self._writer.fetch(query)[0]
        return int(chunks or 0), int(rows or 0)

    def receipt(self) -> Receipt | None:
        """That of a delivery which has ended; None before."""
        where = f"WHERE delivery = {self._id} AND finished_at IS NOT NULL"
        found = self._writer.fetch(f"SELECT `rows` FROM {self.deliveries} {where}")  # noqa: S608  # names and values in quotes
        return Receipt(int(found[0][0] or 0)) if found else None

    def end(self) -> None:
        """Enter that all is seen."""
        self._writer.execute(f"UPDATE {self.deliveries} SET finished_at = now() WHERE delivery = {self._id}")  # noqa: S608  # names and values in quotes

    def forget_chunks(self) -> None:
        """As if none had been loaded: what they were loaded into is gone."""
        self._writer.execute(f"DELETE FROM {self.chunks} WHERE delivery = {self._id}")  # noqa: S608  # names and values in quotes

    def forget(self) -> None:
        """Remove what the ledger says of the delivery."""
        self.forget_chunks()
        self._writer.execute(f"DELETE FROM {self.deliveries} WHERE delivery = {self._id}")  # noqa: S608  # names and values in quotes


def _text(text: str) -> str:
    return f"CONVERT({text_bytes(text)} USING utf8mb4)"
