"""The benchmarks' smallest sizes, so that they still run on the day when they are wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from time import perf_counter

import pytest
from python_calamine import CalamineWorkbook

from sluice.domain.options import ExportFormat
from tests.bench import bench_pull
from tests.bench.apart import measure_apart
from tests.bench.bench_crowd import run_crowd
from tests.bench.bench_memory import compose_embedded
from tests.bench.bench_relay import GRPC, Setup, measure_service
from tests.bench.bench_senders import LINK_MS, Stage, Way, measure_ways, stage, ways
from tests.bench.bench_service import SENDERS, time_both
from tests.bench.bench_writers import measure_rounds
from tests.bench.bound_service import sender_pool, service_on_one_core
from tests.bench.orders import Orders
from tests.bench.pull_table import PULL_CSV, pull_stage, pullers
from tests.bench.sender_table import FOUR, OURS, RIVALS, Sender, can_run, versions
from tests.bench.subject_table import subject_named
from tests.support.programs import skip_without
from tests.support.running_service import ServiceProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tools,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and binds processes to cores"),
]


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    cores = os.sched_getaffinity(0)
    with service_on_one_core() as running:
        assert len(os.sched_getaffinity(running.process.pid)) == 1
        assert os.sched_getaffinity(0) == cores
        yield running


@pytest.mark.parametrize("setup", [Setup("HTTP, CSV", 1), Setup(GRPC, 2)], ids=str)
def test_the_relay_is_measured(service: ServiceProcess, setup: Setup) -> None:
    measured = measure_service(service, setup, batches=4)
    assert (measured.face, measured.senders) == setup
    assert measured.rows_per_s > 0
    assert 0 < measured.p50_ms <= measured.p99_ms


def test_close_to_link_is_measured(service: ServiceProcess) -> None:
    with sender_pool(SENDERS) as pool:
        assert all(seconds > 0 for seconds in time_both(service, pool, 2_500))


def test_a_crowd_is_measured(service: ServiceProcess) -> None:
    crowd = run_crowd(service, len(ExportFormat), 1_500)
    assert {name: len(moments) for name, moments in crowd.finished_s.items()} == {
        name.value: 1 for name in ExportFormat
    }
    assert crowd.seconds == max(crowd.all_finished_s)
    assert 1 / len(ExportFormat) <= crowd.jain <= 1
    assert crowd.queries >= len(ExportFormat)
    assert crowd.p50_ms <= crowd.p90_ms <= crowd.p99_ms <= crowd.max_ms


def test_a_composer_s_memory_is_measured() -> None:
    assert 20e6 < compose_embedded(1_500).peak_bytes < 200e6


def test_a_subject_is_measured_in_a_process_of_its_own() -> None:
    assert measure_apart(subject_named("csv.writer"), Orders(200)).file_bytes > 20_000


def test_a_slow_subject_has_one_round() -> None:
    subjects = [subject_named("csv.writer"), subject_named("ours CSV")._replace(slow=True)]
    rounds = {one.subject: len(one.seconds) for one in measure_rounds(subjects, Orders(50, 3), 2)}
    assert rounds == {"csv.writer": 2, "ours CSV": 1}


@pytest.fixture(scope="module")
def sending() -> Iterator[Stage]:
    with stage() as here:
        yield here


@pytest.mark.parametrize("sender", OURS, ids=lambda one: one.name)
def test_a_sender_is_measured(sending: Stage, sender: Sender) -> None:
    if sender.needs:
        skip_without(sender.needs)
    (measured,) = measure_ways(sending, [Way(sender, 2_500)], 1)
    assert 0 < measured.pushed_s[0] <= measured.finished_s[0]
    assert measured.service_cpu_s[0] > 0
    assert (measured.subject, measured.rows) == (sender.name, 2_500)


@pytest.mark.parametrize("sender", RIVALS, ids=lambda one: one.name)
def test_a_rival_of_the_senders_is_measured(sending: Stage, sender: Sender) -> None:
    skip_without("php")
    if not can_run(sender, versions()):
        pytest.skip(f"{sender.name} is not below build/bench/php")
    took = sending.run(Way(sender, 1_200))
    (sheet,) = CalamineWorkbook.from_path(str(sending.folder / f"{sender.program}.xlsx")).sheet_names
    rows = CalamineWorkbook.from_path(str(sending.folder / f"{sender.program}.xlsx")).get_sheet_by_name(sheet)
    assert len(list(rows.iter_rows())) == 1_201
    assert took.cpu_s > 0
    assert took.service_cpu_s == 0


def test_a_sender_is_measured_with_fewer_rows_and_over_a_link_too() -> None:
    skip_without("php-curl")
    lines = [(way.rows, way.link_ms) for way in ways(2_000) if way.sender.name == FOUR]
    assert lines == [(2_000, 0), (200, 0), (2_000, LINK_MS)]


def test_a_pull_is_measured_as_a_file_a_click_and_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without("postgres")
    monkeypatch.setattr(bench_pull, "PAGE_ROWS", 200)
    with pull_stage([600]) as here:
        took = bench_pull.worker(here, 600, ExportFormat.CSV)
        assert took.cpu_s > 0
        assert 20e6 < took.peak_bytes < 200e6
        (program,) = [one for one in pullers(here, 600) if one.name == PULL_CSV]
        assert bench_pull.run_program(here, program, 600).peak_bytes > 20e6
        with pytest.raises(RuntimeError, match="made 600 rows of 601"):
            bench_pull.run_program(here, program, 601)
        assert len(bench_pull.measure_clicks(here, 600, 2).seconds) == 2
        first, third = (bench_pull.measure_page(here, 600, page) for page in (1, 3))
    assert first.buffers <= third.buffers + 3
    assert third.buffers < third.buffers_by_offset


def test_a_long_link_is_long_both_ways_and_not_narrow(sending: Stage) -> None:
    """A connection asks twice and gets two answers: at least twice the way there and back."""
    connection = HTTPConnection("127.0.0.1", sending.far_port, timeout=60)
    started = perf_counter()
    for _ in range(2):
        connection.request("GET", "/health/live")
        assert connection.getresponse().read()
    assert perf_counter() - started >= 2 * LINK_MS / 1000
    connection.close()
