"""What removed rows leave in an SQLite file: pages kept for more rows, which go back to the disk here."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from sluice.adapters.sqlite.connections import Connections

SPARE_PAGES = 256
"""Free pages that stay for the next rows: a MiB."""
STEP_PAGES = 256
"""Given back in one transaction, in which others wait to write."""
STEPS_MAX = 128
"""In one call: 128 MiB."""
CONVERTED_BYTES_MAX = 64 << 20
"""Of rows, in a file that is written anew while others wait to write: a second or two."""
_INCREMENTAL = 2


class Pages(NamedTuple):
    """What a file is made of, as of a moment."""

    total: int
    free: int
    """That no row needs."""
    page_bytes: int
    can_go_back: bool
    """Whether the file was made, or written anew, so that pages can be given back. Older releases made others."""

    @property
    def row_bytes(self) -> int:
        return (self.total - self.free) * self.page_bytes


def count_pages(connections: Connections) -> Pages:
    with connections.reading() as db:
        total, free, page_bytes = (_value(db, name) for name in ("page_count", "freelist_count", "page_size"))
        return Pages(total, free, page_bytes, can_go_back=_value(db, "auto_vacuum") == _INCREMENTAL)


def convert(connections: Connections) -> None:
    """Write the file anew, so that it is as large as its rows and can give pages back from now on.

    It takes as much room again as the rows, twice for a while. Killed at any moment, the file is as it was.
    """
    with connections.alone() as db:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("VACUUM")
        _shrink(db)


def give_back_step(connections: Connections) -> bool:
    """Give some pages back; returns whether there are more."""
    with connections.writing() as db:
        spare = _value(db, "freelist_count") - SPARE_PAGES
        for _ in range(min(spare, STEP_PAGES)):
            db.execute("PRAGMA incremental_vacuum(1)")  # the driver takes one step of it, which is one page
    return spare > STEP_PAGES


def shrink(connections: Connections) -> None:
    """Cut the file, which pages were given back of, unless another process reads what was before."""
    with connections.alone() as db:
        _shrink(db)


def _shrink(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _value(db: sqlite3.Connection, pragma: str) -> int:
    (value,) = db.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)
