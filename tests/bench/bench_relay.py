"""How many rows a second go through the relay on one core, over HTTP and gRPC, to a durable chunk and claim."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.bench.bound_service import cpu_seconds, sender_pool, service_on_one_core
from tests.bench.plan import Plan
from tests.bench.relay_grpc import push_grpc
from tests.bench.relay_http import BODIES, open_task, push_http
from tests.bench.relay_load import Load, Span
from tests.bench.results import Pushed
from tests.support.running_service import ServiceProcess

SENDERS = (1, 4)
GRPC = "gRPC"


class Setup(NamedTuple):
    """One line of the table."""

    face: str
    senders: int


def measure_relay(plan: Plan) -> list[Pushed]:
    """Every face with one and with four senders, in turn; the best round of each."""
    rounds = [
        {setup: measure_setup(setup, plan.relay_batches) for setup in setups()} for _ in range(min(plan.rounds, 2))
    ]
    return [max((one[setup] for one in rounds), key=lambda pushed: pushed.rows_per_s) for setup in setups()]


def setups() -> Iterator[Setup]:
    return (Setup(face, senders) for face in (*BODIES, GRPC) for senders in SENDERS)


def measure_setup(setup: Setup, batches: int) -> Pushed:
    with service_on_one_core() as service:
        return measure_service(service, setup, batches)


def measure_service(service: ServiceProcess, setup: Setup, batches: int) -> Pushed:
    """Push the batches, shared by the senders; each sends one before the clock starts, to be warm."""
    share = max(batches // setup.senders, 1)
    if setup.face == GRPC:
        push, address = push_grpc, service.grpc_target
        tasks = [""] * setup.senders  # a stream is an export of its own
    else:
        push, address = push_http, str(service.http_port)
        tasks = [open_task(service.http_port)] * setup.senders
    loads = [
        Load(address, task, setup.face, first=1 + index * (share + 1), batches=share)
        for index, task in enumerate(tasks)
    ]
    with sender_pool(setup.senders) as pool:
        list(pool.map(push, [load._replace(batches=0) for load in loads]))  # the processes are there, and warm
        before = cpu_seconds(service)
        spans = list(pool.map(push, loads))
        cpu_s = cpu_seconds(service) - before
    return _pushed(setup, spans, cpu_s)


def _pushed(setup: Setup, spans: list[Span], cpu_s: float) -> Pushed:
    rows = sum(span.rows for span in spans)
    seconds = max(span.ended for span in spans) - min(span.started for span in spans)
    latencies = sorted(latency for span in spans for latency in span.latencies_s)
    return Pushed(
        face=setup.face,
        senders=setup.senders,
        rows_per_s=rows / seconds,
        rows_per_cpu_s=rows / cpu_s,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p99_ms=1000 * latencies[int(len(latencies) * 0.99)],
    )
