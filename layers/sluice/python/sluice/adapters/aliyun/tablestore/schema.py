"""Our tables in Tablestore: where they are, and what is in them. Plain data, which loads nothing of the vendor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from sluice.adapters.aliyun.credentials import CredentialsSource


@dataclass(frozen=True, slots=True, kw_only=True)
class TablestoreAccess:
    """Which table, where, and who we are."""

    endpoint: str
    """``https://{instance}.{region}.tablestore.aliyuncs.com`` or its ``-vpc`` form; without a scheme, HTTPS."""
    instance: str
    region: str
    """Signs by the newer scheme; empty for the older one."""
    table: str
    credentials: CredentialsSource

    @property
    def url(self) -> str:
        return self.endpoint if "://" in self.endpoint else f"https://{self.endpoint}"


ColumnKind = Literal["STRING", "INTEGER"]
"""What a column of a primary key, and so of an index, may hold."""

DUE_SHARDS = 8
"""Partitions of the due index for each kind of rows.

Every batch moves its task's entry, and the entries of a shard lie in order of
time, all of today's side by side: with one shard, every batch of every task
would write to one partition. With eight no shard sees more than an eighth of
them. A shard costs each sweep one read, so a sweep a minute makes 23,040 small
reads a day. May be raised at any time and never lowered: a row stays in the
shard that it was put in until it becomes live or ends.
"""
OTHER_SHARDS = range(DUE_SHARDS)
"""Of open and ended rows, and of all that earlier releases wrote."""
LIVE_SHARDS = range(-1, -1 - DUE_SHARDS, -1)
"""Of sealed and composing rows. Below zero, so that the others may become more."""


class TypedColumn(NamedTuple):
    """A column whose type the table knows."""

    name: str
    kind: ColumnKind


class Index(NamedTuple):
    """A global secondary index: it follows its table after a while, and holds only its key."""

    suffix: str
    key: tuple[str, ...]
    """Its columns in order, with those of the table's own key; four at most."""

    def name_in(self, table: str) -> str:
        """Its name, which is used like a table's and has to be unique in the instance."""
        return f"{table}_{self.suffix}"


class Table(NamedTuple):
    """A table, by its name's difference to that of the tasks' table, which the settings give."""

    suffix: str
    key: tuple[TypedColumn, ...]
    indexed: tuple[TypedColumn, ...] = ()
    """Columns that are in no primary key but in an index, which therefore have types too."""
    indexes: tuple[Index, ...] = ()

    def name_by(self, tasks_table: str) -> str:
        return f"{tasks_table}_{self.suffix}" if self.suffix else tasks_table


DUE = Index("due", ("due_shard", "due_us", "pk", "sk"))
LISTING = Index("listing", ("listing", "newest_first", "sk", "pk"))
STATE_LISTING = Index("state_listing", ("state_listing", "newest_first", "sk", "pk"))

TASKS = Table(
    "",
    # `{h4}#{tenant}`, and `{task}#T` or `{task}#A#{epoch}`
    (TypedColumn("pk", "STRING"), TypedColumn("sk", "STRING")),
    (
        TypedColumn("due_shard", "INTEGER"),
        TypedColumn("due_us", "INTEGER"),
        TypedColumn("listing", "STRING"),
        TypedColumn("state_listing", "STRING"),
        TypedColumn("newest_first", "INTEGER"),
    ),
    (DUE, LISTING, STATE_LISTING),
)
KEYS = Table("keys", (TypedColumn("name", "STRING"),))
"""The API keys' hashes. Not in the tasks' table, so that a writer of tasks need not be able to write keys."""

TABLES = (TASKS, KEYS)

MAX_VERSIONS = 1
"""Indexes demand it, and a condition then always means the only value there is."""
TIME_TO_LIVE_S = -1
"""For ever: rows go when the sweeper removes them."""
