"""One lane and several threads keep the contract; only threads work side by side."""

import threading

import pytest

from sluice.adapters.thread_lanes import ThreadLanes
from sluice.ports.lanes import Lanes, OneLane
from tests.contracts.lanes_contract import LanesContract


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
