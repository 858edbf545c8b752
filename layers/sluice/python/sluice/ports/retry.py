"""The one rule for doing a call again: how often, after how long, until when. Every number of it stands here.

Needs the standard library only, so that a client of the service can take it along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol, TypeVar

from sluice.ports.clock import Clock, Randomness
from sluice.ports.store_errors import OutcomeUnknown

T = TypeVar("T")

CHANGES_MAX = 8
"""How often something is read and changed anew because another process was faster; nothing is waited for."""
_DOUBLINGS_MAX = 64
"""More would only be a larger number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """When a call that failed for a moment is made again.

    Before each further try a random time passes, below a bound that doubles, so
    that callers that failed together spread out. The called side may ask for
    more time, and gets it before that.
    """

    tries: float = 4
    """All tries together; ``inf`` where only the time ends them."""
    first_wait_s: float = 0.1
    """The bound of the first wait."""
    wait_max_s: float = 2.0
    """The bound does not grow beyond this."""
    asked_wait_max_s: float = 10.0
    """A call does not wait longer than this, whatever time is asked for."""
    within_s: float = inf
    """No try begins later than this after the first."""
    jitter: float = 1.0
    """The share of a wait that is random: 1 is from zero up, 0 is always the bound."""

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError("tries starts at 1")

    def wait_s(self, tried: int, *, fraction: float, elapsed_s: float = 0, asked_s: float = 0) -> float | None:
        """How long to wait after ``tried`` tries have failed; None: there is no further one.

        ``elapsed_s`` since the first try began; ``asked_s`` is what the called
        side asks for; ``fraction`` is random, from 0 to below 1.
        """
        if tried >= self.tries:
            return None
        bound_s = min(self.first_wait_s * 2.0 ** min(tried - 1, _DOUBLINGS_MAX), self.wait_max_s)
        wait_s = min(asked_s, self.asked_wait_max_s) + bound_s * (1 - self.jitter + self.jitter * fraction)
        return wait_s if elapsed_s + wait_s <= self.within_s else None


STORE_CALLS = RetryRule()
"""Calls to a store that are idempotent. The settings say how many tries, and for how long a caller waits."""
CHANGES = RetryRule(asked_wait_max_s=2.0)
"""Conditional changes, whose outcome is then read back; a caller waits, and each call in it is a store's."""
CLIENT_CALLS = RetryRule(tries=inf, wait_max_s=5.0, asked_wait_max_s=30.0, within_s=120.0, jitter=0.5)
"""Calls of our own API by a client: a sender goes on for as long as it says."""
PROVISIONING = RetryRule(tries=6, first_wait_s=1.0, wait_max_s=60.0, jitter=0)
"""Calls that make and watch what the service runs on: one operator, who can wait."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A rule at work in a process."""

    rule: RetryRule
    clock: Clock
    randomness: Randomness
    on_retry: Callable[[Exception], object] | None = None
    """Called with what failed, before each further try."""

    def call(self, action: Callable[[], T], *, on: tuple[type[Exception], ...] = (OutcomeUnknown,)) -> T:
        """Call ``action`` until it answers; after the last try its error, one of ``on``, goes to the caller.

        An error that has ``retry_after_s`` asks for so much time.
        """
        began = self.clock.monotonic()
        tried = 0
        while True:
            tried += 1
            try:
                return action()
            except on as error:
                wait_s = self.rule.wait_s(
                    tried,
                    fraction=self.randomness.fraction(),
                    elapsed_s=self.clock.monotonic() - began,
                    asked_s=getattr(error, "retry_after_s", 0),
                )
                if wait_s is None:
                    raise
                if self.on_retry:
                    self.on_retry(error)
                self.clock.sleep(wait_s)


class HasChance(Protocol):
    """What of ``Ports`` the rule needs."""

    @property
    def clock(self) -> Clock: ...

    @property
    def randomness(self) -> Randomness: ...

    def note_retry(self, error: Exception) -> None: ...


def settle(ports: HasChance, attempt: Callable[[], T | None], read_back: Callable[[bool], T | None]) -> T:
    """Make a conditional change and say how it ended: repeat while no answer comes, then read back.

    ``attempt`` makes the change, and may be made again: it returns what a yes
    amounts to, None for a no. After a no, or when no answer came to any try,
    ``read_back`` says what the store shows; it is given whether an answer was
    lost, so that the change may be ours. It returns None while the change may
    yet happen: then ``OutcomeUnknown`` is raised, and nothing may be assumed.
    """
    lost: OutcomeUnknown | None = None

    def noted() -> T | None:
        nonlocal lost
        try:
            return attempt()
        except OutcomeUnknown as error:
            lost = error
            raise

    try:
        done = Retry(CHANGES, ports.clock, ports.randomness, ports.note_retry).call(noted)
    except OutcomeUnknown:
        done = None
    if done is None:
        done = read_back(lost is not None)
    if done is None:
        raise lost or OutcomeUnknown("the change was refused, and the store does not show why")
    return done
