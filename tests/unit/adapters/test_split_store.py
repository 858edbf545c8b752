"""Which of two buckets a call goes to."""

from __future__ import annotations

import pytest

from sluice.adapters.forwarding_store import SplitStore
from sluice.adapters.memory.store import MemoryStore
from sluice.ports.store_errors import NoSuchObject
from tests.support.fake_clock import FakeClock


@pytest.fixture
def stores() -> tuple[SplitStore, MemoryStore, MemoryStore]:
    bucket_in, bucket_out = (MemoryStore(clock=FakeClock()) for _ in range(2))
    return SplitStore(input=bucket_in, output=bucket_out), bucket_in, bucket_out


def test_a_key_lives_in_one_of_two_buckets(stores: tuple[SplitStore, MemoryStore, MemoryStore]) -> None:
    split, bucket_in, bucket_out = stores
    for key in ("in/v1/a", "out/v1/a", "inn/a"):
        split.put(key, key.encode())
        assert split.get(key) == b"".join(split.read_range(key, 0, 99)) == key.encode()
        assert split.head(key).size == len(key)
    assert [item.key for item in bucket_in.list("")] == ["in/v1/a"]
    assert [item.key for item in bucket_out.list("")] == ["inn/a", "out/v1/a"]


def test_a_deletion_goes_to_both(stores: tuple[SplitStore, MemoryStore, MemoryStore]) -> None:
    split, bucket_in, bucket_out = stores
    bucket_in.put("out/a", b"")
    bucket_out.put("in/a", b"")
    keys = ["in/a", "out/a", "in/b"]
    for key in keys:
        split.put(key, b"")
    split.delete(keys)
    assert list(split.list("in/")) + list(split.list("out/")) == []
    assert [item.key for item in bucket_in.list("")] == ["out/a"], "another bucket's key is not ours to delete"
    with pytest.raises(NoSuchObject):
        split.head("in/a")


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        ("", ["a", "in/1", "in/2", "inn", "out/1"]),
        ("i", ["in/1", "in/2", "inn"]),
        ("in", ["in/1", "in/2", "inn"]),
        ("in/", ["in/1", "in/2"]),
        ("in/2", ["in/2"]),
        ("inn", ["inn"]),
        ("out/", ["out/1"]),
    ],
)
def test_a_listing_covers_both(
    stores: tuple[SplitStore, MemoryStore, MemoryStore], prefix: str, keys: list[str]
) -> None:
    split = stores[0]
    for key in ("out/1", "in/2", "inn", "a", "in/1"):
        split.put(key, b"")
        split.begin_upload(key, metadata={})
    assert [item.key for item in split.list(prefix)] == keys
    assert sorted(item.key for item in split.list_uploads(prefix)) == keys


def test_an_upload_stays_in_the_bucket_of_its_key(stores: tuple[SplitStore, MemoryStore, MemoryStore]) -> None:
    split, bucket_in, bucket_out = stores
    upload = split.begin_upload("out/1", metadata={})
    split.complete_upload(upload, [split.put_part(upload, 1, b"data")])
    assert bucket_out.get("out/1") == b"data"
    split.abort_upload(split.begin_upload("in/1", metadata={}))
    assert list(bucket_in.list_uploads("")) == []
