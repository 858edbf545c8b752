"""Several processes share a bucket of S3, and may be killed at any moment."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator

import pytest

from sluice.adapters.s3.store import S3Store
from tests.contracts.crc64_oracle import crc64_oracle
from tests.contracts.store_worker import part
from tests.contracts.worker_processes import race, working
from tests.support.s3_server import S3Server, serving_s3
from tests.support.s3_stores import environment, s3_settings, s3_store

pytestmark = pytest.mark.slow  # each test starts, or asks, a server or processes

KILLS = 6
KEY = "out/v1/result.bin"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[str]:
    name = s3.add_bucket()
    with environment(s3_settings(s3, name)):
        yield name


@pytest.fixture
def store(s3: S3Server, bucket: str) -> S3Store:
    return s3_store(s3, bucket)


def test_a_killed_writer_leaves_every_object_absent_or_whole_and_what_it_leaves_can_be_cleared_away(
    store: S3Store, bucket: str
) -> None:
    checked = 0
    for _ in range(KILLS):
        with working("write_objects", f"s3://{bucket}/some/prefix"):
            time.sleep(random.uniform(0.05, 0.4))
        for item in store.list(""):
            info, data = store.head(item.key), store.get(item.key)
            assert info.metadata["sha256"] == hashlib.sha256(data).hexdigest()
            assert (info.size, info.crc64) == (len(data), crc64_oracle(data))
            checked += 1
    assert checked > KILLS, "the writers hardly wrote"
    objects = [(item.key, store.get(item.key)) for item in store.list("")]
    for upload in list(store.list_uploads("")):
        store.abort_upload(upload)
    assert list(store.list_uploads("")) == []
    assert [(item.key, store.get(item.key)) for item in store.list("")] == objects


def test_processes_put_parts_of_one_upload_and_one_of_them_completes_it(store: S3Store, bucket: str) -> None:
    upload, root = store.begin_upload(KEY, metadata={"m": "1"}), f"s3://{bucket}/some/prefix"
    race([("put_parts", root, KEY, upload.upload_id, str(number)) for number in range(4)])
    contents = [part(number) for number in range(1, 41)]
    etags = ",".join(store.put_part(upload, number, data).etag for number, data in enumerate(contents, start=1))
    outcomes = race([("complete", root, KEY, upload.upload_id, etags) for _ in range(4)])
    assert sorted(outcomes) == ["NoSuchUpload"] * 3 + ["done"]
    assert store.get(KEY) == b"".join(contents)
    assert dict(store.head(KEY).metadata) == {"m": "1"}
