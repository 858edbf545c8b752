"""What power failures and other programs leave in the directory stops nothing: it is passed by, and cleared away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.system_clock import SystemRandomness
from sluice.ports.store_errors import InvalidParts, NoSuchObject, NoSuchUpload, OutcomeUnknown

KEY = "out/v1/ab/acme/task/1/export.csv"
OTHER = "out/v1/ab/acme/task/2/export.csv"
DAY_S = 24 * 3600


def open_store(root: Path) -> DirectoryStore:
    return DirectoryStore(root, randomness=SystemRandomness(), sync=lambda _: None)


def cut(path: Path) -> None:
    path.write_bytes(b"")


def spoil(path: Path) -> None:
    path.write_bytes(b"\xff\xfe{")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = pytest.mark.parametrize("damage", [cut, spoil, Path.unlink, make_folder])


@DAMAGES
def test_an_upload_whose_begin_is_unreadable_is_passed_by_and_cleared_away(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    store = open_store(tmp_path)
    lost, kept = (store.begin_upload(key, metadata={}) for key in (KEY, OTHER))
    receipt = store.put_part(lost, 1, b"x")
    folder = tmp_path / "uploads" / lost.upload_id
    damage(folder / "about.json")
    assert [upload.key for upload in store.list_uploads("out/")] == [OTHER]
    with pytest.raises(NoSuchUpload):
        store.complete_upload(lost, [receipt])
    now = folder.stat().st_mtime + DAY_S + 60
    assert store.remove_leftovers(now=now, older_than_s=DAY_S) == 1
    assert not folder.exists()
    assert [upload.upload_id for upload in store.list_uploads("out/")] == [kept.upload_id]


@pytest.mark.parametrize("ledger", [b"", b"\x01", b"\xff" * 64, b"\x01" * 65])
def test_a_ledger_that_a_power_failure_spoiled_gives_no_part(tmp_path: Path, ledger: bytes) -> None:
    store = open_store(tmp_path)
    upload = store.begin_upload(KEY, metadata={})
    receipt = store.put_part(upload, 1, b"x")
    (tmp_path / "uploads" / upload.upload_id / "ledger").write_bytes(ledger)
    with pytest.raises(InvalidParts):
        store.complete_upload(upload, [receipt])


def test_a_begun_upload_is_on_disk_before_its_body_opens_it(tmp_path: Path) -> None:
    """Nothing is synced after the body is there, so a power failure keeps the body only with what was said before."""
    synced: list[tuple[bool, bytes | tuple[str, ...]]] = []

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        opened = any((tmp_path / "uploads").glob("*/body"))
        synced.append(
            (opened, tuple(sorted(entry.name for entry in path.iterdir())) if path.is_dir() else path.read_bytes())
        )

    store = DirectoryStore(tmp_path, randomness=SystemRandomness(), sync=sync)
    synced.clear()
    upload = store.begin_upload(KEY, metadata={"epoch": "1"})
    about = (tmp_path / "uploads" / upload.upload_id / "about.json").read_bytes()
    assert synced == [(False, about), (False, ("about.json", "ledger"))]


def test_a_folder_in_an_object_s_place_is_no_object(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    place = tmp_path / "objects" / f"{KEY}@"
    place.mkdir(parents=True)
    (place / "notes").touch()
    with pytest.raises(NoSuchObject):
        store.get(KEY)
    assert list(store.list("out/")) == []
    store.delete([KEY])
    with pytest.raises(OutcomeUnknown):
        store.put(KEY, b"x")
    (place / "notes").unlink()
    store.put(KEY, b"x")
    assert store.get(KEY) == b"x"


@pytest.mark.parametrize("name", ["a b@", "lost+found", "ü@", "x" * 220 + "@"])
def test_a_name_that_no_object_can_have_is_left_out_of_listings(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path)
    store.put(KEY, b"x")
    foreign = tmp_path / "objects" / "out" / "v1" / name
    if name.endswith("@"):
        foreign.write_bytes(b"not ours")
    else:
        foreign.mkdir()
        (foreign / "b@").write_bytes(b"not ours")
    assert [item.key for item in store.list("out/v1/")] == [KEY]


def test_a_folder_among_what_killed_processes_left_does_not_keep_the_rest(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    staging = tmp_path / "staging"
    (staging / "a folder").mkdir()
    (staging / "left").touch()
    assert store.remove_leftovers(now=staging.stat().st_mtime + 60, older_than_s=1) == 1
    assert [entry.name for entry in staging.iterdir()] == ["a folder"]
