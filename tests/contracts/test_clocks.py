"""The machine's clock and chance, and those that tests hold, keep the contract."""

from sluice.adapters.system_clock import SystemClock, SystemRandomness
from sluice.ports.clock import Clock, Randomness
from tests.contracts.clock_contract import ClockContract, RandomnessContract
from tests.support.fake_clock import FakeClock, SeededRandomness


class TestSystemClock(ClockContract):
    def make_clock(self) -> Clock:
        return SystemClock()


class TestFakeClock(ClockContract):
    def make_clock(self) -> Clock:
        return FakeClock()

    def test_a_jump_moves_the_wall_clock_only(self) -> None:
        clock = FakeClock(now=1000)
        clock.jump(-30)
        assert (clock.now(), clock.monotonic()) == (970, 0)


class TestSystemRandomness(RandomnessContract):
    def make_randomness(self) -> Randomness:
        return SystemRandomness()


class TestSeededRandomness(RandomnessContract):
    def make_randomness(self) -> Randomness:
        return SeededRandomness(7)

    def test_the_same_seed_gives_the_same_values(self) -> None:
        one, two, other = SeededRandomness(1), SeededRandomness(1), SeededRandomness(2)
        assert one.bytes(8) == two.bytes(8) != other.bytes(8)
