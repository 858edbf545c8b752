"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sluice.adapters.directory.atomic_file import whole_file


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [found.name for found in tmp_path.iterdir()] == ["a.csv"]


def test_a_file_is_on_disk_before_it_has_its_name_and_then_its_name_is_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    synced: list[tuple[int | Path, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, path.exists())))
    place = "sluice.adapters.directory.atomic_file.sync_folder"
    monkeypatch.setattr(place, lambda folder: synced.append((folder, path.exists())))
    with whole_file(path) as file:
        file.write(b"new")
    assert synced == [(3, False), (tmp_path, True)]


def test_a_block_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), whole_file(path) as file:  # noqa: PT012 -- the block is what fails
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.csv"]


def test_of_two_blocks_for_one_name_each_writes_its_own_file_and_the_last_to_end_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with whole_file(path) as first:
        first.write(b"first, whole")
        first.flush()
        with pytest.raises(KeyError), whole_file(path) as second:  # noqa: PT012 -- the block is what fails
            second.write(b"half of the sec")
            raise KeyError
        with whole_file(path) as third:
            third.write(b"third")
        assert path.read_bytes() == b"third"
    assert path.read_bytes() == b"first, whole"
    assert [found.name for found in tmp_path.iterdir()] == ["a.csv"]


def test_what_a_killed_process_left_is_neither_kept_nor_trusted(tmp_path: Path) -> None:
    path, left = tmp_path / "keys.json", tmp_path / "keys.json.new"
    left.write_text("half of more than comes")
    left.chmod(0o666)
    with whole_file(path, mode=0o600, suffix=".new") as file:
        file.write(b"short")
    assert path.read_bytes() == b"short"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_a_new_file_has_the_rights_that_the_mask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "a"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "n" * 241])
def test_any_name_that_a_file_may_have_can_be_written(tmp_path: Path, name: str) -> None:
    for content in (b"old", b"new"):
        with whole_file(tmp_path / name) as file:
            file.write(content)
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [(name, b"new")]


def test_a_file_that_is_replaced_is_open_to_no_others_than_before(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for before, mode, after in ((0o600, 0o666, 0o600), (0o644, 0o600, 0o600), (0o640, 0o666, 0o640)):
        path.touch()
        path.chmod(before)
        with whole_file(path, mode=mode) as file:
            file.write(b"new")
        assert path.stat().st_mode & 0o777 == after
        path.unlink()
