"""The Tablestore task store keeps the contract over the unmodified SDK, alone, wrapped, and in the cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.emulators.tablestore import TablestoreServer, serving_tablestore
from sluice.adapters.aliyun.tablestore.tasks import TablestoreTasks
from sluice.adapters.retrying import RetryingTasks
from sluice.domain.keys import TaskRef
from sluice.ports.task_store import TaskStore
from tests.contracts.task_listing_contract import TaskListingContract
from tests.contracts.task_race_contract import TaskRaceContract
from tests.contracts.task_store_contract import TaskStoreContract
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.live_cloud import live_tablestore
from tests.support.tablestore_tables import LAG_S, TIMEOUT_S, access_to, drop_column, open_tasks, prepare_empty

pytestmark = pytest.mark.slow  # each test starts, or asks, a server or processes


class OnStandIn(TaskStoreContract, TaskListingContract):
    """A server of its own for each test, so that its table is empty."""

    claims_many = 1_200
    """More than one write may carry; ten thousand are among the service's own cases."""

    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        with serving_tablestore() as self.ots:
            yield

    def open_store(self, folder: Path) -> TaskStore:
        return open_tasks(self.ots)

    def drop_column(self, store: TaskStore, ref: TaskRef, column: str) -> None:
        drop_column(access_to(self.ots), ref, column)

    ots: TablestoreServer


class TestTablestoreTasks(OnStandIn, TaskRaceContract):
    pass


class TestTablestoreTasksWithSlowIndexes(TaskListingContract):
    """What the indexes show comes late, and is right in the end."""

    lag_s = 5.0

    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        with serving_tablestore() as self.ots:
            self.ots.index_lag_s = 0.06
            yield

    def open_store(self, folder: Path) -> TaskStore:
        return open_tasks(self.ots)

    ots: TablestoreServer


class ClosableRetryingTasks(RetryingTasks):
    """Closes the store inside, for the suite."""

    def __init__(self, tasks: TablestoreTasks) -> None:
        super().__init__(tasks, clock=FakeClock(), randomness=SeededRandomness())
        self.close = tasks.close


class TestWrappedTablestoreTasks(OnStandIn):
    claims_many = 200
    """The wrapper hands a claim on whatever the row holds; the bare store has the many."""

    def open_store(self, folder: Path) -> TaskStore:
        return ClosableRetryingTasks(open_tasks(self.ots))


@pytest.mark.live
@pytest.mark.timeout(900)
class TestLiveTablestoreTasks(TaskStoreContract, TaskListingContract, TaskRaceContract):
    lag_s = LAG_S

    def open_store(self, folder: Path) -> TaskStore:
        access = live_tablestore()
        prepare_empty(access)
        return TablestoreTasks(access, timeout_s=TIMEOUT_S)

    def drop_column(self, store: TaskStore, ref: TaskRef, column: str) -> None:
        drop_column(live_tablestore(), ref, column)
