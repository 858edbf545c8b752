"""What a directory adds to the contract of object stores: names, damage, failing disks and what is left over."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.system_clock import SystemRandomness
from sluice.ports.object_store import ObjectStore
from sluice.ports.store_errors import NoSuchObject, OutcomeUnknown, StoreFull
from tests.contracts.at_once import at_once
from tests.support.fake_clock import SeededRandomness

KEY = "out/v1/result.bin"


def skip_sync(descriptor: int) -> None:
    """Nothing here is about power failures."""


def open_store(root: Path, sync: Callable[[int], None] = skip_sync) -> DirectoryStore:
    return DirectoryStore(root, randomness=SystemRandomness(), sync=sync)


def files(root: Path) -> list[str]:
    """All files below ``root``, and the folders that are empty."""
    found = [path for path in root.rglob("*") if path.is_file() or not any(path.iterdir())]
    return sorted(str(path.relative_to(root)) for path in found)


def object_file(root: Path, key: str) -> Path:
    return root / "objects" / f"{key}@"


def test_an_object_is_one_file_that_begins_with_its_content(tmp_path: Path) -> None:
    open_store(tmp_path).put("a/b.csv", b"id,name\r\n", metadata={"epoch": "1"})
    assert files(tmp_path) == ["objects/a/b.csv@", "staging", "uploads"]
    assert object_file(tmp_path, "a/b.csv").read_bytes().startswith(b"id,name\r\n{")


def test_a_store_made_by_us_is_for_us_alone(tmp_path: Path) -> None:
    open_store(tmp_path / "new" / "data")
    assert (tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700


def test_a_store_goes_on_where_another_left_off(tmp_path: Path) -> None:
    one = open_store(tmp_path)
    one.put("a", b"1", metadata={"m": "1"})
    upload = one.begin_upload(KEY, metadata={"m": "2"})
    receipts = [one.put_part(upload, 1, b"part 1")]
    two = open_store(tmp_path)
    receipts.append(two.put_part(upload, 2, b"part 2"))
    two.complete_upload(upload, receipts)
    assert (two.get("a"), one.get(KEY), dict(one.head(KEY).metadata)) == (b"1", b"part 1part 2", {"m": "2"})


def test_no_key_leads_outside(tmp_path: Path) -> None:
    (tmp_path / "secret@").write_text("secret")
    store = open_store(tmp_path / "data")
    for key in ("../../secret", "..", "a/../../../secret", f"{tmp_path}/secret"):
        with pytest.raises(ValueError):
            store.get(key)
        with pytest.raises(ValueError):
            store.put(key, b"")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="emptied"),
        pytest.param(lambda data: data[:-1], id="cut by one byte"),
        pytest.param(lambda data: data[:20], id="cut in the content"),
        pytest.param(lambda data: data[1:], id="first byte lost"),
        pytest.param(lambda data: data + b"x", id="a byte too many"),
        pytest.param(lambda data: data[:-1] + b"\xff", id="mark damaged"),
        pytest.param(lambda data: data[:-12] + b"\xff\xff\xff\xff" + data[-8:], id="label longer than the file"),
        pytest.param(lambda data: data[:-12] + b"\0\0\0\1" + data[-8:], id="label too short"),
        pytest.param(lambda data: data.replace(b'"size":', b'"sise":'), id="label damaged"),
        pytest.param(lambda data: data.replace(b'"size":1000', b'"size":1001'), id="label of another size"),
        pytest.param(lambda data: b"just some file " * 200, id="not an object at all"),
    ],
)
def test_a_damaged_file_is_no_object(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store = open_store(tmp_path)
    store.put("a", b"x" * 1000, metadata={"m": "1"})
    store.put("b", b"")
    whole = object_file(tmp_path, "a").read_bytes()
    assert damage(whole) != whole
    object_file(tmp_path, "a").write_bytes(damage(whole))
    for read in (store.get, store.head, lambda key: next(store.read_range(key, 0, 1))):
        with pytest.raises(NoSuchObject):
            read("a")
    assert [item.key for item in store.list("")] == ["b"]
    store.put("a", b"mended")
    assert store.get("a") == b"mended"


def test_files_that_are_not_ours_are_not_listed(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put("a/b", b"")
    (tmp_path / "objects" / "a" / ".DS_Store").write_text("x")
    (tmp_path / "objects" / "README").write_text("x")
    (tmp_path / "objects" / "a" / "link").symlink_to(tmp_path / "objects")
    (tmp_path / "uploads" / "stray").mkdir()
    (tmp_path / "uploads" / "stray.txt").write_text("x")
    assert [item.key for item in store.list("")] == ["a/b"]
    assert list(store.list_uploads("")) == []


def test_folders_go_with_their_last_object(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for key in ("a/b/c", "a/b/d/e", "f"):
        store.put(key, b"")
    store.delete(["a/b/d/e", "f"])
    assert files(tmp_path / "objects") == ["a/b/c@"]
    store.delete(["a/b/c"])
    assert files(tmp_path / "objects") == []
    assert (tmp_path / "objects").is_dir()


def test_puts_never_fail_because_deletes_empty_their_folder(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def churn(index: int) -> None:
        for _ in range(100):
            store.put(f"a/b/c/{index}", b"x")
            store.delete([f"a/b/c/{index}"])

    at_once(6, churn)
    assert files(tmp_path / "objects") == []


def full_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "no space left", f"/proc/self/fd/{descriptor}")


def test_a_put_on_a_full_disk_is_refused_as_such_and_leaves_the_old_object(tmp_path: Path) -> None:
    open_store(tmp_path).put("a", b"old")
    with pytest.raises(StoreFull) as failure:
        open_store(tmp_path, full_disk).put("a", b"new")
    assert (str(failure.value), failure.value.code) == ("", "ENOSPC"), "no path in the message"
    assert open_store(tmp_path).get("a") == b"old"
    assert files(tmp_path) == ["objects/a@", "staging", "uploads"]


def test_an_upload_that_meets_a_full_disk_can_be_completed_later(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    upload = store.begin_upload(KEY, metadata={"m": "1"})
    receipts = [store.put_part(upload, number, bytes([number]) * 1000) for number in (1, 2)]
    for _ in range(2):
        with pytest.raises(StoreFull):
            open_store(tmp_path, full_disk).complete_upload(upload, receipts)
        assert list(store.list("")) == []
    store.complete_upload(upload, receipts)
    assert store.get(KEY) == b"\1" * 1000 + b"\2" * 1000


def test_a_disk_that_fails_is_unknown_in_every_method(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    upload = store.begin_upload(KEY, metadata={})
    receipt = store.put_part(upload, 1, b"x")
    for name in ("objects", "uploads", "staging"):
        (tmp_path / "data" / name).rename(tmp_path / name)
        (tmp_path / "data" / name).write_text("a file where a folder should be")
    calls: list[Callable[[ObjectStore], object]] = [
        lambda s: s.put("a", b""),
        lambda s: s.get("a"),
        lambda s: s.head("a"),
        lambda s: next(s.read_range("a", 0, 1)),
        lambda s: s.delete(["a"]),
        lambda s: list(s.list("")),
        lambda s: list(s.list_uploads("")),
        lambda s: s.begin_upload("a", metadata={}),
        lambda s: s.put_part(upload, 1, b"y"),
        lambda s: s.complete_upload(upload, [receipt]),
        lambda s: s.abort_upload(upload),
    ]
    for call in calls:
        with pytest.raises(OutcomeUnknown, match="ENOTDIR"):
            call(store)


def test_a_folder_that_cannot_be_made_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutcomeUnknown):
        open_store(tmp_path / "file" / "data")


def test_leftovers_are_removed_once_they_are_old(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put("a", b"kept")
    (tmp_path / "staging" / "half").write_bytes(b"half a put")
    (tmp_path / "uploads" / ("0" * 32)).mkdir()
    (tmp_path / "uploads" / ("0" * 32) / "about.json").write_bytes(b"of an upload that was never wholly beg")
    upload = store.begin_upload(KEY, metadata={})
    assert [listed.upload_id for listed in store.list_uploads("")] == [upload.upload_id]
    now = (tmp_path / "staging" / "half").stat().st_mtime
    assert store.remove_leftovers(now=now, older_than_s=60) == 0
    assert store.remove_leftovers(now=now + 3600, older_than_s=60) == 2
    assert files(tmp_path / "staging") == []
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [upload.upload_id]
    store.complete_upload(upload, [store.put_part(upload, 1, b"still open")])
    assert (store.get("a"), store.get(KEY)) == (b"kept", b"still open")


@pytest.mark.parametrize("parts", [1, 32])
def test_reading_a_range_takes_memory_for_a_block_not_for_the_object_nor_for_a_part(tmp_path: Path, parts: int) -> None:
    store = open_store(tmp_path)
    upload = store.begin_upload(KEY, metadata={})
    receipts = [store.put_part(upload, number + 1, bytes((32 << 20) // parts)) for number in range(parts)]
    store.complete_upload(upload, receipts)
    tracemalloc.start()
    try:
        assert sum(len(block) for block in store.read_range(KEY, 0, 32 << 20)) == 32 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 19


def test_a_listing_tells_the_time_of_the_file_system(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.put("a", b"")
    os.utime(object_file(tmp_path, "a"), (1_650_000_000, 1_650_000_000))
    assert [item.modified_at for item in store.list("")] == [1_650_000_000]


def test_two_stores_with_the_same_chance_do_not_share_upload_ids_by_accident(tmp_path: Path) -> None:
    one, two = (DirectoryStore(tmp_path, randomness=SeededRandomness(1), sync=skip_sync) for _ in range(2))
    one.begin_upload(KEY, metadata={})
    with pytest.raises(OutcomeUnknown, match="EEXIST"):
        two.begin_upload(KEY, metadata={})
