"""The function that sweeps: a timer in; repairs done out. Once a week another timer asks for the long walk."""

from __future__ import annotations

from collections import Counter

import msgspec

from sluice.app.functions.event_function import EventFunction, FunctionCall
from sluice.usecases.upkeep.reconcile_stores import reconcile_stores
from sluice.usecases.upkeep.sweep_tasks import SWEEPS_AT_ONCE_MAX, SweepMemory, Swept, sweep_tasks, was_full

COMPONENT = "sweeper"
RECONCILE = "reconcile"
"""The payload of the weekly timer; any other payload means a sweep."""
ROUND_S = 50.0
"""A sweep that finds more than it can do in this time leaves the rest to the next, which comes every minute."""


_memory = SweepMemory(trusts_clock=True)
"""Of this instance, which the platform keeps for as long as it likes, with a clock that it keeps right."""


class _TimerEvent(msgspec.Struct):
    """What a timer sends, as far as it means anything to us."""

    payload: str = ""


def sweep(call: FunctionCall) -> dict[str, object]:
    """Repair what was lost, or compare the stores with each other, as the timer's payload says."""
    ports = call.function.ports
    if read_payload(call.event) == RECONCILE:
        report = reconcile_stores(ports)
        counted = {"results_missing": len(report.results_missing), "rows_damaged": len(report.rows_damaged)}
        return {RECONCILE: {**msgspec.to_builtins(report), **counted}}
    until = ports.clock.monotonic() + ROUND_S
    until = until if call.stop_at is None else min(until, call.stop_at)
    done = Counter[Swept]()
    for _ in range(SWEEPS_AT_ONCE_MAX):
        swept = sweep_tasks(ports, until=until, memory=_memory)
        done += swept
        if not was_full(swept) or ports.clock.monotonic() >= until:
            break
    return {"swept": {what.value: count for what, count in sorted(done.items())}}


def read_payload(event: bytes) -> str:
    """The timer's payload; empty when the event has none, or is no timer's."""
    try:
        return msgspec.json.decode(event, type=_TimerEvent).payload.strip()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


handler = EventFunction(COMPONENT, sweep)
