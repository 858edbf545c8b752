"""The event with which a composer is asked for: what the bucket's trigger sends when a manifest is put."""

from __future__ import annotations

import json
from typing import NamedTuple, Protocol

from sluice.domain.keys import ManifestRef, manifest_key
from sluice.domain.timestamps import iso_time

DEDUPLICATED_S = 60
"""Two calls for one attempt count as one when they fall into the same minute."""


class MakesEvents(Protocol):
    def event(self, manifest: ManifestRef, *, at: float) -> bytes:
        """What a function is given that is asked to work on the task."""


class TriggerBucket(NamedTuple):
    """The bucket whose trigger the event imitates; the composer checks its name."""

    name: str
    region: str

    def event(self, manifest: ManifestRef, *, at: float) -> bytes:
        """As ``manifest_put_event``."""
        return manifest_put_event(manifest, self, at=at)


def manifest_put_event(manifest: ManifestRef, bucket: TriggerBucket, *, at: float) -> bytes:
    """Encode the event. Only the bucket and the key mean anything; the rest has the shape a handler may expect."""
    event = {
        "eventName": "ObjectCreated:PutObject",
        "eventSource": "acs:oss",
        "eventTime": iso_time(at),
        "eventVersion": "1.0",
        "oss": {
            "bucket": {"arn": f"acs:oss:{bucket.region}::{bucket.name}", "name": bucket.name},
            "object": {"key": manifest_key(manifest.task, manifest.sha)},
            "ossSchemaVersion": "1.0",
            "ruleId": "sweeper",
        },
        "region": bucket.region,
    }
    return json.dumps({"events": [event]}).encode()


def async_call_id(manifest: ManifestRef, *, epoch: int, at: float) -> str:
    """Name a call, so that Function Compute takes doubled ones for one: by task, attempt and minute.

    Task and attempt alone would name the next round's call as well, since a
    composer that dies before it takes the task leaves the attempt's number
    unused. Function Compute remembers ids for days, so that call would never
    run. The letter in front is there because an id must not begin with a digit.
    """
    return f"t{manifest.task.task_id}-{epoch}-{int(at // DEDUPLICATED_S)}"
