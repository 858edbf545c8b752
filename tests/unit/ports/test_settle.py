"""A conditional change is repeated while no answer comes, and then read back: nothing about it is assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from sluice.domain.events import Event
from sluice.ports.bundle import Ports
from sluice.ports.retry import CHANGES, settle
from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from tests.support.fake_clock import FakeClock
from tests.support.memory_ports import memory_ports
from tests.support.recorded_journal import RecordedJournal

LOST = OutcomeUnknown("lost")


@dataclass
class Change:
    """Answers as the test says, one answer for each try, and notes what is asked."""

    answers: list[str | Exception | None]
    shows: str | None = None
    tries: int = 0
    read_back_with: list[bool] = field(default_factory=list)

    def attempt(self) -> str | None:
        answer = self.answers[min(self.tries, len(self.answers) - 1)]
        self.tries += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read_back(self, lost: bool) -> str | None:  # noqa: FBT001 - as settle gives it
        self.read_back_with.append(lost)
        return self.shows


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ports(clock: FakeClock) -> Ports:
    return memory_ports(clock)


def test_a_yes_is_believed(ports: Ports) -> None:
    change = Change(["won"])
    assert settle(ports, change.attempt, change.read_back) == "won"
    assert (change.tries, change.read_back_with) == (1, [])


def test_a_no_is_looked_into_once(ports: Ports) -> None:
    change = Change([None], shows="another was faster")
    assert settle(ports, change.attempt, change.read_back) == "another was faster"
    assert (change.tries, change.read_back_with) == (1, [False])


def test_a_yes_after_a_lost_answer_is_believed(ports: Ports, clock: FakeClock) -> None:
    change = Change([LOST, LOST, "won"])
    assert settle(ports, change.attempt, change.read_back) == "won"
    assert (change.tries, len(clock.slept), change.read_back_with) == (3, 2, [])


def test_a_no_after_a_lost_answer_may_be_our_own_doing(ports: Ports) -> None:
    change = Change([LOST, None], shows="it was us")
    assert settle(ports, change.attempt, change.read_back) == "it was us"
    assert (change.tries, change.read_back_with) == (2, [True])


def test_a_change_without_any_answer_is_read_back(ports: Ports) -> None:
    change = Change([LOST], shows="it was us")
    assert settle(ports, change.attempt, change.read_back) == "it was us"
    assert (change.tries, change.read_back_with) == (CHANGES.tries, [True])


def test_a_change_that_may_yet_happen_is_unknown(ports: Ports) -> None:
    change = Change([OutcomeUnknown("the first"), OutcomeUnknown("the last")])
    with pytest.raises(OutcomeUnknown, match="the last"):
        settle(ports, change.attempt, change.read_back)


def test_a_no_that_the_store_does_not_explain_is_unknown(ports: Ports) -> None:
    change = Change([None])
    with pytest.raises(OutcomeUnknown, match="refused"):
        settle(ports, change.attempt, change.read_back)


@pytest.mark.parametrize("place", ["attempt", "read back"])
def test_any_other_error_passes(ports: Ports, place: str) -> None:
    def refuse(*_: object) -> str:
        raise StoreRefused("no")

    attempt: Callable[[], str | None] = refuse if place == "attempt" else lambda: None
    with pytest.raises(StoreRefused):
        settle(ports, attempt, refuse)


def test_a_caller_is_not_kept_waiting_by_a_store_that_asks_for_an_hour(ports: Ports, clock: FakeClock) -> None:
    change = Change([OutcomeUnknown("busy", retry_after_s=3600)], shows="it was us")
    settle(ports, change.attempt, change.read_back)
    assert clock.monotonic() < 10


def test_a_change_that_is_made_again_is_recorded(ports: Ports) -> None:
    assert settle(ports, Change([LOST, LOST, "won"]).attempt, Change([]).read_back) == "won"
    assert isinstance(ports.journal, RecordedJournal)
    assert ports.journal.entries == [(Event.CALL_REPEATED, {"error": LOST})] * 2
