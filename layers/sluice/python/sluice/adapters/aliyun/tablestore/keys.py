"""API keys' hashes in one row of a Tablestore table of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from sluice.adapters.aliyun.tablestore.client import TablestoreClient
from sluice.adapters.aliyun.tablestore.conditions import at_rev, no_row
from sluice.adapters.aliyun.tablestore.rows import Key
from sluice.adapters.aliyun.tablestore.schema import KEYS, TablestoreAccess
from sluice.adapters.task_columns import Columns
from sluice.ports.key_store import DamagedKeysError, Keys
from sluice.ports.retry import CHANGES_MAX
from sluice.ports.store_errors import OutcomeUnknown

ROW: Key = [(KEYS.key[0].name, "keys")]
"""The only one."""


class TablestoreKeys:
    """Implements ``KeyStore``, with one call for each read: so a process that reads often caches them.

    The row holds all keys as JSON and a number that each change raises; a
    change is one conditional write. ``access`` names the tasks' table.
    """

    def __init__(self, access: TablestoreAccess, *, timeout_s: float) -> None:
        self._client = TablestoreClient(replace(access, table=KEYS.name_by(access.table)), timeout_s=timeout_s)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def read(self) -> Keys:
        return self._load()[1]

    def change(self, edit: Callable[[Keys], Keys]) -> Keys:
        """Read, edit, and write if no other process wrote meanwhile; begin again when one did."""
        for _ in range(CHANGES_MAX):
            rev, keys = self._load()
            changed = edit(keys)
            if self._replace(rev, changed):
                return changed
        raise OutcomeUnknown("the API keys are being changed by others all the time; nothing was changed here")

    def _load(self) -> tuple[int, Keys]:
        row = self._client.read(ROW)
        if row is None:
            return 0, ()
        try:
            return int(row.columns["rev"]), msgspec.json.decode(row.columns["keys"], type=Keys)
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise DamagedKeysError(
                f"the row of API keys is damaged: {type(error).__name__}; remove it and make new keys (sluice keys add)"
            ) from None

    def _replace(self, rev: int, keys: Keys) -> bool:
        """Write the keys in place of those of ``rev``. After an unknown outcome the row itself tells who won."""
        columns: Columns = {"rev": rev + 1, "keys": msgspec.json.encode(keys).decode()}
        try:
            return self._client.put(ROW, columns, at_rev(rev) if rev else no_row())
        except OutcomeUnknown:
            if self._load() == (rev + 1, keys):
                return True
            raise
