"""The SQLite task store keeps the contract, and so does the wrapper around it."""

from pathlib import Path

from sluice.adapters.retrying import RetryingTasks
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.ports.task_store import TaskStore
from tests.contracts.task_listing_contract import TaskListingContract
from tests.contracts.task_race_contract import TaskRaceContract
from tests.contracts.task_store_contract import TaskStoreContract
from tests.support.fake_clock import FakeClock, SeededRandomness


class TestSqliteTasks(TaskStoreContract, TaskListingContract, TaskRaceContract):
    def open_store(self, folder: Path) -> TaskStore:
        return SqliteTasks(folder / "tasks.sqlite3", synchronous="OFF")


class ClosableRetryingTasks(RetryingTasks):
    """Closes the store inside, for the suite."""

    def __init__(self, tasks: SqliteTasks) -> None:
        super().__init__(tasks, clock=FakeClock(), randomness=SeededRandomness())
        self.close = tasks.close


class TestWrappedSqliteTasks(TaskStoreContract, TaskListingContract, TaskRaceContract):
    def open_store(self, folder: Path) -> TaskStore:
        return ClosableRetryingTasks(SqliteTasks(folder / "tasks.sqlite3", synchronous="OFF"))
