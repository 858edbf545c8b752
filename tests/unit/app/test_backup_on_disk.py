"""A copy says that it is whole once all of it is on the disk: each content by who wrote it, each folder once."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from sluice.adapters.directory.atomic_file import sync_folder
from sluice.app.backends import open_ports
from sluice.app.backup import BackupError, back_up, restore
from sluice.app.settings.validation import Settings, settings_from
from tests.support.recorded_journal import RecordedJournal


class Synced(NamedTuple):
    """What went to the disk, below the copy."""

    what: str
    name: str
    """Of a file or a folder; of the marker which format it says."""


class Disk:
    """Looks at each sync of a copy, in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = root
        self.synced: list[Synced] = []
        self.fails_at = ""
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self._file)
        monkeypatch.setattr("sluice.app.backup.sync_folder", self._folder)

    def _file(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self.root in path.parents and path.is_file():
            name = path.relative_to(self.root).as_posix()
            if self.fails_at and name.startswith(self.fails_at):
                raise OSError(errno.EIO, "the disk lost some")
            is_marker = name.startswith("backup.json")
            said = str(msgspec.json.decode(path.read_bytes())["format"]) if is_marker else name
            self.synced.append(Synced("marker" if is_marker else "file", said))
        self._sync(descriptor)

    def _folder(self, folder: Path) -> None:
        self.synced.append(Synced("folder", folder.relative_to(self.root).as_posix()))
        sync_folder(folder)


def settings(path: Path) -> Settings:
    return settings_from({}, None, {"storage.data_directory": str(path)})


@pytest.fixture
def data(tmp_path: Path) -> Settings:
    made = settings(tmp_path / "data")
    with open_ports(made, RecordedJournal()) as ports:
        for key in ("a/1", "a/2", "a/b/3", "c/4"):
            ports.objects.put(f"in/v1/{key}", key.encode())
    (tmp_path / "data/audit.jsonl").write_text("{}\n")
    return made


def contents(root: Path) -> tuple[Counter[str], Counter[str]]:
    """The objects and the folders of a copy."""
    below = [path for path in root.rglob("*") if path != root]
    objects = (path.relative_to(root).as_posix() for path in below if path.is_file() and "objects" in path.parts)
    return Counter(objects), Counter([".", *(p.relative_to(root).as_posix() for p in below if p.is_dir())])


def check(synced: list[Synced], root: Path) -> None:
    """All names went to the disk, once and after all contents."""
    objects, folders = contents(root)
    files = Counter(one.name for one in synced if one.what == "file" and one.name in objects)
    assert files == objects
    last = max(at for at, one in enumerate(synced) if one.name in objects)
    assert Counter(one.name for one in synced[last:] if one.what == "folder") == folders


def test_a_backup_is_on_the_disk_before_it_says_that_it_is_whole(
    data: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, tmp_path / "copy")
    back_up(data, tmp_path / "copy")
    markers = [at for at, one in enumerate(disk.synced) if one.what == "marker"]
    assert [disk.synced[at].name for at in markers] == ["0", "1"]
    check(disk.synced[: markers[1]], tmp_path / "copy")


def test_a_restore_is_on_the_disk_before_a_service_may_start_there(
    data: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(data, tmp_path / "copy")
    disk = Disk(monkeypatch, tmp_path / "new")
    restore(tmp_path / "copy", settings(tmp_path / "new"))
    (rows,) = [at for at, one in enumerate(disk.synced) if one.name.startswith("tasks.sqlite3")]
    check(disk.synced[:rows], tmp_path / "new")
    assert (tmp_path / "new/audit.jsonl").read_text() == "{}\n"
    assert disk.synced[-1] == Synced("folder", "."), "the marker is gone"


def test_what_the_disk_did_not_take_is_no_backup(
    data: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, tmp_path / "copy")
    disk.fails_at = "objects/in/v1/a/b"
    with pytest.raises(OSError, match="the disk lost some"):
        back_up(data, tmp_path / "copy")
    assert Synced("marker", "1") not in disk.synced
    with pytest.raises(BackupError, match="it was not finished"):
        restore(tmp_path / "copy", settings(tmp_path / "new"))
