"""Reading rows with thousands of columns, which the service may hand out in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sluice.adapters.aliyun.tablestore.client import FoundRow
from sluice.adapters.aliyun.tablestore.rows import Key
from sluice.ports.store_errors import OutcomeUnknown

_TRIES = 5
"""How often a row in parts is read again because it changed meanwhile."""


class ReadsRow(Protocol):
    def read(
        self,
        key: Key,
        *,
        columns: Sequence[str] = (),
        between: tuple[str, str] = ("", ""),
        token: bytes = b"",
    ) -> FoundRow | None:
        """As ``TablestoreClient`` does."""


def read_whole(client: ReadsRow, key: Key) -> FoundRow | None:
    """All of a row as of one moment: in one call as long as the service gives it whole.

    Parts belong together if the row's ``rev`` is the same before and after.
    Raises ``OutcomeUnknown`` for a row that never stands still.
    """
    row = client.read(key)
    if row is None or not row.more:
        return row
    for _ in range(_TRIES):
        before = client.read(key, columns=["rev"])
        row = read_parts(client, key)
        if row is None or _rev(before) == _rev(client.read(key, columns=["rev"])):
            return row
    raise OutcomeUnknown("the row changes faster than it can be read")


def read_parts(client: ReadsRow, key: Key, *, between: tuple[str, str] = ("", "")) -> FoundRow | None:
    """All columns of a row, or those ``between`` two names; its parts may be of different moments."""
    part = whole = client.read(key, between=between)
    while part is not None and whole is not None and part.more:
        part = client.read(key, between=between, token=part.more)
        whole.columns.update(part.columns if part is not None else {})
    return whole


def _rev(row: FoundRow | None) -> object:
    return None if row is None else row.columns["rev"]
