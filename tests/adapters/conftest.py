"""A stand-in of Tablestore for each test; modules whose tests share one have fixtures of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from tests.support.tablestore_tables import open_tasks


@pytest.fixture
def ots() -> Iterator[TablestoreServer]:
    with serving_tablestore() as ots:
        yield ots


@pytest.fixture
def tasks(ots: TablestoreServer) -> Iterator[TablestoreTasks]:
    with closing(open_tasks(ots)) as tasks:
        yield tasks
