"""What cannot be opened in the place of objects is named, and everything behind it has its turn."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.system_clock import SystemRandomness
from sluice.app.backends import open_ports
from sluice.app.backup import BackupError, back_up, restore
from sluice.app.settings.validation import settings_from
from sluice.domain.events import Event
from sluice.domain.keys import TaskId, TaskRef, TenantId, chunk_key, output_folder
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import NoSuchObject, NoSuchUpload, OutcomeUnknown
from sluice.tables.batch import Batch
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.cancel_export import cancel_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.upkeep.reconcile_stores import NAMED_MAX, STUCK_MAX, reconcile_stores
from sluice.usecases.upkeep.sweep_tasks import Swept, sweep_tasks
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

LATE = 4e9
"""So late that every file of the disk is old."""
END_OF_A_HANG_S = 60
ORPHANS = sorted(
    chunk_key(TaskRef(TenantId("acme"), TaskId(letter * 26)), 1, "0" * 32) for letter in "abcdefghijklmnopqrstuvwxyz"
)


def open_store(root: Path) -> DirectoryStore:
    return DirectoryStore(root, randomness=SystemRandomness(), sync=lambda _: None)


def ports_over(store: DirectoryStore) -> Ports:
    return replace(memory_ports(FakeClock(LATE)), objects=store)


class Disk:
    """Refuses to open, list or remove some paths, as a bad sector or another owner would. Root is refused nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        """What can be opened, and not removed."""
        for name in ("open", "scandir"):
            monkeypatch.setattr(os, name, self._guarded(getattr(os, name), self.refused))
        monkeypatch.setattr(os, "unlink", self._guarded(os.unlink, self.kept))

    def _guarded(self, call: Callable[..., object], refused: dict[str, int]) -> Callable[..., object]:
        def guarded(path: object, *args: object, **kwargs: object) -> object:
            number = refused.get(os.fspath(path)) if isinstance(path, str | Path) else None
            if number is not None:
                raise OSError(number, os.strerror(number), str(path))
            return call(path, *args, **kwargs)

        return guarded


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def bind_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def make_short(path: Path) -> None:
    path.write_bytes(b"x")


NO_OBJECTS = pytest.mark.parametrize("make", [os.mkfifo, bind_socket, make_loop, make_link, Path.mkdir, make_short])


def within_a_minute(call: Callable[[], object], pipe: Path) -> None:
    """Call in a thread, which is released from a pipe that it waits for."""
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(call()), daemon=True)
    thread.start()
    thread.join(END_OF_A_HANG_S)
    hung = thread.is_alive()
    if hung:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))
    assert not hung
    assert done


