"""The OSS trigger: which objects start a function, and how faithfully its events arrive."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from infra.emulators.function_compute.deployment import OssTrigger

How = Literal["now", "late", "twice", "on_release", "never"]


@dataclass(frozen=True)
class Delivery:
    """What happens to one event on its way."""

    how: How = "now"
    delay_s: float = 0


NOW = Delivery()
TWICE = Delivery("twice")
NEVER = Delivery("never")
ON_RELEASE = Delivery("on_release")
"""When ``release`` is called; several in either order."""


def late(delay_s: float) -> Delivery:
    """Deliver after a while."""
    return Delivery("late", delay_s)


class Seen(NamedTuple):
    """An event that the trigger was made for."""

    key: str
    delivery: Delivery


class TriggerDeliveries:
    """Delivers the events of one trigger to ``invoke``, each as the next planned delivery says, else at once."""

    def __init__(self, trigger: OssTrigger, invoke: Callable[[bytes], object]) -> None:
        self.trigger = trigger
        self.seen: list[Seen] = []
        self._invoke = invoke
        self._planned: deque[Delivery] = deque()
        self._waiting: list[bytes] = []
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
        self.seen.append(Seen(key, delivery))
        self._deliver(json.dumps(event).encode(), delivery)

    def release(self, *, backwards: bool = False) -> int:
        """Deliver what waits for this, the last first if so wished. Returns how many."""
        waiting, self._waiting = self._waiting, []
        for event in reversed(waiting) if backwards else waiting:
            self._invoke(event)
        return len(waiting)

    def close(self) -> None:
        """Forget what is still under way."""
        for timer in self._timers:
            timer.cancel()
            timer.join()

    def _deliver(self, event: bytes, delivery: Delivery) -> None:
        match delivery.how:
            case "now":
                self._invoke(event)
            case "twice":
                self._invoke(event)
                self._invoke(event)
            case "late":
                timer = threading.Timer(delivery.delay_s, self._invoke, [event])
                self._timers.append(timer)
                timer.start()
            case "on_release":
                self._waiting.append(event)
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
