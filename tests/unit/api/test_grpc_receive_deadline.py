"""Calls whose next message does not come are broken off, and no others."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from sluice.api.grpc.receive_deadline import ReceiveDeadline, Wait
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.ports.store_errors import StoreRefused
from tests.support.fake_clock import FakeClock


class Watched:
    """A deadline of 60 s with the test's clock, and the calls it broke off."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.deadline = ReceiveDeadline(timeout_s=60, clock=self.clock)
        self.broken_off: list[str] = []

    def wait(self, name: str, *, timeout_s: float = math.inf) -> Wait:
        return self.deadline.wait(self.break_off(name), timeout_s=timeout_s)

    def break_off(self, name: str) -> Callable[[], None]:
        return lambda: self.broken_off.append(name)

    def after(self, seconds: float) -> list[str]:
        """Who is broken off when this much more time has passed."""
        self.clock.advance(seconds)
        self.broken_off.clear()
        self.deadline.cancel_overdue()
        return self.broken_off


def test_a_wait_is_broken_off_after_its_time() -> None:
    watched = Watched()
    with watched.wait("slow") as wait:
        assert watched.after(60) == []
        assert not wait.overdue
        assert watched.after(0.1) == ["slow"]
        assert wait.overdue


def test_each_message_starts_the_time_again() -> None:
    watched = Watched()
    wait = watched.wait("steady")
    for _ in range(5):
        with wait:
            assert watched.after(59) == []
    assert not wait.overdue


def test_time_between_two_waits_does_not_count() -> None:
    watched = Watched()
    wait = watched.wait("busy")
    with wait:
        pass
    assert watched.after(1_000) == []


def test_only_the_overdue_one_is_broken_off() -> None:
    watched = Watched()
    with watched.wait("first"):
        assert watched.after(40) == []
        with watched.wait("second"):
            assert watched.after(30) == ["first"]


def test_a_wait_can_have_less_time_and_never_more() -> None:
    watched = Watched()
    with watched.wait("short", timeout_s=5), watched.wait("long", timeout_s=500):
        assert watched.after(6) == ["short"]
        assert watched.after(55) == ["short", "long"]


def test_a_wait_that_fails_is_over_too() -> None:
    watched = Watched()
    with pytest.raises(ValueError, match="broken"), watched.wait("broken"):
        raise ValueError("broken")
    assert watched.after(1_000) == []


@pytest.mark.parametrize(
    ("error", "broken_off"),
    [(SluiceError(ErrorCode.UNAUTHENTICATED), ["refused"]), (StoreRefused("away"), [])],
    ids=["its key is revoked", "nothing is known of keys now"],
)
def test_a_wait_of_a_caller_that_is_refused_by_now_is_broken_off(error: Exception, broken_off: list[str]) -> None:
    watched, errors = Watched(), list[Exception]()

    def check() -> None:
        for one in errors:
            raise one

    with watched.deadline.wait(watched.break_off("refused"), check=check) as wait:
        assert watched.after(1) == []
        errors.append(error)
        assert watched.after(1) == broken_off
        assert not wait.overdue
        assert watched.after(60) == ["refused"]
        assert wait.overdue


def test_it_can_be_stopped_before_it_was_started_and_after() -> None:
    deadline = ReceiveDeadline(timeout_s=60, clock=FakeClock())
    deadline.stop()
    deadline = ReceiveDeadline(timeout_s=0.01, clock=FakeClock())
    deadline.start()
    deadline.stop()