@NO_OBJECTS
def test_what_is_no_object_is_named_and_the_listing_goes_on(tmp_path: Path, make: Callable[[Path], object]) -> None:
    store = open_store(tmp_path)
    for key in ORPHANS[1:]:
        store.put(key, b"x")
    bad = tmp_path / "objects" / f"{ORPHANS[0]}@"
    bad.parent.mkdir(parents=True)
    make(bad)
    named: list[str] = []

    def look() -> bool:
        assert [item.key for item in store.list("in/", named.append)] == ORPHANS[1:]
        assert [item.key for item in store.list("in/")] == ORPHANS[1:]
        with pytest.raises(NoSuchObject):
            store.get(ORPHANS[0])
        return True

    within_a_minute(look, bad)
    assert named == [ORPHANS[0]]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_what_cannot_be_opened_is_named_and_the_listing_goes_on(
    tmp_path: Path, disk: Disk, number: int, depth: int
) -> None:
    store = open_store(tmp_path)
    for key in ORPHANS:
        store.put(key, b"x")
    bad = tmp_path / "objects" / f"{ORPHANS[0]}@"
    for _ in range(depth):
        bad = bad.parent
    disk.refused[str(bad)] = number
    named: list[str] = []
    beginning = str(bad.relative_to(tmp_path / "objects")).removesuffix("@") + ("/" if depth else "")
    assert [item.key for item in store.list("in/", named.append)] == [
        key for key in ORPHANS if not key.startswith(beginning)
    ]
    assert named == [beginning]
    with pytest.raises(OutcomeUnknown):
        list(store.list("in/"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_the_weekly_walk_goes_on_behind_it_and_says_so(tmp_path: Path, disk: Disk, number: int) -> None:
    store = open_store(tmp_path)
    for key in ORPHANS:
        store.put(key, b"x")
    for bad in (tmp_path / "objects" / f"{ORPHANS[0]}@", (tmp_path / "objects" / ORPHANS[9]).parent):
        disk.refused[str(bad)] = number
    ports = ports_over(store)
    report = reconcile_stores(ports)
    folder = ORPHANS[9].rpartition("/")[0] + "/"
    assert (report.unreadable, report.unreadable_named) == (2, [ORPHANS[0], folder])
    assert report.orphans_removed == len(ORPHANS) - 2
    assert isinstance(ports.journal, RecordedJournal)
    [said] = ports.journal.of(Event.SYSTEM_ERROR)
    assert (said["unreadable"], said["unreadable_named"]) == (2, [ORPHANS[0], folder])
    disk.refused.clear()
    assert reconcile_stores(ports).orphans_removed == 2


def test_the_weekly_walk_goes_on_behind_what_cannot_be_removed(tmp_path: Path, disk: Disk) -> None:
    store = open_store(tmp_path)
    for key in ORPHANS:
        store.put(key, b"x")
    kept = ORPHANS[: NAMED_MAX + 1]
    disk.kept.update({str(tmp_path / "objects" / f"{key}@"): errno.EPERM for key in kept})
    report = reconcile_stores(ports_over(store))
    assert report.orphans_removed == len(ORPHANS) - len(kept)
    assert (report.unreadable, report.unreadable_named) == (len(kept), kept[:NAMED_MAX])


def test_a_store_that_removes_nothing_ends_the_walk(tmp_path: Path, disk: Disk) -> None:
    store = open_store(tmp_path)
    for key in ORPHANS:
        store.put(key, b"x")
    disk.kept.update({str(tmp_path / "objects" / f"{key}@"): errno.EROFS for key in ORPHANS})
    steps: list[None] = []
    with pytest.raises(OutcomeUnknown):
        reconcile_stores(ports_over(store), on_step=lambda: steps.append(None))
    assert len(steps) == STUCK_MAX < len(ORPHANS)


def test_a_walk_counts_every_step(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for key in ORPHANS:
        store.put(key, b"x")
    store.begin_upload("out/v1/left", metadata={})
    ports = ports_over(store)
    open_export(ports, TenantId("acme"), OpenRequest(PARAMS))
    steps: list[None] = []
    reconcile_stores(ports, on_step=lambda: steps.append(None))
    assert len(steps) == 1 + len(ORPHANS) + 1


PARAMS = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="a.csv")


def cancelled(ports: Ports) -> TaskRef:
    ref = open_export(ports, TenantId("acme"), OpenRequest(PARAMS)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([("x",)], 1))
    cancel_export(ports, ref)
    return ref


@NO_OBJECTS
def test_garbage_that_is_no_object_goes_with_its_task(tmp_path: Path, make: Callable[[Path], object]) -> None:
    ports = ports_over(open_store(tmp_path))
    bad = tmp_path / "objects" / f"{output_folder(cancelled(ports))}0001-{'0' * 16}/export.csv@"
    bad.parent.mkdir(parents=True)
    make(bad)
    within_a_minute(lambda: sweep_tasks(ports), bad)
    left = [path for path in (tmp_path / "objects").rglob("*") if not path.is_dir() or path.name.endswith("@")]
    assert left == ([bad] if make is Path.mkdir else [])


def test_a_folder_that_cannot_be_opened_puts_its_task_off_when_all_else_is_gone(tmp_path: Path, disk: Disk) -> None:
    ports = ports_over(open_store(tmp_path))
    ref = cancelled(ports)
    ports.objects.put(f"{output_folder(ref)}a/b", b"x")
    ports.objects.put(f"{output_folder(ref)}c/d", b"x")
    disk.refused[str(tmp_path / "objects" / output_folder(ref) / "a")] = errno.EACCES
    assert sweep_tasks(ports) == {Swept.ERROR: 1}
    disk.refused.clear()
    assert [item.key for item in ports.objects.list("")] == [f"{output_folder(ref)}a/b"]


def test_an_upload_that_cannot_be_read_keeps_no_other_garbage(tmp_path: Path, disk: Disk) -> None:
    store = open_store(tmp_path)
    ports = ports_over(store)
    foreign, waiting = (store.begin_upload("out/v1/left", metadata={}) for _ in range(2))
    pipe = tmp_path / "uploads" / waiting.upload_id / "about.json"
    pipe.unlink()
    os.mkfifo(pipe)
    disk.refused[str(tmp_path / "uploads" / foreign.upload_id / "about.json")] = errno.EACCES
    ref = cancelled(ports)
    mine = store.begin_upload(f"{output_folder(ref)}e", metadata={})
    within_a_minute(lambda: sweep_tasks(ports), pipe)
    assert list(store.list_uploads("")) == []
    assert list(store.list("")) == []
    with pytest.raises(NoSuchUpload):
        store.put_part(mine, 1, b"x")
    assert store.remove_leftovers(now=LATE, older_than_s=1) == 1  # what cannot be opened may be another's
    assert {folder.name for folder in (tmp_path / "uploads").iterdir()} == {foreign.upload_id}


def test_of_several_objects_those_go_that_can(tmp_path: Path, disk: Disk) -> None:
    store = open_store(tmp_path)
    for key in ORPHANS[:3]:
        store.put(key, b"x")
    disk.kept[str(tmp_path / "objects" / f"{ORPHANS[0]}@")] = errno.EPERM
    with pytest.raises(OutcomeUnknown):
        store.delete(ORPHANS[:3])
    assert [item.key for item in store.list("in/")] == ORPHANS[:1]


def test_a_backup_is_refused_for_what_it_cannot_read_and_passes_by_what_is_no_object(
    tmp_path: Path, disk: Disk
) -> None:
    settings = settings_from({}, None, {"storage.data_directory": str(tmp_path / "data")})
    with open_ports(settings, RecordedJournal()) as ports:
        for key in ORPHANS[:3]:
            ports.objects.put(key, b"x")
    pipe = tmp_path / "data" / "objects" / "pipe@"
    os.mkfifo(pipe)
    within_a_minute(lambda: back_up(settings, tmp_path / "copy"), pipe)
    assert [item.key for item in open_store(tmp_path / "copy").list("")] == ORPHANS[:3]
    for number, bad in enumerate((f"{ORPHANS[0]}@", ORPHANS[1].rpartition("/")[0])):
        path = tmp_path / "data" / "objects" / bad
        disk.refused[str(path)] = errno.EACCES
        with pytest.raises(PermissionError, match=str(path)):
            back_up(settings, tmp_path / f"copy {number}")
        with pytest.raises(BackupError, match="was not finished"):
            restore(tmp_path / f"copy {number}", settings)
        disk.refused.clear()


def test_a_leftover_that_cannot_be_removed_keeps_no_other(tmp_path: Path, disk: Disk) -> None:
    store = open_store(tmp_path)
    for name in "abc":
        (tmp_path / "staging" / name).touch()
    disk.kept[str(tmp_path / "staging" / "a")] = errno.EPERM
    assert store.remove_leftovers(now=LATE, older_than_s=1) == 2
