"""The pause before a conditional call is made again whose outcome is unknown."""

from __future__ import annotations

from sluice.ports.bundle import Ports
from sluice.ports.store_errors import OutcomeUnknown

WAIT_S = 0.1
"""The longest wait before the second try; doubles each time."""
WAIT_MAX_S = 2.0
"""The longest wait, whatever a store asks for: somebody waits for the answer."""


def wait_again(ports: Ports, unknown: OutcomeUnknown, *, repeat: int) -> None:
    """Give a busy store the time that it asks for, and a random one on top, so that not all come back at once.

    ``repeat`` counts from 0.
    """
    own_s = WAIT_S * 2.0**repeat * ports.randomness.fraction()
    ports.clock.sleep(min(unknown.retry_after_s + own_s, WAIT_MAX_S))
