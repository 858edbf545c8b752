"""Reads bodies that are one JSON object."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

from sluice.api.http.bodies.body import JSON, ReservedBytes, media_of, read_body
from sluice.api.http.operation import HttpCall
from sluice.api.service import SMALL_BYTES
from sluice.domain.limits import MIB

Read = TypeVar("Read")
MODEL_BYTES_MAX = 8 * MIB
"""A definition of 16,384 columns with long names fits."""


async def read_json_body(
    call: HttpCall[Any],
    read: Callable[[bytes], Read],
    *,
    default: Read | None = None,
    reserved: ReservedBytes | None = None,
) -> Read:
    """Read the JSON body; with a ``default`` it may be left out. Only one that is long takes a turn, as batches do.

    Its bytes are counted until it is read; with ``reserved``, which a caller has that keeps what was read, beyond that.
    """
    resources = call.resources
    room = nullcontext(reserved) if reserved else resources.body_budget.reserve(call.principal)
    with room as buffered:
        if "content-type" in call.request.headers or default is None:
            media_of(call.request, allowed=(JSON,))
        body = await read_body(
            call.request,
            buffered,
            bytes_max=MODEL_BYTES_MAX,
            timeouts=resources.body_timeouts,
            turn=call.unpacking_turn,
        )
        call.check_key()  # the body may have taken minutes
        if default is not None and not body.strip():
            return default
        return await (call.run if len(body) <= SMALL_BYTES else call.decode)(read, body)
