"""No more sessions than a connection has slots, over all processes; a slot is free as soon as its holder has ended."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.sources import slots as slots_module
from sluice.adapters.sources.slots import Slots, SlottedSource
from sluice.domain.pulled import Cursor
from sluice.ports.source import Slices, SourceUnavailable
from tests.support.listed_source import ListedSource

WAIT_S = 60
HOLDER = """
import sys
from pathlib import Path
from sluice.adapters.databases.interruption import Interruption
from sluice.adapters.sources.slots import Slots
with Slots(Path(sys.argv[1]), "crm", 2).taken(Interruption(), wait_s=1):
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "slots"


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a slot until the block ends."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def is_free(folder: Path) -> bool:
    with suppress(SourceUnavailable), Slots(folder, "crm", 2).taken(Interruption(), wait_s=0):
        return True
    return False


def test_processes_have_as_many_slots_as_there_are_and_no_more(folder: Path) -> None:
    with holder(folder), ExitStack() as stack:
        assert is_free(folder)
        stack.enter_context(Slots(folder, "crm", 2).taken(Interruption(), wait_s=0))
        assert not is_free(folder)
        with Slots(folder, "other", 1).taken(Interruption(), wait_s=0):
            pass  # another connection has its own
    assert is_free(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_process_that_is_killed_gives_its_slot_back(folder: Path) -> None:
    with holder(folder), holder(folder) as second:
        assert not is_free(folder)
        second.send_signal(signal.SIGKILL)
        second.wait(WAIT_S)
        assert is_free(folder)


def test_what_waits_gets_the_slot_that_comes_free_and_an_interrupt_ends_the_wait(folder: Path) -> None:
    slots, got = Slots(folder, "crm", 1), threading.Event()

    def wait() -> None:
        with slots.taken(Interruption(), wait_s=WAIT_S):
            got.set()

    with slots.taken(Interruption(), wait_s=0):
        waiting = threading.Thread(target=wait)
        waiting.start()
        given_up = Interruption()
        threading.Timer(0.05, given_up.interrupt).start()
        with pytest.raises(SourceUnavailable, match="interrupted"), slots.taken(given_up, wait_s=10 * WAIT_S):
            pass
        assert not got.is_set()
    assert got.wait(WAIT_S)
    waiting.join()


class Watched(ListedSource):
    """Notes whether the slot is taken whenever its table is asked something."""

    def __init__(self, folder: Path) -> None:
        super().__init__([("1",), ("2",)])
        self.folder = folder
        self.taken: list[bool] = []

    def count(self, limit: int) -> int:
        self._note()
        return super().count(limit)

    @contextmanager
    def reading(self, after: Cursor | None = None, until: Cursor | None = None) -> Iterator[Slices]:
        self._note()
        with super().reading(after, until) as slices:
            yield slices
        self._note()

    def _note(self) -> None:
        self.taken.append(not is_free(self.folder))


def test_a_table_is_asked_in_a_slot_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "WAIT_S", 0)
    with holder(folder):
        table = Watched(folder)
        source = SlottedSource(table, Slots(folder, "crm", 2), is_brief=False)
        assert source.count(5) == 2
        with source.reading() as slices:
            assert sum(part.rows for part in slices) == 2
        assert table.taken == [True] * 3
        with holder(folder), pytest.raises(SourceUnavailable, match="all 2 slots"):
            source.count(5)
        assert len(table.taken) == 3, "no session without a slot"
        source.interrupt()
        with pytest.raises(SourceUnavailable, match="interrupted"), source.reading():
            pass
