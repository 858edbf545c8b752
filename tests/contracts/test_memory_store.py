"""The in-memory object store keeps the contract."""

from pathlib import Path

from sluice.adapters.memory.store import MemoryStore
from sluice.ports.object_store import ObjectStore
from tests.contracts.object_store_contract import ObjectStoreContract
from tests.contracts.upload_contract import UploadContract
from tests.support.fake_clock import FakeClock


class TestMemoryStore(ObjectStoreContract, UploadContract):
    def open_store(self, folder: Path) -> ObjectStore:
        return MemoryStore(clock=FakeClock())
