"""A bucket is changed by the services of the rows that it belongs to, and by no others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.adapters.forwarding_store import ForwardingStore
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.owned_store import OWNERS, OwnedStore
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.domain.keys import TaskId, TaskRef, TenantId, chunk_key, result_key
from sluice.domain.limits import DAY_S
from sluice.ports.object_store import ObjectStore, Upload
from sluice.ports.store_errors import ForeignObjects, NoSuchObject, OutcomeUnknown, StoreError
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from tests.contracts.task_builder import a_task
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

LOST = TaskRef(TenantId("acme"), TaskId("z" * 26))
KEPT = [chunk_key(LOST, 1, "0" * 32), result_key(LOST, epoch=1, nonce="0" * 16, extension="csv")]
KEYS = sorted(OWNERS)


class Places:
    """One bucket, and any number of data directories over it."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.clock = FakeClock()
        self.bucket = MemoryStore(clock=self.clock)
        self._folder = folder
        self._opened = opened

    def rows(self, name: str) -> SqliteTasks:
        return self._opened.enter_context(closing(SqliteTasks(self._folder / name)))

    def store(self, rows: SqliteTasks, *, proposed: str, bucket: ObjectStore | None = None) -> OwnedStore:
        return OwnedStore(bucket or self.bucket, rows, proposed=proposed, place="s3://acme")

    def keys(self) -> list[str]:
        return [item.key for item in self.bucket.list("")]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    with ExitStack() as opened:
        yield Places(tmp_path, opened)


CHANGES: dict[str, Callable[[ObjectStore, Upload], object]] = {
    "put": lambda store, _: store.put("in/v1/x", b"x"),
    "delete": lambda store, _: store.delete(KEPT),
    "begin": lambda store, _: store.begin_upload("out/v1/x", metadata={}),
    "part": lambda store, upload: store.put_part(upload, 1, b"x"),
    "complete": lambda store, upload: store.complete_upload(upload, []),
    "abort": lambda store, upload: store.abort_upload(upload),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_rows_change_nothing_in_a_bucket(places: Places, change: str) -> None:
    ours = places.store(places.rows("a"), proposed="A")
    for key in KEPT:
        ours.put(key, b"x")
    upload = ours.begin_upload("out/v1/y", metadata={})
    before, others = places.keys(), places.rows("b")
    others.create(a_task())
    for _ in range(2):  # at the first change and at any later one
        with pytest.raises(ForeignObjects, match=r"s3://acme has the objects of another tasks\.sqlite3"):
            CHANGES[change](places.store(others, proposed="B"), upload)
    assert places.keys() == before
    assert list(places.bucket.list_uploads("")) == [upload._replace(begun_at=places.clock.now())]


def test_a_walk_over_new_rows_removes_nothing_of_the_bucket_of_others(places: Places) -> None:
    ours = places.store(places.rows("a"), proposed="A")
    for key in KEPT:
        ours.put(key, b"x")
    places.clock.advance(30 * DAY_S)
    new = places.rows("new")
    ports = replace(memory_ports(places.clock), tasks=new, objects=places.store(new, proposed="B"))
    assert reconcile_stores(ports).orphans_removed == 0
    assert places.keys() == sorted([*KEPT, *KEYS])
    again = replace(ports, tasks=places.rows("a"), objects=places.store(places.rows("a"), proposed="C"))
    assert reconcile_stores(again).orphans_removed == 2, "its own walk removes what no row names"


def test_a_bucket_of_an_earlier_release_goes_to_rows_that_have_tasks_and_to_no_empty_ones(places: Places) -> None:
    for key in KEPT:
        places.bucket.put(key, b"x")
    for _ in range(2):
        with pytest.raises(ForeignObjects):
            places.store(places.rows("new"), proposed="B").check()
    assert places.keys() == KEPT
    old = places.rows("old")
    old.create(a_task())
    places.store(old, proposed="A").check()
    assert [places.bucket.get(key) for key in KEYS] == [b"A", b"A"]


def test_results_in_a_bucket_of_their_own_have_an_owner_too(places: Places) -> None:
    places.bucket.put(KEPT[1], b"x")  # beside an empty bucket of chunks, as of another s3.url
    with pytest.raises(ForeignObjects):
        places.store(places.rows("new"), proposed="B").check()


def test_a_copy_of_the_rows_is_their_bucket_s_too(places: Places, tmp_path: Path) -> None:
    places.store(places.rows("a"), proposed="A").check()
    with closing(sqlite3.connect(tmp_path / "a")) as rows, closing(sqlite3.connect(tmp_path / "copy")) as copy:
        rows.backup(copy)
    places.store(places.rows("copy"), proposed="B").check()
    assert places.rows("copy").identify("C") == "A"


class Raced(ForwardingStore):
    """Another service notes itself between our look and our note, and is the last."""

    def put(self, key: str, data: bytes, **more: object) -> None:
        super().put(key, data)
        super().put(key, b"the other")


def test_of_two_services_that_find_an_empty_bucket_one_has_it(places: Places) -> None:
    with pytest.raises(ForeignObjects):
        places.store(places.rows("a"), proposed="A", bucket=Raced(places.bucket)).check()


class Away(ForwardingStore):
    """Is reached at the second call."""

    calls = 0

    def get(self, key: str) -> bytes:
        self.calls += 1
        if self.calls == 1:
            raise OutcomeUnknown
        return super().get(key)


def test_a_bucket_that_is_away_is_asked_again_and_later_no_more(places: Places) -> None:
    bucket = Away(places.bucket)
    store = places.store(places.rows("a"), proposed="A", bucket=bucket)
    with pytest.raises(StoreError):
        store.put("in/v1/x", b"")
    with pytest.raises(NoSuchObject):
        places.bucket.get("in/v1/x")
    store.put("in/v1/x", b"")
    calls = bucket.calls
    store.put("in/v1/y", b"")
    assert bucket.calls == calls
