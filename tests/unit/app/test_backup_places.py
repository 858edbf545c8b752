"""A backup and a restore write into the folder that they were given, and replace nothing outside of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.app.backends import open_ports
from sluice.app.backup import BackupError, back_up, restore
from sluice.app.settings.schema import Settings
from sluice.app.settings.validation import settings_from
from tests.support.recorded_journal import RecordedJournal

OLD, NEW = b'["of the backup"]', b'["of today"]'


def settings_of(data: Path, keys: Path | None = None) -> Settings:
    return settings_from(
        {}, None, {"storage.data_directory": str(data), "security.api_keys_file": str(keys) if keys else ""}
    )


def with_data(data: Path, keys: Path | None = None) -> Settings:
    settings = settings_of(data, keys)
    with open_ports(settings, RecordedJournal()) as ports:
        ports.objects.put("in/v1/a", b"a" * 1000)
    return settings


def test_a_keys_file_elsewhere_that_exists_is_not_replaced(tmp_path: Path) -> None:
    keys = tmp_path / "etc/keys.json"
    keys.parent.mkdir()
    keys.write_bytes(OLD)
    assert back_up(with_data(tmp_path / "data", keys), tmp_path / "copy").keys == "copied"
    keys.write_bytes(NEW)
    assert restore(tmp_path / "copy", settings_of(tmp_path / "new", keys)).keys == "kept"
    assert keys.read_bytes() == NEW
    assert not (tmp_path / "new/keys.json").exists()
    keys.unlink()
    keys.symlink_to(tmp_path / "not mounted")
    assert restore(tmp_path / "copy", settings_of(tmp_path / "newer", keys)).keys == "kept"
    assert keys.is_symlink()


def test_keys_are_put_where_the_settings_keep_them_if_none_are_there(tmp_path: Path) -> None:
    keys = tmp_path / "etc/keys.json"
    keys.parent.mkdir()
    keys.write_bytes(OLD)
    back_up(with_data(tmp_path / "data", keys), tmp_path / "copy")
    assert restore(tmp_path / "copy", settings_of(tmp_path / "new", tmp_path / "etc 2/k.json")).keys == "copied"
    assert (tmp_path / "etc 2/k.json").read_bytes() == OLD
    assert restore(tmp_path / "copy", settings_of(tmp_path / "newer")).keys == "copied"
    assert (tmp_path / "newer/keys.json").read_bytes() == OLD


def test_keys_outside_are_written_only_when_the_rest_is_restored(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_bytes(OLD)
    back_up(with_data(tmp_path / "data", keys), tmp_path / "copy")
    (tmp_path / "copy/link.secret").unlink()
    (tmp_path / "copy/link.secret").symlink_to(keys)  # a link in a backup is not followed: the restore stops there
    with pytest.raises(OSError, match=r"link\.secret"):
        restore(tmp_path / "copy", settings_of(tmp_path / "new", tmp_path / "other.json"))
    assert not (tmp_path / "other.json").exists()


def test_keys_that_are_a_link_to_nowhere_are_not_left_out_of_a_backup(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.symlink_to(tmp_path / "not mounted")
    with pytest.raises(FileNotFoundError, match=r"keys\.json"):
        back_up(with_data(tmp_path / "data", keys), tmp_path / "copy")
    with pytest.raises(BackupError, match="not finished"):
        restore(tmp_path / "copy", settings_of(tmp_path / "new"))


@pytest.mark.parametrize("place", ["data/copy", "data/objects/copy", "data/objects/a/b", "link/copy", "apart/copy"])
def test_a_backup_does_not_copy_itself(tmp_path: Path, place: str) -> None:
    settings = with_data(tmp_path / "data")
    (tmp_path / "link").symlink_to(tmp_path / "data/objects")
    if place == "apart/copy":  # the objects are on another disk
        (tmp_path / "data/objects").rename(tmp_path / "apart")
        (tmp_path / "data/objects").symlink_to(tmp_path / "apart")
    with pytest.raises(BackupError, match="would be lost with it"):
        back_up(settings, tmp_path / place)
    assert not (tmp_path / place).exists()
    assert back_up(settings, tmp_path / "copy").objects == 1


def test_a_restore_into_its_own_backup_is_refused(tmp_path: Path) -> None:
    back_up(with_data(tmp_path / "data"), tmp_path / "copy")
    before = sorted((tmp_path / "copy").rglob("*"))
    with pytest.raises(BackupError, match="is in the backup that it would be a copy of"):
        restore(tmp_path / "copy", settings_of(tmp_path / "copy/objects/new"))
    assert sorted((tmp_path / "copy").rglob("*")) == before
