"""The process of an event function: opened at its first call, used by all that follow."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import msgspec

from sluice.adapters.aliyun.credentials import EnvironmentCredentials, LatestCredentials
from sluice.adapters.system_clock import SystemClock
from sluice.app.aliyun import fixed_credentials, open_cloud
from sluice.app.functions.function_journal import open_function_journal
from sluice.app.functions.invocation import Invocation, read_context
from sluice.app.settings.settings import Settings, SettingsError, environment, load_settings
from sluice.app.telemetry.error_entry import code_of, error_entry
from sluice.app.telemetry.process_gauges import peak_resident_bytes
from sluice.app.telemetry.redaction import Budget
from sluice.domain.events import Event
from sluice.ports.bundle import Ports
from sluice.ports.journal import Journal
from sluice.ports.log_context import bound_context

CLOUD = {"storage.backend": "oss"}
"""A function has no other."""
_ERROR_ROOM = Budget(chars=500, items=0)


class InvocationFailed(Exception):
    """Tells the platform that a call failed, for it to try again; the journal knows why.

    It stands in for the error itself, whose text and causes may quote what no
    log may hold: the platform logs whatever a handler raises, in full.
    """


class OpenFunction(NamedTuple):
    """What the calls of one process share. Nothing of any tenant is in it."""

    settings: Settings
    ports: Ports
    latest: LatestCredentials

    @property
    def journal(self) -> Journal:
        return self.ports.journal


class Call(NamedTuple):
    """One call and what it works with."""

    event: bytes
    invocation: Invocation
    function: OpenFunction
    stop_at: float | None
    """When to give back what is under way, by the monotonic clock; None when the platform states no limit."""


Work = Callable[[Call], Mapping[str, object]]
"""Does what a call asks for; what it returns becomes the call's answer."""


class EventFunction:
    """A handler. Calls come one after the other, as built-in runtimes give them."""

    def __init__(self, component: str, work: Work) -> None:
        self._component = component
        self._work = work
        self._clock = SystemClock()
        self._stack = ExitStack()
        self._function: OpenFunction | None = None

    def __call__(self, event: bytes, context: object) -> str:
        """Answer with JSON. Raises ``SettingsError``, and ``InvocationFailed`` for what nobody foresaw."""
        started = self._clock.monotonic()
        invocation = read_context(context)
        with bound_context(request_id=invocation.request_id, component=self._component):
            function = self._function or self._open(invocation)
            if invocation.credentials is not None:
                function.latest.set(invocation.credentials)
            stop_at = _stop_at(function.settings, invocation, started)
            answer = self._answer(Call(event, invocation, function, stop_at))
            function.journal.record(Event.MEMORY_SNAPSHOT, peak_rss_bytes=peak_resident_bytes(), pid=os.getpid())
        if isinstance(answer, InvocationFailed):
            raise answer  # out here, where nothing but its own words goes with it
        return msgspec.json.encode(answer).decode()

    def close(self) -> None:
        """Let go of everything; the next call opens it again."""
        self._function = None
        self._stack.close()
        gc.unfreeze()

    def _open(self, invocation: Invocation) -> OpenFunction:
        started = self._clock.monotonic()
        settings = load_settings(None, CLOUD)
        with ExitStack() as stack:
            journal = stack.enter_context(open_function_journal(settings, environment(), component=self._component))
            latest = LatestCredentials(EnvironmentCredentials(environment()))
            ports = stack.enter_context(
                open_cloud(settings, journal, credentials=fixed_credentials(settings) or latest)
            )
            self._stack = stack.pop_all()
        self._function = OpenFunction(settings, ports, latest)
        gc.freeze()  # what was imported stays; the collector need not look at it again
        facts: dict[str, Any] = {"faas.coldstart": True, "faas.max_memory": invocation.memory_mb}
        duration_s = self._clock.monotonic() - started
        journal.record(Event.SERVICE_STARTED, duration_s=duration_s, time_limit_s=invocation.time_limit_s, **facts)
        return self._function

    def _answer(self, call: Call) -> Mapping[str, object] | InvocationFailed:
        try:
            return self._work(call)
        except InvocationFailed as failure:
            return failure
        except Exception as error:  # noqa: BLE001 - noted here, and told to the platform in words of ours
            call.function.journal.record(Event.SYSTEM_ERROR, error=error)
            return failure_of(error)


def failure_of(error: Exception) -> InvocationFailed:
    """What the platform may know of an error."""
    entry = error_entry(error, None, _ERROR_ROOM) or {}
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
