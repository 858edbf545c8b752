"""The function that reads tables: the ids of a task in; how its reading ended out."""

from __future__ import annotations

from sluice.adapters.aliyun.function_compute.reading_event import read_reading_event
from sluice.app.functions.event_function import OUT_OF_TIME, EventFunction, FunctionCall, within_call
from sluice.app.functions.probe import probe_reader
from sluice.app.sources import for_readers
from sluice.domain.events import Event
from sluice.ports.log_context import bound_context
from sluice.usecases.pulling.read_source import read_source

COMPONENT = "reader"
MALFORMED = "malformed"
"""The outcome of an event that names no task."""


def extract(call: FunctionCall) -> dict[str, object]:
    """Read the table of the task that the event names, and seal it, which triggers its composer.

    However it ended, the call succeeded, and the platform need not try again.
    A call whose time is over hands over: the sweeper asks for the next one,
    which goes on behind what was read.
    """
    ref = read_reading_event(call.event)
    if ref is None:
        call.function.journal.record(Event.MANIFEST_DROPPED, reason=MALFORMED, count=1)
        return {"outcome": MALFORMED}
    with bound_context(task_id=ref.task_id):
        ports = within_call(for_readers(call.function.ports, call.function.settings), call.stop_at)
        if ports is None:
            call.function.journal.record(Event.MANIFEST_DROPPED, tenant=ref.tenant, reason=OUT_OF_TIME)
            return {"task_id": ref.task_id, "outcome": OUT_OF_TIME}
        return {"task_id": ref.task_id, "outcome": read_source(ports, ref).value}


handler = EventFunction(COMPONENT, extract, probes=probe_reader)
