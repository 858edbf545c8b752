"""Definitions of exports leave the disk to others: none is taken without room, and what they took comes back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from string import ascii_letters

import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.app.backends import open_ports
from sluice.app.one_machine import SweeperLoop
from sluice.app.settings.schema import Storage
from sluice.app.settings.validation import Settings
from sluice.domain.events import Event
from sluice.domain.keys import TaskRef, TenantId
from sluice.domain.limits import DAY_S
from sluice.domain.options import ExportFormat
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import StoreFull
from sluice.usecases.reading.read_task import find_task
from sluice.usecases.sending.cancel_export import cancel_export, delete_export
from sluice.usecases.sending.close_export import CloseRequest, close_export
from sluice.usecases.sending.open_export import OpenRequest, open_export
from sluice.usecases.sending.render_again import RenderRequest, render_again
from sluice.usecases.upkeep.sweep_tasks import SweepMemory
from tests.support.data_directory import compose, data_directory, open_task, seal
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

MIB = 1 << 20
TENANT = TenantId("shop")
ALL_THERE_IS = 1 << 60


def wide(seed: int) -> ExportParams:
    """A definition of more than a MiB that cannot be packed to half of it."""
    names = random.Random(seed)
    columns = tuple(ColumnSpec("".join(names.choices(ascii_letters, k=75))) for _ in range(15_000))
    return ExportParams(format=ExportFormat.CSV, filename="wide", columns=columns)


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[SqliteTasks]:
    with closing(SqliteTasks(tmp_path / "tasks.sqlite3", synchronous="OFF")) as tasks:
        yield tasks


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.glob("tasks.sqlite3*"))


@pytest.mark.slow
def test_the_sweeper_gives_back_what_exports_took_that_were_cancelled(tmp_path: Path, rows: SqliteTasks) -> None:
    clock = FakeClock()
    ports = replace(memory_ports(clock), tasks=rows, give_back_room=rows.give_back_room)
    loop = SweeperLoop(ports, interval_s=1, tidy=lambda: None, memory=SweepMemory(trusts_clock=True))
    for seed in range(12):
        cancel_export(ports, open_export(ports, TENANT, OpenRequest(wide(seed))).task.ref)
    assert size(tmp_path) < 8 * MIB, "a cancelled export keeps no columns, and its pages serve the next one"
    refs = [open_export(ports, TENANT, OpenRequest(wide(seed))).task.ref for seed in range(12)]
    assert size(tmp_path) > 12 * MIB
    for ref in refs:
        cancel_export(ports, ref)
    loop.sweep()
    loop.sweep()
    assert size(tmp_path) < 8 * MIB
    for _ in range(6):
        clock.advance(40 * DAY_S)
        loop.sweep()
    assert rows.is_empty()
    assert Event.SYSTEM_ERROR not in ports.journal.events()  # type: ignore[attr-defined]  # what memory_ports records in


def test_what_is_wrong_with_giving_room_back_is_noted_and_fails_no_sweep() -> None:
    def fail() -> None:
        raise StoreFull("no room to write the file anew")

    ports = replace(memory_ports(FakeClock()), give_back_room=fail)
    loop = SweeperLoop(ports, interval_s=1, tidy=lambda: None)
    for _ in range(9):
        loop.sweep()
        loop.check()
    assert Event.SYSTEM_ERROR in ports.journal.events()  # type: ignore[attr-defined]  # what memory_ports records in


def test_without_room_nothing_is_opened_or_rendered_and_what_is_there_is_ended(tmp_path: Path) -> None:
    with data_directory(tmp_path) as ports:
        opened, closed, done = (open_task(ports) for _ in range(3))
        seal(ports, done)
        compose(ports, done)
    full = Settings(storage=Storage(data_directory=str(tmp_path), min_free_bytes=ALL_THERE_IS))
    with open_ports(full, RecordedJournal()) as ports:
        with pytest.raises(StoreFull):
            open_export(ports, TENANT, OpenRequest(wide(1)))
        with pytest.raises(StoreFull):
            render_again(replace(ports, has_room=lambda *_: True), done, RenderRequest(format=ExportFormat.JSONL))
        close_export(ports, closed, CloseRequest(batches=2))
        cancel_export(ports, opened)
        delete_export(ports, done)
        assert find_task(ports, closed).sealed_at
        assert_deleted(ports, done)
        ports.give_back_room()


def assert_deleted(ports: Ports, ref: TaskRef) -> None:
    task = ports.tasks.read(ref)
    assert task is not None
    assert task.deleted_at
