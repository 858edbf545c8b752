"""A bucket is changed by the services of the rows that it belongs to, and by no others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.adapters.forwarding_store import ForwardingStore, SplitStore
from sluice.adapters.memory.store import MemoryStore
from sluice.adapters.owned_store import LOOK_AGAIN_S, OWNERS, OwnedStore, settle_beside
from sluice.adapters.sqlite.schema import forget_identity
from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.domain.keys import TaskId, TaskRef, TenantId, chunk_key, result_key
from sluice.domain.limits import DAY_S
from sluice.domain.task import State
from sluice.ports.object_store import ObjectsPlace, ObjectStore, Upload
from sluice.ports.store_errors import ForeignObjects, NoSuchObject, OutcomeUnknown, StoreError
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from tests.contracts.task_builder import a_task
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports

LOST = TaskRef(TenantId("acme"), TaskId("z" * 26))
KEPT = [chunk_key(LOST, 1, "0" * 32), result_key(LOST, epoch=1, nonce="0" * 16, extension="csv")]
KEYS = sorted(OWNERS)
HERE = ObjectsPlace("s3", "s3://acme")


class Places:
    """One bucket, and any number of data directories over it."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.clock = FakeClock()
        self.bucket = MemoryStore(clock=self.clock)
        self._folder = folder
        self._opened = opened

    def rows(self, name: str) -> SqliteTasks:
        return self._opened.enter_context(closing(SqliteTasks(self._folder / name)))

    def store(
        self, rows: SqliteTasks, *, proposed: str, bucket: ObjectStore | None = None, place: ObjectsPlace = HERE
    ) -> OwnedStore:
        return OwnedStore(bucket or self.bucket, rows, proposed=proposed, place=place, clock=self.clock)

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


class Between(ForwardingStore):
    """A bucket at which another service comes between what one looks for and what it puts."""

    def __init__(self, store: ObjectStore, other: Callable[[], object]) -> None:
        super().__init__(store)
        self._other = [other]

    def put(self, key: str, data: bytes, *, metadata: Mapping[str, str] | None = None) -> None:
        while self._other:
            self._other.pop()()
        super().put(key, data, metadata=metadata)


def test_of_two_services_that_begin_in_a_new_bucket_at_once_one_goes_on(places: Places) -> None:
    """Both have seen an empty bucket; what the second puts replaces what the first did, which looks again."""
    first, second = places.rows("a"), places.rows("b")
    seen: list[str] = []

    def begin_first() -> None:
        with pytest.raises(ForeignObjects):
            places.store(first, proposed="A", bucket=Slow(places)).check()
        seen.append("refused")

    class Slow(ForwardingStore):
        """The second puts its own while the first waits."""

        def __init__(self, at: Places) -> None:
            super().__init__(at.bucket)

        def get(self, key: str) -> bytes:
            data = super().get(key)
            for owner in KEYS:
                places.bucket.put(owner, b"B")
            return data

    bucket = Between(places.bucket, begin_first)
    ours = places.store(second, proposed="B", bucket=bucket)
    ours.check()
    assert seen == ["refused"]
    ours.put("in/v1/x", b"x")


def test_an_owner_that_was_put_later_is_noticed(places: Places) -> None:
    ours = places.store(places.rows("a"), proposed="A")
    ours.put("in/v1/x", b"x")
    for key in KEYS:
        places.bucket.put(key, b"B")
    places.clock.advance(LOOK_AGAIN_S)
    for change in (lambda: ours.put("in/v1/y", b"y"), lambda: ours.delete(["in/v1/x"]), lambda: ours.get("in/v1/x")):
        with pytest.raises(ForeignObjects):
            change()
    assert places.bucket.get("in/v1/x") == b"x"


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


BESIDE = ObjectsPlace("directory")
OTHER = ObjectsPlace("s3", "s3://acme/typo")


def with_a_batch(rows: SqliteTasks, objects: ObjectStore | None = None) -> TaskRef:
    """Add a row whose chunk is there where ``objects`` are given."""
    task = a_task(batches_received=1)
    if objects is not None:
        objects.put(chunk_key(task.ref, 1, "0" * 32), b"x")
    rows.create(task)
    return task.ref


def test_rows_whose_objects_are_in_a_bucket_are_not_opened_over_their_directory(places: Places) -> None:
    rows, beside = places.rows("a"), MemoryStore(clock=places.clock)
    with_a_batch(rows, places.store(rows, proposed="A"))
    for _ in range(2):
        with pytest.raises(ForeignObjects, match=r"in s3://acme \(backend s3\), and not in the data directory \("):
            settle_beside(rows, beside, BESIDE)
    assert rows.read_place() == HERE


