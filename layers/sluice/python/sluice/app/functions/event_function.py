"""The process of an event function: opened at its first call, used by all that follow."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from sluice.adapters.aliyun.credentials import TOKEN_VARIABLE, Credentials
from sluice.adapters.system_clock import SystemClock
from sluice.app.functions.function_process import FunctionProcess, open_function
from sluice.app.functions.probe import is_probe, probe
from sluice.app.settings.validation import Settings, SettingsError, environment
from sluice.app.telemetry.process_gauges import peak_resident_bytes
from sluice.app.telemetry.redaction import Budget, code_of, error_entry
from sluice.domain.events import Event
from sluice.domain.limits import HOUR_S
from sluice.domain.secret import Secret
from sluice.ports.bundle import Ports
from sluice.ports.clock import Clock
from sluice.ports.log_context import bound_context


class Invocation(NamedTuple):
    """One call. What the runtime does not say is empty, or None."""

    request_id: str
    time_limit_s: float | None
    memory_mb: int | None
    credentials: Credentials | None
    """Those of the function's role; runtimes from Python 3.12 on put them into the environment instead."""


def read_context(context: object) -> Invocation:
    """Read the ``context`` argument of a handler. Never raises: a missing word is not worth a task."""
    function, given = getattr(context, "function", None), getattr(context, "credentials", None)
    key_id, secret, token = (
        str(getattr(given, name, "") or "") for name in ("access_key_id", "access_key_secret", "security_token")
    )
    return Invocation(
        request_id=str(getattr(context, "request_id", "") or ""),
        time_limit_s=_number(getattr(function, "timeout", None)),
        memory_mb=int(_number(getattr(function, "memory", None)) or 0) or None,
        credentials=Credentials(key_id, Secret(secret), Secret(token)) if key_id and secret else None,
    )


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


_ERROR_BUDGET = Budget(chars=500, items=0)


class InvocationFailed(Exception):
    """Tells the platform that a call failed, for it to try again; the journal knows why.

    It stands in for the error itself, whose text and causes may quote what no
    log may hold: the platform logs whatever a handler raises, in full.
    """


class FunctionCall(NamedTuple):
    """One call and what it works with."""

    event: bytes
    invocation: Invocation
    function: FunctionProcess
    stop_at: float | None
    """When to give back what is under way, by the monotonic clock; None when the platform states no limit."""


CREDENTIALS_OLD_S = 30 * HOUR_S
"""A role's credentials are good for 36 hours, and a call lasts for one at most."""
OLD_CREDENTIALS_CODE = 3
"""With which a process ends whose credentials were not renewed."""

Work = Callable[[FunctionCall], Mapping[str, object]]
"""Does what a call asks for; what it returns becomes the call's answer."""


class EventFunction:
    """A handler. Calls come one after the other, as built-in runtimes give them."""

    def __init__(
        self,
        component: str,
        work: Work,
        *,
        probes: Callable[[FunctionProcess], Mapping[str, object]] = probe,
        clock: Clock | None = None,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._component = component
        self._work = work
        self._probes = probes
        self._clock = clock or SystemClock()
        self._end_process = end_process
        self._token = ""
        self._token_since = 0.0
        self._stack = ExitStack()
        self._function: FunctionProcess | None = None

    def __call__(self, event: bytes, context: object) -> str:
        """Answer with JSON. Raises ``SettingsError``, and ``InvocationFailed`` for what was not foreseen."""
        started = self._clock.monotonic()
        invocation = read_context(context)
        with bound_context(request_id=invocation.request_id, component=self._component):
            function = self._function or self._open(invocation)
            if invocation.credentials is not None:
                function.latest.set(invocation.credentials)
            elif self._credentials_are_old(environment().get(TOKEN_VARIABLE, "")):
                # They end soon, and this runtime does not renew them. The platform starts another instance, with new
                # ones, and what this call was for is asked for again.
                function.journal.record(Event.SERVICE_STOPPED, reason="old credentials")
                self._end_process(OLD_CREDENTIALS_CODE)
            stop_at = _stop_at(function.settings, invocation, started)
            answer: Mapping[str, object] | InvocationFailed
            try:
                call = FunctionCall(event, invocation, function, stop_at)
                answer = self._probes(function) if is_probe(event) else self._work(call)
            except InvocationFailed as failure:
                answer = failure
            except Exception as error:  # noqa: BLE001 - noted here, and passed to the platform in words of ours
                function.journal.record(Event.SYSTEM_ERROR, error=error)
                answer = failure_of(error)
            function.journal.record(Event.MEMORY_SNAPSHOT, peak_rss_bytes=peak_resident_bytes(), pid=os.getpid())
        if isinstance(answer, InvocationFailed):
            raise answer  # out here, where nothing but its own words goes with it
        return msgspec.json.encode(answer).decode()

    def _credentials_are_old(self, token: str) -> bool:
        """Whether the same token was here for so long that it ends soon."""
        now = self._clock.now()  # a paused instance's monotonic clock may stand still
        if token != self._token:
            self._token, self._token_since = token, now
        return bool(token) and now - self._token_since > CREDENTIALS_OLD_S

    def close(self) -> None:
        """Let go of everything; the next call opens it again."""
        self._function = None
        self._stack.close()
        gc.unfreeze()

    def _open(self, invocation: Invocation) -> FunctionProcess:
        started = self._clock.monotonic()
        self._function = self._stack.enter_context(open_function(self._component))
        gc.freeze()  # what was imported stays; the collector need not look at it again
        facts: dict[str, Any] = {"faas.coldstart": True, "faas.max_memory": invocation.memory_mb}
        duration_s = self._clock.monotonic() - started
        self._function.journal.record(
            Event.SERVICE_STARTED, duration_s=duration_s, time_limit_s=invocation.time_limit_s, **facts
        )
        return self._function


OUT_OF_TIME = "out_of_time"
"""The outcome of a task that was not begun, since the call's time is over; the sweeper asks for it again."""


def within_call(ports: Ports, stop_at: float | None) -> Ports | None:
    """The same ports, with attempts that give their task back in time; None when there is no time left."""
    if stop_at is None:
        return ports
    left_s = stop_at - ports.clock.monotonic()
    if left_s <= 0:
        return None
    return replace(ports, timings=msgspec.structs.replace(ports.timings, attempt_total_s=left_s))


def failure_of(error: Exception) -> InvocationFailed:
    """What the platform may know of an error."""
    entry = error_entry(error, None, _ERROR_BUDGET) or {}
    return InvocationFailed(f"{code_of(error)}: {entry.get('message')}")


def _stop_at(settings: Settings, invocation: Invocation, started: float) -> float | None:
    if invocation.time_limit_s is None:
        return None
    margin_s = settings.functions.stop_margin_s
    if invocation.time_limit_s <= margin_s:
        raise SettingsError(
            [f"functions.stop_margin_s: {margin_s:g} s before the limit of {invocation.time_limit_s:g} s leave no time"]
        )
    return started + invocation.time_limit_s - margin_s
