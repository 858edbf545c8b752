"""A world whose calls just happen: for tests that need its time and its oracle, but no schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sluice.ports.bundle import Ports
from tests.support.simulation.world import TrueTime, World

T = TypeVar("T")


def at_once(call: str, action: Callable[[], T]) -> T:
    """A gate that is always open."""
    return action()


def straight_ports(seed: int = 0) -> tuple[World, Ports]:
    time = TrueTime()
    world = World(seed, time=time, gate=at_once, pause=time.sleep)
    return world, world.ports()
