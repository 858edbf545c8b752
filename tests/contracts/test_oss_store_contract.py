"""The OSS store keeps the contract over the stand-in, alone and wrapped; with ``--live`` over OSS itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.emulators.oss import OssServer, serving_oss
from sluice.adapters.forwarding_store import SplitStore
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.retrying import RetryingStore
from sluice.ports.object_store import ObjectStore
from tests.contracts.object_store_contract import ObjectStoreContract
from tests.contracts.upload_contract import UploadContract
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.oss_stores import live_corner, opened_oss

pytestmark = pytest.mark.slow  # each test starts, or asks, a server or processes


class OnStandIn(ObjectStoreContract, UploadContract):
    @pytest.fixture(autouse=True)
    def serve(self, tmp_path: Path) -> Iterator[None]:
        with serving_oss(folder=tmp_path) as self.oss, ExitStack() as self.open_things:
            yield

    def open_store(self, folder: Path) -> ObjectStore:
        return self.open_things.enter_context(opened_oss(self.oss))

    oss: OssServer
    open_things: ExitStack


class TestOssStore(OnStandIn):
    pass


class TestWrappedOssStores(OnStandIn):
    """As a service has them: two buckets, each call repeated, and here pages so small that listings have many."""

    def open_store(self, folder: Path) -> ObjectStore:
        stores = [
            RetryingStore(
                self.open_things.enter_context(opened_oss(self.oss, bucket, page_max=7)),
                clock=FakeClock(),
                randomness=SeededRandomness(),
            )
            for bucket in ("sluice-in", "sluice-out")
        ]
        return SplitStore(input=stores[0], output=stores[1])


class TestSplitStore(ObjectStoreContract, UploadContract):
    def open_store(self, folder: Path) -> ObjectStore:
        return SplitStore(input=MemoryStore(clock=FakeClock()), output=MemoryStore(clock=FakeClock()))


@pytest.mark.live
@pytest.mark.timeout(600)
class TestLiveOssStore(ObjectStoreContract, UploadContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ObjectStore]:
        with live_corner() as corner:
            yield corner

    def open_store(self, folder: Path) -> ObjectStore:
        raise AssertionError("the fixture above opens it")
