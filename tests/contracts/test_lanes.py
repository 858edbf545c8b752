"""One lane and several threads keep the contract; only threads work side by side."""

import threading
from itertools import count

import pytest

from sluice.adapters.thread_lanes import ThreadLanes
from sluice.ports.lanes import Lanes, OneLane
from tests.contracts.lanes_contract import Lamp, LanesContract


class TestOneLane(LanesContract):
    def open_lanes(self) -> Lanes:
        return OneLane()


class TestThreadLanes(LanesContract):
    def open_lanes(self) -> Lanes:
        return ThreadLanes()


def test_threads_work_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=10)
    assert len(list(ThreadLanes().ahead(lambda _: meeting.wait(), range(9), lanes=3))) == 9


def test_threads_end_with_their_iterator() -> None:
    before = threading.active_count()
    list(ThreadLanes().ahead(lambda item: item, range(10), lanes=4))
    assert threading.active_count() == before


def test_less_than_one_lane_is_refused() -> None:
    with pytest.raises(ValueError, match="lanes start at 1"):
        ThreadLanes().ahead(print, [], lanes=0)


def test_whoever_waits_for_a_thread_can_do_something_else_meanwhile() -> None:
    asked, enough = count(1), threading.Event()

    def meanwhile() -> None:
        if next(asked) == 3:
            enough.set()

    lanes = ThreadLanes(pause_s=0.001)
    assert list(lanes.ahead(lambda _: enough.wait(10), range(2), lanes=2, meanwhile=meanwhile)) == [True, True]


def test_what_the_waiting_thread_raises_passes_through_when_nothing_is_at_work() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        threading.Event().wait(0.05)
        done.append(item)

    def meanwhile() -> None:
        raise Lamp

    with pytest.raises(Lamp):
        list(ThreadLanes(pause_s=0.001).ahead(work, [1, 2, 3], lanes=2, meanwhile=meanwhile))
    assert sorted(done) == [1, 2]
