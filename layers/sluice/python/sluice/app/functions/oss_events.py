"""Reads what asks for a composer: an event of the bucket's trigger, as it is or as the body of an HTTP call."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from sluice.domain.keys import ManifestRef, parse_manifest_key

PUT = "ObjectCreated:PutObject"
SOURCE = "acs:oss"
NESTING_MAX = 1
"""An HTTP call brings the event as its body; the body of a body is nobody's."""


UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading bytes that are no event raises: bad JSON or UTF-8, the wrong types, bad base64, too deep a nest."""


class Dropped(StrEnum):
    """Why an event is none for us."""

    MALFORMED = "malformed"
    """It is not what a trigger sends."""
    FOREIGN = "foreign"
    """It tells of another bucket, another deed, or an object that is no manifest of ours."""


class Heard(NamedTuple):
    """What one invocation was asked to do."""

    triggers: tuple[ManifestRef, ...]
    """Each once, in order."""
    dropped: tuple[Dropped, ...]


class _Bucket(msgspec.Struct):
    name: str


class _Object(msgspec.Struct):
    key: str


class _Place(msgspec.Struct):
    bucket: _Bucket
    object: _Object


class _OssEvent(msgspec.Struct, rename="camel"):
    event_name: str
    oss: _Place
    event_source: str = SOURCE


class _Envelope(msgspec.Struct, rename="camel"):
    """Either the events of a trigger, or an HTTP request with them in its body."""

    events: list[msgspec.Raw] | None = None
    body: str | None = None
    is_base64_encoded: bool = msgspec.field(default=False, name="isBase64Encoded")


def read_events(event: bytes | str, *, bucket: str) -> Heard:
    """Find the bells in ``event``, whatever it holds. Never raises: what is not for us is dropped, and counted.

    Only a put of a manifest into ``bucket`` is a bell. Its key is decoded
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
        body = _body_of(envelope) if envelope.events is None else None
    except UNREADABLE:
        yield Dropped.MALFORMED
        return
    if envelope.events is not None:
        yield from envelope.events
    elif body is not None and nesting < NESTING_MAX:
        yield from _split(body, nesting=nesting + 1)
    else:
        yield Dropped.MALFORMED


def _body_of(envelope: _Envelope) -> bytes | str | None:
    """The body of an HTTP request. Raises ValueError when it is not encoded as it says."""
    if envelope.body is None or not envelope.is_base64_encoded:
        return envelope.body
    return base64.b64decode(envelope.body, validate=True)


def _read_one(raw: msgspec.Raw, bucket: str) -> ManifestRef | Dropped:
    try:
        event = msgspec.json.decode(raw, type=_OssEvent)
        key = unquote(event.oss.object.key, errors="strict")
    except UNREADABLE:
        return Dropped.MALFORMED
    if (event.event_source, event.event_name, event.oss.bucket.name) != (SOURCE, PUT, bucket):
        return Dropped.FOREIGN
    return parse_manifest_key(key) or Dropped.FOREIGN
