"""A disk too small for a file: composers leave the room of batches, free what they wrote, and wait without writing."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sluice.adapters.directory.atomic_file import DiskRoom
from sluice.adapters.directory.disk_shares import DiskShares
from sluice.adapters.directory.store import DirectoryStore
from sluice.adapters.forwarding_store import RoomyStore
from sluice.domain.attempts import POSTPONE_S, room_needed
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, TaskRef, TenantId, result_key
from sluice.domain.limits import KIB, Limits, Timings
from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.domain.task import State, Task
from sluice.domain.task_errors import attempt_error_of
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import StoreFull
from sluice.tables.batch import Batch
from sluice.usecases.composing.compose_export import compose_export
from sluice.usecases.lease import Outcome
from sluice.usecases.params_cache import ParamsCache
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.put_batch import put_batch
from sluice.usecases.sending.render_again import RenderRequest, render_again
from tests.support.fake_clock import FakeClock, SeededRandomness
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal
from tests.support.small_disk import SmallDisk

MIN_FREE = 100 * KIB
LIMITS = Limits(part_bytes_min=10 * KIB, parts_max=100)
CELL = "\x01" * 1_000
"""A thousand bytes of a batch, six thousand of a file in JSON Lines."""
ROWS = 100
ALONE = TenantId("local")
FILE_BYTES = 600_000


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    small = SmallDisk(tmp_path, 500 * KIB)
    monkeypatch.setattr(os, "statvfs", small.statvfs)
    return small


def ports_on(
    disk: SmallDisk, clock: FakeClock, *, min_free: int = MIN_FREE, limits: Limits = LIMITS, leaves: int = 0
) -> Ports:
    """Ports whose objects are on the disk, wired as a service on one machine has them."""
    room = DiskRoom(disk.folder, min_free_bytes=min_free)
    store = DirectoryStore(disk.folder, randomness=SeededRandomness(), check_room=room.check_result)
    shares = DiskShares(disk.folder / "objects", room, leaves_bytes=leaves, alone=ALONE, monotonic=clock.monotonic)
    objects = RoomyStore(store, room.check, shares.check)
    return replace(memory_ports(clock), objects=objects, has_room=shares.has_room, limits=limits)


def sealed(ports: Ports, *, rows: int = ROWS, name: str = "a", tenant: str = "acme") -> tuple[TaskRef, ManifestRef]:
    params = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.JSONL, filename=name)
    ref = open_export(ports, TenantId(tenant), OpenRequest(params)).task.ref
    put_batch(ports, ParamsCache(ports), ref, sequence=1, batch=Batch.of_rows([(CELL,)] * rows, 1))
    return ref, ManifestRef(ref, close_export(ports, ref, CloseRequest(batches=1)).man_sha)


def row_of(ports: Ports, ref: TaskRef) -> Task:
    task = ports.tasks.read(ref)
    assert task is not None
    return task


def put_one(ports: Ports, sequence: int, ref: TaskRef) -> None:
    put_batch(ports, ParamsCache(ports), ref, sequence=sequence, batch=Batch.of_rows([(str(sequence),)], 1))


def test_a_file_without_room_leaves_the_room_of_batches_and_frees_what_it_took(disk: SmallDisk) -> None:
    clock = FakeClock()
    ports = ports_on(disk, clock)
    others = ExportParams(columns=(ColumnSpec("a"),), format=ExportFormat.CSV, filename="b")
    other = open_export(ports, TenantId("b"), OpenRequest(others)).task.ref
    ref, trigger = sealed(ports)
    free = disk.free
    assert compose_export(ports, trigger) is Outcome.RELEASED
    assert 2 * MIN_FREE <= disk.least_free < 2 * MIN_FREE + 4 * LIMITS.part_bytes_min, "all but what it has to leave"
    assert disk.free == free, "nothing of it is left"
    put_one(ports, 1, other)
    task = row_of(ports, ref)
    assert (task.state, task.epoch, task.strikes, task.last_error_code) == (State.SEALED, 1, 0, "STORAGE_FULL")
    assert task.room_needed > free - 2 * MIN_FREE, "more than there was"


def test_it_waits_without_writing_until_there_is_more_room_and_is_finished_then(disk: SmallDisk) -> None:
    clock = FakeClock()
    ports = ports_on(disk, clock)
    ref, trigger = sealed(ports)
    compose_export(ports, trigger)
    disk.least_free = disk.size
    for _ in range(100):
        clock.advance(POSTPONE_S)
        assert compose_export(ports, trigger) is Outcome.NO_ROOM
    task = row_of(ports, ref)
    assert (task.epoch, task.due_at) == (1, clock.now() + POSTPONE_S)
    assert disk.least_free == disk.free, "nothing was written"
    said = attempt_error_of(task)
    assert said is not None
    assert (said.code, f"{task.room_needed:,} bytes" in said.detail) == (ErrorCode.STORAGE_FULL, True)
    assert isinstance(ports.journal, RecordedJournal)
    assert ports.journal.of(Event.ATTEMPT_RELEASED)[0]["room_needed"] == task.room_needed
    assert ports.journal.of(Event.MANIFEST_DROPPED)[-1]["room_needed"] == task.room_needed
    disk.size += FILE_BYTES
    assert compose_export(ports, trigger) is Outcome.COMPLETED
    assert row_of(ports, ref).result_size > FILE_BYTES


def test_room_that_grows_little_by_little_is_not_filled_each_time(disk: SmallDisk) -> None:
    clock = FakeClock()
    ports = ports_on(disk, clock)
    ref, trigger = sealed(ports)
    outcomes: list[Outcome] = []
    while row_of(ports, ref).state is not State.COMPLETED:
        outcomes.append(compose_export(ports, trigger))
        disk.size += KIB
        clock.advance(POSTPONE_S)
    assert outcomes.count(Outcome.NO_ROOM) > 300
    assert 2 <= outcomes.count(Outcome.RELEASED) <= 5


def test_one_that_waits_for_a_day_in_vain_fails_and_can_be_made_again(disk: SmallDisk) -> None:
    clock = FakeClock()
    ports = ports_on(disk, clock)
    ref, trigger = sealed(ports)
    compose_export(ports, trigger)
    clock.advance(ports.timings.outage_s)
    assert compose_export(ports, trigger) is Outcome.FAILED
    task = row_of(ports, ref)
    assert (task.state, task.epoch, task.last_error_code) == (State.FAILED, 1, "ATTEMPTS_EXHAUSTED")
    assert "STORAGE_FULL" in task.last_error
    assert f"room_needed: {task.room_needed}" in task.last_error


def test_one_that_is_looked_at_late_waits_for_a_day_from_then(disk: SmallDisk) -> None:
    """No composer came for days, or a store was away: the day in which people make room begins with the first look."""
    clock = FakeClock()
    ports = ports_on(disk, clock)
    ref, trigger = sealed(ports)
    clock.advance(3 * ports.timings.outage_s)
    assert compose_export(ports, trigger) is Outcome.RELEASED
    clock.advance(ports.timings.outage_s - 1)
    assert compose_export(ports, trigger) is Outcome.NO_ROOM
    disk.size += FILE_BYTES
    assert compose_export(ports, trigger) is Outcome.COMPLETED
    ref, trigger = sealed(ports, rows=2 * ROWS)
    clock.advance(ports.timings.outage_s)
    assert compose_export(ports, trigger) is Outcome.RELEASED
    clock.advance(ports.timings.outage_s)
    assert compose_export(ports, trigger) is Outcome.FAILED
    assert row_of(ports, ref).last_error_code == "ATTEMPTS_EXHAUSTED"


def test_one_that_is_looked_at_late_is_tried_as_often_as_there_is_more_room(disk: SmallDisk) -> None:
    clock = FakeClock()
    ports = replace(ports_on(disk, clock), timings=Timings(attempts_max=2))
    ref, trigger = sealed(ports)
    clock.advance(ports.timings.outage_s)
    outcomes: list[Outcome] = []
    while not row_of(ports, ref).state.terminal:
        outcomes.append(compose_export(ports, trigger))
        disk.size += KIB
        clock.advance(POSTPONE_S)
    assert outcomes.count(Outcome.RELEASED) >= ports.timings.attempts_max
    assert row_of(ports, ref).state is State.COMPLETED


def test_what_a_killed_attempt_left_does_not_keep_the_room_from_the_next_one(disk: SmallDisk) -> None:
    ports = ports_on(disk, FakeClock())
    ref, trigger = sealed(ports, rows=40)
    begun = ports.objects.begin_upload(result_key(ref, epoch=0, nonce="0" * 16, extension="jsonl"), metadata={})
    ports.objects.put_part(begun, 1, bytes(100 * KIB))
    ports.objects.put(result_key(ref, epoch=0, nonce="1" * 16, extension="jsonl"), bytes(100 * KIB))
    later = result_key(ref, epoch=9, nonce="2" * 16, extension="jsonl")
    ports.objects.put(later, b"of a later attempt, which is not ours to judge")
    assert compose_export(ports, trigger) is Outcome.RELEASED
    assert list(ports.objects.list_uploads("")) == []
    assert [item.key for item in ports.objects.list("out/")] == [later]
    assert compose_export(ports, trigger) is Outcome.COMPLETED


def test_joining_parts_that_are_copied_leaves_the_room_of_batches_too(disk: SmallDisk) -> None:
    ports = ports_on(disk, FakeClock())
    upload = ports.objects.begin_upload("out/v1/a", metadata={})
    receipts = [ports.objects.put_part(upload, 1, bytes(KIB))]
    receipts.append(ports.objects.put_part(upload, 2, bytes(200 * KIB)))
    with pytest.raises(StoreFull):
        ports.objects.complete_upload(upload, receipts)
    assert disk.least_free >= 2 * MIN_FREE
    disk.size += 200 * KIB
    ports.objects.complete_upload(upload, receipts)
    assert ports.objects.head("out/v1/a").size == 201 * KIB


def test_without_a_threshold_only_the_disk_itself_refuses(disk: SmallDisk) -> None:
    disk.size = 0
    ports = ports_on(disk, FakeClock(), min_free=0)
    _, trigger = sealed(ports)
    assert compose_export(ports, trigger) is Outcome.COMPLETED
    assert not ports.has_room(ALONE, 1)


@pytest.mark.parametrize(
    ("written", "before", "expected"), [(0, 0, 125), (900, 0, 1_250), (900, 1_900, 2_500), (99_900, 0, 20_100)]
)
def test_the_room_that_is_waited_for_grows_and_has_a_bound(written: int, before: int, expected: int) -> None:
    assert room_needed(written, before=before, part_bytes=100, size_bound=10_000) == expected


@pytest.mark.parametrize("bytes_max", [1, 300_000, FILE_BYTES])
def test_a_file_that_becomes_larger_than_allowed_fails_once_so_many_bytes_are_there(
    disk: SmallDisk, bytes_max: int
) -> None:
    disk.size = disk.least_free = 10 * FILE_BYTES
    ports = ports_on(disk, FakeClock(), limits=Limits(part_bytes_min=10 * KIB, result_bytes_max=bytes_max))
    ref, trigger = sealed(ports)
    free = disk.free
    assert compose_export(ports, trigger) is Outcome.FAILED
    task = row_of(ports, ref)
    assert (task.state, task.epoch, task.last_error_code) == (State.FAILED, 1, "RESULT_TOO_LARGE")
    assert f"performance.max_result_bytes ({bytes_max:,})" in task.last_error
    assert "several exports" in task.last_error
    assert disk.free == free
    assert disk.least_free >= free - bytes_max


@pytest.mark.parametrize("larger", [0, 1])
def test_a_file_of_just_the_size_allowed_is_written(disk: SmallDisk, larger: int) -> None:
    disk.size = 10 * FILE_BYTES
    ports = ports_on(disk, FakeClock())
    ref, trigger = sealed(ports)
    compose_export(ports, trigger)
    exact = row_of(ports, ref).result_size
    bounded = replace(ports, limits=Limits(part_bytes_min=10 * KIB, result_bytes_max=exact - larger))
    _, again = sealed(bounded, name="b")
    assert compose_export(bounded, again) is (Outcome.FAILED if larger else Outcome.COMPLETED)


def test_a_bound_of_nothing_is_none(disk: SmallDisk) -> None:
    disk.size = 10 * FILE_BYTES
    ports = ports_on(disk, FakeClock(), limits=Limits(part_bytes_min=10 * KIB, result_bytes_max=0))
    assert compose_export(ports, sealed(ports)[1]) is Outcome.COMPLETED


def test_an_export_is_not_rendered_again_without_room_for_one_more_file(disk: SmallDisk) -> None:
    disk.size = 1_000 * KIB
    ports = ports_on(disk, FakeClock())
    ref, trigger = sealed(ports, rows=ROWS // 4)
    assert compose_export(ports, trigger) is Outcome.COMPLETED
    size = row_of(ports, ref).result_size
    assert size > FILE_BYTES // 4
    a_copy, made = RenderRequest(options=ExportOptions(reuse=False)), 0
    while ports.has_room(ref.tenant, size):
        again = render_again(ports, ref, a_copy).task
        assert compose_export(ports, ManifestRef(again.ref, again.man_sha)) is Outcome.COMPLETED
        made += 1
    assert made > 2
    before = sorted(disk.folder.rglob("*"))
    with pytest.raises(SluiceError) as refused:
        render_again(ports, ref, a_copy)
    assert refused.value.code is ErrorCode.STORAGE_FULL
    assert sorted(disk.folder.rglob("*")) == before, "nothing was written"
    render_again(ports, ref, RenderRequest(filename="b.jsonl"))  # may share the file
    disk.size = disk.size - disk.free + 2 * MIN_FREE
    with pytest.raises(SluiceError) as refused:
        render_again(ports, ref, RenderRequest(filename="b.jsonl"))
    assert refused.value.code is ErrorCode.STORAGE_FULL


def test_the_file_of_a_tenant_with_its_share_waits_and_that_of_another_is_written(disk: SmallDisk) -> None:
    disk.size = 1_000 * KIB
    clock = FakeClock()
    ports = ports_on(disk, clock, min_free=20 * KIB, leaves=disk.size)
    first, trigger = sealed(ports)
    assert compose_export(ports, trigger) is Outcome.COMPLETED
    waiting, waits = sealed(ports, rows=ROWS - 1)
    assert compose_export(ports, waits) is Outcome.RELEASED
    error = attempt_error_of(row_of(ports, waiting))
    assert error is not None
    assert error.code is ErrorCode.STORAGE_FULL
    clock.advance(3_600)
    assert compose_export(ports, waits) is Outcome.NO_ROOM
    assert row_of(ports, waiting).epoch == 1, "no attempt is made in vain"
    _, of_another = sealed(ports, rows=ROWS // 10, tenant="b")
    assert compose_export(ports, of_another) is Outcome.COMPLETED
    ports.objects.delete([row_of(ports, first).result_key])
    clock.advance(3_600)
    assert compose_export(ports, waits) is Outcome.COMPLETED
