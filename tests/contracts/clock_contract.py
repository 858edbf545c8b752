"""What every clock and every source of chance must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime

from sluice.ports.clock import Clock, Randomness


class ClockContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    @abstractmethod
    def make_clock(self) -> Clock:
        """Make the clock."""

    def test_now_is_in_unix_seconds(self) -> None:
        now = self.make_clock().now()
        assert 2023 <= datetime.fromtimestamp(now, UTC).year < 2100

    def test_monotonic_time_never_goes_back(self) -> None:
        clock = self.make_clock()
        times = [clock.monotonic() for _ in range(1000)]
        assert times == sorted(times)

    def test_sleeping_takes_at_least_as_long_as_asked(self) -> None:
        clock = self.make_clock()
        begun = clock.monotonic()
        clock.sleep(0.02)
        assert clock.monotonic() - begun >= 0.02

    def test_sleeping_for_no_time_returns(self) -> None:
        self.make_clock().sleep(0)


class RandomnessContract(ABC):
    """Adopt it by a subclass whose name begins with ``Test``."""

    @abstractmethod
    def make_randomness(self) -> Randomness:
        """Make the source of chance."""

    def test_bytes_are_as_many_as_asked(self) -> None:
        randomness = self.make_randomness()
        assert [len(randomness.bytes(count)) for count in (0, 1, 16, 1000)] == [0, 1, 16, 1000]

    def test_bytes_do_not_repeat(self) -> None:
        randomness = self.make_randomness()
        assert len({randomness.bytes(16) for _ in range(1000)}) == 1000

    def test_fractions_are_spread_from_0_to_below_1(self) -> None:
        randomness = self.make_randomness()
        fractions = [randomness.fraction() for _ in range(1000)]
        assert all(0 <= fraction < 1 for fraction in fractions)
        assert {int(fraction * 10) for fraction in fractions} == set(range(10))
