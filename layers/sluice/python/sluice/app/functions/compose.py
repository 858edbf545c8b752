"""The function that composes: an event of the bucket's trigger, or of the sweeper, in; outcomes out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec

from sluice.app.functions.event_function import Call, EventFunction, InvocationFailed, failure_of
from sluice.app.functions.oss_events import Dropped, read_events
from sluice.app.writer_imports import load_writers
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.ports.bundle import Ports
from sluice.ports.log_context import bound_context
from sluice.usecases.composing.compose_export import compose_export

COMPONENT = "composer"
OUT_OF_TIME = "out_of_time"
"""The outcome of a task that was not begun, since the call's time is over; the sweeper rings for it again."""


def compose_events(call: Call) -> dict[str, object]:
    """Compose each task the event rings for, one after the other.

    However a task ended, the call succeeded, and the platform need not try
    again. An error that nobody foresaw fails the call, after every task had
    its turn: those that are done drop a second bell.
    """
    heard = read_events(call.event, bucket=call.function.settings.oss.bucket)
    dropped = Counter(heard.dropped)
    for reason, count in dropped.items():
        call.function.journal.record(Event.MANIFEST_DROPPED, reason=reason.value, count=count)
    ended = [(trigger, _compose(call, trigger)) for trigger in heard.triggers]
    for _, outcome in ended:
        if isinstance(outcome, InvocationFailed):
            raise outcome
    return {
        "outcomes": [{"task_id": trigger.task.task_id, "outcome": outcome} for trigger, outcome in ended],
        "dropped": {reason.value: dropped[reason] for reason in Dropped},
    }


def _compose(call: Call, trigger: ManifestRef) -> str | InvocationFailed:
    ports = call.function.ports
    with bound_context(task_id=trigger.task.task_id):
        ports.journal.record(Event.MANIFEST_RECEIVED, tenant=trigger.task.tenant, manifest_sha=trigger.sha)
        bounded = _bounded(ports, call.stop_at)
        if bounded is None:
            ports.journal.record(Event.MANIFEST_DROPPED, tenant=trigger.task.tenant, reason=OUT_OF_TIME)
            return OUT_OF_TIME
        try:
            return compose_export(bounded, trigger).value
        except Exception as error:  # noqa: BLE001 - the other tasks have their turn, then the call fails
            ports.journal.record(Event.SYSTEM_ERROR, error=error)
            return failure_of(error)


def _bounded(ports: Ports, stop_at: float | None) -> Ports | None:
    """The same ports, with attempts that give their task back in time; None when there is no time left."""
    if stop_at is None:
        return ports
    left_s = stop_at - ports.clock.monotonic()
    if left_s <= 0:
        return None
    attempt_max_s = min(ports.timings.attempt_max_s, left_s)
    return replace(ports, timings=msgspec.structs.replace(ports.timings, attempt_max_s=attempt_max_s))


load_writers()  # while the platform starts the instance, not while the first task waits

handler = EventFunction(COMPONENT, compose_events)
