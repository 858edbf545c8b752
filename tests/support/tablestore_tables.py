"""Our tables in Tablestore, in a stand-in or live: made, opened, emptied, damaged behind the store's back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing

from infra.emulators.tablestore import TablestoreServer
from sluice.adapters.aliyun.credentials import Credentials, FixedCredentials
from sluice.adapters.aliyun.tablestore.client import ROWS_PER_BATCH_WRITE, TablestoreClient, open_sdk
from sluice.adapters.aliyun.tablestore.rows import Key, task_key
from sluice.adapters.aliyun.tablestore.schema import TASKS, TablestoreAccess
from sluice.adapters.aliyun.tablestore.sdk import sdk
from sluice.adapters.aliyun.tablestore.tables import create_tables
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.domain.keys import TaskRef
from sluice.domain.secret import Secret
from sluice.ports.store_errors import OutcomeUnknown

TABLE = "export_task"
TIMEOUT_S = 5.0
READY_S = 120.0
"""A new table of the real service takes about a minute."""
LAG_S = 30.0
"""Longer than indexes of the real service lag."""


def access_to(ots: TablestoreServer, *, table: str = TABLE) -> TablestoreAccess:
    return TablestoreAccess(
        endpoint=ots.endpoint,
        instance=ots.instance,
        region=ots.region,
        table=table,
        credentials=FixedCredentials(Credentials(ots.access_key_id, Secret(ots.access_key_secret))),
    )


def open_tasks(ots: TablestoreServer, *, timeout_s: float = TIMEOUT_S) -> TablestoreTasks:
    """A store over the table, which is made if it is not there."""
    access = access_to(ots)
    create_tables(access, timeout_s=TIMEOUT_S)
    return TablestoreTasks(access, timeout_s=timeout_s)


def prepare_empty(access: TablestoreAccess) -> None:
    """Make the tables if they are not there, and the one of the tasks empty; its indexes too."""
    create_tables(access, timeout_s=30)
    with closing(TablestoreClient(access, timeout_s=TIMEOUT_S)) as client:
        _until(lambda: _answers(client), READY_S)
        _empty(client)
        for index in TASKS.indexes:
            bounds = [[(name, bound) for name in index.key] for bound in (sdk.INF_MIN, sdk.INF_MAX)]
            name = index.name_in(access.table)
            _until(lambda name=name, bounds=bounds: not client.read_range(*bounds, index=name).rows, LAG_S)  # type: ignore[misc]  # defaults bind the loop's values


def freeze_indexes(ots: TablestoreServer, access: TablestoreAccess) -> None:
    """Let the stand-in's indexes show what there is now and, until their lag is set again, nothing that comes."""
    ots.index_lag_s = 0
    with closing(TablestoreClient(access, timeout_s=TIMEOUT_S)) as client:
        for index in TASKS.indexes:  # reading one brings it up to date
            first, end = ([(name, bound) for name in index.key] for bound in (sdk.INF_MIN, sdk.INF_MAX))
            client.read_range(first, end, index=index.name_in(access.table))
    ots.index_lag_s = math.inf


def drop_column(access: TablestoreAccess, ref: TaskRef, column: str) -> None:
    """Remove one column of a task's row, as none of our own code would."""
    row = sdk.Row(task_key(ref), {"DELETE_ALL": [column]})
    open_sdk(access, timeout_s=TIMEOUT_S).update_row(access.table, row, None)


def _answers(client: TablestoreClient) -> bool:
    try:
        client.read_range(*_bounds(), limit=1)
    except OutcomeUnknown:
        return False  # the table is not ready
    return True


def _empty(client: TablestoreClient) -> None:
    keys = [row.key for row in client.read_rows(*_bounds(), columns=["pk"])]
    for start in range(0, len(keys), ROWS_PER_BATCH_WRITE):
        client.delete_many(keys[start : start + ROWS_PER_BATCH_WRITE])


def _bounds() -> tuple[Key, Key]:
    first, end = ([(column.name, bound) for column in TASKS.key] for bound in (sdk.INF_MIN, sdk.INF_MAX))
    return first, end


def _until(holds: Callable[[], bool], within_s: float) -> None:
    over = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < over, "the service is not ready in time"
        time.sleep(0.2)
