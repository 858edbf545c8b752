"""A tenant that calls too often is told when to come back, and nobody else notices."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.adapters.system_clock import SystemClock
from sluice.api.auth import RateLimiter
from sluice.domain.errors import ErrorCode, SluiceError
from sluice.domain.events import Event
from tests.support.fake_clock import FakeClock
from tests.support.recorded_journal import RecordedJournal


def a_limiter(clock: FakeClock, *, per_s: float = 1, burst: int = 1, tenants_max: int = 100) -> RateLimiter:
    return RateLimiter(clock=clock, journal=RecordedJournal(), per_s=per_s, burst=burst, tenants_max=tenants_max)


def taken(limiter: RateLimiter, tenant: str = "acme", *, tries: int = 1) -> int:
    """How many of ``tries`` calls in a row get through."""
    done = 0
    for _ in range(tries):
        try:
            limiter.take(tenant)
        except SluiceError:
            continue
        done += 1
    return done


def wait_of(limiter: RateLimiter, tenant: str = "acme") -> float:
    with pytest.raises(SluiceError) as caught:
        limiter.take(tenant)
    assert caught.value.code is ErrorCode.RATE_LIMITED
    wait_s = caught.value.facts["retry_after_s"]
    assert isinstance(wait_s, int | float)
    return wait_s


def test_without_a_rate_there_is_no_limit() -> None:
    assert taken(a_limiter(FakeClock(), per_s=0, burst=0), tries=10_000) == 10_000


@pytest.mark.parametrize("burst", [1, 2, 10])
def test_a_burst_gets_through_and_no_more(burst: int) -> None:
    assert taken(a_limiter(FakeClock(), burst=burst), tries=burst + 5) == burst


@pytest.mark.parametrize(("per_s", "burst"), [(0.1, 1), (1, 1), (1.9, 1), (50, 50)])
def test_a_burst_of_its_own_is_what_a_second_gives(per_s: float, burst: int) -> None:
    assert taken(a_limiter(FakeClock(), per_s=per_s, burst=0), tries=100) == burst


def test_after_a_burst_calls_come_at_the_rate() -> None:
    clock = FakeClock()
    limiter = a_limiter(clock, per_s=2, burst=4)
    assert taken(limiter, tries=10) == 4
    clock.advance(0.5)
    assert taken(limiter, tries=10) == 1
    clock.advance(1.5)
    assert taken(limiter, tries=10) == 3


def test_a_rest_fills_the_bucket_to_the_burst_and_not_beyond() -> None:
    clock = FakeClock()
    limiter = a_limiter(clock, per_s=2, burst=4)
    taken(limiter, tries=4)
    clock.advance(1_000_000)
    assert taken(limiter, tries=10) == 4


def test_who_waits_as_told_gets_through_and_who_comes_earlier_does_not() -> None:
    clock = FakeClock()
    limiter = a_limiter(clock, per_s=4, burst=1)
    limiter.take("acme")
    assert wait_of(limiter) == 0.25
    clock.advance(0.249)
    assert wait_of(limiter) == 0.001
    clock.advance(0.001)
    limiter.take("acme")


def test_refused_calls_do_not_make_the_wait_longer() -> None:
    limiter = a_limiter(FakeClock())
    limiter.take("acme")
    assert {wait_of(limiter) for _ in range(100)} == {1.0}


def test_one_tenant_cannot_lock_another_out() -> None:
    limiter = a_limiter(FakeClock(), burst=2)
    assert taken(limiter, "loud", tries=1_000) == 2
    assert taken(limiter, "quiet", tries=2) == 2


def test_a_clock_set_back_or_forward_changes_nothing() -> None:
    clock = FakeClock()
    limiter = a_limiter(clock)
    limiter.take("acme")
    for seconds in (-1_000, 5_000):
        clock.jump(seconds)
        assert wait_of(limiter) == 1.0


def test_memory_is_bounded_and_those_who_called_longest_ago_are_forgotten() -> None:
    clock = FakeClock()
    limiter = a_limiter(clock, tenants_max=3)
    for tenant in ("a", "b", "c"):
        limiter.take(tenant)
    assert taken(limiter, "a") == 0  # refused, but heard of again
    limiter.take("d")
    assert len(limiter._full_at) == 3
    assert [taken(limiter, tenant) for tenant in ("a", "c", "d")] == [0, 0, 0]
    assert taken(limiter, "b") == 1


def test_refusals_are_noted() -> None:
    journal = RecordedJournal()
    limiter = RateLimiter(clock=FakeClock(), journal=journal, per_s=1)
    taken(limiter, tries=3)
    assert journal.of(Event.RATE_LIMIT_REACHED) == [{"tenant": "acme"}] * 2


def test_many_threads_together_get_no_more_than_the_burst() -> None:
    limiter = RateLimiter(clock=SystemClock(), journal=RecordedJournal(), per_s=0.0001, burst=2_000)
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.append(taken(limiter, tries=500))) for _ in range(8)]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns as often as they can
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    assert sum(got) == 2_000


@given(
    per_s=st.integers(min_value=1, max_value=50),
    burst=st.integers(min_value=1, max_value=20),
    pauses_ms=st.lists(st.integers(min_value=0, max_value=500), max_size=80),
)
def test_it_lets_through_what_a_bucket_of_tokens_would(per_s: int, burst: int, pauses_ms: list[int]) -> None:
    """The oracle counts whole tokens in thousandths, exactly; a call at the very edge may go either way."""
    clock = FakeClock()
    limiter = a_limiter(clock, per_s=per_s, burst=burst)
    tokens = burst * 1_000
    for pause_ms in pauses_ms:
        clock.advance(pause_ms / 1_000)
        tokens = min(tokens + pause_ms * per_s, burst * 1_000)
        let_in = taken(limiter) == 1
        assert let_in == (tokens >= 1_000)
        tokens -= 1_000 if let_in else 0
