"""The S3 store keeps the contract over moto's server; with ``--live`` over a real bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.ports.object_store import ObjectStore
from tests.contracts.object_store_contract import ObjectStoreContract
from tests.contracts.upload_contract import UploadContract
from tests.support.s3_server import S3Server, serving_s3
from tests.support.s3_stores import live_s3, s3_store

pytestmark = pytest.mark.slow  # each test starts, or asks, a server or processes


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serving_s3() as s3:
        yield s3


class TestS3Store(ObjectStoreContract, UploadContract):
    part_bytes = 2 << 20
    races = 6
    """So that three parts are more than one of S3's own, which is at least 5 MiB."""
    metadata_names = 15
    """S3 keeps 2 KB of metadata."""

    @pytest.fixture(autouse=True)
    def use(self, s3: S3Server) -> None:
        self.s3 = s3

    def open_store(self, folder: Path) -> ObjectStore:
        return s3_store(self.s3)

    s3: S3Server


@pytest.mark.live
@pytest.mark.timeout(600)
class TestLiveS3Store(ObjectStoreContract, UploadContract):
    part_bytes = TestS3Store.part_bytes
    metadata_names = TestS3Store.metadata_names

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ObjectStore]:
        with live_s3() as (_, store):
            yield store

    def open_store(self, folder: Path) -> ObjectStore:
        raise AssertionError("the fixture above opens it")
