"""The OSS trigger: which objects ring for a function, and how faithfully the ring arrives."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from infra.emulators.function_compute.deployment import OssTrigger

How = Literal["now", "late", "twice", "held", "never"]


@dataclass(frozen=True)
class Delivery:
    """What happens to one event on its way."""

    how: How = "now"
    delay_s: float = 0


NOW = Delivery()
TWICE = Delivery("twice")
NEVER = Delivery("never")
HELD = Delivery("held")
"""Until ``release``: with several held ones, in any order."""


def late(delay_s: float) -> Delivery:
    """Deliver after a while."""
    return Delivery("late", delay_s)


class Rung(NamedTuple):
    """An event that the trigger was made for."""

    key: str
    delivery: Delivery


class TriggerDeliveries:
    """Delivers the events of one trigger to ``ring``, each as the next planned delivery says; without one, at once."""

    def __init__(self, trigger: OssTrigger, ring: Callable[[bytes], object]) -> None:
        self.trigger = trigger
        self.rung: list[Rung] = []
        self._ring = ring
        self._planned: deque[Delivery] = deque()
        self._held: list[bytes] = []
        self._timers: list[threading.Timer] = []

    def plan(self, *deliveries: Delivery) -> None:
        """Say what happens to the next events."""
        self._planned.extend(deliveries)

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event of the bucket; most are not for this trigger."""
        key = wanted_key(self.trigger, event)
        if key is None:
            return
        delivery = self._planned.popleft() if self._planned else NOW
        self.rung.append(Rung(key, delivery))
        self._deliver(json.dumps(event).encode(), delivery)

    def release(self, *, backwards: bool = False) -> int:
        """Deliver what is held, the last first if so wished. Returns how many."""
        held, self._held = self._held, []
        for event in reversed(held) if backwards else held:
            self._ring(event)
        return len(held)

    def close(self) -> None:
        """Forget what is still under way."""
        for timer in self._timers:
            timer.cancel()
            timer.join()

    def _deliver(self, event: bytes, delivery: Delivery) -> None:
        match delivery.how:
            case "now":
                self._ring(event)
            case "twice":
                self._ring(event)
                self._ring(event)
            case "late":
                timer = threading.Timer(delivery.delay_s, self._ring, [event])
                self._timers.append(timer)
                timer.start()
            case "held":
                self._held.append(event)
            case "never":
                pass


def wanted_key(trigger: OssTrigger, event: dict[str, Any]) -> str | None:
    """The key of the object that the event is about, if the trigger is made for it."""
    (record,) = event["events"]
    key = unquote(record["oss"]["object"]["key"])
    wanted = record["oss"]["bucket"]["name"] == trigger.bucket and any(
        _covers(name, record["eventName"]) for name in trigger.events
    )
    return key if wanted and key.startswith(trigger.prefix) and key.endswith(trigger.suffix) else None


def _covers(configured: str, name: str) -> bool:
    plain = configured.removeprefix("oss:")
    return name == plain or (plain.endswith(":*") and name.startswith(plain[:-1]))
