"""One thread and several keep the contract; only threads work side by side."""

import threading
from itertools import count

import pytest

from sluice.adapters.thread_pool import ThreadedPool
from sluice.ports.pool import OrderedPool, SerialPool
from tests.contracts.pool_contract import Lamp, PoolContract


class TestSerialPool(PoolContract):
    def open_pool(self) -> OrderedPool:
        return SerialPool()


class TestThreadedPool(PoolContract):
    def open_pool(self) -> OrderedPool:
        return ThreadedPool()


def test_threads_work_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert len(list(ThreadedPool().map(lambda _: meeting.wait(), range(9), concurrency=3))) == 9


def test_threads_end_with_their_iterator() -> None:
    before = threading.active_count()
    list(ThreadedPool().map(lambda item: item, range(10), concurrency=4))
    assert threading.active_count() == before


def test_less_than_one_lane_is_refused() -> None:
    with pytest.raises(ValueError, match="concurrency starts at 1"):
        ThreadedPool().map(print, [], concurrency=0)


def test_whoever_waits_for_a_thread_can_do_something_else_meanwhile() -> None:
    asked, enough = count(1), threading.Event()

    def on_wait() -> None:
        if next(asked) == 3:
            enough.set()

    pool = ThreadedPool(pause_s=0.001)
    assert list(pool.map(lambda _: enough.wait(10), range(2), concurrency=2, on_wait=on_wait)) == [True, True]


def test_what_the_waiting_thread_raises_passes_through_when_nothing_is_at_work() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        threading.Event().wait(0.05)
        done.append(item)

    def on_wait() -> None:
        raise Lamp

    with pytest.raises(Lamp):
        list(ThreadedPool(pause_s=0.001).map(work, [1, 2, 3], concurrency=2, on_wait=on_wait))
    assert sorted(done) == [1, 2]
