"""Runs of jobs in memory: what becomes of them when their reader dies anywhere, and at their limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sluice.api.auth import LOCAL_TENANT
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.job import Job, decode_job
from sluice.domain.keys import ManifestRef, TaskRef
from sluice.domain.schema import ColumnType
from sluice.domain.task import State, Task
from sluice.ports.bundle import Ports
from sluice.ports.source import SourceColumn, SourceUnavailable
from sluice.usecases.lease import Outcome
from sluice.usecases.running.certificate import certificate_of
from sluice.usecases.running.open_run import RunStatus, cancel_run, open_run, read_run
from sluice.usecases.running.plan_run import RunRequest, plan_run
from sluice.usecases.work_off import work_off
from tests.support.fake_clock import FakeClock
from tests.support.listed_source import Killed, ListedSource, Row
from tests.support.memory_ports import memory_ports

ROWS: list[Row] = [(str(number), "bad" if number % 3 == 0 else str(number * 10)) for number in range(1, 13)]
GOOD = [number for number in range(1, 13) if number % 3]


class Orders(ListedSource):
    """Implements ``Source`` with columns that have names and kinds."""

    def describe(self) -> tuple[SourceColumn, ...]:
        kinds = {"id": ColumnType.NUMBER, "amount": ColumnType.NUMBER}
        return tuple(SourceColumn(name, kind, "numeric", is_nullable=True) for name, kind in kinds.items())


class World:
    """A service in memory, its clock, and the one table that jobs read."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = Orders(ROWS)
        self.refuses: Exception | None = None
        self.ports: Ports = replace(memory_ports(self.clock), open_source=self._open)

    def _open(self, _: object) -> ListedSource:
        if self.refuses is not None:
            raise self.refuses
        return self.source

    def run(self, **more: Any) -> TaskRef:
        planned = plan_run(self.ports, RunRequest(job(**more), "v1"))
        return open_run(self.ports, LOCAL_TENANT, planned.params).task.ref

    def work(self, ref: TaskRef) -> RunStatus:
        """Do all there is to do, once each."""
        work_off(self.ports, ManifestRef(ref, ""))
        for one in read_run(self.ports, ref).outputs:
            if one.task is not None:
                work_off(self.ports, ManifestRef(one.task.ref, one.task.man_sha))
        return read_run(self.ports, ref)

    def file(self, status: RunStatus, output: str) -> list[str]:
        (task,) = [one.task for one in status.outputs if one.output == output]
        assert task is not None
        assert task.state is State.COMPLETED, task.last_error
        return b"".join(self.ports.objects.read_range(task.result_key, 0, task.result_size)).decode().splitlines()

    def let_lease_lapse(self) -> None:
        self.clock.advance(self.ports.timings.lease_s + self.ports.timings.skew_s + 1)


@pytest.fixture
def world() -> World:
    return World()


def job(**more: Any) -> Job:
    options = {"csv_bom": False, "line_ending": "lf"}
    return decode_job(
        {
            "job": "orders",
            "source": {"type": "sqlite", "connection": "c", "table": "orders", "key": ["id"], "consistency": "key"},
            "steps": [{"map": {"id": "id", "half": "amount / 2"}}],
            "on_error": {"rows": "divert"},
            "outputs": [
                {"name": "a", "type": "file", "format": "csv", "options": options},
                {"name": "b", "type": "file", "format": "csv", "columns": ["half"], "options": options},
            ],
            **more,
        }
    )


def check_whole(world: World, status: RunStatus) -> None:
    assert world.file(status, "a") == ["id,half", *(f"{number},{number * 5}" for number in GOOD)]
    assert world.file(status, "b") == ["half", *(str(number * 5) for number in GOOD)]
    _, *refused = world.file(status, "diverted")
    assert [line.split(",")[:3] for line in refused] == [[str(one), str(one), "amount"] for one in (3, 6, 9, 12)]
    said = certificate_of(status)
    assert said["rows"] == {"read": 12, "filtered": 0, "refused": 4, "out": 8}
    assert [one["state"] for one in said["outputs"]] == ["completed"] * 3


def test_two_outputs_have_the_same_rows_and_the_refused_ones_are_a_third(world: World) -> None:
    check_whole(world, world.work(world.run()))