def test_rows_whose_objects_lie_beside_them_take_no_bucket(places: Places) -> None:
    rows = places.rows("a")
    settle_beside(rows, MemoryStore(clock=places.clock), BESIDE)
    with_a_batch(rows)
    for _ in range(2):
        with pytest.raises(ForeignObjects, match=r"in the data directory \(.*\), and not in s3://acme \("):
            places.store(rows, proposed="A")
    assert (places.keys(), rows.read_place()) == ([], BESIDE)


def test_rows_with_objects_take_no_empty_bucket_and_read_nothing_there(places: Places) -> None:
    rows, typo = places.rows("a"), MemoryStore(clock=places.clock)
    ref = with_a_batch(rows, places.store(rows, proposed="A"))
    with pytest.raises(ForeignObjects, match=r"in s3://acme \(backend s3\), and not in s3://acme/typo \(backend s3\)"):
        places.store(rows, proposed="A", bucket=typo, place=OTHER)
    same_name = places.store(rows, proposed="A", bucket=typo)  # of another endpoint, say
    for read in (same_name.get, same_name.head, lambda key: list(same_name.read_range(key, 0, 1))):
        with pytest.raises(ForeignObjects, match="has none of them"):
            read(chunk_key(ref, 1, "0" * 32))
    assert list(typo.list("")) == []
    assert rows.read_place() == HERE


def test_results_that_are_in_another_bucket_than_is_set_are_missed_too(places: Places) -> None:
    rows, typo = places.rows("a"), MemoryStore(clock=places.clock)
    done = a_task(state=State.COMPLETED, result_key=result_key(a_task().ref, epoch=1, nonce="0" * 16, extension="csv"))
    places.store(rows, proposed="A").put(done.result_key, b"x")
    rows.create(done)
    split = SplitStore(input=places.bucket, output=typo)
    with pytest.raises(ForeignObjects, match="has none of them"):
        places.store(rows, proposed="A", bucket=split).check()
    assert list(typo.list("")) == []


def test_another_name_of_the_same_bucket_is_taken_and_noted(places: Places) -> None:
    rows = places.rows("a")
    with_a_batch(rows, places.store(rows, proposed="A"))
    places.store(rows, proposed="A", place=OTHER)
    assert rows.read_place() == OTHER


def test_another_bucket_that_cannot_be_asked_is_refused(places: Places) -> None:
    rows = places.rows("a")
    with_a_batch(rows, places.store(rows, proposed="A"))
    with pytest.raises(ForeignObjects, match="and not in s3://acme/typo"):
        places.store(rows, proposed="A", bucket=Away(places.bucket), place=OTHER)
    places.store(rows, proposed="A", bucket=Away(places.bucket))  # its own that is away


def test_rows_without_objects_may_begin_anywhere(places: Places) -> None:
    rows, beside = places.rows("a"), MemoryStore(clock=places.clock)
    rows.create(a_task())
    for _ in range(2):
        settle_beside(rows, beside, BESIDE)
        assert rows.read_place() == BESIDE
        places.store(rows, proposed="A").check()
        assert rows.read_place() == HERE


def test_rows_of_an_earlier_release_are_noted_where_their_objects_are_found(places: Places) -> None:
    rows, beside = places.rows("a"), MemoryStore(clock=places.clock)
    with_a_batch(rows, beside)
    with pytest.raises(ForeignObjects, match="have their objects in another store: s3://acme"):
        places.store(rows, proposed="A").check()
    assert places.keys() == []
    settle_beside(rows, beside, BESIDE)
    assert rows.read_place() == BESIDE
    owned = places.rows("owned")
    with_a_batch(owned)
    owned.identify("B")
    with pytest.raises(ForeignObjects, match="in a bucket"):
        settle_beside(owned, beside, BESIDE)
    lost = places.rows("lost")
    with_a_batch(lost)
    with pytest.raises(ForeignObjects, match=r"the data directory .* has none of them"):
        settle_beside(lost, MemoryStore(clock=places.clock), BESIDE)
    assert lost.read_place() is None


def test_a_copy_of_rows_takes_the_copy_of_their_bucket_under_another_name(places: Places, tmp_path: Path) -> None:
    rows, copied = places.rows("a"), MemoryStore(clock=places.clock)
    ref = with_a_batch(rows, places.store(rows, proposed="A"))
    with closing(sqlite3.connect(tmp_path / "a")) as source, closing(sqlite3.connect(tmp_path / "copy")) as copy:
        source.backup(copy)
        forget_identity(copy)
        copy.commit()
    copied.put(chunk_key(ref, 1, "0" * 32), b"x")
    places.store(places.rows("copy"), proposed="B", bucket=copied, place=OTHER)
    assert places.rows("copy").read_place() == OTHER
