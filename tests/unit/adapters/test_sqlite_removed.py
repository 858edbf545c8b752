"""A file of rows that is removed or replaced under a process takes nothing more until it is put back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sluice.adapters.sqlite.tasks import SqliteTasks
from sluice.domain.errors import ErrorCode
from sluice.ports.store_errors import StoreRefused
from sluice.ports.task_store import TaskStore
from tests.contracts.task_builder import a_task

FILE, LOG = "tasks.sqlite3", "tasks.sqlite3-wal"


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[SqliteTasks]:
    with closing(SqliteTasks(tmp_path / FILE, synchronous="OFF")) as opened:
        opened.create(a_task("a"))
        yield opened


def swap(path: Path) -> None:
    shutil.copy(path.with_name("aside") / path.name, path)


@pytest.mark.parametrize("names", [(FILE,), (LOG,), (FILE, LOG)])
@pytest.mark.parametrize("then", [None, swap])
def test_nothing_is_read_from_or_written_into_what_is_gone(
    tmp_path: Path, tasks: SqliteTasks, names: tuple[str, ...], then: Callable[[Path], None] | None
) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in names:
        (tmp_path / name).rename(aside / name)
        if then is not None:
            then(tmp_path / name)
    calls: tuple[Callable[[TaskStore], object], ...] = (
        lambda store: store.create(a_task("b")),
        lambda store: store.read(a_task("a").ref),
        lambda store: store.due(0, limit=1),
        lambda store: store.forget_claims(a_task("a").ref),
    )
    for call in calls:
        with pytest.raises(StoreRefused, match="was removed or replaced while it was in use") as caught:
            call(tasks)
        assert caught.value.code_shown == ErrorCode.STORE_UNAVAILABLE
    for name in names:
        (aside / name).replace(tmp_path / name)
    assert tasks.read(a_task("a").ref) is not None
    assert tasks.create(a_task("b"))
    with closing(SqliteTasks(tmp_path / FILE)) as again:
        assert again.read(a_task("b").ref) is not None
