"""Calls that wait for a database: what no caller waits for any more ends there too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from anyio import to_thread
from starlette.requests import ClientDisconnect

from sluice.api.http.operation import HttpCall
from sluice.api.service import ROOM_POLL_S
from sluice.api.source_calls import SOURCE_S, OpenedSources

Result = TypeVar("Result")


async def run_on_source(call: HttpCall[Any], work: Callable[..., Result], *arguments: Any) -> Result:
    """Do ``work(ports, *arguments)`` in a thread of those for databases; not begun for a caller that has gone.

    Its sources are interrupted once the caller has gone, the service stops or ``SOURCE_S`` are over: to the work that
    is a source that is away.
    """
    opened, limiter = OpenedSources(call.ports.open_source), call.resources.source_threads
    ports, clock = replace(call.ports, open_source=opened.open), call.ports.clock
    async with call.source_turn:
        if await call.request.is_disconnected():
            raise ClientDisconnect
        give_up_at = clock.monotonic() + SOURCE_S
        done = asyncio.ensure_future(to_thread.run_sync(work, ports, *arguments, limiter=limiter))
        try:
            while not done.done() and clock.monotonic() < give_up_at and not await _is_given_up(call):
                await asyncio.wait({done}, timeout=ROOM_POLL_S)
        finally:
            if not done.done():
                opened.interrupt_aside()
        return await done


async def _is_given_up(call: HttpCall[Any]) -> bool:
    return call.resources.closing.is_set() or await call.request.is_disconnected()
