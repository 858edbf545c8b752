"""The stores are compared weekly and the directory is tidied, however often the service is started again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice.app.backends import backend_of, open_ports
from sluice.app.one_machine import RECONCILE_S, SweeperLoop
from sluice.app.settings.validation import settings_from
from sluice.domain.events import Event
from sluice.domain.limits import DAY_S
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.store_errors import StoreRefused
from sluice.usecases.upkeep.sweep_tasks import CLOCK_PROOF_S
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal


class Services:
    """Services over one directory, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.ports: Ports = memory_ports(self.clock)
        self.tidied = 0
        self.walked = folder / "last-walk"

    def start(self) -> SweeperLoop:
        return SweeperLoop(self.ports, interval_s=1, tidy=self._tidy, walked=self.walked)

    def run(self, loop: SweeperLoop, seconds: float) -> None:
        """Sweep as long as a clock takes to be believed, and once at the end."""
        for pause in (0, CLOCK_PROOF_S, seconds - CLOCK_PROOF_S):
            self.clock.advance(pause)
            loop.sweep()
            loop.walk_if_due()

    @property
    def walks(self) -> int:
        assert isinstance(self.ports.journal, RecordedJournal)
        return sum("reconciled_rows" in said for said in self.ports.journal.of(Event.SWEEP_FINISHED))

    def _tidy(self) -> None:
        self.tidied += 1


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return Services(tmp_path)


def test_a_service_that_is_started_again_daily_walks_weekly_and_tidies_daily(services: Services) -> None:
    for _ in range(15):
        services.run(services.start(), DAY_S - 1)
        services.clock.advance(1)
    assert services.walks == 3
    assert services.tidied == 15


def test_a_service_that_stays_walks_weekly(services: Services) -> None:
    loop = services.start()
    for _ in range(15):
        services.run(loop, DAY_S)
    assert services.walks == 3


def test_nothing_is_walked_or_tidied_before_the_clock_is_believed(services: Services) -> None:
    loop = services.start()
    loop.sweep()
    loop.walk_if_due()
    assert (services.walks, services.tidied) == (0, 0)


def test_of_several_services_of_a_directory_one_walks(services: Services) -> None:
    loops = [services.start() for _ in range(3)]
    for _ in range(2):
        for pause in (0, CLOCK_PROOF_S, RECONCILE_S):
            services.clock.advance(pause)
            for loop in loops:
                loop.sweep()
                loop.walk_if_due()
    assert services.walks == 3  # at the start and after each week


def test_a_walk_that_failed_is_made_again_by_the_next_process(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Iterator[Task]:
        raise StoreRefused("no")

    with monkeypatch.context() as patch:
        patch.setattr(services.ports.tasks, "scan", failing)
        loop = services.start()
        services.run(loop, DAY_S)
        services.run(loop, DAY_S)
        assert isinstance(services.ports.journal, RecordedJournal)
        assert len(services.ports.journal.of(Event.SYSTEM_ERROR)) == 1
    assert not services.walked.exists()
    services.run(services.start(), DAY_S)
    assert services.walks == 1


def test_a_time_that_a_wrong_clock_left_keeps_no_walk(services: Services) -> None:
    services.walked.touch()
    ahead = services.clock.now() + 365 * DAY_S
    os.utime(services.walked, (ahead, ahead))
    services.run(services.start(), DAY_S)
    assert services.walks == 1


@pytest.mark.parametrize("backend", ["directory", "s3"])
def test_what_was_begun_aside_and_never_got_its_name_is_tidied_up_after_a_day(tmp_path: Path, backend: str) -> None:
    flags = {"storage.backend": backend, "storage.data_directory": str(tmp_path)}
    settings = settings_from({}, None, flags | ({"s3.url": "s3://bucket"} if backend == "s3" else {}))
    if backend == "directory":
        with open_ports(settings, RecordedJournal()):
            pass
    left = ["reserve.123.part", ".tasks.sqlite3.9.9", ".link.secret.abcd"]
    kept = ["reserve", "link.secret", "keys.json", "mine"]
    for name in left + kept:
        (tmp_path / name).write_bytes(bytes(32))
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "reserve.456.part").touch()
    assert backend_of(settings).tidy(settings) == len(left)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} >= {*kept, "reserve.456.part"}
    assert not [name for name in left if (tmp_path / name).exists()]
