"""Runs that schedules ask for: which ticks have one, when, and that no tick has two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest

from sluice.adapters.memory.tasks import MemoryTasks
from sluice.api.auth import LOCAL_TENANT
from sluice.domain.dataset import DefinitionsError
from sluice.domain.events import Event
from sluice.domain.job import ParameterValue, decode_job
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.limits import DAY_S, HOUR_S, MINUTE_S
from sluice.domain.schema import ColumnType
from sluice.domain.task import Task
from sluice.ports.bundle import Ports
from sluice.ports.source import SourceColumn, SourceUnavailable
from sluice.usecases.running.find_jobs import KnownJob
from sluice.usecases.running.find_runs import list_runs
from sluice.usecases.running.open_run import cancel_run, read_run
from sluice.usecases.running.plan_due import DueRuns
from sluice.usecases.running.plan_run import PlannedRun, RunRequest, plan_run
from sluice.usecases.work_off import work_off
from tests.support.fake_clock import FakeClock
from tests.support.listed_source import ListedSource
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

NOON = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
HOURLY, DAILY = "0 * * * *", "30 2 * * *"


class Orders(ListedSource):
    """Implements ``Source`` with a column that has a name."""

    def describe(self) -> tuple[SourceColumn, ...]:
        return (SourceColumn("id", ColumnType.NUMBER, "numeric", is_nullable=False),)


class CountedTasks(MemoryTasks):
    """Counts the rows that are read."""

    reads = 0

    def read(self, ref: TaskRef) -> Task | None:
        self.reads += 1
        return super().read(ref)


class Service:
    """One process over stores that others may have too: its jobs, and what it knows of ticks."""

    def __init__(self, ports: Ports | None = None) -> None:
        self.clock = FakeClock(NOON.timestamp())
        self.tasks = CountedTasks()
        self.ports = replace(ports or memory_ports(self.clock), open_source=lambda _: Orders([("1",), ("2",)]))
        if ports is None:
            self.ports = replace(self.ports, tasks=self.tasks)
        self.jobs: dict[str, KnownJob] = {}
        self.planned: list[str] = []
        self.refuses: Exception | None = None
        self.due = DueRuns(lambda: self.jobs)

    def define(self, name: str = "orders", cron: str = HOURLY, version: str = "v1", **schedule: Any) -> None:
        source = {"type": "sqlite", "connection": "app", "table": "orders", "key": ["id"], "consistency": "key"}
        outputs = [{"name": "lines", "type": "file", "format": "csv"}]
        said = {"job": name, "schedule": {"cron": cron, **schedule}, "source": source, "outputs": outputs}
        job = decode_job(said)

        def plan(ports: Ports, given: Mapping[str, ParameterValue], tick: datetime | None) -> PlannedRun:
            self.planned.append(name)
            if self.refuses is not None:
                raise self.refuses
            return plan_run(ports, RunRequest(job, version, given, tick))

        self.jobs[name] = KnownJob(job, version, plan)

    def sweep(self, seconds: float = 0) -> list[str]:
        """Let time pass and look once; gives the ticks that have runs then, the newest last."""
        self.clock.advance(seconds)
        self.due.open_due(self.ports)
        return self.ticks()

    def ticks(self, job: str = "orders") -> list[str]:
        runs = list_runs(self.ports, LOCAL_TENANT, job=job, limit=500).runs
        found = [one.task.params.run.tick for one in runs if one.task.params and one.task.params.run]
        return [datetime.fromisoformat(tick).strftime("%d %H:%M") for tick in sorted(found)]

    def finish(self, job: str = "orders") -> None:
        """Do all that is to be done for the runs of a job."""
        for one in list_runs(self.ports, LOCAL_TENANT, job=job, limit=500).runs:
            work_off(self.ports, ManifestRef(one.task.ref, ""))
            for output in read_run(self.ports, one.task.ref).outputs:
                if output.task is not None:
                    work_off(self.ports, ManifestRef(output.task.ref, output.task.man_sha))

    def restart(self) -> None:
        self.due = DueRuns(lambda: self.jobs)

    def noted(self, event: Event) -> list[str]:
        journal = self.ports.journal
        assert isinstance(journal, RecordedJournal)
        return [str(entry.fields["reason"]) for entry in journal.entries if entry.event is event]


@pytest.fixture
def service() -> Service:
    return Service()


def test_each_tick_has_a_run_and_none_has_two(service: Service) -> None:
    service.define()
    assert service.sweep() == ["10 12:00"], "the last one, which nothing has seen"
    service.finish()
    assert service.sweep(HOUR_S) == ["10 12:00", "10 13:00"]
    service.finish()
    service.restart()
    assert service.sweep(10) == ["10 12:00", "10 13:00"]
    assert service.planned == ["orders"] * 2


@pytest.mark.parametrize(
    ("catch_up", "made"),
    [
        ("latest", ["10 12:00", "10 17:00"]),
        ("none", ["10 12:00"]),
        ("all", ["10 12:00", "10 13:00", "10 14:00", "10 15:00", "10 16:00", "10 17:00"]),
    ],
)
def test_what_was_missed_is_made_up_for_as_the_job_says(service: Service, catch_up: str, made: list[str]) -> None:
    service.define()
    service.sweep()
    service.finish()
    service.define(catch_up=catch_up)
    service.clock.advance(5 * HOUR_S + 20 * MINUTE_S)
    service.restart()
    for _ in range(8):  # missed ones follow one another, though overlap is to be skipped
        service.sweep(10)
        service.finish()
    assert service.ticks() == made


def test_a_job_that_never_ran_is_not_made_to_run_for_all_its_past(service: Service) -> None:
    service.define(catch_up="all")
    assert service.sweep() == ["10 12:00"]


def test_a_tick_so_old_that_its_run_may_be_forgotten_is_left_alone(service: Service) -> None:
    service.define(cron="0 0 1 1 *")
    assert service.sweep() == []


def test_a_machine_that_slept_makes_up_for_its_ticks_as_after_a_start(service: Service) -> None:
    for catch_up in ("latest", "none", "all"):
        service.define(catch_up, catch_up=catch_up)
    service.sweep()
    for name in service.jobs:
        service.finish(name)
    for _ in range(5):
        service.sweep(3 * HOUR_S if not service.ticks("latest")[1:] else 10)
        for name in service.jobs:
            service.finish(name)
    assert service.ticks("latest") == ["10 12:00", "10 15:00"]
    assert service.ticks("none") == ["10 15:00"]
    assert service.ticks("all") == ["10 12:00", "10 13:00", "10 14:00", "10 15:00"]


def test_a_tick_is_left_out_or_waits_while_the_run_before_goes_on(service: Service) -> None:
    service.define()
    service.define("queued", overlap="queue")
    service.sweep()
    service.sweep(HOUR_S)
    assert service.ticks() == ["10 12:00"]
    assert service.ticks("queued") == ["10 12:00"]
    assert service.noted(Event.RUN_LEFT_OUT) == ["the run before goes on"]
    service.finish()
    service.finish("queued")
    service.sweep(MINUTE_S)
    assert service.ticks() == ["10 12:00"]
    assert service.ticks("queued") == ["10 12:00", "10 13:00"]


def test_a_run_that_was_cancelled_keeps_no_later_one_waiting(service: Service) -> None:
    service.define()
    service.sweep()
    (run,) = list_runs(service.ports, LOCAL_TENANT).runs
    cancel_run(service.ports, run.task.ref)
    assert service.sweep(HOUR_S) == ["10 12:00", "10 13:00"]


def test_a_run_comes_after_those_of_other_jobs_of_the_same_day(service: Service) -> None:
    service.define("first", DAILY, timezone="Asia/Shanghai")
    service.define("then", "0 3 * * *", timezone="Asia/Shanghai", after=["first"], catch_up="none")
    service.clock.jump(6 * HOUR_S)
    service.sweep()
    service.finish("first")
    service.sweep(45 * MINUTE_S)  # 18:45, a quarter to three in Shanghai: the first of the new day goes on
    service.sweep(15 * MINUTE_S)
    assert service.ticks("then") == []
    service.finish("first")
    service.sweep(10)
    assert service.ticks("first")[-1] == "10 18:30"
    assert service.ticks("then") == ["10 19:00"]


def test_a_run_is_left_out_when_those_before_it_never_came(service: Service) -> None:
    service.define("first", DAILY)
    service.define(cron="0 3 * * *", after=["first"])
    service.sweep()
    (run,) = list_runs(service.ports, LOCAL_TENANT, job="first").runs
    cancel_run(service.ports, run.task.ref)
    service.sweep(HOUR_S)
    assert service.noted(Event.RUN_LEFT_OUT) == []
    service.refuses = SourceUnavailable("away")  # so that the next day's are none either
    service.sweep(DAY_S)
    service.sweep(DAY_S)
    assert service.ticks() == []
    assert service.noted(Event.RUN_LEFT_OUT)


def test_an_after_that_names_no_job_is_said_once(service: Service) -> None:
    service.define(after=["frist"])
    for _ in range(3):
        service.sweep(2 * MINUTE_S)
    assert service.noted(Event.RUN_NOT_PLANNED) == ["after names frist, which is no job here that has a schedule"]


def test_a_job_that_cannot_be_planned_is_said_once_tried_again_and_keeps_no_other_waiting(service: Service) -> None:
    service.define()
    service.refuses = DefinitionsError(["orders.yaml:3: the table has no id"])
    for _ in range(4):
        service.sweep(20)
    assert len(service.planned) == 2, "once a minute, and not at each sweep"
    assert len(service.noted(Event.RUN_NOT_PLANNED)) == 1
    service.define("other")
    service.define(version="v2")  # a file that is mended is tried at once
    service.refuses = None
    assert service.sweep(1) == ["10 12:00"]
    assert service.ticks("other") == ["10 12:00"]


def test_a_source_that_is_away_is_asked_once_for_all_of_its_jobs(service: Service) -> None:
    for number in range(5):
        service.define(f"job{number}")
    service.refuses = SourceUnavailable("away")
    service.sweep()
    assert len(service.planned) == 1


def test_planning_gives_way_to_the_other_work_and_goes_on_where_it_was(service: Service) -> None:
    for number in range(10):
        service.define(f"job{number}")
    seen: list[int] = []

    def on_step() -> None:
        service.clock.advance(4)

    while len(set(service.planned)) < 10:
        service.due.open_due(service.ports, on_step)
        seen.append(len(service.planned))
    assert seen == [2, 4, 6, 8, 10]
    assert len(service.planned) == 10


def test_a_clock_that_is_set_back_stops_no_schedule(service: Service) -> None:
    service.define()
    service.sweep()
    service.finish()
    service.clock.jump(20 * 365 * DAY_S)
    service.sweep(10)
    service.finish()
    service.clock.jump(-20 * 365 * DAY_S)
    service.sweep(10)
    assert len(service.sweep(HOUR_S)) == 3


class Together(Service):
    """Plans a run only when another that looks at the same moment has found none either."""

    barrier = Barrier(2)

    def plan(self, ports: Ports, given: Mapping[str, ParameterValue], tick: datetime | None) -> PlannedRun:
        self.barrier.wait(10)
        return self.known.plan(ports, given, tick)

    def define(self, name: str = "orders", cron: str = HOURLY, version: str = "v1", **schedule: Any) -> None:
        super().define(name, cron, version, **schedule)
        self.known = self.jobs[name]
        self.jobs[name] = self.known._replace(plan=self.plan)


def test_two_services_that_look_at_the_same_moment_make_one_run() -> None:
    one = Together()
    two = Together(one.ports)
    opened: list[int] = []

    def look(service: Service) -> None:
        opened.append(service.due.open_due(service.ports))

    for service in (one, two):
        service.define()
    threads = [Thread(target=look, args=[service]) for service in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [0, 1]
    assert one.ticks() == ["10 12:00"]


def test_between_ticks_a_thousand_jobs_read_no_row_and_ask_no_source(service: Service) -> None:
    for number in range(1_000):
        service.define(f"job{number}", cron=f"{number % 60} 0 * * *", catch_up="none")
    service.sweep()
    service.tasks.reads = 0
    for _ in range(360):
        service.due.open_due(service.ports)
        service.clock.advance(10)
    assert service.tasks.reads == 0
    assert service.planned == []


def test_no_tick_is_lost_in_the_night_in_which_clocks_go_forward(service: Service) -> None:
    service.define(cron="*/15 * * * *", timezone="Europe/Berlin", catch_up="all", overlap="queue")
    service.clock.jump((datetime(2026, 3, 28, 22, tzinfo=UTC) - NOON).total_seconds())
    for _ in range(6 * 12):
        service.sweep(5 * MINUTE_S)
        service.finish()
    expected = [datetime(2026, 3, 28, 22, tzinfo=UTC) + timedelta(minutes=15 * number) for number in range(25)]
    assert service.ticks() == [at.strftime("%d %H:%M") for at in expected]
