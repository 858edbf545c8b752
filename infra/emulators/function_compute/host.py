"""The function host: everything that a deployment file describes, running on this machine."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.emulators.function_compute.async_calls import FIRST_PAUSE_S, AsyncCalls
from infra.emulators.function_compute.custom_function import START_S, CustomFunction
from infra.emulators.function_compute.deployment import Deployment, FunctionSpec, TimerTrigger
from infra.emulators.function_compute.environment import Place, RoleKey
from infra.emulators.function_compute.event_function import EventFunction, Invocation
from infra.emulators.function_compute.front_door import Desk, FrontDoor, request_line
from infra.emulators.function_compute.grpc_door import GrpcDoor
from infra.emulators.function_compute.triggers import TriggerDeliveries

EVERY = re.compile(r"@every (?P<count>\d+)(?P<unit>[smh])")
SECONDS = {"s": 1, "m": 60, "h": 3600}


class Timer:
    """Sends the trigger's event to ``fire_event``: when asked to, and while started every ``period_s``."""

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


class FunctionHost:
    """Runs a deployment while its context lasts. Functions are named as in the file.

    ``key_of`` gives the credentials of a function's role by its deployed name,
    ``secrets`` the secret of everybody who may call the interface by access key id.
    """

    def __init__(
        self,
        deployment: Deployment,
        place: Place,
        folder: Path,
        *,
        key_of: Callable[[str], RoleKey],
        secrets: Callable[[], Mapping[str, str]] = dict,
        first_pause_s: float = FIRST_PAUSE_S,
        start_s: float = START_S,
    ) -> None:
        self.deployment = deployment
        self._place = place
        self._folder = folder
        self._key_of = key_of
        self.custom: dict[str, CustomFunction] = {}
        self.events: dict[str, EventFunction] = {}
        self.calls: dict[str, AsyncCalls] = {}
        self.triggers: dict[str, TriggerDeliveries] = {}
        self.timers: dict[str, Timer] = {}
        """By ``function/trigger``."""
        self.metrics: Counter[tuple[str, str]] = Counter()
        """What CloudMonitor would count: its name of the metric, the function's name."""
        self.requests: list[dict[str, object]] = []
        """The platform's own line of each request."""
        self._grpc: dict[str, GrpcDoor] = {}
        for name, spec in deployment.functions.items():
            if spec.is_custom:
                self._add_custom(name, spec, start_s)
            else:
                self._add_events(name, spec, first_pause_s)
        desk = self._desk(secrets)
        self.interface = FrontDoor(desk, ())
        """Function Compute's own address, for calls by a function's name."""
        self.doors = {domain: FrontDoor(desk, routes) for domain, routes in deployment.domains.items()}
        """The custom domains."""

    def __enter__(self) -> Self:
        for door in (self.interface, *self.doors.values()):
            door.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for front in (self.interface, *self.doors.values()):
            front.close()
        doors: list[Timer | TriggerDeliveries | GrpcDoor] = [
            *self.timers.values(),
            *self.triggers.values(),
            *self._grpc.values(),
        ]
        for door in doors:
            door.close()
        for function in self.events.values():
            function.kill_running()
        for calls in self.calls.values():
            calls.close()
        for custom in self.custom.values():
            custom.stop(self._key_of(custom.spec.name))

    def hear(self, event: dict[str, Any]) -> None:
        """Take an event of a bucket: what its ``listen`` is given."""
        for triggers in self.triggers.values():
            triggers.hear(event)

    def invoke(self, function: str, event: bytes, retry_count: int = 0) -> Invocation:
        """Run an event function once, synchronously."""
        runner = self.events[function]
        invocation = runner.invoke(
            event, self._key_of(runner.spec.name), request_id=str(uuid.uuid4()), retry_count=retry_count
        )
        failed = invocation.outcome != "success"
        self.metrics["FunctionFunctionErrors", runner.spec.name] += failed
        self.requests.append(request_line(runner.spec, invocation.peak_bytes, invocation.seconds, failed=failed))
        return invocation

    @contextmanager
    def firing(self, timer: str, *, period_s: float) -> Iterator[None]:
        """Fire ``function/trigger`` every ``period_s`` while the block runs."""
        repeated = Timer(self.timers[timer].trigger, self.calls[timer.partition("/")[0]].submit)
        repeated.start(period_s)
        try:
            yield
        finally:
            repeated.close()

    def grpc_port(self, function: str) -> int:
        """Where gRPC for this function is taken, from now on."""
        if function not in self._grpc:
            self._grpc[function] = GrpcDoor(self.custom[function], self._key_of)
        return self._grpc[function].port

    def invocations(self, function: str) -> list[Invocation]:
        """The asynchronous runs of an event function so far, in the order in which they ended."""
        return list(self.calls[function].invocations)

    def _add_custom(self, name: str, spec: FunctionSpec, start_s: float) -> None:
        log = self._folder / f"{name}.log"
        self.custom[name] = CustomFunction(spec, self._place, log=log, start_s=start_s)

    def _add_events(self, name: str, spec: FunctionSpec, first_pause_s: float) -> None:
        self.events[name] = EventFunction(spec, self._place)

        def run(event: bytes, retry_count: int) -> Invocation:
            invocation = self.invoke(name, event, retry_count)
            self._keep_log(name, invocation)
            return invocation

        calls = self.calls[name] = AsyncCalls(
            spec.asynchronous, run, first_pause_s=first_pause_s, instances_max=spec.instances_max
        )
        for trigger in spec.oss_triggers:
            self.triggers[f"{name}/{trigger.name}"] = TriggerDeliveries(trigger, calls.submit)
        for timer in spec.timer_triggers:
            self.timers[f"{name}/{timer.name}"] = Timer(timer, calls.submit)

    def _keep_log(self, name: str, invocation: Invocation) -> None:
        with (self._folder / f"{name}.log").open("a", encoding="utf-8") as log:
            log.write(invocation.log)

    def _desk(self, secrets: Callable[[], Mapping[str, str]]) -> Desk:
        return Desk(
            custom={custom.spec.name: custom for custom in self.custom.values()},
            key_of=self._key_of,
            submit=self._submit,
            run=lambda name, event: self.invoke(self._resource_of(name), event),
            secrets=secrets,
            metrics=self.metrics,
            requests=self.requests,
        )

    def _submit(self, function_name: str, event: bytes, task_id: str) -> bool:
        return self.calls[self._resource_of(function_name)].submit(event, task_id)

    def _resource_of(self, function_name: str) -> str:
        """The name that a function has in the file. Raises KeyError."""
        return {runner.spec.name: name for name, runner in self.events.items()}[function_name]
