"""Everything that operations work on, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.oss_server.events import Events
from tests.support.oss_server.key_ring import KeyRing
from tests.support.oss_server.server_clock import ServerClock
from tests.support.oss_server.storage import Storage
from tests.support.oss_server.uploads import Uploads


@dataclass(frozen=True)
class Store:
    region: str
    clock: ServerClock
    keys: KeyRing
    storage: Storage
    uploads: Uploads
    events: Events
