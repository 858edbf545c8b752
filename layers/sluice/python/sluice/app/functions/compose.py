"""The function that composes: an event of the bucket's trigger, or of the sweeper, in; outcomes out."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from sluice.app.functions.event_function import (
    OUT_OF_TIME,
    EventFunction,
    FunctionCall,
    InvocationFailed,
    failure_of,
    within_call,
)
from sluice.app.writer_imports import load_writers
from sluice.domain.events import Event
from sluice.domain.keys import ManifestRef, parse_manifest_key
from sluice.ports.log_context import bound_context
from sluice.usecases.work_off import work_off

COMPONENT = "composer"
PUT = "ObjectCreated:PutObject"
SOURCE = "acs:oss"
NESTING_MAX = 1
"""An HTTP call brings the event as its body; the body of a body is not read."""
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading bytes that are no event raises: bad JSON or UTF-8, the wrong types, bad base64, too deep a nest."""


class Dropped(StrEnum):
    """Why an event is none for us."""

    MALFORMED = "malformed"
    """It is not what a trigger sends."""
    FOREIGN = "foreign"
    """It is about another bucket, another operation, or an object that is no manifest of ours."""


class Heard(NamedTuple):
    """What one invocation was asked to do."""

    triggers: tuple[ManifestRef, ...]
    """Each once, in order."""
    dropped: tuple[Dropped, ...]


class _EventBucket(msgspec.Struct):
    name: str


class _EventObject(msgspec.Struct):
    key: str


class _EventPlace(msgspec.Struct):
    bucket: _EventBucket
    object: _EventObject


class _OssEvent(msgspec.Struct, rename="camel"):
    event_name: str
    oss: _EventPlace
    event_source: str = SOURCE


class _Envelope(msgspec.Struct, rename="camel"):
    """Either the events of a trigger, or an HTTP request with them in its body."""

    events: list[msgspec.Raw] | None = None
    body: str | None = None
    is_base64_encoded: bool = msgspec.field(default=False, name="isBase64Encoded")


def read_events(event: bytes | str, *, bucket: str) -> Heard:
    """Find the triggers in ``event``, whatever it holds. Never raises: what is not for us is dropped, and counted.

    Only a put of a manifest into ``bucket`` is a trigger. Its key is decoded
    once, so a key that was encoded twice is foreign.
    """
    triggers: dict[ManifestRef, None] = {}
    dropped: list[Dropped] = []
    for one in _split(event, nesting=0):
        found = one if isinstance(one, Dropped) else _read_one(one, bucket)
        if isinstance(found, Dropped):
            dropped.append(found)
        else:
            triggers[found] = None
    return Heard(tuple(triggers), tuple(dropped))


def _split(event: bytes | str, *, nesting: int) -> Iterator[msgspec.Raw | Dropped]:
    """Yield the single events; one that cannot be read does not keep the others from being heard."""
    try:
        envelope = msgspec.json.decode(event, type=_Envelope)
        body: bytes | str | None = envelope.body
        if envelope.events is None and body is not None and envelope.is_base64_encoded:
            body = base64.b64decode(body, validate=True)
    except UNREADABLE:
        yield Dropped.MALFORMED
        return
    if envelope.events is not None:
        yield from envelope.events
    elif body is not None and nesting < NESTING_MAX:
        yield from _split(body, nesting=nesting + 1)
    else:
        yield Dropped.MALFORMED


def _read_one(raw: msgspec.Raw, bucket: str) -> ManifestRef | Dropped:
    try:
        event = msgspec.json.decode(raw, type=_OssEvent)
        key = unquote(event.oss.object.key, errors="strict")
    except UNREADABLE:
        return Dropped.MALFORMED
    if (event.event_source, event.event_name, event.oss.bucket.name) != (SOURCE, PUT, bucket):
        return Dropped.FOREIGN
    return parse_manifest_key(key) or Dropped.FOREIGN


def compose_events(call: FunctionCall) -> dict[str, object]:
    """Compose each task that the event names, one after the other.

    However a task ended, the call succeeded, and the platform need not try
    again. An unforeseen error fails the call, after every task had
    its turn: those that are done drop a second trigger.
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


def _compose(call: FunctionCall, trigger: ManifestRef) -> str | InvocationFailed:
    ports = call.function.ports
    with bound_context(task_id=trigger.task.task_id):
        ports.journal.record(Event.MANIFEST_RECEIVED, tenant=trigger.task.tenant, manifest_sha=trigger.sha)
        bounded = within_call(ports, call.stop_at)
        if bounded is None:
            ports.journal.record(Event.MANIFEST_DROPPED, tenant=trigger.task.tenant, reason=OUT_OF_TIME)
            return OUT_OF_TIME
        try:
            return work_off(bounded, trigger).value
        except Exception as error:  # noqa: BLE001 - the other tasks have their turn, then the call fails
            ports.journal.record(Event.SYSTEM_ERROR, error=error)
            return failure_of(error)


load_writers()  # while the platform starts the instance, not while the first task waits

handler = EventFunction(COMPONENT, compose_events)
