"""The directory store keeps the contract, and so do the wrappers around it."""

from pathlib import Path

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.forwarding_store import TriggeringStore
from sluice.adapters.retrying import RetryingStore
from sluice.adapters.system_clock import SystemRandomness
from sluice.ports.object_store import ObjectStore
from tests.contracts.object_store_contract import ObjectStoreContract
from tests.contracts.upload_contract import UploadContract
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.recorded_invoker import RecordedInvoker


def skip_sync(descriptor: int) -> None:
    """The contract is about processes, not about power failures."""


class TestDirectoryStore(ObjectStoreContract, UploadContract):
    def open_store(self, folder: Path) -> ObjectStore:
        return DirectoryStore(folder, randomness=SystemRandomness(), sync=skip_sync)


class TestWrappedDirectoryStore(ObjectStoreContract, UploadContract):
    def open_store(self, folder: Path) -> ObjectStore:
        store = DirectoryStore(folder, randomness=SystemRandomness(), sync=skip_sync)
        retrying = RetryingStore(store, clock=FakeClock(), randomness=SeededRandomness())
        return TriggeringStore(retrying, RecordedInvoker())
