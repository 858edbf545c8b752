"""Waiting for a task to change: long polls and server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from sluice.api.error_status import problem, record_error
from sluice.api.http.errors import request_id_of
from sluice.api.http.operation import HttpCall
from sluice.api.http.responses import is_known, shown
from sluice.domain.errors import SluiceError
from sluice.domain.task import Task
from sluice.ports.store_errors import StoreError
from sluice.ports.waiting import Waiting
from sluice.usecases.reading.read_task import find_changed

EVENT_STREAM = "text/event-stream"
_NO_BUFFERING = {"X-Accel-Buffering": "no"}


async def wait_for_change(call: HttpCall[Any], task: Task, wait_s: float) -> Task:
    """Return the task once its state is another, or the time is up, or the service stops; raise as ``Waiting``.

    Returns at once when the task has ended, or when the caller's
    ``If-None-Match`` shows that it has not seen this revision.
    """
    if "if-none-match" in call.request.headers and not is_known(call.request, task):
        return task
    state, waiting = task.state, Waiting(call.ports.clock)
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while task.state is state and not state.terminal and not await _is_over(call, waiting.pause_s()):
                task = await _read(call, waiting, task)
    waiting.check()
    return task


async def _read(call: HttpCall[Any], waiting: Waiting, task: Task) -> Task:
    call.check_key()
    return await call.run(waiting.read, partial(find_changed, call.ports), task)


def event_response(call: HttpCall[Any], task: Task) -> Response:
    """Stream the task now and at every change until it has ended.

    A client that reconnects after the last event (``Last-Event-ID``) gets 204,
    which says not to come again.
    """
    if task.state.terminal and call.request.headers.get("last-event-id") == str(task.rev):
        return Response(status_code=204)
    return StreamingResponse(_events(call, task), media_type=EVENT_STREAM, headers=_NO_BUFFERING)


async def _events(call: HttpCall[Any], task: Task) -> AsyncGenerator[bytes, None]:
    yield _event(call, task)
    waiting, silent_s = Waiting(call.ports.clock), 0.0
    while not task.state.terminal and not await _is_stopping(call, poll_s := waiting.pause_s()):
        silent_s += poll_s
        try:
            now = await _read(call, waiting, task)
        except (SluiceError, StoreError) as error:
            body = problem(record_error(error, call.ports.journal), request_id=request_id_of(call.request.scope))
            yield b"event: problem\ndata: %b\n\n" % msgspec.json.encode(body)
            return
        if now.rev != task.rev:
            task, silent_s = now, 0.0
            yield _event(call, task)
        elif silent_s >= call.resources.keep_alive_s:
            silent_s = 0.0
            yield b": still here\n\n"


async def _is_over(call: HttpCall[Any], poll_s: float) -> bool:
    """Sleep; then whether the service stops or the caller is gone."""
    return await _is_stopping(call, poll_s) or await call.request.is_disconnected()


async def _is_stopping(call: HttpCall[Any], poll_s: float) -> bool:
    await asyncio.sleep(poll_s)
    return call.resources.closing.is_set()


def _event(call: HttpCall[Any], task: Task) -> bytes:
    data = msgspec.json.encode(shown(call, task))
    return b"id: %d\ndata: %b\n\n" % (task.rev, data)
