"""The function that composes: an event of the bucket's trigger, or of the sweeper, in; outcomes out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec

from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef
from sluice.ports.log_context import bound_context
from sluice.ports.outside import Outside
from sluice.usecases.compose_export import compose_export
from sluice.wiring.functions.event_function import Call, EventFunction, InvocationFailed, failure_of
from sluice.wiring.functions.oss_events import Dropped, read_events
from sluice.wiring.writer_imports import load_writers

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
    ended = [(bell, _compose(call, bell)) for bell in heard.bells]
    for _, outcome in ended:
        if isinstance(outcome, InvocationFailed):
            raise outcome
    return {
        "outcomes": [{"task_id": bell.task.task_id, "outcome": outcome} for bell, outcome in ended],
        "dropped": {reason.value: dropped[reason] for reason in Dropped},
    }


def _compose(call: Call, bell: ManifestRef) -> str | InvocationFailed:
    outside = call.function.outside
    with bound_context(task_id=bell.task.task_id):
        outside.journal.record(Event.MANIFEST_RECEIVED, tenant=bell.task.tenant, manifest_sha=bell.sha)
        bounded = _bounded(outside, call.stop_at)
        if bounded is None:
            outside.journal.record(Event.MANIFEST_DROPPED, tenant=bell.task.tenant, reason=OUT_OF_TIME)
            return OUT_OF_TIME
        try:
            return compose_export(bounded, bell).value
        except Exception as error:  # noqa: BLE001 - the other tasks have their turn, then the call fails
            outside.journal.record(Event.SYSTEM_ERROR, error=error)
            return failure_of(error)


def _bounded(outside: Outside, stop_at: float | None) -> Outside | None:
    """The same ports, with attempts that give their task back in time; None when there is no time left."""
    if stop_at is None:
        return outside
    left_s = stop_at - outside.clock.monotonic()
    if left_s <= 0:
        return None
    attempt_max_s = min(outside.timings.attempt_max_s, left_s)
    return replace(outside, timings=msgspec.structs.replace(outside.timings, attempt_max_s=attempt_max_s))


load_writers()  # while the platform starts the instance, not while the first task waits

handler = EventFunction(COMPONENT, compose_events)
