"""A tenant that has much of a disk leaves room for the others, in chunks and in files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.adapters.directory.atomic_file import DiskRoom
from sluice.adapters.directory.disk_shares import COUNTED_FOR_S, LEFT_OF_ITS_OWN, DiskShares, count_sizes
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.forwarding_store import RoomyStore
from sluice.domain.keys import TaskId, TaskRef, TenantId, chunk_key, result_key
from sluice.domain.limits import KIB
from sluice.ports.object_store import Upload
from sluice.ports.store_errors import TENANT_SHARE, StoreFull
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.small_disk import SmallDisk

pytestmark = pytest.mark.slow  # the files of a disk are counted at each look
ALONE = TenantId("local")
SIZE = 900 * KIB
MIN_FREE = 10 * KIB
PIECE = bytes(5 * KIB)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    small = SmallDisk(tmp_path, SIZE)
    monkeypatch.setattr(os, "statvfs", small.statvfs)
    return small


def opened(disk: SmallDisk, clock: FakeClock, *, leaves: int = SIZE) -> tuple[RoomyStore, DiskShares]:
    """A store as a service on one machine has it."""
    room = DiskRoom(disk.folder, min_free_bytes=MIN_FREE)
    shares = DiskShares(disk.folder / "objects", room, leaves_bytes=leaves, alone=ALONE, monotonic=clock.monotonic)
    store = DirectoryStore(
        disk.folder, randomness=SeededRandomness(), sync=lambda _: None, check_room=room.check_result
    )
    return RoomyStore(store, room.check, shares.check), shares


def ref_of(tenant: str) -> TaskRef:
    return TaskRef(TenantId(tenant), TaskId("a" * 26))


def chunk_of(tenant: str, number: int) -> str:
    return chunk_key(ref_of(tenant), number, f"{number:032x}")


def fill(store: RoomyStore, tenant: str) -> str:
    """Put chunks until one is refused; say as what."""
    for number in range(SIZE // len(PIECE)):
        try:
            store.put(chunk_of(tenant, number), PIECE)
        except StoreFull as full:
            return full.code
    raise AssertionError("no bound was met")


def has(disk: SmallDisk, tenant: str) -> int:
    return count_sizes(disk.folder / "objects")[TenantId(tenant)]


def test_a_tenant_leaves_an_eighth_of_what_it_has_and_so_does_the_next(disk: SmallDisk) -> None:
    store, _ = opened(disk, FakeClock())
    for tenant in ("acme", "b", "c"):
        assert fill(store, tenant) == TENANT_SHARE
        left = disk.free - MIN_FREE
        assert left < has(disk, tenant) / LEFT_OF_ITS_OWN + 2 * len(PIECE), "it had what it may have"
        assert left > has(disk, tenant) / LEFT_OF_ITS_OWN - 2 * len(PIECE), f"{tenant} left too little"
        if left < 4 * len(PIECE):
            break


def test_no_more_is_left_to_others_than_the_operator_says(disk: SmallDisk) -> None:
    store, _ = opened(disk, FakeClock(), leaves=30 * KIB)
    assert fill(store, "acme") == TENANT_SHARE
    assert 30 * KIB <= disk.free - MIN_FREE < 30 * KIB + 2 * len(PIECE)


def test_whoever_is_alone_has_all_but_what_must_be_free(disk: SmallDisk) -> None:
    store, _ = opened(disk, FakeClock())
    assert fill(store, str(ALONE)) == "ENOSPC"


def in_parts(store: RoomyStore, upload: Upload) -> Callable[[int], object]:
    return lambda number: store.put_part(upload, number, PIECE)


def test_files_count_as_chunks_do_and_wait_for_the_share_of_their_tenant(disk: SmallDisk) -> None:
    clock = FakeClock()
    store, shares = opened(disk, clock)
    assert fill(store, "acme") == TENANT_SHARE
    uploads = {
        tenant: store.begin_upload(result_key(ref_of(tenant), epoch=1, nonce="n", extension="csv"), metadata={})
        for tenant in ("acme", "b")
    }
    with pytest.raises(StoreFull) as refused:
        in_parts(store, uploads["acme"])(1)
    assert refused.value.code == TENANT_SHARE
    in_parts(store, uploads["b"])(1)
    assert not shares.has_room(TenantId("acme"), len(PIECE))
    assert shares.has_room(TenantId("b"), len(PIECE))


def test_what_a_tenant_gives_back_it_may_have_again(disk: SmallDisk) -> None:
    clock = FakeClock()
    store, _ = opened(disk, clock)
    assert fill(store, "acme") == TENANT_SHARE
    store.delete([chunk_of("acme", number) for number in range(40)])
    clock.advance(COUNTED_FOR_S + 1)
    for number in range(30):
        store.put(chunk_of("acme", 1_000 + number), PIECE)


def test_what_another_process_wrote_counts_from_the_next_look_on(disk: SmallDisk) -> None:
    clock = FakeClock()
    store, _ = opened(disk, clock)
    assert fill(store, "b") == TENANT_SHARE, "now the files were counted"
    other, _ = opened(disk, clock, leaves=0)
    for number in range(6):
        other.put(chunk_of("acme", number), PIECE)
    clock.advance(COUNTED_FOR_S + 1)
    with pytest.raises(StoreFull):
        store.put(chunk_of("b", 1_000), PIECE)
    assert has(disk, "acme") > 6 * len(PIECE)


def test_files_that_are_no_tenant_s_are_nothing_of_a_tenant(disk: SmallDisk) -> None:
    stray = disk.folder / "objects/in/v1/zz/acme/file"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(PIECE)
    (disk.folder / "objects/file").write_bytes(PIECE)
    assert not count_sizes(disk.folder / "objects")
