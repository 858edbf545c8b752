"""What a task reads from a source, fixed when it is opened, and how far it has read."""

from __future__ import annotations

import base64
from math import isfinite, isnan
from typing import Literal, TypeAlias

import msgspec

from sluice.domain.pages import HttpSource
from sluice.domain.pinned_files import FileSource
from sluice.domain.schema import ColumnType
from sluice.domain.step import GatherStep, Step

Value: TypeAlias = str | int | float
"""What a column is compared with. A text may be any value as the source writes it."""
Cursor: TypeAlias = tuple[str | int | float | bytes, ...]
"""The values of the key's columns in the last row that was read."""
Consistency: TypeAlias = Literal["snapshot", "split", "key"]
"""Of how many moments the rows of a file are; ``TableSource`` says which."""
Mask: TypeAlias = Literal["email", "phone", "name", "card", "last4", "hash"]
"""A way to write a value so that nothing is known of it which its reader may not know; ``tables/values/masks``."""


class Condition(msgspec.Struct, frozen=True, array_like=True):
    """What a row must be like to be read. One whose column has no value is not."""

    column: str
    """Of the table; it need not be among those that are read."""
    test: Literal["in", ">=", "<"]
    """Whether the column is one of ``values``, or at least, or below the only one of them."""
    values: tuple[Value, ...]
    """None for ``in`` fits no row."""
    field: str = ""
    """Where a caller gave them, as ``ids`` or ``filters.state``; empty for what the dataset demands of every row."""


class Pulled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rows of a task that no sender sends: those of a table as its dataset was defined at the open.

    No secret is in it: how the connection is reached is known where it is read.
    """

    dataset: str
    version: str
    """Digest of the definition: a later one changes nothing for this task."""
    connection: str
    table: str
    schema: str | None = None
    """Where it does not stand in ``table``."""
    key: tuple[str, ...] = ()
    consistency: Consistency
    splits: int = 1
    snapshot_max_s: float = 0
    """As in the dataset; 0 for no bound."""
    columns: tuple[str, ...] = ()
    """Of the table, one for each column of the file."""
    conditions: tuple[Condition, ...] = ()
    where: str = ""
    """A condition in the source's own SQL, which every row must fit too. It is run as it stands: ``app/where.py`` alone
    makes it, of what a job says."""
    files: FileSource | None = None
    """Files in place of a table: ``connection`` is of their folder, ``table`` their path, and there is no key."""
    pages: HttpSource | None = None
    """Pages of an HTTP API in place of a table, as ``files``."""
    fixed: int = 0
    """How many of the conditions, the first ones, are the dataset's; the others are what the user asked for."""
    ids_asked: int = 0
    """How many rows were selected one by one: the first condition behind the fixed ones. 0 where they were not."""
    is_sent: bool = False
    """Who opens the task reads the rows too, and sends them as batches."""
    masks: tuple[str, ...] = ()
    """For each column, how it is masked; empty where none is, ``hash:`` and a key's name for a hash."""
    user: str = ""
    """Who asked."""
    rows_max: int = 0
    """More rows than these are no export; 0 for no bound of the dataset's own."""
    kept_s: float = 0
    """How long the file is kept; 0 for as long as any."""
    steps: tuple[Step, ...] = ()
    """What is done to each row before it is stored; then the file has other columns than the table."""
    gather: GatherStep | None = None
    """Behind them: what needs all rows. ``behind`` are the steps for the rows that it gives."""
    behind: tuple[Step, ...] = ()
    kinds: tuple[ColumnType, ...] = ()
    """Of a job: what the values of ``columns`` are."""
    diverts: bool = False
    """Rows that a step, or a column's type, refuses become rows of a second table, with the reasons."""
    diverted_max: int = -1
    """More of them fail the task; -1 for no bound. So ``diverted_share_max``, of all rows that were read."""
    diverted_share_max: float = 1
    batch_rows: int = 4_000
    """How many rows that steps leave are stored at a time, at least, unless they have ``batch_chars``."""
    batch_chars: int = 2 << 20
    duration_max_s: float = 0
    """How long after it was opened the task may be read; 0 for no bound. So ``rows_per_s``."""
    rows_per_s: int = 0
    call: str = ""
    """Digest of what was asked for and by whom: the same call again is known by it, whatever became of the dataset."""

    def listed(self) -> Pulled:
        """What a listing has of it: not what may be long."""
        return msgspec.structs.replace(
            self,
            key=(),
            columns=(),
            conditions=(),
            where="",
            files=None,
            pages=None,
            masks=(),
            steps=(),
            behind=(),
            kinds=(),
        )


class PastReading(msgspec.Struct, frozen=True, array_like=True):
    """A reading that is over, and its batches, which are in the file."""

    read_at: float
    """As in the task, of that reading."""
    first_sequence: int
    batches: int
    rows: int
    size: int
    filtered: int = 0
    """Rows that were read with them and left out."""


class Readings(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which readings of a source came before the one under way, and which are left. Cursors are encoded."""

    after: str = ""
    """Behind which key the one under way begins; empty: with the first row."""
    bounds: tuple[str, ...] = ()
    """The last keys of those that are left, the one under way first; none: it goes on to the last row."""
    past: tuple[PastReading, ...] = ()

    @property
    def batches(self) -> int:
        """Of those that are over; so ``rows`` and ``size``."""
        return sum(one.batches for one in self.past)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.past)

    @property
    def size(self) -> int:
        return sum(one.size for one in self.past)

    @property
    def filtered(self) -> int:
        return sum(one.filtered for one in self.past)

    def have(self, sequence: int) -> bool:
        """Whether a batch is of those that are over."""
        return any(one.first_sequence <= sequence < one.first_sequence + one.batches for one in self.past)


def encode_cursor(cursor: Cursor) -> str:
    """As JSON: bytes as an array of their base64, a number without an end, which JSON lacks, as one of "" and its name.

    Raises ValueError for what is no number at all.
    """
    return msgspec.json.encode(list(map(_written, cursor))).decode()


def decode_cursor(text: str) -> Cursor | None:
    """Read back what ``encode_cursor`` wrote; None for an empty text. Raises ``msgspec.MsgspecError`` for another."""
    if not text:
        return None
    return tuple(map(_read, msgspec.json.decode(text, type=list[str | int | float | list[str]])))


def _written(value: str | float | bytes) -> str | float | list[str]:
    if isinstance(value, bytes):
        return [base64.b64encode(value).decode()]
    if not isinstance(value, float) or isfinite(value):
        return value
    if isnan(value):
        raise ValueError("no row is behind what is no number")
    return ["", str(value)]


def _read(value: str | float | list[str]) -> str | int | float | bytes:
    if not isinstance(value, list):
        return value
    return base64.b64decode(value[0]) if len(value) == 1 else float(value[1])
