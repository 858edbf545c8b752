"""How uploads lie on disk: parts go to their place at once, and completing copies as little as can be."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.system_clock import SystemRandomness
from sluice.ports.object_store import PartReceipt, Upload
from sluice.ports.store_errors import InvalidParts, StoreFull

KEY = "out/v1/result.bin"
PART = 1000


def open_store(root: Path) -> DirectoryStore:
    return DirectoryStore(root, randomness=SystemRandomness(), sync=lambda _: None)


def part(seed: int, size: int = PART) -> bytes:
    return random.Random(seed).randbytes(size)


def upload_folder(root: Path, upload: Upload) -> Path:
    return root / "uploads" / upload.upload_id


def put(store: DirectoryStore, upload: Upload, parts: Sequence[bytes], order: Sequence[int]) -> list[PartReceipt]:
    receipts = {number: store.put_part(upload, number, parts[number - 1]) for number in order}
    return [receipts[number] for number in sorted(receipts)]


@pytest.mark.parametrize("order", [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 2, 1]])
def test_the_file_that_the_parts_were_put_into_becomes_the_object(tmp_path: Path, order: list[int]) -> None:
    store = open_store(tmp_path)
    parts = [part(1), part(2), part(3), part(4, 10)]
    upload = store.begin_upload(KEY, metadata={})
    receipts = put(store, upload, parts, order)
    body = (upload_folder(tmp_path, upload) / "body").stat().st_ino
    store.complete_upload(upload, receipts)
    assert (tmp_path / "objects" / f"{KEY}@").stat().st_ino == body, "nothing was copied"
    assert store.get(KEY) == b"".join(parts)


def test_a_part_that_was_replaced_by_one_of_another_size_is_not_copied_either(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    upload = store.begin_upload(KEY, metadata={})
    put(store, upload, [part(1), part(2), part(3)], [1, 2, 3])
    receipts = put(store, upload, [part(1), part(2), part(4, 7)], [1, 2, 3])
    body = (upload_folder(tmp_path, upload) / "body").stat().st_ino
    store.complete_upload(upload, receipts)
    assert (tmp_path / "objects" / f"{KEY}@").stat().st_ino == body
    assert store.get(KEY) == part(1) + part(2) + part(4, 7)


def test_only_parts_that_do_not_fit_their_place_are_copied(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    parts = [part(1), part(2), part(3, 1500)]
    upload = store.begin_upload(KEY, metadata={})
    receipts = put(store, upload, parts, [1, 2, 3])
    assert (upload_folder(tmp_path, upload) / "spill").stat().st_size == 1500
    body = (upload_folder(tmp_path, upload) / "body").stat().st_ino
    store.complete_upload(upload, receipts)
    assert (tmp_path / "objects" / f"{KEY}@").stat().st_ino == body
    assert store.get(KEY) == b"".join(parts)


def test_a_completed_upload_leaves_only_its_object(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    parts = [part(1), part(2, 1500), part(3, 10)]
    for order in ([1, 2, 3], [3, 2, 1]):
        upload = store.begin_upload(KEY, metadata={})
        store.complete_upload(upload, put(store, upload, parts, order))
        assert list((tmp_path / "uploads").iterdir()) == []


def test_an_aborted_upload_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    upload = store.begin_upload(KEY, metadata={})
    put(store, upload, [part(1), part(2, 1500)], [1, 2])
    store.abort_upload(upload)
    assert list((tmp_path / "uploads").iterdir()) == []
    assert list((tmp_path / "objects").iterdir()) == []


def test_a_receipt_with_another_size_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    upload = store.begin_upload(KEY, metadata={})
    receipt = store.put_part(upload, 1, part(1))
    with pytest.raises(InvalidParts):
        store.complete_upload(upload, [receipt._replace(size=PART - 1)])


def test_any_upload_becomes_what_its_parts_say(tmp_path: Path) -> None:
    """Random parts, sizes, orders, repeats and selections, compared with a dictionary."""
    store = open_store(tmp_path)
    for seed in range(150):
        chance = random.Random(seed)
        upload = store.begin_upload(KEY, metadata={"seed": str(seed)})
        held: dict[int, bytes] = {}
        receipts: dict[int, PartReceipt] = {}
        for _ in range(chance.randrange(1, 12)):
            number = chance.randrange(1, 8)
            held[number] = chance.randbytes(chance.choice([0, 1, 100, 100, 100, 250]))
            receipts[number] = store.put_part(upload, number, held[number])
        chosen = sorted(chance.sample(sorted(held), chance.randrange(1, len(held) + 1)))
        store.complete_upload(upload, [receipts[number] for number in chosen])
        expected = b"".join(held[number] for number in chosen)
        assert (store.get(KEY), store.head(KEY).size) == (expected, len(expected)), seed
        assert store.head(KEY).metadata["seed"] == str(seed)
        crc64 = store.head(KEY).crc64
        store.put(KEY, expected)
        assert store.head(KEY).crc64 == crc64, "joined from the parts or taken from the whole, it is the same"


def test_a_part_that_was_being_replaced_when_its_writer_died_is_no_part(tmp_path: Path) -> None:
    """Its old bytes may be half overwritten, so its old receipt must not be good any more."""
    store = open_store(tmp_path)
    upload = store.begin_upload(KEY, metadata={})
    old = store.put_part(upload, 1, part(1))
    body = upload_folder(tmp_path, upload) / "body"
    body.rename(tmp_path / "aside")
    body.symlink_to("/dev/full")  # takes a lock, and no byte
    with pytest.raises(StoreFull):
        store.put_part(upload, 1, part(2))
    body.unlink()
    (tmp_path / "aside").rename(body)
    with pytest.raises(InvalidParts):
        store.complete_upload(upload, [old])
    store.complete_upload(upload, [store.put_part(upload, 1, part(3))])
    assert store.get(KEY) == part(3)


def test_completing_some_parts_in_vain_does_not_harm_the_others(tmp_path: Path) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    store = open_store(tmp_path)
    parts = [part(1), part(2), part(3), part(4, 1500)]
    upload = store.begin_upload(KEY, metadata={})
    receipts = put(store, upload, parts, [1, 2, 3, 4])
    failing = DirectoryStore(tmp_path, randomness=SystemRandomness(), sync=full_disk)
    for chosen in ([receipts[0]], [receipts[0], receipts[3]]):
        with pytest.raises(StoreFull):
            failing.complete_upload(upload, chosen)
    store.complete_upload(upload, receipts)
    assert store.get(KEY) == b"".join(parts)
