"""A real `sluice serve` on one core, and the processes that send to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.support.running_service import ServiceProcess, serving

MEETING_S = 60


@contextmanager
def service_on_one_core() -> Iterator[ServiceProcess]:
    """A service over a directory of its own; its threads and its composers share one core, others are free."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(TemporaryDirectory())) / "data"
        with _on_one_core():
            service = stack.enter_context(serving(data, anew=True))
        yield service


@contextmanager
def _on_one_core() -> Iterator[None]:
    """What is started inside inherits it."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def cpu_seconds(service: ServiceProcess) -> float:
    times = psutil.Process(service.process.pid).cpu_times()
    return float(times.user + times.system)


def tree_cpu_seconds(pid: int) -> float:
    """Of a process and all that it started, those that have ended included."""
    process = psutil.Process(pid)
    seconds = 0.0
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def sender_pool(senders: int) -> ProcessPoolExecutor:
    """Processes that are all there before the first of them works, if that many are wanted at once.

    Fresh ones: a copy of a process that has spoken gRPC could not speak it.
    """
    fresh = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(senders, mp_context=fresh, initializer=_meet, initargs=(fresh.Barrier(senders),))


def wait_for_the_others() -> None:
    """Called by every process of a pool once: they go on together."""
    _MEETING[0].wait(MEETING_S)


def _meet(barrier: Barrier) -> None:
    _MEETING.append(barrier)
    wait_for_the_others()


_MEETING: list[Barrier] = []