@pytest.mark.parametrize("consistency", ["key", "snapshot"])
@pytest.mark.parametrize("calls", range(1, 16))
def test_a_reader_that_dies_at_any_call_to_a_store_loses_and_doubles_nothing(
    world: World, consistency: str, calls: int
) -> None:
    """Also between the batch of refused rows and that of the others."""
    source = {"type": "sqlite", "connection": "c", "table": "orders", "key": ["id"], "consistency": consistency}
    ref = world.run(source=source)
    tasks = world.ports.tasks
    left = calls

    class Dying:
        """Passes calls on until one is the last: before it is made, or once it is, and not answered."""

        def __getattr__(self, name: str) -> Any:
            real = getattr(tasks, name)

            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0 and calls % 2:
                    raise Killed
                done = real(*arguments, **named)
                if left == 0:
                    raise Killed
                return done

            return call

    dying: Any = Dying()
    world.source.slice_rows = 6
    try:
        work_off(replace(world.ports, tasks=dying), ManifestRef(ref, ""))
    except Killed:
        world.let_lease_lapse()
    check_whole(world, world.work(ref))


def test_more_refused_rows_than_are_allowed_fail_the_run(world: World) -> None:
    for said in ({"rows": "divert", "max_rows": 3}, {"rows": "divert", "max_share": 0.3}):
        status = world.work(world.run(on_error=said))
        assert (status.state, status.task.last_error_code) == ("failed", "TOO_MANY_REFUSED")


def test_a_run_that_takes_longer_than_its_job_allows_fails(world: World) -> None:
    world.source.given = lambda: world.clock.advance(40)
    status = world.work(world.run(limits={"duration": "1m"}, on_error={"rows": "divert"}))
    assert (status.state, status.task.last_error_code) == ("failed", "RUN_TOO_LONG")


def test_a_source_is_read_no_faster_than_the_job_says(world: World) -> None:
    began = world.clock.monotonic()
    status = world.work(world.run(limits={"rows_per_s": 2}))
    assert status.state == "succeeded"
    assert world.clock.monotonic() - began >= 12 / 2


def test_a_run_is_tried_as_often_as_its_job_says(world: World) -> None:
    ref = world.run(retry={"attempts": 2, "give_up": "1m", "backoff": "7s"})
    world.refuses = SourceUnavailable("away")
    assert work_off(world.ports, ManifestRef(ref, "")) is Outcome.RELEASED
    task = read_run(world.ports, ref).task
    assert task.due_at == world.clock.now() + 7
    world.clock.advance(61)
    assert work_off(world.ports, ManifestRef(ref, "")) is Outcome.RELEASED
    world.clock.advance(61)
    assert work_off(world.ports, ManifestRef(ref, "")) is Outcome.FAILED
    assert read_run(world.ports, ref).task.last_error_code == "ATTEMPTS_EXHAUSTED"


def test_a_run_that_is_cancelled_ends_with_its_outputs(world: World) -> None:
    ref = world.run()
    work_off(world.ports, ManifestRef(ref, ""))
    assert read_run(world.ports, ref).state == "delivering"
    assert cancel_run(world.ports, ref).state == "cancelled"
    assert world.work(ref).state == "cancelled"
    whole = world.run()
    world.work(whole)
    with pytest.raises(SluiceError) as refused:
        cancel_run(world.ports, whole)
    assert refused.value.code is ErrorCode.ALREADY_COMPLETED


def test_an_output_that_is_opened_behind_the_end_of_its_run_ends_too(world: World) -> None:
    """The run is cancelled after its outputs were looked for, and before they are there."""
    ref = world.run()
    tasks = world.ports.tasks

    class Late:
        """Passes calls on; the run is cancelled just before the first of its outputs is made."""

        def __getattr__(self, name: str) -> Any:
            real = getattr(tasks, name)
            if name != "create":
                return real

            def create(task: Task) -> bool:
                if not read_run(world.ports, ref).is_over:
                    cancel_run(world.ports, ref)
                return bool(real(task))

            return create

    late: Any = Late()
    work_off(replace(world.ports, tasks=late), ManifestRef(ref, ""))
    status = world.work(ref)
    assert status.state == "cancelled"
    assert next(one.task.state if one.task else None for one in status.outputs) is State.CANCELLED
    assert State.COMPLETED not in [one.task.state for one in status.outputs if one.task]


def test_however_many_rows_are_refused_they_are_stored(world: World) -> None:
    world.source.rows = [(str(number), "bad") for number in range(1, 70_001)]
    world.source.slice_rows = 8_000
    for steps in ([], [{"aggregate": {"by": ["id"], "take": {"most": "max(amount)"}}}]):
        made = {"outputs": [{"name": "a", "type": "file", "format": "csv"}], "steps": steps}
        status = world.work(world.run(**made))
        assert (status.state, certificate_of(status)["rows"]["refused"]) == ("succeeded", 70_000)
        assert len(world.file(status, "diverted")) == 70_001
