"""How often the stores are asked again."""

from __future__ import annotations

from typing import TypedDict

from sluice.ports.clock import Clock, Randomness
from sluice.wiring.settings import Settings


class Retrying(TypedDict):
    """What both retrying wrappers are made with."""

    clock: Clock
    randomness: Randomness
    tries: int


def retrying_by(settings: Settings, *, clock: Clock, randomness: Randomness) -> Retrying:
    """Give what both retrying wrappers are made with."""
    return {"clock": clock, "randomness": randomness, "tries": settings.performance.retries + 1}
