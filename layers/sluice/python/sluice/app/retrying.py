"""How often the stores are asked again."""

from __future__ import annotations

from typing import TypedDict

from sluice.app.settings.settings import Settings
from sluice.ports.clock import Clock, Randomness


class Retrying(TypedDict):
    """What both retrying wrappers are made with."""

    clock: Clock
    randomness: Randomness
    tries: int
    within_s: float


def retrying_by(settings: Settings, *, clock: Clock, randomness: Randomness, try_s: float = 0) -> Retrying:
    """Give what both retrying wrappers are made with.

    A try takes up to ``try_s``; the last one begins early enough to end while a caller still waits.
    """
    within_s = max(0, settings.server.request_timeout_s - try_s)
    return {"clock": clock, "randomness": randomness, "tries": settings.performance.retries + 1, "within_s": within_s}
