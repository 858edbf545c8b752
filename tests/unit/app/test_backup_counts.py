"""A backup that lost something since it was made is not restored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.app.backends import open_ports
from sluice.app.backup import BackupError, back_up, restore
from sluice.app.settings.validation import settings_from
from tests.support.recorded_journal import RecordedJournal


def remove(copy: Path) -> None:
    next(copy.rglob("b@")).unlink()


def empty(copy: Path) -> None:
    next(copy.rglob("b@")).write_bytes(b"")


def spoil_rows(copy: Path) -> None:
    (copy / "tasks.sqlite3").write_bytes(b"x" * 4096)


def cut_rows(copy: Path) -> None:
    rows = copy / "tasks.sqlite3"
    rows.write_bytes(rows.read_bytes()[: rows.stat().st_size // 2])


def remove_rows(copy: Path) -> None:
    (copy / "tasks.sqlite3").unlink()


@pytest.mark.parametrize("damage", [remove, empty, spoil_rows, cut_rows, remove_rows])
def test_what_a_backup_lost_is_found_before_anything_is_copied(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    settings, new = (
        settings_from({}, None, {"storage.data_directory": str(tmp_path / name)}) for name in ("data", "new")
    )
    with open_ports(settings, RecordedJournal()) as ports:
        for key in "abc":
            ports.objects.put(f"in/v1/{key}", key.encode())
    made = back_up(settings, tmp_path / "copy")
    assert restore(tmp_path / "copy", settings_from({}, None, {"storage.data_directory": str(tmp_path / "x")})) == made
    damage(tmp_path / "copy")
    with pytest.raises(BackupError, match="is no whole backup"):
        restore(tmp_path / "copy", new)
    assert not (tmp_path / "new").exists()
