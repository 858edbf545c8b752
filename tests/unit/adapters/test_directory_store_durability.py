"""What is on disk when a call returns: every file and folder is synced in the order that a power failure demands."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.system_clock import SystemRandomness

KEY = "a/b/c"
DATA = b"content that must survive"


class Synced(NamedTuple):
    """What a sync brought to the disk."""

    name: str
    content: bytes
    """Of a file."""
    entries: tuple[str, ...]
    """Of a folder."""
    published: bool
    """Whether the object was visible already."""


class Disk:
    """Remembers what was synced, as far as a power failure would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.synced: list[Synced] = []
        self.before: Callable[[], object] = lambda: None
        """Called once, at the next sync."""
        self.store = DirectoryStore(root, randomness=SystemRandomness(), sync=self.sync)

    def sync(self, descriptor: int) -> None:
        before, self.before = self.before, lambda: None
        before()
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        published = (self.root / "objects" / f"{KEY}@").exists()
        is_folder = path.is_dir()
        content = b"" if is_folder else path.read_bytes()
        entries = tuple(sorted(os.listdir(descriptor))) if is_folder else ()
        self.synced.append(Synced(str(path.relative_to(self.root)), content, entries, published))

    def folders(self) -> dict[str, tuple[str, ...]]:
        """The entries of each folder as of its last sync after the object appeared."""
        return {one.name: one.entries for one in self.synced if one.published and not one.content}


def put(store: DirectoryStore) -> None:
    store.put(KEY, DATA)


def upload(store: DirectoryStore) -> None:
    begun = store.begin_upload(KEY, metadata={})
    store.complete_upload(begun, [store.put_part(begun, 1, DATA)])


def upload_that_must_be_assembled(store: DirectoryStore) -> None:
    begun = store.begin_upload(KEY, metadata={})
    receipts = [store.put_part(begun, number, data) for number, data in ((3, DATA[20:]), (1, DATA[:20]))]
    store.complete_upload(begun, receipts[::-1])


WRITES = pytest.mark.parametrize("write", [put, upload, upload_that_must_be_assembled])


@WRITES
def test_the_content_is_on_disk_before_it_has_its_name(tmp_path: Path, write: Callable[[DirectoryStore], None]) -> None:
    disk = Disk(tmp_path)
    write(disk.store)
    whole = (tmp_path / "objects" / f"{KEY}@").read_bytes()
    begins = ("about.json", "ledger")  # what an upload is begun with, which has a test of its own
    before = [one for one in disk.synced if not one.published and not one.name.endswith(begins) and not one.entries]
    assert whole.startswith(DATA)
    assert [one.content for one in before] == [whole]


@WRITES
def test_the_name_and_every_folder_on_the_way_is_on_disk(
    tmp_path: Path, write: Callable[[DirectoryStore], None]
) -> None:
    disk = Disk(tmp_path)
    write(disk.store)
    folders = disk.folders()
    assert "c@" in folders["objects/a/b"]
    assert "b" in folders["objects/a"]
    assert "a" in folders["objects"]
    assert "objects" in folders["."]


def test_the_next_object_of_a_folder_costs_two_syncs(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.store.put(KEY, DATA)
    before = len(disk.synced)
    disk.store.put("a/b/d", DATA)
    assert [one.name for one in disk.synced[before:]][1:] == ["objects/a/b"]


def test_a_folder_that_was_removed_and_made_again_is_synced_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.store.put(KEY, DATA)
    disk.store.delete([KEY])
    disk.synced.clear()
    disk.store.put(KEY, DATA)
    assert {"objects/a/b", "objects/a", "objects"} <= disk.folders().keys()


def test_a_folder_that_another_process_removed_and_made_again_is_synced_again(tmp_path: Path) -> None:
    """Which the other may not have come to: it syncs after it made it, and may be killed in between."""
    disk, other = Disk(tmp_path), Disk(tmp_path)
    disk.store.put("a/b/first", DATA)
    other.store.delete(["a/b/first"])
    assert not (tmp_path / "objects/a").exists()
    (tmp_path / "objects/a/b").mkdir(parents=True)
    disk.synced.clear()
    disk.store.put(KEY, DATA)
    assert {"objects/a/b", "objects/a", "objects"} <= disk.folders().keys()


def test_a_folder_that_is_removed_while_a_file_moves_into_it_is_synced_when_it_is_there(tmp_path: Path) -> None:
    disk, other = Disk(tmp_path), Disk(tmp_path)
    disk.store.put("a/b/first", DATA)
    disk.before = lambda: other.store.delete(["a/b/first"])  # at the sync of the content, before the rename
    disk.synced.clear()
    disk.store.put(KEY, DATA)
    assert {"objects/a/b", "objects/a", "objects"} <= disk.folders().keys()


def test_a_data_directory_that_is_made_is_on_disk_with_all_around_it(tmp_path: Path) -> None:
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))

    DirectoryStore(tmp_path / "x/y/data", randomness=SystemRandomness(), sync=sync)
    assert synced[:4] == [".", "x", "x/y", "x/y/data"]


def test_syncing_is_on_unless_it_is_switched_off(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path, randomness=SystemRandomness())
    assert store._sync is os.fsync
