"""The benchmarks' smallest sizes, so that they still run on the day when they are wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from sluice.domain.options import ExportFormat
from tests.bench.apart import measure_apart
from tests.bench.bench_crowd import run_crowd
from tests.bench.bench_memory import compose_embedded
from tests.bench.bench_relay import GRPC, Setup, measure_service
from tests.bench.bench_service import SENDERS, time_both
from tests.bench.bench_writers import measure_rounds
from tests.bench.bound_service import sender_pool, service_on_one_core
from tests.bench.orders import Orders
from tests.bench.subject_table import subject_named
from tests.support.running_service import ServiceProcess

pytestmark = [
    pytest.mark.slow,
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
