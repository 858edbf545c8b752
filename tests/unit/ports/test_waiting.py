"""The rule of waiting for a change."""

from __future__ import annotations

import pytest

from sluice.ports.store_errors import OutcomeUnknown, StoreRefused
from sluice.ports.waiting import Waiting, WaitRule
from tests.support.fake_clock import FakeClock

RULE = WaitRule(first_pause_s=1, growth=2, pause_max_s=5, silence_max_s=30)


class Store:
    """Answers with the number of reads, or raises what the test sets."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None

    def read(self, _known: int) -> int:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.reads


def test_pauses_grow_to_their_limit() -> None:
    waiting = Waiting(FakeClock(), RULE)
    assert [waiting.pause_s() for _ in range(5)] == [1, 2, 4, 5, 5]


def test_what_is_known_holds_while_the_store_is_silent() -> None:
    clock, store = FakeClock(), Store()
    waiting = Waiting(clock, RULE)
    store.error = OutcomeUnknown("silent")
    for _ in range(29):
        clock.advance(1)
        assert waiting.read(store.read, -1) == -1
    store.error = None
    assert waiting.read(store.read, -1) == 30
    waiting.check()


def test_a_silence_that_lasts_is_an_error_and_counts_from_the_last_answer() -> None:
    clock, store = FakeClock(), Store()
    waiting = Waiting(clock, RULE)
    clock.advance(29)
    assert waiting.read(store.read, -1) == 1
    store.error = OutcomeUnknown("silent")
    clock.advance(29.5)
    assert waiting.read(store.read, 1) == 1
    clock.advance(0.5)
    with pytest.raises(OutcomeUnknown):
        waiting.read(store.read, 1)


def test_at_the_end_of_a_wait_nothing_old_is_given_as_new() -> None:
    store = Store()
    waiting = Waiting(FakeClock(), RULE)
    waiting.check()
    store.error = OutcomeUnknown("silent")
    waiting.read(store.read, -1)
    with pytest.raises(OutcomeUnknown):
        waiting.check()


@pytest.mark.parametrize("error", [StoreRefused("no"), KeyError("a bug")])
def test_what_is_no_silence_is_raised_at_once(error: Exception) -> None:
    store = Store()
    store.error = error
    with pytest.raises(type(error)):
        Waiting(FakeClock(), RULE).read(store.read, -1)
