"""What a service stores is its owner's alone, whatever the process's mask says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sluice.adapters.directory.atomic_file import open_to_others
from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.directory.links import load_or_create_secret
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.system_clock import SystemRandomness


@pytest.fixture(params=[0o000, 0o022, 0o077])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_every_file_is_0600_and_every_folder_0700(tmp_path: Path, mask: int) -> None:
    assert os.umask(mask) == mask
    root = tmp_path / "var/lib/data"
    store = DirectoryStore(root, randomness=SystemRandomness())
    store.put("in/v1/a/b/c", b"a chunk")
    upload = store.begin_upload("out/v1/a/b", metadata={})
    receipts = [store.put_part(upload, number, bytes(size)) for number, size in ((2, 10), (1, 100), (4, 200))]
    left = store.begin_upload("out/v1/left", metadata={})
    store.put_part(left, 2, bytes(10))
    store.put_part(left, 1, bytes(100))
    store.complete_upload(upload, sorted(receipts)[:2])
    KeyFile(root / "keys.json").change(lambda keys: keys)
    load_or_create_secret(root / "link.secret", SystemRandomness())
    with closing(SqliteTasks(root / "tasks.sqlite3")):
        made = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "var").rglob("*")}
    assert {path.name for path in made} >= {
        "c@",
        "b@",
        "body",
        "spill",
        "keys.json",
        "link.secret",
        "tasks.sqlite3-wal",
    }
    assert {path: oct(mode) for path, mode in made.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_what_is_open_to_others_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects").chmod(0o711)
    (tmp_path / "mine").touch(0o600)
    (tmp_path / "tasks.sqlite3").touch()
    (tmp_path / "tasks.sqlite3").chmod(0o644)
    assert open_to_others(tmp_path) == [tmp_path.name, "objects", "tasks.sqlite3"]
    tmp_path.chmod(0o700)
    assert open_to_others(tmp_path) == []
