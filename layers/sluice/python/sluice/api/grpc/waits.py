"""Waiting in a call for what becomes of an export."""

from __future__ import annotations

import math
from functools import partial

from sluice.api.grpc.call import GrpcCall
from sluice.domain.errors import SluiceError
from sluice.domain.task import Task
from sluice.ports.waiting import Waiting
from sluice.usecases.reading.read_task import find_changed

MARGIN_S_MAX = 1.0
MARGIN_SHARE = 0.1
"""The last word leaves this part of the remaining time, at most ``MARGIN_S_MAX``, before the call's deadline."""


def wait_for_end(call: GrpcCall, task: Task, *, within_s: float = math.inf) -> Task:
    """Read the row until the task has ended, the client is gone, or the time is up: before the call's deadline.

    Raises as ``Waiting``.
    """
    ports = call.service.ports
    clock, waiting = ports.clock, Waiting(ports.clock)
    remaining_s = call.context.time_remaining()  # thousands of years for a call without a deadline
    remaining_s -= min(MARGIN_S_MAX, remaining_s * MARGIN_SHARE)
    until = clock.monotonic() + min(within_s, remaining_s)
    while not task.state.terminal and call.context.is_active():
        left_s = until - clock.monotonic()
        if left_s <= 0:
            break
        clock.sleep(min(waiting.pause_s(), left_s))
        call.check_key()
        task = waiting.read(partial(find_changed, ports), task)
    waiting.check()
    return task


def wait_for_file(call: GrpcCall, task: Task, *, within_s: float) -> Task:
    """As ``wait_for_end``, in one of the places for that: where none is free the task comes back as it is.

    A call that waits keeps a thread from others, and its answer is as good without the file: it comes later.
    """
    if task.state.terminal or within_s <= 0:
        return task
    try:
        give_back = call.file_waits.take(call.principal)
    except SluiceError:
        return task
    try:
        return wait_for_end(call, task.without_columns(), within_s=within_s)
    finally:
        give_back()
