"""What a PostgreSQL target itself knows of deliveries: which attempt may load, and which chunks it holds."""

from __future__ import annotations

import hashlib

from sluice.adapters.databases.postgresql_literals import literal, quoted_name
from sluice.adapters.databases.postgresql_writing import PostgresqlWriter
from sluice.adapters.sinks.ledger_names import DELIVERIES, FENCED, LEDGER
from sluice.domain.manifest import Claim
from sluice.domain.target import Receipt
from sluice.ports.sink import Delivery, SinkError, SinkFenced

_TABLES_LOCK = "sluice: tables of the ledger"
_HOLDERS = """
SELECT pg_terminate_backend(l.pid)
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid::int8 = $1::int8 AND l.objid::int8 = $2::int8
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.pid <> pg_backend_pid() AND a.usename = session_user
"""


class PostgresqlLedger:
    """The ledger of one delivery, in two tables of the target's schema, each change in the transaction of its caller.

    Who changes something of a delivery has its lock to the end of the transaction; the row says which attempt may.
    """

    def __init__(self, writer: PostgresqlWriter, schema: str, delivery: Delivery) -> None:
        self._writer = writer
        self._delivery = delivery
        self.deliveries = f"{quoted_name(schema)}.{quoted_name(DELIVERIES)}"
        self.chunks = f"{quoted_name(schema)}.{quoted_name(LEDGER)}"
        self._schema = schema
        self._key = _lock_key(delivery.id)
        self.lock = f"SELECT pg_advisory_xact_lock({self._key})"
        """The first statement of each transaction."""

    def take_over(self, target: str) -> None:
        """Become the attempt that may load. One before it that is in the midst of something is ended.

        Raises ``SinkFenced``.
        """
        if not self._writer.fetch(f"SELECT pg_try_advisory_xact_lock({self._key}) AS is_mine")[0]["is_mine"]:
            if self.is_there() and self._epoch() > self._delivery.epoch:
                raise SinkFenced(FENCED)
            unsigned = self._key % 2**64
            self._writer.fetch(_HOLDERS, unsigned >> 32, unsigned % 2**32)
            self._writer.execute(self.lock)
        self._make_tables()
        taken = self._writer.fetch(
            f"INSERT INTO {self.deliveries} AS d (delivery, epoch, target, rows, chunks) VALUES ($1, $2, $3, $4, $5) "  # noqa: S608  # names in quotes
            "ON CONFLICT (delivery) DO UPDATE SET epoch = excluded.epoch WHERE d.epoch <= excluded.epoch "
            "RETURNING target, rows, chunks",
            *(self._delivery.id, self._delivery.epoch, target, self._delivery.rows, self._delivery.chunks),
        )
        if not taken:
            raise SinkFenced(FENCED)
        if tuple(taken[0]) != (target, self._delivery.rows, self._delivery.chunks):
            raise SinkError("an earlier attempt of the delivery had other rows, or loaded them into another table")

    def is_there(self) -> bool:
        """Whether the tables of the ledger are."""
        query = "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL AS found"
        return bool(self._writer.fetch(query, self.deliveries, self.chunks)[0]["found"])

    def _make_tables(self) -> None:
        """Both tables of the ledger, where they are not there: then the user needs the right to make tables."""
        if self.is_there():
            return
        self._writer.execute(
            f"SELECT pg_advisory_xact_lock({_lock_key(_TABLES_LOCK)}); "
            f"CREATE TABLE IF NOT EXISTS {self.deliveries} (delivery text PRIMARY KEY, epoch bigint NOT NULL, "
            "target text NOT NULL, rows bigint NOT NULL, chunks bigint NOT NULL, inserted bigint, updated bigint, "
            "begun_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz); "
            f"CREATE TABLE IF NOT EXISTS {self.chunks} (delivery text NOT NULL REFERENCES {self.deliveries} "
            "ON DELETE CASCADE, sequence bigint NOT NULL, sha text NOT NULL, rows bigint NOT NULL, "
            "epoch bigint NOT NULL, loaded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (delivery, sequence))"
        )

    def _epoch(self) -> int:
        found = self._writer.fetch(f"SELECT epoch FROM {self.deliveries} WHERE delivery = $1", self._delivery.id)  # noqa: S608  # a name in quotes
        return int(found[0]["epoch"]) if found else 0

    def is_known(self) -> bool:
        """Whether the ledger says anything of the delivery."""
        return self.is_there() and bool(self._epoch())

    def check(self) -> None:
        """Behind the lock, at the begin of each transaction. Raises ``SinkFenced``."""
        if self._epoch() != self._delivery.epoch:
            raise SinkFenced(FENCED)

    def sequences(self) -> frozenset[int]:
        """Of the chunks that are there."""
        query = f"SELECT sequence FROM {self.chunks} WHERE delivery = $1"  # noqa: S608  # a name in quotes
        return frozenset(row["sequence"] for row in self._writer.fetch(query, self._delivery.id))

    def enter(self, claim: Claim) -> bool:
        """Enter a chunk; False where it is there already. Raises ``SinkFenced``."""
        entered = self._writer.fetch(
            f"INSERT INTO {self.chunks} (delivery, sequence, sha, rows, epoch) "  # noqa: S608  # names in quotes
            f"SELECT delivery, $3, $4, $5, epoch FROM {self.deliveries} WHERE delivery = $1 AND epoch = $2 "
            "ON CONFLICT DO NOTHING RETURNING 1",
            *(self._delivery.id, self._delivery.epoch, claim.sequence, claim.sha, claim.rows),
        )
        if entered:
            return True
        self.check()
        query = f"SELECT sha FROM {self.chunks} WHERE delivery = $1 AND sequence = $2"  # noqa: S608  # a name in quotes
        if self._writer.fetch(query, self._delivery.id, claim.sequence)[0]["sha"] != claim.sha:
            raise SinkError(f"chunk {claim.sequence} of the delivery was loaded before with other rows")
        return False

    def totals(self) -> tuple[int, int]:
        """Chunks and rows that were loaded."""
        query = (
            f"SELECT count(*) AS chunks, coalesce(sum(rows), 0)::int8 AS rows FROM {self.chunks} WHERE delivery = $1"  # noqa: S608  # a name in quotes
        )
        found = self._writer.fetch(query, self._delivery.id)[0]
        return int(found["chunks"]), int(found["rows"])

    def receipt(self) -> Receipt | None:
        """That of a delivery which has ended; None before."""
        query = f"SELECT rows, inserted, updated FROM {self.deliveries} WHERE delivery = $1 AND finished_at IS NOT NULL"  # noqa: S608  # a name in quotes
        found = self._writer.fetch(query, self._delivery.id)
        return Receipt(*found[0]) if found else None

    def end(self, receipt: Receipt) -> None:
        """Enter that all is seen."""
        self._writer.fetch(
            f"UPDATE {self.deliveries} SET finished_at = now(), inserted = $2, updated = $3 WHERE delivery = $1",  # noqa: S608  # a name in quotes
            *(self._delivery.id, receipt.inserted, receipt.updated),
        )

    def forget_chunks(self) -> None:
        """As if none had been loaded: what they were loaded into is gone."""
        self._writer.execute(f"DELETE FROM {self.chunks} WHERE delivery = {literal(self._delivery.id)}")  # noqa: S608  # names and values in quotes

    def forget(self) -> None:
        """Remove what the ledger says of the delivery."""
        self._writer.execute(f"DELETE FROM {self.deliveries} WHERE delivery = {literal(self._delivery.id)}")  # noqa: S608  # names and values in quotes


def _lock_key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
