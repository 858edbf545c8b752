"""Timer triggers: fired on demand, and by themselves when they repeat."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from infra.emulators.function_compute.deployment import TimerTrigger

EVERY = re.compile(r"@every (?P<count>\d+)(?P<unit>[smh])")
SECONDS = {"s": 1, "m": 60, "h": 3600}


class Timer:
    """Sends the trigger's event to ``fire_event``: when told to, and while started every ``period_s``."""

    def __init__(self, trigger: TimerTrigger, fire_event: Callable[[bytes], object]) -> None:
        self.trigger = trigger
        self._fire_event = fire_event
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def period_s(self) -> float | None:
        """How often, for triggers of the form ``@every 1m``; None for a calendar's."""
        found = EVERY.fullmatch(self.trigger.cron.strip())
        return int(found["count"]) * SECONDS[found["unit"]] if found else None

    def fire(self) -> None:
        """Fire once, now."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {"triggerTime": moment, "triggerName": self.trigger.name, "payload": self.trigger.payload}
        self._fire_event(json.dumps(event).encode())

    def start(self, period_s: float | None = None) -> None:
        """Fire every ``period_s``, or as often as the trigger says."""
        period = period_s or self.period_s
        if period is None or not self.trigger.enabled:
            return
        self._thread = threading.Thread(target=self._repeat, args=(period,), name=f"timer-{self.trigger.name}")
        self._thread.start()

    def close(self) -> None:
        """Fire no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _repeat(self, period_s: float) -> None:
        while not self._ended.wait(period_s):
            self.fire()
