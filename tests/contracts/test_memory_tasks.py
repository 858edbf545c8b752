"""The in-memory task store keeps the contract."""

from pathlib import Path

from sluice.adapters.memory.tasks import MemoryTasks
from sluice.ports.task_store import TaskStore
from tests.contracts.task_listing_contract import TaskListingContract
from tests.contracts.task_race_contract import TaskRaceContract
from tests.contracts.task_store_contract import TaskStoreContract


class TestMemoryTasks(TaskStoreContract, TaskListingContract, TaskRaceContract):
    def open_store(self, folder: Path) -> TaskStore:
        return MemoryTasks()
