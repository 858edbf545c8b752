"""Calls to one table of Tablestore: how the SDK is opened, and the one way to read, to write and to list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from urllib3 import Timeout

from sluice.adapters.aliyun.credentials import CredentialsSource
from sluice.adapters.aliyun.tablestore.conditions import RowCondition, any_row
from sluice.adapters.aliyun.tablestore.errors import CONDITION_FAILED, failure, translated
from sluice.adapters.aliyun.tablestore.rows import Key
from sluice.adapters.aliyun.tablestore.schema import TablestoreAccess
from sluice.adapters.aliyun.tablestore.sdk import CLIENT_LOGGER, sdk
from sluice.ports.retry import CHANGES_MAX
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused

CONNECT_TIMEOUT_S = 2.0
CONNECTIONS_MAX = 64
"""To one service, by any number of threads; those beyond wait for one to be free."""
ROWS_PER_BATCH_READ = 100
ROWS_PER_BATCH_WRITE = 200
COLUMNS_PER_WRITE = 1_000
"""The service takes 1,024 columns in one write."""


class FoundRow(NamedTuple):
    """A row as far as it was read."""

    key: Key
    columns: dict[str, Any]
    more: bytes = b""
    """Where the rest of a wide row begins; empty when nothing is missing."""


class FoundRange(NamedTuple):
    """Part of a range."""

    rows: list[FoundRow]
    next_key: Key | None
    """Where the next part begins; None at the end."""


class Change(NamedTuple):
    """What an update does to a row."""

    put: Mapping[str, Any] = {}
    add: Mapping[str, int] = {}
    """Amounts to add to integer columns; one that is missing counts as 0."""
    drop: Sequence[str] = ()


class _TablestoreCredentials(sdk.CredentialsProvider):  # type: ignore[misc] # the SDK has no types
    """Asks for the credentials at every request, as the SDK offers to."""

    def __init__(self, source: CredentialsSource) -> None:
        self._source = source

    def get_credentials(self) -> Any:
        now = self._source()
        token = now.security_token.reveal() or None
        return sdk.Credentials(now.access_key_id, now.access_key_secret.reveal(), token)


def open_sdk(access: TablestoreAccess, *, timeout_s: float) -> Any:
    """The vendor's client, which tries nothing twice: not by its own policy, and not by that of its HTTP library.

    Asks nothing of the service. Raises ``StoreRefused`` for an endpoint or an instance that cannot be.
    """
    try:
        client = sdk.OTSClient(
            access.url,
            instance_name=access.instance,
            credentials_provider=_TablestoreCredentials(access.credentials),
            region=access.region or None,
            socket_timeout=Timeout(connect=min(CONNECT_TIMEOUT_S, timeout_s), read=timeout_s),
            max_connection=CONNECTIONS_MAX,
            retry_policy=sdk.NoRetryPolicy(),
            logger_name=CLIENT_LOGGER,
            enable_native=False,  # it is made for one version of Python only; so all of them run the same code
        )
    except sdk.OTSClientError as error:
        raise StoreRefused(f"Tablestore cannot be opened: {error}") from error
    client.connection.pool.connection_pool_kw["retries"] = False  # or a dead host costs four times the time-out
    return client


class TablestoreClient:
    """Each method is one call to the service. Raises ``OutcomeUnknown`` or ``StoreRefused``; safe in threads."""

    def __init__(self, access: TablestoreAccess, *, timeout_s: float) -> None:
        self._table = access.table
        self._sdk = open_sdk(access, timeout_s=timeout_s)

    def close(self) -> None:
        """Let go of the connections."""
        self._sdk.connection.pool.clear()

    def read(
        self,
        key: Key,
        *,
        columns: Sequence[str] = (),
        between: tuple[str, str] = ("", ""),
        token: bytes = b"",
    ) -> FoundRow | None:
        """A row with ``columns``, with those whose names are ``between`` two, or with all. Never stale."""
        first, end = between
        with translated():
            _, row, more = self._sdk.get_row(
                self._table,
                key,
                list(columns),
                start_column=first or None,
                end_column=end or None,
                token=token or None,
            )
        return None if row is None else _found(row, more or b"")

    def read_many(self, keys: Sequence[Key], *, columns: Sequence[str]) -> list[FoundRow | None]:
        """Up to ``ROWS_PER_BATCH_READ`` different rows, in their order. One that fails is read again by itself."""
        request = sdk.BatchGetRowRequest()
        request.add(sdk.TableInBatchGetRowItem(self._table, list(keys), list(columns), max_version=1))
        with translated():
            items = self._sdk.batch_get_row(request).get_result_by_table(self._table)
        rows: list[FoundRow | None] = []
        for key, item in zip(keys, items, strict=True):
            if not item.is_ok:
                rows.append(self.read(key, columns=columns))
            elif item.row is None or not item.row.primary_key:
                rows.append(None)
            else:
                rows.append(_found(item.row))
        return rows

    def read_range(
        self, start: Key, end: Key, *, index: str = "", columns: Sequence[str] = (), limit: int | None = None
    ) -> FoundRange:
        """Rows from ``start`` until before ``end``: as many as the service gives at once, or ``limit``."""
        with translated():
            _, next_key, rows, _ = self._sdk.get_range(
                index or self._table, sdk.Direction.FORWARD, start, end, list(columns), limit
            )
        return FoundRange([_found(row) for row in rows], next_key or None)

    def read_rows(
        self,
        start: Key,
        end: Key,
        *,
        index: str = "",
        columns: Sequence[str] = (),
        limit: int | None = None,
        part_rows: int | None = None,
    ) -> Iterator[FoundRow]:
        """All rows from ``start`` until before ``end``, or the first ``limit``: as many calls as the service wants.

        Holds ``part_rows`` at a time, or as many as the service gives at once.
        """
        seen = 0
        next_key: Key | None = start
        while next_key is not None and (limit is None or seen < limit):
            wanted = part_rows if limit is None else limit - seen
            found = self.read_range(next_key, end, index=index, columns=columns, limit=wanted)
            yield from found.rows
            seen += len(found.rows)
            next_key = found.next_key

    def put(self, key: Key, columns: Mapping[str, Any], condition: RowCondition) -> bool:
        """Write a whole row. False: the condition did not hold."""
        return self._write(self._sdk.put_row, sdk.Row(key, list(columns.items())), condition)

    def update(self, key: Key, change: Change, condition: RowCondition) -> bool:
        """Change a row, all of it or nothing. False: the condition did not hold."""
        changes = {
            "PUT": list(change.put.items()),
            "INCREMENT": [(name, amount) for name, amount in change.add.items() if amount],
            "DELETE_ALL": list(change.drop),
        }
        row = sdk.Row(key, {kind: columns for kind, columns in changes.items() if columns})
        return self._write(self._sdk.update_row, row, condition)

    def delete(self, key: Key, condition: RowCondition) -> bool:
        """Remove a row. False: the condition did not hold."""
        return self._write(self._sdk.delete_row, key, condition)

    def delete_many(self, keys: Iterable[Key]) -> None:
        """Remove up to ``ROWS_PER_BATCH_WRITE`` rows, each by itself; those that do not exist are no error."""
        request = sdk.BatchWriteRowRequest()
        items = [sdk.DeleteRowItem(sdk.Row(key), any_row().vendor) for key in keys]
        request.add(sdk.TableInBatchWriteRowItem(self._table, items))
        with translated():
            response = self._sdk.batch_write_row(request)
        for item in response.get_delete()[1]:
            raise failure(item.error_code, item.error_message)

    def _write(self, call: Any, row: Any, condition: RowCondition) -> bool:
        """The only way to write one row: never without a condition, whose failing is an answer and no error."""
        with translated():
            try:
                call(self._table, row, condition.vendor)
            except sdk.OTSServiceError as error:
                if error.code == CONDITION_FAILED:
                    return False
                raise
        return True


def _found(row: Any, more: bytes = b"") -> FoundRow:
    columns = {name: value for name, value, _ in row.attribute_columns}
    return FoundRow([(name, value) for name, value, *_ in row.primary_key], columns, more)


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
    for _ in range(CHANGES_MAX):
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
