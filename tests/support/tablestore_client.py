"""The vendor's client for the table store, unmodified, imported without its remarks and closed after use."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from infra.emulators.tablestore import StsCredentials, TablestoreServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a codec compiled for another Python
    logging.getLogger("tablestore").setLevel(logging.ERROR)  # the same remark, logged
    import tablestore
    from tablestore.retry import NoRetryPolicy

Client: TypeAlias = Any
"""The SDK has no types."""
Signing: TypeAlias = Literal["v2", "v4"]
ots: Any = tablestore
"""The SDK's names."""


@contextmanager
def connecting(
    server: TablestoreServer,
    *,
    signing: Signing = "v4",
    credentials: StsCredentials | None = None,
    timeout_s: float = 10,
    **others: Any,
) -> Iterator[Client]:
    """Connect to the server while the block runs; the SDK retries nothing unless ``others`` says so."""
    given: dict[str, Any] = {
        "end_point": server.endpoint,
        "access_key_id": credentials.access_key_id if credentials else server.access_key_id,
        "access_key_secret": credentials.access_key_secret if credentials else server.access_key_secret,
        "sts_token": credentials.security_token if credentials else None,
        "instance_name": server.instance,
        "region": server.region if signing == "v4" else None,
        "socket_timeout": timeout_s,
        "retry_policy": NoRetryPolicy(),
    }
    client = tablestore.OTSClient(**(given | others))
    try:
        yield client
    finally:
        client.connection.pool.clear()


def create_table(client: Client, name: str = "tasks", *, versions_max: int = 1, **others: Any) -> None:
    """Create a table with the key (pk, sk), two texts, and two defined columns."""
    client.create_table(
        ots.TableMeta(name, [("pk", "STRING"), ("sk", "STRING")], [("state", "STRING"), ("due", "INTEGER")]),
        ots.TableOptions(-1, versions_max, 4 * 10**9),
        ots.ReservedThroughput(ots.CapacityUnit(0, 0)),
        **others,
    )


def key(task: str, sk: str = "T") -> list[tuple[str, Any]]:
    """Spell a primary key of ``create_table``'s."""
    return [("pk", task), ("sk", sk)]


def put(client: Client, task: str, table: str = "tasks", **columns: Any) -> None:
    """Put the row of a task, whatever was there."""
    client.put_row(table, ots.Row(key(task), list(columns.items())), ots.Condition("IGNORE"))


def columns_of(client: Client, task: str, table: str = "tasks") -> dict[str, Any] | None:
    """Read the row of a task: its columns, or None for no row."""
    _, row, _ = client.get_row(table, key(task), max_version=1)
    return None if row is None else {name: value for name, value, _ in row.attribute_columns}
