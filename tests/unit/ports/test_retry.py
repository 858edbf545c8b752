"""The rule of trying again, as a pure function and at work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from sluice.ports.retry import CHANGES, PROVISIONING, STORE_CALLS, Retry, RetryRule
from sluice.ports.store_errors import OutcomeUnknown
from tests.support.fake_clock import FakeClock, SeededRandomness

RULE = RetryRule(tries=6, first_wait_s=1, wait_max_s=4, asked_wait_max_s=10, within_s=100)


def waits(rule: RetryRule, fraction: float) -> list[float | None]:
    return [rule.wait_s(tried, fraction=fraction) for tried in range(1, 7)]


def test_the_bound_of_a_wait_doubles_up_to_its_limit() -> None:
    assert waits(RULE, 0.5) == [0.5, 1, 2, 2, 2, None]
    assert waits(RULE, 0) == [0, 0, 0, 0, 0, None]


@pytest.mark.parametrize(
    ("jitter", "fraction", "wait_s"), [(1, 0.25, 0.25), (0.5, 0, 0.5), (0.5, 0.5, 0.75), (0, 0.9, 1)]
)
def test_a_share_of_a_wait_is_random(jitter: float, fraction: float, wait_s: float) -> None:
    assert RetryRule(first_wait_s=1, jitter=jitter).wait_s(1, fraction=fraction) == wait_s


@pytest.mark.parametrize(("asked_s", "wait_s"), [(0, 0.5), (3, 3.5), (10, 10.5), (3600, 10.5)])
def test_time_that_is_asked_for_comes_first_within_reason(asked_s: float, wait_s: float) -> None:
    assert RULE.wait_s(1, fraction=0.5, asked_s=asked_s) == wait_s


@pytest.mark.parametrize(("elapsed_s", "wait_s"), [(0, 0.5), (99.5, 0.5), (99.6, None), (1000, None)])
def test_no_try_begins_after_the_time_for_all_of_them(elapsed_s: float, wait_s: float | None) -> None:
    assert RULE.wait_s(1, fraction=0.5, elapsed_s=elapsed_s) == wait_s


def test_tries_may_be_without_end() -> None:
    assert RetryRule(tries=inf).wait_s(1_000_000, fraction=0.5) == 1.0


def test_a_rule_begins_with_one_try() -> None:
    with pytest.raises(ValueError, match="1"):
        RetryRule(tries=0)


@pytest.mark.parametrize("rule", [STORE_CALLS, CHANGES, PROVISIONING])
def test_every_rule_of_ours_comes_to_an_end(rule: RetryRule) -> None:
    tried = 1
    while rule.wait_s(tried, fraction=0.999) is not None:
        tried += 1
        assert tried < 100


class Busy(Exception):
    def __init__(self, retry_after_s: float | None = None) -> None:
        super().__init__("busy")
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


def failing(times: int, error: Exception) -> Callable[[], int]:
    calls = 0

    def action() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error
        return calls

    return action


def retry(clock: FakeClock, rule: RetryRule = RULE) -> Retry:
    return Retry(rule, clock, SeededRandomness())


def test_a_call_is_made_until_it_is_answered() -> None:
    clock = FakeClock()
    assert retry(clock).call(failing(3, OutcomeUnknown())) == 4
    assert len(clock.slept) == 3


def test_the_last_error_goes_to_the_caller() -> None:
    error = OutcomeUnknown("the last")
    with pytest.raises(OutcomeUnknown) as raised:
        retry(FakeClock()).call(failing(6, error))
    assert raised.value is error


def test_only_the_errors_that_are_named_are_met_again() -> None:
    clock = FakeClock()
    with pytest.raises(Busy):
        retry(clock).call(failing(1, Busy()))
    assert clock.slept == []
    assert retry(clock).call(failing(1, Busy()), on=(Busy,)) == 2


def test_an_error_that_says_when_to_come_back_is_obeyed() -> None:
    clock = FakeClock()
    retry(clock).call(failing(1, Busy(7)), on=(Busy,))
    assert 7 <= clock.slept[0] < 8


def test_the_time_for_all_tries_counts_the_tries_themselves() -> None:
    clock, calls = FakeClock(), 0

    def slow() -> None:
        nonlocal calls
        calls += 1
        clock.advance(40)
        raise OutcomeUnknown

    with pytest.raises(OutcomeUnknown):
        retry(clock).call(slow)
    assert calls == 3


def test_the_rule_needs_nothing_but_python() -> None:
    """A client that is installed alone takes it along."""
    package = Path(__file__).parents[3] / "layers/sluice/python"
    script = (
        f"import sys; sys.path.insert(0, {str(package)!r}); import sluice.ports.retry\n"
        "print(sorted(name for name in sys.modules if name.startswith('sluice.')))"
    )
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == str(
        ["sluice.ports", "sluice.ports.clock", "sluice.ports.retry", "sluice.ports.store_errors"]
    )
