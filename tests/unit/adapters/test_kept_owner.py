"""What root makes in the directory of a service that runs as its own user, the service can open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sluice.adapters.directory.key_file import KeyFile
from sluice.adapters.directory.links import load_or_create_secret
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.adapters.system_clock import SystemRandomness
from sluice.ports.store_errors import StoreRefused
from tests.support.command_line import sluice

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")
SERVICE, GROUP, OTHER = 54_321, 54_322, 54_323
"""Ids that no user of the machine needs to have."""


@pytest.fixture
def data() -> Iterator[Path]:
    """The directory of a service, in one that others may pass through, which those of pytest are not."""
    with TemporaryDirectory() as around:
        Path(around).chmod(0o711)
        folder = Path(around) / "data"
        folder.mkdir(0o700)
        os.chown(folder, SERVICE, GROUP)
        yield folder


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Have another user's rights."""
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


def foreign(folder: Path) -> list[str]:
    """What below a folder is not the service's."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.stat().st_uid != SERVICE]


def test_keys_that_root_adds_and_revokes_are_read_by_the_service(data: Path) -> None:
    for arguments in (("add", "shop"), ("add", "other")):
        sluice("keys", *arguments, "--data", data)
    key_id = KeyFile(data / "keys.json").read()[0].key_id
    sluice("keys", "revoke", key_id, "--data", data)
    assert sorted(path.name for path in data.iterdir()) == ["keys.json", "keys.json.lock"]
    assert foreign(data) == []
    assert {path.stat().st_gid for path in data.iterdir()} == {GROUP}
    assert {path.stat().st_mode & 0o777 for path in data.iterdir()} == {0o600}
    with acting_as(SERVICE):
        keys = KeyFile(data / "keys.json")
        assert len(keys.read()) == 2
        keys.change(lambda kept: kept[:1])


def test_a_lock_that_root_made_before_is_given_back(data: Path) -> None:
    (data / "keys.json.lock").touch(0o600)
    sluice("keys", "add", "shop", "--data", data)
    assert foreign(data) == []


def test_nothing_elsewhere_is_given_away_by_a_link(data: Path) -> None:
    mine = data.parent / "shadow"
    mine.touch(0o600)
    lock = data / "keys.json.lock"
    lock.symlink_to(mine)
    sluice("keys", "add", "shop", "--data", data, exit_code=1)
    lock.unlink()
    os.link(mine, lock)
    sluice("keys", "add", "shop", "--data", data)
    assert mine.stat().st_uid == 0


def test_a_keys_file_elsewhere_stays_its_owner_s_and_a_new_one_is_the_service_s(data: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    place = {"SLUICE_SECURITY_API_KEYS_FILE": str(tmp_path / "etc/keys.json")}
    sluice("keys", "add", "shop", "--data", data, env=place)
    assert foreign(tmp_path / "etc") == []
    os.chown(tmp_path / "etc/keys.json", OTHER, OTHER)
    sluice("keys", "add", "shop", "--data", data, env=place)
    assert (tmp_path / "etc/keys.json").stat().st_uid == OTHER


def test_a_user_who_cannot_leave_the_file_to_its_owner_changes_no_keys(data: Path) -> None:
    sluice("keys", "add", "shop", "--data", data)
    before = (data / "keys.json").read_bytes()
    data.chmod(0o777)
    (data / "keys.json").chmod(0o644)
    (data / "keys.json.lock").chmod(0o666)
    with (
        acting_as(OTHER),
        pytest.raises(StoreRefused, match="run the command as that user, or as root"),
    ):
        KeyFile(data / "keys.json").change(lambda _: ())
    assert (data / "keys.json").read_bytes() == before
    assert sorted(path.name for path in data.iterdir()) == ["keys.json", "keys.json.lock"]


def test_objects_that_a_command_of_root_puts_are_the_service_s(data: Path) -> None:
    with closing(SqliteTasks(data / "tasks.sqlite3")):
        for path in data.iterdir():
            os.chown(path, SERVICE, GROUP)
    DirectoryStore(data, randomness=SystemRandomness()).put("in/v1/00/shop/x", b"a manifest")
    load_or_create_secret(data / "link.secret", SystemRandomness())
    assert foreign(data) == []
    with acting_as(SERVICE):
        store = DirectoryStore(data, randomness=SystemRandomness())
        assert store.get("in/v1/00/shop/x") == b"a manifest"
        store.put("in/v1/00/shop/y", b"beside it")


def test_a_command_of_root_leaves_nothing_of_its_own(data: Path) -> None:
    with closing(SqliteTasks(data / "tasks.sqlite3")):
        for path in data.iterdir():
            os.chown(path, SERVICE, GROUP)
    sluice("task", "list", "--data", data)
    assert foreign(data) == []
