"""What every object store must do with uploads in parts. ``C…`` are the cases of the test plan."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from pathlib import Path

import pytest

from sluice.ports.object_store import ObjectStore, PartReceipt, Upload
from sluice.ports.store_errors import InvalidParts, NoSuchObject, NoSuchUpload
from tests.contracts.at_once import at_once, repeating
from tests.contracts.crc64_oracle import crc64_oracle

KEY = "out/v1/result.bin"


class UploadContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    part_bytes = 100 * 1024
    races = 20
    """How often what may only go wrong by chance is tried: fewer times where each takes long."""
    """The smallest part OSS takes, but for the last."""

    @abstractmethod
    def open_store(self, folder: Path) -> ObjectStore:
        """A new and empty store; ``folder`` is its own, if it needs one."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return self.open_store(tmp_path)

    def part(self, seed: int, *, more: int = 0) -> bytes:
        return random.Random(seed).randbytes(self.part_bytes + more)

    def parts(self, count: int) -> list[bytes]:
        """Parts of one size, and a shorter last one."""
        return [*(self.part(seed) for seed in range(count - 1)), b"the last one is short"]

    def test_the_object_is_the_parts_in_order(self, store: ObjectStore) -> None:
        parts = self.parts(3)
        upload = store.begin_upload(KEY, metadata={})
        store.complete_upload(upload, _put(store, upload, parts))
        assert store.get(KEY) == b"".join(parts)
        assert [item.key for item in store.list("")] == [KEY]

    def test_the_object_carries_the_metadata_of_the_begin(self, store: ObjectStore) -> None:  # C14
        metadata = {"epoch": "2", "nonce": "0123456789abcdef", "manifest": "f" * 32}
        upload = store.begin_upload(KEY, metadata=metadata)
        store.complete_upload(upload, _put(store, upload, [b"data"]))
        assert dict(store.head(KEY).metadata) == metadata

    def test_head_tells_checksum_and_size_of_the_whole(self, store: ObjectStore) -> None:  # C16
        parts = self.parts(4)
        upload = store.begin_upload(KEY, metadata={})
        store.complete_upload(upload, _put(store, upload, parts))
        info = store.head(KEY)
        assert (info.size, info.crc64) == (len(b"".join(parts)), crc64_oracle(b"".join(parts)))

    def test_nothing_is_visible_before_the_upload_is_complete(self, store: ObjectStore) -> None:  # C4
        upload = store.begin_upload(KEY, metadata={})
        receipts = _put(store, upload, self.parts(2))
        assert list(store.list("")) == []
        with pytest.raises(NoSuchObject):
            store.head(KEY)
        with pytest.raises(NoSuchObject):
            store.get(KEY)
        store.complete_upload(upload, receipts)
        assert store.head(KEY).size > 0

    def test_the_old_object_stays_until_the_upload_is_complete(self, store: ObjectStore) -> None:
        store.put(KEY, b"old", metadata={"version": "1"})
        upload = store.begin_upload(KEY, metadata={"version": "2"})
        receipts = _put(store, upload, [b"new"])
        assert (store.get(KEY), dict(store.head(KEY).metadata)) == (b"old", {"version": "1"})
        store.complete_upload(upload, receipts)
        assert (store.get(KEY), dict(store.head(KEY).metadata)) == (b"new", {"version": "2"})

    def test_completing_twice_says_that_the_upload_is_over(self, store: ObjectStore) -> None:  # C5
        upload = store.begin_upload(KEY, metadata={"m": "1"})
        receipts = _put(store, upload, [b"data"])
        store.complete_upload(upload, receipts)
        with pytest.raises(NoSuchUpload):
            store.complete_upload(upload, receipts)
        assert (store.get(KEY), dict(store.head(KEY).metadata)) == (b"data", {"m": "1"})

    def test_of_many_that_complete_at_once_one_does(self, store: ObjectStore) -> None:
        parts = self.parts(3)
        upload = store.begin_upload(KEY, metadata={})
        receipts = _put(store, upload, parts)
        outcomes = at_once(16, lambda _: _outcome(store, upload, receipts))
        assert sorted(outcomes) == ["NoSuchUpload"] * 15 + ["done"]
        assert store.get(KEY) == b"".join(parts)

    @pytest.mark.parametrize("order", [[4, 3, 2, 1], [2, 4, 1, 3], [4, 1, 2, 3], [1, 3, 2, 4]])
    def test_parts_may_come_in_any_order(self, store: ObjectStore, order: list[int]) -> None:
        parts = self.parts(4)
        upload = store.begin_upload(KEY, metadata={})
        receipts = {number: store.put_part(upload, number, parts[number - 1]) for number in order}
        store.complete_upload(upload, [receipts[number] for number in sorted(order)])
        assert store.get(KEY) == b"".join(parts)
        assert store.head(KEY).crc64 == crc64_oracle(b"".join(parts))

    @pytest.mark.parametrize("extra", [[0, 5, 9], [9, 5, 0], [0, 9, 0], [5, 5, 0, 9, 1]])
    def test_parts_may_differ_in_size(self, store: ObjectStore, extra: list[int]) -> None:
        parts = [self.part(seed, more=more * 100) for seed, more in enumerate(extra)]
        upload = store.begin_upload(KEY, metadata={})
        store.complete_upload(upload, _put(store, upload, parts))
        assert store.get(KEY) == b"".join(parts)
        assert store.head(KEY).crc64 == crc64_oracle(b"".join(parts))

    def test_parts_may_be_put_at_once(self, store: ObjectStore) -> None:
        parts = self.parts(20)
        upload = store.begin_upload(KEY, metadata={})
        receipts = at_once(20, lambda index: store.put_part(upload, index + 1, parts[index]))
        store.complete_upload(upload, receipts)
        assert store.get(KEY) == b"".join(parts)

    def test_part_numbers_may_have_gaps_and_parts_may_be_left_out(self, store: ObjectStore) -> None:
        parts = {number: self.part(number) for number in (2, 3, 7, 10_000)}
        upload = store.begin_upload(KEY, metadata={})
        receipts = {number: store.put_part(upload, number, data) for number, data in parts.items()}
        store.complete_upload(upload, [receipts[2], receipts[7], receipts[10_000]])
        assert store.get(KEY) == parts[2] + parts[7] + parts[10_000]

    @pytest.mark.parametrize("number", [-1, 0, 10_001])
    def test_a_part_number_out_of_range_is_refused(self, store: ObjectStore, number: int) -> None:
        upload = store.begin_upload(KEY, metadata={})
        with pytest.raises(ValueError):
            store.put_part(upload, number, b"data")

    def test_a_single_empty_part_makes_an_empty_object(self, store: ObjectStore) -> None:
        upload = store.begin_upload(KEY, metadata={"m": "1"})
        store.complete_upload(upload, _put(store, upload, [b""]))
        assert (store.get(KEY), store.head(KEY).crc64) == (b"", "0")

    @pytest.mark.parametrize("more", [0, -1000, 1000])
    def test_the_last_put_of_a_part_wins(self, store: ObjectStore, more: int) -> None:  # C7
        parts = self.parts(3)
        upload = store.begin_upload(KEY, metadata={})
        receipts = _put(store, upload, parts)
        parts[0] = self.part(100, more=max(more, 0))
        parts[2] = b"a last part may be of any size"[: max(1, 10 + more)]
        receipts[0] = store.put_part(upload, 1, parts[0])
        receipts[2] = store.put_part(upload, 3, parts[2])
        store.complete_upload(upload, receipts)
        assert store.get(KEY) == b"".join(parts)

    def test_repeating_a_part_gives_the_same_receipt(self, store: ObjectStore) -> None:
        upload = store.begin_upload(KEY, metadata={})
        first, again = (store.put_part(upload, 1, b"same") for _ in range(2))
        assert first == again
        store.complete_upload(upload, [first])
        assert store.get(KEY) == b"same"

    def test_the_receipt_of_a_part_that_was_replaced_is_refused(self, store: ObjectStore) -> None:  # C6
        upload = store.begin_upload(KEY, metadata={})
        old = store.put_part(upload, 1, b"old")
        new = store.put_part(upload, 1, b"new")
        with pytest.raises(InvalidParts):
            store.complete_upload(upload, [old])
        store.complete_upload(upload, [new])
        assert store.get(KEY) == b"new"

    def test_a_part_put_by_two_at_once_is_one_of_the_two_whole(self, store: ObjectStore) -> None:  # C8
        for turn in range(10):
            contents = [self.part(turn), self.part(-turn - 1)]
            upload = store.begin_upload(KEY, metadata={})
            receipts = at_once(4, lambda index: store.put_part(upload, 1, contents[index % 2]))  # noqa: B023 -- called in this turn
            outcomes = [_outcome(store, upload, [receipts[index]]) for index in range(2)]
            assert sorted(outcomes) in (["InvalidParts", "done"], ["NoSuchUpload", "done"])
            assert store.get(KEY) == contents[outcomes.index("done")]

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param(lambda r: [], id="none"),
            pytest.param(lambda r: [r[1], r[0]], id="out of order"),
            pytest.param(lambda r: [r[0], r[0]], id="one twice"),
            pytest.param(lambda r: [r[0], r[1]._replace(etag=r[0].etag)], id="another part's etag"),
            pytest.param(lambda r: [r[0], r[1]._replace(etag="0" * len(r[1].etag))], id="made-up etag"),
            pytest.param(lambda r: [r[0], r[1]._replace(etag="")], id="no etag"),
            pytest.param(lambda r: [*r, r[1]._replace(part_number=3)], id="a part that was never put"),
            pytest.param(lambda r: [r[0]._replace(part_number=0), *r], id="part 0"),
            pytest.param(lambda r: [*r, r[1]._replace(part_number=10_001)], id="a number out of range"),
        ],
    )
    def test_wrong_receipts_are_refused_and_the_upload_goes_on(
        self, store: ObjectStore, wrong: Callable[[list[PartReceipt]], list[PartReceipt]]
    ) -> None:  # C6
        parts = [self.part(1), self.part(2)]
        upload = store.begin_upload(KEY, metadata={})
        receipts = _put(store, upload, parts)
        with pytest.raises(InvalidParts):
            store.complete_upload(upload, wrong(receipts))
        assert list(store.list("")) == []
        store.complete_upload(upload, receipts)
        assert store.get(KEY) == b"".join(parts)

    def test_an_aborted_upload_is_over(self, store: ObjectStore) -> None:  # C9
        upload = store.begin_upload(KEY, metadata={})
        receipts = _put(store, upload, [b"data"])
        store.abort_upload(upload)
        store.abort_upload(upload)
        with pytest.raises(NoSuchUpload):
            store.put_part(upload, 2, b"late")
        with pytest.raises(NoSuchUpload):
            store.complete_upload(upload, receipts)
        assert list(store.list("")) == []
        assert list(store.list_uploads("")) == []

    def test_a_completed_upload_is_over(self, store: ObjectStore) -> None:
        upload = store.begin_upload(KEY, metadata={})
        store.complete_upload(upload, _put(store, upload, [b"data"]))
        with pytest.raises(NoSuchUpload):
            store.put_part(upload, 1, b"late")
        store.abort_upload(upload)
        assert store.get(KEY) == b"data"

    @pytest.mark.parametrize("upload_id", ["0" * 32, "", "..", "../objects", "no such upload"])
    def test_an_upload_that_was_never_begun_is_over(self, store: ObjectStore, upload_id: str) -> None:
        store.put(KEY, b"stays")
        upload = Upload(KEY, upload_id)
        with pytest.raises(NoSuchUpload):
            store.put_part(upload, 1, b"data")
        with pytest.raises(NoSuchUpload):
            store.complete_upload(upload, [PartReceipt(1, "0" * 16, 4)])
        store.abort_upload(upload)
        assert store.get(KEY) == b"stays"

    def test_an_upload_belongs_to_its_key(self, store: ObjectStore) -> None:
        upload = store.begin_upload(KEY, metadata={})
        receipts = _put(store, upload, [b"data"])
        with pytest.raises(NoSuchUpload):
            store.complete_upload(upload._replace(key="other"), receipts)
        assert list(store.list("")) == []

    def test_open_uploads_are_listed(self, store: ObjectStore) -> None:  # C13
        uploads = [store.begin_upload(key, metadata={}) for key in ("a/1", "a/2", "a/2", "a/3", "b")]
        store.complete_upload(uploads[0], _put(store, uploads[0], [b"data"]))
        store.abort_upload(uploads[3])
        listed = list(store.list_uploads("a/"))
        assert {(item.key, item.upload_id) for item in listed} == {(u.key, u.upload_id) for u in uploads[1:3]}
        assert all(item.begun_at > 1_600_000_000 for item in listed), "Unix seconds"
        assert [item.key for item in store.list_uploads("b")] == ["b"]

    def test_a_listed_upload_can_be_aborted(self, store: ObjectStore) -> None:
        store.begin_upload(KEY, metadata={})
        for upload in store.list_uploads("out/"):
            store.abort_upload(upload)
        assert list(store.list_uploads("")) == []

    def test_two_uploads_to_one_key_know_nothing_of_each_other(self, store: ObjectStore) -> None:
        first, second = (store.begin_upload(KEY, metadata={"by": name}) for name in ("first", "second"))
        receipts = [_put(store, upload, [upload.upload_id.encode()]) for upload in (first, second)]
        store.complete_upload(second, receipts[1])
        store.complete_upload(first, receipts[0])
        assert (store.get(KEY), dict(store.head(KEY).metadata)) == (first.upload_id.encode(), {"by": "first"})

    def test_uploads_to_one_key_that_complete_at_once_leave_one_whole_object(self, store: ObjectStore) -> None:
        parts = [self.part(seed, more=seed) for seed in range(8)]
        uploads = [store.begin_upload(KEY, metadata={"seed": str(seed)}) for seed in range(8)]
        receipts = [_put(store, upload, [part]) for upload, part in zip(uploads, parts, strict=True)]
        at_once(8, lambda index: store.complete_upload(uploads[index], receipts[index]))
        info = store.head(KEY)
        assert store.get(KEY) == parts[int(info.metadata["seed"])]
        assert info.crc64 == crc64_oracle(store.get(KEY))

    def test_a_late_part_never_changes_a_completed_object(self, store: ObjectStore) -> None:
        """A composer that lost its lease may still be putting parts while its upload is completed."""
        parts = [self.part(1), self.part(2)]
        for turn in range(self.races):
            upload = store.begin_upload(KEY, metadata={"turn": str(turn)})
            receipts = _put(store, upload, parts)
            with ThreadPoolExecutor(3) as pool:
                late = [pool.submit(_put_late, store, upload, self.part(3 + seed)) for seed in range(3)]
                store.complete_upload(upload, receipts)
                assert store.get(KEY) == b"".join(parts)
            assert [future.result() for future in late] == ["NoSuchUpload"] * 3
            assert store.get(KEY) == b"".join(parts)
            assert dict(store.head(KEY).metadata) == {"turn": str(turn)}

    def test_a_reader_sees_the_object_whole_as_soon_as_it_is_there(self, store: ObjectStore) -> None:  # C4
        contents = [b"".join(self.part(10 * turn + seed) for seed in range(3)) for turn in range(2)]
        store.put(KEY, contents[0], metadata={"turn": "0"})

        def upload_again(turn: int) -> None:
            content = contents[turn % 2]
            upload = store.begin_upload(KEY, metadata={"turn": str(turn % 2)})
            cuts = [0, *accumulate([self.part_bytes] * 3)]
            receipts = _put(store, upload, [content[a:b] for a, b in pairwise(cuts)])
            store.complete_upload(upload, receipts)

        with repeating(upload_again):
            for _ in range(5 * self.races):
                assert store.get(KEY) in contents
                assert store.head(KEY).metadata["turn"] in ("0", "1")


def _put(store: ObjectStore, upload: Upload, parts: list[bytes]) -> list[PartReceipt]:
    return [store.put_part(upload, number, data) for number, data in enumerate(parts, start=1)]


def _put_late(store: ObjectStore, upload: Upload, data: bytes) -> str:
    """Put ever other bytes as part 3 until the upload is over."""
    for turn in range(1_000_000):
        try:
            store.put_part(upload, 3, data[turn % 100 :])
        except NoSuchUpload:
            return "NoSuchUpload"
    return "never over"


def _outcome(store: ObjectStore, upload: Upload, receipts: list[PartReceipt]) -> str:
    try:
        store.complete_upload(upload, receipts)
    except (InvalidParts, NoSuchUpload) as error:
        return type(error).__name__
    return "done"
