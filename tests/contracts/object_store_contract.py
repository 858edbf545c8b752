"""What every object store must do, uploads in parts aside. ``C…`` are the cases of the test plan."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import NoSuchObject
from tests.contracts.at_once import repeating
from tests.contracts.crc64_oracle import crc64_oracle

BLOCK_BYTES = 1 << 20

ILLEGAL_KEYS = {
    "empty": "",
    "absolute": "/a",
    "a folder": "a/",
    "an empty folder name": "a//b",
    "this folder": "./a",
    "the folder above": "../a",
    "out of a folder": "a/../../b",
    "only dots": "..",
    "a space": "a b",
    "a plus": "a+b",
    "a percent": "a%2e",
    "a backslash": "a\\b",
    "a line break at the end": "a\n",
    "NUL": "a\0b",
    "not ASCII": "报表",
    "digits that are not ASCII": "a\N{ARABIC-INDIC DIGIT ONE}",
    "too long": "a/" * 511 + "ab",
}

ILLEGAL_METADATA = {
    "a value beyond ASCII": {"name": "报表"},
    "a line break": {"name": "a\r\nx-other: b"},
    "NUL": {"name": "a\0"},
    "a space before it": {"name": " a"},
    "a space behind it": {"name": "a "},
    "a name beyond ASCII": {"näme": "a"},
    "a name with a colon": {"a:b": "c"},
    "a name in upper case": {"Name": "headers do not keep case"},
    "an empty name": {"": "a"},
}


class ObjectStoreContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    large_bytes = 8 << 20
    """Large enough for a write to take more than a moment."""
    metadata_names = 40
    """Of 100 characters each: more than any caller has."""

    @abstractmethod
    def open_store(self, folder: Path) -> ObjectStore:
        """A new and empty store; ``folder`` is its own, if it needs one."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return self.open_store(tmp_path)

    @pytest.mark.parametrize("size", [0, 1, 5 << 20])
    def test_what_was_put_is_what_is_read(self, store: ObjectStore, size: int) -> None:  # C1
        data = random.Random(size).randbytes(size)
        store.put("a/b.bin", data)
        assert store.get("a/b.bin") == data
        assert b"".join(store.read_range("a/b.bin", 0, size)) == data

    def test_a_reader_may_stop_half_way(self, store: ObjectStore) -> None:
        store.put("a", bytes(3 * BLOCK_BYTES))
        blocks = store.read_range("a", 0, 3 * BLOCK_BYTES)
        first = next(blocks)
        assert first == bytes(len(first))
        assert 0 < len(first) <= BLOCK_BYTES
        blocks.close()
        assert list(blocks) == []
        assert store.get("a") == bytes(3 * BLOCK_BYTES)

    def test_head_describes_the_object(self, store: ObjectStore) -> None:
        store.put("a", b"some content", metadata={"epoch": "3", "writer-version": "x y=z;"})
        info = store.head("a")
        assert (info.key, info.size, info.crc64) == ("a", 12, crc64_oracle(b"some content"))
        assert dict(info.metadata) == {"epoch": "3", "writer-version": "x y=z;"}

    def test_metadata_may_be_missing(self, store: ObjectStore) -> None:
        store.put("a", b"")
        assert dict(store.head("a").metadata) == {}

    def test_metadata_may_be_long(self, store: ObjectStore) -> None:
        metadata = {f"name-{number}": "v" * 100 for number in range(self.metadata_names)}
        store.put("a", b"data", metadata=metadata)
        assert dict(store.head("a").metadata) == metadata
        assert store.get("a") == b"data"

    def test_a_second_put_replaces_all_of_the_first(self, store: ObjectStore) -> None:  # C2
        store.put("a", b"old and longer", metadata={"old": "1"})
        store.put("a", b"new", metadata={"new": "2"})
        assert store.get("a") == b"new"
        assert b"".join(store.read_range("a", 0, 100)) == b"new"
        assert (store.head("a").size, dict(store.head("a").metadata)) == (3, {"new": "2"})
        assert [item.size for item in store.list("")] == [3]

    def test_putting_the_same_again_changes_nothing(self, store: ObjectStore) -> None:
        for _ in range(3):
            store.put("a", b"data", metadata={"m": "1"})
        assert (store.get("a"), dict(store.head("a").metadata)) == (b"data", {"m": "1"})

    def test_a_reader_sees_the_old_object_or_the_new_one_whole(self, store: ObjectStore) -> None:  # C3
        versions = [bytes([65 + number]) * (self.large_bytes + number) for number in range(2)]
        store.put("a", versions[0], metadata={"version": "0"})
        seen = set()
        with repeating(lambda turn: store.put("a", versions[turn % 2], metadata={"version": str(turn % 2)})):
            for _ in range(15):
                data, info = store.get("a"), store.head("a")
                assert data in versions
                assert info.size == len(versions[int(info.metadata["version"])])
                seen.add(len(data))
        assert seen <= {len(version) for version in versions}

    def test_a_range_of_an_object_that_is_replaced_comes_from_one_of_the_two(self, store: ObjectStore) -> None:
        store.put("a", b"A" * 3 * BLOCK_BYTES)
        blocks = store.read_range("a", 0, 3 * BLOCK_BYTES)
        first = next(blocks)
        store.put("a", b"B" * 3 * BLOCK_BYTES)
        assert set(first + b"".join(blocks)) == {ord("A")}

    @pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 1), (3, 7), (9, 10), (0, 10), (4, 100), (10, 10)])
    def test_a_range_is_what_a_slice_would_be(self, store: ObjectStore, start: int, end: int) -> None:
        store.put("a", b"0123456789", metadata={"not": "part of the content"})
        assert b"".join(store.read_range("a", start, end)) == b"0123456789"[start:end]

    def test_a_range_comes_in_blocks_of_bounded_size(self, store: ObjectStore) -> None:
        data = random.Random(1).randbytes(3 * BLOCK_BYTES + 1)
        store.put("a", data)
        blocks = list(store.read_range("a", 5, len(data)))
        assert b"".join(blocks) == data[5:]
        assert max(len(block) for block in blocks) <= BLOCK_BYTES

    def test_what_does_not_exist_cannot_be_read(self, store: ObjectStore) -> None:
        store.put("a/b", b"")
        for key in ("a", "a/b/c", "b"):
            with pytest.raises(NoSuchObject):
                store.get(key)
            with pytest.raises(NoSuchObject):
                store.head(key)
            blocks = store.read_range(key, 0, 1)
            with pytest.raises(NoSuchObject):
                next(blocks)

    def test_deleting_removes_the_named_objects_and_no_other(self, store: ObjectStore) -> None:
        for key in ("a/b", "a/c", "a/b/d", "e"):
            store.put(key, b"")
        store.delete(["a/b", "e"])
        assert [item.key for item in store.list("")] == ["a/b/d", "a/c"]
        with pytest.raises(NoSuchObject):
            store.head("a/b")

    def test_deleting_what_does_not_exist_is_no_error(self, store: ObjectStore) -> None:
        store.put("a", b"")
        store.delete(["a", "b", "c/d"])
        store.delete(["a"])
        store.delete([])
        assert list(store.list("")) == []

    def test_an_object_can_be_put_again_where_one_was_deleted(self, store: ObjectStore) -> None:
        store.put("a/b/c", b"1")
        store.delete(["a/b/c"])
        store.put("a/b/c", b"2")
        assert store.get("a/b/c") == b"2"

    def test_more_objects_are_deleted_than_one_request_of_a_vendor_takes(self, store: ObjectStore) -> None:
        keys = [f"many/{number:04d}" for number in range(1001)]
        for key in keys:
            store.put(key, b"")
        store.delete(keys)
        assert list(store.list("many/")) == []

    def test_a_listing_is_in_order_of_key(self, store: ObjectStore) -> None:  # C13
        keys = ["b", "a/b", "a-b", "a.b", "a", "a/b/c", "a0", "A", "a_b", "a/b.c", "a/b-c", "a/c/d"]
        for key in keys:
            store.put(key, b"")
        assert [item.key for item in store.list("")] == sorted(keys)

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("a/", ["a/1", "a/2/x", "a/2y"]),
            ("a/2", ["a/2/x", "a/2y"]),
            ("a/2/", ["a/2/x"]),
            ("a", ["a", "a/1", "a/2/x", "a/2y", "ab"]),
            ("a/1", ["a/1"]),
            ("c", []),
            ("a/1/", []),
            ("a/3/b/c", []),
        ],
    )
    def test_a_listing_has_the_keys_that_start_with_the_prefix(
        self, store: ObjectStore, prefix: str, expected: list[str]
    ) -> None:
        for key in ("a", "a/1", "a/2/x", "a/2y", "ab", "b/a/1"):
            store.put(key, b"")
        assert [item.key for item in store.list(prefix)] == expected

    def test_a_listing_tells_size_and_time(self, store: ObjectStore) -> None:
        store.put("a", b"12345", metadata={"m": "not counted"})
        (item,) = store.list("a")
        assert item.size == 5
        assert item.modified_at > 1_600_000_000, "Unix seconds"

    def test_a_listing_sees_every_put_that_returned_before(self, store: ObjectStore) -> None:  # C13
        for number in range(50):
            store.put(f"a/{number:03d}", b"")
            assert sum(1 for _ in store.list("a/")) == number + 1

    def test_objects_may_go_while_they_are_listed(self, store: ObjectStore) -> None:
        for number in range(30):
            store.put(f"a/{number:02d}/b", b"")
        listing = store.list("a/")
        first = next(listing).key
        store.delete([item.key for item in store.list("a/")])
        rest = [item.key for item in listing]
        assert rest == sorted(rest)
        assert first not in rest

    @pytest.mark.parametrize("key", ILLEGAL_KEYS.values(), ids=ILLEGAL_KEYS.keys())
    def test_an_illegal_key_is_refused_everywhere(self, store: ObjectStore, key: str) -> None:  # C15
        with pytest.raises(ValueError):
            store.put(key, b"")
        with pytest.raises(ValueError):
            store.get(key)
        with pytest.raises(ValueError):
            store.head(key)
        with pytest.raises(ValueError):
            next(store.read_range(key, 0, 1))
        with pytest.raises(ValueError):
            store.delete([key])
        with pytest.raises(ValueError):
            store.begin_upload(key, metadata={})
        assert list(store.list("")) == []

    @pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a//", "a b", "a\n"])
    def test_an_illegal_prefix_is_refused(self, store: ObjectStore, prefix: str) -> None:
        with pytest.raises(ValueError):
            list(store.list(prefix))
        with pytest.raises(ValueError):
            list(store.list_uploads(prefix))

    @pytest.mark.parametrize("key", ["...", ".a", "a..b/c", "-", "_", "A.b-C_d/0", "x" * 200, "a/" * 500 + "b"])
    def test_an_odd_but_legal_key_is_taken(self, store: ObjectStore, key: str) -> None:  # C15
        store.put(key, b"data")
        assert store.get(key) == b"data"
        assert [item.key for item in store.list("")] == [key]

    @pytest.mark.parametrize("metadata", ILLEGAL_METADATA.values(), ids=ILLEGAL_METADATA.keys())
    def test_metadata_that_headers_cannot_carry_is_refused(self, store: ObjectStore, metadata: dict[str, str]) -> None:
        with pytest.raises(ValueError):  # C14
            store.put("a", b"", metadata=metadata)
        with pytest.raises(ValueError):
            store.begin_upload("a", metadata=metadata)
        assert list(store.list("")) == []
        assert list(store.list_uploads("")) == []
